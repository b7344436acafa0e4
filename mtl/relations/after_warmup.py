"""Mean of what was measured on fixed batches: over batches, then over the epochs after the warm-up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from mtl.results import Relation
from mtl.statistics.bootstrap import LEVEL, mean_of_defined
from mtl.statistics.bounded import moved
from mtl.trace import Trace


def after_warmup(
    trace: Trace,
    measured: np.ndarray,
    warmup_epochs: int,
    bounds: tuple[float, float],
    steps: np.ndarray | None = None,
    reason: Callable[[Trace, np.ndarray], str] | None = None,
) -> Relation:
    """Mean of a measure per measurement, (n_measurements, n_tasks, n_tasks), over batches and then over later epochs.

    Measurements of the same step are batches of one epoch.
    """
    are_batches = steps is None  # else of something that an epoch has one of
    steps = trace.measurement_steps if steps is None else steps
    n_tasks = len(trace.tasks)
    ends = np.unique(steps)
    trajectory = np.reshape([mean_of_defined(measured[steps == end]) for end in ends], (-1, n_tasks, n_tasks))
    epochs = ends // trace.steps_per_epoch
    late = epochs > warmup_epochs
    if not late.any():
        why = f"no measurement after the warm-up of {warmup_epochs} epochs"
        values = np.full((n_tasks, n_tasks), np.nan)
        return Relation(values, trajectory=trajectory, trajectory_epochs=epochs, reason=why)
    by_epoch = [measured[steps == end] for end in ends[late]]
    values = mean_of_defined(trajectory[late])
    known = len(trace.measurement_batches) and are_batches
    by_batch = of_batches(by_epoch, trace.measurement_batches[np.isin(steps, ends[late])] if known else None)
    low, high, spread = (None, None, None) if by_batch is None else over_batches(by_batch, values, bounds)
    return Relation(
        values=values,
        low=low,
        high=high,
        trajectory=trajectory,
        reason=(reason or left_out)(trace, np.concatenate(by_epoch)),
        trajectory_epochs=epochs,
        spread=spread,
    )


def of_batches(by_epoch: list[np.ndarray], batches: np.ndarray | None = None) -> np.ndarray | None:
    """Mean of every batch over its epochs, (n_batches, n_tasks, n_tasks); None where it is not known which is which.

    Epochs that see the same batches have numbers that are not independent. Where batches take turns a batch's mean is
    of its own epochs, so what epochs differ by is in the spread.

    Parameters
    ----------
    by_epoch : list of ndarray of shape (n, n_tasks, n_tasks)
    batches : ndarray of int, optional
        Which batch each number is of; without it all epochs have the same ones in the same order.
    """
    if batches is None:
        if any(len(epoch) != len(by_epoch[0]) for epoch in by_epoch):
            return None
        batches = np.tile(np.arange(len(by_epoch[0])), len(by_epoch))
    measured = np.concatenate(by_epoch)
    return np.array([mean_of_defined(measured[batches == one]) for one in np.unique(batches)])


def over_batches(
    by_batch: np.ndarray, values: np.ndarray, bounds: tuple[float, float]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """T interval around values, and standard deviation, over batches (n_batches, n_tasks, n_tasks); None for one."""
    if len(by_batch) < 2:
        return None, None, None
    n_defined = (~np.isnan(by_batch)).sum(axis=0)
    mean = mean_of_defined(by_batch)
    deviations = mean_of_defined((by_batch - mean) ** 2)
    n_others = np.where(n_defined > 1, n_defined - 1, np.nan)
    spread = np.sqrt(deviations * n_defined / n_others)
    half = stats.t.ppf((1 + LEVEL) / 2, np.maximum(n_defined - 1, 1)) * spread / np.sqrt(np.maximum(n_defined, 1))
    return moved(values, -half, bounds), moved(values, half, bounds), spread


def left_out(trace: Trace, counted: np.ndarray) -> str:
    """Which tasks' gradients were zero, not finite or of no labelled frame, and on how many of the batches counted."""
    undefined = np.isnan(np.diagonal(counted, axis1=1, axis2=2)).sum(axis=0)
    why = "zero, not finite or of no labelled frame" if trace.val_labelled.size else "zero or not finite"
    return "; ".join(
        f"gradient of {task} is {why} on {n} of {len(counted)} batches"
        for task, n in zip(trace.tasks, undefined, strict=True)
        if n
    )


def never_measured(trace: Trace, counted: np.ndarray) -> str:
    """Which tasks have no number at all; one batch may have been the turn of other tasks."""
    found = np.isfinite(np.diagonal(counted, axis1=1, axis2=2)).any(axis=0)
    return "; ".join(
        f"no finite step was tried for {task} on any batch after the warm-up"
        for task, any_of in zip(trace.tasks, found, strict=True)
        if not any_of
    )
