"""Feature files looked at once: header, digest of the content, whether all numbers are finite; then remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mtl.data.decoding import n_cores
from mtl.errors import UserError
from mtl.files import publish, read_json
from mtl.terminal import progress

log = logging.getLogger(__name__)

BLOCK = 2**22  # numbers looked at together
MANY_BYTES = 2**28  # to be read: from here on a bar says how far it is
READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class FeatureFile:
    """A .npy of floats on disk, as its header tells it.

    Attributes
    ----------
    path : Path
    shape : tuple of int
    dtype : numpy dtype
    offset : int
        Of the first number, in bytes.
    fortran : bool
        Whether the first axis varies fastest.
    size, changed : int
        Bytes, and time of modification in ns.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    fortran: bool
    size: int
    changed: int

    def mapped(self) -> np.memmap:
        """The array, mapped; pages are read as they are touched, and gone with the array."""
        order = "F" if self.fortran else "C"
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order)  # type: ignore[call-overload]


def read_header(path: Path) -> FeatureFile:
    """What a file's header says; nothing behind it is read, and nothing is ever unpickled.

    Raises
    ------
    UserError
        If it is no .npy, holds objects or no floats, has no rows, or is cut.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            version = np.lib.format.read_magic(file)
            if version not in READERS:
                raise ValueError(f"format {version[0]}.{version[1]} is for named columns")
            shape, fortran, dtype = READERS[version](file)
            offset = file.tell()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{path} is no .npy that can be read: {error}.") from error
    if dtype.hasobject:
        raise UserError(
            f"{path} holds a pickled object, which may run any code when it is read; right would be an array of "
            "floats, saved again by someone who trusts it: np.save(file, np.stack(list(array)).astype('float32'))."
        )
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise UserError(f"{path} holds {dtype}; right would be float16, float32 or float64.")
    if not math.prod(shape) or len(shape) < 2:
        what = "has no rows" if 0 in shape else "has no rows of features"
        raise UserError(f"{path} {what}: its shape is {shape}.")
    if found.st_size < offset + math.prod(shape) * dtype.itemsize:
        raise UserError(f"{path} is cut: {found.st_size} bytes are too few for {dtype} of shape {shape}.")
    return FeatureFile(path, shape, dtype, offset, bool(fortran), found.st_size, found.st_mtime_ns)


def parted(file: FeatureFile, n_crops: int) -> FeatureFile:
    """A file whose rows are interleaved crops, as one of shape (n, n_crops, d); of one crop as it is.

    Raises
    ------
    UserError
        If its rows are no such.
    """
    if n_crops == 1:
        return file
    if len(file.shape) != 2 or file.shape[0] % n_crops or file.fortran:
        raise UserError(
            f"data.interleaved_crops={n_crops} does not fit {file.path} of shape {file.shape}; right would be rows, in "
            f"C order, of which every {n_crops} are one position's crops."
        )
    return replace(file, shape=(file.shape[0] // n_crops, n_crops, file.shape[1]))


def digests(files: Sequence[FeatureFile], root: Path, folder: Path) -> dict[Path, str]:
    """Digest of each file's bytes; all its numbers are finite as float32.

    Every file is read once, and again where its size or time have changed: what was found stands in a file
    of `folder`, so that the runs of a sweep do not each read all.

    Parameters
    ----------
    files : sequence of FeatureFile
    root : Path
        Below which they lie.
    folder : Path
        Where it is remembered.

    Raises
    ------
    UserError
        Naming files with NaN, infinity, or numbers beyond float32.
    """
    memory = folder / f"{hashlib.blake2b(os.fsencode(root), digest_size=10).hexdigest()}.json"
    known = read_json(memory)
    names = {file.path: os.fsencode(file.path.relative_to(root)).decode("utf-8", "replace") for file in files}
    new = [file for file in files if not _is_known(known.get(names[file.path]), file)]
    n_bytes = sum(file.size for file in new)
    bar = progress("feature files", n_bytes >> 20, "MiB") if n_bytes >= MANY_BYTES else nullcontext(lambda n: None)
    with bar as advance, ThreadPoolExecutor(n_cores()) as pool:
        seen = 0
        for file, looked in zip(new, pool.map(_look, new), strict=True):
            known[names[file.path]] = [file.size, file.changed, *looked]
            advance(((seen + file.size) >> 20) - (seen >> 20))
            seen += file.size
    if new:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            publish(memory, json.dumps(known).encode())
        except OSError as error:
            log.warning("What was found in feature files cannot be kept in %s: %s.", folder, error.strerror)
    broken = [file for file in files if known[names[file.path]][3]]
    if broken:
        raise UserError(
            f"{len(broken)} of {len(files)} feature files hold NaN, infinity or numbers beyond float32, such as "
            f"{', '.join(f'{file.path} ({known[names[file.path]][3]} numbers)' for file in broken[:3])}. Right would "
            "be finite numbers, or a data set without these videos."
        )
    return {file.path: str(known[names[file.path]][2]) for file in files}


def _is_known(entry: object, file: FeatureFile) -> bool:
    """Whether a remembered entry is one of this version of the file."""
    return isinstance(entry, list) and len(entry) == 4 and entry[:2] == [file.size, file.changed]


def _look(file: FeatureFile) -> tuple[str, int]:
    """Digest of a file's bytes, and how many of its numbers are not finite in float32."""
    hashed, broken = hashlib.blake2b(digest_size=16), 0
    with file.path.open("rb") as opened:
        hashed.update(opened.read(file.offset))
        block = BLOCK * file.dtype.itemsize
        left = math.prod(file.shape)
        while data := opened.read(block):
            hashed.update(data)
            numbers = np.frombuffer(data, file.dtype, min(left, len(data) // file.dtype.itemsize))
            left -= len(numbers)
            with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite
                broken += len(numbers) - int(np.isfinite(numbers.astype(np.float32)).sum())
    return hashed.hexdigest(), broken


def common(values: Mapping[Path, int], what: str) -> int:
    """The one value that all files have.

    Raises
    ------
    UserError
        Counting the files by value, with an example of each.
    """
    examples: dict[int, list[Path]] = {}
    for path, value in values.items():
        examples.setdefault(value, []).append(path)
    if len(examples) > 1:
        found = ", ".join(f"{value} in {len(paths)} files such as {paths[0]}" for value, paths in examples.items())
        raise UserError(f"The files differ in {what}: {found}. Right would be features of one extractor.")
    return next(iter(examples))
