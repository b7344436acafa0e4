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
from mtl.data.annotations import read_annotations
from mtl.data.class_names import CLASSES, SPLITS
from mtl.data.events import Events
from mtl.data.folders import EXTENSIONS, image_paths, is_image, or_list, scan
from mtl.data.frame_table import TEXT, Listing, categorical, counts, frame_table
from mtl.data.split_folders import class_folders, passed_over, quoted, split_folder
from mtl.data.splits import (
    at_most,
    at_most_per_video,
    every_nth,
    hold_out_videos,
    require_videos_to_hold_out,
    say_large_videos,
)
from mtl.data.temporal_truth import events_of, refuse_events
from mtl.errors import UserError, nearest

log = logging.getLogger(__name__)

Fraction = Annotated[float, Field(gt=0, lt=1)]
# above this share the names follow another rule, and skipping would be the wrong thing to do
MAX_SKIPPED_SHARE = 0.02
SAID = 5  # folders that one line names


class UCFCrime:
    """The frames of UCF-Crime with their classes, videos and splits.

    Parameters
    ----------
    root : str
        Folder that holds the split folders, and below which all paths lie.
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
        self.events = events
        self.fps = fps
        self.kept = pd.DataFrame()
        self.skipped = pd.DataFrame()

    def check(self) -> None:
        """Raise `UserError` where root, split folders, class folders, annotations or events are not as they should be.

        Looks at the first frame of every class folder only, so it costs the same
        for a hundred frames and for a million.
        """
        _check_folder(self.root, "data.root")
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
        found = frame_table(self._listings(skipped, used), skipped)
        self.skipped = _reported(skipped, len(found), self.root)
        val = self._given("val")
        for split in ("train", "test") if val is None else SPLITS:
            _require_frames(found, split, self._given(split), self.skipped)
            _say_missing(found, split)
        self._say_passed_over(used)
        if val is None:
            found = self._hold_out(found)
        else:
            log.info("Validation is %s; none is held out of train, data.val_fraction has no effect.", val)
        kept = self._thin(found)
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

    def temporal_truth(self) -> Events | None:
        """The annotated events, of whatever videos the file names; None where there is no file."""
        return None if self.events is None else events_of(self.events)

    def _listings(self, skipped: list[tuple[str, str]], used: set[Path]) -> Iterator[Listing]:
        """What is there, split by split and class by class; the folders of images that were listed go to `used`."""
        listed: dict[Path, pa.Array] = {}
        for split, file in self.annotations.items():
            if file is not None:
                yield from read_annotations(_annotation_file(file), self.root, split, listed)
                used.update(listed)
            else:
                for class_name, folder in self._class_folders(split):
                    used.add(folder)
                    yield Listing(split, class_name, image_paths(folder, self.root, skipped))

    def _class_folders(self, split: str) -> list[tuple[str, Path]]:
        """Class and folder of every class folder of a split, in order of name; none where validation has no folder."""
        folder = self._split_folder(split)
        return [] if folder is None else class_folders(folder, self.root, self._needed())

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
        folders = passed_over(self.root, used) if None in self.annotations.values() else []
        if folders:
            more = f" and {len(folders) - SAID} more" if len(folders) > SAID else ""
            log.warning(
                "Images in %s%s below %s are in no split and are passed over. Frames lie in <split>/<class>/; "
                "folders of splits are named Train, Val and Test, or training, valid, validation and testing.",
                quoted(folders[:SAID]), more, self.root,
            )  # fmt: skip

    def _hold_out(self, frames: pd.DataFrame) -> pd.DataFrame:
        """The table with validation videos taken out of train."""
        in_train = frames[frames["split"] == "train"]
        n_frames = in_train["video"].value_counts()
        videos = in_train.drop_duplicates("video")
        require_videos_to_hold_out(videos["class_name"])
        held_out = hold_out_videos(
            videos["video"].astype(str).tolist(),
            videos["class_name"].astype(str).tolist(),
            n_frames[videos["video"]].tolist(),
            self.val_fraction,
            self.split_seed,
        )
        is_held_out = frames["video"].cat.categories.isin(held_out)[frames["video"].cat.codes]
        split = np.where(is_held_out, np.int8(SPLITS.index("val")), frames["split"].cat.codes.to_numpy())
        order = np.argsort(split, kind="stable")  # rows were in order within each split
        frames = frames.take(order).reset_index(drop=True)
        frames["split"] = categorical(split[order], SPLITS)
        return frames

    def _thin(self, frames: pd.DataFrame) -> pd.DataFrame:
        """The frames that the options keep; every split by itself, so that the split does not move."""
        frames = at_most_per_video(every_nth(frames, self.every), self.max_frames_per_video)
        parts = {split: frames[frames["split"] == split].reset_index(drop=True) for split in SPLITS}
        if self.max_train_frames is not None and len(parts["train"]) > self.max_train_frames:
            rate = self.max_train_frames / len(parts["train"])
            parts["train"] = at_most(parts["train"], self.max_train_frames)
            parts["val"] = at_most(parts["val"], max(round(rate * len(parts["val"])), 1))
        parts["test"] = at_most(parts["test"], self.max_test_frames)
        kept = pd.concat(list(parts.values()), ignore_index=True)
        kept["video"] = kept["video"].cat.remove_unused_categories()
        return kept


def _check_folder(folder: Path, key: str) -> None:
    """Refuse a folder that is not there, and say how far the path goes."""
    if not folder.is_dir():
        if folder.exists():
            raise UserError(f"{key} is not a folder: {folder}")
        there = next(parent for parent in folder.parents if parent.exists())
        raise UserError(f"{key} is not there: {folder} (its path ends at {there}).")


def _annotation_file(file: str) -> Path:
    """Where an annotation file lies."""
    return Path(file).expanduser().absolute()


def _reported(skipped: list[tuple[str, str]], n_frames: int, root: Path) -> pd.DataFrame:
    """The skipped files as a table; said aloud, and too many of them refused."""
    if skipped:
        examples = ", ".join(f"'{path}' ({reason})" for path, reason in skipped[:3])
        said = f"{len(skipped)} of {n_frames + len(skipped)} images below {root} cannot be used, such as {examples}."
        if len(skipped) > MAX_SKIPPED_SHARE * (n_frames + len(skipped)):
            raise UserError(f"{said} Frames are named <video>_<frame>.png, as in Abuse001_x264_120.png.")
        log.warning("%s", said)
    return pd.DataFrame(skipped, columns=["path", "reason"], dtype=TEXT)


def _say_missing(frames: pd.DataFrame, split: str) -> None:
    """Say which classes a split lacks: what is asked of them cannot be learned, or not be scored."""
    present = set(frames.loc[frames["split"] == split, "class_name"].unique())
    missing = [name for name in CLASSES if name not in present]
    if missing:
        log.warning("No frame of %s in %s.", ", ".join(missing), split)


def _require_frames(frames: pd.DataFrame, split: str, given: Path | None, skipped: pd.DataFrame) -> None:
    """Refuse a split of which no image's name can be read; the others may be so many that its share is small."""
    if not (frames["split"] == split).any():
        examples = ", ".join(f"'{path}' ({reason})" for path, reason in skipped.head(3).itertuples(index=False))
        raise UserError(
            f"Split '{split}' has no frame: no image of {given} can be used, skipped were {examples}. "
            f"Frames are named <video>_<frame>.png, as in Abuse001_x264_120.png."
        )


def _within(folder: Path) -> str:
    """A hint where the frames lie a folder deeper."""
    deeper = sorted(entry.name for entry in scan(folder) if entry.is_dir())
    return f", only folders such as '{deeper[0]}'; frames should lie in the class folder itself" if deeper else ""
