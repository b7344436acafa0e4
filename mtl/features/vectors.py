"""Feature vectors in memory and on disk."""

from __future__ import annotations

import mmap
from typing import Protocol

import numpy as np

from mtl.features.places import Places
from mtl.memory import aligned


class FeatureVectors(Protocol):
    """Feature vectors of the frozen part, in memory, on disk or computed; threads may share them.

    Attributes
    ----------
    shape : tuple of int
        (n, *feature_shape).
    dtype : numpy dtype
    array : ndarray or None
        All feature vectors where they are in memory, read-only.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    array: np.ndarray | None

    def __len__(self) -> int:
        """Number of feature vectors."""

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Feature vectors at positions, in their order, repeats allowed; a new array."""


class FiledVectors(FeatureVectors, Protocol):
    """Feature vectors that can be read into memory that is there."""

    def take(self, positions: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Feature vectors at positions, in their order, repeats allowed; in `out` where it is given."""


MAPPED_BYTES = 2**25  # of touched pages, before they are given back
FAULT_BYTES = 2**16  # the kernel maps around a touched page


class MemoryVectors:
    """Feature vectors held in memory, read-only.

    Attributes
    ----------
    array : ndarray
        All of them.
    """

    def __init__(self, array: np.ndarray) -> None:
        array.flags.writeable = False
        self._array = array
        self.array: np.ndarray | None = array
        self.shape = array.shape
        self.dtype = array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Feature vectors at positions."""
        return self._array[positions]


class MappedVectors:
    """Feature vectors read from mapped parts.

    Touched pages count as this process's memory until they are given back, so that is
    done every `MAPPED_BYTES`; the system's cache keeps them.
    """

    array: np.ndarray | None = None

    def __init__(self, places: Places, positions: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._parts = places.parts
        self._part = places.part[positions]
        self._row = places.row[positions]
        if (self._part < 0).any():  # else -1 would read the last part
            raise ValueError(f"{(self._part < 0).sum()} of {len(positions)} feature vectors are not there.")
        self._touched: set[int] = set()
        self._touched_bytes = 0
        self.shape = (len(positions), *shape)
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, positions: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Feature vectors at positions, gathered part by part; in `out` where it is given."""
        part, row = self._part[positions], self._row[positions]
        if out is None:
            out = np.empty((len(part), *self.shape[1:]), self.dtype)
        order = np.lexsort((row, part))
        starts = np.flatnonzero(np.diff(part[order], prepend=-1))
        for there in np.split(order, starts[1:]) if len(order) else ():
            which = int(part[there[0]])
            rows = self._parts[which]
            out[_run(there)] = rows[_run(row[there])]
            self._give_back(which, min(rows.nbytes, len(there) * max(rows[0].nbytes, FAULT_BYTES)))
        return out

    def in_memory(self) -> MemoryVectors:
        """All feature vectors, read once into memory that a tensor can share."""
        return MemoryVectors(self.take(np.arange(len(self)), aligned(self.shape, self.dtype)))

    def _give_back(self, which: int, touched: int) -> None:
        """Note that a part was touched; give all of them back where it was enough."""
        self._touched.add(which)
        self._touched_bytes += touched
        if self._touched_bytes > MAPPED_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            parts, self._touched, self._touched_bytes = self._touched, set(), 0
            for one in list(parts):
                self._parts[one].base.madvise(mmap.MADV_DONTNEED)  # type: ignore[union-attr]


def _run(indices: np.ndarray) -> slice | np.ndarray:
    """Consecutive indices as a slice, which saves the copy of a gather; others as they are."""
    if (np.diff(indices) == 1).all():
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices
