"""Data sets of videos whose names tell the class, whatever folder they lie in; lists of names tell the split."""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from mtl.data.assigned import held_out, say_shared_sources, sources_of
from mtl.data.split_lists import require_lists, split_lists
from mtl.data.text import read_text
from mtl.data.tree import say_one_sided
from mtl.data.ucf_crime import Fraction
from mtl.data.video_classes import VideoNames
from mtl.data.video_data import VideoData
from mtl.data.video_rules import checked_pattern
from mtl.data.videos import EXTENSIONS, Video
from mtl.errors import UserError

log = logging.getLogger(__name__)

NUMBERS = re.compile(r"(?:[\s,]+-?\d+)+$")  # behind a name in a list: its label, perhaps how many frames there are
FEATURES = re.compile(r"(?:_i3d)?(?:__?\d)?\.npy$", re.IGNORECASE)  # lists of feature files serve too


class NamedVideos(VideoData):
    """Videos whose names tell the class.

    Parameters
    ----------
    root : str
    labels, fps
        As of `mtl.data.ucf_crime_videos.UCFCrimeVideos`, and so is what is not named here.
    events : str or None
        Annotation of the test videos' events in place of the data set's own.
    lists : mapping of str to str or None
        For `train` and `test` a file with a video's name per line, with or without folder and ending; numbers
        behind it are passed over. Where one is given, other videos are of the other split.
    source : str or None
        A regular expression with one group, searched in a video's name: videos in whose names it finds the
        same are held out for validation together. None: every video is its own source.
    """

    names: VideoNames

    def __init__(
        self,
        root: str,
        labels: Mapping[str, str | None],
        events: str | None,
        fps: PositiveFloat,
        lists: Mapping[str, str | None],
        source: str | None,
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
        limits = (max_frames_per_video, max_train_frames, max_test_frames)
        super().__init__(
            root, labels, events, fps, step, height, width, val_fraction, split_seed, limits, frames_dir, max_gib,
            workers, max_bad_share,
        )  # fmt: skip
        self.lists = split_lists(lists)
        self.source = checked_pattern(source)

    @abstractmethod
    def _find(self) -> list[Video]:
        """The videos there are; `folder_split` where folders tell the split."""

    def check(self) -> None:
        """Raise `UserError` where root, names, lists or events are not as they should be; no video is opened."""
        if not self.root.root.is_dir():
            raise UserError(f"data.root is not there: {self.root}. It should hold the videos of {self.names.of}.")
        require_lists(self.lists)
        self._plan()
        self.temporal_truth()

    def _plan(self) -> tuple[list[Video], dict[str, str]]:
        """The videos that count, and the split of each by name."""
        found = self._find()
        by_name: dict[str, Video] = {}
        for video in found:
            if video.name in by_name:
                raise UserError(
                    f"Two videos have the name '{video.name}': {by_name[video.name].file} and {video.file}. "
                    "Keep or rename one."
                )
            by_name[video.name] = video
        split_of = self._listed(by_name) if self.lists else self._told(found)
        videos = [video for video in found if video.name in split_of]
        if len(videos) < len(found):
            left_out = next(video for video in found if video.name not in split_of)
            log.warning(
                "%d videos are on neither list and left out, such as %s.", len(found) - len(videos), left_out.file
            )
        return videos, split_of

    def _listed(self, by_name: Mapping[str, Video]) -> dict[str, str]:
        """Split by name as the lists say."""
        split_of: dict[str, str] = {}
        where: dict[str, str] = {}
        for split, file in self.lists.items():
            for number, name in read_names(file):
                if name not in by_name:
                    raise UserError(
                        f"{file}:{number}: '{name}' is no video below {self.root}, which holds such as "
                        f"'{next(iter(by_name))}'."
                    )
                if split_of.get(name, split) != split:
                    raise UserError(f"{file}:{number}: '{name}' is there already, in {where[name]}.")
                split_of[name] = split
                where.setdefault(name, f"{file}:{number}")
        if len(self.lists) == 1:
            rest = "test" if "train" in self.lists else "train"
            split_of = dict.fromkeys(by_name, rest) | split_of
        return split_of

    def _told(self, found: Sequence[Video]) -> dict[str, str]:
        """Split by name as the folders say."""
        untold = [video for video in found if video.folder_split is None]
        if untold:
            raise UserError(
                f"Nothing tells the split of {len(untold)} videos, such as {untold[0].file}. "
                f"Right would be data.lists.train=FILE data.lists.test=FILE, or folders Train and Test."
            )
        return {video.name: str(video.folder_split) for video in found}

    def _class_of(self, file: Path, name: str) -> str:
        """The class that a video's name tells."""
        class_name = self.names.class_of(name)
        if class_name is None:
            raise UserError(f"{file}: the name tells no class of {self.names.of}; right would be {self.names.right}.")
        return class_name

    def _say_missing(self, frames: pd.DataFrame, split: str) -> None:
        """Say that a split has no anomaly or nothing else; of sets of labels, few are ever there."""
        say_one_sided(frames, split)

    def _hold_out(self, frames: pd.DataFrame) -> pd.DataFrame:
        """The table with whole sources held out of train; sources that test has too are said."""
        sources = sources_of({name: name for name in frames["video"].cat.categories}, self.source)
        say_shared_sources(frames, sources, ["test"])
        return held_out(frames, "val", self.val_fraction, self.split_seed, sources, self.no_hold_out)


def read_names(file: Path) -> list[tuple[int, str]]:
    """Line number and name of every video that a list names, once or, with feature files by crop, again.

    Raises
    ------
    UserError
        If it names none.
    """
    found = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        entry = NUMBERS.sub("", line.strip()).replace("\\", "/").rpartition("/")[2]
        entry = FEATURES.sub("", entry)
        if entry.lower().endswith(EXTENSIONS):
            entry = entry.rpartition(".")[0]
        if entry:
            found.append((number, entry))
    if not found:
        raise UserError(f"{file} names no video; it should hold one name per line.")
    return found
