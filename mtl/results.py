"""What a run finds and how it was tracked: scores, relations, results as frozen dataclasses."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.tracked_numbers import WHOLE_SET

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mtl.trace import Trace


@dataclass(frozen=True)
class Relation:
    """One measure between every two tasks.

    Attributes
    ----------
    values : ndarray of shape (n_tasks, n_tasks)
        Row = source, column = recipient where the measure is directed. NaN where undefined.
    low, high : ndarray of shape (n_tasks, n_tasks), optional
        Ends of a 95 % interval.
    trajectory : ndarray of shape (n_epochs, n_tasks, n_tasks), optional
        The measure at the end of every epoch, warm-up included.
    reason : str
        Why values are NaN; empty where none is.
    trajectory_epochs : ndarray of shape (n_epochs,), optional
        Epochs of the trajectory, counted from 1; without it every one.
    spread : ndarray of shape (n_tasks, n_tasks), optional
        Standard deviation between batches.
    directed : bool
        Whether row and column are source and recipient.
    baseline : Relation, optional
        What is measured where there is nothing to find.
    by_layer : mapping of str to ndarray (n_tasks, n_tasks)
        The measure within parts of the shared parameters, from the input on.
    of_tasks : mapping of str to ndarray (n_tasks,)
        Quantities of each task alone, by name.
    of_pairs : mapping of str to ndarray (n_tasks, n_tasks)
        Other quantities of every two tasks, whichever comes first, by name.
    of_set : float, optional
        The measure of all tasks together, where it has one.
    """

    values: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    trajectory: np.ndarray | None = None
    reason: str = ""
    trajectory_epochs: np.ndarray | None = None
    spread: np.ndarray | None = None
    directed: bool = False
    baseline: Relation | None = None
    by_layer: Mapping[str, np.ndarray] = field(default_factory=dict)
    of_tasks: Mapping[str, np.ndarray] = field(default_factory=dict)
    of_pairs: Mapping[str, np.ndarray] = field(default_factory=dict)
    of_set: float | None = None


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
        One row per validation and test frame: `split`, `video`, `frame`, `class_name`, and
        per task the target, the logits and the probabilities.
    objective : float or None
        See `mtl.config.objective`; None where undefined.
    run_id : str
        Where it was tracked; empty where it was not.
    seconds : mapping of str to float
        Wall time of each stage.
    earlier_seconds : float
        Of these what processes took that were killed, and with which this one went on.
    """

    tasks: tuple[str, ...]
    main_task: str
    scores: Mapping[str, Score]
    relations: Mapping[str, Relation]
    trace: Trace
    predictions: pd.DataFrame
    objective: float | None = None
    run_id: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    earlier_seconds: float = 0.0


@dataclass(frozen=True)
class Killed:
    """A run that was killed within its training, and left a checkpoint.

    Attributes
    ----------
    fingerprint : str
    record : Path or None
        Folder of its record, where that is known.
    """

    fingerprint: str
    record: Path | None


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
        both ways, for a directed one; ``<measure>_baseline/...`` beside it where there is
        a permutation baseline, ``<measure>_by_layer/<group>.<a>_vs_<b>`` where there are layer groups,
        ``<quantity>/<task>`` and ``<quantity>/<a>_vs_<b>`` for its other quantities, and
        ``<measure>/all_tasks`` where it has a number of two or more tasks together.
    """
    named = directions(tasks) if relation.directed else pairs(tasks)
    found = {f"{name}/{pair}": relation.values[a, b] for pair, a, b in named}
    if relation.baseline is not None:
        found |= tracked_values(f"{name}_baseline", relation.baseline, tasks)
    for group, values in relation.by_layer.items():
        found |= {f"{name}_by_layer/{group}.{pair}": values[a, b] for pair, a, b in named}
    for quantity, of_tasks in relation.of_tasks.items():
        found |= {f"{quantity}/{task}": value for task, value in zip(tasks, of_tasks, strict=True)}
    for quantity, values in relation.of_pairs.items():
        found |= {f"{quantity}/{pair}": values[a, b] for pair, a, b in pairs(tasks)}
    if relation.of_set is not None and len(tasks) > 1:
        found[f"{name}/{WHOLE_SET}"] = relation.of_set
    return {key: float(value) for key, value in found.items()}


VIDEO, EVENT = JUDGES = ("video", "event")  # what test frames are judged by: their video's label, or annotated events
AUC_BY = {VIDEO: "auc", EVENT: "auc_event"}  # what stands before the task in the name of its AUC, by judge

# Tags of ours, by which a run is found again.
KEY, HOST, PROCESS, FINGERPRINT, FAILURE = "mtl.key", "mtl.host", "mtl.process", "fingerprint", "failure"
DIVERGED = "diverged"  # what ceased to be finite, and what was kept
JOB = "mtl.job"  # number in its sweep
MEMBERS = "task_set"  # its tasks, in their order
JOINT = "+"  # between tasks, where a set goes by them
LOOKS = "decide.seeds"  # of a sweep until it is decided: seeds before the first look, and at most
SCREENING = "screening"  # of a sweep over few sets of many auxiliaries: JSON, its main task and candidates
MARGIN = "decide.margin"  # effect from which on an auxiliary matters, in AUC
BEST = "_best"  # behind a quantity that has a curve over epochs: its value at the epoch whose weights are kept
UNTRAINED = "untrained_classes"  # by task, as JSON: classes of which training frames showed nothing
ASKED = "asked_for"  # choices as typed, such as freeze=all, where the configuration is that of another choice
CODE, DATA = "code", "data_digest"  # of what a result comes from
NUMERICS = "numerics"  # what did the arithmetic
OBJECTIVE = "objective"  # the quantity that a sweeper which searches would choose by
PARENT = "mlflow.parentRunId"
NO_WORD = "its process died without a word"
REUSED_FROM = "reused_from"  # of a row whose numbers are another run's: that run's id
FIGURES = "figures"  # of a run that leaves them to be drawn by another process, and whether that was done
TO_BE_DRAWN, DRAWN = "to be drawn", "drawn"


# scores by annotated events, by the part of their tracked name before the task
EVENT_SCORES = (
    *("auc_event", "average_precision_event", "auc_event_anomalous", "class_auc_event"),
    *("false_alarms_per_hour", "events_found", "alarm_delay_s", "alarm_threshold"),
    *("calibration_error", "false_alarm_rate", "event_frames", "event_videos"),
)


def is_event_score(name: str) -> bool:
    """Whether a metric is a score by annotated events, or an end of its interval."""
    return name.partition("/")[0].removesuffix("_low").removesuffix("_high") in EVENT_SCORES


@dataclass(frozen=True)
class TrackedRun:
    """A run as it was tracked.

    Attributes
    ----------
    id, name : str
    status : str
        RUNNING, FINISHED, FAILED or KILLED.
    params, tags : mapping of str to str
    metrics : mapping of str to float
        The value of the last step.
    start, end : datetime or None
        In UTC.
    artifact_uri : str
    """

    id: str
    name: str
    status: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    artifact_uri: str = ""
