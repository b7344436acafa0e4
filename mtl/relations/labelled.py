"""Relations where a task says nothing about some frames: each pair of tasks by what is labelled in both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mtl.results import Relation
from mtl.trace import Trace

# the part of a trace that two tasks, or one, have in common, and how much of it that is, in words
Common = Callable[[Trace, Sequence[int]], tuple[Trace, str]]


def by_pair(trace: Trace, measure: Callable[[Trace], Relation], common: Common) -> Relation:
    """A relation of which every entry comes from the trace of its two tasks alone.

    Parameters
    ----------
    trace : Trace
    measure : callable
        Of a trace in which nothing is unlabelled; symmetric in the tasks.
    common : callable
        Gives such a trace of the tasks at two places, or of one.

    Returns
    -------
    Relation
        With intervals where every entry that is defined has one; the reason says what is missing of each pair.
    """
    n_tasks = len(trace.tasks)
    values, low, high = np.full((3, n_tasks, n_tasks), np.nan)
    of_reason: dict[str, list[str]] = {}
    for a in range(n_tasks):
        for b in range(a, n_tasks):
            places = [a] if a == b else [a, b]
            part, counted = common(trace, places)
            found = measure(part)
            for matrix, own in ((values, found.values), (low, found.low), (high, found.high)):
                if own is not None:
                    matrix[[a, b], [b, a]] = own[0, -1]
            if (a != b or n_tasks == 1) and (counted or found.reason):
                of_reason.setdefault(", ".join(filter(None, (counted, found.reason))), []).append(
                    " and ".join(part.tasks)
                )
    reason = "; ".join(f"{', '.join(names)}: {why}" for why, names in of_reason.items())
    if np.isnan(low).all():
        return Relation(values, reason=reason)
    return Relation(values, low, high, None, reason)


def frames_of(trace: Trace, places: Sequence[int]) -> tuple[Trace, str]:
    """The tasks' losses on the validation frames that are labelled for all of them."""
    kept = np.logical_and.reduce(trace.val_labelled[:, places], axis=1)
    part = _of_tasks(trace, places, trace.losses, trace.weights)
    part = replace(
        part,
        val_losses=trace.val_losses[np.ix_(kept, np.array(places))],
        val_videos=trace.val_videos[kept],
        val_classes=trace.val_classes[kept],
    )
    return part, _counted(kept, "validation frames are")


def steps_of(trace: Trace, places: Sequence[int]) -> tuple[Trace, str]:
    """The tasks' losses at the steps whose batches have labelled frames of all of them, one after the other."""
    kept = np.logical_and.reduce(~trace.absent[:, places], axis=1)
    return _of_tasks(trace, places, trace.losses[kept], trace.weights[kept]), _counted(kept, "steps are")


def epochs_of(trace: Trace, places: Sequence[int]) -> tuple[Trace, str]:
    """The tasks' mean losses of the epochs in which all of them had a labelled frame, a step each."""
    n_epochs = len(trace.losses) // trace.steps_per_epoch
    steps = slice(n_epochs * trace.steps_per_epoch)
    shape = (n_epochs, trace.steps_per_epoch, len(places))
    losses = trace.losses[steps, places].astype(np.float64).reshape(shape)
    present = ~trace.absent[steps, places].reshape(shape)
    counts = present.sum(axis=1)
    kept = (counts > 0).all(axis=1)
    means = np.where(present, losses, 0).sum(axis=1)[kept] / counts[kept]
    part = replace(_of_tasks(trace, places, means, np.ones_like(means)), steps_per_epoch=1)
    return part, _counted(kept, "epochs are")


def _of_tasks(trace: Trace, places: Sequence[int], losses: np.ndarray, weights: np.ndarray) -> Trace:
    """A trace of losses of these tasks, without what was measured of gradients and labels."""
    n, columns = len(places), slice(None) if losses.shape[1] == len(places) else places
    return Trace(
        tasks=tuple(trace.tasks[i] for i in places),
        losses=losses[:, columns],
        weights=weights[:, columns],
        steps_per_epoch=trace.steps_per_epoch,
        gramians=np.empty((0, n, n)),
        measurement_steps=np.empty(0, int),
        val_losses=np.empty((0, n)),
        val_videos=np.empty(0, int),
        val_classes=np.empty(0, int),
    )


def _counted(kept: np.ndarray, what: str) -> str:
    """How much counts, where it is not all."""
    return "" if kept.all() else f"{kept.sum()} of {len(kept)} {what} labelled"
