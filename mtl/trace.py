"""What a training leaves behind: plain arrays, the contract between the rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations

import numpy as np
import pandas as pd


def _absent() -> np.ndarray:
    """In place of what was not measured."""
    return np.empty(0)


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
    mean_gramians : ndarray of shape (n_probed_epochs, n_tasks, n_tasks)
        Inner products of the task gradients that are averaged over an epoch's batches first.
    layer_groups : tuple of str
        Parts of the shared parameters, from the input on.
    group_gramians : ndarray of shape (n_probes, n_groups, n_tasks, n_tasks)
        The `gramians` by layer group, whose sum they are.
    null_cosines : ndarray of shape (n_probes, n_tasks, n_tasks)
        Cosine between the row task's gradient and the column task's once that one's
        labels are permuted within the batch; empty where not measured.
    affinities : ndarray of shape (n_probes, n_tasks, n_tasks)
        Share of its held-out loss that the column task loses by a plain step down the
        row task's gradient on a training batch; empty where not measured.
    labels : ndarray of int, shape (n_combinations, n_tasks)
        Combinations of the tasks' targets that training frames have.
    label_frames, label_videos : ndarray of int, shape (n_combinations,)
        Training frames, and videos, with each combination.
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
    mean_gramians: np.ndarray = field(default_factory=_absent)
    layer_groups: tuple[str, ...] = ()
    group_gramians: np.ndarray = field(default_factory=_absent)
    null_cosines: np.ndarray = field(default_factory=_absent)
    affinities: np.ndarray = field(default_factory=_absent)
    labels: np.ndarray = field(default_factory=_absent)
    label_frames: np.ndarray = field(default_factory=_absent)
    label_videos: np.ndarray = field(default_factory=_absent)

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        n = len(self.tasks)
        if self.losses.shape[1:] != (n,) or self.weights.shape != self.losses.shape:
            raise ValueError(f"losses {self.losses.shape} and weights {self.weights.shape} need (n_steps, {n}).")
        if self.gramians.shape != (len(self.probe_steps), n, n):
            raise ValueError(f"gramians {self.gramians.shape} need ({len(self.probe_steps)}, {n}, {n}).")
        if self.val_losses.shape != (len(self.val_videos), n) or len(self.val_classes) != len(self.val_videos):
            raise ValueError(f"val_losses {self.val_losses.shape} need ({len(self.val_videos)}, {n}).")
        n_probes, n_combinations = len(self.probe_steps), len(self.label_frames)
        wanted = {
            "mean_gramians": (len(np.unique(self.probe_steps)), n, n),
            "group_gramians": (n_probes, len(self.layer_groups), n, n),
            "null_cosines": (n_probes, n, n),
            "affinities": (n_probes, n, n),
            "labels": (n_combinations, n),
            "label_videos": (n_combinations,),
        }
        for name, shape in wanted.items():
            found = getattr(self, name).shape
            if found != shape and 0 not in found:
                raise ValueError(f"{name} {found} need {shape}.")


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
    course_epochs : ndarray of shape (n_epochs,), optional
        Epochs of the course, counted from 1; without it every one.
    spread : ndarray of shape (n_tasks, n_tasks), optional
        Standard deviation between batches.
    directed : bool
        Whether row and column are source and recipient.
    null : Relation, optional
        What is measured where there is nothing to find.
    by_layer : mapping of str to ndarray (n_tasks, n_tasks)
        The measure within parts of the shared parameters, from the input on.
    of_tasks : mapping of str to ndarray (n_tasks,)
        What the measure says of each task alone, by quantity.
    of_pairs : mapping of str to ndarray (n_tasks, n_tasks)
        What else it says of every two tasks, whichever comes first, by quantity.
    """

    values: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    course: np.ndarray | None = None
    reason: str = ""
    course_epochs: np.ndarray | None = None
    spread: np.ndarray | None = None
    directed: bool = False
    null: Relation | None = None
    by_layer: Mapping[str, np.ndarray] = field(default_factory=dict)
    of_tasks: Mapping[str, np.ndarray] = field(default_factory=dict)
    of_pairs: Mapping[str, np.ndarray] = field(default_factory=dict)


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


def directions(tasks: Sequence[str]) -> list[tuple[str, int, int]]:
    """Name and positions of every ordered pair of tasks.

    Returns
    -------
    list of (str, int, int)
        ``<source>_to_<recipient>`` in alphabetical order, and the positions of both in `tasks`.
    """
    position = {task: i for i, task in enumerate(tasks)}
    return [(f"{a}_to_{b}", position[a], position[b]) for a, b in permutations(sorted(tasks), 2)]


def tracked_values(name: str, relation: Relation, tasks: Sequence[str]) -> dict[str, float]:
    """The numbers of a relation by the name under which they are tracked.

    Returns
    -------
    dict of str to float
        ``<measure>/<a>_vs_<b>`` for a symmetric measure, ``<measure>/<source>_to_<recipient>``,
        both ways, for a directed one; ``<measure>_null/...`` beside it where there is
        a null, ``<measure>_by_layer/<group>.<a>_vs_<b>`` where there are layer groups,
        and ``<quantity>/<task>`` and ``<quantity>/<a>_vs_<b>`` for what else it says.
    """
    named = directions(tasks) if relation.directed else pairs(tasks)
    found = {f"{name}/{pair}": relation.values[a, b] for pair, a, b in named}
    if relation.null is not None:
        found |= tracked_values(f"{name}_null", relation.null, tasks)
    for group, values in relation.by_layer.items():
        found |= {f"{name}_by_layer/{group}.{pair}": values[a, b] for pair, a, b in named}
    for quantity, of_tasks in relation.of_tasks.items():
        found |= {f"{quantity}/{task}": value for task, value in zip(tasks, of_tasks, strict=True)}
    for quantity, values in relation.of_pairs.items():
        found |= {f"{quantity}/{pair}": values[a, b] for pair, a, b in pairs(tasks)}
    return {key: float(value) for key, value in found.items()}
