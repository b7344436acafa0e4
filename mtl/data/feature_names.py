"""Names of feature files and their lists: which video, which crop, which class, which split."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtl.data.text import read_text
from mtl.data.video_classes import VideoNames, ucf_crime_class
from mtl.data.videos import EXTENSIONS, OFFICIAL_LISTS
from mtl.errors import UserError

MARK = "_x264"  # what the names of UCF-Crime end with; some sources leave it out
PATTERNS = (  # <video>, then what an extractor adds, then the crop; no crop is the first
    re.compile(rf"(?P<video>.+?{MARK})(?:_i3d|_c3d)?(?:__?(?P<crop>\d)|__)?"),
    re.compile(r"(?P<video>.+?)(?:_(?:i3d|c3d)(?:__?(?P<crop>\d))?|__(?P<other>\d)?)?"),
)
ENDINGS = (".npy", *EXTENSIONS)


def video_and_crop(name: str) -> tuple[str, int]:
    """Video and crop that a file's name tells, whatever its folder and ending.

    Names of UCF-Crime that lack `_x264` have it in what comes back: `Abuse028` and `Abuse028_x264` are one video.

    Examples
    --------
    >>> video_and_crop("Abuse/Abuse028_x264_i3d_3.npy")
    ('Abuse028_x264', 3)
    """
    stem = name.replace("\\", "/").rpartition("/")[2]
    while stem.lower().endswith(ENDINGS):  # <video>.mp4.npy
        stem = stem.rpartition(".")[0]
    found = next(match for pattern in PATTERNS if (match := pattern.fullmatch(stem)))
    video, groups = found["video"], found.groupdict()
    crop = int(groups["crop"] or groups.get("other") or 0)
    return (video if MARK in video or ucf_crime_class(video) is None else video + MARK), crop


@dataclass(frozen=True)
class FeatureLists:
    """The videos that split lists name.

    Attributes
    ----------
    split_of : mapping of str to str
        Split by video.
    folder_of : mapping of str to str
        The folder that stands before the video's name in the list, if one does.
    rest : str or None
        Where videos on no list belong: the other split if one list was given, nowhere if both were.
    """

    split_of: Mapping[str, str]
    folder_of: Mapping[str, str]
    rest: str | None


def feature_lists(root: Path, given: Mapping[str, Path], names: VideoNames) -> FeatureLists:
    """The lists that are given, else the official ones where they lie in the data's folder.

    A line is ``<Class>/<video>.mp4``, a path of a feature file, or ``path,label`` as in a csv; a video may
    be there once for every crop. A name without an ending will do where it tells a class of the data set.

    Raises
    ------
    UserError
        If there is no list, or a video is on both.
    """
    if not given:
        given = {split: root / name for split, name in OFFICIAL_LISTS.items() if (root / name).is_file()}
    split_of: dict[str, str] = {}
    folder_of: dict[str, str] = {}
    where: dict[str, str] = {}
    for split, file in given.items():
        lines = csv.reader(read_text(file).splitlines())
        for cells in lines:
            entry = cells[0].strip().replace("\\", "/") if cells else ""
            if not entry or (lines.line_num == 1 and entry == "path"):
                continue
            if not entry.lower().endswith(ENDINGS) and names.class_of(entry.rpartition("/")[2]) is None:
                raise UserError(f"{file}:{lines.line_num}: expected <Class>/<video>.mp4 or .npy, found '{entry}'.")
            video, _ = video_and_crop(entry)
            if split_of.get(video, split) != split:
                raise UserError(f"{file}:{lines.line_num}: '{video}' is there already, in {where[video]}.")
            split_of[video], folder_of[video] = split, entry.rpartition("/")[0].rpartition("/")[2]
            where.setdefault(video, f"{file}:{lines.line_num}")
    if not split_of:
        raise UserError(
            f"Nothing tells the split of the videos of {root}. Right would be data.lists.train=Anomaly_Train.txt "
            "data.lists.test=Anomaly_Test.txt, or these two files in data.root."
        )
    rest = None if len(given) == 2 else "train" if "test" in given else "test"
    return FeatureLists(split_of, folder_of, rest)
