"""UCF-Crime: a tree of frames, or annotation files, in; the frame table out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field, PositiveFloat, PositiveInt

from mtl import memory
from mtl.data.annotated_data import AnnotatedData
from mtl.data.annotations import read_annotations
from mtl.data.class_names import CLASSES, SPLITS, UCF_CRIME
from mtl.data.folders import EXTENSIONS, image_paths, is_image, or_list, scan
from mtl.data.frame_table import Listing, counts, frame_table
from mtl.data.split_folders import class_folders, passed_over, split_folder
from mtl.data.splits import hold_out, say_large_videos
from mtl.data.temporal_truth import refuse_events
from mtl.data.tree import check_folder, reported, say_missing, say_passed_over, thinned
from mtl.errors import UserError, nearest

log = logging.getLogger(__name__)

Fraction = Annotated[float, Field(gt=0, lt=1)]
NO_HOLD_OUT = ", a folder 'Val' beside 'Train', or data.annotations.val=FILE"  # what else is right
NAMED = "Frames are named <video>_<frame>.png, as in Abuse001_x264_120.png."


class UCFCrime(AnnotatedData):
    """The frames of UCF-Crime with their classes, videos and splits.

    Parameters
    ----------
    root : str
        Folder that holds the split folders, and below which all paths lie.
    labels : mapping of str to str or None
        By task a csv file of its labels by frame, see `mtl.data.labels.read_labels`; else the class tells.
    annotations : mapping of str to str or None
        For `train`, `val` and `test` a file of lines ``<path> <class>`` that takes
        the place of the split's folder. With neither a file nor a folder for `val`,
        validation videos are held out of train.
    val_fraction : float
        Share of each class's training frames that is held out, as near as whole videos
        come; counted as found, before thinning. Without effect where `val` is given.
    split_seed : int
        Of the hold-out.
    every : int
        Keep each video's every n-th frame.
    max_frames_per_video : int, optional
        Keep at most so many of a video, evenly over time.
    max_train_frames : int, optional
        Keep at most so many training frames, in proportion to class and video;
        validation is thinned at the same rate.
    max_test_frames : int, optional
        Likewise for test.
    events : str, optional
        The annotation of the test videos' events, see `read_events`.
    fps : float
        Frames of the original videos in a second; of delays and alarms.

    Attributes
    ----------
    kept : DataFrame
        After `frames`: per split and class the videos and frames found and kept.
    skipped : DataFrame
        After `frames`: `path` and `reason` of every file that looks like a frame but was left out.
    """

    name = "ucf_crime"
    classes: tuple[str, ...] = CLASSES

    def __init__(
        self,
        root: str,
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
        super().__init__(labels, events, fps)
        self.root = Path(root).expanduser().absolute()
        self.annotations = {split: annotations.get(split) for split in SPLITS}
        for split in annotations:
            if split not in SPLITS:
                raise UserError(f"data.annotations has no '{split}'. {nearest(split, SPLITS)}")
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.every = every
        self.max_frames_per_video = max_frames_per_video
        self.max_train_frames = max_train_frames
        self.max_test_frames = max_test_frames
        self.kept = pd.DataFrame()
        self.skipped = pd.DataFrame()

    def check(self) -> None:
        """Raise `UserError` where root, split folders, class folders, annotations or events are not as they should be.

        Looks at the first frame of every class folder only, so it costs the same
        for a hundred frames and for a million.
        """
        check_folder(self.root, "data.root")
        for split, file in self.annotations.items():
            if file is not None:
                if not _annotation_file(file).is_file():
                    raise UserError(f"data.annotations.{split}: there is no file {_annotation_file(file)}.")
            else:
                for _, folder in self._class_folders(split):
                    if not any(is_image(entry.name) for entry in scan(folder)):
                        raise UserError(f"Class folder {folder} holds no {or_list(EXTENSIONS)} file{_within(folder)}.")
        refuse_events({split: _annotation_file(file) for split, file in self.annotations.items() if file is not None})
        self.temporal_truth()

    def frames(self) -> pd.DataFrame:
        """The frame table, split and thinned.

        Returns
        -------
        DataFrame
            `path`, `class_name`, `video`, `frame`, `split`; sorted by split, class, video, frame.

        Raises
        ------
        UserError
            If a folder or a line is not understood, a video is in two splits or two
            classes, a frame is there twice, too many names do not say video and frame,
            or a split would have no frame.
        """
        self.check()
        skipped: list[tuple[str, str]] = []
        used: set[Path] = set()
        found = frame_table(self._listings(skipped, used), skipped, CLASSES)
        self.skipped = reported(skipped, len(found), self.root, NAMED)
        val = self._given("val")
        for split in ("train", "test") if val is None else SPLITS:
            _require_frames(found, split, self._given(split), self.skipped)
            say_missing(found, split)
        self._say_passed_over(used)
        if val is None:
            found = hold_out(found, self.val_fraction, self.split_seed, NO_HOLD_OUT)
        else:
            log.info("Validation is %s; none is held out of train, data.val_fraction has no effect.", val)
        kept = thinned(found, self.every, self.max_frames_per_video, self.max_train_frames, self.max_test_frames)
        self.kept = counts(found, kept)
        say_large_videos(kept)
        log.info(
            "%s: %d frames of %d videos found below %s, %d frames of %d videos kept.",
            self.name, len(found), len(found["video"].cat.categories),
            self.root, len(kept), len(kept["video"].cat.categories),
        )  # fmt: skip
        memory.give_back()  # names that were sorted: twice the table
        return kept

    def features(self) -> np.ndarray | None:
        """None: no features are given, the frames lie as files below `root`."""
        return None

    def _listings(self, skipped: list[tuple[str, str]], used: set[Path]) -> Iterator[Listing]:
        """What is there, split by split and class by class; the folders of images that were listed go to `used`."""
        listed: dict[Path, pa.Array] = {}
        for split, file in self.annotations.items():
            if file is not None:
                yield from read_annotations(_annotation_file(file), self.root, split, listed, UCF_CRIME)
                used.update(listed)
            else:
                for class_name, folder in self._class_folders(split):
                    used.add(folder)
                    yield Listing(split, class_name, image_paths(folder, self.root, skipped))

    def _class_folders(self, split: str) -> list[tuple[str, Path]]:
        """Class and folder of every class folder of a split, in order of name; none where validation has no folder."""
        folder = self._split_folder(split)
        return [] if folder is None else class_folders(folder, self.root, self._needed(), UCF_CRIME)

    def _split_folder(self, split: str) -> Path | None:
        """The folder of a split; None where validation has none."""
        return split_folder(self.root, split, self._needed())

    def _needed(self) -> list[str]:
        """Splits that must have a folder."""
        return [split for split in ("train", "test") if self.annotations[split] is None]

    def _given(self, split: str) -> Path | None:
        """The annotation file or else the folder of a split; None where validation has neither."""
        file = self.annotations[split]
        return self._split_folder(split) if file is None else _annotation_file(file)

    def _say_passed_over(self, used: set[Path]) -> None:
        """Name folders whose images are in no split, where it is folders that say what is."""
        say_passed_over(passed_over(self.root, used) if None in self.annotations.values() else [], self.root)


def _annotation_file(file: str) -> Path:
    """Where an annotation file lies."""
    return Path(file).expanduser().absolute()


def _require_frames(frames: pd.DataFrame, split: str, given: Path | None, skipped: pd.DataFrame) -> None:
    """Refuse a split of which no image's name can be read; the others may be so many that its share is small."""
    if not (frames["split"] == split).any():
        examples = ", ".join(f"'{path}' ({reason})" for path, reason in skipped.head(3).itertuples(index=False))
        raise UserError(
            f"Split '{split}' has no frame: no image of {given} can be used, skipped were {examples}. {NAMED}"
        )


def _within(folder: Path) -> str:
    """A hint where the frames lie a folder deeper."""
    deeper = sorted(entry.name for entry in scan(folder) if entry.is_dir())
    return f", only folders such as '{deeper[0]}'; frames should lie in the class folder itself" if deeper else ""
