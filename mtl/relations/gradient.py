"""What the tasks' gradients on the shared parameters say of each other, on fixed held-out batches.

Every measure takes a trace and `warmup_epochs`, the epochs that its mean leaves out and its
trajectory keeps. The mean is over batches, then over epochs; interval and spread are over batches.
A batch on which a pair of tasks has no number is left out of the pair's mean, which is NaN where no
batch has one. What is a function of the Gramians is given by layer group too, where there are several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from pydantic import NonNegativeInt
from scipy import stats

from mtl.relations.gramians import cosines, ratio_or_nan, squared_norms
from mtl.results import Relation
from mtl.statistics.bootstrap import LEVEL, mean_of_defined
from mtl.statistics.bounded import moved
from mtl.trace import Trace


def gradient_similarity(trace: Trace, warmup_epochs: NonNegativeInt) -> Relation:
    """Cosine between the shared gradients of every two tasks, in [-1, 1]; undefined where a gradient is zero.

    Read it after a warm-up: at the start even two identical tasks, each with a
    head of its own, have a cosine near zero.

    References
    ----------
    Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Def. 1.
    """
    return _and_by_layer(trace, _cosine, warmup_epochs, (-1.0, 1.0))


def gradient_similarity_mean(trace: Trace, warmup_epochs: NonNegativeInt) -> Relation:
    """Cosine between two tasks' gradients once each is averaged over all held-out batches, in [-1, 1].

    A single batch's gradient is mostly noise, which draws its cosine to zero; the
    mean gradient has less of it, and so a cosine further from zero, of either sign.
    Without interval, as an epoch has one such number only.
    """
    return _after_warmup(
        trace, _cosine(trace.mean_gramians), warmup_epochs, (-1.0, 1.0), np.unique(trace.measurement_steps)
    )


def conflict_rate(trace: Trace, warmup_epochs: NonNegativeInt) -> Relation:
    """Share of held-out batches on which the gradients of two tasks point apart.

    It means little alone: two tasks that have nothing to do with each other are
    in conflict on about half of the batches. The permutation baseline says how often: it is the rate
    where one task of the pair has its labels permuted within the batch. It is above
    one half for tasks that have learnt something together, which permuted labels ask to
    unlearn, and below it for an overconfident network, which any labels correct.

    Returns
    -------
    Relation
        Share of batches with a cosine below zero, in [0, 1]. Its permutation baseline,
        where labels were permuted, is the mean of both ways to permute one task of a
        pair, on the diagonal that of a task and its own permuted self.

    References
    ----------
    Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Def. 1.
    """
    found = _and_by_layer(trace, lambda gramians: _conflicts(_cosine(gramians)), warmup_epochs, (0.0, 1.0))
    if not len(trace.permuted_cosines):
        return found
    one_way = _conflicts(trace.permuted_cosines)
    both_ways = mean_of_defined(np.stack([one_way, one_way.swapaxes(1, 2)]))
    return replace(found, baseline=_after_warmup(trace, both_ways, warmup_epochs, (0.0, 1.0), left_out=_never_measured))


def magnitude_similarity(trace: Trace, warmup_epochs: NonNegativeInt) -> Relation:
    """How alike the gradients of two tasks are in length.

    Returns
    -------
    Relation
        2 |g_i| |g_j| / (|g_i|^2 + |g_j|^2), in [0, 1]: 1 for equal lengths, 0
        where one is zero, undefined where both are.

    References
    ----------
    Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Def. 2.
    """
    return _and_by_layer(trace, _alike, warmup_epochs, (0.0, 1.0))


def affinity(trace: Trace, warmup_epochs: NonNegativeInt) -> Relation:
    """What a step for one task does to the other's held-out loss.

    A plain gradient step for the source on a training batch, on the shared
    parameters alone; the recipient's loss is taken on a held-out batch, with its head
    as it was. To first order that is the step's size times the product of the two
    gradients, over the recipient's loss: other than a cosine it knows how long the
    gradients are, and which of the two tasks gives.

    Returns
    -------
    Relation
        Share of the recipient's loss that is gone, at most 1; negative where the step
        harms it. Row = source, column = recipient.
        The diagonal, what a step for itself gives, is `affinity_to_itself` of each task: with it
        `mtl.ablation.groups.pairwise_scores` predicts groups of tasks.

    References
    ----------
    Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning, NeurIPS 2021, eq. 1.
    """
    if len(trace.measurement_steps) and not len(trace.affinities):
        empty = np.full((len(trace.tasks), len(trace.tasks)), np.nan)
        return Relation(empty, reason="no step was tried: gradient_measurements.affinity_step is null", directed=True)
    affinities = trace.affinities.reshape(-1, len(trace.tasks), len(trace.tasks))
    defined = np.where(np.isfinite(affinities), affinities, np.nan)
    found = _after_warmup(trace, defined, warmup_epochs, (-np.inf, 1.0), left_out=_never_measured)
    return replace(found, directed=True, of_tasks={"affinity_to_itself": np.diagonal(found.values).copy()})


def _conflicts(cosine: np.ndarray) -> np.ndarray:
    """1 where the cosine is below zero, NaN where there is none."""
    return np.where(np.isnan(cosine), np.nan, cosine < 0)


def _cosine(gramians: np.ndarray) -> np.ndarray:
    """Cosines of every batch, (n_measurements, n_tasks, n_tasks), in [-1, 1]; NaN where a gradient is zero."""
    return np.clip(cosines(gramians), -1, 1)


def _alike(gramians: np.ndarray) -> np.ndarray:
    """Magnitude similarity of every batch, (n_measurements, n_tasks, n_tasks); NaN where both gradients are zero."""
    square = squared_norms(gramians)
    total = square[:, :, None] + square[:, None, :]
    length = np.sqrt(square)
    return ratio_or_nan(2 * length[:, :, None] * length[:, None, :], total)


def _and_by_layer(
    trace: Trace, measure: Callable[[np.ndarray], np.ndarray], warmup_epochs: int, bounds: tuple[float, float]
) -> Relation:
    """A measure of Gramians (n_measurements, n_tasks, n_tasks), of all shared parameters and of each group."""
    found = _after_warmup(trace, measure(trace.gramians), warmup_epochs, bounds)
    if len(trace.layer_groups) < 2 or not len(trace.group_gramians):
        return found
    by_layer = {
        group: _after_warmup(trace, measure(trace.group_gramians[:, g]), warmup_epochs, bounds).values
        for g, group in enumerate(trace.layer_groups)
    }
    return replace(found, by_layer=by_layer)


def _after_warmup(
    trace: Trace,
    measured: np.ndarray,
    warmup_epochs: int,
    bounds: tuple[float, float],
    steps: np.ndarray | None = None,
    left_out: Callable[[Trace, np.ndarray], str] | None = None,
) -> Relation:
    """Mean of a measure per measurement, (n_measurements, n_tasks, n_tasks), over batches and then over later epochs.

    Measurements of the same step are batches of one epoch.
    """
    steps = trace.measurement_steps if steps is None else steps
    n_tasks = len(trace.tasks)
    ends = np.unique(steps)
    trajectory = np.reshape([mean_of_defined(measured[steps == end]) for end in ends], (-1, n_tasks, n_tasks))
    epochs = ends // trace.steps_per_epoch
    late = epochs > warmup_epochs
    if not late.any():
        reason = f"no measurement after the warm-up of {warmup_epochs} epochs"
        values = np.full((n_tasks, n_tasks), np.nan)
        return Relation(values, trajectory=trajectory, trajectory_epochs=epochs, reason=reason)
    by_epoch = [measured[steps == end] for end in ends[late]]
    low, high, spread = _over_batches(by_epoch, bounds)
    return Relation(
        values=mean_of_defined(trajectory[late]),
        low=low,
        high=high,
        trajectory=trajectory,
        reason=(left_out or _left_out)(trace, np.concatenate(by_epoch)),
        trajectory_epochs=epochs,
        spread=spread,
    )


def _over_batches(
    by_epoch: list[np.ndarray], bounds: tuple[float, float]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """T interval and standard deviation over the batches, each averaged over its epochs; None for a single batch.

    Epochs see the same batches, so their numbers are not independent.
    """
    n_batches = len(by_epoch[0])
    if n_batches < 2 or any(len(epoch) != n_batches for epoch in by_epoch):
        return None, None, None
    by_batch = mean_of_defined(np.array(by_epoch))
    n_defined = (~np.isnan(by_batch)).sum(axis=0)
    mean = mean_of_defined(by_batch)
    deviations = mean_of_defined((by_batch - mean) ** 2)
    n_others = np.where(n_defined > 1, n_defined - 1, np.nan)
    spread = np.sqrt(deviations * n_defined / n_others)
    half = stats.t.ppf((1 + LEVEL) / 2, np.maximum(n_defined - 1, 1)) * spread / np.sqrt(np.maximum(n_defined, 1))
    values = mean_of_defined(np.array([mean_of_defined(epoch) for epoch in by_epoch]))
    return moved(values, -half, bounds), moved(values, half, bounds), spread


def _left_out(trace: Trace, counted: np.ndarray) -> str:
    """Which tasks' gradients were zero, not finite or of no labelled frame, and on how many of the batches counted."""
    undefined = np.isnan(np.diagonal(counted, axis1=1, axis2=2)).sum(axis=0)
    why = "zero, not finite or of no labelled frame" if trace.val_labelled.size else "zero or not finite"
    return "; ".join(
        f"gradient of {task} is {why} on {n} of {len(counted)} batches"
        for task, n in zip(trace.tasks, undefined, strict=True)
        if n
    )


def _never_measured(trace: Trace, counted: np.ndarray) -> str:
    """Which tasks have no number at all; one batch may have been the turn of other tasks."""
    found = np.isfinite(np.diagonal(counted, axis1=1, axis2=2)).any(axis=0)
    return "; ".join(
        f"no finite step was tried for {task} on any batch after the warm-up"
        for task, any_of in zip(trace.tasks, found, strict=True)
        if not any_of
    )
