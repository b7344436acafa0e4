"""One task's predictions beside the truth, by frame or by video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from mtl.evaluation.predictions import probability_columns
from mtl.tasks import Task

Reduction = Literal["mean", "max"]  # of a video's frames
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)


@dataclass(frozen=True)
class TaskPredictions:
    """One task's predictions as arrays.

    `probabilities` and `positives` have shape (n_frames, n_classes), `videos` are codes,
    `fault` says why none of it can be scored.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    positives: np.ndarray
    videos: np.ndarray
    fault: str


def task_predictions(
    predictions: pd.DataFrame, name: str, task: Task, videos: np.ndarray, fault: str
) -> TaskPredictions:
    """The columns of one task, found by its name."""
    probabilities = predictions[probability_columns(name, task.classes)].to_numpy(np.float64)
    broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
    fault = fault or (f"{broken} of {len(predictions)} predictions are not finite" if broken else "")
    positives = task.positives(predictions[f"target/{name}"].to_numpy())
    return TaskPredictions(
        tuple(task.classes), probabilities, positives, videos, fault or ("" if len(videos) else "no frames")
    )


def per_video(predicted: TaskPredictions, reduce: Reduction) -> TaskPredictions:
    """One row per video: mean or largest probability of its frames."""
    if predicted.fault:
        return predicted
    order = np.argsort(predicted.videos, kind="stable")
    videos, starts = np.unique(predicted.videos[order], return_index=True)
    probabilities, positives = predicted.probabilities[order], predicted.positives[order]
    sometimes, always = np.logical_or.reduceat(positives, starts), np.logical_and.reduceat(positives, starts)
    changing = int((sometimes != always).any(axis=1).sum())
    fault = f"the label changes within {changing} of {len(videos)} videos" if changing else ""
    if reduce == "max":
        scores = np.maximum.reduceat(probabilities, starts)
    else:
        scores = np.add.reduceat(probabilities, starts) / np.diff(starts, append=len(order))[:, None]
    return TaskPredictions(predicted.classes, scores, positives[starts], videos, fault)


def one_sided_reason(positives: np.ndarray) -> str:
    """Which outcome is missing where all are alike."""
    return f"no {'negative' if positives.any() else 'positive'} frame"
