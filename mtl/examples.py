"""What the loop needs to know of the frames: rows, targets, and who belongs where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd


class Rows(Protocol):
    """Rows of the frozen part, addressed by position."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int:
        """Number of rows."""

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Copies of the rows at these positions, in this order."""


@dataclass(frozen=True)
class Examples:
    """What the loop needs to know of the frames: rows, targets, and who belongs where.

    Attributes
    ----------
    rows : Rows
        One per frame of the table.
    targets : mapping of str to int32 ndarray (n_frames,)
    frames : DataFrame
        The frame table without images; `split`, `video` and `class_name` are used.
    """

    rows: Rows
    targets: Mapping[str, np.ndarray]
    frames: pd.DataFrame

    def positions(self, split: str) -> np.ndarray:
        """Positions of a split's frames."""
        return np.flatnonzero((self.frames["split"] == split).to_numpy())

    def gather(self, positions: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Rows and targets by task at positions of any shape, in that shape."""
        rows = self.rows.take(positions.ravel())
        targets = {name: one[positions] for name, one in self.targets.items()}
        return rows.reshape(*positions.shape, *rows.shape[1:]), targets
