"""Batch normalisation in one operation where a batch of feature maps is trained on."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class BatchNormalization(keras.layers.BatchNormalization):
    """As Keras does it, with the same settings, variables and values, in TensorFlow's fused operation.

    Keras 3 takes moments, difference, product and sum one after the other, each a pass over
    the feature maps forward and more of them backward: of a small network on a CPU that is half a
    training step. Inference, and anything but feature maps (b, h, w, c), stays as Keras does it.
    It bears the layer's own name because that enters the key of stored features, which are the same ones.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalised feature maps in the layer's precision; moving statistics go on where it trains."""
        maps = len(inputs.shape) == 4 and self.axis in (3, -1) and self.center and self.scale
        if not (training and self.trainable and maps) or mask is not None or self.renorm:
            return super().call(inputs, training=training, mask=mask)
        x = tf.cast(inputs, tf.float32)
        outputs, mean, unbiased = tf.compat.v1.nn.fused_batch_norm(
            x, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        n = tf.cast(tf.size(x) // self.gamma.shape[0], tf.float32)
        variance = unbiased * tf.maximum(n - 1, 1) / n  # Keras keeps that of the batch, not an estimate for all
        for moving, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving.value * self.momentum + found * (1 - self.momentum))
        return tf.cast(outputs, self.compute_dtype)
