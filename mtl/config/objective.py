"""The objective: which number of validation frames a run returns to a sweeper, and whether more of it is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from omegaconf import DictConfig

from mtl import numbers
from mtl.errors import UserError, nearest
from mtl.results import BEST

Direction = Literal["minimize", "maximize"]
MAXIMIZE: Direction = "maximize"
MINIMIZE: Direction = "minimize"
# quantities of validation frames that are tracked for every task, and which way each is better
DIRECTIONS: dict[str, Direction] = {"val_auc": MAXIMIZE, "val_auc_video_weighted": MAXIMIZE, "val_loss": MINIMIZE}


@dataclass(frozen=True)
class Objective:
    """A quantity of validation frames, of one task, at the epoch whose weights are kept.

    Attributes
    ----------
    quantity : str
        One of `DIRECTIONS`.
    task : str
    """

    quantity: str
    task: str

    @property
    def metric(self) -> str:
        """The name under which it is tracked."""
        return f"{self.quantity}{BEST}/{self.task}"

    @property
    def direction(self) -> Direction:
        """`MAXIMIZE`, or `MINIMIZE` where less is better."""
        return DIRECTIONS[self.quantity]

    def of(self, metrics: Mapping[str, float]) -> float | None:
        """Its value among the tracked metrics of a run; None where it is undefined.

        None is what sweepers take for a failed trial. NaN ends Optuna's study, and any number would be believed.
        """
        value = metrics.get(self.metric)
        return value if value is not None and math.isfinite(value) else None


def objective_of(config: DictConfig) -> Objective:
    """What the config's `objective` names: a quantity of the main task, or ``<quantity>/<task>``.

    Raises
    ------
    UserError
        If there is no such quantity, or it is one of test or of training frames.
    """
    found = config.objective
    quantity, _, task = str(found).partition("/")
    name = quantity.removesuffix(BEST)
    if not isinstance(found, str) or name not in DIRECTIONS or str(found).endswith("/"):
        raise UserError(_why_not(found, name, task))
    return Objective(name, task or str(config.main_task))


def check_objective(config: DictConfig) -> None:
    """Raise `UserError` where the config's objective is none, or is of a task that the run does not train."""
    objective = objective_of(config)
    if objective.task not in config.tasks:
        raise UserError(
            f"objective: '{objective.task}' of {config.objective} is not in the task set. "
            f"{nearest(objective.task, map(str, config.tasks))}"
        )


def _why_not(found: object, name: str, task: str) -> str:
    """What is wrong with an objective, and what would be right."""
    tracked = numbers.known(f"{name}/{task or 'task'}") if name else None
    if tracked is None or name in DIRECTIONS or not isinstance(found, str):
        return f"objective: found {found!r}. {nearest(str(found), DIRECTIONS)}"
    right = f"Right would be one of validation frames: {', '.join(DIRECTIONS)}."
    if tracked.of in (numbers.TEST, numbers.ANNOTATED):
        return (
            f"objective: {found} is a number of test frames, which judge a run and never choose one: the best of many "
            f"by test frames is no estimate for new videos. {right}"
        )
    return f"objective: {found} is not made to choose between runs. {right}"
