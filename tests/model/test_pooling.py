"""The max pooling that finds maxima once is that of Keras: outputs, gradients, name in keys."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from mtl import numerics

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def without_onednn(monkeypatch):
    """The operation that is used there; it gives the same values everywhere."""
    monkeypatch.setattr("mtl.model.pooling.looks_again", lambda: True)


def _operations_and_gradients(layer, x, training):
    """Names of the operations of a pass in graph, its outputs, and the gradients of two losses on the input."""
    import tensorflow as tf

    @partial(tf.function, autograph=False)
    def step(x):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = layer(x, training=training) if training is not None else layer(x)
            losses = [tf.reduce_sum(tf.sin(y)), tf.reduce_sum(y**2)]
        return [y, *(tape.gradient(loss, x) for loss in losses)]

    traced = step.get_concrete_function(tf.constant(x))
    return {op.type for op in traced.graph.get_operations()}, [one.numpy() for one in traced(tf.constant(x))]


@pytest.mark.parametrize(
    "settings", [{}, {"pool_size": 3, "strides": 2, "padding": "same"}], ids=["halves", "overlaps"]
)
def test_training_gives_the_values_of_keras_to_the_bit(settings, without_onednn):
    import keras

    from mtl.model.pooling import MaxPooling2D

    x = np.random.default_rng(0).normal(size=(3, 8, 7, 5)).astype(np.float32)
    x = np.maximum(x, 0)  # as relu leaves it: many maxima are ties
    ours, found = _operations_and_gradients(MaxPooling2D(**settings), x, True)
    theirs, expected = _operations_and_gradients(keras.layers.MaxPooling2D(**settings), x, None)
    assert "MaxPoolGradWithArgmax" in ours - theirs
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_tells_the_layer_whether_it_trains(without_onednn):
    import keras

    from mtl.model.networks import small_cnn

    keras.utils.set_random_seed(0)
    network = small_cnn((16, 16, 3), None, [4, 4])
    x = np.random.default_rng(0).normal(size=(3, 16, 16, 3)).astype(np.float32)
    assert "MaxPoolWithArgmax" in _operations_and_gradients(network, x, True)[0]
    assert "MaxPoolWithArgmax" not in _operations_and_gradients(network, x, False)[0]


def test_it_stays_that_of_keras_where_its_gradient_is_quick(monkeypatch):
    from mtl.model.pooling import MaxPooling2D, looks_again

    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    for gpus, portable, onednn, again in (((), False, True, False), ((), False, False, True), ((), True, True, True)):
        for name, value in (("gpus", gpus), ("is_portable", portable), ("onednn", onednn)):
            monkeypatch.setattr(numerics, name, lambda value=value: value)
        assert looks_again() == again
        assert ("MaxPoolWithArgmax" in _operations_and_gradients(MaxPooling2D(), x, True)[0]) == again
    monkeypatch.setattr(numerics, "gpus", lambda: ("a GPU",))
    assert not looks_again()


def test_the_digest_of_a_network_is_that_of_keras_layers():
    import keras

    from mtl.model.digests import architecture_digest
    from mtl.model.pooling import MaxPooling2D

    def network(layer):
        x = inputs = keras.Input((8, 8, 3))
        return keras.Model(inputs, layer(name="pool")(x))

    assert len({architecture_digest(network(one)) for one in (MaxPooling2D, keras.layers.MaxPooling2D)}) == 1
