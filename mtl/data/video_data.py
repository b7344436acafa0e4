"""Frames of a folder of videos, whatever data set they are: each decoded once; the frame table out."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mtl import memory
from mtl.data.annotated_data import AnnotatedData
from mtl.data.decoded_videos import Decoded, DecodedVideos
from mtl.data.decoding import n_cores
from mtl.data.frame_table import TEXT, codes, counts, sorted_table
from mtl.data.splits import hold_out, say_large_videos
from mtl.data.tree import say_missing, thinned
from mtl.data.video_frames import Sampling
from mtl.data.videos import Video
from mtl.errors import UserError

log = logging.getLogger(__name__)

NAMED = 3  # videos that one line names


class VideoData(AnnotatedData):
    """Frames of videos; what a data set adds is which videos there are, and how it tells class and split.

    Parameters
    ----------
    root : str
        Folder of the videos.
    labels, events, fps
        As of `AnnotatedData`.
    step, height, width, val_fraction, split_seed, frames_dir, max_gib, workers, max_bad_share
        As of `mtl.data.ucf_crime_videos.UCFCrimeVideos`.
    limits : tuple of int or None
        Most frames of a video, of train and of test.

    Attributes
    ----------
    root : DecodedVideos
        Reads the frames.
    kept : DataFrame
        After `frames`: per split and class the videos and frames found and kept.
    skipped : DataFrame
        After `frames`: `path` and `reason` of every video that was left out as bad.
    """

    name: str
    classes: tuple[str, ...]
    no_hold_out = ", or, where no list tells the splits, a folder 'Val' beside 'Train'"  # what else is right
    no_video = "Right would be data.lists.{split}=FILE, or folders Train and Test."  # of a split

    def __init__(
        self,
        root: str,
        labels: Mapping[str, str | None],
        events: str | None,
        fps: float,
        step: int,
        height: int | None,
        width: int | None,
        val_fraction: float,
        split_seed: int,
        limits: tuple[int | None, int | None, int | None],
        frames_dir: str,
        max_gib: float,
        workers: int | None,
        max_bad_share: float,
    ) -> None:
        super().__init__(labels, events, fps)
        check_size(height, width)
        folder = Path(frames_dir).expanduser().absolute()
        self.root = DecodedVideos(
            Path(root).expanduser().absolute(), folder, Sampling(step, width, height), max_gib, workers or n_cores()
        )
        self._frames_dir = folder
        self.step = step
        self.val_fraction, self.split_seed = val_fraction, split_seed
        self._limits = limits
        self.max_bad_share = max_bad_share
        self.kept = pd.DataFrame()
        self.skipped = pd.DataFrame()

    @abstractmethod
    def check(self) -> None:
        """Raise `UserError` where root or lists are not as they should be; no video is opened."""

    @abstractmethod
    def _plan(self) -> tuple[list[Video], dict[str, str]]:
        """The videos that count, and the split of each by name."""

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
        self.skipped = left_out(decoded, self.root, self.max_bad_share)
        good = [one for one in decoded if not one.reason]
        self._check_decoded(good, split_of)
        for split in ("train", "test"):
            if not any(split_of[one.video.name] == split for one in good):
                raise UserError(f"Split '{split}' has no video of {self.root}. {self.no_video.format(split=split)}")
        rows = pa.concat_tables(
            rows_of(one, one.video.name, split_of[one.video.name], self.root, self.classes) for one in good
        )
        found = sorted_table(rows, self.classes)
        for split in ("train", "test"):
            self._say_missing(found, split)
        if (found["split"] == "val").any():
            log.info("Validation is told by folders; none is held out of train, data.val_fraction has no effect.")
        else:
            found = self._hold_out(found)
        kept = thinned(found, 1, *self._limits)  # every `step`-th was taken when they were decoded
        self.kept = counts(found, kept)
        say_large_videos(kept)
        log.info(
            "%s: %d frames (every %d.) of %d videos found below %s, %d frames of %d videos kept.",
            self.name, len(found), self.step, len(good), self.root, len(kept), len(kept["video"].cat.categories),
        )  # fmt: skip
        memory.give_back()
        return kept

    def _check_decoded(self, videos: Sequence[Decoded], split_of: Mapping[str, str]) -> None:
        """Raise `UserError` where what is known of videos does not fit their frames."""

    def _say_missing(self, frames: pd.DataFrame, split: str) -> None:
        """Say which classes a split lacks."""
        say_missing(frames, split)

    def _hold_out(self, frames: pd.DataFrame) -> pd.DataFrame:
        """The table with validation videos taken out of train."""
        return hold_out(frames, self.val_fraction, self.split_seed, self.no_hold_out)


def check_size(height: int | None, width: int | None) -> None:
    """Raise `UserError` where only one of them is given."""
    if (height is None) != (width is None):
        raise UserError(f"data.height is {height} and data.width is {width}; right would be both, or null for both.")


def left_out(decoded: Sequence[Decoded], root: DecodedVideos, max_bad_share: float) -> pd.DataFrame:
    """The bad videos as a table of `path` and `reason`, each of which is said.

    Raises
    ------
    UserError
        Where there are more than `max_bad_share` allows.
    """
    bad = [(_printable(root.path(one.video)), one.reason) for one in decoded if one.reason]
    if len(bad) > max_bad_share * len(decoded):
        named = ", ".join(f"{path} ({reason})" for path, reason in bad[:NAMED])
        raise UserError(
            f"{len(bad)} of {len(decoded)} videos of {root} are bad, more than data.max_bad_share="
            f"{max_bad_share:g} allows: {named}{', ...' if len(bad) > NAMED else ''}"
        )
    for path, reason in bad:
        log.warning("Video %s is left out: %s.", path, reason)
    return pd.DataFrame(bad, columns=["path", "reason"], dtype=TEXT)


def rows_of(one: Decoded, name: str, split: str, root: DecodedVideos, classes: Sequence[str]) -> pa.Table:
    """The frames of a video under a name, as `sorted_table` takes them."""
    path, numbers = root.path(one.video), range(0, one.frames, root.cut.step)
    n = len(numbers)
    return pa.table(
        {
            "path": pa.array([f"{path}#{number}" for number in numbers], pa.large_string()),
            "video": pa.array([name] * n, pa.large_string()),
            "frame": pa.array(np.array(numbers, np.int32)),
            **codes(n, split, one.video.class_name, classes),
        }
    )


def _printable(path: str) -> str:
    """A path as text, whatever its bytes."""
    return path.encode("utf-8", "replace").decode()
