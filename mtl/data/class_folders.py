"""Any folders of images or videos: what a folder is called is the class; the frame table out."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from mtl import memory
from mtl.data.annotated_data import AnnotatedData
from mtl.data.assigned import by_file, held_out, say_shared_sources, sources_of
from mtl.data.class_names import SPLITS
from mtl.data.class_tree import ClassTree, class_tree, images_below, one_kind
from mtl.data.decoded_videos import DecodedVideos
from mtl.data.decoding import n_cores
from mtl.data.folders import is_image, scan
from mtl.data.frame_table import FrameNames, Listing, counts, frame_table, sorted_table
from mtl.data.split_folders import passed_over
from mtl.data.splits import say_large_videos
from mtl.data.tree import reported, say_missing, say_passed_over, thinned
from mtl.data.ucf_crime import Fraction
from mtl.data.video_data import check_size, left_out, rows_of
from mtl.data.video_frames import Sampling
from mtl.data.video_rules import checked_pattern, found_in, frame_names, one_rule
from mtl.data.videos import Video, video_at, video_files
from mtl.errors import UserError
from mtl.tasks import NORMAL

log = logging.getLogger(__name__)

VideoRule = Literal["auto", "folder", "name", "file"]


class ClassFolders(AnnotatedData):
    """Images or videos in `<root>/<split>/<Class>/...` or in `<root>/<Class>/...`.

    A class is called as its folder is, but for the normal one, which is `Normal` in tables and may be called
    either way in tasks. Splits are what folders of splits say, or a file, and val and test are held out of
    train where neither says: whole videos, and all videos of a source together.

    Parameters
    ----------
    root : str
    labels : mapping of str to str or None
        By task a csv file of its labels by frame, see `mtl.data.labels.read_labels`; else the class tells.
    events : str or None
        Annotation of the test videos' events, see `mtl.data.events.read_events`; None: not known.
    fps : float
        Frames of the original videos in a second; of delays and alarms.
    normal : str or None
        Folder of the class that is no anomaly; None: the only one whose name says so (`Normal`,
        `NonViolence`, `no_fight`), if there is one.
    video : {"auto", "folder", "name", "file"}
        What a video is where there are images: every folder within a class folder; what `<video>_<frame>`
        says; every image. `auto` takes what all class folders agree on.
    split_file : str or None
        Lines `<video> <split>`, or a csv of `video,split`, where the root has no folders of splits.
    source : str or None
        A regular expression with one group, searched in a video's name: what all videos of a source share.
        None: every video is its own source.
    val_fraction, test_fraction : float
        Share of each class's training frames that is held out where a split is not given, test first.
    split_seed : int
        Of the hold-out.
    every, max_frames_per_video, max_train_frames, max_test_frames
        As for `UCFCrime`.
    step, height, width, frames_dir, max_gib, workers, max_bad_share
        Of videos alone, as of `mtl.data.ucf_crime_videos.UCFCrimeVideos`.

    Attributes
    ----------
    root : Path or DecodedVideos
        Where frames are read from.
    kept, skipped : DataFrame
        As of `UCFCrime`.
    """

    name = "class_folders"

    def __init__(
        self,
        root: str,
        labels: Mapping[str, str | None],
        events: str | None,
        fps: PositiveFloat,
        normal: str | None,
        video: VideoRule,
        split_file: str | None,
        source: str | None,
        val_fraction: Fraction,
        test_fraction: Fraction,
        split_seed: int,
        every: PositiveInt,
        max_frames_per_video: PositiveInt | None,
        max_train_frames: PositiveInt | None,
        max_test_frames: PositiveInt | None,
        step: PositiveInt,
        height: PositiveInt | None,
        width: PositiveInt | None,
        frames_dir: str,
        max_gib: PositiveFloat,
        workers: PositiveInt | None,
        max_bad_share: NonNegativeFloat,
    ) -> None:
        super().__init__(labels, events, fps)
        check_size(height, width)
        self.folder = Path(root).expanduser().absolute()
        self._decoded = DecodedVideos(
            self.folder, Path(frames_dir).expanduser().absolute(), Sampling(step, width, height), max_gib,
            workers or n_cores(),
        )  # fmt: skip
        self.max_bad_share = max_bad_share
        self.normal = normal
        self.video = video
        self.split_file = None if split_file is None else Path(split_file).expanduser().absolute()
        self.source: re.Pattern[str] | None = checked_pattern(source)
        self.fractions = {"test": test_fraction, "val": val_fraction}
        self.split_seed = split_seed
        self.every = every
        self.max_frames_per_video = max_frames_per_video
        self.max_train_frames = max_train_frames
        self.max_test_frames = max_test_frames
        self.kept = pd.DataFrame()
        self.skipped = pd.DataFrame()

    @property
    def root(self) -> Path | DecodedVideos:
        """Where frames are read from."""
        return self._decoded if self._kind == "videos" else self.folder

    @cached_property
    def _kind(self) -> str:
        """What the class folders hold: `images` or `videos`."""
        return one_kind(self._tree)

    @cached_property
    def _tree(self) -> ClassTree:
        """Class folders below the root, looked at once."""
        return class_tree(self.folder, self.normal)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in order of name, as tables call them."""
        return self._tree.known.names

    @property
    def other_names(self) -> dict[str, str]:
        """What tasks may call classes beside `classes`: the normal class by its folder."""
        return {self._tree.normal: NORMAL} if self._tree.normal not in (None, NORMAL) else {}

    def check(self) -> None:
        """Raise `UserError` where root, class folders or the file of splits are not as they should be."""
        self.temporal_truth()
        if self._kind == "videos" and self.video not in ("auto", "file"):
            raise UserError(
                f"data.video={self.video} is of images, but the class folders of {self.folder} hold videos; right "
                "would be data.video=auto."
            )
        if self.split_file is None:
            return
        if not self.split_file.is_file():
            raise UserError(f"data.split_file: there is no file {self.split_file}.")
        if self._tree.splits:
            raise UserError(
                f"data.split_file: is given, but {self.folder} has folders of splits ({', '.join(self._tree.splits)}). "
                "Right would be data.split_file=null, or class folders right below data.root."
            )

    def frames(self) -> pd.DataFrame:
        """The frame table, split and thinned.

        Returns
        -------
        DataFrame
            `path`, `class_name`, `video`, `frame`, `split`; sorted by split, class, video, frame.

        Raises
        ------
        UserError
            If what a video is cannot be told, a video is in two splits or classes, a frame is there twice,
            too many images cannot be used, or a split would have no frame.
        """
        self.check()
        found, with_class = self._videos() if self._kind == "videos" else self._images()
        self._say_passed_over()
        self._say_normal()
        found = self._split(found, with_class)
        kept = thinned(found, self.every, self.max_frames_per_video, self.max_train_frames, self.max_test_frames)
        self.kept = counts(found, kept)
        say_large_videos(kept)
        log.info(
            "%s: %d frames of %d videos found below %s, %d frames of %d videos kept.",
            self.name, len(found), len(found["video"].cat.categories),
            self.folder, len(kept), len(kept["video"].cat.categories),
        )  # fmt: skip
        memory.give_back()
        return kept

    def _images(self) -> tuple[pd.DataFrame, bool]:
        """The table of images, all in train where no folder tells, and whether videos are told by their class."""
        skipped: list[tuple[str, str]] = []
        listings = [
            Listing(folder.split or "train", folder.class_name, images_below(folder.path, self.folder, skipped))
            for folder in self._tree.folders
        ]
        rule = self._rule(listings)
        names, with_class = self._names(rule, listings)
        found = frame_table(listings, skipped, self.classes, names)
        self.skipped = reported(skipped, len(found), self.folder, f"data.video={rule} does not fit them.")
        return found, with_class

    def _videos(self) -> tuple[pd.DataFrame, bool]:
        """The same of videos; those that are not decoded yet are decoded now."""
        by_class: dict[str, set[str]] = {}
        places: dict[tuple[str, str], Path] = {}
        videos: list[Video] = []
        for folder in self._tree.folders:
            for file in video_files(folder.path, self._decoded.folder.parent):
                key = (folder.class_name, file.stem)
                if key in places:
                    raise UserError(
                        f"Two videos have the name '{file.stem}': {places[key]} and {file}. Keep or rename one."
                    )
                places[key] = file
                by_class.setdefault(folder.class_name, set()).add(file.stem)
                videos.append(video_at(file, folder.class_name, folder.split or "train"))
        with_class = _are_shared(by_class.values())
        decoded = self._decoded.decode(videos)
        self.skipped = left_out(decoded, self._decoded, self.max_bad_share)
        rows = [
            rows_of(
                one,
                f"{one.video.class_name}/{one.video.name}" if with_class else one.video.name,
                str(one.video.folder_split),
                self._decoded,
                self.classes,
            )
            for one in decoded
            if not one.reason
        ]
        return sorted_table(pa.concat_tables(rows), self.classes), with_class

    def features(self) -> np.ndarray | None:
        """None: no features are given, the frames are those of files below `root`."""
        return None

    def _rule(self, listings: Sequence[Listing]) -> str:
        """What a video is here."""
        if self.video != "auto":
            return self.video
        places = [folder.path.relative_to(self.folder).as_posix() for folder in self._tree.folders]
        return one_rule([found_in(each, place, self._tree.depth) for each, place in zip(listings, places, strict=True)])

    def _names(self, rule: str, listings: Sequence[Listing]) -> tuple[FrameNames, bool]:
        """How paths are read, and whether a video's name begins with its class, as two have one name else."""
        names = frame_names(rule, self._tree.depth, False)
        if rule == "file":
            log.warning(
                "Every image is a video of its own: those of one scene may be in train and in test. "
                "data.source=PATTERN keeps them together, as do names <video>_<frame>.png or a folder per video."
            )
        if rule == "name":
            return names, False
        videos: dict[str, set[str]] = {}
        for listing in listings:
            own = pc.unique(pc.struct_field(names.read(listing.paths), "video").drop_null()).to_pylist()
            videos.setdefault(listing.class_name, set()).update(own)
        if not _are_shared(videos.values()):
            return names, False
        return frame_names(rule, self._tree.depth, True), True

    def _say_passed_over(self) -> None:
        """Name images that no class folder holds."""
        loose = sum(is_image(entry.name) for entry in scan(self.folder))
        if loose:
            log.warning("%d images in %s itself are in no class folder and are passed over.", loose, self.folder)
        if self._tree.splits:
            used = {folder.path for folder in self._tree.folders}
            # what lies below a class folder is used, however deep
            say_passed_over([name for name in passed_over(self.folder, used) if "/" not in name], self.folder)

    def _say_normal(self) -> None:
        """Say which class is the normal one."""
        if self._tree.normal is None:
            log.warning(
                "No class is the normal one: videos are drawn from one stratum. Right may be data.normal=CLASS, of %s.",
                ", ".join(self.classes),
            )
        elif self._tree.normal != NORMAL:
            log.info("The normal class is '%s'; tables call it %s.", self._tree.normal, NORMAL)

    def _split(self, frames: pd.DataFrame, with_class: bool) -> pd.DataFrame:
        """The table with every split: as given, the others held out of train."""
        bare = {name: name.partition("/")[2] if with_class else name for name in frames["video"].cat.categories}
        sources = sources_of(bare, self.source)
        if self.split_file is not None:
            frames = by_file(frames, self.split_file, bare)
        given = [split for split in SPLITS if (frames["split"] == split).any()]
        for split in self._tree.splits:
            if split not in given:  # else videos of train would take its place
                raise UserError(
                    f"Split '{split}' has no frame: no image of its folder below {self.folder} can be used."
                )
        for split, fraction in self.fractions.items():
            if split not in given:
                frames = held_out(frames, split, fraction, self.split_seed, sources, self._no_hold_out())
        say_shared_sources(frames, sources, given)
        for split in SPLITS:
            say_missing(frames, split)
        return frames

    def _no_hold_out(self) -> str:
        """What else is right where no video can be held out."""
        if self._kind == "videos" or self.video in ("file", "folder"):
            return ""
        return ", or, where every image or folder is a video of its own, data.video=file or folder"


def _are_shared(names: Iterable[set[str]]) -> bool:
    """Whether videos of several classes have one name, which is said."""
    names = list(names)
    if len(set().union(*names)) == sum(map(len, names)):
        return False
    log.info("Videos of several classes have the same names: all are told by their class too.")
    return True
