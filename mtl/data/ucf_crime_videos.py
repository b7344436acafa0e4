"""UCF-Crime as it is released: a folder of videos in; the frame table out, each video decoded once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from mtl import memory
from mtl.data.annotated_data import AnnotatedData
from mtl.data.class_names import CLASSES, SPLITS, class_of
from mtl.data.decoded_videos import Decoded, DecodedVideos
from mtl.data.decoding import n_cores
from mtl.data.frame_table import TEXT, counts, sorted_table
from mtl.data.splits import hold_out, say_large_videos
from mtl.data.tree import say_missing, thinned
from mtl.data.ucf_crime import Fraction
from mtl.data.video_frames import Sampling
from mtl.data.videos import SplitLists, Video, find_videos, lists_for, one_of_each, split_videos
from mtl.errors import UserError, nearest

log = logging.getLogger(__name__)

LISTS = ("train", "test")
NAMED = 3  # videos that one line names


class UCFCrimeVideos(AnnotatedData):
    """The frames of the videos of UCF-Crime, with the same numbers as a tree of frames cut out of them.

    Parameters
    ----------
    root : str
        Folder that holds ``<Class>/<video>.mp4`` (or avi, webm, ...) at any depth, as the release unpacks.
    labels : mapping of str to str or None
        By task a csv file of its labels by frame, see `mtl.data.labels.read_labels`; else the class tells.
    events : str or None
        Annotation of the test videos' events, see `mtl.data.events.read_events`; None: not known.
    fps : float
        Frames of the original videos in a second; of delays and alarms.
    lists : mapping of str to str or None
        For `train` and `test` a file as the official Anomaly_Train.txt. With neither, the official ones
        where they lie in `root`, else the folders tell the split.
    classes : sequence of str, optional
        Videos of other classes are left out; None takes all.
    step : int
        Every step-th frame is kept, from frame 0.
    height, width : int, optional
        Of the kept frames; None leaves them as they are.
    val_fraction : float
        Share of each class's training frames that is held out, as near as whole videos
        come; counted as found, before thinning. Without effect where folders tell of validation videos.
    split_seed : int
        Of the hold-out.
    max_frames_per_video, max_train_frames, max_test_frames : int, optional
        As in `mtl.data.ucf_crime.UCFCrime`.
    frames_dir : str
        Where decoded frames are kept.
    max_gib : float
        Frames that take more are refused.
    workers : int, optional
        Processes that decode; None takes one per core.
    max_bad_share : float
        More bad videos than this share of them end it.

    Attributes
    ----------
    root : DecodedVideos
        Reads the frames.
    kept : DataFrame
        After `frames`: per split and class the videos and frames found and kept.
    skipped : DataFrame
        After `frames`: `path` and `reason` of every video that was left out as bad.
    """

    name = "ucf_crime_videos"

    def __init__(
        self,
        root: str,
        labels: Mapping[str, str | None],
        events: str | None,
        fps: PositiveFloat,
        lists: Mapping[str, str | None],
        classes: Sequence[str] | None,
        step: PositiveInt,
        height: PositiveInt | None,
        width: PositiveInt | None,
        val_fraction: Fraction,
        split_seed: int,
        max_frames_per_video: PositiveInt | None,
        max_train_frames: PositiveInt | None,
        max_test_frames: PositiveInt | None,
        frames_dir: str,
        max_gib: PositiveFloat,
        workers: PositiveInt | None,
        max_bad_share: NonNegativeFloat,
    ) -> None:
        super().__init__(labels, events, fps)
        if (height is None) != (width is None):
            raise UserError(
                f"data.height is {height} and data.width is {width}; right would be both, or null for both."
            )
        for split in lists:
            if split not in LISTS:
                raise UserError(f"data.lists has no '{split}'. {nearest(split, LISTS)}")
        folder = Path(frames_dir).expanduser().absolute()
        self.root = DecodedVideos(
            Path(root).expanduser().absolute(), folder, Sampling(step, width, height), max_gib, workers or n_cores()
        )
        self._frames_dir = folder
        self.lists = {split: _file(lists.get(split)) for split in LISTS}
        self.classes = CLASSES if classes is None else _known(classes)
        self.step = step
        self.val_fraction, self.split_seed = val_fraction, split_seed
        self._limits = (max_frames_per_video, max_train_frames, max_test_frames)
        self.max_bad_share = max_bad_share
        self.kept = pd.DataFrame()
        self.skipped = pd.DataFrame()

    def check(self) -> None:
        """Raise `UserError` where root or lists are not as they should be; no video is opened."""
        self.temporal_truth()
        if not self.root.root.is_dir():
            raise UserError(f"data.root is not there: {self.root}. It should hold <Class>/<video>.mp4.")
        for split, file in self.lists.items():
            if file is not None and not file.is_file():
                raise UserError(f"data.lists.{split}: there is no file {file}.")

    def features(self) -> np.ndarray | None:
        """None: no features are given, the frames are those of videos."""
        return None

    def frames(self) -> pd.DataFrame:
        """The frame table, split and thinned; videos that are not decoded yet are decoded now.

        A frame's path is ``<video's path>#<frame>``, its number that of the coded frame, from 0.

        Returns
        -------
        DataFrame
            `path`, `class_name`, `video`, `frame`, `split`; sorted by split, class, video, frame.

        Raises
        ------
        UserError
            If a folder or a line is not understood, nothing tells a video's split, none of the listed
            videos is there, too many cannot be decoded, or a split would have no frame.
        """
        self.check()
        videos, split_of = self._plan()
        decoded = self.root.decode(videos)
        self._book_bad(decoded)
        good = [one for one in decoded if not one.reason]
        for split in ("train", "test"):
            if not any(split_of[one.video.name] == split for one in good):
                raise UserError(
                    f"Split '{split}' has no video of {self.root}. Right would be data.lists.{split}=FILE, or folders "
                    f"Train and Test."
                )
        rows = pa.concat_tables(self._rows(one, split_of[one.video.name]) for one in good)
        found = sorted_table(rows, self.classes)
        for split in ("train", "test"):
            say_missing(found, split)
        if (found["split"] == "val").any():
            log.info("Validation is told by folders; none is held out of train, data.val_fraction has no effect.")
        else:
            found = hold_out(found, self.val_fraction, self.split_seed)
        kept = thinned(found, 1, *self._limits)  # every `step`-th was taken when they were decoded
        self.kept = counts(found, kept)
        say_large_videos(kept)
        log.info(
            "%s: %d frames (every %d.) of %d videos found below %s, %d frames of %d videos kept.",
            self.name, len(found), self.step, len(good), self.root, len(kept), len(kept["video"].cat.categories),
        )  # fmt: skip
        memory.give_back()
        return kept

    def _plan(self) -> tuple[list[Video], dict[str, str]]:
        """The videos that count, and the split of each by name."""
        root = self.root.root
        lists = lists_for(root, self.lists["train"], self.lists["test"])
        found = one_of_each(find_videos(root, without=self._frames_dir), lists)
        wanted = [video for video in found if video.class_name in self.classes]
        if len(wanted) < len(found):
            log.info("%d videos of classes that are not in data.classes are left out.", len(found) - len(wanted))
        untold = [video for video in wanted if video.folder_split is None]
        if not lists.split_of and untold:
            raise UserError(
                f"Nothing tells the split of {len(untold)} videos, such as {untold[0].file}. Right would be "
                f"data.lists.train=Anomaly_Train.txt data.lists.test=Anomaly_Test.txt, or folders Train and Test."
            )
        split_of = split_videos(wanted, lists, {}, 0.0, 0)
        self._say_absent(found, lists)
        videos = [video for video in wanted if video.name in split_of]
        if not videos:
            raise UserError(f"None of the {len(found)} videos below {root} is of data.classes and on a list.")
        if len(videos) < len(wanted):
            left_out = next(video for video in wanted if video.name not in split_of)
            log.warning(
                "%d videos are on neither list and left out, such as %s.", len(wanted) - len(videos), left_out.file
            )
        return videos, split_of

    def _say_absent(self, found: Sequence[Video], lists: SplitLists) -> None:
        """Say which listed videos are not there; refuse where that is all of them."""
        names = {video.name for video in found}
        absent = [entry for name, entry in lists.entry_of.items() if name not in names]
        if not absent:
            return
        named = ", ".join(absent[:NAMED]) + (", ..." if len(absent) > NAMED else "")
        if len(absent) == len(lists.entry_of):
            raise UserError(
                f"None of the {len(absent)} listed videos is below {self.root}: {named}. There is {found[0].file}."
            )
        log.warning(
            "%d of the %d listed videos are not below %s: %s.", len(absent), len(lists.entry_of), self.root, named
        )

    def _book_bad(self, decoded: Sequence[Decoded]) -> None:
        """Make the bad videos a table; say them, and refuse too many."""
        bad = [(_printable(self.root.path(one.video)), one.reason) for one in decoded if one.reason]
        self.skipped = pd.DataFrame(bad, columns=["path", "reason"], dtype=TEXT)
        if not bad:
            return
        if len(bad) > self.max_bad_share * len(decoded):
            named = ", ".join(f"{path} ({reason})" for path, reason in bad[:NAMED])
            raise UserError(
                f"{len(bad)} of {len(decoded)} videos of {self.root} are bad, more than features.max_bad_share="
                f"{self.max_bad_share:g} allows: {named}{', ...' if len(bad) > NAMED else ''}"
            )
        for path, reason in bad:
            log.warning("Video %s is left out: %s.", path, reason)

    def _rows(self, one: Decoded, split: str) -> pa.Table:
        """The frames of a video, as `sorted_table` takes them."""
        path, numbers = self.root.path(one.video), range(0, one.frames, self.step)
        n = len(numbers)
        return pa.table(
            {
                "path": pa.array([f"{path}#{number}" for number in numbers], pa.large_string()),
                "video": pa.array([one.video.name] * n, pa.large_string()),
                "frame": pa.array(np.array(numbers, np.int32)),
                "split": np.full(n, SPLITS.index(split), np.int8),
                "class_name": np.full(n, self.classes.index(one.video.class_name), np.int8),
            }
        )


def _file(name: str | None) -> Path | None:
    """Where a list lies."""
    return None if name is None else Path(name).expanduser().absolute()


def _known(classes: Sequence[str]) -> tuple[str, ...]:
    """The classes by their canonical names, in canonical order."""
    for name in classes:
        if class_of(str(name)) is None:
            raise UserError(f"data.classes: '{name}' is no class of UCF-Crime. {nearest(str(name), CLASSES)}")
    chosen = {class_of(str(name)) for name in classes}
    if len(chosen) < 2:
        raise UserError(f"data.classes: two classes at least are to be told apart, found {list(classes)}.")
    if "Normal" not in chosen:
        log.warning("data.classes lacks Normal: no frame is left that is no anomaly.")
    return tuple(name for name in CLASSES if name in chosen)


def _printable(path: str) -> str:
    """A path as text, whatever its bytes."""
    return path.encode("utf-8", "replace").decode()
