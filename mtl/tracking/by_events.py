"""What a run says by annotated events: its scores, files and curves over time; trained just now or stored."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtl.data.events import Events
from mtl.evaluation.evaluation import Evaluation
from mtl.evaluation.predictions import prediction_columns
from mtl.evaluation.temporal import EventEvaluated, counted_text, evaluate_events
from mtl.plots.over_time import Curve, scores_over_time
from mtl.plots.rendering import write_pngs
from mtl.tasks import NORMAL, Task

log = logging.getLogger(__name__)

SHOWN_CLASSES, SHOWN_NORMAL = 4, 2  # videos of the figure, chosen by name and never by result


def judge_by_events(
    evaluation: Evaluation,
    predictions: pd.DataFrame,
    tasks: Mapping[str, Task],
    events: Events,
    fps: float,
    trained: Mapping[str, np.ndarray],
    fault: str = "",
) -> EventEvaluated:
    """See `evaluate_events`; the convention and the counts are said."""
    found = evaluate_events(evaluation, predictions, tasks, events, fps, trained, fault)
    log.info("by annotated events: %s", counted_text(found))
    return found


def write_events(folder: Path, events: Events, evaluated: EventEvaluated, figure: Figure) -> None:
    """``events.csv``, the annotation that was used, the AUC of every class by events, and curves over time."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    write_pngs(folder / "figures", {"scores_over_time": figure})
    events.table().to_csv(folder / "events.csv", index=False)
    evaluated.classes.to_csv(folder / "tables" / "classes_event.csv", index=False)


def over_time(evaluated: EventEvaluated, tasks: Mapping[str, Task], main_task: str, fps: float) -> Figure:
    """The main task's probability along some videos.

    Of each of the first `SHOWN_CLASSES` anomalous classes the first video with an event, then the first
    `SHOWN_NORMAL` normal videos, all in order of name. Of a task with several classes it is that of not being
    normal.
    """
    time, task = evaluated.timeline, tasks[main_task]
    binary = len(task.classes) == 1
    own = "yes" if binary else NORMAL
    column = dict(zip(task.classes, prediction_columns("probability", main_task, task.classes), strict=True)).get(own)
    if column is None:
        return scores_over_time([], main_task, np.nan)
    probability = time.predictions[column].to_numpy(float)
    probability = probability if binary else 1 - probability
    threshold = evaluated.scores[f"alarm_threshold/{main_task}"].value if binary else np.nan
    curves = []
    for video in _shown(evaluated, main_task if binary else None):
        rows = time.videos == video
        edges = np.append(time.first[rows], time.end[rows][-1]) / fps
        events = [(start / fps, end / fps) for start, end in time.intervals[video]]
        curves.append(Curve(str(time.names[video]), edges, probability[rows], events))
    return scores_over_time(curves, main_task if binary else f"not {NORMAL}, {main_task}", threshold)


def _shown(evaluated: EventEvaluated, task: str | None) -> list[int]:
    """Codes of the videos of the figure; with a task of the classes that are positive in it."""
    time = evaluated.timeline
    _, one_row = np.unique(time.videos, return_index=True)  # of every video, in order of name
    rows = time.predictions.iloc[one_row]
    wanted = time.anomalous & np.array([bool(events) for events in time.intervals], bool)
    wanted &= True if task is None else rows[f"target/{task}"].to_numpy() > 0
    first: dict[str, int] = {}
    for video, name in enumerate(rows["class_name"].astype(str)):
        if wanted[video]:
            first.setdefault(name, video)
    normal = [int(video) for video in np.flatnonzero(~time.anomalous)]
    return [first[name] for name in sorted(first)[:SHOWN_CLASSES]] + normal[:SHOWN_NORMAL]
