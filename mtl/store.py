"""Rows on disk by identity: parts that are whole or not there, a manifest, one writer at a time.

An archive is a folder that holds the rows of one key:

    spec.json          what determines the numbers, for people and for `prune --orphaned`; no run goes by it
    used.json          the data roots it served; its modification time is the last use
    notes.json         numbers that were measured on its rows once
    lock               flock'd by the one process that writes; says which
    manifest.jsonl     one line per whole part, with checksums; a part it does not name does not exist
    bad.jsonl          identities that have no row, with the reason
    000000-<crc>.npy, 000000-<crc>.ids.npy     the part's rows and their identities

A kill costs two parts at most, the one that fills and the one being written; a rotten byte costs one.
Reading takes no lock. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import mmap
import os
import shutil
import socket
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType

import numpy as np

from mtl import files
from mtl.examples import aligned
from mtl.mistakes import Mistake

log = logging.getLogger(__name__)

MANIFEST, BAD, SPEC, USED, LOCK = "manifest.jsonl", "bad.jsonl", "spec.json", "used.json", "lock"
NOTES = "notes.json"
REMOVED = ".removed-"
ID_BYTES = 16
MAPPED_BYTES = 2**25  # of touched pages, before they are given back
LOOKED_UP = 2**16  # identities at a time, so that a million take no more memory than their answer
FAULT_BYTES = 2**16  # the kernel maps around a touched page
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
REMEDY = (
    "Make room (python -m mtl.features prune), set features.dir (MTL_FEATURES_DIR) to another folder, "
    "or let features.max_gib be smaller than these rows, so that they are not kept."
)


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
    parts : sequence of memmap
        The rows of each part, read-only.
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


def _picked(values: np.ndarray, at: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Values at positions, -1 where nothing is there."""
    picked = np.full(len(at), -1, values.dtype)
    picked[there] = values[at[there]]
    return picked


def row_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of one row."""
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize


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

    # reading

    def parts(self) -> list[Part]:
        """The parts that the manifest names, in the order they were written."""
        return [Part(**line) for line in files.read_lines(self.folder / MANIFEST)]

    def bad(self) -> dict[bytes, str]:
        """Reason by identity of what has no row."""
        return {bytes.fromhex(line["id"]): line["reason"] for line in files.read_lines(self.folder / BAD)}

    def find(self, ids: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> Places:
        """Where the rows of identities (n, 2) are."""
        parts = self.parts()
        n = sum(part.rows for part in parts)
        known, part_of, row_of = np.empty((n, 2), np.uint64), np.empty(n, np.int32), np.empty(n, np.int32)
        maps: list[np.memmap] = []
        unusable = []
        n = 0
        for part in parts:
            here = slice(n, n + part.rows)
            try:
                known[here], rows = self._open(part, shape, dtype)
            except (FileNotFoundError, ValueError):  # any other error is the machine's, not the part's
                unusable.append(part)
                continue
            part_of[here], row_of[here] = len(maps), np.arange(part.rows)
            maps.append(rows)
            n += part.rows
        at = lookup(known[:n], ids)
        del known
        there = at >= 0
        return Places(maps, _picked(part_of, at, there), _picked(row_of, at, there), unusable)

    def _open(self, part: Part, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.memmap]:
        """Identities and mapped rows of a part.

        The size is compared first: reading a mapped file past its end is a signal, not an exception.
        """
        path = self.folder / f"{part.name}.npy"
        size = path.stat().st_size
        if size != part.bytes:
            raise ValueError(f"it has {size:,} bytes instead of {part.bytes:,}")
        data = (self.folder / f"{part.name}.ids.npy").read_bytes()
        if zlib.crc32(data) != part.ids_crc:
            raise ValueError("the checksum of its identities is wrong")
        ids = np.load(BytesIO(data), allow_pickle=False)
        start = size - part.rows * row_bytes(shape, dtype)  # behind the header, which says what the key says
        return ids, np.memmap(path, dtype, "r", start, (part.rows, *shape))

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(entry.stat().st_size for entry in self.folder.iterdir() if entry.is_file())

    def spec(self) -> Mapping[str, object]:
        """What determines the numbers; empty where that cannot be read any more."""
        return files.read_json(self.folder / SPEC)

    def roots(self) -> list[str]:
        """Data roots it served."""
        found = files.read_json(self.folder / USED).get("roots", [])
        return [str(root) for root in found] if isinstance(found, list) else []

    def last_used(self) -> float:
        """Seconds since the epoch."""
        with contextlib.suppress(OSError):
            return (self.folder / USED).stat().st_mtime
        return self.folder.stat().st_mtime

    def touch(self, root: Path) -> None:
        """Note a use; a store that may only be read serves all the same."""
        roots = self.roots()
        try:
            if str(root) not in roots:
                files.publish(self.folder / USED, json.dumps({"roots": [*roots, str(root)]}).encode())
            os.utime(self.folder / USED)
        except OSError:
            log.debug("The use of %s could not be noted.", self.folder)

    def noted(self, name: str) -> float | None:
        """A number that was measured on these rows; None where none was."""
        found = files.read_json(self.folder / NOTES).get(name)
        return float(found) if isinstance(found, int | float) else None

    def note(self, name: str, value: float) -> None:
        """Keep a number beside the rows; a store that may only be read, or holds none of them, does without."""
        try:
            files.publish(
                self.folder / NOTES, json.dumps({**files.read_json(self.folder / NOTES), name: value}).encode()
            )
        except OSError:
            log.debug("%s of %s could not be noted.", name, self.folder)

    def owner(self) -> str:
        """Process and host of who wrote last."""
        with contextlib.suppress(OSError):
            return (self.folder / LOCK).read_text(encoding="utf-8", errors="replace") or "unknown"
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

    def damaged(self, part: Part) -> str:
        """What is wrong with a part's files; empty if nothing."""
        rows = files.damage(self.folder / f"{part.name}.npy", part.bytes, part.crc)
        return rows or files.damage(self.folder / f"{part.name}.ids.npy", part.ids_bytes, part.ids_crc)

    def damaged_lines(self) -> list[str]:
        """Which lines of the two lists are damaged."""
        return [f"{name}: line {n}" for name in (MANIFEST, BAD) for n in files.damaged_lines(self.folder / name)]

    # writing, by the owner of the lock only

    @contextlib.contextmanager
    def locked(self, wait: bool = True) -> Iterator[bool]:
        """Be the only writer, after waiting for whoever is; the kernel frees a dead owner's lock.

        Parameters
        ----------
        wait : bool
            Whether to wait, or go without the lock.

        Yields
        ------
        bool
            Whether the lock is held.

        Raises
        ------
        Mistake
            If the folder cannot be written to, or its file system locks nothing.
        """
        try:
            descriptor = self._lock(wait)
        except OSError as error:
            if error.errno in NO_LOCKS:
                raise Mistake(f"The file system of {self.folder} cannot lock files. {REMEDY}") from error
            raise files.explained(error, self.folder, 0, REMEDY) from error
        if descriptor is None:
            yield False
            return
        try:
            self._tidy()
            yield True
        finally:
            os.close(descriptor)

    def _lock(self, wait: bool) -> int | None:
        """Descriptor of the locked lock file; None where somebody has it and there is no waiting."""
        told = False
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # removed since the line above
                descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
                try:
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        if not wait:
                            os.close(descriptor)
                            return None
                        if not told:
                            log.info("Waiting for process %s, which is writing %s", self.owner(), self.folder)
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
        """Whether the lock file is still the one that was opened: the archive may have been removed meanwhile."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), (self.folder / LOCK).stat())
        return False

    def _tidy(self) -> None:
        """Remove what killed writers left behind, files that the manifest does not name, and lines that rotted."""
        lines = self.damaged_lines()
        if lines:
            log.warning("%s is damaged (%s); what these lines stood for is made again.", self.folder, ", ".join(lines))
            self._save(self.parts())
            self.remember_bad({})
        named = {f"{part.name}{suffix}" for part in self.parts() for suffix in (".npy", ".ids.npy")}
        for entry in self.folder.iterdir():
            if entry.name not in named and (entry.suffix == ".npy" or entry.name.startswith(files.TEMPORARY)):
                entry.unlink(missing_ok=True)

    def describe(self, spec: Mapping[str, object]) -> None:
        """Write what determines the numbers, for people."""
        if self.spec() != spec:
            self._publish(SPEC, (json.dumps(spec, indent=2) + "\n").encode())

    def append(self, ids: np.ndarray, rows: np.ndarray) -> Part:
        """Write identities (n, 2) and their rows (n, ...) as one part."""
        parts = self.parts()
        number = 1 + max((int(part.name.split("-")[0]) for part in parts), default=-1)
        header, data = _npy(rows)
        ids_header, ids_data = _npy(ids)
        crc, ids_crc = zlib.crc32(data, zlib.crc32(header)), zlib.crc32(ids_data, zlib.crc32(ids_header))
        name = f"{number:06d}-{crc:08x}"
        self._publish(f"{name}.ids.npy", ids_header, ids_data)
        self._publish(f"{name}.npy", header, data)
        part = Part(name, len(rows), len(header) + data.nbytes, crc, len(ids_header) + ids_data.nbytes, ids_crc)
        self._save([*parts, part])
        return part

    def _publish(self, name: str, *chunks: bytes | memoryview) -> None:
        """Write a file of the archive, or say what is in the way."""
        try:
            files.publish(self.folder / name, *chunks)
        except OSError as error:
            needed = sum(memoryview(chunk).nbytes for chunk in chunks)
            raise files.explained(error, self.folder, needed, REMEDY) from error

    def _save(self, parts: Sequence[Part]) -> None:
        """Replace the manifest."""
        try:
            files.write_lines(self.folder / MANIFEST, [asdict(part) for part in parts])
        except OSError as error:
            raise files.explained(error, self.folder, 200 * len(parts), REMEDY) from error

    def remember_bad(self, reasons: Mapping[bytes, str]) -> None:
        """Add identities that have no row."""
        known = {**self.bad(), **reasons}
        try:
            files.write_lines(self.folder / BAD, [{"id": one.hex(), "reason": why} for one, why in known.items()])
        except OSError as error:
            raise files.explained(error, self.folder, 100 * len(known), REMEDY) from error

    def drop(self, parts: Sequence[Part]) -> None:
        """Remove parts, so that the next run makes their rows again."""
        names = {part.name for part in parts}
        self._save([part for part in self.parts() if part.name not in names])
        self._tidy()

    def remove(self) -> None:
        """Remove the whole archive; nobody sees half of it."""
        aside = self.folder.with_name(f"{REMOVED}{self.key}-{os.getpid()}")
        try:
            self.folder.rename(aside)
        except OSError as error:
            raise files.explained(error, self.folder, 0, REMEDY) from error
        shutil.rmtree(aside, ignore_errors=True)


def _npy(array: np.ndarray) -> tuple[bytes, memoryview]:
    """Header and data of an array as `np.load` wants them, without a copy of the data."""
    array = np.ascontiguousarray(array)
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return header.getvalue(), array.reshape(-1).view(np.uint8).data


def archives(folder: Path) -> list[Archive]:
    """Every archive of a store's folder, the last used first."""
    if not folder.is_dir():
        return []
    found = [Archive(entry) for entry in folder.iterdir() if (entry / LOCK).exists() and entry.name[0] != "."]
    return sorted(found, key=Archive.last_used, reverse=True)


def finish_removals(folder: Path) -> None:
    """Remove what an interrupted `Archive.remove` left."""
    for entry in folder.glob(f"{REMOVED}*"):
        shutil.rmtree(entry, ignore_errors=True)


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
        """Copy rows into the part; waits where the one before is still being written when it is full."""
        while len(rows):
            n = min(len(rows), self.rows_per_part - self._filled)
            end = self._filled + n
            self._rows[self._filled : end] = rows[:n]
            self._ids[self._filled : end] = ids[:n]
            self._filled, ids, rows = end, ids[n:], rows[n:]
            if self._filled == self.rows_per_part:
                self._send()

    def _send(self) -> None:
        """Hand the part to the thread, once the one before is on the disk."""
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
            if error is None:  # else the first failure is the one to tell
                raise
        finally:
            self._pool.shutdown()


class MemoryRows:
    """Rows held in memory, read-only.

    Attributes
    ----------
    array : ndarray
        All of them.
    """

    def __init__(self, array: np.ndarray) -> None:
        array.flags.writeable = False
        self._array = array
        self.array: np.ndarray | None = array
        self.shape = array.shape
        self.dtype = array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Rows at positions."""
        return self._array[positions]


class MappedRows:
    """Rows read from mapped parts.

    Touched pages count as this process's memory until they are given back, so that is
    done every `MAPPED_BYTES`; the system's cache keeps them.
    """

    array: np.ndarray | None = None

    def __init__(self, places: Places, positions: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._parts = places.parts
        self._part = places.part[positions]
        self._row = places.row[positions]
        if (self._part < 0).any():  # else -1 would read the last part
            raise ValueError(f"{(self._part < 0).sum()} of {len(positions)} rows are not there.")
        self._touched: set[int] = set()
        self._touched_bytes = 0
        self.shape = (len(positions), *shape)
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, positions: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Rows at positions, gathered part by part; in `out` where it is given."""
        part, row = self._part[positions], self._row[positions]
        if out is None:
            out = np.empty((len(part), *self.shape[1:]), self.dtype)
        order = np.lexsort((row, part))
        starts = np.flatnonzero(np.diff(part[order], prepend=-1))
        for there in np.split(order, starts[1:]) if len(order) else ():
            which = int(part[there[0]])
            rows = self._parts[which]
            out[_run(there)] = rows[_run(row[there])]
            self._give_back(which, min(rows.nbytes, len(there) * max(rows[0].nbytes, FAULT_BYTES)))
        return out

    def in_memory(self) -> MemoryRows:
        """All rows, read once into memory that a tensor can share."""
        return MemoryRows(self.take(np.arange(len(self)), aligned(self.shape, self.dtype)))

    def _give_back(self, which: int, touched: int) -> None:
        """Note that a part was touched; give all of them back where it was enough."""
        self._touched.add(which)
        self._touched_bytes += touched
        if self._touched_bytes > MAPPED_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            parts, self._touched, self._touched_bytes = self._touched, set(), 0
            for one in list(parts):
                self._parts[one].base.madvise(mmap.MADV_DONTNEED)  # type: ignore[union-attr]


def _run(indices: np.ndarray) -> slice | np.ndarray:
    """Consecutive indices as a slice, which saves the copy of a gather; others as they are."""
    if (np.diff(indices) == 1).all():
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices
