"""What each epoch brought."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mtl.trace import absent_steps


@dataclass(frozen=True, eq=False)
class Epoch:
    """What one epoch brought; every array is of shape (n_tasks,).

    Attributes
    ----------
    tasks : tuple of str
    train_losses : ndarray
        Means over the epoch's steps, unweighted; steps whose batch has no labelled frame of the task are left out.
    val_losses : ndarray
        Means over the validation frames after the epoch; NaN where there are none.
    val_aucs : ndarray
        ROC AUC of the validation frames after the epoch; NaN where undefined.
    weighted_val_aucs : ndarray
        The same with each video counting alike, whatever its frames: what the epoch is judged by.
    weights : ndarray
        Means over the epoch's steps.
    """

    tasks: tuple[str, ...]
    train_losses: np.ndarray
    val_losses: np.ndarray
    val_aucs: np.ndarray
    weighted_val_aucs: np.ndarray
    weights: np.ndarray

    def val_auc(self, task: str) -> float:
        """Validation AUC of one task."""
        return float(self.val_aucs[self.tasks.index(task)])

    def weighted_val_auc(self, task: str) -> float:
        """Validation AUC of one task with each video counting alike."""
        return float(self.weighted_val_aucs[self.tasks.index(task)])


@dataclass
class History:
    """What each epoch brought.

    Attributes
    ----------
    epochs : list of Epoch
    best_epoch : int
        Epoch whose weights the model holds, counted from 0.
    diverged : str
        What ceased to be finite, in which epoch, and what was kept; empty where nothing did.
    sound : bool
        Whether the model that is left has finite parameters and validation losses; else
        nothing that it says counts.
    batch_size : int
    seconds : float
        Wall time of the steps alone, in processes before this one too.
    measurement_seconds : float
        Wall time of the measurements.
    first_measurement_seconds : float
        Of these the first one's, which compiles; about that of any other where a
        job before it in the same process compiled them.
    earlier_seconds : float
        Wall time of the training in processes before this one, which were killed.
    checkpoint_seconds : float
        Wall time of writing checkpoints.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    diverged: str = ""
    sound: bool = True
    batch_size: int = 0
    seconds: float = 0.0
    measurement_seconds: float = 0.0
    first_measurement_seconds: float = 0.0
    earlier_seconds: float = 0.0
    checkpoint_seconds: float = 0.0

    @property
    def best(self) -> Epoch | None:
        """What the epoch brought whose weights the model holds; None where nothing sound is left."""
        return self.epochs[self.best_epoch] if self.sound and self.epochs else None

    def kept(self) -> str:
        """What is left of a run that diverged, in words."""
        if not self.sound:
            return "nothing sound is left"
        whole = self.best_epoch < len(self.epochs) - 1
        return f"kept is epoch {self.best_epoch + 1}{'' if whole else ' without its void steps'}"


def epoch_means(losses: list[np.ndarray], weights: list[np.ndarray], steps_per_epoch: int) -> np.ndarray:
    """Mean unweighted loss of each finished epoch, shape (n_epochs, n_tasks); (0, 0) before the first.

    Parameters
    ----------
    losses, weights : list of ndarray of shape (n_steps, n_tasks)
        A step without a labelled frame of a task has loss NaN and weight 0, and is no part of
        the task's mean, which is NaN where all steps are such.
    steps_per_epoch : int
    """
    if not losses:
        return np.empty((0, 0))
    steps = np.concatenate(losses)
    absent = absent_steps(steps, np.concatenate(weights)).reshape(-1, steps_per_epoch, steps.shape[1])
    by_epoch = steps.reshape(absent.shape)
    if not absent.any():
        return by_epoch.mean(axis=1)
    total, counts = np.where(absent, 0, by_epoch).sum(axis=1), (~absent).sum(axis=1)
    return np.divide(total, counts, out=np.full(counts.shape, np.nan, steps.dtype), where=counts > 0)
