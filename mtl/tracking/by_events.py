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
from mtl.evaluation.shown import anomaly_probability, shown_videos
from mtl.evaluation.temporal import EventEvaluated, counted_text, evaluate_events
from mtl.evaluation.timeline import Timeline
from mtl.plots.over_time import VideoScores, scores_over_time
from mtl.tasks import NORMAL, Task

log = logging.getLogger(__name__)


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


def write_events(folder: Path, events: Events, evaluated: EventEvaluated) -> None:
    """``events.csv``, the annotation that was used, and the AUC of every class by events."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    events.table().to_csv(folder / "events.csv", index=False)
    evaluated.classes.to_csv(folder / "tables" / "classes_event.csv", index=False)


def over_time(time: Timeline, task: Task, main_task: str, fps: float, threshold: float) -> Figure:
    """The main task's probability along the videos of `shown_videos`; of several classes that of not being normal.

    Parameters
    ----------
    time : Timeline
    task : Task
        The main one.
    main_task : str
        Its name.
    fps : float
        Frames in a second.
    threshold : float
        Of its alarms; NaN where there is none.
    """
    is_binary = len(task.classes) == 1
    probability = anomaly_probability(time.predictions, main_task, task.classes)
    if probability is None:
        return scores_over_time([])
    positive = time.predictions[f"target/{main_task}"].to_numpy() > 0 if is_binary else None
    name = f"probability of {main_task if is_binary else f'not {NORMAL}, {main_task}'}"
    return scores_over_time(
        [panel(time, video, {name: (time, probability)}, fps) for video in shown_videos(time, positive)],
        threshold=threshold if is_binary else np.nan,
    )


def panel(time: Timeline, video: int, scores: Mapping[str, tuple[Timeline, np.ndarray]], fps: float) -> VideoScores:
    """What is shown of a video.

    Parameters
    ----------
    time : Timeline
        Tells the events.
    video : int
        Its code there.
    scores : mapping of str to (Timeline, ndarray of shape (n_rows,))
        By what gave them; the video is found by its name, and left out where it is not there.
    fps : float
        Frames in a unit of time.
    """
    name = str(time.names[video])
    lines = {}
    for source, (own, values) in scores.items():
        rows = own.names[own.videos] == name if len(own.names) else np.zeros(0, bool)
        if rows.any():
            lines[source] = np.append(own.first[rows], own.end[rows][-1]) / fps, values[rows]
    events = [(start / fps, end / fps) for start, end in time.intervals[video]]
    kind = str(time.predictions["class_name"].iloc[int(np.argmax(time.videos == video))])
    return VideoScores(name, kind, lines, events)
