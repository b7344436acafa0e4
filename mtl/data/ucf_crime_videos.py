"""UCF-Crime as it is released: a folder of videos in; the frame table out, each video decoded once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from mtl.data.class_names import CLASSES, class_of
from mtl.data.split_lists import require_lists, split_lists
from mtl.data.ucf_crime import Fraction
from mtl.data.video_data import NAMED, VideoData
from mtl.data.videos import SplitLists, Video, find_videos, lists_for, one_of_each, split_videos
from mtl.errors import UserError, nearest

log = logging.getLogger(__name__)


class UCFCrimeVideos(VideoData):
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
        limits = (max_frames_per_video, max_train_frames, max_test_frames)
        super().__init__(
            root, labels, events, fps, step, height, width, val_fraction, split_seed, limits, frames_dir, max_gib,
            workers, max_bad_share,
        )  # fmt: skip
        self.lists = split_lists(lists)
        self.classes = CLASSES if classes is None else _known(classes)

    def check(self) -> None:
        """Raise `UserError` where root or lists are not as they should be; no video is opened."""
        self.temporal_truth()
        if not self.root.root.is_dir():
            raise UserError(f"data.root is not there: {self.root}. It should hold <Class>/<video>.mp4.")
        require_lists(self.lists)

    def _plan(self) -> tuple[list[Video], dict[str, str]]:
        """The videos that count, and the split of each by name."""
        root = self.root.root
        lists = lists_for(root, self.lists.get("train"), self.lists.get("test"))
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
