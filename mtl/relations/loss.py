"""What the tasks' losses say of each other: on the same videos, on the same batches, over the epochs.

Every measure is a correlation in [-1, 1], NaN where a task's loss is constant or not finite. `resamples`
and `seed` are of the bootstrap, whose percentile interval it has. Where a task says nothing about some
frames, each pair of tasks is measured by what is labelled in both, see `mtl.relations.labelled`.
"""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

from mtl.relations.labelled import by_pair, epochs_of, frames_of, steps_of
from mtl.results import Relation
from mtl.statistics.bootstrap import bootstrap_weights, percentile_interval
from mtl.statistics.correlation import block_correlation, pearson, spearman
from mtl.trace import Trace

FEWEST_VIDEOS = 5  # four ranks cannot tell: even a perfect order of four happens by chance in 1 of 12
FEWEST_BLOCKS = 5
FEWEST_EPOCHS = 3


def loss_correlation(trace: Trace, resamples: PositiveInt, seed: int) -> Relation:
    """Do the tasks fail on the same videos? Rank correlation of the held-out losses.

    Labels of all tasks are functions of one class, so part of it is the class's;
    `loss_correlation_within_class` leaves that part out.

    Returns
    -------
    Relation
        Spearman's correlation of the losses averaged by video; the bootstrap is over
        videos. NaN too where there are fewer than five of them.
    """

    def measure(trace: Trace) -> Relation:
        losses, _ = _by_video(trace)
        return _over_videos(trace, losses, np.zeros(len(losses), int), resamples, seed)

    return measure(trace) if not trace.val_labelled.size else by_pair(trace, measure, frames_of)


def loss_correlation_within_class(trace: Trace, resamples: PositiveInt, seed: int) -> Relation:
    """Do the tasks fail on the same videos, beyond what the video's class explains?

    A video's loss is ranked among the videos of its class, and its rank is taken
    from the class's mean rank and divided by the class's size: hard classes, and
    classes that vary much, are made equal to the others before correlating.

    Returns
    -------
    Relation
        As `loss_correlation`; classes of a single video are left out, as nothing
        of such a video remains.
    """

    def measure(trace: Trace) -> Relation:
        losses, classes = _by_video(trace)
        several = np.isin(classes, np.flatnonzero(np.bincount(classes) > 1)) if len(classes) else np.zeros(0, bool)
        return _over_videos(trace, losses[several], classes[several], resamples, seed)

    return measure(trace) if not trace.val_labelled.size else by_pair(trace, measure, frames_of)


def loss_correlation_step(
    trace: Trace, window: PositiveInt, block: PositiveInt, resamples: PositiveInt, seed: int
) -> Relation:
    """Do batches hurt two tasks alike? Correlation of the step losses around their running mean.

    Parameters
    ----------
    window : int
        Steps of the centred running mean that is subtracted, so that common
        learning progress does not count; an even number is taken one wider. Steps
        without a whole window are left out.
    block : int
        Steps that the bootstrap draws together.

    Returns
    -------
    Relation
        Pearson's correlation. NaN too where there are fewer than five blocks.
    """
    if trace.absent.any():
        return by_pair(trace, lambda part: loss_correlation_step(part, window, block, resamples, seed), steps_of)
    half = window // 2
    width = 2 * half + 1
    n_left = len(trace.losses) - 2 * half
    if n_left < FEWEST_BLOCKS * block:
        return _undefined(trace, f"{max(n_left, 0)} steps around a running mean are fewer than {FEWEST_BLOCKS} blocks")
    losses = trace.losses.astype(np.float64)
    broken = _not_finite(trace, losses)
    usable = np.where(np.isfinite(losses).all(axis=0), losses, 0.0)
    total = np.concatenate([np.zeros((1, losses.shape[1])), usable.cumsum(axis=0)])
    around = usable[half : half + n_left] - (total[width:] - total[:-width]) / width
    # what rounding leaves of a constant loss is no variation
    around = np.where(np.ptp(usable, axis=0) > 0, around, 0.0)
    draws = block_correlation(around, block, resamples, seed)
    return _with_reason(trace, pearson(around), draws, broken)


def loss_correlation_trend(trace: Trace) -> Relation:
    """Correlation of the mean training losses of the epochs: kept for comparison, not for conclusions.

    Misleading: losses fall while anything is learnt, so any two of them correlate,
    usually above .9 and with a small p value, whatever the tasks have to do with
    each other. It separates fast from slow learning.

    Returns
    -------
    Relation
        Pearson's correlation of the losses averaged by epoch, a last epoch cut short left
        out; without interval, as a few points of a common trend have none. NaN too with
        fewer than three epochs.
    """
    if trace.absent.any():
        return by_pair(trace, loss_correlation_trend, epochs_of)
    n_epochs = len(trace.losses) // trace.steps_per_epoch
    if n_epochs < FEWEST_EPOCHS:
        return _undefined(trace, f"{n_epochs} epochs are fewer than {FEWEST_EPOCHS}")
    losses = trace.losses[: n_epochs * trace.steps_per_epoch].astype(np.float64)
    means = losses.reshape(n_epochs, trace.steps_per_epoch, -1).mean(axis=1)
    broken = _not_finite(trace, means)
    usable = np.where(np.isfinite(means).all(axis=0), means, 0.0)
    return _with_reason(trace, pearson(usable), None, broken)


def _by_video(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Mean held-out loss of every video and task, (n_videos, n_tasks), and the videos' classes."""
    _, first, video = np.unique(trace.val_videos, return_index=True, return_inverse=True)
    counts = np.bincount(video, minlength=len(first))
    means = [np.bincount(video, losses, len(first)) / counts for losses in trace.val_losses.T.astype(np.float64)]
    return np.array(means).reshape(len(trace.tasks), len(first)).T, trace.val_classes[first]


def _over_videos(trace: Trace, losses: np.ndarray, groups: np.ndarray, resamples: int, seed: int) -> Relation:
    """Spearman within the groups, with its interval over videos."""
    if len(losses) < FEWEST_VIDEOS:
        return _undefined(trace, f"{len(losses)} videos are fewer than {FEWEST_VIDEOS}")
    broken = _not_finite(trace, losses)
    usable = np.where(np.isfinite(losses).all(axis=0), losses, 0.0)
    drawn = bootstrap_weights(np.zeros(len(losses)), resamples, seed)
    values = spearman(usable, np.ones((1, len(losses))), groups)[0]
    return _with_reason(trace, values, spearman(usable, drawn, groups), broken)


def _undefined(trace: Trace, reason: str) -> Relation:
    """Nothing but NaN, and why."""
    empty = np.full((len(trace.tasks), len(trace.tasks)), np.nan)
    return Relation(empty, empty, empty, reason=reason)


def _not_finite(trace: Trace, losses: np.ndarray) -> list[str]:
    """Tasks with a loss that is NaN or infinite."""
    return [task for task, finite in zip(trace.tasks, np.isfinite(losses).all(axis=0), strict=True) if not finite]


def _with_reason(trace: Trace, values: np.ndarray, draws: np.ndarray | None, broken: list[str]) -> Relation:
    """The relation with its interval, and why some of it is NaN."""
    undefined = [task for task, value in zip(trace.tasks, np.diagonal(values), strict=True) if np.isnan(value)]
    why = {task: "not finite" if task in broken else "constant" for task in undefined}
    reason = "; ".join(f"loss of {task} is {fault}" for task, fault in why.items())
    if draws is None:
        return Relation(values, reason=reason)
    low, high = percentile_interval(draws, axis=0)
    return Relation(
        values, np.where(np.isnan(values), np.nan, low), np.where(np.isnan(values), np.nan, high), None, reason
    )
