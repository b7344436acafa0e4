"""Features of one frozen part for one list of frames: looked up, computed where missing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mtl import files
from mtl.data.decoding import Batch, Decoder
from mtl.data.frames import FrameRoot
from mtl.errors import UserError
from mtl.features.archive import Archive
from mtl.features.extractor import NOT_FINITE, FeatureExtractor, checked_vectors
from mtl.features.feature_key import key
from mtl.features.places import ID_BYTES, Places, lookup, vector_bytes
from mtl.features.remedies import NO_ROOM_REMEDY
from mtl.features.writer import Writer
from mtl.memory import finite_rows
from mtl.stopwatch import DECODE, FORWARD, awaited, count, spent_on

log = logging.getLogger(__name__)

Advance = Callable[[int], None]
EXAMPLES = 3  # bad frames named in a message


@dataclass
class Request:
    """The frames of one call, and what is known of them so far.

    Attributes
    ----------
    root : Path or FrameReader
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

    root: FrameRoot
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
        return lookup(np.frombuffer(b"".join(self.bad), "<u8").reshape(-1, 2), self.ids) >= 0

    def table(self, bad: np.ndarray) -> pd.DataFrame:
        """`path` and `reason` of frames that are bad, by a mask."""
        reasons = [self.bad[self.ids[i].tobytes()] for i in np.flatnonzero(bad)]
        return pd.DataFrame({"path": self.paths[bad].to_numpy(), "reason": pd.Series(reasons, dtype=str)})

    def check(self) -> None:
        """Raise `UserError` where too many frames are bad."""
        bad = self.is_bad()
        n = int(bad.sum())
        if n <= self.max_bad_share * len(bad):
            return
        first = self.table(bad & (np.cumsum(bad) <= EXAMPLES))
        named = ", ".join(f"{path} ({reason})" for path, reason in zip(first["path"], first["reason"], strict=True))
        raise UserError(
            f"{n:,} of {len(bad):,} frames of {self.root} are bad, more than features.max_bad_share="
            f"{self.max_bad_share:g} allows: {named}{', ...' if n > EXAMPLES else ''}"
        )

    def misfit(self, size: tuple[int, int]) -> str:
        """Why a frame of an unusual size has no feature vector."""
        height, width = self.frame_shape
        return (
            f"{size[1]} x {size[0]} pixels where most frames have {width} x {height}, so its "
            "feature vector has another shape: bring the frames to one size"
        )


class PrivateArchive(Archive):
    """An archive whose folder no other process knows, so that nothing has to be locked."""

    @contextmanager
    def locked(self, wait: bool = True) -> Iterator[bool]:
        """Be the only writer, without a lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        yield True


class Extraction:
    """Feature vectors of one frozen part for one request: looked up, and computed where they are missing.

    Parameters
    ----------
    folder : Path
        Of the store.
    request : Request
    frozen : FeatureExtractor
    shape : tuple of int
        Of a feature vector.
    private : bool
        Whether no other process knows the folder.
    """

    def __init__(
        self,
        folder: Path,
        request: Request,
        frozen: FeatureExtractor,
        shape: tuple[int, ...],
        private: bool = False,
    ) -> None:
        name, self.spec = key(frozen.spec, shape, frozen.dtype)
        self.archive = (PrivateArchive if private else Archive)(folder / name)
        self.request = request
        self.frozen = frozen
        self.shape = shape
        self.dtype = np.dtype(frozen.dtype)
        self.computed = 0
        self.seconds = 0.0
        self.lasting: dict[bytes, str] = {}
        self._fits = {request.frame_shape: True}

    def look(self) -> tuple[Places, np.ndarray]:
        """Where feature vectors are, and positions of the frames that have none and are not bad, each identity once."""
        places = self.archive.find(self.request.ids, self.shape, self.dtype)
        if not places.missing.any():
            return places, np.empty(0, np.int64)
        self.request.bad = {**self.archive.bad(), **self.request.bad}
        self.request.check()
        todo = np.flatnonzero(places.missing & ~self.request.is_bad())
        return places, todo[~pd.DataFrame(self.request.ids[todo]).duplicated().to_numpy()]

    def complete(self, part_bytes: int, seen: tuple[Places, np.ndarray] | None = None) -> Places:
        """Where feature vectors are once none is missing; the lock is held from the second look to the last.

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
                log.warning("Damaged parts of %s, their feature vectors are made again: %s", self.archive.folder, names)
                self.archive.drop(places.unusable)
            if not len(todo):
                return places
            self.archive.describe(self.spec)
            files.check_room(self.archive.folder, self.bytes_of(len(todo)), NO_ROOM_REMEDY)
            self.request.on_start(len(todo))
            self._compute(todo, part_bytes)
            return self.look()[0]

    def bytes_of(self, n: int) -> int:
        """Bytes that n feature vectors take on disk."""
        return n * (vector_bytes(self.shape, self.dtype) + ID_BYTES)

    def summary(self) -> str:
        """What was found, computed and left out, in a line."""
        bad = int(self.request.is_bad().sum())
        made = "nothing to compute"
        if self.computed:
            rate = self.computed / max(self.seconds, 1e-9)
            made = f"{self.computed:,} computed in {self.seconds:.0f} s ({rate:,.0f} frames/s)"
        left_out = f"; {bad:,} bad frames left out" if bad else ""
        found = len(self.request.ids) - bad - self.computed
        return f"features: {found:,} feature vectors of {spec_text(self.frozen.spec)} found, {made}{left_out}"

    def _compute(self, todo: np.ndarray, part_bytes: int) -> None:
        """Decode, run and write the frames at positions `todo`."""
        request, start = self.request, time.perf_counter()
        ids, paths = request.ids[todo], request.paths.iloc[todo]
        n_bad = int(request.is_bad().sum())
        batches = request.decoder.batches(request.root, paths, request.frame_shape, self.frozen.batch_size)
        try:
            with Writer(self.archive, self.shape, self.dtype, part_bytes, len(todo)) as writer, closing(batches):
                for batch in awaited(DECODE, batches):
                    count(DECODE, batch.size)
                    for at, images in batch.groups:
                        if self._fit(images):
                            with spent_on(FORWARD, len(images)):
                                made = self.frozen(images)
                            vectors = checked_vectors(made, (len(images), *self.shape), self.dtype)
                            sound = finite_rows(vectors)
                            writer.add(ids[at][sound], vectors[sound])
                            self.computed += int(sound.sum())
                            n_bad += self._leave_out({one.tobytes(): NOT_FINITE for one in ids[at][~sound]})
                    n_bad += self._book(batch, ids)
                    if n_bad > request.max_bad_share * len(request.ids):
                        request.check()
                    request.progress(batch.size)
        finally:
            if self.lasting:
                self.archive.remember_bad(self.lasting)
        self.seconds = time.perf_counter() - start

    def _leave_out(self, reasons: Mapping[bytes, str]) -> int:
        """Book frames as bad for good, with the reason by identity; their number."""
        self.request.bad.update(reasons)
        self.lasting.update(reasons)
        return len(reasons)

    def _fit(self, images: np.ndarray) -> bool:
        """Whether frames of this size have feature vectors of the right shape."""
        size = (images.shape[1], images.shape[2])
        if size not in self._fits:
            self._fits[size] = self.frozen.feature_shape(size) == self.shape
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


def spec_text(spec: Mapping[str, object]) -> str:
    """What the feature vectors are, in a few words."""
    cut = spec.get("cut")
    return str(spec.get("backbone") or "packed frames") + (f" up to {cut}" if cut else "")
