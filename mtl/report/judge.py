"""What a sweep's runs are judged by: the labels of their videos, or annotated events."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mtl.ablation.predictions import ComparedRun, Predicted
from mtl.data.events import NONE, Events, read_events
from mtl.errors import UserError
from mtl.formatting import plural
from mtl.report.stored import EVENTS, Downloads, stored
from mtl.results import AUC_BY, EVENT, VIDEO, TrackedRun

MOST_NAMED = 3  # videos that a warning names
NO_EVENTS = "Right would be --events FILE, with the annotation of the test videos."


@dataclass(frozen=True)
class Judge:
    """By what frames are positive.

    Attributes
    ----------
    by : str
        `video`: their video's label. `event`: that, inside of annotated events alone.
    events : Events or None
        Where they are known; they are there where they judge.
    """

    by: str = VIDEO
    events: Events | None = None

    @property
    def by_events(self) -> bool:
        """Whether events judge."""
        return self.by == EVENT

    @property
    def truth(self) -> Events | None:
        """The events where they judge."""
        return self.events if self.by_events else None

    @property
    def metric(self) -> str:
        """Name of the AUC: what stands before the task in a column."""
        return AUC_BY[self.by]

    def auc_of(self, task: str) -> str:
        """The AUC of a task in words."""
        return f"AUC of {task} by annotated events" if self.by_events else f"AUC of {task}"

    def sentence(self, judged: Sequence[Predicted]) -> str:
        """What the events judged, in one sentence; empty where video labels do."""
        most = max(judged, key=lambda each: each.n_frames, default=None)
        if self.truth is None or most is None:
            return ""
        return (
            "Judged by annotated events: frames inside of an event are positive where the task's target is, all others "
            f"are negative (for a task of types Normal); {plural(most.n_frames, 'frame')}, "
            f"{plural(most.n_positives, 'positive')}, {len(most.videos)} of {len(self.truth.intervals)} annotated "
            "videos; validation stays by video labels, because no training video has annotation."
        )

    def left_out(self, entries: Sequence[ComparedRun]) -> list[str]:
        """A line for the test videos that were not annotated, by the runs that have the same."""
        of: dict[tuple[str, ...], list[str]] = {}
        for entry in entries:
            if entry.predicted.left_out:
                of.setdefault(entry.predicted.left_out, []).append(f"{entry.row}, seed {entry.seed}")
        lines = []
        for videos, runs in of.items():
            where = "" if len(runs) == len(entries) else f" ({'; '.join(runs)})"
            more = f" and {len(videos) - MOST_NAMED} more" if len(videos) > MOST_NAMED else ""
            lines.append(
                f"{plural(len(videos), 'test video')} {'is' if len(videos) == 1 else 'are'} not annotated and left "
                f"out{where}: {', '.join(videos[:MOST_NAMED])}{more}."
            )
        return lines


VIDEO_LABELS = Judge()


def judge_of(by: str, file: Path | None, runs: Sequence[TrackedRun], tracking: Downloads | None) -> Judge:
    """The judge that is asked for, with the events of the file; without one, of the runs' artifacts.

    Parameters
    ----------
    by : str
        See `Judge`.
    file : Path, optional
        See `mtl.data.events.read_events`.
    runs : sequence of TrackedRun
        Those that finished are asked for their events, all of which must be the same.
    tracking : Downloads, optional
        Asked for artifacts that do not lie on this machine.

    Raises
    ------
    UserError
        If events should judge, and there are none, or the runs have unlike ones.
    """
    if file is not None:
        return Judge(by, read_events(file))
    found: dict[str, tuple[str, Events]] = {}
    lacking = ""
    for run in runs:
        if run.status != "FINISHED":
            continue
        events = _events_of(run, tracking)
        if events is None:
            lacking = lacking or run.name
        else:
            content = str(sorted((name, sorted(of)) for name, of in events.intervals.items()))
            found.setdefault(content, (run.name, events))
    if by == VIDEO:  # they are only to be seen
        return Judge(by, next(iter(found.values()))[1] if len(found) == 1 else None)
    if len(found) > 1:
        (first, _), (second, _) = list(found.values())[:2]
        raise UserError(f"The runs '{first}' and '{second}' have unlike events. {NO_EVENTS}")
    if not found or lacking:
        which = f"The run '{lacking}' has" if found else "The runs have"
        raise UserError(f"{which} no {EVENTS}. {NO_EVENTS}")
    return Judge(by, next(iter(found.values()))[1])


def _events_of(run: TrackedRun, tracking: Downloads | None) -> Events | None:
    """The events that a run was scored by; None where it keeps none."""
    with ExitStack() as kept:
        try:
            path = kept.enter_context(stored(run, EVENTS, tracking))
        except (OSError, UserError):
            return None
        return read_event_table(path, run.name)


def read_event_table(path: Path, name: str) -> Events:
    """The events that a run keeps.

    Parameters
    ----------
    path : Path
        Its file.
    name : str
        What the run is called, for messages.

    Raises
    ------
    OSError
        If the file cannot be read.
    UserError
        If it is no such table.
    """
    table = pd.read_csv(path, dtype={"video": str}, keep_default_na=False)
    if not {"video", "start", "end"} <= set(table):
        raise UserError(f"{EVENTS} of the run '{name}' should have the columns video, start, end.")
    intervals: dict[str, tuple[tuple[int, int], ...]] = {}
    for video, start, end in zip(table["video"], table["start"], table["end"], strict=True):
        own = ((int(start), int(end)),) if (start, end) != (NONE, NONE) else ()
        intervals[video] = (*intervals.get(video, ()), *own)
    return Events(intervals, f"{EVENTS} of the runs")
