"""Files that are whole or not there: reserved, flushed, renamed; lines that carry their checksum."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mtl.errors import UserError

TEMPORARY = ".writing-"
READ_BYTES = 2**22  # at a time, when a checksum is recomputed
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST})
NO_FILE = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR})  # what opening a link, a pipe, a folder answers
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
NO_RESERVATION = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class NoLocksError(UserError):
    """A file system locks nothing."""


def open_own(path: Path, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
    """Descriptor of a file that stands where its path says, in a folder whose content others may have made.

    Neither is a link followed nor a pipe waited for.

    Raises
    ------
    UserError
        If it is a link, or no file at all.
    OSError
        As the system says it.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in NO_FILE:
            raise _no_file(path) from error
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise _no_file(path)


def _no_file(path: Path) -> UserError:
    """The one line on a path that is no file itself; what it leads to was not touched."""
    what = "a link" if path.is_symlink() else "no regular file"
    return UserError(f"{path} is {what}; right would be a file of its own, or to remove it (rm {path}).")


def read_own(path: Path) -> bytes:
    """Content of a file, as `open_own` opens it."""
    with os.fdopen(open_own(path), "rb") as file:
        return file.read()


def own_folder() -> Path:
    """A folder that belongs to this user alone, for locks; made where it is missing.

    Raises
    ------
    UserError
        If it cannot be made, or others may write to it.
    """
    above = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    folder = above / "mtl"
    try:
        above.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise UserError(f"Cannot make {folder}: {os.strerror(error.errno or 0)}. XDG_CACHE_HOME moves it.") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise UserError(f"{folder} must be a folder that only you may write to (chmod 700). XDG_CACHE_HOME moves it.")
    return folder


def publish(path: Path, *chunks: bytes | memoryview) -> None:
    """Write a file that is whole or not there, whatever happens in between; see `published`."""
    with published(path, sum(memoryview(chunk).nbytes for chunk in chunks)) as file:
        for chunk in chunks:
            file.write(chunk)


@contextlib.contextmanager
def published(path: Path, size: int) -> Iterator[BinaryIO]:
    """A file to write to, which has its name only when the block was left without an error.

    The room is taken before the first byte is written, the content is on the disk
    before the name is.

    Parameters
    ----------
    path : Path
    size : int
        Bytes that will be written, or a little less.

    Raises
    ------
    OSError
        As the system says it; nothing is left behind then.
    """
    # unique, since not every writer holds a lock
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        temporary.unlink(missing_ok=True)  # of a killed process with this number
        with temporary.open("xb") as file:  # a link that somebody put there is not followed
            _reserve(file.fileno(), size)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
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


def _sync(path: Path) -> None:
    """Make a file's content, or the renames in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(folder: Path) -> int:
    """Bytes free to this user on the disk of a folder that need not be there yet."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(there).free


def take_lock(path: Path, remedy: str) -> int | None:
    """Descriptor of a lock file that this process alone has now; None where another one has it.

    The system frees it when the descriptor is closed, or when its owner dies, however it dies.

    Parameters
    ----------
    path : Path
        Made where it is missing, in a folder that is there.
    remedy : str
        What a person can do where the file system locks nothing.

    Raises
    ------
    NoLocksError
        Where it locks nothing.
    OSError
        As the system says it.
    """
    import fcntl  # not on every system

    while True:
        descriptor = open_own(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:  # its owner removed it between the two lines
            pass
        except OSError as error:
            os.close(descriptor)
            raise disk_error(error, path.parent, 0, remedy) from error
        os.close(descriptor)


def check_room(folder: Path, needed: int, remedy: str) -> None:
    """Raise `UserError` where the disk of `folder` has fewer bytes free than are needed."""
    free = free_bytes(folder)
    if needed > free:
        raise UserError(f"No room in {folder}: {needed:,} bytes needed, {free:,} free. {remedy}")


@contextlib.contextmanager
def whole_files(folder: Path, size: int, remedy: str) -> Iterator[Path]:
    """A folder to write to, whose files get their names in `folder` only when the block was left without an error.

    Parameters
    ----------
    folder : Path
        Only one process writes there.
    size : int
        Bytes that will be written, or less; 0 where that is not known.
    remedy : str
        What a person can do where there is no room.

    Raises
    ------
    UserError
        If there is no room, or nothing may be written there; nothing is left behind then.
    """
    check_room(folder, size, remedy)
    new = folder.with_name(f"{TEMPORARY}{folder.name}")
    shutil.rmtree(new, ignore_errors=True)  # of a killed process
    try:
        new.mkdir(parents=True)
        yield new
        for path in sorted(path for path in new.rglob("*") if path.is_file()):
            to = folder / path.relative_to(new)
            to.parent.mkdir(parents=True, exist_ok=True)
            _sync(path)  # the content is on the disk before the name is
            path.replace(to)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise disk_error(error, folder, size if size > free_bytes(folder) else 0, remedy) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def disk_error(error: OSError, folder: Path, needed: int, remedy: str) -> OSError | UserError:
    """The one line a person can act on, where the fault is the disk's or the permission's; else the error."""
    said = os.strerror(error.errno or 0)
    if error.errno in NO_ROOM:
        free = free_bytes(folder)  # what was written in vain is gone already
        wanted = f"{needed:,}" if needed else f"more than {free:,}"
        return UserError(f"No room in {folder} ({said}): {wanted} bytes needed, {free:,} free. {remedy}")
    if error.errno in NOT_ALLOWED:
        return UserError(f"Cannot write to {error.filename or folder}: {said}. {remedy}")
    if error.errno in NO_LOCKS:
        return NoLocksError(f"The file system of {folder} cannot lock files. {remedy}")
    return error


def write_lines(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    """Replace a file of JSON lines, each behind its own CRC-32."""
    texts = [json.dumps(line) for line in lines]
    publish(path, "".join(f"{zlib.crc32(text.encode()):08x} {text}\n" for text in texts).encode())


def read_lines(path: Path, check: Callable[..., object] = dict) -> list[dict[str, Any]]:
    """The lines whose checksum holds and whose content is right; no file is no lines.

    Parameters
    ----------
    path : Path
    check : callable
        Takes what a line holds as keywords, and raises where that is wrong: who can write the file can write checksums.
    """
    return _lines(path, check)[0]


def damaged_lines(path: Path, check: Callable[..., object] = dict) -> list[int]:
    """Numbers of the other lines."""
    return _lines(path, check)[1]


def _lines(path: Path, check: Callable[..., object]) -> tuple[list[dict[str, Any]], list[int]]:
    """The whole lines, and the numbers of the others."""
    whole: list[dict[str, Any]] = []
    damaged: list[int] = []
    try:
        data = read_own(path)
    except FileNotFoundError:
        return whole, damaged
    for number, line in enumerate(data.split(b"\n"), start=1):
        checksum, _, text = line.partition(b" ")
        if not line:
            continue
        try:
            if checksum != b"%08x" % zlib.crc32(text):
                raise ValueError
            found = json.loads(text)
            check(**found)
        except (ValueError, TypeError, RecursionError):
            damaged.append(number)
        else:
            whole.append(found)
    return whole, damaged


def read_json(path: Path, own: bool = False) -> dict[str, Any]:
    """An object of JSON; empty where there is none.

    Parameters
    ----------
    path : Path
    own : bool
        Whether links are refused, as `open_own` does.
    """
    try:
        found = json.loads(read_own(path) if own else path.read_bytes())
    except UserError:  # a ValueError too
        raise
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def damage(path: Path, size: int, crc: int) -> str:
    """What is wrong with a file of known size and CRC-32; empty if nothing."""
    found, n = 0, 0
    try:
        with os.fdopen(open_own(path), "rb") as file:
            while chunk := file.read(READ_BYTES):
                found = zlib.crc32(chunk, found)
                n += len(chunk)
    except OSError as error:
        return f"{path.name}: {os.strerror(error.errno or 0)}"
    if n != size:
        return f"{path.name}: {n:,} bytes instead of {size:,}"
    return "" if found == crc else f"{path.name}: checksum {found:08x} instead of {crc:08x}"
