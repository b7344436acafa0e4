"""What determines a feature vector of features: the frame's identity and the key of the frozen part."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import pandas as pd

from mtl.data.frames import FrameReader, FrameRoot
from mtl.errors import UserError
from mtl.features.places import ID_BYTES

VERSION = 1  # of the extraction; count it up when the same frame and spec come to give other numbers
PATHS_AT_ONCE = 2**16  # as python strings, which take several times their text


def installed_version(*names: str) -> str:
    """Version of the first of these distributions that is installed; empty where none is."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
DECODING = {"colours": "RGB uint8", "opencv": installed_version(*OPENCV) or "unknown"}
COMPUTING = {  # key of a frozen part's spec: distributions it may come in
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tf-nightly"),
    "keras": ("keras", "keras-nightly"),
}


@dataclass(frozen=True)
class Stats:
    """What the file system says of frames, asked once.

    Attributes
    ----------
    sizes : ndarray of int64, shape (n,)
        Bytes, -1 where there is no file.
    times : ndarray of int64, shape (n,)
        Modification times in ns.
    reasons : dict of int to str
        By position, why a file is not there.
    made : str
        What determines a frame's pixels beside its file; empty where the file is the frame.
    """

    sizes: np.ndarray
    times: np.ndarray
    reasons: Mapping[int, str]
    made: str = ""


def stats(root: FrameRoot | None, paths: pd.Series) -> Stats:
    """Size and modification time of every frame; without a root there are no files to look at.

    One `os.stat` per frame asked for, relative to the root's descriptor, takes half the
    time of `os.scandir` with `DirEntry.stat`.

    Raises
    ------
    UserError
        If the root cannot be entered.
    """
    if root is None:
        return Stats(np.full(len(paths), -1, np.int64), np.zeros(len(paths), np.int64), {})
    if isinstance(root, FrameReader):
        return Stats(*root.sizes_and_times(paths), {}, root.made)
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UserError(f"The data folder {root} cannot be entered: {os.strerror(error.errno or 0)}.") from error
    sizes, times, reasons = np.full(len(paths), -1, np.int64), np.zeros(len(paths), np.int64), {}
    try:
        for start in range(0, len(paths), PATHS_AT_ONCE):
            for i, path in enumerate(paths.iloc[start : start + PATHS_AT_ONCE].tolist(), start=start):
                try:
                    found = os.stat(path, dir_fd=descriptor)
                    sizes[i], times[i] = found.st_size, found.st_mtime_ns
                except OSError as error:
                    reasons[i] = "missing" if error.errno == errno.ENOENT else os.strerror(error.errno or 0).lower()
    finally:
        os.close(descriptor)
    return Stats(sizes, times, reasons)


def identities(paths: pd.Series, found: Stats) -> tuple[np.ndarray, dict[bytes, str]]:
    """Who each frame is: a hash of its relative path, its size and its modification time (ns).

    A frame of a video has the video's size and time, and beside them how it was made.
    The content is not read: for a million frames that would cost more than the feature vectors
    save. So a copy that keeps the times (``cp -a``, ``rsync -a``) has the same feature vectors, and
    a tool that changes a frame but neither its size nor its time goes unnoticed.

    Returns
    -------
    ids : ndarray of uint64, shape (n, 2)
    gone : dict of bytes to str
        Reason by identity of the frames that are not there.
    """
    digests, gone = bytearray(), {}
    made = f"\0{found.made}" if found.made else ""
    for start in range(0, len(paths), PATHS_AT_ONCE):
        block = slice(start, start + PATHS_AT_ONCE)
        known = zip(paths.iloc[block].tolist(), found.sizes[block].tolist(), found.times[block].tolist(), strict=True)
        for i, (path, size, changed) in enumerate(known, start=start):
            text = path if i in found.reasons else f"{path}\0{size}\0{changed}{made}"
            digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=ID_BYTES).digest()
            digests += digest
            if i in found.reasons:
                gone[digest] = found.reasons[i]
    return np.frombuffer(digests, "<u8").reshape(-1, 2), gone


def key(spec: Mapping[str, object], shape: tuple[int, ...], dtype: np.dtype) -> tuple[str, dict[str, object]]:
    """Folder name of feature vectors, and everything it is the hash of: all that determines them besides the frames."""
    whole = {
        "frozen": dict(spec),
        "row_shape": list(shape),  # the shape of a feature vector, by the name that keys have had from the start
        "dtype": np.dtype(dtype).str,
        "decoding": DECODING,
        "extraction": VERSION,
    }
    text = json.dumps(whole, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest(), json.loads(text)
