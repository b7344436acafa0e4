"""Reading one frame, and refusing a bad one with the reason."""

from __future__ import annotations

import errno
import math
import os
import stat
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mtl.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MAX_PIXELS = 2**25  # four times 4K; a frame beyond it is an accident or an attack
MAX_BYTES = 2**28

PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
# start-of-frame markers: those that carry height and width (C4, C8, CC are something else)
JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
# faults of the machine, not of one file: they must not be booked as bad frames
MACHINE_FAULTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class BadFrame(ValueError):
    """A file that holds no usable frame; the message is the short reason."""


class FrameReader(ABC):
    """Frames that are no image files of their own: stands where a folder of those would.

    Attributes
    ----------
    made : str
        What determines a frame's pixels beside the file that it is of.
    interpolation : str
        Of the resizing that made them, by its name in OpenCV.
    """

    made: str
    interpolation: str

    @abstractmethod
    def read(self, path: str) -> np.ndarray:
        """One frame as `read_frame` gives it."""

    @abstractmethod
    def sizes_and_times(self, paths: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Bytes and modification times in ns of the files that frames are of, int64 of shape (n,)."""

    @abstractmethod
    def absolute(self) -> Path:
        """The folder that paths belong to."""


FrameRoot = Path | FrameReader

_decodes = ContextVar("decodes", default=True)


@contextmanager
def only_what_is_decoded() -> Iterator[None]:
    """Within it `require_decoding` refuses: who only looks does not wait for videos."""
    token = _decodes.set(False)
    try:
        yield
    finally:
        _decodes.reset(token)


def require_decoding(n_videos: int) -> None:
    """Raise `UserError` where videos would have to be decoded and nobody wants to wait for it."""
    if not _decodes.get():
        raise UserError(f"{n_videos} videos are not decoded yet.")


def read_frame(root: FrameRoot, path: str) -> np.ndarray:
    """One frame as RGB.

    Parameters
    ----------
    root : Path or FrameReader
        Folder of the data set, or what reads its frames.
    path : str
        The frame's path relative to `root`, PNG or JPEG, or as the reader names it.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)

    Raises
    ------
    BadFrame
        If the file is missing, unreadable, empty, cut, damaged, not an image, or
        too large by its header, which is looked at before anything is decoded.
    UserError
        If `root` itself is gone: then no frame is bad, the disk is.
    """
    if isinstance(root, FrameReader):
        return root.read(path)
    data = _read_bytes(root, path)
    height, width = _checked_size(data)
    if height * width > MAX_PIXELS:
        raise BadFrame(f"too large: {width} x {height} pixels")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(str(error)) from error
        raise BadFrame(f"does not decode: {error.err}") from error
    if image is None:
        raise BadFrame("does not decode")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _read_bytes(root: Path, path: str) -> bytes:
    """Content of the file; a plain file of bounded size only (a pipe would wait for ever)."""
    full = os.path.join(root, path)  # noqa: PTH118 (a Path per frame is the slower half of the read)
    try:
        found = os.stat(full)  # noqa: PTH116
        if not stat.S_ISREG(found.st_mode):
            raise BadFrame("a folder" if stat.S_ISDIR(found.st_mode) else "not a plain file")
        if found.st_size > MAX_BYTES:
            raise BadFrame(f"too large: {found.st_size} bytes")
        with open(full, "rb") as file:  # noqa: PTH123
            data = file.read()
    except OSError as error:
        if error.errno in MACHINE_FAULTS:
            raise
        if not os.path.isdir(root):  # noqa: PTH112
            raise UserError(f"The data folder is gone or cannot be entered: {root}") from error
        raise BadFrame("missing" if error.errno == errno.ENOENT else (error.strerror or str(error)).lower()) from error
    except ValueError as error:  # a NUL in the name
        raise error if isinstance(error, BadFrame) else BadFrame(f"no file name: {error}") from error
    if not data:
        raise BadFrame("empty")
    return data


def _checked_size(data: bytes) -> tuple[int, int]:
    """Height and width by the header, of a file that is whole."""
    try:
        if data.startswith(PNG_START):
            return _png_size(data)
        if data.startswith(JPEG_START):
            return _jpeg_size(data)
    except (struct.error, IndexError) as error:
        raise BadFrame("cut") from error
    raise BadFrame("not a PNG or JPEG image")


def _png_size(data: bytes) -> tuple[int, int]:
    """Size of a PNG whose chunks are all there and whose checksums hold."""
    at = len(PNG_START)
    _, kind, width, height = struct.unpack_from(">I4sII", data, at)
    if kind != b"IHDR":
        raise BadFrame("damaged: it does not start with its size")
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(memoryview(data)[at + 4 : at + 8 + length]) != checksum:
            raise BadFrame("damaged: a checksum is wrong")
        if kind == b"IEND":
            return height, width
        at += 12 + length


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Size of a JPEG that has its end marker; decoders fill up a cut one with grey and say nothing."""
    at, size = len(JPEG_START), (0, 0)
    while True:
        if data[at] != 0xFF:
            raise BadFrame("damaged: a marker is wrong")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in JPEG_SIZES:
            size = max(size, struct.unpack_from(">HH", data, at + 5), key=math.prod)
        if marker == 0xDA:
            break
        at += 2 + length
    # inside the scans 0xFF is always followed by 0 or a restart marker, so the first FFD9 is the end;
    # one of an embedded thumbnail lies before the scans
    if data.find(b"\xff\xd9", at) < 0:
        raise BadFrame("cut")
    return size
