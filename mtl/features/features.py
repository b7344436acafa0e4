"""Features of a run's frames, and which frames have none."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtl.errors import UserError
from mtl.features.archive import Archive
from mtl.features.computed import ComputedVectors
from mtl.features.vectors import FeatureVectors, FiledVectors, MemoryVectors
from mtl.memory import aligned, finite_rows

log = logging.getLogger(__name__)
GIB = 2**30
READ_AT_ONCE = 2**16  # feature vectors


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


def given(frames: pd.DataFrame, vectors: np.ndarray | FiledVectors, memory_gib: float) -> Features:
    """Feature vectors that a data set has already: nothing to compute, nothing to keep.

    Parameters
    ----------
    frames : DataFrame
    vectors : ndarray or FiledVectors
        Of files, finite as the data set has seen to: read now if they take `memory_gib` at most, else at every use.
    memory_gib : float

    Raises
    ------
    UserError
        If a feature vector is not finite.
    """
    nothing_bad = pd.DataFrame(columns=["path", "reason"])
    if not isinstance(vectors, np.ndarray):
        size = int(np.prod(vectors.shape, dtype=np.int64)) * vectors.dtype.itemsize
        if size > memory_gib * GIB:
            log.info(
                "Feature vectors of the data set take %.2f GiB, more than features.memory_gib=%g: read from their "
                "files, a block of steps ahead, in a shuffle of all training rows.", size / GIB, memory_gib,
            )  # fmt: skip
            return Features(frames, vectors, nothing_bad, 0, 0.0, None)
        read = aligned(vectors.shape, vectors.dtype)
        for start in range(0, len(frames), READ_AT_ONCE):
            at = np.arange(start, min(start + READ_AT_ONCE, len(frames)))
            vectors.take(at, read[at[0] : at[-1] + 1])
        return Features(frames, MemoryVectors(read), nothing_bad, 0, 0.0, None)
    broken = np.flatnonzero(~finite_rows(vectors))
    if len(broken):
        raise UserError(
            f"{len(broken):,} of the {len(vectors):,} feature vectors of the data set hold NaN or infinity, first that "
            f"of {frames['path'].iloc[broken[0]]}. Right would be finite numbers, or data without them."
        )
    array = aligned(vectors.shape, vectors.dtype)
    array[:] = vectors
    return Features(frames, MemoryVectors(array), nothing_bad, 0, 0.0, None)
