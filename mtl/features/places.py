"""Where feature vectors of features lie: parts of an archive, looked up by identity."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from mtl.terminal import printable

ID_BYTES = 16
NAME = re.compile(r"[0-9]{6,12}-[0-9a-f]{8}")
LOOKED_UP = 2**16  # identities at a time, so that a million take no more memory than their answer


@dataclass(frozen=True)
class Part:
    """One line of the manifest.

    Attributes
    ----------
    name : str
        Number and checksum, so that a name never comes back with other feature vectors.
    rows : int
        Its feature vectors.
    bytes, ids_bytes : int
        Size of the two files.
    crc, ids_crc : int
        CRC-32 of the two files.
    """

    name: str
    rows: int
    bytes: int
    crc: int
    ids_bytes: int
    ids_crc: int

    def __post_init__(self) -> None:
        """Refuse what no writer writes: a name becomes a path, and numbers become memory."""
        numbers = (self.rows, self.bytes, self.crc, self.ids_bytes, self.ids_crc)
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ValueError("its name is no part's")
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError("its numbers are none")
        if not 0 < self.rows <= min(self.bytes, self.ids_bytes // ID_BYTES) or max(self.crc, self.ids_crc) >= 2**32:
            raise ValueError("its numbers do not fit each other")


def bad_line(*, id: str, reason: str) -> tuple[bytes, str]:
    """One line of the list of bad identities."""
    if not isinstance(reason, str) or len(identity := bytes.fromhex(id)) != ID_BYTES:
        raise ValueError("it is no identity with a reason")
    return identity, printable(reason)


def identities_in(data: bytes, rows: int) -> np.ndarray:
    """Identities (rows, 2) of an `.npy`; its header is believed in nothing that would take memory."""
    file = BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("its identities have another format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if shape != (rows, 2) or fortran or dtype != np.uint64 or len(data) - file.tell() != rows * ID_BYTES:
        raise ValueError(f"its identities are not {rows:,}")
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(rows, 2)


@dataclass(frozen=True)
class Places:
    """Where feature vectors are.

    Attributes
    ----------
    parts : sequence of memmap
        The feature vectors of each part, read-only.
    part, row : ndarray of int32, shape (n,)
        Part and row in it of each identity asked for; -1 where there is none.
    unusable : sequence of Part
        Parts that are named but visibly damaged; their feature vectors count as not there.
    """

    parts: Sequence[np.memmap]
    part: np.ndarray
    row: np.ndarray
    unusable: Sequence[Part] = ()

    @property
    def missing(self) -> np.ndarray:
        """Whether an identity has no feature vector, bool of shape (n,)."""
        return self.part < 0


def lookup(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Position in `known` of each identity of `asked`, -1 where it is not there.

    Parameters
    ----------
    known, asked : ndarray of uint64, shape (n, 2)
        Identities as two halves. First halves may collide, identities do not.
    """
    found = np.full(len(asked), -1, np.int64)
    order = np.argsort(known[:, 0], kind="stable")
    halves = known[order, 0]
    for start in range(0, len(asked), LOOKED_UP):
        block = asked[start : start + LOOKED_UP]
        at = np.searchsorted(halves, block[:, 0])
        left = np.arange(len(block))
        while len(left):
            left = left[at[left] < len(known)]
            left = left[halves[at[left]] == block[left, 0]]
            candidates = order[at[left]]
            same = known[candidates, 1] == block[left, 1]
            found[start + left[same]] = candidates[same]
            left = left[~same]
            at[left] += 1
    return found


def picked(values: np.ndarray, at: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Values at positions, -1 where nothing is there."""
    picked = np.full(len(at), -1, values.dtype)
    picked[there] = values[at[there]]
    return picked


def vector_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of one feature vector."""
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
