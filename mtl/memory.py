"""Memory of a process: its peak, what is given back, arrays that tensors can share."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys

import numpy as np

from mtl.out_of_memory import resident_mib

ALIGNMENT = 64  # bytes; memory that begins elsewhere a tensor cannot share


def finite_rows(rows: np.ndarray) -> np.ndarray:
    """Whether each row (n, ...) is free of NaN and infinity, bool of shape (n,)."""
    if rows.dtype.kind in "biu" or not len(rows):
        return np.ones(len(rows), bool)
    flat = rows.reshape(len(rows), -1)
    with np.errstate(over="ignore", invalid="ignore"):
        sound = np.isfinite(flat.sum(axis=1))  # a tenth of what it takes to look at every number
    sound[~sound] = np.isfinite(flat[~sound]).all(axis=1)  # a sum may be too large where no summand is
    return sound


def aligned(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """An empty array whose memory a tensor can share."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def give_back() -> None:
    """Return what is free in this process's heap: glibc keeps it where it lies below a block still in use."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


def peak_mib() -> float:
    """Most memory that this process has held so far."""
    return resident_mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


_begun = 0


def settle() -> None:
    """At the beginning of every job; before a process's second one, what is alive leaves the search for garbage.

    TensorFlow, MLflow and pandas are a million objects that live as long as the process; to
    look through them all takes half a second, which fell on every second job of a sweep.
    A process of one job, which ends anyway, is spared the search.
    """
    global _begun
    _begun += 1
    if _begun == 2:
        gc.collect()  # what is garbage already would stay for ever
        gc.freeze()
