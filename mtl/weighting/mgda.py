"""The shortest convex combination of the task gradients."""

from __future__ import annotations

import tensorflow as tf

from mtl.weighting.base import MOST_TASKS_BY_SUBSETS, NEARLY_ZERO, GramianWeighting, scale_and_cosines, subsets


class MGDA(GramianWeighting):
    """Multiple gradient descent: the point of the gradients' convex hull nearest to zero.

    d.g_i >= norm(d) ** 2 for every task, so no task is harmed; d = 0 on the Pareto set.
    Short gradients count most: a zero gradient takes all the weight and the shared
    parameters stay as they are. Identical gradients share alike, opposite ones cancel.
    One task: weight one.

    Length of the update: for T equal gradients g it is g.

    References
    ----------
    Désidéri, Multiple-gradient descent algorithm, 2012;
    Sener, Koltun, Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018.
    """

    most_tasks = MOST_TASKS_BY_SUBSETS

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """As `mgda`."""
        return mgda(gramian)


def mgda(gramian: tf.Tensor) -> tf.Tensor:
    """Weights (n_tasks,) of at least 0 and of sum 1 that minimise w' K w.

    Exact: on each face of the simplex the minimum over its plane solves one linear
    system; of those that lie on their face, the least is the answer. All 2 ** T - 1
    systems are solved at once.
    """
    norms, cosines = scale_and_cosines(gramian, NEARLY_ZERO)
    inverse_norms = tf.reduce_min(norms) / norms
    members = tf.constant(subsets(gramian.shape[0]))  # (n_faces, n_tasks)
    systems = members[:, :, None] * members[:, None, :] * cosines + tf.linalg.diag(1 - members)
    solutions = tf.linalg.solve(systems, (members * inverse_norms)[:, :, None])[:, :, 0]
    weights = solutions * inverse_norms  # not yet of sum 1: the sum is 1 / minimum
    sums = tf.reduce_sum(weights, axis=1)
    inside = tf.reduce_all(weights >= 0, axis=1)
    best = tf.argmax(tf.where(inside, sums, -1.0))
    return weights[best] / sums[best]
