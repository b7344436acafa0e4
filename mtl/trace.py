"""What a training leaves behind: plain arrays, the contract between the rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Trace:
    """What was recorded while one set of tasks was trained.

    Attributes
    ----------
    tasks : tuple of str
        Task names in the order of the set; every axis over tasks keeps it.
    losses : ndarray of shape (n_steps, n_tasks)
        Unweighted batch-mean training loss of every step.
    weights : ndarray of shape (n_steps, n_tasks)
        Weight of every task's loss on the shared parameters at every step.
    steps_per_epoch : int
    gramians : ndarray of shape (n_probes, n_tasks, n_tasks)
        Inner products of the task gradients on the shared parameters, each on
        one fixed held-out batch, dropout off and batch norm in inference mode.
    probe_steps : ndarray of shape (n_probes,)
        Steps done when the probe was taken, ascending; the batches of one
        epoch's end share the number.
    val_losses : ndarray of shape (n_val, n_tasks)
        Loss per validation frame at the chosen epoch.
    val_videos, val_classes : ndarray of int, shape (n_val,)
        Video and class of each validation frame, as codes.
    """

    tasks: tuple[str, ...]
    losses: np.ndarray
    weights: np.ndarray
    steps_per_epoch: int
    gramians: np.ndarray
    probe_steps: np.ndarray
    val_losses: np.ndarray
    val_videos: np.ndarray
    val_classes: np.ndarray

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        n = len(self.tasks)
        if self.losses.shape[1:] != (n,) or self.weights.shape != self.losses.shape:
            raise ValueError(f"losses {self.losses.shape} and weights {self.weights.shape} need (n_steps, {n}).")
        if self.gramians.shape != (len(self.probe_steps), n, n):
            raise ValueError(f"gramians {self.gramians.shape} need ({len(self.probe_steps)}, {n}, {n}).")
        if self.val_losses.shape != (len(self.val_videos), n) or len(self.val_classes) != len(self.val_videos):
            raise ValueError(f"val_losses {self.val_losses.shape} need ({len(self.val_videos)}, {n}).")


@dataclass(frozen=True)
class Relation:
    """One measure between every two tasks.

    Attributes
    ----------
    values : ndarray of shape (n_tasks, n_tasks)
        Row = source, column = recipient where the measure is directed. NaN where undefined.
    low, high : ndarray of shape (n_tasks, n_tasks), optional
        Ends of a 95 % interval.
    course : ndarray of shape (n_epochs, n_tasks, n_tasks), optional
        The measure at the end of every epoch, warm-up included.
    reason : str
        Why values are NaN; empty where none is.
    """

    values: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    course: np.ndarray | None = None
    reason: str = ""


@dataclass(frozen=True)
class Score:
    """One number with its 95 % interval, or NaN with the reason.

    Attributes
    ----------
    value, low, high : float
    reason : str
        Why the value is NaN, or what the number leaves out; else empty.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """What one run found.

    Attributes
    ----------
    tasks : tuple of str
    main_task : str
    scores : mapping of str to Score
        By tracked name, for example ``auc/violence``.
    relations : mapping of str to Relation
    trace : Trace
    predictions : DataFrame
        One row per test frame: `video`, `frame`, `class_name`, and per task the
        target and the probabilities.
    run_id : str
        Where it was tracked; empty where it was not.
    seconds : mapping of str to float
        Wall time of each stage.
    """

    tasks: tuple[str, ...]
    main_task: str
    scores: Mapping[str, Score]
    relations: Mapping[str, Relation]
    trace: Trace
    predictions: pd.DataFrame
    run_id: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)


def pairs(tasks: Sequence[str]) -> list[tuple[str, int, int]]:
    """Name and positions of every pair of tasks.

    Returns
    -------
    list of (str, int, int)
        ``<a>_vs_<b>`` in alphabetical order, and the positions of a and b in `tasks`.
    """
    position = {task: i for i, task in enumerate(tasks)}
    return [(f"{a}_vs_{b}", position[a], position[b]) for a, b in combinations(sorted(tasks), 2)]
