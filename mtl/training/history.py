"""What each epoch brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mtl.tasks import Task


@dataclass
class History:
    """What each epoch brought.

    Attributes
    ----------
    epochs : list of mapping
        `train_loss/<task>`, `val_loss/<task>`, `val_auc/<task>`, `weight/<task>` of each epoch.
    best_epoch : int
        Epoch whose weights the model holds, counted from 0.
    diverged : str
        What ceased to be finite, in which epoch, and what was kept; empty where nothing did.
    sound : bool
        Whether the model that is left has finite parameters and validation losses; else
        nothing that it says counts.
    batch_size : int
    seconds : float
        Wall time of the steps alone.
    measurement_seconds : float
        Wall time of the measurements.
    first_measurement_seconds : float
        Of these the first one's, which compiles; about that of any other where a
        job before it in the same process compiled them.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    diverged: str = ""
    sound: bool = True
    batch_size: int = 0
    seconds: float = 0.0
    measurement_seconds: float = 0.0
    first_measurement_seconds: float = 0.0

    def kept(self) -> str:
        """What is left of a run that diverged, in words."""
        if not self.sound:
            return "nothing sound is left"
        whole = self.best_epoch < len(self.epochs) - 1
        return f"kept is epoch {self.best_epoch + 1}{'' if whole else ' without its void steps'}"


def epoch_means(losses: list[np.ndarray], steps_per_epoch: int) -> np.ndarray:
    """Mean unweighted loss of each finished epoch, shape (n_epochs, n_tasks); (0, 0) before the first."""
    if not losses:
        return np.empty((0, 0))
    steps = np.concatenate(losses)
    return steps.reshape(-1, steps_per_epoch, steps.shape[1]).mean(axis=1)


def by_task(quantity: str, tasks: Mapping[str, Task], values: np.ndarray) -> dict[str, float]:
    """`<quantity>/<task>` -> value."""
    return {f"{quantity}/{name}": float(value) for name, value in zip(tasks, values, strict=True)}
