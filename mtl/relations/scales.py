"""How even the tasks are as a set: how well conditioned their gradients, how alike the sizes of their losses.

Each has a number for every two tasks, as if they were the whole set, and one for all tasks together.
Neither knows which task is the main one. AutoScale finds that fixed weights that do well go with a low condition
number, alike magnitudes of gradients and balanced scales of losses, and hardly with the cosine of gradients.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import NonNegativeInt

from mtl.relations.after_warmup import after_warmup, left_out
from mtl.relations.gramians import cosines, ratio_or_nan
from mtl.results import Relation, pairs
from mtl.statistics.bootstrap import mean_of_defined
from mtl.trace import Trace

SINGULAR = 1e-6  # of the largest eigenvalue: what rounding of a float32 Gramian leaves of one that is zero


def condition_number(trace: Trace, warmup_epochs: NonNegativeInt) -> Relation:
    """How far the gradients of tasks are from being at right angles to each other, their lengths left aside.

    Returns
    -------
    Relation
        sqrt(l_max / l_min) of the eigenvalues of the Gramian scaled to unit diagonal, which is the
        condition number of the matrix whose rows are the gradients, each of length 1. From 1, for right angles,
        without bound. Of two tasks it is sqrt((1 + |cos|) / (1 - |cos|)); of one task alone it is 1. Undefined
        where a gradient is zero or the gradients depend on each other linearly; the number of the whole
        set only needs to be defined on some batch.

    References
    ----------
    Senushkin et al., Independent Component Alignment for Multi-Task Learning, CVPR 2023, sec. 3;
    AutoScale, 2025, arXiv 2508.13979.
    """
    cosine = np.clip(cosines(trace.gramians), -1, 1)
    alone = np.eye(len(trace.tasks), dtype=bool) & ~np.isnan(cosine)
    apart = np.where(alone, 1.0, 1 - np.abs(cosine))
    together = np.where(alone, 1.0, 1 + np.abs(cosine))
    of_pairs = np.sqrt(ratio_or_nan(together, np.where(apart > SINGULAR * together, apart, 0)))
    found = after_warmup(trace, of_pairs, warmup_epochs, (1.0, np.inf), reason=_dependent)
    of_sets = np.array([_of_set(one) for one in cosine])
    of_set, why = _late_mean(trace, of_sets, warmup_epochs), found.reason
    if np.isnan(of_set) and not why:
        why = "the gradients of all tasks together are linearly dependent on every batch"
    return replace(found, of_set=of_set, reason=why)


def loss_scale_balance(trace: Trace, warmup_epochs: NonNegativeInt) -> Relation:
    """How alike the unweighted training losses of tasks are in size.

    Returns
    -------
    Relation
        Geometric over arithmetic mean of the tasks' losses, each averaged over an epoch's steps, in [0, 1]: 1
        where they are equal; mean over the epochs after the warm-up. Without interval. NaN where the mean
        loss of a task is not finite or negative, or all of them are zero.

    References
    ----------
    AutoScale, 2025, arXiv 2508.13979.
    """
    n_tasks, steps = len(trace.tasks), trace.steps_per_epoch
    ends = np.arange(steps, len(trace.losses) + 1, steps)
    losses = np.where(trace.absent, np.nan, trace.losses.astype(np.float64))
    means = np.full((len(ends), n_tasks), np.nan)
    for epoch, end in enumerate(ends):
        means[epoch] = _mean_of_present(losses[end - steps : end], trace.absent[end - steps : end])
    usable = np.where(np.isfinite(means) & (means >= 0), means, np.nan)
    of_pairs = _balance(np.stack(np.broadcast_arrays(usable[:, :, None], usable[:, None, :]), axis=-1))
    epochs = np.arange(1, len(ends) + 1)
    late = epochs > warmup_epochs
    if not late.any():
        empty, why = np.full((n_tasks, n_tasks), np.nan), f"no whole epoch after the warm-up of {warmup_epochs} epochs"
        return Relation(empty, trajectory=of_pairs, trajectory_epochs=epochs, reason=why, of_set=float("nan"))
    values = mean_of_defined(of_pairs[late])
    return Relation(
        values=values,
        trajectory=of_pairs,
        trajectory_epochs=epochs,
        reason=_unbalanced(trace, usable[late], values),
        of_set=float(mean_of_defined(_balance(usable[late]))),
    )


def _of_set(cosine: np.ndarray) -> float:
    """Condition number of all tasks on one batch, from their cosines (n_tasks, n_tasks)."""
    if not np.isfinite(cosine).all():
        return float("nan")
    eigenvalues = np.linalg.eigvalsh(cosine)
    least, most = eigenvalues[0], eigenvalues[-1]
    return float(np.sqrt(most / least)) if least > SINGULAR * most else float("nan")


def _late_mean(trace: Trace, of_sets: np.ndarray, warmup_epochs: int) -> float:
    """Mean over batches (n_measurements,), then over the epochs after the warm-up."""
    ends = np.unique(trace.measurement_steps)
    late = ends[ends // trace.steps_per_epoch > warmup_epochs]
    by_epoch = [mean_of_defined(of_sets[trace.measurement_steps == end]) for end in late]
    return float(mean_of_defined(np.array(by_epoch))) if by_epoch else float("nan")


def _dependent(trace: Trace, counted: np.ndarray) -> str:
    """Which gradients were zero, and which two of them were parallel, on how many of the batches counted."""
    alone = ~np.isnan(np.diagonal(counted, axis1=1, axis2=2))
    said = [left_out(trace, counted)]
    for _, a, b in pairs(trace.tasks):
        n = int((alone[:, a] & alone[:, b] & np.isnan(counted[:, a, b])).sum())
        if n:
            first, second = sorted((trace.tasks[a], trace.tasks[b]))
            said.append(f"gradients of {first} and {second} are parallel on {n} of {len(counted)} batches")
    return "; ".join(filter(None, said))


def _mean_of_present(losses: np.ndarray, absent: np.ndarray) -> np.ndarray:
    """Mean by task over the steps (n_steps, n_tasks) that had a labelled frame; NaN where none had, or one is NaN."""
    counts = (~absent).sum(axis=0)
    total = np.where(absent, 0.0, losses).sum(axis=0)
    return ratio_or_nan(total, counts.astype(float))


def _balance(losses: np.ndarray) -> np.ndarray:
    """Geometric over arithmetic mean over the last axis; NaN where a loss is, or all of them are zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = losses / losses.mean(axis=-1, keepdims=True)  # of their mean, so that no product is too large or small
        return np.minimum(np.exp(np.log(share).mean(axis=-1)), 1.0)


def _unbalanced(trace: Trace, means: np.ndarray, values: np.ndarray) -> str:
    """Why values are NaN, from the epochs' mean losses (n_epochs, n_tasks)."""
    said = [
        f"loss of {task} is not finite or negative, or has no labelled frame, in {n} of {len(means)} epochs"
        for task, n in zip(trace.tasks, np.isnan(means).sum(axis=0), strict=True)
        if n
    ]
    if np.isnan(values).any() and not said:
        said = ["losses are zero"]
    return "; ".join(said)
