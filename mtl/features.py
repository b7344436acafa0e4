"""The frozen part's outputs: computed once per frame, kept on disk, read by row.

Rows are addressed by frame, not by the list they were asked in: a subset, another
stride, another split or a few new frames reuse what is there, and only missing rows
are computed. Look after the store with ``python -m mtl.features list|verify|prune``.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from rich.table import Table

from mtl import files, store
from mtl.data.batches import Batch, Decoder, usual_size
from mtl.examples import aligned
from mtl.mistakes import Mistake, nearest
from mtl.store import ID_BYTES, Archive, MappedRows, MemoryRows, Places, Writer, row_bytes
from mtl.terminal import ConsoleHandler, show
from mtl.terminal import progress as progress_bar

log = logging.getLogger(__name__)

Share = Annotated[float, Field(ge=0, lt=1)]
Advance = Callable[[int], None]

VERSION = 1  # of the extraction; count it up when the same frame and spec come to give other numbers
EXAMPLES = 3  # bad frames named in a message
PATHS_AT_ONCE = 2**16  # as python strings, which take several times their text
GIB, MIB = 2**30, 2**20
DAY = 86400.0
SHORT = 8  # of a key or a hash, shown
INTERRUPTED = 130
PLACE, HERE = "MTL_FEATURES_DIR", ".cache/features"  # as in conf/config.yaml


def _version(*names: str) -> str:
    """Version of the first of these distributions that is installed; empty where none is."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
DECODING = {"colours": "RGB uint8", "opencv": _version(*OPENCV) or "unknown"}
COMPUTING = {  # key of a frozen part's spec: distributions it may come in
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tf-nightly"),
    "keras": ("keras", "keras-nightly"),
}


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
    archive : Archive or None
        Where they are kept, as far as they are; None where the data set itself gives them.
    """

    frames: pd.DataFrame
    rows: Rows
    bad: pd.DataFrame
    computed: int
    seconds: float
    archive: Archive | None

    @property
    def kept(self) -> bool:
        """Whether all rows are stored; else they are computed on every use."""
        return not isinstance(self.rows, ComputedRows)

    @property
    def forwards(self) -> int:
        """Frames that have gone through the frozen part so far, at every use where they are not kept."""
        return self.computed + (self.rows.computed if isinstance(self.rows, ComputedRows) else 0)


def given(frames: pd.DataFrame, rows: np.ndarray) -> Features:
    """Rows that a data set has already: nothing to compute, nothing to keep."""
    array = aligned(rows.shape, rows.dtype)
    array[:] = rows
    return Features(frames, MemoryRows(array), pd.DataFrame(columns=["path", "reason"]), 0, 0.0, None)


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
    """

    sizes: np.ndarray
    times: np.ndarray
    reasons: Mapping[int, str]


def stats(root: Path | None, paths: pd.Series) -> Stats:
    """Size and modification time of every frame; without a root there are no files to look at.

    One `os.stat` per frame asked for, relative to the root's descriptor, takes half the
    time of `os.scandir` with `DirEntry.stat`.

    Raises
    ------
    Mistake
        If the root cannot be entered.
    """
    if root is None:
        return Stats(np.full(len(paths), -1, np.int64), np.zeros(len(paths), np.int64), {})
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Mistake(f"The data folder {root} cannot be entered: {os.strerror(error.errno or 0)}.") from error
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

    The content is not read: for a million frames that would cost more than the rows
    save. So a copy that keeps the times (``cp -a``, ``rsync -a``) has the same rows, and
    a tool that changes a frame but neither its size nor its time goes unnoticed.

    Returns
    -------
    ids : ndarray of uint64, shape (n, 2)
    gone : dict of bytes to str
        Reason by identity of the frames that are not there.
    """
    digests, gone = bytearray(), {}
    for start in range(0, len(paths), PATHS_AT_ONCE):
        block = slice(start, start + PATHS_AT_ONCE)
        known = zip(paths.iloc[block].tolist(), found.sizes[block].tolist(), found.times[block].tolist(), strict=True)
        for i, (path, size, changed) in enumerate(known, start=start):
            text = path if i in found.reasons else f"{path}\0{size}\0{changed}"
            digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=ID_BYTES).digest()
            digests += digest
            if i in found.reasons:
                gone[digest] = found.reasons[i]
    return np.frombuffer(digests, "<u8").reshape(-1, 2), gone


def key(spec: Mapping[str, object], shape: tuple[int, ...], dtype: np.dtype) -> tuple[str, dict[str, object]]:
    """Folder name of rows, and everything it is the hash of: all that determines them besides the frames."""
    whole = {
        "frozen": dict(spec),
        "row_shape": list(shape),
        "dtype": np.dtype(dtype).str,
        "decoding": DECODING,
        "extraction": VERSION,
    }
    text = json.dumps(whole, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest(), json.loads(text)


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
    decoder : Decoder
    progress, on_start : callable
        As `FeatureStore.of` was given them.
    frame_shape : (int, int)
        The usual height and width.
    """

    root: Path
    paths: pd.Series
    ids: np.ndarray
    bad: dict[bytes, str]
    max_bad_share: float
    decoder: Decoder
    progress: Advance
    on_start: Advance
    frame_shape: tuple[int, int] = (0, 0)

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
    folder : Path
        Of the store.
    request : Request
    frozen : Frozen
    shape : tuple of int
        Of a row.
    """

    def __init__(self, folder: Path, request: Request, frozen: Frozen, shape: tuple[int, ...]) -> None:
        name, self.spec = key(frozen.spec, shape, frozen.dtype)
        self.archive = Archive(folder / name)
        self.request = request
        self.frozen = frozen
        self.shape = shape
        self.dtype = np.dtype(frozen.dtype)
        self.computed = 0
        self.seconds = 0.0
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

    def complete(self, part_bytes: int, seen: tuple[Places, np.ndarray] | None = None) -> Places:
        """Where rows are once none is missing; the lock is held from the second look to the last.

        Parameters
        ----------
        part_bytes : int
        seen : (Places, ndarray), optional
            What a first look gave.
        """
        places, todo = seen or self.look()
        if not len(todo):
            return places
        with self.archive.locked():
            places, todo = self.look()
            if places.unusable:
                names = ", ".join(part.name for part in places.unusable)
                log.warning("Damaged parts of %s, their rows are made again: %s", self.archive.folder, names)
                self.archive.drop(places.unusable)
            if not len(todo):
                return places
            self.archive.describe(self.spec)
            files.check_room(self.archive.folder, self.bytes_of(len(todo)), store.REMEDY)
            self.request.on_start(len(todo))
            self._compute(todo, part_bytes)
            return self.look()[0]

    def bytes_of(self, n: int) -> int:
        """Bytes that n rows take on disk."""
        return n * (row_bytes(self.shape, self.dtype) + ID_BYTES)

    def told(self) -> str:
        """What was found, computed and left out, in a line."""
        bad = int(self.request.is_bad().sum())
        made = "nothing to compute"
        if self.computed:
            rate = self.computed / max(self.seconds, 1e-9)
            made = f"{self.computed:,} computed in {self.seconds:.0f} s ({rate:,.0f} frames/s)"
        left_out = f"; {bad:,} bad frames left out" if bad else ""
        found = len(self.request.ids) - bad - self.computed
        return f"features: {found:,} rows of {_name(self.frozen.spec)} found, {made}{left_out}"

    def _compute(self, todo: np.ndarray, part_bytes: int) -> None:
        """Decode, run and write the frames at positions `todo`."""
        request, start = self.request, time.perf_counter()
        ids, paths = request.ids[todo], request.paths.iloc[todo]
        n_bad = int(request.is_bad().sum())
        batches = request.decoder.batches(request.root, paths, request.frame_shape, self.frozen.batch_size)
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
                    request.progress(batch.size)
        finally:
            if self.lasting:
                self.archive.remember_bad(self.lasting)
        self.seconds = time.perf_counter() - start

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


class ComputedRows:
    """Rows computed on every take, for what is too large to be kept; those that were kept before are read.

    Parameters
    ----------
    request : Request
    frozen : Frozen
    shape : tuple of int
        Of a row.
    kept : Places
        Where rows of the request's frames are.

    Attributes
    ----------
    computed : int
        Frames that have gone through the frozen part so far, at every take anew.
    """

    array: np.ndarray | None = None

    def __init__(self, request: Request, frozen: Frozen, shape: tuple[int, ...], kept: Places) -> None:
        good = np.flatnonzero(~request.is_bad())
        there = ~kept.missing[good]
        self._request = request
        self._paths = request.paths.iloc[good]
        self._frozen = frozen
        self._kept = MappedRows(kept, good[there], shape, frozen.dtype)
        self._at = np.where(there, np.cumsum(there) - 1, -1)  # place among the kept ones
        self._one = threading.Lock()
        self.computed = 0
        self.shape = (len(good), *shape)
        self.dtype = np.dtype(frozen.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Rows at positions, each read or computed once.

        Raises
        ------
        Mistake
            If a frame that could be read before cannot be any more.
        """
        once, where = np.unique(np.asarray(positions), return_inverse=True)
        out = np.empty((len(once), *self.shape[1:]), self.dtype)
        kept = self._at[once]
        out[kept >= 0] = self._kept.take(kept[kept >= 0])
        todo = np.flatnonzero(kept < 0)
        paths = self._paths.iloc[once[todo]]
        request = self._request
        batches = request.decoder.batches(request.root, paths, request.frame_shape, self._frozen.batch_size)
        with self._one, closing(batches):
            for batch in batches:
                for at, error in batch.bad:
                    raise Mistake(f"Frame {paths.iloc[at]} could be read before, now it is bad: {error}.")
                for places, images in batch.groups:
                    out[todo[places]] = _checked(self._frozen(images), (len(images), *self.shape[1:]), self.dtype)
                    self.computed += len(images)
        return out[where]


class FeatureStore:
    """Rows of frozen parts on disk, shared by all runs that agree on what determines them.

    Parameters
    ----------
    dir : str
        Folder of the store; made when it is first written to.
    max_gib : float
        Where the missing rows of one call would take more on disk they are computed on every use.
    memory_gib : float
        Rows of one call that take more are read from disk, not held in memory.
    part_mib : float
        Size of a part: a kill costs two at most, and writing holds two in memory.
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
        self.decode_threads = decode_threads or _cores()
        self.max_bad_share = max_bad_share

    def of(
        self,
        frames: pd.DataFrame,
        root: Path,
        frozen: Frozen,
        progress: Advance | None = None,
        on_start: Advance | None = None,
        found: Stats | None = None,
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
        found : Stats, optional
            Of these frames, where the file system has been asked already.

        Raises
        ------
        Mistake
            If more frames are bad than `max_bad_share`, if the disk has no room or may
            not be written to, or if the root is not there.
        """
        start = time.perf_counter()
        if frames.empty:
            raise Mistake("There are no frames to make features of.")
        ids, gone = identities(frames["path"], found or stats(Path(root), frames["path"]))
        decoder = Decoder(self.decode_threads)
        hooks = (progress or _nothing, on_start or _nothing)
        request = Request(Path(root), frames["path"], ids, gone, self.max_bad_share, decoder, *hooks)
        request.check()
        request.frame_shape = usual_size(request.root, request.paths, np.flatnonzero(~request.is_bad()))
        extraction = Extraction(self.dir, request, frozen, frozen.row_shape(request.frame_shape))
        places, todo = extraction.look()
        if extraction.bytes_of(len(todo)) <= self.max_gib * GIB:
            rows: Rows = self._kept(extraction, places, todo)
        else:
            rows = self._not_kept(extraction, places, len(todo))
        computed = extraction.computed
        bad = request.is_bad()
        good = frames[~bad] if bad.any() else frames
        seconds = time.perf_counter() - start
        return Features(good.reset_index(drop=True), rows, request.table(bad), computed, seconds, extraction.archive)

    def _kept(self, extraction: Extraction, places: Places, todo: np.ndarray) -> Rows:
        """Rows in memory where they fit, else mapped; missing ones are computed first."""
        request = extraction.request
        places = extraction.complete(int(self.part_mib * MIB), (places, todo))
        extraction.archive.touch(request.root.absolute())
        good = np.flatnonzero(~request.is_bad())
        mapped = MappedRows(places, good, extraction.shape, extraction.dtype)
        size = len(good) * row_bytes(extraction.shape, extraction.dtype)
        log.info(
            "%s; kept, %.2f GiB, %.2f of them new, within features.max_gib=%g",
            extraction.told(),
            size / GIB,
            extraction.bytes_of(extraction.computed) / GIB,
            self.max_gib,
        )
        if size <= self.memory_gib * GIB:
            return mapped.in_memory()
        log.info(
            "Rows of %s take %.2f GiB, more than features.memory_gib=%g: read from disk, a block of steps ahead, "
            "in a shuffle of all training frames.",
            _name(extraction.frozen.spec),
            size / GIB,
            self.memory_gib,
        )
        return mapped

    def _not_kept(self, extraction: Extraction, places: Places, n_missing: int) -> ComputedRows:
        """Rows computed on every use; what is kept is each frame's size, so that bad ones are known beforehand."""
        request, frozen = extraction.request, extraction.frozen
        log.info(
            "features: %s rows of %s are missing, %.2f GiB, more than features.max_gib=%g: computed on every use",
            f"{n_missing:,} of {len(request.ids):,}",
            _name(frozen.spec),
            extraction.bytes_of(n_missing) / GIB,
            self.max_gib,
        )
        sizes = Extraction(self.dir, request, FrameSizes(frozen.batch_size), (2,))
        known = sizes.complete(int(self.part_mib * MIB))
        sizes.archive.touch(request.root.absolute())
        if sizes.computed:
            log.info("%s", sizes.told())
        good = np.flatnonzero(~request.is_bad())
        found = MappedRows(known, good, (2,), sizes.dtype).take(np.arange(len(good)))
        for height, width in np.unique(found, axis=0).tolist():
            if (height, width) != request.frame_shape and frozen.row_shape((height, width)) != extraction.shape:
                odd = good[(found == (height, width)).all(axis=1)]
                request.bad.update({request.ids[i].tobytes(): request.misfit((height, width)) for i in odd})
        request.check()
        if not places.missing.all():
            extraction.archive.touch(request.root.absolute())
        return ComputedRows(request, frozen, extraction.shape, places)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _nothing(n: int) -> None:
    """Hear of progress and do nothing."""


def _name(spec: Mapping[str, object]) -> str:
    """What the rows are, in a few words."""
    cut = spec.get("cut")
    return str(spec.get("backbone") or "packed frames") + (f" up to {cut}" if cut else "")


def main(words: Sequence[str] | None = None) -> int:
    """Look after the store; the exit status, 1 where there was damage or a mistake."""
    asked = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[ConsoleHandler()], force=True)
    try:
        return asked.action(asked)
    except Mistake as error:
        log.error("%s", error)
        return 1
    except OSError as error:
        log.error("%s: %s", error.filename or asked.dir, os.strerror(error.errno or 0))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m mtl.features", description="Look after stored features.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("keys", nargs="*", metavar="KEY", help="the beginning of a key")
    place = os.environ.get(PLACE, HERE)
    common.add_argument("--dir", type=Path, default=place, help=f"the store (now: {place}; {PLACE} moves it)")
    actions = parser.add_subparsers(required=True, metavar="list | verify | prune")

    one = actions.add_parser("list", parents=[common], help="what is kept; all about it where a KEY is given")
    one.set_defaults(action=_list)

    one = actions.add_parser(
        "verify", parents=[common], help="compare checksums; damaged parts go, a run makes them again"
    )
    one.set_defaults(action=_verify)

    one = actions.add_parser(
        "prune", parents=[common], help="remove by KEY, age, size, or what no run asks for any more"
    )
    one.add_argument("--unused-for", type=float, metavar="DAYS", help="what was last used longer ago")
    one.add_argument("--keep-gib", type=float, metavar="GIB", help="the longest unused, until the store is no larger")
    one.add_argument("--orphaned", action="store_true", help="of an older extraction, or of data that is gone")
    one.add_argument("--all", action="store_true", help="everything")
    one.add_argument("--dry-run", action="store_true", help="only say what would go")
    one.set_defaults(action=_prune)
    return parser


def _chosen(asked: argparse.Namespace) -> list[Archive]:
    """The archives whose keys begin as asked, all where nothing was."""
    known = store.archives(asked.dir)
    for start in asked.keys:
        if not any(archive.key.startswith(start) for archive in known):
            raise Mistake(f"{asked.dir} holds no key that begins with '{start}'. {nearest(start, _short(known))}")
    return [archive for archive in known if not asked.keys or archive.key.startswith(tuple(asked.keys))]


def _short(known: Sequence[Archive]) -> list[str]:
    return [archive.key[:SHORT] for archive in known]


def _list(asked: argparse.Namespace) -> int:
    """What is kept."""
    known = _chosen(asked)
    if asked.keys:
        for archive in known:
            show(json.dumps({"key": archive.key, "roots": archive.roots(), **archive.spec()}, indent=2))
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("key", "backbone", "weights", "cut", "px", "precision"):
        table.add_column(name, no_wrap=True)
    table.add_column("data", overflow="fold")
    for name in ("rows", "bad", "MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last used", no_wrap=True)
    total = 0
    for archive in known:
        size = archive.size()
        total += size
        table.add_row(
            archive.key[:SHORT],
            *_described(archive.spec()),
            "\n".join(Path(root).name for root in archive.roots()),
            f"{sum(part.rows for part in archive.parts()):,}",
            f"{len(archive.bad()):,}",
            f"{size / MIB:,.1f}",
            f"now, by {archive.owner()}" if archive.busy() else _when(archive.last_used()),
        )
    if known:
        show(table)
    show(f"{len(known)} kept in {asked.dir.absolute()}, {total / MIB:,.1f} MiB")
    return 0


def _described(spec: Mapping[str, object]) -> list[str]:
    """Backbone, weights, cut, image size and precision of a spec, for people."""
    frozen = spec.get("frozen")
    if not isinstance(frozen, Mapping):
        return ["?"] * 5
    others = [str(frozen.get(name) or "-") for name in ("cut", "image_size", "precision")]
    return [str(frozen.get("backbone") or "packed frames"), str(frozen.get("weights") or "-")[:SHORT], *others]


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def _verify(asked: argparse.Namespace) -> int:
    """Compare checksums; remove what does not have its own."""
    known = _chosen(asked)
    found = 0
    with progress_bar("verify", sum(len(archive.parts()) for archive in known), "parts") as advance:
        for archive in known:
            lines = archive.damaged_lines()
            damaged = []
            for part in archive.parts():
                reason = archive.damaged(part)
                advance(1)
                if reason:
                    damaged.append(part)
                    show(f"{archive.key[:SHORT]}: {part.rows:,} rows are damaged, {reason}")
            for line in lines:
                show(f"{archive.key[:SHORT]}: damaged, {line}")
            if damaged or lines:
                with archive.locked():
                    archive.drop(damaged)
            found += len(damaged) + len(lines)
    show("removed; the next run makes these rows again" if found else f"{len(known)} kept, all whole")
    return 1 if found else 0


def _prune(asked: argparse.Namespace) -> int:
    """Remove what was asked for."""
    doomed = _doomed(asked, store.archives(asked.dir))
    for archive, reason in doomed:
        described = " ".join(word for word in _described(archive.spec()) if word != "-")
        what = f"{archive.key[:SHORT]} ({described}, {archive.size() / MIB:,.1f} MiB): {reason}"
        if asked.dry_run:
            show(f"would remove {what}")
            continue
        with archive.locked(wait=False) as mine:
            if mine:
                archive.remove()
        show(f"removed {what}" if mine else f"left {what}, but process {archive.owner()} is writing it")
    if not asked.dry_run:
        store.finish_removals(asked.dir)
    if not doomed:
        show("nothing to remove")
    return 0


def _doomed(asked: argparse.Namespace, known: Sequence[Archive]) -> list[tuple[Archive, str]]:
    """What is to go, each with the reason."""
    if not (asked.keys or asked.all or asked.orphaned) and asked.unused_for is None and asked.keep_gib is None:
        raise Mistake("Say what to remove: KEY, --unused-for DAYS, --keep-gib GIB, --orphaned or --all.")
    for start in asked.keys:
        meant = [archive for archive in known if archive.key.startswith(start)]
        if len(meant) > 1:
            raise Mistake(
                f"'{start}' begins {len(meant)} keys: {', '.join(_short(meant))}. Say more of the one to remove."
            )
    named = {archive.key for archive in _chosen(asked)} if asked.keys else set()
    reasons: dict[str, str] = {}
    for archive in known:
        days = (time.time() - archive.last_used()) / DAY
        if archive.key in named or asked.all:
            reasons[archive.key] = "as asked"
        elif asked.unused_for is not None and days > asked.unused_for:
            reasons[archive.key] = f"not used for {days:.0f} days"
        elif asked.orphaned and (orphaned := _orphaned(archive)):
            reasons[archive.key] = orphaned
    if asked.keep_gib is not None:
        left = [archive for archive in known if archive.key not in reasons]
        sizes = np.cumsum([archive.size() for archive in left])  # the last used first
        for archive, size in zip(left, sizes, strict=True):
            if size > asked.keep_gib * GIB:
                reasons[archive.key] = f"beyond {asked.keep_gib:g} GiB"
    return [(archive, reasons[archive.key]) for archive in known if archive.key in reasons]


def _orphaned(archive: Archive) -> str:
    """Why no run can ask for it any more; empty if one may."""
    spec, roots = archive.spec(), archive.roots()
    if not spec:
        return "what it holds cannot be read any more"
    if (spec.get("extraction"), spec.get("decoding")) != (VERSION, DECODING):
        return "made by another version of the extraction"
    frozen = spec.get("frozen")
    for name, wheels in COMPUTING.items():
        made, here = frozen.get(name) if isinstance(frozen, Mapping) else None, _version(*wheels)
        if made and here and made != here:
            return f"made with {name} {made}, here is {here}"
    if roots and not any(Path(root).exists() for root in roots):
        return f"its data are gone: {', '.join(roots)}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
