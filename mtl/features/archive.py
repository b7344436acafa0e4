"""Feature vectors on disk by identity: parts that are whole or not there, a manifest, one writer at a time.

An archive is a folder that holds the feature vectors of one key:

    spec.json          what determines the numbers, for people and for `prune --orphaned`; no run goes by it
    used.json          the data roots it served; its modification time is the last use
    notes.json         numbers that were measured on its feature vectors once
    lock               flock'd by the one process that writes; says which
    manifest.jsonl     one line per whole part, with checksums; a part it does not name does not exist
    bad.jsonl          identities that have no feature vector, with the reason
    000000-<crc>.npy, 000000-<crc>.ids.npy     the part's feature vectors and their identities

A kill costs two parts at most, the one that fills and the one being written; a rotten byte costs one.
Reading takes no lock. Nothing is pickled. No link below the store is followed: a store may be of others' making.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np

from mtl import files
from mtl.data.kept_folder import LOCK, KeptFolder, refuse_link
from mtl.errors import UserError
from mtl.features.places import Part, Places, bad_line, identities_in, lookup, picked, vector_bytes
from mtl.features.remedies import disk_error
from mtl.terminal import printable

log = logging.getLogger(__name__)

MANIFEST, BAD, SPEC, NOTES = "manifest.jsonl", "bad.jsonl", "spec.json", "notes.json"
OWNER_BYTES = 200  # of the lock file, that are shown
SHORT = 8  # characters of a key or a hash, shown


class Archive(KeptFolder):
    """The feature vectors of one key.

    Parameters
    ----------
    folder : Path
        Need not be there yet.
    """

    def parts(self) -> list[Part]:
        """The parts that the manifest names, in the order they were written."""
        return [Part(**line) for line in files.read_lines(self._at(MANIFEST), Part)]

    def bad(self) -> dict[bytes, str]:
        """Reason by identity of what has no feature vector."""
        return dict(bad_line(**line) for line in files.read_lines(self._at(BAD), bad_line))

    def find(self, ids: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> Places:
        """Where the feature vectors of identities (n, 2) are."""
        parts = self.parts()
        unusable = [part for part in parts if not self._there(part)]
        parts = [part for part in parts if part not in unusable]
        n = sum(part.rows for part in parts)
        known, part_of, row_of = np.empty((n, 2), np.uint64), np.empty(n, np.int32), np.empty(n, np.int32)
        maps: list[np.memmap] = []
        n = 0
        for part in parts:
            here = slice(n, n + part.rows)
            try:
                known[here], rows = self._open(part, shape, dtype)
            except UserError:  # a link, and a ValueError too
                raise
            except (FileNotFoundError, ValueError):  # any other error is the machine's, not the part's
                unusable.append(part)
                continue
            part_of[here], row_of[here] = len(maps), np.arange(part.rows)
            maps.append(rows)
            n += part.rows
        at = lookup(known[:n], ids)
        del known
        there = at >= 0
        return Places(maps, picked(part_of, at, there), picked(row_of, at, there), unusable)

    def _open(self, part: Part, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.memmap]:
        """Identities and mapped feature vectors of a part.

        The size is compared first: reading a mapped file past its end is a signal, not an exception.
        """
        start = part.bytes - part.rows * vector_bytes(shape, dtype)  # behind the header, which says what the key says
        if start < 0:
            raise ValueError(f"it has {part.bytes:,} bytes, too few for {part.rows:,} feature vectors")
        data = files.read_own(self.folder / f"{part.name}.ids.npy")
        if zlib.crc32(data) != part.ids_crc:
            raise ValueError("the checksum of its identities is wrong")
        ids = identities_in(data, part.rows)
        with os.fdopen(files.open_own(self.folder / f"{part.name}.npy"), "rb") as file:
            if os.fstat(file.fileno()).st_size != part.bytes:
                raise ValueError(f"it has not {part.bytes:,} bytes any more")
            return ids, np.memmap(file, dtype, "r", start, (part.rows, *shape))

    def _there(self, part: Part) -> bool:
        """Whether a part's files have their sizes; a size that is only claimed takes no memory."""
        with contextlib.suppress(FileNotFoundError):
            sizes = [(self.folder / f"{part.name}{suffix}").lstat().st_size for suffix in (".npy", ".ids.npy")]
            links = any((self.folder / f"{part.name}{suffix}").is_symlink() for suffix in (".npy", ".ids.npy"))
            return links or sizes == [part.bytes, part.ids_bytes]  # opening says what is wrong with a link
        return False

    def spec(self) -> Mapping[str, object]:
        """What determines the numbers; empty where that cannot be read any more."""
        return files.read_json(self._at(SPEC), own=True)

    def noted(self, name: str) -> float | None:
        """A number that was measured on these feature vectors; None where none was."""
        found = files.read_json(self._at(NOTES), own=True).get(name)
        return found if isinstance(found, float) else None

    def note(self, name: str, value: float) -> None:
        """Keep a number beside the feature vectors; a store that may only be read, or holds none, does without."""
        try:
            known = files.read_json(self._at(NOTES), own=True)
            files.publish(self.folder / NOTES, json.dumps({**known, name: float(value)}).encode())
        except OSError:
            log.debug("%s of %s could not be noted.", name, self.folder)

    def owner(self) -> str:
        """Process and host of who wrote last."""
        with contextlib.suppress(OSError):
            return printable(files.read_own(self._at(LOCK))[:OWNER_BYTES].decode(errors="replace")) or "unknown"
        return "unknown"

    def damaged(self, part: Part) -> str:
        """What is wrong with a part's files; empty if nothing."""
        rows = files.damage(self.folder / f"{part.name}.npy", part.bytes, part.crc)
        ids = self.folder / f"{part.name}.ids.npy"
        if wrong := rows or files.damage(ids, part.ids_bytes, part.ids_crc):
            return wrong
        try:
            identities_in(files.read_own(ids), part.rows)
        except ValueError as error:
            return f"{ids.name}: {error}"
        return ""

    def damaged_lines(self) -> list[str]:
        """Which lines of the two lists are damaged."""
        lists: dict[str, Callable[..., object]] = {MANIFEST: Part, BAD: bad_line}
        return [f"{name}: line {n}" for name, of in lists.items() for n in files.damaged_lines(self._at(name), of)]

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
        UserError
            If the folder cannot be written to; `NoLocksError` if its file system locks nothing.
        """
        try:
            descriptor = self._lock(wait)
        except OSError as error:
            raise disk_error(error, self.folder, 0) from error
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
                descriptor = files.open_own(self._at(LOCK), os.O_RDWR | os.O_CREAT)
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
                        self._refuse_second_name(descriptor)
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
            return os.path.samestat(os.fstat(descriptor), (self.folder / LOCK).lstat())
        return False

    def _refuse_second_name(self, descriptor: int) -> None:
        """Refuse a lock file that is another file too: it would be overwritten, or two archives be one to the lock."""
        if os.fstat(descriptor).st_nlink > 1:
            path = self.folder / LOCK
            raise UserError(f"{path} has a second name (a hard link); right would be to remove it (rm {path}).")

    def _tidy(self) -> None:
        """Remove what killed writers left behind, files that the manifest does not name, and lines that rotted."""
        lines = self.damaged_lines()
        if lines:
            log.warning("%s is damaged (%s); what these lines stood for is made again.", self.folder, ", ".join(lines))
            self._save(self.parts())
            self.remember_bad({})
        named = {f"{part.name}{suffix}" for part in self.parts() for suffix in (".npy", ".ids.npy")}
        try:
            folder = os.open(self._at(""), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except NotADirectoryError:
            refuse_link(self.folder)
            raise
        try:  # by the open folder: what takes its place meanwhile is not touched
            for name in [entry.name for entry in os.scandir(folder)]:
                if name not in named and (name.endswith(".npy") or name.startswith(files.TEMPORARY)):
                    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                        os.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)

    def describe(self, spec: Mapping[str, object]) -> None:
        """Write what determines the numbers, for people."""
        if self.spec() != spec:
            self._publish(SPEC, (json.dumps(spec, indent=2) + "\n").encode())

    def append(self, ids: np.ndarray, rows: np.ndarray) -> Part:
        """Write identities (n, 2) and their feature vectors (n, ...) as one part."""
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
            files.publish(self._at(name), *chunks)
        except OSError as error:
            needed = sum(memoryview(chunk).nbytes for chunk in chunks)
            raise disk_error(error, self.folder, needed) from error

    def _save(self, parts: Sequence[Part]) -> None:
        """Replace the manifest."""
        try:
            files.write_lines(self._at(MANIFEST), [asdict(part) for part in parts])
        except OSError as error:
            raise disk_error(error, self.folder, 200 * len(parts)) from error

    def remember_bad(self, reasons: Mapping[bytes, str]) -> None:
        """Add identities that have no feature vector."""
        known = {**self.bad(), **reasons}
        try:
            files.write_lines(self._at(BAD), [{"id": one.hex(), "reason": why} for one, why in known.items()])
        except OSError as error:
            raise disk_error(error, self.folder, 100 * len(known)) from error

    def drop(self, parts: Sequence[Part]) -> None:
        """Remove parts, so that the next run makes their feature vectors again."""
        names = {part.name for part in parts}
        self._save([part for part in self.parts() if part.name not in names])
        self._tidy()


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
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name[0] != "." and os.path.lexists(entry / LOCK):
            refuse_link(entry)
            found.append(Archive(entry))
    return sorted(found, key=Archive.last_used, reverse=True)
