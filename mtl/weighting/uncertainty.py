"""Weights from a learned uncertainty of each task."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from pydantic import PositiveFloat

from mtl.weighting.base import Adam, Weighting

# Keeps the weight of a task whose loss has reached zero finite: at most exp(10) / 2, about 11,000.
MOST_LOG_VARIANCE = 10.0


class Uncertainty(Weighting):
    """Homoscedastic uncertainty: the sum of 1/2 exp(-s_i) L_i + 1/2 s_i, with s learned.

    s_i is the logarithm of task i's noise variance. It rests at log L_i, where the
    weight 1/2 exp(-s_i) is 1 / (2 L_i).

    Kendall's 1/2 stands before the loss of a regression; for a classification the
    paper has exp(-s_i) L_i + 1/2 s_i. That one rests at log(2 L_i), where its weight
    is 1 / (2 L_i) as well: only the way there differs, starting at 1 instead of 1/2.
    One task: as one of many, its weight is learned.

    Length of the update: for T equal gradients g it is T g / 2 at the start.

    Parameters
    ----------
    learning_rate : float
        Of the Adam that steps s along the gradient of the sum above.

    References
    ----------
    Kendall, Gal, Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses, CVPR 2018.
    """

    def __init__(self, tasks: Sequence[str], learning_rate: PositiveFloat) -> None:
        super().__init__(tasks)
        self.log_variances = tf.Variable(tf.zeros(self.n_tasks), trainable=False)
        self.optimizer = Adam(self.log_variances, learning_rate)
        self.variables = [self.log_variances, *self.optimizer.variables]

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """1/2 exp(-s)."""
        return 0.5 * tf.exp(-self.log_variances)

    def learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """A step of s on this batch's losses."""
        self.optimizer.descend(0.5 - 0.5 * tf.exp(-self.log_variances) * losses)
        self.log_variances.assign(tf.clip_by_value(self.log_variances, -MOST_LOG_VARIANCE, MOST_LOG_VARIANCE))
