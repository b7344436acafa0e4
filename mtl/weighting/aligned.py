"""Gradients made orthogonal and of one length before they are summed."""

from __future__ import annotations

import tensorflow as tf

from mtl.weighting.base import LEAST_EIGENVALUE, NEARLY_ZERO, GramianWeighting, scale_and_cosines


class Aligned(GramianWeighting):
    """Aligned-MTL: the principal components of the gradients, all as short as the shortest.

    With K = V diag(l) V', the weights are B 1 / T with B = sqrt(l_min) V diag(l) ** -1/2 V',
    over the eigenvalues that are not zero: l_min is the smallest of those.

    A zero gradient has weight 0 and the others are as without it (all zero: all 0).
    Identical gradients share alike, opposite ones of one length have weights 0. One task: weight one.

    Length of the update: for T equal gradients g it is g.

    References
    ----------
    Senushkin et al., Independent Component Alignment for Multi-Task Learning, CVPR 2023.
    """

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """As `aligned`."""
        return aligned(gramian)


def aligned(gramian: tf.Tensor) -> tf.Tensor:
    """Means (n_tasks,) of the rows of the balance matrix B, see `Aligned`.

    How many eigenvalues are not zero is read from the cosines, so that a short
    gradient is not taken for a dependent one.
    """
    norms, cosines = scale_and_cosines(gramian, NEARLY_ZERO)
    values, vectors = tf.linalg.eigh(cosines)
    regular = values > LEAST_EIGENVALUE
    # vectors with this Gramian: their singular values are exact where K's small eigenvalues are lost to rounding
    rows = norms[:, None] * vectors * tf.sqrt(tf.where(regular, values, 0.0))
    lengths, components, _ = tf.linalg.svd(rows)  # descending
    kept = tf.range(gramian.shape[0]) < tf.math.count_nonzero(regular, dtype=tf.int32)
    least = tf.reduce_min(tf.where(kept, lengths, lengths[0]))
    factors = tf.where(kept, tf.math.divide_no_nan(least, lengths), 0.0)
    return tf.linalg.matvec(components, factors * tf.reduce_mean(components, axis=0))
