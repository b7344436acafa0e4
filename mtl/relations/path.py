"""What the tasks' parts of the real updates took from each other's held-out losses, over a whole training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mtl.relations.after_warmup import over_batches
from mtl.results import Relation
from mtl.statistics.bootstrap import mean_of_defined
from mtl.trace import Trace

NOT_MEASURED = (
    "no update was measured: gradient_measurements.path_steps or affinity_step is null, a backbone is trained, or the "
    "optimizer is none of sgd, adam, adamw, nadam, rmsprop and adagrad, or clips gradients"
)


def path_affinity(trace: Trace) -> Relation:
    """Sum over the steps of training of g_i . u_j, where u_j is the part of the update that comes from task j.

    u_j is the source's gradient on training batches, times its weight at that step, times what the optimizer makes
    of a gradient (of Adam the learning rate over the root of the second moment). g_i is the recipient's gradient
    on held-out batches. Both are measured between epochs; at the steps between two measurements their product is
    interpolated, before the first and behind the last it is theirs, and every step up to the last measured epoch has
    its own weights. To first
    order the sum over sources is the recipient's held-out loss that training the shared parameters took
    away; what its head learned is not in it.

    Other than `affinity`, which tries a step of its own, it follows the steps that were taken: a source that is weighed
    little, or has been learnt, gives little.

    Returns
    -------
    Relation
        In units of the recipient's loss, unbounded; negative where the source harmed it. Row = source, column =
        recipient. The interval is over batches, the trajectory the sum up to each measurement. The diagonal, what
        a task took from its own loss, is `path_affinity_to_itself`.

    References
    ----------
    Ayman, Mukhopadhyay, Laszka, Ensemble Prediction of Task Affinity for Efficient Multi-Task Learning, ICLR 2026,
    arXiv 2602.18591. There g_i is of the training batch, and a set's value for a task is the mean over its members.
    """
    n_tasks = len(trace.tasks)
    ends = np.unique(trace.measurement_steps)
    if not len(ends) or not len(trace.update_rates):
        reason = NOT_MEASURED if len(ends) else "nothing was measured"
        return Relation(np.full((n_tasks, n_tasks), np.nan), reason=reason, directed=True)
    rates = np.where(np.isfinite(trace.update_rates), trace.update_rates, np.nan)
    weights = np.nan_to_num(trace.weights[: ends[-1]].astype(np.float64), nan=0.0)  # a void step moved nothing
    of_epochs = [rates[trace.measurement_steps == end] for end in ends]
    mean = np.array([mean_of_defined(one) for one in of_epochs])
    trajectory = _sums(mean, ends, weights)
    values, low, high, spread = trajectory[-1], None, None, None
    if len({len(one) for one in of_epochs}) == 1:
        by_batch = np.stack([_sums(one, ends, weights)[-1] for one in np.stack(of_epochs, axis=1)])
        low, high, spread = over_batches(by_batch, values, (-np.inf, np.inf))
    found = Relation(values, low, high, trajectory, "", ends // trace.steps_per_epoch, spread, directed=True)
    of_tasks = {"path_affinity_to_itself": np.diagonal(values).copy()}
    return replace(found, reason=_missing(trace, values), of_tasks=of_tasks)


def _sums(rates: np.ndarray, ends: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums up to each measurement (n_ends, n_tasks, n_tasks) of rates measured there, by the weights of all steps.

    Of what was measured at no end the sum is NaN.
    """
    steps, sums = np.arange(len(weights)), np.full(rates.shape, np.nan)
    for source, recipient in np.ndindex(*rates.shape[1:]):
        own = rates[:, source, recipient]
        known = ~np.isnan(own)
        if known.any():
            taken = weights[:, source] * np.interp(steps, ends[known], own[known])
            sums[:, source, recipient] = np.cumsum(taken)[ends - 1]
    return sums


def _missing(trace: Trace, values: np.ndarray) -> str:
    """Which tasks have no number."""
    named = zip(trace.tasks, np.diagonal(values), strict=True)
    said = [f"no finite update was measured for {task}" for task, own in named if np.isnan(own)]
    if np.isnan(values).any() and not said:
        said = ["no batch was measured for some pairs of tasks"]
    return "; ".join(said)
