"""XD-Violence as it is released: videos with their labels in their names."""

from __future__ import annotations

import dataclasses
import re

from mtl.data.events import Events
from mtl.data.named_videos import NamedVideos
from mtl.data.split_folders import split_of
from mtl.data.temporal_truth import events_of
from mtl.data.video_classes import XD_VIOLENCE
from mtl.data.videos import Video, video_at, video_files
from mtl.errors import UserError

ANNOTATION = "annotations.txt"
# folders as the archives unpack: training videos in parts such as 1-1004, test videos apart
TRAIN, TEST = re.compile(r"(?:.*\D)?\d+-\d+"), re.compile(r"(?i:test.*)")


class XDViolence(NamedVideos):
    """The frames of XD-Violence; a class is what labels a video has, as `B2-G`, or `Normal`.

    Without lists, folders called as a split, ``1-1004`` or ``test_videos`` tell the split. Without `events`, it is
    the official annotations.txt where it lies in `root`. It names anomalous videos only: normal ones have no event.
    """

    name = "xd_violence"
    names = XD_VIOLENCE
    classes = XD_VIOLENCE.classes

    def temporal_truth(self) -> Events | None:
        """The annotated events; None where neither a file is given nor the official one is in the root."""
        official = self.root.root / ANNOTATION
        file = self.events or (str(official) if official.is_file() else None)
        return None if file is None else dataclasses.replace(events_of(file), normal_have_none=True)

    def _find(self) -> list[Video]:
        """All videos below the root."""
        root = self.root.root
        found = []
        for file in video_files(root, self._frames_dir):
            folder = next(filter(None, map(_split, reversed(file.relative_to(root).parts[:-1]))), None)
            found.append(video_at(file, self._class_of(file, file.stem), folder))
        if not found:
            raise UserError(f"No video below {root}; names are such as v=Ab3x__#00-01-10_00-02-20_label_B2-0-0.mp4.")
        return found


def _split(folder: str) -> str | None:
    """The split that a folder's name tells, if it does."""
    return split_of(folder) or ("train" if TRAIN.fullmatch(folder) else "test" if TEST.fullmatch(folder) else None)
