"""Annotated events beside the test videos there are: what fits, what is left out, and which file belongs where."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mtl.data.class_names import class_of
from mtl.data.events import Events, read_events
from mtl.errors import UserError
from mtl.formatting import plural
from mtl.tasks import NORMAL

log = logging.getLogger(__name__)

EVENTS_LINE = re.compile(r"\S+(?:\s+[A-Za-z]\S*)?(?:\s+-?\d+\s+-?\d+)+")  # two numbers at least
SAID = 3  # names that one line gives


def events_of(file: str) -> Events:
    """The events of the file that `data.events` names.

    Raises
    ------
    UserError
        If the file is not there, is a list of frames or of videos, or has a line that is not understood.
    """
    path = Path(file).expanduser().absolute()
    if not path.is_file():
        raise UserError(f"data.events: there is no file {path}.")
    line = _first_line(path)
    words = line.split()
    if len(words) > 1 and class_of(words[-1]) is not None:
        raise UserError(
            f"data.events: {path} lists frames with their classes, found '{line}'. Such a file belongs to "
            "data.annotations.train, .val or .test; data.events takes the first and last frames of events."
        )
    return read_events(path)


def refuse_events(annotations: Mapping[str, Path]) -> None:
    """Raise `UserError` where a file of events stands in the place of a list of frames; by split."""
    for split, path in annotations.items():
        line = _first_line(path)
        if EVENTS_LINE.fullmatch(line):
            raise UserError(
                f"data.annotations.{split}: {path} holds annotated events, found '{line}'. It belongs to data.events; "
                f"data.annotations.{split} takes lines of `<path> <class>`, or null for the folders."
            )


def _first_line(path: Path) -> str:
    """The first line that is not blank; empty where there is none. A list of a million frames is not read for it."""
    with path.open("rb") as file:
        lines = (line.decode("utf-8-sig", "replace").strip() for line in file)
        return next((line for line in lines if line), "")


def of_test_videos(events: Events, frames: pd.DataFrame) -> Events:
    """The events of the test videos there are; what does not fit is said.

    Parameters
    ----------
    events : Events
    frames : DataFrame
        The frame table.

    Returns
    -------
    Events
        Of the annotated test videos only, in the order of their names; not clipped.

    Raises
    ------
    UserError
        If no test video is annotated, or none has an event.
    """
    test = frames[(frames["split"] == "test").to_numpy()]
    last = test.groupby(test["video"].astype(str))["frame"].max().sort_index()
    names = last.index.to_numpy(dtype=str)
    found = {name: events.intervals[name] for name in names if name in events.intervals}
    if found and events.normal_have_none:
        normal = set(test.loc[(test["class_name"] == NORMAL).to_numpy(), "video"].astype(str))
        found = {name: found.get(name, ()) for name in names if name in found or name in normal}
    known = set(names)
    unknown = [name for name in events.intervals if name not in known]
    if not found:
        raise UserError(
            f"data.events: none of the {plural(len(names), 'test video')} is annotated in {events.source}, which names "
            f"{_examples(list(events.intervals))}; test videos are {_examples(list(names))}. Names are compared "
            "exactly, without folder and ending."
        )
    if not any(found.values()):
        raise UserError(
            f"data.events: {events.source} annotates {len(found)} of {plural(len(names), 'test video')}, and none of "
            "them has an event; right would be at least one with its first and last frame."
        )
    if unknown:
        log.warning("Events of %d names that no test video has: %s.", len(unknown), _examples(unknown))
    _say(found, names, last, test)
    return Events(found, events.source)


def _say(
    found: Mapping[str, tuple[tuple[int, int], ...]], names: np.ndarray, last: pd.Series, test: pd.DataFrame
) -> None:
    """How many test videos are annotated, and how many events end after the last frame there is."""
    missing = [str(name) for name in names if name not in found]
    if missing:
        log.warning(
            "%d of %d test videos are annotated; scores by events leave out %s.",
            len(found), len(names), _examples(missing),
        )  # fmt: skip
    else:
        log.info("All %d test videos are annotated.", len(names))
    step = last_step(test["frame"].to_numpy(), pd.factorize(test["video"])[0])
    after = [name for name, events in found.items() if any(end > last[name] + step for _, end in events)]
    if after:
        log.warning(
            "Events of %s end after the last frame there is and are cut there: %s.",
            plural(len(after), "video"), _examples(after),
        )  # fmt: skip


def last_step(frames: np.ndarray, videos: np.ndarray) -> int:
    """Frames from one row of a video to the next, as is usual (the median); 1 where no video has two rows.

    Parameters
    ----------
    frames, videos : ndarray of int, shape (n,)
        Frame and code of the video of every row, in any order.
    """
    order = np.lexsort((frames, videos))
    steps = np.diff(frames[order])[np.diff(videos[order]) == 0]
    return max(1, int(np.median(steps))) if len(steps) else 1


def _examples(names: list[str]) -> str:
    """Some names, and how many more."""
    more = f" and {len(names) - SAID} more" if len(names) > SAID else ""
    return ", ".join(f"'{name}'" for name in names[:SAID]) + more
