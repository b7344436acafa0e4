"""Rows on disk by identity: parts that are whole or not there, a manifest, one writer at a time.

An archive is a folder that holds the rows of one key:

    spec.json          what determines the numbers, for people; never read to decide anything
    used.json          the data roots it served; its modification time is the last use
    lock               flock'd by the one process that writes; says which
    manifest.jsonl     one line per whole part, with checksums; a part it does not name does not exist
    bad.jsonl          identities that have no row, with the reason
    000000-<crc>.npy, 000000-<crc>.ids.npy     the part's rows and their identities

Every file is written under a temporary name, flushed to the disk and renamed, and
each line carries its own checksum: whatever the instant of a kill, and whichever
byte rots, at most one part is lost. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import shutil
import socket
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType

import numpy as np

from mtl.mistakes import Mistake

log = logging.getLogger(__name__)

MANIFEST, BAD, SPEC, USED, LOCK = "manifest.jsonl", "bad.jsonl", "spec.json", "used.json", "lock"
TEMPORARY = ".writing-"
REMOVED = ".removed-"
ID_BYTES = 16
GIB = 2**30
READ_BYTES = 2**22  # at a time, when a checksum is recomputed
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST})
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
NO_RESERVATION = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


@dataclass(frozen=True)
class Part:
    """One line of the manifest.

    Attributes
    ----------
    name : str
        Number and checksum, so that a name never comes back with other rows.
    rows : int
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


@dataclass(frozen=True)
class Places:
    """Where rows are.

    Attributes
    ----------
    parts : sequence of ndarray
        The rows of each part, memory-mapped and read-only.
    part, row : ndarray of int32, shape (n,)
        Part and row in it of each identity asked for; -1 where there is none.
    unusable : sequence of Part
        Parts that are named but visibly damaged; their rows count as not there.
    """

    parts: Sequence[np.memmap]
    part: np.ndarray
    row: np.ndarray
    unusable: Sequence[Part] = ()

    @property
    def missing(self) -> np.ndarray:
        """Whether an identity has no row, bool of shape (n,)."""
        return self.part < 0


def lookup(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Position in `known` of each identity of `asked`, -1 where it is not there.

    Parameters
    ----------
    known, asked : ndarray of uint64, shape (n, 2)
        Identities as two halves. Halves may collide, identities do not.
    """
    found = np.full(len(asked), -1, np.int64)
    order = np.argsort(known[:, 0], kind="stable")
    halves = known[order, 0]
    at = np.searchsorted(halves, asked[:, 0])
    open_ = np.arange(len(asked))
    while len(open_):
        open_ = open_[at[open_] < len(known)]
        open_ = open_[halves[at[open_]] == asked[open_, 0]]
        candidates = order[at[open_]]
        same = known[candidates, 1] == asked[open_, 1]
        found[open_[same]] = candidates[same]
        open_ = open_[~same]
        at[open_] += 1
    return found


class Archive:
    """The rows of one key.

    Parameters
    ----------
    folder : Path
        Need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder.name

    # reading: without a lock, since every file is whole or not there

    def parts(self) -> list[Part]:
        """The parts that the manifest names, in the order they were written."""
        return [Part(**line) for line in read_lines(self.folder / MANIFEST)]

    def bad(self) -> dict[bytes, str]:
        """Reason by identity of what has no row."""
        return {bytes.fromhex(line["id"]): line["reason"] for line in read_lines(self.folder / BAD)}

    def find(self, ids: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> Places:
        """Where the rows of identities (n, 2) are."""
        maps: list[np.memmap] = []
        known, part_of, row_of, unusable = [np.empty((0, 2), np.uint64)], [], [], []
        for part in self.parts():
            try:
                part_ids, rows = self._open(part, shape, dtype)
            except (FileNotFoundError, ValueError) as error:  # any other error is the machine's, not the part's
                log.warning(
                    "features: part %s of %s is damaged, its rows are made again: %s", part.name, self.key, error
                )
                unusable.append(part)
                continue
            known.append(part_ids)
            part_of.append(np.full(part.rows, len(maps), np.int32))
            row_of.append(np.arange(part.rows, dtype=np.int32))
            maps.append(rows)
        at = lookup(np.concatenate(known), ids)
        # position -1 means not there, and so does the -1 at the end that it picks
        nowhere = [np.full(1, -1, np.int32)]
        return Places(maps, np.concatenate(part_of + nowhere)[at], np.concatenate(row_of + nowhere)[at], unusable)

    def _open(self, part: Part, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.memmap]:
        """Identities and mapped rows of a part.

        The size is compared first: reading a mapped file past its end is a signal, not an exception.
        """
        path = self.folder / f"{part.name}.npy"
        size = path.stat().st_size
        if size != part.bytes:
            raise ValueError(f"it has {size} bytes instead of {part.bytes}")
        data = (self.folder / f"{part.name}.ids.npy").read_bytes()
        if zlib.crc32(data) != part.ids_crc:
            raise ValueError("the checksum of its identities is wrong")
        ids = np.load(BytesIO(data), allow_pickle=False)
        start = size - part.rows * row_bytes(shape, dtype)  # behind the header, which the key makes superfluous
        return ids, np.memmap(path, dtype, "r", start, (part.rows, *shape))

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(entry.stat().st_size for entry in self.folder.iterdir() if entry.is_file())

    def spec(self) -> Mapping[str, object]:
        """What determines the numbers; empty where that cannot be read any more."""
        return _read_json(self.folder / SPEC)

    def roots(self) -> list[str]:
        """Data roots it served."""
        found = _read_json(self.folder / USED).get("roots", [])
        return [str(root) for root in found] if isinstance(found, list) else []

    def last_used(self) -> float:
        """Seconds since the epoch."""
        with contextlib.suppress(OSError):
            return (self.folder / USED).stat().st_mtime
        return self.folder.stat().st_mtime

    def touch(self, root: Path) -> None:
        """Note a use; a store that may only be read is used all the same."""
        roots = self.roots()
        try:
            if str(root) not in roots:
                publish(self.folder / USED, json.dumps({"roots": [*roots, str(root)]}).encode())
            os.utime(self.folder / USED)
        except (OSError, Mistake):
            log.debug("features: the use of %s could not be noted.", self.folder)

    # writing: by the owner of the lock only

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only writer, after waiting for whoever is; a dead owner holds nothing.

        Raises
        ------
        Mistake
            If the folder cannot be written to.
        """
        try:
            descriptor = self._lock()
        except OSError as error:
            raise explained(error, self.folder, 0) from error
        try:
            self._tidy()
            yield
        finally:
            os.close(descriptor)

    def _lock(self) -> int:
        """Descriptor of the locked lock file."""
        told = False
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not told:
                        log.info("features: waiting for process %s, which is computing %s", self.owner(), self.key)
                        told = True
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self._is_lock(descriptor):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()} on {socket.gethostname()}".encode(), 0)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _is_lock(self, descriptor: int) -> bool:
        """Whether the lock file is still the one that was opened: the folder may have been removed meanwhile."""
        try:
            return os.path.samestat(os.fstat(descriptor), (self.folder / LOCK).stat())
        except FileNotFoundError:
            return False

    def owner(self) -> str:
        """Process id and host of who wrote last."""
        try:
            return (self.folder / LOCK).read_text(encoding="utf-8", errors="replace") or "unknown"
        except OSError:
            return "unknown"

    def busy(self) -> bool:
        """Whether somebody is writing now."""
        try:
            descriptor = os.open(self.folder / LOCK, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _tidy(self) -> None:
        """Remove what killed writers left behind: files that the manifest does not name."""
        named = {MANIFEST, BAD, SPEC, USED, LOCK}
        for part in self.parts():
            named |= {f"{part.name}.npy", f"{part.name}.ids.npy"}
        for entry in self.folder.iterdir():
            if entry.name not in named and (entry.suffix == ".npy" or entry.name.startswith(TEMPORARY)):
                entry.unlink(missing_ok=True)

    def describe(self, spec: Mapping[str, object]) -> None:
        """Write what determines the numbers, for people."""
        publish(self.folder / SPEC, (json.dumps(spec, indent=2) + "\n").encode())

    def append(self, ids: np.ndarray, rows: np.ndarray) -> Part:
        """Write identities (n, 2) and their rows (n, ...) as one part."""
        parts = self.parts()
        number = 1 + max((int(part.name.split("-")[0]) for part in parts), default=-1)
        header, data = _npy(rows)
        crc = zlib.crc32(data, zlib.crc32(header))
        ids_header, ids_data = _npy(ids)
        name = f"{number:06d}-{crc:08x}"
        publish(self.folder / f"{name}.ids.npy", ids_header, ids_data)
        publish(self.folder / f"{name}.npy", header, data)
        ids_crc = zlib.crc32(ids_data, zlib.crc32(ids_header))
        part = Part(name, len(rows), len(header) + data.nbytes, crc, len(ids_header) + ids_data.nbytes, ids_crc)
        self._save([*parts, part])
        return part

    def _save(self, parts: Sequence[Part]) -> None:
        """Replace the manifest."""
        write_lines(self.folder / MANIFEST, [asdict(part) for part in parts])

    def remember_bad(self, reasons: Mapping[bytes, str]) -> None:
        """Add identities that have no row."""
        lines = [{"id": identity.hex(), "reason": reason} for identity, reason in {**self.bad(), **reasons}.items()]
        write_lines(self.folder / BAD, lines)

    def damaged(self) -> list[tuple[Part, str]]:
        """Parts whose files are missing or do not have their checksum, with the reason."""
        found = []
        for part in self.parts():
            for suffix, size, crc in ((".npy", part.bytes, part.crc), (".ids.npy", part.ids_bytes, part.ids_crc)):
                reason = _damage(self.folder / f"{part.name}{suffix}", size, crc)
                if reason:
                    found.append((part, reason))
                    break
        return found

    def drop(self, parts: Sequence[Part]) -> None:
        """Remove parts, so that the next run computes their rows again."""
        names = {part.name for part in parts}
        self._save([part for part in self.parts() if part.name not in names])
        self._tidy()

    def remove(self) -> None:
        """Remove the whole archive; nobody sees half of it."""
        aside = self.folder.with_name(f"{REMOVED}{self.key}-{os.getpid()}")
        self.folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


class Writer:
    """Gathers rows into parts, each written in a thread while the next one fills.

    Parameters
    ----------
    archive : Archive
        Locked by the caller.
    shape, dtype
        Of a row.
    part_bytes : int
        Size of a part; at least one row.
    expected : int
        Number of rows to come, so that a small work takes a small buffer.
    """

    def __init__(
        self, archive: Archive, shape: tuple[int, ...], dtype: np.dtype, part_bytes: int, expected: int
    ) -> None:
        self.archive = archive
        self.shape = shape
        self.dtype = dtype
        self.rows_per_part = max(1, min(expected, part_bytes // (row_bytes(shape, dtype) + ID_BYTES)))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="features-write")
        self._written: Future[Part] | None = None
        self._start_part()

    def _start_part(self) -> None:
        self._rows = np.empty((self.rows_per_part, *self.shape), self.dtype)
        self._ids = np.empty((self.rows_per_part, 2), np.uint64)
        self._filled = 0

    def add(self, ids: np.ndarray, rows: np.ndarray) -> None:
        """Take rows over; waits where two parts are under way."""
        while len(rows):
            n = min(len(rows), self.rows_per_part - self._filled)
            end = self._filled + n
            self._rows[self._filled : end] = rows[:n]
            self._ids[self._filled : end] = ids[:n]
            self._filled, ids, rows = end, ids[n:], rows[n:]
            if self._filled == self.rows_per_part:
                self._send()

    def _send(self) -> None:
        """Hand the buffer to the thread, once the part before is on the disk."""
        self._wait()
        ids, rows, n = self._ids, self._rows, self._filled
        self._start_part()
        self._written = self._pool.submit(self.archive.append, ids[:n], rows[:n])

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
        except (OSError, Mistake):
            if error is None:
                raise
        finally:
            self._pool.shutdown()


def row_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of one row."""
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize


def check_room(folder: Path, needed: int) -> None:
    """Raise `Mistake` where the disk of `folder` has fewer bytes free than are needed."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise Mistake(_no_room(folder, needed, free))


def _no_room(folder: Path, needed: int, free: int) -> str:
    return (
        f"features: no room in {folder}: {needed:,} bytes needed, {free:,} free. "
        "Free some (python -m mtl.features prune), or set features.dir (MTL_FEATURES_DIR) to a larger disk."
    )


def explained(error: OSError, path: Path, needed: int) -> OSError | Mistake:
    """The one line that a person can act on, where the error is not the program's."""
    folder = path if path.is_dir() else path.parent
    if error.errno in NO_ROOM:
        try:
            free = shutil.disk_usage(folder).free
        except OSError:
            return error
        reason = "" if needed > free else f" ({os.strerror(error.errno or 0)}: a quota or a limit on file sizes)"
        return Mistake(_no_room(folder, needed, free) + reason)
    if error.errno in NOT_ALLOWED | NO_LOCKS:
        verb = "lock files in" if error.errno in NO_LOCKS else "write to"
        return Mistake(
            f"features: cannot {verb} {error.filename or folder}: {os.strerror(error.errno or 0)}. "
            "Set features.dir (MTL_FEATURES_DIR) to a folder you may write to."
        )
    return error


def publish(path: Path, *chunks: bytes | memoryview) -> None:
    """Write a file that is whole or not there: reserved, flushed to the disk, then renamed.

    Raises
    ------
    Mistake
        If there is no room or no permission, with the path and the bytes.
    """
    size = sum(memoryview(chunk).nbytes for chunk in chunks)
    # unique, since notes of use are written without the lock
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
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise explained(error, path, size) from error


def _reserve(descriptor: int, size: int) -> None:
    """Take the room before the first byte is written, where the file system can."""
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


def write_lines(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    """Replace a file of JSON lines, each behind its own checksum."""
    texts = [json.dumps(line) for line in lines]
    publish(path, "".join(f"{zlib.crc32(text.encode()):08x} {text}\n" for text in texts).encode())


def read_lines(path: Path) -> list[dict]:
    """The lines whose checksum holds; a damaged one is left out with a warning, no file is no lines."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(data.rstrip(b"\n").split(b"\n") if data else [], start=1):
        checksum, _, text = line.partition(b" ")
        if checksum == b"%08x" % zlib.crc32(text):
            found.append(json.loads(text))
        else:
            log.warning("features: line %d of %s is damaged and left out; what it named is made again.", number, path)
    return found


def _read_json(path: Path) -> dict[str, object]:
    """An object of JSON; empty where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _npy(array: np.ndarray) -> tuple[bytes, memoryview]:
    """Header and data of an array as `np.load` wants them, without a copy of the data."""
    array = np.ascontiguousarray(array)
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return header.getvalue(), array.reshape(-1).view(np.uint8).data


def _damage(path: Path, size: int, crc: int) -> str:
    """What is wrong with a file; empty if nothing."""
    found, n = 0, 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(READ_BYTES):
                found = zlib.crc32(chunk, found)
                n += len(chunk)
    except OSError as error:
        return f"{path.name}: {os.strerror(error.errno or 0)}"
    if n != size:
        return f"{path.name}: {n} bytes instead of {size}"
    return "" if found == crc else f"{path.name}: checksum {found:08x} instead of {crc:08x}"


def archives(folder: Path) -> list[Archive]:
    """Every archive below a store's folder, the last used first."""
    if not folder.is_dir():
        return []
    found = [Archive(entry) for entry in folder.iterdir() if entry.is_dir() and (entry / LOCK).exists()]
    return sorted(found, key=Archive.last_used, reverse=True)


def clear_removed(folder: Path) -> None:
    """Finish removals that were interrupted."""
    for entry in folder.glob(f"{REMOVED}*"):
        shutil.rmtree(entry, ignore_errors=True)


def age_in_days(archive: Archive) -> float:
    """Days since the last use."""
    return (time.time() - archive.last_used()) / 86400
