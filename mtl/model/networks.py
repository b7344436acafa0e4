"""A small network of our own, and what is put before and behind any network."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf
from pydantic import PositiveInt

from mtl.errors import UserError
from mtl.model.normalization import BatchNormalization
from mtl.model.pooling import MaxPooling2D


def small_cnn(input_shape: tuple[int, int, int], weights: str | None, widths: Sequence[PositiveInt]) -> keras.Model:
    """A plain network for small frames: convolution, batch norm, relu and pooling per stage.

    Parameters
    ----------
    input_shape : (int, int, int)
    weights : None
        There are none to be had; the argument is that of `keras.applications`.
    widths : sequence of int
        Channels of each stage.

    Raises
    ------
    UserError
        If weights are asked for by name.
    """
    if weights is not None:
        raise UserError(f"backbone.weights: small_cnn has no weights named '{weights}'; set random or a path.")
    x = inputs = keras.Input(input_shape)
    for stage, width in enumerate(widths, start=1):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"stage{stage}_conv")(x)
        x = BatchNormalization(momentum=0.9, name=f"stage{stage}_bn")(x)
        x = keras.layers.ReLU(name=f"stage{stage}_relu")(x)
        x = MaxPooling2D(name=f"stage{stage}_pool")(x)
    return keras.Model(inputs, x, name="small_cnn")


def scale_to_one(images: tf.Tensor) -> tf.Tensor:
    """Images in [-1, 1] of images in [0, 255]."""
    return images / 127.5 - 1.0


def resized(images: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Images (b, *size, 3), bilinear with antialiasing; as they are where they have that size."""

    def resize() -> tf.Tensor:
        return tf.image.resize(images, size, antialias=True)

    if images.shape[1] is not None and images.shape[2] is not None:
        return images if tuple(images.shape[1:3]) == size else resize()
    fits = tf.reduce_all(tf.equal(tf.shape(images)[1:3], size))  # of this size it would be the identity, slowly
    return tf.ensure_shape(tf.cond(fits, lambda: images, resize), (None, *size, 3))


def pooled(maps: tf.Tensor) -> tf.Tensor:
    """Global average of feature maps (b, h, w, d), float32 of shape (b, d)."""
    return tf.reduce_mean(tf.cast(maps, tf.float32), axis=(1, 2))
