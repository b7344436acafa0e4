"""Annotated events of videos: the temporal truth, by the exact name of the video."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mtl.data.text import read_text
from mtl.errors import UserError

NUMBER = re.compile(r"-?\d+")
NAMED_FILE = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,3}")  # an ending such as .mp4, which is no part of a video's name
NONE = -1  # both ends of an event that is not there
RIGHT = "`<video> [<class>] <start> <end> ...` with frame numbers of the original video, -1 -1 for none"


@dataclass(frozen=True)
class Events:
    """Events of the videos that were annotated.

    Attributes
    ----------
    intervals : mapping of str to tuple of (int, int)
        By video, without folder and ending. Frame f, counted from 0 in the original video, is in an event
        where ``start <= f < end``. A video without an event has none; one that was not annotated is not there.
    source : str
        Where it comes from, for messages.
    normal_have_none : bool
        Whether videos of the normal class have no event although they are not there.
    """

    intervals: Mapping[str, tuple[tuple[int, int], ...]]
    source: str = ""
    normal_have_none: bool = False

    def annotated(self, videos: Sequence[str] | np.ndarray) -> np.ndarray:
        """Whether each video, by name, was annotated; bool of shape (n,)."""
        return pd.Index(videos).isin(list(self.intervals))

    def frames_inside(
        self, videos: Sequence[str] | np.ndarray | pd.Series, first: np.ndarray, n_frames: np.ndarray | int = 1
    ) -> np.ndarray:
        """How many of the frames of every row lie in an event of its video.

        Parameters
        ----------
        videos : array of str, shape (n,)
        first : ndarray of int, shape (n,)
            The row's first frame.
        n_frames : ndarray of int, shape (n,), or int
            Frames that the row stands for, of which none lies past the video's end: an event that
            ends after the video is clipped to the frames there are.

        Returns
        -------
        ndarray of int64, shape (n,)
            In 0..n_frames; a frame in two events counts once. 0 for a video that was not annotated.
        """
        codes, names = pd.factorize(pd.Series(np.asarray(videos, dtype=object)))
        starts = np.asarray(first, np.int64)
        ends = starts + np.asarray(n_frames, np.int64)
        inside = np.zeros(len(starts), np.int64)
        order = np.argsort(codes, kind="stable")
        rows_of = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
        for rows in rows_of:
            for start, end in _disjoint(self.intervals.get(str(names[codes[rows[0]]]), ())):
                inside[rows] += np.clip(np.minimum(ends[rows], end) - np.maximum(starts[rows], start), 0, None)
        return inside

    def table(self) -> pd.DataFrame:
        """One row per event: `video`, `start`, `end`; a video without one is a row with -1 for both."""
        rows = [
            (video, start, end) for video, found in self.intervals.items() for start, end in found or ((NONE, NONE),)
        ]
        return pd.DataFrame(rows, columns=["video", "start", "end"])


def _disjoint(intervals: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same frames as intervals that do not overlap, in order."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def read_events(file: Path) -> Events:
    """Events from an annotation of UCF-Crime's or XD-Violence's form.

    A line names a video, with or without folder and ending, perhaps its class, and then pairs of
    first frame and first frame after the event; ``-1 -1`` is no event. Blank lines, CRLF, a byte order
    mark and spaces at the end are taken as they come.

    Raises
    ------
    UserError
        With the line's number: no pairs of numbers, a start before 0, an end that does not come after its
        start, a video that is there already.
    """
    intervals: dict[str, tuple[tuple[int, int], ...]] = {}
    line_of: dict[str, int] = {}
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        video = video_name(words[0])
        numbers = words[1:] if len(words) > 1 and NUMBER.fullmatch(words[1]) else words[2:]
        if not numbers or len(numbers) % 2 or not all(map(NUMBER.fullmatch, numbers)):
            raise UserError(f"{file}:{number}: expected {RIGHT}, found '{line.strip()}'.")
        if video in intervals:
            raise UserError(f"{file}:{number}: '{video}' is there already, in line {line_of[video]}.")
        ends = list(map(int, numbers))
        found = [pair for pair in zip(ends[::2], ends[1::2], strict=True) if pair != (NONE, NONE)]
        for start, end in found:
            if start < 0 or end <= start:
                raise UserError(
                    f"{file}:{number}: '{video}' has an event from frame {start} to {end}; "
                    "right would be a start of 0 or more and an end after it."
                )
        intervals[video], line_of[video] = tuple(found), number
    if not intervals:
        raise UserError(f"{file} is empty; it should hold lines of {RIGHT}.")
    return Events(intervals, str(file))


def video_name(word: str) -> str:
    """A video's name, without its folder and the ending of its file."""
    name = word.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return stem if stem and NAMED_FILE.fullmatch(dot + ending) else name
