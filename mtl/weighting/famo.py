"""Weights that let all losses fall at the same rate, without task gradients."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from pydantic import NonNegativeFloat, PositiveFloat

from mtl.weighting.base import Adam, Weighting

# A loss of zero has no logarithm: a smaller one counts as this (the value of the authors' code).
LEAST_LOSS = 1e-8


class FAMO(Weighting):
    """Fast adaptive multitask optimisation.

    With z = softmax(w), the direction is the sum of c z_i / L_i g_i, where c makes
    the weights sum to one. After the step, delta_i = log L_i - log L_i' on the same
    batch, and w descends along the softmax's Jacobian times delta: a task whose loss
    fell faster than the others counts less. The lower bounds b_i of the losses, which
    the paper subtracts, are zero, as cross-entropies' are. One task: weight one.

    Length of the update: for T equal gradients g it is g.

    Parameters
    ----------
    learning_rate : float
        Of the Adam on w.
    weight_decay : float
        Pull of w towards zero, so towards equal z; gamma of the paper.

    References
    ----------
    Liu et al., FAMO: Fast Adaptive Multitask Optimization, NeurIPS 2023, algorithm 1.
    """

    uses_losses_after = True

    def __init__(self, tasks: Sequence[str], learning_rate: PositiveFloat, weight_decay: NonNegativeFloat) -> None:
        super().__init__(tasks)
        self.weight_decay = weight_decay
        self.logits = tf.Variable(tf.zeros(self.n_tasks), trainable=False)
        self.optimizer = Adam(self.logits, learning_rate)
        self.variables = [self.logits, *self.optimizer.variables]

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """Shares c z / L, of sum one."""
        shares = tf.nn.softmax(self.logits) / tf.maximum(losses, LEAST_LOSS)
        return shares / tf.reduce_sum(shares)

    def learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """A step of w by what the step did to the logarithms of the losses."""
        fall = tf.math.log(tf.maximum(losses, LEAST_LOSS)) - tf.math.log(tf.maximum(losses_after, LEAST_LOSS))
        z = tf.nn.softmax(self.logits)
        jacobian_times_fall = z * (fall - tf.reduce_sum(z * fall))
        self.optimizer.descend(jacobian_times_fall + self.weight_decay * self.logits)
