"""AUC, average precision and ROC curves, with draws over resampled videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_curve

from mtl.evaluation.task_predictions import TaskPredictions, one_sided_reason
from mtl.results import Score
from mtl.statistics.bootstrap import mean_of_defined, percentile_interval
from mtl.statistics.pairwise import pairwise_counts

ROC_POINTS = 300
NEVER_TRAINED = "the training frames do not show both outcomes, so nothing was learned"


@dataclass(frozen=True)
class Sampled:
    """A value, the same value in every resample of videos, and why it has no interval of its own, or no value."""

    value: float
    draws: np.ndarray
    fault: str = ""

    def score(self, reason: str = "") -> Score:
        """With the interval that the draws give; with a reason to note where nothing is at fault."""
        if self.fault:
            return Score(self.value, reason=self.fault)
        low, high = percentile_interval(self.draws)
        return Score(self.value, float(low), float(high), reason)


def class_aucs(predicted: TaskPredictions, drawn: np.ndarray, weights: np.ndarray | None = None) -> list[Sampled]:
    """AUC of every class against the rest; with weights each row stands for so many frames."""
    return [
        _auc(scores, positives, predicted, drawn, weights)
        for scores, positives in zip(predicted.scores.T, predicted.positives.T, strict=True)
    ]


def _auc(
    scores: np.ndarray,
    positives: np.ndarray,
    predicted: TaskPredictions,
    drawn: np.ndarray,
    weights: np.ndarray | None,
) -> Sampled:
    """AUC of one class."""
    if predicted.fault or positives.all() or not positives.any():
        return Sampled(np.nan, np.full(len(drawn), np.nan), predicted.fault or one_sided_reason(positives))
    counts = pairwise_counts(scores, positives, predicted.videos, weights)
    value = float(counts.auc(np.ones((1, drawn.shape[1])))[0])
    return Sampled(value, counts.auc(drawn), no_interval_reason(positives, predicted.videos))


def macro_score(aucs: Sequence[Sampled], predicted: TaskPredictions) -> Score:
    """Mean over the trained classes that have an AUC, in every resample over those that have one there."""
    if not predicted.trained.any():
        return Score(np.nan, reason=predicted.fault or NEVER_TRAINED)
    if len(aucs) == 1:
        return aucs[0].score()
    values = np.array([auc.value for auc in aucs])
    counted = ~np.isnan(values) & predicted.trained
    if not counted.any():
        return Score(np.nan, reason=aucs[0].fault or NEVER_TRAINED)
    draws = mean_of_defined(np.array([auc.draws for auc in aucs])[counted])
    return Sampled(float(values[counted].mean()), draws).score(over_classes(predicted, counted))


def over_classes(predicted: TaskPredictions, counted: np.ndarray) -> str:
    """Over how many classes a mean was taken, and which are missing, for want of training frames or of test frames."""
    classes = np.array(predicted.classes)
    over = f"mean over {int(counted.sum())} of {len(classes)} classes"
    untrained, absent = classes[~predicted.trained], classes[predicted.trained & ~counted]
    parts = [", ".join(absent)] if len(absent) else []
    parts += [f"{', '.join(untrained)} (no training frame)"] if len(untrained) else []
    return f"{over}, without {' and '.join(parts)}" if parts else over


def no_interval_reason(positives: np.ndarray, videos: np.ndarray) -> str:
    """Why resampling videos gives no interval: a side of one video is the same in every resample. Else empty."""
    for outcome, side in ((True, "positive"), (False, "negative")):
        if len(np.unique(videos[positives == outcome])) < 2:
            return f"no interval: all {side} frames are from a single video"
    return ""


def average_precision(predicted: TaskPredictions) -> Score:
    """Area under precision over recall, mean over classes; without interval."""
    both = predicted.positives.min(axis=0, initial=True) != predicted.positives.max(axis=0, initial=False)
    counted = both & predicted.trained
    if predicted.fault or not counted.any():
        why = NEVER_TRAINED if both.any() else one_sided_reason(predicted.positives)
        return Score(np.nan, reason=predicted.fault or why)
    columns = zip(predicted.positives.T[counted], predicted.scores.T[counted], strict=True)
    value = float(np.mean([average_precision_score(positives, scores) for positives, scores in columns]))
    return Score(value, reason="" if len(predicted.classes) == 1 else over_classes(predicted, counted))


def mean_roc(predicted: TaskPredictions) -> tuple[np.ndarray, np.ndarray]:
    """A ROC curve thin enough to draw: of a single class, or the mean over the classes of the macro mean."""
    curves = [
        roc_curve(positives, scores)[:2]
        for scores, positives, counts in zip(predicted.scores.T, predicted.positives.T, predicted.trained, strict=True)
        if counts and positives.any() and not positives.all()
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
