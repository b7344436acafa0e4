"""Gradients made orthogonal and of one length before they are summed."""

from __future__ import annotations

import tensorflow as tf

from mtl.weighting.base import LEAST_EIGENVALUE, GramianWeighting, scale_and_cosines


class Aligned(GramianWeighting):
    """Aligned-MTL: the principal components of the gradients, all as short as the shortest.

    With K = V diag(l) V', the weights are B 1 / T with B = sqrt(l_min) V diag(l) ** -1/2 V',
    over the eigenvalues that are not zero: l_min is the smallest of those.

    A zero gradient has weight 0 and the others are as without it (all zero: all 0).
    Identical gradients share alike, opposite ones of one length have weights 0. One task: weight one.

    References
    ----------
    Senushkin et al., Independent Component Alignment for Multi-Task Learning, CVPR 2023.
    """

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """As `aligned`."""
        return aligned(gramian)


def aligned(gramian: tf.Tensor) -> tf.Tensor:
    """Row means of the balance matrix B, as of `Aligned`.

    How many eigenvalues are not zero is read from the cosines, so that a short
    gradient is not taken for a dependent one.

    Parameters
    ----------
    gramian : float64 tensor of shape (n_tasks, n_tasks)

    Returns
    -------
    tensor of shape (n_tasks,)
    """
    _, cosines = scale_and_cosines(gramian)
    rank = tf.math.count_nonzero(tf.linalg.eigvalsh(cosines) > 2 * LEAST_EIGENVALUE, dtype=tf.int32)
    values, vectors = tf.linalg.eigh(gramian)  # ascending
    n_tasks = gramian.shape[0]
    kept = tf.logical_and(tf.range(n_tasks) >= n_tasks - rank, values > 0)
    least = tf.reduce_min(tf.where(kept, values, values[-1]))
    factors = tf.where(kept, tf.sqrt(least / tf.where(kept, values, 1.0)), 0.0)
    return tf.linalg.matvec(vectors, factors * tf.reduce_mean(vectors, axis=0))
