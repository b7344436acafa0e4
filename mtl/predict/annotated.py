"""Annotated events of videos in seconds, by the times of their own frames."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mtl.data.events import RIGHT, Events, read_events, video_name
from mtl.errors import UserError
from mtl.formatting import plural
from mtl.predict.scoring import Scored

log = logging.getLogger(__name__)

Span = tuple[float, float]

MASK = ".npy"  # the truth of some data sets, an array per video
N_NAMED = 3  # of the videos that are not annotated


def events_for(file: Path | None, videos: Mapping[str, Path]) -> Events | None:
    """The annotation that was given, once it is said of how many of the videos it tells.

    Raises
    ------
    UserError
        If it tells of none of them, or cannot be read.
    """
    if file is None:
        return None
    if file.expanduser().is_dir() or file.suffix.lower() == MASK:
        raise UserError(f"--events: {file} is no annotation in lines; right would be a text file of {RIGHT}.")
    events = read_events(file.expanduser())
    names = [video_name(video.name) for video in videos.values()]
    known = [name for name in names if name in events.intervals]
    if not known:
        raise UserError(
            f"{file} tells of none of the videos, not of '{names[0]}'; "
            f"it names {plural(len(events.intervals), 'video')} such as '{next(iter(events.intervals))}'."
        )
    others = sorted(set(names) - set(known))
    more = f" and {len(others) - N_NAMED} more" if len(others) > N_NAMED else ""
    without = f"; not in it: {', '.join(others[:N_NAMED])}{more}" if others else ""
    log.info("Events of %d of %s from %s%s.", len(known), plural(len(names), "video"), file, without)
    return events


def spans(events: Events | None, scored: Scored) -> Sequence[Span] | None:
    """Seconds (start, end) of a video's events; None where it was not annotated, or has no times.

    Frame f is in an event where start <= f < end, so a span ends when the frame after the event is shown,
    or the video ends. An event past the video's last frame is left out, and a warning says so.
    """
    found = events.intervals.get(video_name(scored.file.name)) if events else None
    times = np.asarray(scored.times)
    if found is None or not scored.has_times:
        return None
    inside = [(start, end) for start, end in found if start < len(times)]
    if len(inside) < len(found) and not scored.reason:
        log.warning(
            "%s: %s past its last frame, %d.", scored.name, plural(len(found) - len(inside), "event"), len(times) - 1
        )
    return [(float(times[start]), float(times[min(end, len(times) - 1)])) for start, end in inside]
