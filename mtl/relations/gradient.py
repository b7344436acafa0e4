"""What the tasks' gradients on the shared parameters say of each other, on fixed held-out batches."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeInt
from scipy import stats

from mtl.statistics import LEVEL, mean_of_defined
from mtl.trace import Relation, Trace


def gradient_similarity(trace: Trace, warmup_epochs: NonNegativeInt) -> Relation:
    """Cosine between the shared gradients of every two tasks.

    Read it after a warm-up: at the start even two identical tasks, each with a
    head of its own, have a cosine near zero.

    Parameters
    ----------
    trace : Trace
        Its `gramians` are used.
    warmup_epochs : int
        Epochs left out of the mean; the course keeps them.

    Returns
    -------
    Relation
        Mean over batches, then over epochs, in [-1, 1]; the interval is over
        batches. NaN where a gradient was zero on every batch; a batch on which it
        was zero is left out.

    References
    ----------
    Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Def. 1.
    """
    return _after_warmup(trace, _cosine(trace.gramians), warmup_epochs, (-1.0, 1.0))


def conflict_rate(trace: Trace, warmup_epochs: NonNegativeInt) -> Relation:
    """Share of held-out batches on which the gradients of two tasks point apart.

    It means little alone: two tasks that have nothing to do with each other are
    in conflict on about half of the batches.

    Parameters
    ----------
    trace : Trace
        Its `gramians` are used.
    warmup_epochs : int
        Epochs left out of the mean; the course keeps them.

    Returns
    -------
    Relation
        Share of batches with a cosine below zero, in [0, 1]; otherwise as
        `gradient_similarity`.

    References
    ----------
    Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Def. 1.
    """
    cosine = _cosine(trace.gramians)
    conflicts = np.where(np.isnan(cosine), np.nan, cosine < 0)
    return _after_warmup(trace, conflicts, warmup_epochs, (0.0, 1.0))


def magnitude_similarity(trace: Trace, warmup_epochs: NonNegativeInt) -> Relation:
    """How alike the gradients of two tasks are in length.

    Parameters
    ----------
    trace : Trace
        Its `gramians` are used.
    warmup_epochs : int
        Epochs left out of the mean; the course keeps them.

    Returns
    -------
    Relation
        2 |g_i| |g_j| / (|g_i|^2 + |g_j|^2), in [0, 1]: 1 for equal lengths, 0
        where one is zero, NaN where both are; means as in `gradient_similarity`.

    References
    ----------
    Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Def. 2.
    """
    square = _squared_norms(trace.gramians)
    total = square[:, :, None] + square[:, None, :]
    length = np.sqrt(square)
    alike = 2 * length[:, :, None] * length[:, None, :]
    with np.errstate(invalid="ignore"):  # of infinite lengths
        similarity = np.divide(alike, total, out=np.full(total.shape, np.nan), where=total > 0)
    return _after_warmup(trace, similarity, warmup_epochs, (0.0, 1.0))


def _squared_norms(gramians: np.ndarray) -> np.ndarray:
    """Squared gradient norms of each batch and task, (n_probes, n_tasks)."""
    return np.diagonal(gramians, axis1=1, axis2=2).astype(np.float64)


def _cosine(gramians: np.ndarray) -> np.ndarray:
    """Cosines of every batch, (n_probes, n_tasks, n_tasks); NaN where a gradient is zero."""
    length = np.sqrt(_squared_norms(gramians))
    product = length[:, :, None] * length[:, None, :]
    with np.errstate(invalid="ignore"):  # of infinite lengths
        cosine = np.divide(gramians, product, out=np.full(product.shape, np.nan), where=product > 0)
    return np.clip(cosine, -1, 1)


def _after_warmup(trace: Trace, measured: np.ndarray, warmup_epochs: int, bounds: tuple[float, float]) -> Relation:
    """Mean of a measure per batch, (n_probes, n_tasks, n_tasks), over batches and then over later epochs."""
    ends = np.unique(trace.probe_steps)
    course = [mean_of_defined(measured[trace.probe_steps == end]) for end in ends]
    late = ends > warmup_epochs * trace.steps_per_epoch
    n_tasks = len(trace.tasks)
    if not late.any():
        reason = f"no probe after the warm-up of {warmup_epochs} epochs"
        values = np.full((n_tasks, n_tasks), np.nan)
        return Relation(values, course=np.array(course).reshape(-1, n_tasks, n_tasks), reason=reason)
    values = mean_of_defined(np.array(course)[late])
    low, high = _interval_over_batches(trace, measured, ends[late], values, bounds)
    counted = measured[np.isin(trace.probe_steps, ends[late])]
    return Relation(values, low, high, np.array(course), _left_out(trace, counted))


def _interval_over_batches(
    trace: Trace, measured: np.ndarray, ends: np.ndarray, values: np.ndarray, bounds: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """T interval over the probe batches, each averaged over its epochs; NaN with fewer than two batches.

    Epochs see the same batches, so they are no independent witnesses.
    """
    by_epoch = [measured[trace.probe_steps == end] for end in ends]
    n_batches = min(len(epoch) for epoch in by_epoch)
    if n_batches < 2 or any(len(epoch) != n_batches for epoch in by_epoch):
        return np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    by_batch = mean_of_defined(np.array(by_epoch))
    n_defined = (~np.isnan(by_batch)).sum(axis=0)
    squares = mean_of_defined((by_batch - mean_of_defined(by_batch)) ** 2)
    error = np.sqrt(squares / np.where(n_defined > 1, n_defined - 1, np.nan))
    half = stats.t.ppf((1 + LEVEL) / 2, np.maximum(n_defined - 1, 1)) * error
    return np.clip(values - half, *bounds), np.clip(values + half, *bounds)


def _left_out(trace: Trace, counted: np.ndarray) -> str:
    """Which tasks' gradients were no use on how many of the batches counted."""
    undefined = np.isnan(np.diagonal(counted, axis1=1, axis2=2)).sum(axis=0)
    return "; ".join(
        f"gradient of {task} is zero or not finite on {n} of {len(counted)} batches"
        for task, n in zip(trace.tasks, undefined, strict=True)
        if n
    )
