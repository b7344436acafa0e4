"""Feature files below a folder: those of listed videos, each video once."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mtl.data.class_names import folded
from mtl.data.feature_names import FeatureLists, video_and_crop
from mtl.data.frame_table import TEXT
from mtl.data.video_classes import BY_NAME, VideoNames
from mtl.errors import UserError

log = logging.getLogger(__name__)

Files = list[tuple[int, Path]]  # of a video: crop and file


def listed_files(root: Path, lists: FeatureLists, names: VideoNames) -> tuple[dict[str, dict[int, Path]], pd.DataFrame]:
    """The files of the listed videos.

    Returns
    -------
    chosen : dict of str to dict of int to Path
        By video, in order of name, and crop.
    skipped : DataFrame
        `path` and `reason` of the others.

    Raises
    ------
    UserError
        If none is there, one has the name of no class, or a crop of a video is there twice.
    """
    files = _all_files(root)
    listed = {video: own for video, own in sorted(files.items()) if video in lists.split_of or lists.rest}
    if not listed:
        raise UserError(
            f"None of the {len(lists.split_of)} listed videos is below {root}: the lists have such as "
            f"{next(iter(lists.split_of))}, the files such as {next(iter(files))}."
        )
    left_out = [(path, "on no list") for video, own in files.items() if video not in listed for _, path in own]
    if left_out:
        log.warning("%d videos are on no list and left out, such as %s.", len(files) - len(listed), left_out[0][0])
    absent = [video for video in lists.split_of if video not in files]
    if absent:
        n = len(lists.split_of)
        log.warning("%d of the %d listed videos have no feature file, such as %s.", len(absent), n, absent[0])
    for video, own in listed.items():
        if names.class_of(video) is None:
            others = [key for key, other in BY_NAME.items() if other.class_of(video) is not None]
            right = f"data.names={others[0]}" if others else names.right
            raise UserError(f"'{video}' ({own[0][1]}) tells no class of {names.of}; right would be {right}.")
    chosen = {video: _one_copy(video, own, lists.folder_of.get(video, "")) for video, own in listed.items()}
    copies = [
        (path, "a copy") for video, own in listed.items() for _, path in own if path not in chosen[video].values()
    ]
    if copies:
        log.warning(
            "%d files are copies of listed videos under another folder and left out, such as %s; each video is in the "
            "split of its list alone.", len(copies), copies[0][0],
        )  # fmt: skip
    skipped = [(as_text(path.relative_to(root)), reason) for path, reason in left_out + copies]
    return chosen, pd.DataFrame(skipped, columns=["path", "reason"], dtype=TEXT)


def as_text(path: Path) -> str:
    """A path as text, whatever its bytes."""
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")


def _all_files(root: Path) -> dict[str, Files]:
    """Every .npy below a folder by the video that its name tells; links are followed, but not in circles."""
    files: dict[str, Files] = {}
    entered = set()
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        here = Path(folder)
        if here.resolve() in entered:
            folders.clear()
            continue
        entered.add(here.resolve())
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(".npy") and not name.startswith("."):
                video, crop = video_and_crop(name)
                files.setdefault(video, []).append((crop, here / name))
    if not files:
        raise UserError(f"No feature file below {root}: none is called <video>.npy.")
    return files


def _one_copy(video: str, files: Sequence[tuple[int, Path]], listed: str) -> dict[int, Path]:
    """A video's files by crop; where it is there in several folders those of the one that counts.

    That is the folder that the list names, else the only one that is not `Normal_Videos_event`: the CLIP
    sets hold fifty test videos there a second time.
    """
    in_listed = [(crop, path) for crop, path in files if folded(path.parent.name) == folded(listed)]
    in_other = [(crop, path) for crop, path in files if "event" not in folded(path.parent.name)]
    for few in (files, in_listed, in_other):
        if few and len(dict(few)) == len(few):
            return dict(few)
    crop, first = next((crop, path) for crop, path in files if [c for c, _ in files].count(crop) > 1)
    second = next(path for c, path in files if c == crop and path != first)
    raise UserError(f"Crop {crop} of video {video} is there twice: {first} and {second}. Keep one.")


def _refuse(error: OSError) -> None:
    """Stop where a folder cannot be listed, instead of leaving it out."""
    raise UserError(f"Cannot list {error.filename}: {error.strerror}.")
