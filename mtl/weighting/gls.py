"""The geometric mean of the losses."""

from __future__ import annotations

import tensorflow as tf

from mtl.weighting.base import Weighting

# The geometric mean is defined for positive losses: a smaller one counts as this.
LEAST_LOSS = 1e-8


class GLS(Weighting):
    """Geometric loss strategy: the gradient of (L_1 ... L_T) ** (1 / T).

    That gradient is the sum of m / (T L_i) g_i with m the geometric mean: scaling
    one task's loss scales the whole and leaves the direction. One task: weight one.

    Length of the update: for T equal gradients g of equal losses it is g.

    References
    ----------
    Chennupati et al., MultiNet++: Multi-Stream Feature Aggregation and Geometric
    Loss Strategy for Multi-Task Learning, CVPR Workshops 2019.
    """

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """Each m / (T L_i)."""
        losses = tf.maximum(losses, LEAST_LOSS)
        return tf.exp(tf.reduce_mean(tf.math.log(losses))) / (self.n_tasks * losses)
