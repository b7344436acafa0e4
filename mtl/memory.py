"""Memory between the jobs of a process: what is free goes back to the system, what stays is not searched again."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Return what is free in this process's heap: glibc keeps it where it lies below a block still in use."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


_settled = False


def settle() -> None:
    """Once per process: what is alive now is left out of every later search for garbage.

    TensorFlow, MLflow and pandas are a million objects that live as long as the process; to
    look through them all takes half a second, which fell on every second job of a sweep.
    """
    global _settled
    if not _settled:
        gc.collect()  # what is garbage already would stay for ever
        gc.freeze()
        _settled = True
