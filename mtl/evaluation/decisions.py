"""What follows from a threshold: confusion, balanced accuracy, F1."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtl.evaluation.auc import NEVER_TRAINED, Sampled, no_interval_reason, over_classes
from mtl.evaluation.task_predictions import TaskPredictions, one_sided_reason
from mtl.results import Score
from mtl.statistics.bootstrap import mean_of_defined


def _classes(predicted: TaskPredictions, threshold: float) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, true and predicted codes: no and yes at the threshold, or the likeliest class."""
    if len(predicted.classes) == 1:
        is_yes = (predicted.probabilities[:, 0] >= threshold).astype(int)
        return ["no", *predicted.classes], predicted.positives[:, 0].astype(int), is_yes
    return list(predicted.classes), predicted.positives.argmax(axis=1), predicted.probabilities.argmax(axis=1)


def confusion(predicted: TaskPredictions, threshold: float) -> pd.DataFrame:
    """Number of frames, true classes down, predicted across."""
    names, true, decided = _classes(predicted, threshold)
    counts = np.bincount(true * len(names) + decided, minlength=len(names) ** 2).reshape(len(names), -1)
    return pd.DataFrame(counts, pd.Index(names, name="true"), pd.Index(names, name="predicted"))


def decision_scores(name: str, predicted: TaskPredictions, drawn: np.ndarray, threshold: float) -> dict[str, Score]:
    """Balanced accuracy, and F1 of the yes or mean over classes; over the classes present that were trained."""
    keys = [f"balanced_accuracy/{name}", f"f1/{name}"]
    if predicted.fault or not predicted.trained.any():
        return dict.fromkeys(keys, Score(np.nan, reason=predicted.fault or NEVER_TRAINED))
    names, true, decided = _classes(predicted, threshold)
    n_classes = len(names)
    cell = (predicted.videos * n_classes + true) * n_classes + decided
    by_video = np.bincount(cell, minlength=drawn.shape[1] * n_classes**2).reshape(drawn.shape[1], -1)
    recall, f1 = _recall_and_f1((drawn @ by_video).reshape(-1, n_classes, n_classes))
    plain_recall, plain_f1 = _recall_and_f1(by_video.sum(axis=0).reshape(1, n_classes, n_classes))
    present = ~np.isnan(plain_recall[0])
    if len(predicted.classes) == 1:  # of a single question the F1 of the yes is meant, and both recalls are needed
        if not present.all():
            return dict.fromkeys(keys, Score(np.nan, reason=one_sided_reason(predicted.positives)))
        fault = no_interval_reason(predicted.positives[:, 0], predicted.videos)
        accuracy = Sampled(float(plain_recall.mean()), recall.mean(axis=1), fault)
        return {keys[0]: accuracy.score(), keys[1]: Sampled(float(plain_f1[0, 1]), f1[:, 1], fault).score()}
    present &= predicted.trained
    if not present.any():
        return dict.fromkeys(keys, Score(np.nan, reason=NEVER_TRAINED))
    over = over_classes(predicted, present)
    return {
        key: Sampled(float(plain[0, present].mean()), mean_of_defined(draws[:, present], 1)).score(over)
        for key, plain, draws in zip(keys, (plain_recall, plain_f1), (recall, f1), strict=True)
    }


def _recall_and_f1(confusions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per class of each confusion matrix, (n, n_classes); NaN where a class has no frame."""
    hits = np.diagonal(confusions, axis1=1, axis2=2).astype(float)
    true, predicted = confusions.sum(axis=2), confusions.sum(axis=1)
    nothing = np.full(hits.shape, np.nan)
    recall = np.divide(hits, true, out=nothing.copy(), where=true > 0)
    return recall, np.divide(2 * hits, true + predicted, out=nothing, where=true > 0)
