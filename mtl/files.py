"""Files that are whole or not there: reserved, flushed, renamed; lines that carry their checksum."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import threading
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl.errors import UserError

TEMPORARY = ".writing-"
READ_BYTES = 2**22  # at a time, when a checksum is recomputed
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST})
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
NO_RESERVATION = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


def publish(path: Path, *chunks: bytes | memoryview) -> None:
    """Write a file that is whole or not there, whatever happens in between.

    The room is taken before the first byte is written, the content is on the disk
    before the name is.

    Raises
    ------
    OSError
        As the system says it; nothing is left behind then.
    """
    size = sum(memoryview(chunk).nbytes for chunk in chunks)
    # unique, since not every writer holds a lock
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        with temporary.open("wb") as file:
            _reserve(file.fileno(), size)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _reserve(descriptor: int, size: int) -> None:
    """Take the room for `size` bytes, where the file system can."""
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in NO_RESERVATION:
            raise


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(folder: Path) -> int:
    """Bytes free to this user on the disk of a folder that need not be there yet."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(there).free


def check_room(folder: Path, needed: int, remedy: str) -> None:
    """Raise `UserError` where the disk of `folder` has fewer bytes free than are needed."""
    free = free_bytes(folder)
    if needed > free:
        raise UserError(f"No room in {folder}: {needed:,} bytes needed, {free:,} free. {remedy}")


def disk_error(error: OSError, folder: Path, needed: int, remedy: str) -> OSError | UserError:
    """The one line a person can act on, where the fault is the disk's or the permission's; else the error."""
    said = os.strerror(error.errno or 0)
    if error.errno in NO_ROOM:
        return UserError(
            f"No room in {folder} ({said}): {needed:,} bytes needed, {free_bytes(folder):,} free. {remedy}"
        )
    if error.errno in NOT_ALLOWED:
        return UserError(f"Cannot write to {error.filename or folder}: {said}. {remedy}")
    return error


def write_lines(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    """Replace a file of JSON lines, each behind its own CRC-32."""
    texts = [json.dumps(line) for line in lines]
    publish(path, "".join(f"{zlib.crc32(text.encode()):08x} {text}\n" for text in texts).encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines whose checksum holds; no file is no lines."""
    return _lines(path)[0]


def damaged_lines(path: Path) -> list[int]:
    """Numbers of the lines whose checksum does not hold."""
    return _lines(path)[1]


def _lines(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The whole lines, and the numbers of the others."""
    whole: list[dict[str, Any]] = []
    damaged: list[int] = []
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return whole, damaged
    for number, line in enumerate(data.split(b"\n"), start=1):
        checksum, _, text = line.partition(b" ")
        if checksum == b"%08x" % zlib.crc32(text):
            whole.append(json.loads(text))
        elif line:
            damaged.append(number)
    return whole, damaged


def read_json(path: Path) -> dict[str, Any]:
    """An object of JSON; empty where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def damage(path: Path, size: int, crc: int) -> str:
    """What is wrong with a file of known size and CRC-32; empty if nothing."""
    found, n = 0, 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(READ_BYTES):
                found = zlib.crc32(chunk, found)
                n += len(chunk)
    except OSError as error:
        return f"{path.name}: {os.strerror(error.errno or 0)}"
    if n != size:
        return f"{path.name}: {n:,} bytes instead of {size:,}"
    return "" if found == crc else f"{path.name}: checksum {found:08x} instead of {crc:08x}"
