"""Rows of many feature files: read on demand, a file at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtl.data.feature_scan import FeatureFile

AXES = {"n_d": "nd", "n_c_d": "ncd", "c_n_d": "cnd"}
MEAN = -1  # in place of a crop's number: the mean over all of them
ROWS_AT_ONCE = 4096  # of a file, in whose crops a mean is taken


@dataclass(frozen=True)
class VideoRows:
    """The feature files of a video.

    Attributes
    ----------
    video : str
    files : tuple of FeatureFile
        One; or one per crop, in the order of `crops`, with layout n_d.
    layout : str
        A key of `AXES`.
    crops : tuple of int
        Numbers of the crops that are there.
    """

    video: str
    files: tuple[FeatureFile, ...]
    layout: str
    crops: tuple[int, ...]

    @property
    def n_rows(self) -> int:
        """Feature rows of a crop."""
        return self.files[0].shape[AXES[self.layout].index("n")]

    def read(self, rows: np.ndarray, crop: int) -> np.ndarray:
        """Rows of a crop, or of `MEAN`; float32 of shape (len(rows), d)."""
        if crop != MEAN:
            return self._crop(self.crops.index(crop), rows)
        total = self._crop(0, rows)
        for place in range(1, len(self.crops)):
            total += self._crop(place, rows)
        return total / np.float32(len(self.crops))

    def _crop(self, place: int, rows: np.ndarray) -> np.ndarray:
        file = self.files[place if len(self.files) > 1 else 0]
        array: np.ndarray = file.mapped()
        if self.layout == "n_c_d":
            array = array[:, place]
        elif self.layout == "c_n_d":
            array = array[place]
        return np.array(array[rows], np.float32)


class FeatureRows:
    """Feature vectors of a frame table, read from their files when they are asked for; threads may share them.

    Nothing is held between two calls: a file is mapped, read and left again.

    Parameters
    ----------
    videos : sequence of VideoRows
    video, row, crop : ndarray of int, shape (n,)
        Of every feature vector: position in `videos`, row of its files, number of the crop or `MEAN`.
    n_features : int

    Attributes
    ----------
    array : None
        They are not in memory.
    shape : tuple of int
        (n, n_features)
    dtype : numpy dtype
        float32, whatever the files hold.
    """

    array: np.ndarray | None = None

    def __init__(
        self, videos: Sequence[VideoRows], video: np.ndarray, row: np.ndarray, crop: np.ndarray, n_features: int
    ) -> None:
        self._videos = videos
        self._at = (video.astype(np.int32), row.astype(np.int32), crop.astype(np.int8))
        self.shape: tuple[int, ...] = (len(video), n_features)
        self.dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, positions: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Feature vectors at positions, in their order, repeats allowed; in `out` where it is given."""
        video, row, crop = (values[positions] for values in self._at)
        if out is None:
            out = np.empty((len(video), *self.shape[1:]), self.dtype)
        order = np.lexsort((row, crop, video))
        new = (np.diff(video[order], prepend=-1) != 0) | (np.diff(crop[order], prepend=np.int8(-2)) != 0)
        for there in np.split(order, np.flatnonzero(new)[1:]) if len(order) else ():
            own = self._videos[int(video[there[0]])]
            for start in range(0, len(there), ROWS_AT_ONCE):
                block = there[start : start + ROWS_AT_ONCE]
                out[block] = own.read(row[block], int(crop[block[0]]))
        return out
