"""The frozen part's outputs: computed once per frame, kept on disk, read by row.

Rows are addressed by frame, not by the list they were asked in: a subset, another
stride, another split or a few new frames reuse what is there, and only missing rows
are computed. Look after the store with ``python -m mtl.features list|verify|prune``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from mtl import files, store
from mtl.data.batches import Batch, Decoder, usual_size
from mtl.mistakes import Mistake, nearest
from mtl.store import ID_BYTES, Archive, MappedRows, MemoryRows, Places, Writer, row_bytes

log = logging.getLogger(__name__)

Share = Annotated[float, Field(ge=0, lt=1)]
Advance = Callable[[int], None]

VERSION = 1  # of the extraction; count it up when the same frame and spec come to give other numbers
EXAMPLES = 3  # bad frames named in a message
PATHS_AT_ONCE = 2**16  # as python strings, which take several times their text
GIB, MIB = 2**30, 2**20
DAY = 86400.0
PLACE, HERE = "MTL_FEATURES_DIR", ".cache/features"  # as in conf/config.yaml


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
        """Frames per call, at most."""

    def row_shape(self, frame_shape: tuple[int, int]) -> tuple[int, ...]:
        """Shape of one row for frames of (height, width)."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Rows (b, *row_shape) of uint8 frames (b, h, w, 3)."""


class Rows(Protocol):
    """Rows of the frozen part, in memory, on disk or computed; threads may share them.

    Attributes
    ----------
    shape : tuple of int
        (n, *row_shape).
    dtype : numpy dtype
    array : ndarray or None
        All rows where they are in memory, read-only.
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
        Frames that went through the frozen part now; the others were found.
    seconds : float
    """

    frames: pd.DataFrame
    rows: Rows
    bad: pd.DataFrame
    computed: int
    seconds: float


class ComputedRows:
    """Rows computed on every take, for what is too large to be kept."""

    array: np.ndarray | None = None

    def __init__(
        self, root: Path, paths: pd.Series, frozen: Frozen, frame_shape: tuple[int, int], decoder: Decoder
    ) -> None:
        self._root = root
        self._paths = paths
        self._frozen = frozen
        self._frame_shape = frame_shape
        self._decoder = decoder
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
            If a frame that could be read before cannot be any more.
        """
        once, where = np.unique(np.asarray(positions), return_inverse=True)
        paths = self._paths.iloc[once]
        out = np.empty((len(once), *self.shape[1:]), self.dtype)
        batches = self._decoder.batches(self._root, paths, self._frame_shape, self._frozen.batch_size)
        with self._one, closing(batches):
            for batch in batches:
                for at, error in batch.bad:
                    raise Mistake(f"Frame {paths.iloc[at]} could be read before, now it is bad: {error}.")
                for places, images in batch.groups:
                    out[places] = _checked(self._frozen(images), (len(images), *self.shape[1:]), self.dtype)
        return out[where]


class FrameSizes:
    """Height and width of a frame as its row: what is kept of frames whose rows are not."""

    spec: Mapping[str, object] = {"backbone": "frame sizes"}
    dtype = np.dtype(np.int32)

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def row_shape(self, frame_shape: tuple[int, int]) -> tuple[int, ...]:
        """Two numbers, whatever the frame."""
        return (2,)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Height and width of frames that share them, (b, 2)."""
        return np.full((len(images), 2), images.shape[1:3], np.int32)


def identities(root: Path, paths: pd.Series) -> tuple[np.ndarray, dict[bytes, str]]:
    """Who each frame is: a hash of its relative path, its size and its modification time (ns).

    The content is not read: for a million frames that would cost more than the rows
    save. So a copy that keeps the times (``cp -a``, ``rsync -a``) has the same rows, and
    a tool that changes a frame but neither its size nor its time goes unnoticed. One
    `os.stat` per frame asked for, relative to the root's descriptor, takes half the time
    of `os.scandir` with `DirEntry.stat`.

    Returns
    -------
    ids : ndarray of uint64, shape (n, 2)
    gone : dict of bytes to str
        Reason by identity of the frames that are not there.

    Raises
    ------
    Mistake
        If the root cannot be entered.
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
                    text, reason = f"{path}\0{found.st_size}\0{found.st_mtime_ns}", ""
                except OSError as error:
                    text = path
                    reason = "missing" if isinstance(error, FileNotFoundError) else os.strerror(error.errno or 0).lower()
                digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=ID_BYTES).digest()
                digests += digest
                if reason:
                    gone[digest] = reason
    finally:
        os.close(descriptor)
    return np.frombuffer(digests, "<u8").reshape(-1, 2), gone


def key(spec: Mapping[str, object], shape: tuple[int, ...], dtype: np.dtype) -> tuple[str, dict[str, object]]:
    """Folder name of rows, and everything it is the hash of: all that determines them besides the frames."""
    whole = {
        "frozen": dict(spec),
        "row_shape": list(shape),
        "dtype": np.dtype(dtype).str,
        "decoding": {"colours": "RGB uint8", "opencv": _opencv()},
        "extraction": VERSION,
    }
    text = json.dumps(whole, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest(), json.loads(text)


def _opencv() -> str:
    """Version of the library that decodes, whichever wheel it came in."""
    for name in ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


@dataclass
class Request:
    """The frames of one call, and what is known of them so far.

    Attributes
    ----------
    root : Path
    paths : Series of str
    ids : ndarray of uint64, shape (n, 2)
    bad : dict of bytes to str
        Reason by identity; may hold others' too.
    max_bad_share : float
    """

    root: Path
    paths: pd.Series
    ids: np.ndarray
    bad: dict[bytes, str]
    max_bad_share: float
    frame_shape: tuple[int, int] = field(default=(0, 0))

    def is_bad(self) -> np.ndarray:
        """Whether each frame is bad as far as one knows, bool of shape (n,)."""
        return store.lookup(np.frombuffer(b"".join(self.bad), "<u8").reshape(-1, 2), self.ids) >= 0

    def table(self, bad: np.ndarray) -> pd.DataFrame:
        """`path` and `reason` of frames that are bad, by a mask."""
        reasons = [self.bad[self.ids[i].tobytes()] for i in np.flatnonzero(bad)]
        return pd.DataFrame({"path": self.paths[bad].to_numpy(), "reason": pd.Series(reasons, dtype=str)})

    def check(self) -> None:
        """Raise `Mistake` where too many frames are bad."""
        bad = self.is_bad()
        n = int(bad.sum())
        if n <= self.max_bad_share * len(bad):
            return
        first = self.table(bad & (np.cumsum(bad) <= EXAMPLES))
        named = ", ".join(f"{path} ({reason})" for path, reason in zip(first["path"], first["reason"], strict=True))
        raise Mistake(
            f"{n:,} of {len(bad):,} frames of {self.root} are bad, more than features.max_bad_share="
            f"{self.max_bad_share:g} allows: {named}{', ...' if n > EXAMPLES else ''}"
        )

    def misfit(self, size: tuple[int, int]) -> str:
        """Why a frame of an unusual size has no row."""
        height, width = self.frame_shape
        return (
            f"{size[1]} x {size[0]} pixels where most frames have {width} x {height}, so its row has another shape: "
            "bring the frames to one size"
        )


class Extraction:
    """Rows of one frozen part for one request: looked up, and computed where they are missing.

    Parameters
    ----------
    archive : Archive
    request : Request
    frozen : Frozen
    shape : tuple of int
        Of a row.
    """

    def __init__(self, archive: Archive, request: Request, frozen: Frozen, shape: tuple[int, ...]) -> None:
        self.archive = archive
        self.request = request
        self.frozen = frozen
        self.shape = shape
        self.dtype = np.dtype(frozen.dtype)
        self.computed = 0
        self.lasting: dict[bytes, str] = {}
        self._fits = {request.frame_shape: True}

    def look(self) -> tuple[Places, np.ndarray]:
        """Where rows are, and positions of the frames that have none and are not bad, each identity once."""
        places = self.archive.find(self.request.ids, self.shape, self.dtype)
        if not places.missing.any():
            return places, np.empty(0, np.int64)
        self.request.bad = {**self.archive.bad(), **self.request.bad}
        self.request.check()
        todo = np.flatnonzero(places.missing & ~self.request.is_bad())
        return places, todo[~pd.DataFrame(self.request.ids[todo]).duplicated().to_numpy()]

    def complete(self, decoder: Decoder, part_bytes: int, progress: Advance, on_start: Advance) -> Places:
        """Where rows are once none is missing; the lock is held from the second look to the last."""
        places, todo = self.look()
        if not len(todo):
            return places
        with self.archive.locked():
            places, todo = self.look()
            if places.unusable:
                self.archive.drop(places.unusable)
            if not len(todo):
                return places
            needed = len(todo) * (row_bytes(self.shape, self.dtype) + ID_BYTES)
            files.check_room(self.archive.folder, needed, store.REMEDY)
            on_start(len(todo))
            self._compute(todo, decoder, part_bytes, progress)
            return self.look()[0]

    def _compute(self, todo: np.ndarray, decoder: Decoder, part_bytes: int, progress: Advance) -> None:
        """Decode, run and write the frames at positions `todo`."""
        request = self.request
        ids, paths = request.ids[todo], request.paths.iloc[todo]
        n_bad = int(request.is_bad().sum())
        batches = decoder.batches(request.root, paths, request.frame_shape, self.frozen.batch_size)
        try:
            with Writer(self.archive, self.shape, self.dtype, part_bytes, len(todo)) as writer, closing(batches):
                for batch in batches:
                    for at, images in batch.groups:
                        if self._fit(images):
                            rows = _checked(self.frozen(images), (len(images), *self.shape), self.dtype)
                            writer.add(ids[at], rows)
                            self.computed += len(rows)
                    n_bad += self._book(batch, ids)
                    if n_bad > request.max_bad_share * len(request.ids):
                        request.check()
                    progress(batch.size)
        finally:
            if self.lasting:
                self.archive.remember_bad(self.lasting)

    def _fit(self, images: np.ndarray) -> bool:
        """Whether frames of this size have rows of the right shape."""
        size = (images.shape[1], images.shape[2])
        if size not in self._fits:
            self._fits[size] = self.frozen.row_shape(size) == self.shape
        return self._fits[size]

    def _book(self, batch: Batch, ids: np.ndarray) -> int:
        """Book a batch's bad frames; their number."""
        new: dict[bytes, str] = {}
        for places, images in batch.groups:
            if not self._fit(images):
                reason = self.request.misfit((images.shape[1], images.shape[2]))
                new.update({ids[at].tobytes(): reason for at in places})
        passing = set()
        for at, error in batch.bad:
            new[ids[at].tobytes()] = str(error)
            if isinstance(error.__cause__, OSError):  # mended without a trace in size or time: look again next time
                passing.add(ids[at].tobytes())
        self.request.bad.update(new)
        self.lasting.update({one: reason for one, reason in new.items() if one not in passing})
        return len(new)


def _checked(rows: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Rows as they were promised."""
    if rows.shape != shape or rows.dtype != dtype:
        raise ValueError(f"The frozen part gave {rows.dtype} {rows.shape} where it promised {dtype} {shape}.")
    return rows


class FeatureStore:
    """Rows of frozen parts on disk, shared by all runs that agree on what determines them.

    Parameters
    ----------
    dir : str
        Folder of the store; made when it is first written to.
    max_gib : float
        Rows of one call that would take more on disk are computed on every use.
    memory_gib : float
        Rows of one call that take more are read from disk, not held in memory.
    part_mib : float
        Size of a part: what a kill costs at most, and half of what writing holds in memory.
    decode_threads : int or None
        Threads that decode frames; None takes one per core.
    max_bad_share : float
        More bad frames than this share of a call's end it.
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
        progress: Advance | None = None,
        on_start: Advance | None = None,
    ) -> Features:
        """Rows of frames; those that are not there yet are computed and kept.

        Parameters
        ----------
        frames : DataFrame
            With the column `path`, relative to `root`.
        root : Path
        frozen : Frozen
        progress : callable, optional
            Called with a number of frames whenever so many more are done.
        on_start : callable, optional
            Called once with the number of frames to do, before the first; not where there is none.

        Raises
        ------
        Mistake
            If more frames are bad than `max_bad_share`, if the disk has no room or may
            not be written to, or if the root is not there.
        """
        start = time.perf_counter()
        if frames.empty:
            raise Mistake("There are no frames to make features of.")
        request = self._request(frames, Path(root))
        shape = frozen.row_shape(request.frame_shape)
        decoder = Decoder(self.decode_threads)
        size = len(frames) * (row_bytes(shape, frozen.dtype) + ID_BYTES)
        hooks = (progress or _nothing, on_start or _nothing)
        if size <= self.max_gib * GIB:
            places, computed = self._complete(request, frozen, shape, decoder, *hooks)
            rows = self._read(places, np.flatnonzero(~request.is_bad()), shape, frozen)
        else:
            log.info(
                "Rows of %s for %s frames would take %.1f GiB, more than features.max_gib=%g: computed on every use.",
                _name(frozen.spec),
                f"{len(frames):,}",
                size / GIB,
                self.max_gib,
            )
            computed = 0
            self._look_at_sizes(request, frozen, shape, decoder, *hooks)
            rows = ComputedRows(request.root, request.paths[~request.is_bad()], frozen, request.frame_shape, decoder)
        bad = request.is_bad()
        good = frames[~bad] if bad.any() else frames
        return Features(
            good.reset_index(drop=True), rows, request.table(bad), computed, time.perf_counter() - start
        )

    def _request(self, frames: pd.DataFrame, root: Path) -> Request:
        """Who the frames are, which are not there, and their usual size."""
        ids, gone = identities(root, frames["path"])
        request = Request(root, frames["path"], ids, gone, self.max_bad_share)
        request.check()
        request.frame_shape = usual_size(root, request.paths[~request.is_bad()] if gone else request.paths)
        return request

    def _complete(
        self,
        request: Request,
        frozen: Frozen,
        shape: tuple[int, ...],
        decoder: Decoder,
        progress: Advance,
        on_start: Advance,
    ) -> tuple[Places, int]:
        """Where the rows are, and how many were computed now; one log line."""
        start = time.perf_counter()
        name, spec = key(frozen.spec, shape, frozen.dtype)
        extraction = Extraction(Archive(self.dir / name), request, frozen, shape)
        places = extraction.complete(decoder, spec, int(self.part_mib * MIB), progress, on_start)
        extraction.archive.touch(request.root)
        computed, bad, seconds = extraction.computed, int(request.is_bad().sum()), time.perf_counter() - start
        made = "nothing to compute"
        if computed:
            made = f"{computed:,} computed in {seconds:.0f} s ({computed / seconds:,.0f} frames/s)"
        found = len(request.ids) - bad - computed
        left_out = f"; {bad:,} bad frames left out" if bad else ""
        log.info("features: %s rows of %s found, %s%s", f"{found:,}", _name(frozen.spec), made, left_out)
        return places, computed

    def _read(self, places: Places, positions: np.ndarray, shape: tuple[int, ...], frozen: Frozen) -> Rows:
        """Rows in memory where they fit, else mapped."""
        mapped = MappedRows(places, positions, shape, frozen.dtype)
        size = len(positions) * row_bytes(shape, frozen.dtype)
        if size <= self.memory_gib * GIB:
            return MemoryRows(mapped.take(np.arange(len(positions))))
        log.info(
            "Rows of %s take %.1f GiB, more than features.memory_gib=%g: read from disk.",
            _name(frozen.spec),
            size / GIB,
            self.memory_gib,
        )
        return mapped

    def _look_at_sizes(
        self,
        request: Request,
        frozen: Frozen,
        shape: tuple[int, ...],
        decoder: Decoder,
        progress: Advance,
        on_start: Advance,
    ) -> None:
        """Find the bad frames where rows are not kept: what is kept then is each frame's size."""
        sizes = FrameSizes(frozen.batch_size)
        places, _ = self._complete(request, sizes, (2,), decoder, progress, on_start)
        good = np.flatnonzero(~request.is_bad())
        found = MappedRows(places, good, (2,), sizes.dtype).take(np.arange(len(good)))
        for height, width in np.unique(found, axis=0).tolist():
            if (height, width) != request.frame_shape and frozen.row_shape((height, width)) != shape:
                odd = good[(found == (height, width)).all(axis=1)]
                request.bad.update({request.ids[i].tobytes(): request.misfit((height, width)) for i in odd})
        request.check()


def _nothing(n: int) -> None:
    """Hear of progress and do nothing."""


def _name(spec: Mapping[str, object]) -> str:
    """What the rows are, in a word."""
    return str(spec.get("backbone") or "packed frames")
