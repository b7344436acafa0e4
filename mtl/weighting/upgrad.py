"""The mean of the task gradients, each freed of its conflicts with all."""

from __future__ import annotations

import tensorflow as tf

from mtl.weighting.base import MOST_TASKS_BY_SUBSETS, NEARLY_ZERO, GramianWeighting, scale_and_cosines, subsets


class UPGrad(GramianWeighting):
    """Unconflicting projection of gradients: each g_i onto the dual cone of all, then the mean.

    The dual cone holds the directions that harm no task, so d.g_i >= 0 for all, and a
    longer gradient counts more, in proportion. A zero gradient constrains nothing. Identical
    gradients: that gradient. Opposite ones: d = 0. One task: weight one. Dependent gradients:
    d to 1e-5 of the longest.

    Length of the update: for T equal gradients g it is g.

    References
    ----------
    Quinton, Rey, Jacobian Descent for Multi-Objective Optimization, 2024.
    """

    most_tasks = MOST_TASKS_BY_SUBSETS

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """As `upgrad`."""
        return upgrad(gramian)


def upgrad(gramian: tf.Tensor) -> tf.Tensor:
    """Weights (n_tasks,) of the mean projection.

    The projection of g_i has coefficients v >= e_i (entry by entry) that minimise
    v' K v. Exact: for every set of entries that are free, the others at their bound,
    the minimum solves a linear system; of those within the bounds, the least is the
    answer. All 2 ** T sets and all T projections are solved at once.
    """
    n_tasks = gramian.shape[0]
    norms, cosines = scale_and_cosines(gramian, NEARLY_ZERO)
    bounds = tf.eye(n_tasks, dtype=gramian.dtype)  # column i: e_i
    bound = tf.constant(1 - subsets(n_tasks))  # (n_sets, n_tasks), one where an entry is at its bound
    bound = tf.concat([tf.ones_like(bound[:1]), bound], axis=0)
    systems = (1 - bound)[:, :, None] * cosines + tf.linalg.diag(bound)
    points = tf.linalg.solve(systems, bound[:, :, None] * bounds)  # (n_sets, n_tasks, projection)
    values = tf.reduce_sum(points * tf.matmul(cosines, points), axis=1)  # (n_sets, projection)
    within = tf.reduce_all(points >= bounds - 1e-12, axis=1)
    best = tf.argmin(tf.where(within, values, float("inf")), axis=0)
    projections = tf.gather(tf.transpose(points, [2, 0, 1]), best, batch_dims=1)  # (projection, n_tasks)
    return tf.linalg.matvec(projections, norms, transpose_a=True) / (n_tasks * norms)
