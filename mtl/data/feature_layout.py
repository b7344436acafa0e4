"""Which axis of feature files is what, which crops there are, and which frames a row stands for."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mtl.data.feature_names import video_and_crop
from mtl.data.feature_rows import AXES, MEAN, VideoRows
from mtl.data.feature_scan import FeatureFile
from mtl.data.text import read_text
from mtl.errors import UserError

log = logging.getLogger(__name__)

CROPS = (5, 10)  # how many crops extractors take
CropWord = Literal["all", "mean"]
Crops = CropWord | list[int]
SAID = 3  # videos that one line names


def layout_of(files: Sequence[FeatureFile], asked: str) -> str:
    """The layout that was asked for, or the only one of `AXES` that fits every file.

    A number of rows may be 5 or 10 by chance, of all files it is not; then, or where files disagree, nothing
    is guessed.

    Raises
    ------
    UserError
        If no layout, or more than one, fits every file, or the one that was asked for does not.
    """
    fits = {name: [len(file.shape) == len(axes) for file in files] for name, axes in AXES.items()}
    if asked != "auto":
        unlike = [file for file, fit in zip(files, fits[asked], strict=True) if not fit]
        if unlike:
            raise UserError(
                f"data.layout={asked} does not fit {len(unlike)} of {len(files)} feature files, such as "
                f"{unlike[0].path} of shape {unlike[0].shape}."
            )
        return asked
    likely = []
    for name, axes in AXES.items():
        crops = {file.shape[axes.index("c")] for file in files if len(file.shape) == 3} if "c" in axes else set()
        if all(fits[name]) and ("c" not in axes or (len(crops) == 1 and crops <= set(CROPS))):
            likely.append(name)
    if len(likely) != 1:
        kinds: dict[object, list[FeatureFile]] = {}  # those that differ in what a layout rests on
        for file in files:
            there = tuple(axis in CROPS and axis for axis in file.shape[:-1])
            kinds.setdefault((len(file.shape), there), []).append(file)
        few = sorted(kinds.values(), key=len)[:SAID]
        shapes = ", ".join(f"{own[0].shape} of {own[0].path.name} ({len(own)} such)" for own in few)
        what = "every file fits " + " and ".join(likely) if likely else "no layout fits every file"
        raise UserError(
            f"data.layout=auto: {what}; there is {shapes}. Right would be data.layout=n_d, n_c_d or c_n_d, or "
            "one by split: data.layout={train:c_n_d,test:n_c_d}."
        )
    log.info("data.layout: %s, as all %d files say.", likely[0], len(files))
    return likely[0]


def video_rows(files: Mapping[str, Mapping[int, FeatureFile]], layout: str, crops: Crops) -> list[VideoRows]:
    """Each video's files with the crops that were asked for.

    Parameters
    ----------
    files : mapping of str to mapping of int to FeatureFile
        By video and crop.
    layout : str
    crops : "all", "mean", or list of int

    Raises
    ------
    UserError
        If crops are missing for some videos, or are told by files and by an axis.
    """
    found: dict[str, dict[int, FeatureFile]] = {}
    if layout == "n_d":
        found = {video: dict(sorted(own.items())) for video, own in files.items()}
    else:
        axis = AXES[layout].index("c")
        for video, own in files.items():
            if len(own) > 1:
                raise UserError(
                    f"Video {video} has {len(own)} files, one for every crop, and data.layout={layout} says that each "
                    "file holds all of them; right would be data.layout=n_d."
                )
            file = next(iter(own.values()))
            found[video] = dict.fromkeys(range(file.shape[axis]), file)
    there = sorted({crop for own in found.values() for crop in own})
    asked = sorted(set(crops)) if isinstance(crops, list) else there
    lacking = [video for video, own in found.items() if not set(asked) <= set(own)]
    if lacking:
        by_count = Counter(len(own) for own in found.values())
        counted = ", ".join(f"{n} videos have {count}" for count, n in sorted(by_count.items()))
        raise UserError(
            f"{len(lacking)} of {len(found)} videos lack some of the crops {_listed(asked)}, such as {lacking[0]}, "
            f"which has {_listed(sorted(found[lacking[0]]))}; {counted}. Right would be files of all crops, or "
            "data.crops=[K] with one that every video has."
        )
    rows = []
    for video, own in found.items():
        if layout == "n_d":
            one = VideoRows(video, tuple(own[crop] for crop in asked), layout, tuple(asked))
            if len({file.shape for file in one.files}) > 1:
                shapes = ", ".join(f"{file.path.name} {file.shape}" for file in one.files)
                raise UserError(f"The crops of video {video} have not the same number of rows: {shapes}.")
        else:
            one = VideoRows(video, (next(iter(own.values())),), layout, tuple(own))
        rows.append(one)
    return rows


def taken_crops(rows: Sequence[VideoRows], crops: Crops) -> tuple[int, ...]:
    """The crops of every feature row that become rows of the frame table; `MEAN` for one that is their mean."""
    if crops == "mean":
        return (MEAN,)
    return tuple(sorted(set(crops))) if isinstance(crops, list) else rows[0].crops


def _listed(crops: Sequence[int]) -> str:
    whole = len(crops) > 1 and list(crops) == list(range(crops[0], crops[-1] + 1))
    return f"{crops[0]} to {crops[-1]}" if whole else ", ".join(map(str, crops)) or "none"


@dataclass(frozen=True)
class RowFrames:
    """Which frames the rows of a video stand for.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Rows that stand for a frame at least.
    first, n_frames : ndarray of int, shape (n,)
        First frame of each, and how many they are.
    """

    rows: np.ndarray
    first: np.ndarray
    n_frames: np.ndarray


def row_frames(n_rows: int, frames_per_row: int | None, length: int | None) -> RowFrames:
    """Frames of a video's rows.

    Parameters
    ----------
    n_rows : int
    frames_per_row : int or None
        None: the rows are stretched over the video.
    length : int or None
        Frames of the video, where that is known: the last row is cut or held, rows past the end
        stand for nothing. Else ``n_rows * frames_per_row``; of stretched rows each is given one frame,
        for want of a better number.
    """
    at = np.arange(n_rows + 1, dtype=np.int64)
    if frames_per_row is None:
        edges = at if length is None else at * length // n_rows
    else:
        edges = at * frames_per_row
        if length is not None:
            edges = np.minimum(edges, length)
            edges[-1] = length
    n_frames = np.diff(edges)
    rows = np.flatnonzero(n_frames > 0)
    return RowFrames(rows, edges[:-1][rows], n_frames[rows])


def read_lengths(file: Path) -> dict[str, int]:
    """Frames of each video by a csv of ``video,n_frames``.

    Raises
    ------
    UserError
        With the line's number: another first line, no number, a video twice.
    """
    lines = csv.reader(read_text(file).splitlines())
    header = [word.strip() for word in next(lines, [])]
    if header != ["video", "n_frames"]:
        raise UserError(f"{file}:1: expected video,n_frames, found '{','.join(header)}'.")
    found: dict[str, int] = {}
    for words in lines:
        cells = [word.strip() for word in words]
        if not any(cells):
            continue
        if len(cells) != 2 or not cells[1].isdecimal() or int(cells[1]) < 1:
            raise UserError(f"{file}:{lines.line_num}: expected video,n_frames, found '{','.join(words)}'.")
        video, _ = video_and_crop(cells[0])
        if video in found:
            raise UserError(f"{file}:{lines.line_num}: '{video}' is there already.")
        found[video] = int(cells[1])
    return found


def say_lengths(
    rows: Sequence[VideoRows], frames_per_row: Mapping[str, int | None], lengths: Mapping[str, int]
) -> None:
    """Say which videos' rows do not fit their frames by more than one row, and of which the length is not known.

    Parameters
    ----------
    rows : sequence of VideoRows
    frames_per_row : mapping of str to int or None
        By video.
    lengths : mapping of str to int
        Frames by video.
    """
    unknown = [one.video for one in rows if one.video not in lengths]
    if unknown:
        log.warning("data.lengths lacks %d of %d videos, such as %s.", len(unknown), len(rows), unknown[0])
    outliers = []
    for one in rows:
        per_row, length = frames_per_row[one.video], lengths.get(one.video)
        if per_row is not None and length is not None and abs(one.n_rows - length / per_row) > 1:
            outliers.append(f"{one.video} ({one.n_rows} rows, {length / per_row:.1f} by its frames)")
    if outliers:
        log.warning(
            "The rows of %d videos do not fit their frames by more than one row: %s. What lies past the end is left "
            "out, a last row before it is held.", len(outliers), ", ".join(outliers),
        )  # fmt: skip
