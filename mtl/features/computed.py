"""Feature vectors of features that are computed on every use, for what is too large to be kept."""

from __future__ import annotations

import threading
from contextlib import closing

import numpy as np

from mtl.errors import UserError
from mtl.features.checked_vectors import KeptVectors
from mtl.features.extraction import Extraction
from mtl.features.extractor import NOT_FINITE, checked_vectors
from mtl.features.places import Places
from mtl.memory import finite_rows
from mtl.stopwatch import DECODE, FORWARD, awaited, count, spent_on


class ComputedVectors:
    """Feature vectors computed on every take, for what is too large to be kept; those that were kept before are read.

    Parameters
    ----------
    extraction : Extraction
    kept : Places
        Where feature vectors of the request's frames are.

    Attributes
    ----------
    computed : int
        Frames that have gone through the frozen part so far, at every take anew.
    """

    array: np.ndarray | None = None

    def __init__(self, extraction: Extraction, kept: Places) -> None:
        request, frozen, shape = extraction.request, extraction.frozen, extraction.shape
        good = np.flatnonzero(~request.is_bad())
        there = ~kept.missing[good]
        self._request = request
        self._paths = request.paths.iloc[good]
        self._frozen = frozen
        self._kept = KeptVectors(kept, good[there], extraction)
        self._at = np.where(there, np.cumsum(there) - 1, -1)  # place among the kept ones
        self._one = threading.Lock()
        self.computed = 0
        self.shape = (len(good), *shape)
        self.dtype = np.dtype(frozen.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Feature vectors at positions, each read or computed once.

        Raises
        ------
        UserError
            If a frame that could be read before cannot be any more, or its feature vector is not finite.
        """
        once, where = np.unique(np.asarray(positions), return_inverse=True)
        out = np.empty((len(once), *self.shape[1:]), self.dtype)
        kept = self._at[once]
        out[kept >= 0] = self._kept.take(kept[kept >= 0])
        todo = np.flatnonzero(kept < 0)
        paths = self._paths.iloc[once[todo]]
        request = self._request
        batches = request.decoder.batches(request.root, paths, request.frame_shape, self._frozen.batch_size)
        with self._one, closing(batches):
            for batch in awaited(DECODE, batches):
                count(DECODE, batch.size)
                for at, error in batch.bad:
                    raise UserError(f"Frame {paths.iloc[at]} could be read before, now it is bad: {error}.")
                for places, images in batch.groups:
                    with spent_on(FORWARD, len(images)):
                        made = self._frozen(images)
                    rows = checked_vectors(made, (len(images), *self.shape[1:]), self.dtype)
                    for at in np.asarray(places)[~finite_rows(rows)]:
                        raise UserError(
                            f"The feature vector of frame {paths.iloc[at]} {NOT_FINITE}: take it from the data."
                        )
                    out[todo[places]] = rows
                    self.computed += len(images)
        return out[where]
