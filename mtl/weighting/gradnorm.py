"""Weights that bring the tasks' gradient norms and training rates together."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from pydantic import NonNegativeFloat, PositiveFloat

from mtl.weighting.base import Adam, Weighting

# Weights stay positive, as the norms they scale.
LEAST_WEIGHT = 1e-4


class GradNorm(Weighting):
    """Gradient normalisation: w minimises the sum of abs(G_i - mean(G) r_i ** alpha).

    G_i = w_i norm(g_i) is the norm of the weighted loss's gradient, r_i the ratio
    L_i / L_i(0) over its mean, L_i(0) its first loss that is not zero. The target is held
    constant; w steps along the gradient of the sum over w only and is scaled to the
    sum T again. The exponent is +alpha: a task that trains slowly (large r) gets the
    larger gradient.

    The paper takes the norm on the last shared layer. Here it is on the shared
    parameters, the diagonal of the Gramian: with a frozen backbone the two are the
    same, with a trained one the backbone's parameters count as well.

    The weights of a step are those before its update. Where every gradient is zero
    there is nothing to balance and w stays.

    Length of the update: for T equal gradients g it is T g.

    Parameters
    ----------
    alpha : float
        Strength of the pull towards equal training rates; 0 asks for equal norms.
    learning_rate : float
        Of the Adam on w.

    References
    ----------
    Chen et al., GradNorm, ICML 2018, algorithm 1.
    """

    uses_gramian = True

    def __init__(self, tasks: Sequence[str], alpha: NonNegativeFloat, learning_rate: PositiveFloat) -> None:
        super().__init__(tasks)
        self.alpha = alpha
        self.current = tf.Variable(tf.ones(self.n_tasks), trainable=False)
        self.norms = tf.Variable(tf.zeros(self.n_tasks), trainable=False)  # of the step whose weights were asked
        self.first_losses = tf.Variable(tf.zeros(self.n_tasks), trainable=False)
        self.optimizer = Adam(self.current, learning_rate)
        self.variables = [self.current, self.norms, self.first_losses, *self.optimizer.variables]

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """The weights so far; the norms are kept for `learn`."""
        self.norms.assign(tf.sqrt(tf.maximum(tf.cast(tf.linalg.diag_part(gramian), tf.float32), 0.0)))
        return tf.identity(self.current)

    def learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """A step of w, and the sum made T again."""
        # of each task the first loss that it had: not every batch shows every task
        self.first_losses.assign(tf.where(self.first_losses > 0, self.first_losses, losses))
        tf.cond(tf.reduce_any(self.norms > 0), lambda: self._step(losses), lambda: None)

    def _step(self, losses: tf.Tensor) -> None:
        """One step of Adam on w."""
        weighted = self.current * self.norms
        ratios = tf.math.divide_no_nan(losses, self.first_losses)
        rates = tf.math.divide_no_nan(ratios, tf.reduce_mean(ratios))
        targets = tf.reduce_mean(weighted) * tf.maximum(rates, 0.0) ** self.alpha
        self.optimizer.descend(tf.sign(weighted - targets) * self.norms)
        positive = tf.maximum(self.current, LEAST_WEIGHT)
        self.current.assign(positive * self.n_tasks / tf.reduce_sum(positive))
