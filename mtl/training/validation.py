"""Losses and AUCs of the validation frames after an epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtl.model.multitask import MultiTaskModel
from mtl.statistics.pairwise import macro_auc
from mtl.tasks import UNLABELLED, Task
from mtl.training.dataset import Dataset
from mtl.training.source import predict


@dataclass(frozen=True)
class Validated:
    """The validation frames after an epoch.

    Attributes
    ----------
    frame_losses : ndarray of shape (n_val, n_tasks)
        NaN where the task says nothing about the frame.
    losses : ndarray of shape (n_tasks,)
        Means over the labelled frames; NaN where there are none.
    aucs : ndarray of shape (n_tasks,)
        ROC AUC by frames, all of one weight.
    weighted_aucs : ndarray of shape (n_tasks,)
        The same with a weight of 1 / frames of its video for every frame: each video counts alike.
    """

    frame_losses: np.ndarray
    losses: np.ndarray
    aucs: np.ndarray
    weighted_aucs: np.ndarray


def task_auc(
    task: Task, targets: np.ndarray, logits: np.ndarray, trained: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """ROC AUC by labelled frames, macro over the task's trained columns; NaN where none has both outcomes."""
    known = targets != UNLABELLED
    if not known.all():
        targets, logits, weights = targets[known], logits[known], None if weights is None else weights[known]
    if not len(targets) or not np.isfinite(logits).all():
        return float("nan")
    return macro_auc(task.positives(targets)[:, trained], task.scores(logits)[:, trained], weights)


class Validation:
    """The validation frames of a dataset, and what is asked of them after every epoch.

    Parameters
    ----------
    dataset : Dataset
    tasks : mapping of str to Task

    Attributes
    ----------
    positions : ndarray of int, shape (n_val,)
    labelled : ndarray of bool, shape (n_val, n_tasks)
        Whether each task says something about each frame.
    """

    def __init__(self, dataset: Dataset, tasks: dict[str, Task]) -> None:
        self.positions = dataset.positions("val")
        self._dataset, self._tasks = dataset, tasks
        self._targets = {name: dataset.targets[name][self.positions] for name in tasks}
        self._trained = dataset.trained_classes(tasks)
        self.labelled = np.stack([target != UNLABELLED for target in self._targets.values()], axis=1)
        videos = dataset.frames["video"].cat.codes.to_numpy()[self.positions]
        self._weights = {
            name: _video_weights(videos, known) for name, known in zip(tasks, self.labelled.T, strict=True)
        }

    def undefined(self, task: str) -> str:
        """Why a task's AUC is undefined on these frames whatever the model; empty where it is not.

        Parameters
        ----------
        task : str
        """
        if not len(self.positions):
            return "there is no validation frame"
        targets = self._targets[task]
        if not (targets != UNLABELLED).any():
            return f"no validation frame is labelled for {task}"
        positives = self._tasks[task].positives(targets[targets != UNLABELLED])[:, self._trained[task]]
        if ((positives.any(axis=0)) & (~positives).any(axis=0)).any():
            return ""
        if positives.shape[1] != 1:
            return f"no class of {task} is both present and absent among the validation videos"
        return f"no validation video is {'negative' if positives.any() else 'positive'} for {task}"

    def of(self, model: MultiTaskModel) -> Validated:
        """Losses and AUCs of the model as it is."""
        logits = predict(model, self._dataset.features, self.positions)
        losses = model.frame_losses(logits, self._targets).values()
        per_frame = np.stack([np.asarray(loss) for loss in losses], axis=1)
        means = per_frame.mean(axis=0) if len(per_frame) else np.full(len(model.tasks), np.nan)
        if not self.labelled.all():
            total, counts = np.where(self.labelled, per_frame, 0).sum(axis=0), self.labelled.sum(axis=0)
            means = np.divide(total, counts, out=np.full(len(counts), np.nan), where=counts > 0)
            per_frame = np.where(self.labelled, per_frame, np.nan)
        plain, weighted = (
            np.array([
                task_auc(task, self._targets[name], logits[name], self._trained[name], weights.get(name))
                for name, task in model.tasks.items()
            ])
            for weights in ({}, self._weights)
        )  # fmt: skip
        return Validated(per_frame, means, plain, weighted)


def _video_weights(videos: np.ndarray, known: np.ndarray) -> np.ndarray:
    """1 / labelled frames of its video for every frame, (n_val,): each video counts alike; 0 where it has none."""
    if not len(videos):
        return np.empty(0)
    counts = np.bincount(videos, known)[videos]
    return np.divide(1.0, counts, out=np.zeros(len(videos)), where=counts > 0)
