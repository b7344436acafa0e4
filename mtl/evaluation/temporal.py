"""Scores by annotated events: a frame is positive where its task's target is and it lies in an event."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from mtl.data.events import Events
from mtl.evaluation.auc import Sampled, average_precision, class_aucs, macro_score, no_interval_reason
from mtl.evaluation.predictions import of_split
from mtl.evaluation.task_predictions import TaskPredictions, task_predictions
from mtl.results import Score
from mtl.statistics.bootstrap import coded_videos, mean_of_defined, resampled_videos
from mtl.tasks import NORMAL, Task

log = logging.getLogger(__name__)

CLASS_COLUMNS = ["task", "class", "videos", "frames", "auc", "low", "high", "reason"]
CELLS = 2**22  # precisions held at once: changes no number


@dataclass(frozen=True)
class Temporal:
    """Scores by annotated events.

    Attributes
    ----------
    scores : dict of str to Score
        ``auc_event/<task>``; ``average_precision_event/<task>``; ``auc_event_anomalous/<task>``, of the videos that
        have an event only; ``class_auc_event/<task>.<class>``, of the frames in events of that class
        against all frames of normal videos.
    classes : DataFrame
        One row per class of every task of a single question: `task`, `class`, `videos` that have frames in
        events, `frames` in them, `auc`, `low`, `high`, `reason`.
    convention : str
        What was counted, and how.
    """

    scores: dict[str, Score]
    classes: pd.DataFrame
    convention: str


def temporal_scores(
    predictions: pd.DataFrame,
    events: Events,
    tasks: Mapping[str, Task],
    resamples: int,
    seed: int,
    fault: str,
    trained: Mapping[str, np.ndarray] | None,
) -> Temporal:
    """Score every task on the frames of annotated test videos; what is undefined is NaN and says why.

    A frame is positive for a task of a single question where its target is positive and it lies in an
    event; everything else is negative. For a task of several classes a frame outside of every event is
    Normal; where the task has no such class, it is of none. Which of a video's frames are positive is
    looked up by its exact name: no order of videos changes a number.

    Parameters
    ----------
    predictions : DataFrame
        See `predictions_table`; rows that stand for several frames say so in a column `n_frames`. A row
        partly in an event counts by the number of its frames inside and outside.
    events : Events
    tasks : mapping of str to Task
    resamples, seed : int
        Of the bootstrap over annotated test videos, see `resampled_videos`.
    fault : str
        Why none of the predictions counts; empty where they do.
    trained : mapping of str to ndarray of bool (n_classes,), optional
        See `Evaluation.evaluate`.
    """
    table = of_split(predictions, "test")
    n_videos = table["video"].astype(str).nunique()
    table = table[events.annotated(table["video"].to_numpy(str))].reset_index(drop=True)
    class_names = table["class_name"].astype(str).to_numpy()
    videos, names, anomalous = coded_videos(table["video"], class_names != NORMAL)
    drawn = resampled_videos(anomalous, resamples, seed)
    rows, inside, weights = _parts(table, events)
    has_event = np.array([bool(events.intervals[name]) for name in names], bool)[videos[rows]]
    scores: dict[str, Score] = {}
    classes: list[tuple] = []
    for name, task in tasks.items():
        by_row = task_predictions(table, name, task, videos, fault, (trained or {}).get(name))
        by_label = _chosen(by_row, rows, weights)
        predicted = replace(by_label, positives=_positives(by_label, inside))
        scores[f"auc_event/{name}"] = macro_score(class_aucs(predicted, drawn), predicted)
        scores[f"average_precision_event/{name}"] = _with_interval(average_precision(predicted), predicted, drawn)
        only = _chosen(predicted, np.flatnonzero(has_event), weights[has_event])
        scores[f"auc_event_anomalous/{name}"] = macro_score(class_aucs(only, drawn), only)
        for each, chosen, of_class in _by_class(by_label, predicted, class_names[rows], weights):
            score = macro_score(class_aucs(of_class, drawn), of_class)
            scores[f"class_auc_event/{name}.{each}"] = score
            yes = of_class.positives[:, 0]
            counts = (len(np.unique(of_class.videos[yes])), int(weights[chosen][yes].sum()))
            classes.append((name, each, *counts, score.value, score.low, score.high, score.reason))
    for name, score in scores.items() if not fault else ():  # of a fault of all scores the caller has spoken
        if np.isnan(score.value):
            log.warning("%s is undefined: %s.", name, score.reason)
    convention = (
        f"{int(weights.sum()):,} frames, {int(weights[inside].sum()):,} of them in an event, of {len(names)} annotated "
        f"of {n_videos} test videos, {int(np.sum([bool(events.intervals[each]) for each in names]))} with an event; "
        f"a frame f is in an event from start to end where start <= f < end"
    )
    return Temporal(scores, pd.DataFrame(classes, columns=CLASS_COLUMNS), convention)


def _parts(table: pd.DataFrame, events: Events) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every row's part inside and its part outside of events: position of the row, whether inside, number of frames."""
    n_frames = table["n_frames"].to_numpy(np.int64) if "n_frames" in table else np.ones(len(table), np.int64)
    n_inside = events.frames_inside(table["video"].astype(str), table["frame"].to_numpy(), n_frames)
    weights = np.concatenate([n_inside, n_frames - n_inside])
    inside = np.arange(len(weights)) < len(table)
    some = weights > 0
    return np.tile(np.arange(len(table)), 2)[some], inside[some], weights[some]


def _chosen(predicted: TaskPredictions, rows: np.ndarray, weights: np.ndarray) -> TaskPredictions:
    """These rows, with their weights."""
    return replace(
        predicted,
        scores=predicted.scores[rows],
        probabilities=predicted.probabilities[rows],
        positives=predicted.positives[rows],
        videos=predicted.videos[rows],
        weights=weights,
    )


def _positives(by_label: TaskPredictions, inside: np.ndarray) -> np.ndarray:
    """Which classes are right, once frames outside of every event are Normal, or of no class."""
    outside = np.array([name == NORMAL for name in by_label.classes])
    return np.where(inside[:, None], by_label.positives, outside)


def _by_class(
    by_label: TaskPredictions, predicted: TaskPredictions, class_names: np.ndarray, weights: np.ndarray
) -> Iterator[tuple[str, np.ndarray, TaskPredictions]]:
    """Of a task of a single question that normal frames answer with no: each class's frames in events, and theirs."""
    yes, normal = by_label.positives[:, 0], class_names == NORMAL
    if len(by_label.classes) > 1 or (yes & normal).any():
        return
    for each in sorted(set(class_names[yes])):
        of_class = predicted.positives[:, 0] & (class_names == each)
        rows = np.flatnonzero(of_class | normal)
        yield each, rows, _chosen(predicted, rows, weights[rows])


def _with_interval(score: Score, predicted: TaskPredictions, drawn: np.ndarray) -> Score:
    """An average precision with the interval that resamples of videos give, as `macro_score` does it for the AUC."""
    if np.isnan(score.value):
        return score
    both = predicted.positives.any(axis=0) & ~predicted.positives.all(axis=0) & predicted.trained
    columns = np.flatnonzero(both)
    fault = no_interval_reason(predicted.positives[:, 0], predicted.videos) if len(predicted.classes) == 1 else ""
    if fault:
        return Score(score.value, reason=fault)
    draws = [
        average_precision_draws(
            predicted.scores[:, i], predicted.positives[:, i], predicted.videos, predicted.weights, drawn
        )
        for i in columns
    ]
    return Sampled(score.value, mean_of_defined(np.array(draws))).score(score.reason)


def average_precision_draws(
    scores: np.ndarray, positives: np.ndarray, videos: np.ndarray, weights: np.ndarray | None, drawn: np.ndarray
) -> np.ndarray:
    """Average precision of every resample of videos, as scikit-learn's: the mean precision at positive frames' scores.

    Parameters
    ----------
    scores : ndarray of shape (n_frames,)
    positives : ndarray of bool, shape (n_frames,)
    videos : ndarray of int, shape (n_frames,)
    weights : ndarray of shape (n_frames,), optional
    drawn : ndarray of shape (n_resamples, n_videos)

    Returns
    -------
    ndarray of shape (n_resamples,)
        NaN where a resample has no positive frame.
    """
    each = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
    # precision counts only where there are positives: from the highest score down, a negative falls
    # to the next threshold at which one is, or below all of them
    thresholds = np.unique(scores[positives])[::-1]
    level = np.searchsorted(-thresholds, -scores, side="left")
    shape = (len(thresholds) + 1, drawn.shape[1])
    true, false = (
        sparse.csr_array((each[side], (level[side], videos[side])), shape=shape)[:-1]
        for side in (positives, ~positives)
    )
    found = np.full(len(drawn), np.nan)
    step = max(1, CELLS // shape[0])
    for start in range(0, len(drawn), step):
        times = drawn[start : start + step].T
        won = true @ times
        passed, wrong = won.cumsum(axis=0), (false @ times).cumsum(axis=0)
        precision = np.divide(passed, passed + wrong, out=np.zeros_like(passed), where=passed > 0)
        total = passed[-1]
        found[start : start + step] = np.divide(
            (won * precision).sum(axis=0), total, out=np.full(len(total), np.nan), where=total > 0
        )
    return found
