"""Features made mean 0 and standard deviation 1 before anything is trained on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from pydantic import PositiveInt

from mtl.model.parts import TrainedPart


class Standardisation:
    """Features (..., n) -> (features - mean) / scale, each of the n by its own numbers.

    Mean and scale are variables that no optimizer steps: kept with the model's weights,
    and taken from the training frames by `fit`. Before that they are 0 and 1.

    Parameters
    ----------
    n : int
        Features of a frame; channels, where a frame has feature maps.
    """

    def __init__(self, n: PositiveInt) -> None:
        self.n = n
        self.mean = keras.Variable(np.zeros(n, np.float32), trainable=False, name="mean")
        self.scale = keras.Variable(np.ones(n, np.float32), trainable=False, name="scale")

    def __call__(self, features: tf.Tensor) -> tf.Tensor:
        """Standardised features in float32, in their shape.

        Features of 1e-11 are as exact in float32 as those of 1; only their squares would be lost.
        """
        return (tf.cast(features, tf.float32) - self.mean.value) / self.scale.value

    def fit(self, mean: np.ndarray, scale: np.ndarray) -> None:
        """Take mean and scale (n,) of the training frames' features; no scale is 0."""
        self.mean.assign(mean.astype(np.float32))
        self.scale.assign(scale.astype(np.float32))

    def named_variables(self) -> Iterator[tuple[str, keras.Variable]]:
        """Mean and scale under names of their own."""
        yield from (("standardise/mean", self.mean), ("standardise/scale", self.scale))

    def before(self, trained: TrainedPart) -> TrainedPart:
        """A trained part that is given standardised features; its own variables stay all that it has."""
        return replace(
            trained,
            layers=lambda features, training: trained(self(features), training),
            graph=None if trained.graph is None else f"standardised {self.n} {trained.graph}",
        )
