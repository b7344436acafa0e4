"""Where a training ceased to be sound: what is not finite, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mtl.model.multitask import MultiTaskModel
from mtl.tasks import Task
from mtl.trace import absent_steps


def fault_of_steps(
    tasks: Mapping[str, Task], losses: list[np.ndarray], weights: list[np.ndarray], steps_per_epoch: int
) -> str:
    """What was not finite in the steps of the last epoch; empty where no step was void."""
    last_losses, last_weights = (np.concatenate(each)[-steps_per_epoch:] for each in (losses, weights))
    if np.isfinite(last_weights).all():
        return ""
    present = ~absent_steps(last_losses, last_weights)
    return fault_of_losses(tasks, last_losses, "loss", present) or "a gradient is not finite"


def fault_of_losses(tasks: Mapping[str, Task], losses: np.ndarray, kind: str, counted: np.ndarray) -> str:
    """Which tasks' losses (n, n_tasks) are not all finite among those `counted`, bool alike; empty where none is."""
    lost = (~np.isfinite(losses) & counted).any(axis=0)
    names = [name for name, bad in zip(tasks, lost, strict=True) if bad]
    which = "every task" if len(names) == len(tasks) > 1 else ", ".join(names)
    return f"{kind} of {which} is not finite" if names else ""


def fault_of_parameters(model: MultiTaskModel) -> str:
    """Which of the model's variables is not finite; empty where none is."""
    broken = model.broken()
    return f"{broken[0]}{f' and {len(broken) - 1} more' if broken[1:] else ''} is not finite" if broken else ""
