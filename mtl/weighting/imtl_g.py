"""The combination whose projection on every task gradient is the same."""

from __future__ import annotations

import tensorflow as tf

from mtl.weighting.base import NEARLY_ZERO, GramianWeighting, scale_and_cosines

# The weights' sum may come near zero, or below it; they are not scaled up beyond this factor.
LEAST_SUM = 1e-3


class IMTLG(GramianWeighting):
    """Impartial multi-task learning, gradients: d.g_i / norm(g_i) equal for all i.

    The weights are proportional to K^-1 sqrt(diag K) and may be negative. They are
    scaled to the sum 1; the formula has no bound where that sum comes near zero and
    turns into an ascent of every task where it is negative, so it is divided by its
    absolute value and by no less than a thousandth of the weights' absolute sum.

    A zero gradient has no direction: its weight is 0 and the others are as without it
    (all zero: all 0). Identical gradients share alike, opposite ones cancel (d = 0).
    One task: weight one.

    Length of the update: for T equal gradients g it is g.

    References
    ----------
    Liu et al., Towards Impartial Multi-task Learning, ICLR 2021, eq. 4.
    """

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """As `imtl_g`."""
        return imtl_g(gramian)


def imtl_g(gramian: tf.Tensor) -> tf.Tensor:
    """Weights proportional to K^-1 sqrt(diag K), by one linear system in the cosines."""
    norms, cosines = scale_and_cosines(gramian, NEARLY_ZERO)
    directed = tf.cast(tf.linalg.diag_part(gramian) > 0, gramian.dtype)
    solution = tf.linalg.solve(cosines, directed[:, None])[:, 0]
    weights = directed * solution * tf.reduce_min(norms) / norms
    least = LEAST_SUM * tf.reduce_sum(tf.abs(weights))
    return tf.math.divide_no_nan(weights, tf.maximum(tf.abs(tf.reduce_sum(weights)), least))
