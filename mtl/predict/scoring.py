"""A video -> a table of scores, and small pictures of some of its frames."""

from __future__ import annotations

import io
import logging
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from PIL import Image

from mtl.data.making import INTERPOLATION, Making, made_alike
from mtl.data.sampled_video import SampledFrame, SampledVideo
from mtl.data.video_reader import BadVideo
from mtl.predict.curves import Curve, columns_of

if TYPE_CHECKING:
    from mtl.load_run import LoadedRun

log = logging.getLogger(__name__)

PICTURE_HEIGHT = 90  # pixels of a small picture
WIDEST = 4.0  # of a small picture, in heights
JPEG_QUALITY = 75
BATCH_BYTES = 2**26  # of frames that wait for the model, at most, where a single one is not more
CANDIDATES = 48  # seconds of a video whose best frame is kept as a picture
POLL_SECONDS = 0.1
T = TypeVar("T")
Advance = Callable[[float, int], None]


@dataclass(frozen=True)
class Picture:
    """A small JPEG of a frame."""

    seconds: float
    data: bytes


@dataclass
class Scored:
    """What was found in a video.

    Attributes
    ----------
    name : str
    file : Path
    table : DataFrame
        A row per frame that was taken: `frame`, `seconds`, and a column per task or class.
    strip : list of Picture
        At equal distances, in order of time.
    pictures : list of Picture
        These and those of high scores, in order of time.
    between : float
        Seconds from one picture of the strip to the next, at least.
    times : array of double
        Seconds of every frame, taken or not.
    reason : str
        Why it could not be read, or not to its end; else empty.
    surely_whole : bool
    """

    name: str
    file: Path
    table: pd.DataFrame
    strip: list[Picture] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    between: float = 1.0
    times: array[float] = field(default_factory=lambda: array("d"))
    reason: str = ""
    surely_whole: bool = True

    @property
    def has_times(self) -> bool:
        """Whether there are frames, and it is known when they are shown."""
        return bool(len(self.table) and np.isfinite(self.table["seconds"]).all())


def score_video(
    run: LoadedRun, name: str, file: Path, step: int, leading: Curve, n_pictures: int, advance: Advance
) -> Scored:
    """The scores of every step-th frame of a video; those before the damage where it is damaged.

    Memory is bounded: a batch of frames at the size the model takes, and small pictures.

    Parameters
    ----------
    leading : Curve
        By which the frames that are kept as pictures are chosen.
    n_pictures : int
        Pictures at equal distances, at most.
    advance : callable
        Told the share of the file that is read, in [0, 1], and the frames scored, batch by batch.
    """
    album, tables, times, reason, whole = Album(n_pictures), [], array("d"), "", True
    n_scored = 0
    try:
        with closing(SampledVideo(file, step)) as video:
            times, whole = video.times, video.surely_whole
            with closing(ahead(batches(video.frames(), run))) as decoded:
                for batch in decoded:
                    tables.append(score(run, batch))
                    album.add(batch, leading.values(tables[-1]))
                    n_scored += len(batch)
                    advance(video.share, n_scored)
    except _Damaged as damaged:
        tables.append(score(run, damaged.before)) if damaged.before else None
        reason = str(damaged)
    except BadVideo as error:
        reason = str(error)
    table = pd.concat(tables, ignore_index=True) if tables else score_columns(run)
    return Scored(name, file, table, album.strip, album.pictures(), album.between, times, reason, whole)


@dataclass(frozen=True)
class Taken:
    """A frame at the size the model takes, and its small picture."""

    number: int
    seconds: float
    pixels: np.ndarray
    small: np.ndarray


class _Damaged(BadVideo):
    """A video that ends badly, with the frames that were not scored yet."""

    before: list[Taken]


def batches(frames: Iterable[SampledFrame], run: LoadedRun) -> Iterator[list[Taken]]:
    """Frames made as the training frames were, in batches of what the model takes, or less where they are large."""
    batch: list[Taken] = []
    try:
        for frame in frames:
            batch.append(taken(frame, run.training_frames))
            if len(batch) >= batch_size(run, batch[0].pixels):
                yield batch
                batch = []
    except BadVideo as error:
        damaged = _Damaged(str(error))
        damaged.before = batch
        raise damaged from error
    if batch:
        yield batch


def ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """The same items, each made in a thread while the one before is used; the thread is gone when this is closed."""
    ready: Queue[tuple[T | None, BaseException | None]] = Queue(maxsize=1)
    stop = Event()

    def put(item: T | None, error: BaseException | None) -> None:
        while not stop.is_set():
            with suppress(Full):
                return ready.put((item, error), timeout=POLL_SECONDS)

    def make() -> None:
        try:
            for item in items:
                put(item, None)
                if stop.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:  # raised where the items are used
            put(None, error)

    thread = Thread(target=make, name="decode", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()


def batch_size(run: LoadedRun, pixels: np.ndarray) -> int:
    """Frames of this size that are scored together."""
    return min(run.backbone.frozen.batch_size, max(1, BATCH_BYTES // pixels.nbytes))


def taken(frame: SampledFrame, making: Making | None) -> Taken:
    """A frame made as the training frames were, as it came where that is not known."""
    pixels = frame.pixels if making is None else made_alike(frame.pixels, making)
    height, width = frame.pixels.shape[:2]
    wide = int(np.clip(round(PICTURE_HEIGHT * width / height), 1, WIDEST * PICTURE_HEIGHT))
    small = made_alike(frame.pixels, Making(PICTURE_HEIGHT, wide, INTERPOLATION, ""))
    return Taken(frame.number, frame.seconds, pixels, small)


def score(run: LoadedRun, batch: list[Taken]) -> pd.DataFrame:
    """The table of a batch."""
    found = run([frame.pixels for frame in batch])
    columns: dict[str, object] = {
        "frame": np.array([frame.number for frame in batch]),
        "seconds": np.array([frame.seconds for frame in batch], np.float64),
    }
    for name, task in run.tasks.items():
        columns |= dict(zip(columns_of(name, task), found[name].T, strict=True))
    return pd.DataFrame(columns)


def score_columns(run: LoadedRun) -> pd.DataFrame:
    """A table without a row."""
    named = [column for name, task in run.tasks.items() for column in columns_of(name, task)]
    return pd.DataFrame({"frame": np.empty(0, int)} | {column: np.empty(0) for column in ["seconds", *named]})


def jpeg(pixels: np.ndarray) -> bytes:
    """An RGB picture as the bytes of a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg", quality=JPEG_QUALITY)
    return buffer.getvalue()


class Album:
    """Small pictures: at equal distances, and of the highest scores; their number does not grow with the video.

    Parameters
    ----------
    most : int
        Pictures at equal distances, at most; every second one goes, and the distance doubles, where there are more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.between = 1.0  # seconds
        self.strip: list[Picture] = []
        self._best: dict[int, tuple[float, Taken]] = {}  # by whole second

    def add(self, batch: list[Taken], values: np.ndarray) -> None:
        """Look at a batch of frames with the scores that lead."""
        for frame, value in zip(batch, values, strict=True):
            if not np.isfinite(frame.seconds):
                continue
            if not self.strip or frame.seconds >= self.strip[-1].seconds + self.between:
                self.strip.append(Picture(frame.seconds, jpeg(frame.small)))
            second = int(frame.seconds)
            if np.isfinite(value) and (second not in self._best or value > self._best[second][0]):
                self._best[second] = (value, replace(frame, pixels=frame.small))  # coded if it is kept to the end
        while len(self.strip) > self._most:
            self.strip, self.between = self.strip[::2], 2 * self.between
        if len(self._best) > 2 * CANDIDATES:
            self._prune()

    def _prune(self) -> None:
        kept = sorted(self._best.items(), key=lambda item: -item[1][0])[:CANDIDATES]
        self._best = dict(kept)

    def pictures(self) -> list[Picture]:
        """All of them, in order of time."""
        self._prune()
        found = {frame.seconds: Picture(frame.seconds, jpeg(frame.small)) for _, frame in self._best.values()}
        return [picture for _, picture in sorted((found | {each.seconds: each for each in self.strip}).items())]
