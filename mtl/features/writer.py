"""Feature vectors written to an archive part by part, beside the computing."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np

from mtl.errors import UserError
from mtl.features.archive import Archive
from mtl.features.places import ID_BYTES, Part, vector_bytes


class Writer:
    """Gathers feature vectors into parts, each written in a thread while the next one fills.

    Parameters
    ----------
    archive : Archive
        Locked by the caller.
    shape, dtype
        Of a feature vector.
    part_bytes : int
        Size of a part; at least one feature vector.
    expected : int
        Number of feature vectors to come, so that a small work takes a small buffer.
    """

    def __init__(
        self, archive: Archive, shape: tuple[int, ...], dtype: np.dtype, part_bytes: int, expected: int
    ) -> None:
        self.archive = archive
        self.shape = shape
        self.dtype = dtype
        self.vectors_per_part = max(1, min(expected, part_bytes // (vector_bytes(shape, dtype) + ID_BYTES)))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="features-write")
        self._written: Future[Part] | None = None
        self._start_part()

    def _start_part(self) -> None:
        self._vectors = np.empty((self.vectors_per_part, *self.shape), self.dtype)
        self._ids = np.empty((self.vectors_per_part, 2), np.uint64)
        self._filled = 0

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """Copy feature vectors into the part; waits where the one before is still being written when it is full."""
        while len(vectors):
            n = min(len(vectors), self.vectors_per_part - self._filled)
            end = self._filled + n
            self._vectors[self._filled : end] = vectors[:n]
            self._ids[self._filled : end] = ids[:n]
            self._filled, ids, vectors = end, ids[n:], vectors[n:]
            if self._filled == self.vectors_per_part:
                self._send()

    def _send(self) -> None:
        """Hand the part to the thread, once the one before is on the disk."""
        self._wait()
        ids, vectors, n = self._ids, self._vectors, self._filled
        self._start_part()
        self._written = self._pool.submit(self.archive.append, ids[:n], vectors[:n])

    def _wait(self) -> None:
        if self._written is not None:
            written, self._written = self._written, None
            written.result()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left, after Ctrl-C and a failure too: it was paid for."""
        try:
            if self._filled:
                self._send()
            self._wait()
        except (OSError, UserError):
            if error is None:  # else the first failure is the one to tell
                raise
        finally:
            self._pool.shutdown()
