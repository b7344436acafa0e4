"""The frozen part's outputs: computed once per frame, kept on disk, read by row.

Rows are addressed by frame, not by the list they were asked in: a subset, another
stride, another split or a few new frames reuse what is there, and only missing rows
are computed. Look after the store with ``python -m mtl.features list|verify|prune``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from mtl import store
from mtl.data.frames import BadFrame, read_frame
from mtl.mistakes import Mistake
from mtl.store import GIB, ID_BYTES, Archive, Places, Writer, row_bytes

log = logging.getLogger(__name__)

Share = Annotated[float, Field(ge=0, lt=1)]

VERSION = 1  # of the extraction; count it up when the same frame and spec come to give other numbers
SAMPLED = 16  # frames that are read to learn the usual size
EXAMPLES = 3  # bad frames named in a message
PATHS_AT_ONCE = 2**16  # as python strings, which are ten times their text
DECODED_BYTES = 2**28  # of frames decoded ahead of the forward pass, at most, beyond two batches
DECODED_AT_ONCE = 16  # frames per errand of a decoding thread
MAPPED_BYTES = 2**27  # of mapped files, before their pages are given back
FAULT_BYTES = 2**16  # the kernel maps around a touched page


class Frozen(Protocol):
    """The frozen part of a backbone, as far as features go."""

    @property
    def spec(self) -> Mapping[str, object]:
        """What determines its numbers besides the frames, fit for JSON."""

    @property
    def dtype(self) -> np.dtype:
        """Of a row."""

    @property
    def batch_size(self) -> int:
        """Frames per call."""

    def row_shape(self, frame_shape: tuple[int, int]) -> tuple[int, ...]:
        """Shape of one row for frames of (height, width)."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Rows (b, *row_shape) of uint8 frames (b, h, w, 3)."""


class Rows(Protocol):
    """Rows of the frozen part, in memory, on disk or computed; safe to share between threads.

    Attributes
    ----------
    shape : tuple of int
        (n, *row_shape).
    dtype : numpy dtype
    array : ndarray or None
        All rows, where they are in memory; read-only.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    array: np.ndarray | None

    def __len__(self) -> int:
        """Number of rows."""

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Rows at positions, in their order, repeats allowed; a new array."""


@dataclass(frozen=True)
class Features:
    """What was asked for.

    Attributes
    ----------
    frames : DataFrame
        The frame table without the bad ones, RangeIndex.
    rows : Rows
        Row i belongs to ``frames.iloc[i]``.
    bad : DataFrame
        `path` and `reason` of each frame that has no row.
    computed : int
        Forward passes of frames done now.
    seconds : float
    """

    frames: pd.DataFrame
    rows: Rows
    bad: pd.DataFrame
    computed: int
    seconds: float


class MemoryRows:
    """Rows held in memory."""

    def __init__(self, array: np.ndarray) -> None:
        array.flags.writeable = False
        self.array: np.ndarray | None = array
        self._array = array
        self.shape = array.shape
        self.dtype = array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Rows at positions."""
        return self._array[positions]


class MappedRows:
    """Rows read from mapped parts.

    Touched pages count as this process's memory until they are given back, so that
    is done every `MAPPED_BYTES`; the system's cache keeps them.
    """

    array: np.ndarray | None = None

    def __init__(self, places: Places, positions: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._parts = places.parts
        self._part = places.part[positions]
        self._row = places.row[positions]
        self._touched = 0
        self.shape = (len(positions), *shape)
        self.dtype = dtype

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Rows at positions, gathered part by part."""
        part, row = self._part[positions], self._row[positions]
        out = np.empty((len(part), *self.shape[1:]), self.dtype)
        order = np.lexsort((row, part))
        starts = np.flatnonzero(np.diff(part[order], prepend=-1))
        for there in np.split(order, starts[1:]) if len(order) else ():
            rows = self._parts[part[there[0]]]
            out[_slice(there)] = rows[_slice(row[there])]
            self._give_back(min(rows.nbytes, len(there) * max(rows[0].nbytes, FAULT_BYTES)))
        return out

    def _give_back(self, touched: int) -> None:
        self._touched += touched
        if self._touched > MAPPED_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._touched = 0
            for rows in self._parts:
                rows.base.madvise(mmap.MADV_DONTNEED)  # type: ignore[union-attr]


def _slice(indices: np.ndarray) -> slice | np.ndarray:
    """A run of consecutive indices as a slice, which saves the copy of a gather."""
    first, last = int(indices[0]), int(indices[-1])
    if last - first == len(indices) - 1 and (np.diff(indices) == 1).all():
        return slice(first, last + 1)
    return indices


class ComputedRows:
    """Rows computed on every take, for what is too large to be kept."""

    array: np.ndarray | None = None

    def __init__(
        self, root: Path, paths: pd.Series, frozen: Frozen, frame_shape: tuple[int, int], threads: int
    ) -> None:
        self._root = root
        self._paths = paths
        self._frozen = frozen
        self._frame_shape = frame_shape
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="features-decode")
        self._one = threading.Lock()
        self.shape = (len(paths), *frozen.row_shape(frame_shape))
        self.dtype = np.dtype(frozen.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Rows at positions, each computed once.

        Raises
        ------
        Mistake
            If a frame that could be read before cannot any more.
        """
        once, where = np.unique(np.asarray(positions), return_inverse=True)
        out = np.empty((len(once), *self.shape[1:]), self.dtype)
        with self._one:
            for batch in decoded(
                self._root,
                self._paths.iloc[once],
                self._frame_shape,
                self._frozen.batch_size,
                self._threads,
                self._pool,
            ):
                for at, error in batch.bad:
                    raise Mistake(
                        f"features: {self._paths.iloc[once[at]]} could be read before, now it is bad: {error}."
                    )
                for at_, images in batch.groups:
                    out[at_] = self._frozen(images)
        return out[where]


class FrameSizes:
    """Height and width of each frame as its row: what is worth knowing of frames whose rows are not kept."""

    spec: Mapping[str, object] = {"backbone": "frame sizes"}
    dtype = np.dtype(np.int32)

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def row_shape(self, frame_shape: tuple[int, int]) -> tuple[int, ...]:
        """Two numbers."""
        return (2,)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Height and width of frames that share them, (b, 2)."""
        return np.full((len(images), 2), images.shape[1:3], np.int32)


@dataclass(frozen=True)
class Decoded:
    """One batch of frames.

    Attributes
    ----------
    size : int
        Number of frames, bad ones included.
    groups : list of (positions, images)
        Frames that share a size, uint8 (b, h, w, 3).
    bad : list of (position, BadFrame)
    """

    size: int
    groups: list[tuple[np.ndarray, np.ndarray]]
    bad: list[tuple[int, BadFrame]]


def decoded(
    root: Path,
    paths: pd.Series,
    frame_shape: tuple[int, int],
    batch_size: int,
    threads: int,
    pool: Executor,
) -> Iterator[Decoded]:
    """Batches of frames in order, decoded ahead in threads as far as memory is given.

    Threads write frames of the usual size straight into the batch; the others are
    grouped by size, so nothing waits for company and nothing piles up.
    """
    n = len(paths)
    errand = int(np.clip(-(-batch_size // threads), 1, DECODED_AT_ONCE))
    wanted = 2 + -(-2 * threads * errand // batch_size)
    ahead = int(np.clip(DECODED_BYTES // (batch_size * frame_shape[0] * frame_shape[1] * 3), 2, wanted))
    waiting: deque[tuple[int, np.ndarray, list[Future[list[tuple[int, np.ndarray | BadFrame]]]]]] = deque()
    try:
        for start in range(0, n, batch_size):
            names = paths.iloc[start : start + batch_size].tolist()
            images = np.empty((len(names), *frame_shape, 3), np.uint8)
            errands = [
                pool.submit(_decode, root, names[i : i + errand], images[i : i + errand], i)
                for i in range(0, len(names), errand)
            ]
            waiting.append((start, images, errands))
            if len(waiting) == ahead:
                yield _collect(*waiting.popleft())
        while waiting:
            yield _collect(*waiting.popleft())
    finally:
        for _, _, errands in waiting:
            for one in errands:
                one.cancel()


def _decode(
    root: Path, names: Sequence[str], images: np.ndarray, first: int
) -> list[tuple[int, np.ndarray | BadFrame]]:
    """Decode frames into their places; what does not fit there is returned with its place."""
    odd: list[tuple[int, np.ndarray | BadFrame]] = []
    for i, name in enumerate(names):
        try:
            image = read_frame(root, name)
        except BadFrame as error:
            odd.append((first + i, error))
            continue
        if image.shape == images[i].shape:
            images[i] = image
        else:
            odd.append((first + i, image))
    return odd


def _collect(
    start: int, images: np.ndarray, errands: Iterable[Future[list[tuple[int, np.ndarray | BadFrame]]]]
) -> Decoded:
    """A batch once its frames are decoded."""
    odd = [one for errand in errands for one in errand.result()]
    bad = [(start + at, what) for at, what in odd if isinstance(what, BadFrame)]
    others: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
    for at, what in odd:
        if not isinstance(what, BadFrame):
            others.setdefault(what.shape, []).append((at, what))
    usual = np.delete(np.arange(len(images)), [at for at, _ in odd])
    groups = [(start + usual, images if not odd else images[usual])] if len(usual) else []
    groups += [
        (start + np.array([at for at, _ in same]), np.stack([image for _, image in same])) for same in others.values()
    ]
    return Decoded(len(images), groups, bad)


def identities(root: Path, paths: pd.Series) -> tuple[np.ndarray, dict[bytes, str]]:
    """Who each frame is: a hash of its relative path, size and modification time (ns).

    The content is not read, which for a million frames would cost more than the
    lookup saves; a tool that rewrites a frame in the same size and sets its time back
    goes unnoticed. A copy of a tree that keeps the times (``cp -a``, ``rsync -a``)
    has the same rows. One `os.stat` per frame, relative to the root's descriptor, takes
    half the time of `os.scandir` with `DirEntry.stat` and none for frames not asked for.

    Returns
    -------
    ids : ndarray of uint64, shape (n, 2)
    gone : dict of bytes to str
        Reason by identity of the frames that are not there.
    """
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Mistake(f"The data folder {root} cannot be entered: {os.strerror(error.errno or 0)}.") from error
    digests, gone = bytearray(), {}
    try:
        for start in range(0, len(paths), PATHS_AT_ONCE):
            for path in paths.iloc[start : start + PATHS_AT_ONCE].tolist():
                try:
                    found = os.stat(path, dir_fd=descriptor)
                    text = f"{path}\0{found.st_size}\0{found.st_mtime_ns}"
                    reason = ""
                except (OSError, ValueError) as error:
                    text = f"{path}\0"
                    reason = "missing" if isinstance(error, FileNotFoundError) else str(error)
                digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=ID_BYTES).digest()
                digests += digest
                if reason:
                    gone[digest] = reason
    finally:
        os.close(descriptor)
    return np.frombuffer(digests, "<u8").reshape(-1, 2), gone


def key(spec: Mapping[str, object], shape: tuple[int, ...], dtype: np.dtype) -> tuple[str, dict[str, object]]:
    """Folder name of rows, and everything it is the hash of besides the frames."""
    whole = {
        "frozen": dict(spec),
        "row_shape": list(shape),
        "dtype": np.dtype(dtype).str,
        "decoding": {"colours": "RGB uint8", "opencv": _opencv()},
        "extraction": VERSION,
    }
    text = json.dumps(whole, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest(), json.loads(text)


def _opencv() -> str:
    """Version of the library that decodes, asked for without importing it."""
    for name in ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def _name(spec: Mapping[str, object]) -> str:
    """What the rows are, in a word."""
    return str(spec.get("backbone") or "packed frames")


@dataclass
class _Asked:
    """One call's frames, and what is known of them so far."""

    root: Path
    paths: pd.Series
    ids: np.ndarray
    frame_shape: tuple[int, int] = (0, 0)
    bad: dict[bytes, str] = field(default_factory=dict)

    def is_bad(self) -> np.ndarray:
        """Whether each frame is known to be bad, bool of shape (n,)."""
        known = np.frombuffer(b"".join(self.bad), "<u8").reshape(-1, 2)
        return store.lookup(known, self.ids) >= 0

    def table(self, bad: np.ndarray) -> pd.DataFrame:
        """`path` and `reason` of the bad frames."""
        reasons = [self.bad[self.ids[i].tobytes()] for i in np.flatnonzero(bad)]
        return pd.DataFrame({"path": self.paths[bad].to_numpy(), "reason": pd.Series(reasons, dtype=str)})


class FeatureStore:
    """Rows of frozen parts on disk, shared by all runs that agree on what determines them.

    Parameters
    ----------
    dir : str
        Folder of the store; made when first written to.
    max_gib : float
        Rows of one call that would take more on disk are computed on every use.
    memory_gib : float
        Rows of one call that take more are read from disk instead of held in memory.
    part_mib : float
        Size of a part: what a kill may cost, and twice what writing holds in memory.
    decode_threads : int or None
        Threads that decode frames; None takes one per core.
    max_bad_share : float
        The call stops when more than this share of its frames is bad.
    """

    def __init__(
        self,
        dir: str,
        max_gib: PositiveFloat,
        memory_gib: NonNegativeFloat,
        part_mib: PositiveFloat,
        decode_threads: PositiveInt | None,
        max_bad_share: Share,
    ) -> None:
        self.dir = Path(dir).expanduser().absolute()
        self.max_gib = max_gib
        self.memory_gib = memory_gib
        self.part_mib = part_mib
        self.decode_threads = decode_threads or os.cpu_count() or 1
        self.max_bad_share = max_bad_share

    def of(
        self,
        frames: pd.DataFrame,
        root: Path,
        frozen: Frozen,
        progress: Callable[[int], None] | None = None,
        on_start: Callable[[int], None] | None = None,
    ) -> Features:
        """Rows of frames; those that are not kept yet are computed and kept.

        Parameters
        ----------
        frames : DataFrame
            With the column `path`, relative to `root`.
        root : Path
        frozen : Frozen
        progress : callable, optional
            Called with the number of frames that are done since the last call.
        on_start : callable, optional
            Called with the number of frames to compute, before the first; not at all where there is none.

        Raises
        ------
        Mistake
            If more frames are bad than `max_bad_share`, if the disk has no room or
            may not be written to, or if the root is not there.
        """
        start = time.perf_counter()
        if frames.empty:
            raise Mistake("features: there are no frames.")
        root = Path(root)
        ids, gone = identities(root, frames["path"])
        asked = _Asked(root, frames["path"], ids, bad=gone)
        self._check_bad(asked, asked.is_bad())
        asked.frame_shape = usual_size(asked)
        shape = frozen.row_shape(asked.frame_shape)
        needed = len(frames) * (row_bytes(shape, frozen.dtype) + ID_BYTES)
        say = (progress or (lambda n: None), on_start or (lambda n: None))
        if needed <= self.max_gib * GIB:
            places, computed = self._kept(asked, frozen, shape, *say)
            bad = asked.is_bad()
            rows = self._rows(places, np.flatnonzero(~bad), shape, np.dtype(frozen.dtype), _name(frozen.spec))
        else:
            log.info(
                "features: rows of %s for %s frames would take %.1f GiB, more than features.max_gib=%g: "
                "they are computed on every use.",
                _name(frozen.spec),
                f"{len(frames):,}",
                needed / GIB,
                self.max_gib,
            )
            bad, computed = self._unkept(asked, frozen, shape, *say), 0
            rows = ComputedRows(root, asked.paths[~bad], frozen, asked.frame_shape, self.decode_threads)
        good = frames[~bad].reset_index(drop=True) if bad.any() else frames.reset_index(drop=True)
        return Features(good, rows, asked.table(bad), computed, time.perf_counter() - start)

    def _rows(self, places: Places, positions: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, name: str) -> Rows:
        """Rows in memory where they fit, else mapped."""
        mapped = MappedRows(places, positions, shape, dtype)
        size = len(positions) * row_bytes(shape, dtype)
        if size <= self.memory_gib * GIB:
            return MemoryRows(mapped.take(np.arange(len(positions))))
        log.info(
            "features: rows of %s take %.1f GiB, more than features.memory_gib=%g: they are read from disk.",
            name,
            size / GIB,
            self.memory_gib,
        )
        return mapped

    def _unkept(
        self,
        asked: _Asked,
        frozen: Frozen,
        shape: tuple[int, ...],
        progress: Callable[[int], None],
        on_start: Callable[[int], None],
    ) -> np.ndarray:
        """Which frames are bad, where only their sizes are kept."""
        sizes = FrameSizes(frozen.batch_size)
        places, _ = self._kept(asked, sizes, (2,), progress, on_start)
        good = np.flatnonzero(~asked.is_bad())
        found = MappedRows(places, good, (2,), sizes.dtype).take(np.arange(len(good)))
        for size in np.unique(found, axis=0):
            frame_shape = (int(size[0]), int(size[1]))
            if frozen.row_shape(frame_shape) != shape:
                odd = good[(found == size).all(1)]
                asked.bad.update({asked.ids[i].tobytes(): _misfit(frame_shape, asked.frame_shape) for i in odd})
        bad = asked.is_bad()
        self._check_bad(asked, bad)
        return bad

    def _kept(
        self,
        asked: _Asked,
        frozen: Frozen,
        shape: tuple[int, ...],
        progress: Callable[[int], None],
        on_start: Callable[[int], None],
    ) -> tuple[Places, int]:
        """Where the rows of all good frames are, and how many of them were computed now."""
        name, spec = key(frozen.spec, shape, frozen.dtype)
        archive, dtype = Archive(self.dir / name), np.dtype(frozen.dtype)
        start, computed = time.perf_counter(), 0
        places, todo = self._look(archive, asked, shape, dtype)
        if len(todo):
            with archive.locked():
                places, todo = self._look(archive, asked, shape, dtype)
                if places.unusable:
                    archive.drop(places.unusable)
                if archive.spec() != spec:
                    archive.describe(spec)
                if len(todo):
                    store.check_room(self.dir, len(todo) * (row_bytes(shape, dtype) + ID_BYTES))
                    on_start(len(todo))
                    computed = self._compute(archive, asked, frozen, shape, todo, progress)
                    places, todo = self._look(archive, asked, shape, dtype)
        archive.touch(asked.root)
        bad = int(asked.is_bad().sum())
        found = f"features: {len(asked.ids) - bad - computed:,} rows of {_name(frozen.spec)} found"
        behind = f"; {bad:,} bad frames left out" if bad else ""
        if computed:
            seconds = time.perf_counter() - start
            log.info(
                "%s, %s computed in %.0f s (%.0f frames/s)%s",
                found,
                f"{computed:,}",
                seconds,
                computed / seconds,
                behind,
            )
        else:
            log.info("%s, nothing to compute%s", found, behind)
        return places, computed

    def _look(
        self, archive: Archive, asked: _Asked, shape: tuple[int, ...], dtype: np.dtype
    ) -> tuple[Places, np.ndarray]:
        """Where rows are, and the positions of frames that have none and are not bad, each identity once."""
        places = archive.find(asked.ids, shape, dtype)
        if not places.missing.any():
            return places, np.empty(0, np.int64)
        asked.bad = {**archive.bad(), **asked.bad}
        bad = asked.is_bad()
        self._check_bad(asked, bad)
        todo = np.flatnonzero(places.missing & ~bad)
        return places, todo[~pd.DataFrame(asked.ids[todo]).duplicated().to_numpy()]

    def _compute(
        self,
        archive: Archive,
        asked: _Asked,
        frozen: Frozen,
        shape: tuple[int, ...],
        todo: np.ndarray,
        progress: Callable[[int], None],
    ) -> int:
        """Decode, run and write the frames at positions `todo`; the number of rows made."""
        fits: dict[tuple[int, int], bool] = {asked.frame_shape: True}
        ids, dtype = asked.ids[todo], np.dtype(frozen.dtype)
        lasting: dict[bytes, str] = {}
        computed, n_bad = 0, int(asked.is_bad().sum())
        part_bytes = int(self.part_mib * 2**20)
        try:
            with (
                ThreadPoolExecutor(self.decode_threads, thread_name_prefix="features-decode") as pool,
                Writer(archive, shape, dtype, part_bytes, len(todo)) as writer,
            ):
                for batch in decoded(
                    asked.root, asked.paths.iloc[todo], asked.frame_shape, frozen.batch_size, self.decode_threads, pool
                ):
                    new: dict[bytes, str] = {}
                    for at, error in batch.bad:
                        new[ids[at].tobytes()] = str(error)
                        if not isinstance(error.__cause__, OSError):  # a permission is mended without a trace
                            lasting[ids[at].tobytes()] = str(error)
                    for at_, images in batch.groups:
                        size = (images.shape[1], images.shape[2])
                        if size not in fits:
                            fits[size] = frozen.row_shape(size) == shape
                        if not fits[size]:
                            odd = {ids[at].tobytes(): _misfit(size, asked.frame_shape) for at in at_}
                            new |= odd
                            lasting |= odd
                            continue
                        writer.add(ids[at_], _checked(frozen(images), (len(images), *shape), dtype))
                        computed += len(images)
                    asked.bad |= new
                    n_bad += len(new)
                    if n_bad > self.max_bad_share * len(asked.ids):
                        self._check_bad(asked, asked.is_bad())
                    progress(batch.size)
        finally:
            if lasting:
                archive.remember_bad(lasting)
        return computed

    def _check_bad(self, asked: _Asked, bad: np.ndarray) -> None:
        """Raise `Mistake` where too many frames are bad."""
        n = int(bad.sum())
        if n > self.max_bad_share * len(bad):
            first = asked.table(bad & (np.cumsum(bad) <= EXAMPLES))
            named = ", ".join(f"{path} ({reason})" for path, reason in zip(first["path"], first["reason"], strict=True))
            raise Mistake(
                f"features: {n:,} of {len(bad):,} frames are bad, more than features.max_bad_share="
                f"{self.max_bad_share:g} allows: {named}{', ...' if n > EXAMPLES else ''}"
            )


def usual_size(asked: _Asked) -> tuple[int, int]:
    """Height and width that most of a sample of the frames have.

    Raises
    ------
    Mistake
        If no frame of the sample can be read.
    """
    there = np.flatnonzero(~asked.is_bad())
    sizes: Counter[tuple[int, int]] = Counter()
    reasons = []
    for i in np.unique(np.linspace(0, len(there) - 1, SAMPLED).astype(int)):
        path = asked.paths.iloc[there[i]]
        try:
            image = read_frame(asked.root, path)
            sizes[(image.shape[0], image.shape[1])] += 1
        except BadFrame as error:
            reasons.append(f"{path} ({error})")
    if not sizes:
        raise Mistake(f"features: none of {len(reasons)} frames can be read: {', '.join(reasons[:EXAMPLES])}")
    return sizes.most_common(1)[0][0]


def _misfit(size: tuple[int, int], usual: tuple[int, int]) -> str:
    """Why a frame of another size has no row."""
    return (
        f"{size[1]} x {size[0]} pixels where most have {usual[1]} x {usual[0]}: its row would have another shape; "
        "bring the frames to one size"
    )


def _checked(rows: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Rows as they were promised."""
    if rows.shape != shape or rows.dtype != dtype:
        raise ValueError(f"The frozen part gave {rows.dtype} {rows.shape} where it promised {dtype} {shape}.")
    return rows
