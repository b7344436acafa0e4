"""Losses and AUCs of the validation frames after an epoch."""

from __future__ import annotations

import numpy as np

from mtl.model.multitask import MultiTaskModel
from mtl.statistics.pairwise import macro_auc
from mtl.tasks import Task
from mtl.training.dataset import Dataset
from mtl.training.source import predict


def task_auc(task: Task, targets: np.ndarray, logits: np.ndarray) -> float:
    """ROC AUC by frames, macro over the task's columns; NaN where none has both outcomes."""
    if not len(targets) or not np.isfinite(logits).all():
        return float("nan")
    return macro_auc(task.positives(targets), task.probabilities(logits))


def validate(model: MultiTaskModel, dataset: Dataset, val: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses per validation frame (n_val, n_tasks), their means (n_tasks,) and the AUCs (n_tasks,)."""
    logits = predict(model, dataset.features, val)
    targets = {name: dataset.targets[name][val] for name in model.tasks}
    per_frame = np.stack([np.asarray(loss) for loss in model.frame_losses(logits, targets).values()], axis=1)
    means = per_frame.mean(axis=0) if len(val) else np.full(len(model.tasks), np.nan)
    aucs = np.array([task_auc(task, targets[name], logits[name]) for name, task in model.tasks.items()])
    return per_frame, means, aucs
