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

from mtl.relations.after_warmup import after_warmup, never_measured
from mtl.relations.gramians import cosines, ratio_or_nan, squared_norms
from mtl.results import Relation
from mtl.statistics.bootstrap import mean_of_defined
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
    return after_warmup(
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
    return replace(found, baseline=after_warmup(trace, both_ways, warmup_epochs, (0.0, 1.0), reason=never_measured))


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
    found = after_warmup(trace, defined, warmup_epochs, (-np.inf, 1.0), reason=never_measured)
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
    found = after_warmup(trace, measure(trace.gramians), warmup_epochs, bounds)
    if len(trace.layer_groups) < 2 or not len(trace.group_gramians):
        return found
    by_layer = {
        group: after_warmup(trace, measure(trace.group_gramians[:, g]), warmup_epochs, bounds).values
        for g, group in enumerate(trace.layer_groups)
    }
    return replace(found, by_layer=by_layer)
