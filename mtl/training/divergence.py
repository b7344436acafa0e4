"""Where a training ceased to be sound: what is not finite, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mtl.model.multitask import MultiTaskModel
from mtl.tasks import Task


def fault_of_steps(
    tasks: Mapping[str, Task], losses: list[np.ndarray], weights: list[np.ndarray], steps_per_epoch: int
) -> str:
    """What was not finite in the steps of the last epoch; empty where no step was void."""
    void = ~np.isfinite(np.concatenate(weights)[-steps_per_epoch:]).all(axis=1)
    if not void.any():
        return ""
    return fault_of_losses(tasks, np.concatenate(losses)[-steps_per_epoch:], "loss") or "a gradient is not finite"


def fault_of_losses(tasks: Mapping[str, Task], losses: np.ndarray, kind: str) -> str:
    """Which tasks' losses (n, n_tasks) are not all finite; empty where none is."""
    lost = ~np.isfinite(losses).all(axis=0)
    names = [name for name, bad in zip(tasks, lost, strict=True) if bad]
    which = "every task" if len(names) == len(tasks) > 1 else ", ".join(names)
    return f"{kind} of {which} is not finite" if names else ""


def fault_of_parameters(model: MultiTaskModel) -> str:
    """Which of the model's variables is not finite; empty where none is."""
    broken = model.broken()
    return f"{broken[0]}{f' and {len(broken) - 1} more' if broken[1:] else ''} is not finite" if broken else ""
