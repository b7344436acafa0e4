"""What one measurement of the task gradients takes and gives, and what both ways to measure share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

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

    def permuted(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The targets, those of every task permuted on their own within each batch."""
        return {name: rng.permuted(one, axis=1) for name, one in self.targets.items()}


@dataclass(frozen=True)
class Measurement:
    """What one epoch's end showed.

    Attributes
    ----------
    gramians : ndarray of shape (n_batches, n_groups, n_tasks, n_tasks)
        Inner products of the task gradients.
    mean_gramian : ndarray of shape (n_tasks, n_tasks)
        Of the gradients averaged over the batches.
    permuted_cosines : ndarray of shape (n_batches, n_tasks, n_tasks), or None
        With gradients of permuted labels; the column's task is the permuted one, and
        columns whose turn it was not are NaN.
    affinities : ndarray of shape (n_batches, n_tasks, n_tasks), or None
        The row's task is the source, and rows whose turn it was not are NaN.
    """

    gramians: np.ndarray
    mean_gramian: np.ndarray
    permuted_cosines: np.ndarray | None
    affinities: np.ndarray | None


# held-out batches, their permuted targets or None, training batches or None, number of the measurement
Measure = Callable[[Batches, Mapping[str, np.ndarray] | None, Batches | None, int], Measurement]


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
