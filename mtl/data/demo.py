"""A small made-up UCF-Crime, drawn by code in the real layout: the tree of `mtl.drawing`'s videos."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import pandas as pd
from pydantic import PositiveFloat, PositiveInt

from mtl.data.events import Events
from mtl.data.ucf_crime import Fraction, UCFCrime
from mtl.drawing.canvas import SIZE, VERSION, Dice
from mtl.drawing.events import CAMERAS, EVENTS, PLACES
from mtl.drawing.videos import draw_video, event_frames
from mtl.errors import UserError

log = logging.getLogger(__name__)

STRIDE = 10  # frames of the original video between two that are kept, as in the real tree
MARKER = "drawing.json"  # written last; a tree without it, or with another one, is not whole


@dataclass(frozen=True)
class Drawing:
    """Everything that determines a tree, besides `VERSION`."""

    seed: int
    train_videos: int  # per class of anomaly
    test_videos: int
    normal_train_videos: int
    normal_test_videos: int
    frames_per_video: int

    @property
    def marker(self) -> dict[str, int]:
        """What the tree's marker says."""
        return {"version": VERSION, "size": SIZE, **asdict(self)}

    @property
    def folder(self) -> str:
        """Name of the tree's folder, another one for every other tree."""
        digest = hashlib.sha256(json.dumps(self.marker, sort_keys=True).encode()).hexdigest()
        return f"seed{self.seed}-{digest[:8]}"

    def videos(self) -> Iterator[tuple[str, str, str, str]]:
        """Split folder, class folder, name and camera of every video.

        The cameras of a class take turns, so that chance makes none of them tell the class.
        """
        for folder in EVENTS:
            normal = folder == "NormalVideos"
            train, test = (
                (self.normal_train_videos, self.normal_test_videos) if normal else (self.train_videos, self.test_videos)
            )
            for split, numbers in (("Train", range(1, train + 1)), ("Test", range(train + 1, train + test + 1))):
                cameras = [f"{place} {number}" for place in PLACES[folder] for number in range(CAMERAS)]
                cameras = Dice(VERSION, self.seed, folder, split).shuffled(cameras)
                for i, number in enumerate(numbers):
                    name = f"{folder}{number:03d}_x264"
                    if normal:  # as in the real set, where test names differ by an underscore
                        name = (
                            f"Normal_Videos{number:03d}_x264" if split == "Train" else f"Normal_Videos_{i + 1:03d}_x264"
                        )
                    yield split, folder, name, cameras[i % len(cameras)]

    @functools.lru_cache(maxsize=4)  # noqa: B019  # asked for thrice a job; what it keeps are these few numbers
    def events(self) -> Events:
        """The drawn events of all test videos; a normal video has none, whatever look-alike it shows."""
        found: dict[str, tuple[tuple[int, int], ...]] = {}
        for split, folder, video, _ in self.videos():
            if split == "Test":
                first, last = event_frames(folder, video, self.seed, self.frames_per_video)
                is_event = folder != "NormalVideos" and last > first
                found[video] = ((first * STRIDE, last * STRIDE),) if is_event else ()
        return Events(found, "the drawing")


def is_whole(tree: Path, drawing: Drawing) -> bool:
    """Whether the tree stands there, of this drawing, with as many frames as it should have."""
    try:
        if json.loads((tree / MARKER).read_text(encoding="utf-8")) != drawing.marker:
            return False
        found = sum(
            sum(1 for _ in os.scandir(tree / split / folder)) for split in ("Train", "Test") for folder in EVENTS
        )
    except (OSError, ValueError):
        return False
    return found == drawing.frames_per_video * sum(1 for _ in drawing.videos())


def write_tree(tree: Path, drawing: Drawing) -> None:
    """Draw the tree where it does not stand whole already.

    It is drawn in a temporary folder beside its place and renamed, so that nobody ever sees a part of
    it; of several processes that draw at once the first one's tree stays, and all are of the same pixels.

    Raises
    ------
    UserError
        If the place cannot be written.
    """
    if is_whole(tree, drawing):
        return
    started = time.perf_counter()
    try:
        tree.parent.mkdir(parents=True, exist_ok=True)
        sweep_up(tree)
        draft = Path(tempfile.mkdtemp(prefix=f".{tree.name}.", dir=tree.parent))
    except OSError as error:
        raise UserError(f"The demo's frames cannot be written to {tree.parent}: {error.strerror}.") from error
    try:
        for split in ("Train", "Test"):
            for folder in EVENTS:
                (draft / split / folder).mkdir(parents=True)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            list(pool.map(lambda video: write_video(draft, drawing, *video), drawing.videos()))
        (draft / MARKER).write_text(json.dumps(drawing.marker, indent=2), encoding="utf-8")
        draft.chmod(0o755)  # temporary folders are private
        publish_tree(draft, tree, drawing)
    except OSError as error:
        raise UserError(f"The demo's frames cannot be written to {tree}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    log.info("Drew the demo's frames to %s in %.1f s.", tree, time.perf_counter() - started)


def write_video(root: Path, drawing: Drawing, split: str, folder: str, video: str, camera: str) -> None:
    """Draw and write the frames of one video."""
    frames = draw_video(folder, video, camera, drawing.seed, drawing.frames_per_video)
    for t, frame in enumerate(frames):
        path = root / split / folder / f"{video}_{t * STRIDE}.png"
        good, png = cv2.imencode(".png", frame[..., ::-1])
        if not good:
            raise OSError(f"{path} could not be encoded")
        path.write_bytes(png.tobytes())


def publish_tree(draft: Path, tree: Path, drawing: Drawing) -> None:
    """Rename the draft to its final name; what is there and not whole goes, what is whole stays."""
    for _ in range(10):
        try:
            draft.rename(tree)
            return
        except OSError:  # something stands there
            if is_whole(tree, drawing):
                return
        wreck = Path(tempfile.mkdtemp(prefix=f".{tree.name}.", dir=tree.parent))
        try:
            tree.rename(wreck / "wreck")
        except FileNotFoundError:
            pass  # another process was quicker
        finally:
            shutil.rmtree(wreck, ignore_errors=True)
    raise OSError("something else keeps appearing there")


def sweep_up(tree: Path) -> None:
    """Remove drafts of processes that were killed: those older than an hour."""
    for draft in tree.parent.glob(f".{tree.name}.*"):
        if time.time() - draft.stat().st_mtime > 3600:
            shutil.rmtree(draft, ignore_errors=True)


class Demo(UCFCrime):
    """The drawn UCF-Crime, written below `root` the first time its frames are asked for.

    Parameters
    ----------
    root : str
        Where drawn trees are kept, each in a folder of its own, named after what determines it.
    seed : int
        Of the drawing; another one gives other videos.
    train_videos, test_videos : int
        Videos per class of anomaly.
    normal_train_videos, normal_test_videos : int
    frames_per_video : int
        Kept frames of each video.
    labels, annotations, val_fraction, split_seed, every, max_frames_per_video, max_train_frames, max_test_frames
        As for `UCFCrime`.
    events : str, optional
        Likewise; without a file the events are those that were drawn.
    fps : float

    Attributes
    ----------
    root : Path
        The tree's own folder.
    """

    name = "demo"
    knows_events = True

    def __init__(
        self,
        root: str,
        seed: int,
        train_videos: PositiveInt,
        test_videos: PositiveInt,
        normal_train_videos: PositiveInt,
        normal_test_videos: PositiveInt,
        frames_per_video: PositiveInt,
        labels: Mapping[str, str | None],
        annotations: Mapping[str, str | None],
        val_fraction: Fraction,
        split_seed: int,
        every: PositiveInt,
        max_frames_per_video: PositiveInt | None,
        max_train_frames: PositiveInt | None,
        max_test_frames: PositiveInt | None,
        events: str | None,
        fps: PositiveFloat,
    ) -> None:
        self.drawing = Drawing(
            seed, train_videos, test_videos, normal_train_videos, normal_test_videos, frames_per_video
        )
        super().__init__(
            root=str(Path(root) / self.drawing.folder),
            labels=labels,
            annotations=annotations,
            val_fraction=val_fraction,
            split_seed=split_seed,
            every=every,
            max_frames_per_video=max_frames_per_video,
            max_train_frames=max_train_frames,
            max_test_frames=max_test_frames,
            events=events,
            fps=fps,
        )

    def check(self) -> None:
        """Raise `UserError` where the tree is neither there nor can be written."""
        if is_whole(self.root, self.drawing):
            super().check()
            return
        there = next(parent for parent in self.root.parents if parent.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise UserError(
                f"The demo's frames cannot be written to {self.root.parent}: {there} is no folder to write in."
            )

    def frames(self) -> pd.DataFrame:
        """The frame table as of `UCFCrime`, drawn first where it is not there yet."""
        if not is_whole(self.root, self.drawing):
            self.check()
            write_tree(self.root, self.drawing)
        return super().frames()

    def temporal_truth(self) -> Events:
        """The drawn events of the test videos, in frames of the "original"; those of the file where one is given."""
        given = super().temporal_truth()
        return self.drawing.events() if given is None else given
