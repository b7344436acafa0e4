"""Gradient surgery: the conflicting part of a gradient is projected away."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from mtl.weighting.base import GramianWeighting, StepSeeds


class PCGrad(GramianWeighting):
    """Projecting conflicting gradients.

    For each task i: g = g_i; for every other j in random order, where g.g_j < 0:
    g -= (g.g_j) / (g_j.g_j) g_j. The direction is the sum over i. Only inner
    products enter, so all of it happens in coefficients of the task gradients.

    With two tasks the order does not matter and the direction conflicts with
    neither; with more it may. Weights are at least one. A zero gradient conflicts
    with none. Opposite gradients cancel: the direction is zero. One task: weight one.

    Length of the update: for T equal gradients g it is T g.

    Parameters
    ----------
    seed : int
        Of the orders, see `StepSeeds`.

    References
    ----------
    Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, algorithm 1.
    """

    def __init__(self, tasks: Sequence[str], seed: int) -> None:
        super().__init__(tasks)
        self.seeds = StepSeeds(seed)
        self.variables = self.seeds.variables

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """Sum of the projected gradients' coefficients, in this step's orders."""
        shape = (self.n_tasks, self.n_tasks)
        keys = tf.random.stateless_uniform(shape, self.seeds.current(), alg="philox")
        return pcgrad(gramian, tf.argsort(keys))

    def learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Count the step."""
        self.seeds.advance()


def pcgrad(gramian: tf.Tensor, orders: tf.Tensor) -> tf.Tensor:
    """Weights of the gradients in the sum of the projected gradients.

    Parameters
    ----------
    gramian : tensor of shape (n_tasks, n_tasks)
    orders : int tensor of shape (n_tasks, n_tasks)
        Row i: the order in which gradient i meets all gradients; itself it passes by.

    Returns
    -------
    tensor of shape (n_tasks,)
    """
    n_tasks = gramian.shape[0]
    rows = tf.eye(n_tasks, dtype=gramian.dtype)  # row i: coefficients of what is left of g_i
    itself = tf.range(n_tasks, dtype=orders.dtype)
    norms = tf.linalg.diag_part(gramian)
    for step in range(n_tasks):
        other = orders[:, step]
        inner = tf.reduce_sum(rows * tf.gather(gramian, other), axis=1)
        conflict = tf.where(other == itself, tf.zeros_like(inner), tf.minimum(inner, 0.0))
        share = tf.math.divide_no_nan(conflict, tf.gather(norms, other))
        rows -= share[:, None] * tf.one_hot(other, n_tasks, dtype=gramian.dtype)
    return tf.reduce_sum(rows, axis=0)
