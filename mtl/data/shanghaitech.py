"""ShanghaiTech Campus as it is released: videos, folders of frames, and masks that are the temporal truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mtl.data.decoded_videos import Decoded
from mtl.data.events import Events
from mtl.data.folders import subfolders
from mtl.data.frame_folder import FrameFolder
from mtl.data.named_videos import NamedVideos
from mtl.data.temporal_truth import events_of
from mtl.data.video_classes import ANOMALY, SHANGHAITECH
from mtl.data.video_reader import BadVideo
from mtl.data.videos import Video, video_at, video_files
from mtl.errors import UserError

PLACES = (("training", ("videos", "frames")), ("testing", ("frames", "videos")))  # what is released goes first
MASKS = Path("testing", "test_frame_mask")


class ShanghaiTech(NamedVideos):
    """The frames of ShanghaiTech Campus: ``training/videos/01_001.avi``, ``testing/frames/01_0014/000.jpg``.

    The split is that of lists, as the weakly supervised ones: as released, training holds no anomaly. Without
    `events`, ``testing/test_frame_mask/01_0014.npy`` tells which frames of an anomalous video are in an event.
    """

    name = "shanghaitech"
    no_hold_out = ""
    names = SHANGHAITECH
    classes = SHANGHAITECH.classes
    no_video = "Right would be a data.lists.{split} that names some of its videos."

    def temporal_truth(self) -> Events:
        """The events of the anomalous test videos; normal ones have none.

        Raises
        ------
        UserError
            If a mask is missing, is no row of numbers, marks no frame, or does not fit the video's images.
        """
        if self.events is not None:
            return dataclasses.replace(events_of(self.events), normal_have_none=True)
        videos, split_of = self._plan()
        intervals = {}
        for video in videos:
            if split_of[video.name] == "test" and video.class_name == ANOMALY:
                mask = self._mask(video.name)
                if video.file.is_dir():
                    self._check_mask(video.name, len(mask), len(FrameFolder(video.file).files))
                intervals[video.name] = intervals_of(mask)
        return Events(intervals, str(self.root.root / MASKS), normal_have_none=True)

    def _told(self, found: Sequence[Video]) -> dict[str, str]:
        """Refused: folders tell the other split."""
        raise UserError(
            "Nothing tells the split: in the folders of ShanghaiTech, training holds no anomaly to learn from. Right "
            "would be the lists of the weakly supervised split, data.lists.train=FILE data.lists.test=FILE."
        )

    def _find(self) -> list[Video]:
        """The videos, and the folders of frames of others."""
        root = self.root.root
        found: dict[str, Video] = {}
        for part, kinds in PLACES:
            for kind in kinds:
                folder = root / part / kind
                if not folder.is_dir():
                    continue
                if kind == "videos":
                    there = [(file.stem, file) for file in video_files(folder, self._frames_dir)]
                else:
                    there = [(entry.name, Path(entry.path)) for entry in subfolders(folder, root)]
                for name, file in there:
                    if name not in found:  # else its frames, or the video they were cut out of
                        found[name] = _video(file, self._class_of(file, name))
        if not found:
            raise UserError(
                f"No video below {root}; it should hold training/videos/01_001.avi and testing/frames/01_0014/000.jpg."
            )
        return list(found.values())

    def _mask(self, name: str) -> np.ndarray:
        """Whether each frame of a video is in an event; bool of shape (n_frames,)."""
        file = self.root.root / MASKS / f"{name}.npy"
        if not file.is_file():
            raise UserError(f"There is no mask {file}, and '{name}' is an anomalous test video.")
        try:
            mask = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{file} is no mask that can be read: {error}.") from error
        if mask.ndim != 1 or mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
            raise UserError(
                f"{file} holds {mask.dtype} of shape {mask.shape}; right would be a 0 or a 1 for every frame."
            )
        if not mask.any():
            raise UserError(f"{file} marks no frame, and '{name}' is an anomalous video by its name.")
        return mask.astype(bool)

    def _check_mask(self, name: str, n_mask: int, n_frames: int) -> None:
        if n_mask != n_frames:
            raise UserError(
                f"{self.root.root / MASKS / name}.npy is of {n_mask} frames, but video '{name}' has {n_frames}."
            )

    def _check_decoded(self, videos: Sequence[Decoded], split_of: Mapping[str, str]) -> None:
        """Refuse a mask that does not fit the frames of a video; of folders that was seen before."""
        for one in videos:
            name = one.video.name
            if self.events is None and split_of[name] == "test" and one.video.class_name == ANOMALY:
                self._check_mask(name, len(self._mask(name)), one.frames)


def _video(file: Path, class_name: str) -> Video:
    """A video, or a folder of frames that stands for one."""
    if not file.is_dir():
        return video_at(file, class_name, None)
    try:
        return Video(file, class_name, None, *FrameFolder(file).size_and_time())
    except BadVideo as error:
        raise UserError(f"{file}: {error}.") from error


def intervals_of(mask: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Events of a mask by frame: pairs of the first frame and the first one after it.

    Examples
    --------
    >>> intervals_of(np.array([0, 1, 1, 0, 1]))
    ((1, 3), (4, 5))
    """
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return tuple((int(start), int(end)) for start, end in edges.reshape(-1, 2))
