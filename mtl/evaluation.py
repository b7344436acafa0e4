"""Predictions -> scores with intervals over videos, confusion matrices and ROC curves."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt
from sklearn.metrics import average_precision_score, roc_curve

from mtl.statistics import mean_of_defined, percentile_interval, stratified_multiplicities, video_wins
from mtl.tasks import Task
from mtl.trace import Score

NORMAL = "Normal"
ROC_POINTS = 300
CLASS_COLUMNS = ["task", "class", "videos", "frames", "auc", "low", "high", "reason"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluated:
    """What the predictions are worth.

    Attributes
    ----------
    scores : dict of str to Score
        By tracked name, for example ``auc/violence``.
    classes : DataFrame
        One row per class of every task that tells several apart: `task`, `class`,
        `videos` and `frames` (of that class), `auc` against the rest, `low`,
        `high`, `reason`.
    confusions : dict of str to DataFrame
        Per task the number of frames, true classes down, predicted across; a task
        whose predictions cannot be scored is missing.
    roc : dict of str to (ndarray, ndarray)
        Per task false and true positive rates, some `ROC_POINTS` points at most, the
        mean curve over classes where there are several; a task without a defined
        AUC is missing.
    """

    scores: dict[str, Score]
    classes: pd.DataFrame
    confusions: dict[str, pd.DataFrame]
    roc: dict[str, tuple[np.ndarray, np.ndarray]]


class Evaluation:
    """Scores predictions, every interval from the same resamples of whole videos.

    Parameters
    ----------
    resamples : int
        Resamples of the bootstrap. Videos are drawn within {anomalous, normal}.
    seed : int
        Of the bootstrap.
    threshold : float
        Probability from which a single column says yes. Several columns are
        decided by the largest.
    """

    def __init__(self, resamples: PositiveInt, seed: int, threshold: Annotated[float, Field(ge=0, le=1)]) -> None:
        self.resamples = resamples
        self.seed = seed
        self.threshold = threshold

    def evaluate(self, predictions: pd.DataFrame, tasks: Mapping[str, Task]) -> Evaluated:
        """Score every task; what is undefined is NaN and says why.

        Parameters
        ----------
        predictions : DataFrame
            One row per frame: `video`, `frame`, `class_name`, per task
            ``target/<task>`` and ``probability/<task>``, or
            ``probability/<task>/<column>`` where the task has several columns.
        tasks : mapping of str to Task
        """
        videos, anomalous = _videos(predictions)
        drawn = stratified_multiplicities(anomalous, self.resamples, self.seed)
        scores: dict[str, Score] = {}
        classes: list[tuple] = []
        confusions, roc = {}, {}
        for name, task in tasks.items():
            answers = _answers(predictions, name, task, videos)
            aucs = _aucs(answers, drawn)
            scores[f"auc/{name}"] = _macro(aucs, answers.columns)
            scores[f"average_precision/{name}"] = _average_precision(answers)
            scores |= _decision_scores(name, answers, drawn, self.threshold)
            scores[f"video_auc_mean/{name}"] = _macro(_aucs(_per_video(answers, "mean"), drawn), answers.columns)
            scores[f"video_auc_max/{name}"] = _macro(_aucs(_per_video(answers, "max"), drawn), answers.columns)
            if len(answers.columns) > 1:
                by_class = {column: auc.score() for column, auc in zip(answers.columns, aucs, strict=True)}
                scores |= {f"class_auc/{name}.{column}": score for column, score in by_class.items()}
                classes += _class_rows(name, answers, by_class)
            if not answers.fault:
                confusions[name] = _confusion(answers, self.threshold)
            if np.isfinite(scores[f"auc/{name}"].value):
                roc[name] = _mean_roc(answers)
        for name, score in scores.items():
            if np.isnan(score.value):
                log.warning("%s is undefined: %s.", name, score.reason)
        return Evaluated(scores, pd.DataFrame(classes, columns=CLASS_COLUMNS), confusions, roc)


@dataclass(frozen=True)
class _Answers:
    """One task's predictions as arrays.

    `probabilities` and `events` have shape (n_frames, n_columns), `videos` are codes,
    `fault` says why none of it can be scored.
    """

    columns: tuple[str, ...]
    probabilities: np.ndarray
    events: np.ndarray
    videos: np.ndarray
    fault: str


@dataclass(frozen=True)
class _Sampled:
    """A value, the same value in every resample of videos, and why it has no interval of its own, or no value."""

    value: float
    draws: np.ndarray
    fault: str = ""

    def score(self, said: str = "") -> Score:
        """With the interval that the draws give; with what is to be said where nothing is at fault."""
        if self.fault:
            return Score(self.value, reason=self.fault)
        low, high = percentile_interval(self.draws)
        return Score(self.value, float(low), float(high), said)


def _videos(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Code of each frame's video, and whether each video is anomalous."""
    codes, names = pd.factorize(predictions["video"].astype(str), sort=True)
    anomalous = np.zeros(len(names), bool)
    anomalous[codes[(predictions["class_name"] != NORMAL).to_numpy()]] = True
    return codes, anomalous


def _answers(predictions: pd.DataFrame, name: str, task: Task, videos: np.ndarray) -> _Answers:
    """The columns of one task, found by its name."""
    single = len(task.columns) == 1
    columns = [f"probability/{name}" if single else f"probability/{name}/{column}" for column in task.columns]
    probabilities = predictions[columns].to_numpy(np.float64)
    broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
    fault = f"{broken} of {len(predictions)} predictions are not finite" if broken else ""
    events = task.events(predictions[f"target/{name}"].to_numpy())
    return _Answers(tuple(task.columns), probabilities, events, videos, fault or ("" if len(videos) else "no frames"))


def _per_video(answers: _Answers, reduce: Literal["mean", "max"]) -> _Answers:
    """One row per video: mean or largest probability of its frames."""
    if answers.fault:
        return answers
    order = np.argsort(answers.videos, kind="stable")
    videos, starts = np.unique(answers.videos[order], return_index=True)
    probabilities, events = answers.probabilities[order], answers.events[order]
    sometimes, always = np.logical_or.reduceat(events, starts), np.logical_and.reduceat(events, starts)
    changing = int((sometimes != always).any(axis=1).sum())
    fault = f"the label changes within {changing} of {len(videos)} videos" if changing else ""
    if reduce == "max":
        scores = np.maximum.reduceat(probabilities, starts)
    else:
        scores = np.add.reduceat(probabilities, starts) / np.diff(starts, append=len(order))[:, None]
    return _Answers(answers.columns, scores, events[starts], videos, fault)


def _aucs(answers: _Answers, drawn: np.ndarray) -> list[_Sampled]:
    """AUC of every column against the rest."""
    return [
        _auc(scores, events, answers, drawn)
        for scores, events in zip(answers.probabilities.T, answers.events.T, strict=True)
    ]


def _auc(scores: np.ndarray, events: np.ndarray, answers: _Answers, drawn: np.ndarray) -> _Sampled:
    """AUC of one column."""
    if answers.fault or events.all() or not events.any():
        return _Sampled(np.nan, np.full(len(drawn), np.nan), answers.fault or _one_sided(events))
    wins = video_wins(scores, events, answers.videos)
    value = float(wins.auc(np.ones((1, drawn.shape[1])))[0])
    return _Sampled(value, wins.auc(drawn), _no_interval(events, answers.videos))


def _macro(aucs: Sequence[_Sampled], columns: Sequence[str]) -> Score:
    """Mean over the columns that have an AUC, in every resample over those that have one there."""
    if len(aucs) == 1:
        return aucs[0].score()
    values = np.array([auc.value for auc in aucs])
    defined = ~np.isnan(values)
    if not defined.any():
        return Score(np.nan, reason=aucs[0].fault)
    draws = mean_of_defined(np.array([auc.draws for auc in aucs]))
    return _Sampled(float(values[defined].mean()), draws).score(_over(columns, defined))


def _over(columns: Sequence[str], counted: Iterable[bool]) -> str:
    """Over how many classes a mean was taken, and which are missing."""
    missing = [column for column, counts in zip(columns, counted, strict=True) if not counts]
    over = f"mean over {len(columns) - len(missing)} of {len(columns)} classes"
    return f"{over}, without {', '.join(missing)}" if missing else over


def _no_interval(events: np.ndarray, videos: np.ndarray) -> str:
    """Why resampling videos tells nothing: a side of one video is the same in every resample. Else empty."""
    for outcome, side in ((True, "positive"), (False, "negative")):
        if len(np.unique(videos[events == outcome])) < 2:
            return f"no interval: a single video has {side} frames"
    return ""


def _one_sided(events: np.ndarray) -> str:
    """Which outcome is missing where all are alike."""
    return f"no {'negative' if events.any() else 'positive'} frame"


def _average_precision(answers: _Answers) -> Score:
    """Area under precision over recall, mean over columns; without interval."""
    counted = answers.events.min(axis=0, initial=True) != answers.events.max(axis=0, initial=False)
    if answers.fault or not counted.any():
        return Score(np.nan, reason=answers.fault or _one_sided(answers.events))
    columns = zip(answers.events.T[counted], answers.probabilities.T[counted], strict=True)
    value = float(np.mean([average_precision_score(events, scores) for events, scores in columns]))
    return Score(value, reason="" if len(answers.columns) == 1 else _over(answers.columns, counted))


def _classes(answers: _Answers, threshold: float) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, true and predicted codes: no and yes at the threshold, or the likeliest column."""
    if len(answers.columns) == 1:
        predicted = (answers.probabilities[:, 0] >= threshold).astype(int)
        return ["no", *answers.columns], answers.events[:, 0].astype(int), predicted
    return list(answers.columns), answers.events.argmax(axis=1), answers.probabilities.argmax(axis=1)


def _confusion(answers: _Answers, threshold: float) -> pd.DataFrame:
    """Number of frames, true classes down, predicted across."""
    names, true, predicted = _classes(answers, threshold)
    counts = np.bincount(true * len(names) + predicted, minlength=len(names) ** 2).reshape(len(names), -1)
    return pd.DataFrame(counts, pd.Index(names, name="true"), pd.Index(names, name="predicted"))


def _decision_scores(name: str, answers: _Answers, drawn: np.ndarray, threshold: float) -> dict[str, Score]:
    """Balanced accuracy, and F1 of the yes or mean over classes; over the classes present."""
    keys = [f"balanced_accuracy/{name}", f"f1/{name}"]
    if answers.fault:
        return dict.fromkeys(keys, Score(np.nan, reason=answers.fault))
    names, true, predicted = _classes(answers, threshold)
    n_classes = len(names)
    cell = (answers.videos * n_classes + true) * n_classes + predicted
    by_video = np.bincount(cell, minlength=drawn.shape[1] * n_classes**2).reshape(drawn.shape[1], -1)
    recall, f1 = _recall_and_f1((drawn @ by_video).reshape(-1, n_classes, n_classes))
    plain_recall, plain_f1 = _recall_and_f1(by_video.sum(axis=0).reshape(1, n_classes, n_classes))
    present = ~np.isnan(plain_recall[0])
    if len(answers.columns) == 1:  # of a single question the F1 of the yes is meant, and both recalls are needed
        if not present.all():
            return dict.fromkeys(keys, Score(np.nan, reason=_one_sided(answers.events)))
        fault = _no_interval(answers.events[:, 0], answers.videos)
        accuracy = _Sampled(float(plain_recall.mean()), recall.mean(axis=1), fault)
        return {keys[0]: accuracy.score(), keys[1]: _Sampled(float(plain_f1[0, 1]), f1[:, 1], fault).score()}
    over = _over(names, present)
    return {
        key: _Sampled(float(mean_of_defined(plain, 1)[0]), mean_of_defined(draws, 1)).score(over)
        for key, plain, draws in zip(keys, (plain_recall, plain_f1), (recall, f1), strict=True)
    }


def _recall_and_f1(confusions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per class of each confusion matrix, (n, n_classes); NaN where a class has no frame."""
    hits = np.diagonal(confusions, axis1=1, axis2=2).astype(float)
    true, predicted = confusions.sum(axis=2), confusions.sum(axis=1)
    nothing = np.full(hits.shape, np.nan)
    recall = np.divide(hits, true, out=nothing.copy(), where=true > 0)
    return recall, np.divide(2 * hits, true + predicted, out=nothing, where=true > 0)


def _class_rows(name: str, answers: _Answers, by_class: Mapping[str, Score]) -> list[tuple]:
    """Rows of the table per class."""
    return [
        (name, column, len(np.unique(answers.videos[events])), int(events.sum()), s.value, s.low, s.high, s.reason)
        for (column, s), events in zip(by_class.items(), answers.events.T, strict=True)
    ]


def _mean_roc(answers: _Answers) -> tuple[np.ndarray, np.ndarray]:
    """A ROC curve thin enough to draw: of a single column, or the mean over the columns with both outcomes."""
    curves = [
        roc_curve(events, scores)[:2]
        for scores, events in zip(answers.probabilities.T, answers.events.T, strict=True)
        if events.any() and not events.all()
    ]
    if len(curves) == 1:
        return _thinned(*curves[0])
    grid = np.linspace(0, 1, ROC_POINTS)
    mean = np.mean([np.interp(grid, *curve) for curve in curves], axis=0)
    return np.append(0.0, grid), np.append(0.0, mean)


def _thinned(false: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `ROC_POINTS` + 1 points of a curve, evenly along its length, both ends kept."""
    steps = np.linspace(0, 2, ROC_POINTS)
    kept = np.unique(np.append(np.searchsorted(false + true, steps).clip(max=len(false) - 1), [0, len(false) - 1]))
    return false[kept], true[kept]
