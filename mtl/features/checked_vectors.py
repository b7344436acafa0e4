"""Feature vectors of an archive, looked at when they are read."""

from __future__ import annotations

import numpy as np

from mtl.errors import UserError
from mtl.features.archive import SHORT
from mtl.features.extraction import Extraction
from mtl.features.extractor import NOT_FINITE
from mtl.features.places import Places
from mtl.features.vectors import MappedVectors
from mtl.memory import finite_rows


class KeptVectors(MappedVectors):
    """Feature vectors of an archive, looked at when they are read: one that is not finite is reported with its frame.

    Archives of former versions may hold such feature vectors, see `Extraction` for what becomes of new ones.

    Parameters
    ----------
    places : Places
    good : ndarray of int
        Positions of their frames in the request.
    extraction : Extraction
    """

    def __init__(self, places: Places, good: np.ndarray, extraction: Extraction) -> None:
        super().__init__(places, good, extraction.shape, extraction.dtype)
        self._archive, self._paths = extraction.archive, extraction.request.paths.iloc[good]

    def take(self, positions: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Feature vectors at positions, gathered part by part; in `out` where it is given."""
        rows = super().take(positions, out)
        broken = np.flatnonzero(~finite_rows(rows))
        if len(broken):
            raise UserError(
                f"The feature vector of frame {self._paths.iloc[positions[broken[0]]]} in {self._archive.folder} "
                f"{NOT_FINITE}. Right would be: python -m mtl.features prune {self._archive.key[:SHORT]}, "
                "and to run again."
            )
        return rows
