"""Features of a run's frames, and which frames have none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtl.features.archive import Archive
from mtl.features.computed import ComputedRows
from mtl.features.vectors import MemoryRows, Rows
from mtl.memory import aligned


@dataclass(frozen=True)
class Features:
    """What was asked for.

    Attributes
    ----------
    frames : DataFrame
        The frame table without the bad ones, RangeIndex.
    rows : Rows
        Row i belongs to ``frames.iloc[i]``.
    bad : DataFrame
        `path` and `reason` of each frame that has no row.
    computed : int
        Frames that went through the frozen part now; the others were found.
    seconds : float
    archive : Archive or None
        Where they are kept, as far as they are; None where the data set itself gives them.
    """

    frames: pd.DataFrame
    rows: Rows
    bad: pd.DataFrame
    computed: int
    seconds: float
    archive: Archive | None

    @property
    def kept(self) -> bool:
        """Whether all rows are stored; else they are computed on every use."""
        return not isinstance(self.rows, ComputedRows)

    @property
    def forwards(self) -> int:
        """Frames that have gone through the frozen part so far, at every use where they are not kept."""
        return self.computed + (self.rows.computed if isinstance(self.rows, ComputedRows) else 0)


def given(frames: pd.DataFrame, rows: np.ndarray) -> Features:
    """Rows that a data set has already: nothing to compute, nothing to keep."""
    array = aligned(rows.shape, rows.dtype)
    array[:] = rows
    return Features(frames, MemoryRows(array), pd.DataFrame(columns=["path", "reason"]), 0, 0.0, None)
