"""Features of a run's frames, and which frames have none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtl.errors import UserError
from mtl.features.archive import Archive
from mtl.features.computed import ComputedVectors
from mtl.features.vectors import FeatureVectors, MemoryVectors
from mtl.memory import aligned, finite_rows


@dataclass(frozen=True)
class Features:
    """What was asked for.

    Attributes
    ----------
    frames : DataFrame
        The frame table without the bad ones, RangeIndex.
    vectors : FeatureVectors
        Row i belongs to ``frames.iloc[i]``.
    bad : DataFrame
        `path` and `reason` of each frame that has no feature vector.
    computed : int
        Frames that went through the frozen part now; the others were found.
    seconds : float
    archive : Archive or None
        Where they are kept, as far as they are; None where the data set itself gives them.
    """

    frames: pd.DataFrame
    vectors: FeatureVectors
    bad: pd.DataFrame
    computed: int
    seconds: float
    archive: Archive | None

    @property
    def kept(self) -> bool:
        """Whether all feature vectors are stored; else they are computed on every use."""
        return not isinstance(self.vectors, ComputedVectors)

    @property
    def forwards(self) -> int:
        """Frames that have gone through the frozen part so far, at every use where they are not kept."""
        return self.computed + (self.vectors.computed if isinstance(self.vectors, ComputedVectors) else 0)


def given(frames: pd.DataFrame, vectors: np.ndarray) -> Features:
    """Feature vectors that a data set has already: nothing to compute, nothing to keep.

    Raises
    ------
    UserError
        If a feature vector is not finite.
    """
    broken = np.flatnonzero(~finite_rows(vectors))
    if len(broken):
        raise UserError(
            f"{len(broken):,} of the {len(vectors):,} feature vectors of the data set hold NaN or infinity, first that "
            f"of {frames['path'].iloc[broken[0]]}. Right would be finite numbers, or data without them."
        )
    array = aligned(vectors.shape, vectors.dtype)
    array[:] = vectors
    return Features(frames, MemoryVectors(array), pd.DataFrame(columns=["path", "reason"]), 0, 0.0, None)
