"""Predictions beside annotated events -> scores by frame, alarms, each with its interval over videos."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mtl.data.events import Events
from mtl.evaluation.alarms import alarm_scores, error_scores, youden_threshold
from mtl.evaluation.auc import Sampled, class_aucs, macro_score, no_interval_reason
from mtl.evaluation.evaluation import Evaluation
from mtl.evaluation.predictions import of_split
from mtl.evaluation.task_predictions import TaskPredictions, one_sided_reason, task_predictions
from mtl.evaluation.timeline import Timeline, by_frame, in_order, labelled, timeline
from mtl.formatting import plural
from mtl.results import EVENT_SCORES, Score
from mtl.statistics.bootstrap import coded_videos, resampled_videos
from mtl.statistics.precision import average_precisions
from mtl.tasks import NORMAL, Task

log = logging.getLogger(__name__)

CLASS_COLUMNS = ["task", "class", "videos", "frames", "auc", "low", "high", "reason"]
CONVENTION = "an event is start <= frame < end, frames counted from 0; every frame outside is negative"


@dataclass(frozen=True)
class EventEvaluated:
    """Scores of the predictions by annotated events.

    Attributes
    ----------
    scores : dict of str to Score
        By tracked name, whose first part is one of `EVENT_SCORES`.
    classes : DataFrame
        One row per class that is positive in a binary task: `task`, `class`, `videos` with an event and `frames`
        in events of that class, `auc` against all frames of normal videos, `low`, `high`, `reason`.
    timeline : Timeline
        The rows that were scored.
    """

    scores: dict[str, Score]
    classes: pd.DataFrame
    timeline: Timeline


def evaluate_events(
    evaluation: Evaluation,
    predictions: pd.DataFrame,
    tasks: Mapping[str, Task],
    events: Events,
    fps: float,
    trained: Mapping[str, np.ndarray] | None = None,
    fault: str = "",
) -> EventEvaluated:
    """Score every task on the frames of annotated test videos; what is undefined is NaN and says why.

    A frame is positive where the task's target is positive and it lies in an event. Of a task with several
    classes a frame outside of events is of the class `NORMAL`. The resamples are those of `Evaluation.evaluate`
    where every test video is annotated.

    Parameters
    ----------
    evaluation : Evaluation
        Its resamples, threshold and gap between alarms.
    predictions : DataFrame
        See `predictions_table`; a column `n_frames` says how many frames from `frame` on a row stands for.
    tasks : mapping of str to Task
    events : Events
    fps : float
        Frames of the original videos in a second.
    trained, fault
        As of `Evaluation.evaluate`.
    """
    time = timeline(predictions, events)
    drawn = resampled_videos(time.anomalous, evaluation.resamples, evaluation.seed)
    validation = in_order(of_split(predictions, "val"))
    scores, classes = _counted(time, predictions), []
    for name, task in tasks.items():
        known = (trained or {}).get(name)
        own = labelled(time, name)
        predicted = task_predictions(own.predictions, name, task, own.videos, fault, known)
        if not len(own.videos):
            predicted = replace(predicted, fault=fault or f"no annotated test frame is labelled for {name}")
        scores |= _frame_scores(name, predicted, own, drawn)
        if len(task.classes) == 1:
            scores |= error_scores(name, predicted, own, drawn, evaluation.threshold)
            coded = coded_videos(validation["video"], np.zeros(len(validation), bool))[0]
            threshold = youden_threshold(task_predictions(validation, name, task, coded, fault, known))
            scores |= alarm_scores(name, predicted, own, threshold, drawn, fps, evaluation.alarm_gap_s)
            for row in _by_class(name, predicted, own, drawn):
                classes.append(row)
                scores[f"class_auc_event/{name}.{row[1]}"] = Score(*row[4:])
    for name, score in scores.items() if not fault else ():
        if np.isnan(score.value):
            log.warning("%s is undefined: %s.", name, score.reason)
    return EventEvaluated(scores, pd.DataFrame(classes, columns=CLASS_COLUMNS), time)


def counted_text(evaluated: EventEvaluated) -> str:
    """Frames, positives and videos that were scored, and the convention."""
    n = {name: int(score.value) for name, score in evaluated.scores.items() if name.startswith("event_")}
    return (
        f"{n['event_frames/scored']:,} frames, {n['event_frames/inside']:,} in events, "
        f"of {n['event_videos/annotated']} of {plural(n['event_videos/test'], 'test video')}; {CONVENTION}"
    )


def _counted(time: Timeline, predictions: pd.DataFrame) -> dict[str, Score]:
    """How many frames, and how many of them in events, of how many test videos."""
    counts = {
        "event_frames/scored": time.n_frames.sum(),
        "event_frames/inside": time.inside[time.anomalous[time.videos]].sum(),
        "event_videos/annotated": len(time.names),
        "event_videos/test": of_split(predictions, "test")["video"].astype(str).nunique(),
    }
    return {name: Score(float(count)) for name, count in counts.items()}


def _frame_scores(name: str, predicted: TaskPredictions, time: Timeline, drawn: np.ndarray) -> dict[str, Score]:
    """AUC and average precision by frame, and the AUC within anomalous videos."""
    keys = [f"{kind}/{name}" for kind in EVENT_SCORES[:3]]
    binary = len(predicted.classes) == 1
    if not binary and NORMAL not in predicted.classes:
        why = f"the task has no class {NORMAL}, which frames outside of events are of"
        return {key: Score(np.nan, reason=why) for key in keys}
    normal = [not binary and each == NORMAL for each in predicted.classes]
    found, weights = by_frame(predicted, time, normal)
    rows = time.anomalous[found.videos]
    anomalous = TaskPredictions(
        found.classes, found.scores[rows], found.probabilities[rows], found.positives[rows], found.videos[rows],
        found.fault or ("" if rows.any() else "no anomalous video"), found.trained,
    )  # fmt: skip
    return {
        keys[0]: macro_score(class_aucs(found, drawn, weights), found),
        keys[1]: macro_score(_class_precisions(found, drawn, weights), found),
        keys[2]: macro_score(class_aucs(anomalous, drawn, weights[rows]), anomalous),
    }


def _class_precisions(predicted: TaskPredictions, drawn: np.ndarray, weights: np.ndarray) -> list[Sampled]:
    """Average precision of every class against the rest."""
    found = []
    # by video in memory, as products with videos want it: once for all classes
    both = np.asfortranarray(np.concatenate([np.ones((1, drawn.shape[1])), drawn]))
    for scores, positives in zip(predicted.scores.T, predicted.positives.T, strict=True):
        if predicted.fault or positives.all() or not positives.any():
            why = predicted.fault or one_sided_reason(positives)
            found.append(Sampled(np.nan, np.full(len(drawn), np.nan), why))
            continue
        values = average_precisions(scores, positives, predicted.videos, weights, both)
        fault = no_interval_reason(positives, predicted.videos)
        found.append(Sampled(float(values[0]), values[1:], fault))
    return found


def _by_class(name: str, predicted: TaskPredictions, time: Timeline, drawn: np.ndarray) -> list[tuple]:
    """Rows of the table per class: frames in events of a class against all frames of normal videos."""
    class_of_row = time.predictions["class_name"].astype(str).to_numpy(dtype=str)
    normal = class_of_row == NORMAL
    rows = []
    for each in np.unique(class_of_row[~normal]):
        own = class_of_row == each
        if not predicted.positives[own, 0].all():  # a coin may say yes to some videos of a class
            continue
        within = own & (time.inside > 0)
        chosen = np.flatnonzero(within | normal)
        positives = within[chosen]
        weights = np.where(positives, time.inside[chosen], time.n_frames[chosen])
        n_videos = len(np.unique(time.videos[within]))
        part = TaskPredictions(
            ("yes",), predicted.scores[chosen], predicted.probabilities[chosen], positives[:, None],
            predicted.videos[chosen], predicted.fault, predicted.trained,
        )  # fmt: skip
        (auc,) = class_aucs(part, drawn, weights)
        score = auc.score(f"of {plural(n_videos, 'video')}") if predicted.trained.all() else macro_score([auc], part)
        rows.append(
            (name, each, n_videos, int(time.inside[own].sum()), score.value, score.low, score.high, score.reason)
        )
    return rows
