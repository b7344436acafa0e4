"""What one measurement of the task gradients takes and gives, and what both ways to measure share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mtl.tasks import UNLABELLED

if TYPE_CHECKING:
    from mtl.model.multitask import Targets


@dataclass(frozen=True)
class Batches:
    """Frames in batches of one size.

    Attributes
    ----------
    features : array of shape (n_batches, batch_size, ...)
    targets : mapping of str to array of shape (n_batches, batch_size)
    """

    features: np.ndarray | tf.Tensor
    targets: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.features)

    def __getitem__(self, i: int) -> tuple[tf.Tensor, Targets]:
        """Feature vectors and targets of one batch."""
        return self.features[i], {name: one[i] for name, one in self.targets.items()}

    def of(self, turn: np.ndarray) -> Batches:
        """Those whose numbers are given."""
        return Batches(tf.gather(self.features, turn), {name: one[turn] for name, one in self.targets.items()})

    @property
    def present(self) -> np.ndarray:
        """Which tasks have a labelled frame in which batch, bool of shape (n_batches, n_tasks)."""
        return np.stack([(np.asarray(one) != UNLABELLED).any(axis=1) for one in self.targets.values()], axis=1)

    def permuted(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The targets, those of every task permuted on their own within each batch, among its labelled frames."""
        return {name: _permuted(np.asarray(one), rng) for name, one in self.targets.items()}


@dataclass(frozen=True)
class Measurement:
    """What one epoch's end showed.

    Attributes
    ----------
    gramians : ndarray of shape (n_batches, n_groups, n_tasks, n_tasks)
        Inner products of the task gradients; NaN for a task without a labelled frame in the batch.
    mean_gramian : ndarray of shape (n_tasks, n_tasks)
        Of the gradients averaged over the batches that have a labelled frame of the task.
    permuted_cosines : ndarray of shape (n_batches, n_tasks, n_tasks), or None
        With gradients of permuted labels; the column's task is the permuted one, and
        columns whose turn it was not are NaN.
    affinities : ndarray of shape (n_batches, n_tasks, n_tasks), or None
        The row's task is the source; None where no step was tried.
    update_rates : ndarray of shape (n_batches, n_tasks, n_tasks), or None
        First-order drop of the column task's held-out loss by what one step with weight 1 owes to the row task;
        rows whose turn it was not are NaN.
    """

    gramians: np.ndarray
    mean_gramian: np.ndarray
    permuted_cosines: np.ndarray | None
    affinities: np.ndarray | None
    update_rates: np.ndarray | None = None

    def where_labelled(self, held: np.ndarray, stepped: np.ndarray | None) -> Measurement:
        """The same with NaN for what a batch without a labelled frame of a task would say, update rates as they are.

        Parameters
        ----------
        held, stepped : ndarray of bool, shape (n_batches, n_tasks)
            Which tasks the held-out batches show, and those stepped on.
        """
        share = np.where(held.any(axis=0), held.mean(axis=0), np.nan)  # of the batches that count
        both = held[:, :, None] & held[:, None, :]
        baselines, affinities = self.permuted_cosines, self.affinities
        if baselines is not None:
            baselines = np.where(both, baselines, np.nan)
        if affinities is not None and stepped is not None:
            affinities = np.where(stepped[:, :, None] & held[:, None, :], affinities, np.nan)
        gramians = np.where(both[:, None], self.gramians, np.float32(np.nan))
        mean = (self.mean_gramian / np.outer(share, share)).astype(self.mean_gramian.dtype)
        return replace(self, gramians=gramians, mean_gramian=mean, permuted_cosines=baselines, affinities=affinities)


def _permuted(targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Targets (n_batches, b) permuted within each batch; what is not labelled stays so."""
    known = targets != UNLABELLED
    if known.all():
        return rng.permuted(targets, axis=1)
    found = targets.copy()
    for row, labelled in zip(found, known, strict=True):
        row[labelled] = rng.permutation(row[labelled])
    return found


# held-out batches, their permuted targets or None, training batches or None, number of the measurement;
# where only a dense layer is trained also factors of `mtl.training.update_scale`
Measure = Callable[..., Measurement]


def step_size(share: float, losses: tf.Tensor, gramians: tf.Tensor) -> tf.Tensor:
    """Size of a plain gradient step by which tasks lose about a share of their losses.

    To first order a step for itself takes eta |g_i|^2 from L_i, so eta is the share of
    all losses over all squared lengths. One size for all tasks and batches: long
    gradients stay long steps. A fixed size would be lost in rounding for one backbone
    and overshoot for another, whose gradients are a hundred times as long.

    Parameters
    ----------
    share : float
    losses : array of shape (n_batches, n_tasks)
    gramians : array of shape (n_batches, n_tasks, n_tasks)

    Returns
    -------
    float32 scalar tensor
        0 where all gradients are zero.
    """
    squares = tf.reduce_sum(tf.linalg.trace(gramians))
    return share * tf.math.divide_no_nan(tf.reduce_sum(losses), squares)


def relative_gain(before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """1 - after / before; NaN where there was nothing to gain."""
    return tf.where(before == 0, np.float32(np.nan), 1 - after / tf.where(before == 0, 1.0, before))
