"""One task's predictions beside the truth, by frame or by video."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from mtl.evaluation.predictions import prediction_columns, ranking_scores
from mtl.tasks import UNLABELLED, Task

Reduction = Literal["mean", "max"]  # of a video's frames
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)


@dataclass(frozen=True)
class TaskPredictions:
    """One task's predictions of the frames that are labelled for it, as arrays.

    Attributes
    ----------
    classes : tuple of str
    scores : ndarray of shape (n_frames, n_classes)
        What frames are ranked by: log-odds, see `ranking_scores`.
    probabilities : ndarray of shape (n_frames, n_classes)
        What is decided by, and averaged over a video.
    positives : ndarray of bool, shape (n_frames, n_classes)
    videos : ndarray of int, shape (n_frames,)
        Codes.
    fault : str
        Why none of it can be scored; else empty.
    trained : ndarray of bool, shape (n_classes,)
        Whether training frames showed the class and the rest: else its head column learned nothing of it.
    """

    classes: tuple[str, ...]
    scores: np.ndarray
    probabilities: np.ndarray
    positives: np.ndarray
    videos: np.ndarray
    fault: str
    trained: np.ndarray


def task_predictions(
    predictions: pd.DataFrame, name: str, task: Task, videos: np.ndarray, fault: str, trained: np.ndarray | None
) -> TaskPredictions:
    """The columns of one task, found by its name, of labelled frames; without `trained` every class was."""
    targets = predictions[f"target/{name}"].to_numpy()
    known = targets != UNLABELLED
    if not known.all():
        predictions, videos, targets = predictions[known], videos[known], targets[known]
        fault = fault or ("" if known.any() else f"no test frame is labelled for {name}")
    scores = ranking_scores(predictions, name)
    logits = prediction_columns("logit", name, task.classes)
    if set(logits) <= set(predictions):  # the probabilities beside them are float32
        probabilities = task.probabilities(predictions[logits].to_numpy(np.float64))
    else:
        probabilities = predictions[prediction_columns("probability", name, task.classes)].to_numpy(np.float64)
    broken = int((~np.isfinite(scores)).any(axis=1).sum())
    fault = fault or (f"{broken} of {len(predictions)} predictions are not finite" if broken else "")
    positives = task.positives(targets)
    every = np.ones(len(task.classes), bool) if trained is None else trained
    fault = fault or ("" if len(videos) else "no frames")
    return TaskPredictions(tuple(task.classes), scores, probabilities, positives, videos, fault, every)


def per_video(predicted: TaskPredictions, reduce: Reduction) -> TaskPredictions:
    """One row per video: mean probability of its frames, or its highest score, which has the highest probability."""
    if predicted.fault:
        return predicted
    order = np.argsort(predicted.videos, kind="stable")
    videos, starts = np.unique(predicted.videos[order], return_index=True)
    positives = predicted.positives[order]
    sometimes, always = np.logical_or.reduceat(positives, starts), np.logical_and.reduceat(positives, starts)
    changing = int((sometimes != always).any(axis=1).sum())
    fault = f"the label changes within {changing} of {len(videos)} videos" if changing else ""
    if reduce == "max":
        scores = np.maximum.reduceat(predicted.scores[order], starts)
    else:
        sums = np.add.reduceat(predicted.probabilities[order], starts)
        scores = sums / np.diff(starts, append=len(order))[:, None]
    return replace(
        predicted, scores=scores, probabilities=scores, positives=positives[starts], videos=videos, fault=fault
    )


def one_sided_reason(positives: np.ndarray) -> str:
    """Which outcome is missing where all are alike."""
    return f"no {'negative' if positives.any() else 'positive'} frame"
