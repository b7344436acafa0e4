"""Max pooling that says where the maxima are once, for the backward passes of all tasks."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mtl import numerics


class MaxPooling2D(keras.layers.MaxPooling2D):
    """As Keras does it, with the same settings and values; in training on a CPU without oneDNN in another operation.

    There the gradient of TensorFlow's own looks for the maxima again, in every backward pass: that takes as
    long as the convolutions' gradients. Found in the forward pass they serve all passes. The gradient of
    oneDNN's is quicker still, and inference needs none: both stay as Keras does it.
    It bears the layer's own name because that enters the key of stored features, which are the same ones.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Maxima of feature maps (b, h, w, c)."""
        quicker = self.data_format == "channels_last" and inputs.dtype == "float32" and looks_again()
        if not (training and quicker):
            return super().call(inputs)
        maxima, _ = tf.nn.max_pool_with_argmax(inputs, self.pool_size, self.strides, self.padding.upper())
        return maxima


def looks_again() -> bool:
    """Whether the gradient of TensorFlow's max pooling looks for the maxima again."""
    return not numerics.gpus() and (numerics.is_portable() or not numerics.onednn())
