"""The fused batch normalisation is that of Keras: outputs, gradients, moving statistics, name in keys."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def pair():
    """Ours and Keras's, as a function of shape and settings: both with the same variables."""
    import keras

    from mtl.model.normalization import BatchNormalization

    def build(shape, **settings):
        rng = np.random.default_rng(0)
        layers = [kind(momentum=0.9, **settings) for kind in (BatchNormalization, keras.layers.BatchNormalization)]
        values = [rng.uniform(0.5, 2, shape[-1]).astype(np.float32) for _ in range(4)]
        for layer in layers:
            layer.build(shape)
            layer.set_weights(values[: len(layer.weights)])
        return layers

    return build


def _trained_on(layer, x):
    import tensorflow as tf

    @partial(tf.function, autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.sin(tf.cast(y, tf.float32)))
        return [y, *tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])]

    return [one.numpy().astype(np.float64) for one in step(tf.constant(x))]


@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (1, 1, 1, 3), (7, 3)])
def test_training_gives_the_values_of_keras(pair, shape):
    ours, keras_own = pair(shape)
    x = np.random.default_rng(1).normal(3, 2, shape).astype(np.float32)
    for one, other in zip(_trained_on(ours, x), _trained_on(keras_own, x), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5, rtol=2e-5)
    for one, other in zip(ours.get_weights(), keras_own.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)
    ours.set_weights(keras_own.get_weights())
    np.testing.assert_array_equal(ours(x, training=False), keras_own(x, training=False))


def test_lower_precision_stays_that_of_keras(pair):
    ours, keras_own = pair((4, 6, 5, 3), dtype="mixed_bfloat16")
    x = np.random.default_rng(1).normal(3, 2, (4, 6, 5, 3)).astype(np.float32)
    y, other = ours(x, training=True), keras_own(x, training=True)
    assert y.dtype == other.dtype
    np.testing.assert_allclose(np.float32(y), np.float32(other), atol=0.02, rtol=0.01)


def test_a_frozen_layer_learns_no_statistics(pair):
    ours, _ = pair((4, 6, 5, 3))
    ours.trainable, before = False, ours.get_weights()
    ours(np.ones((4, 6, 5, 3), np.float32), training=True)
    for one, other in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_digest_of_a_network_is_that_of_keras_layers():
    import keras

    from mtl.model.digests import architecture_digest
    from mtl.model.normalization import BatchNormalization

    def network(layer):
        x = inputs = keras.Input((8, 8, 3))
        return keras.Model(inputs, layer(momentum=0.9, name="bn")(x))

    digests = {architecture_digest(network(one)) for one in (BatchNormalization, keras.layers.BatchNormalization)}
    assert len(digests) == 1
