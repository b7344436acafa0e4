"""Task gradients against values worked out by hand, and the Gramian against its closed form."""

from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from mtl.model.gradients import (  # noqa: E402
    combine,
    dense_gradients,
    dense_gramian,
    gramian,
    task_gradients,
)

pytestmark = pytest.mark.tensorflow


def taped(losses_of, variables):
    with tf.GradientTape(persistent=True) as tape:
        losses = losses_of(*variables)
    return task_gradients(tape, losses, variables)


def test_gradients_are_by_task_then_by_variable():
    x, y = tf.Variable([1.0, 2.0]), tf.Variable(3.0)
    gradients = taped(lambda x, y: [tf.reduce_sum(x**2), y * x[0]], [x, y])
    np.testing.assert_allclose(gradients[0][0], [2, 4])
    np.testing.assert_allclose(gradients[1][0], [3, 0])
    np.testing.assert_allclose(gradients[1][1], 1)


def test_a_missing_gradient_is_a_zero():
    x, y = tf.Variable([1.0, 2.0]), tf.Variable(3.0)
    gradients = taped(lambda x, y: [tf.reduce_sum(x), y**2], [x, y])
    np.testing.assert_array_equal(gradients[0][1], 0)
    np.testing.assert_array_equal(gradients[1][0], [0, 0])
    np.testing.assert_allclose(gramian(gradients), [[2, 0], [0, 36]])


def test_sparse_gradients_count_in_full():
    table = tf.Variable(tf.ones((3, 2)))
    gradients = taped(lambda table: [tf.reduce_sum(tf.gather(table, [1, 1])), tf.reduce_sum(table)], [table])
    np.testing.assert_allclose(gramian(gradients), [[8, 4], [4, 6]])


def test_gramian_is_the_product_of_the_gradients_with_themselves():
    rng = np.random.default_rng(0)
    kernels, biases = rng.normal(size=(3, 4, 5)).astype("f"), rng.normal(size=(3, 5)).astype("f")
    gradients = [[tf.constant(k), tf.constant(b)] for k, b in zip(kernels, biases, strict=True)]
    rows = np.concatenate([kernels.reshape(3, -1), biases], axis=1)
    np.testing.assert_allclose(gramian(gradients), rows @ rows.T, rtol=1e-5)
    weights = np.array([0.5, -1.0, 2.0], "f")
    kernel, bias = combine(gradients, tf.constant(weights))
    np.testing.assert_allclose(kernel, np.tensordot(weights, kernels, 1), rtol=1e-5)
    np.testing.assert_allclose(bias, weights @ biases, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_gradients_are_summed_in_single(dtype):
    ones = tf.ones(10_000, dtype)  # in half precision such a sum stops far earlier
    product = gramian([[ones], [ones]])
    assert product.dtype == tf.float32
    np.testing.assert_array_equal(product, 10_000)
    assert combine([[ones], [ones]], tf.constant([0.5, 0.5]))[0].dtype == dtype


def test_a_nan_in_one_task_stays_in_its_row_and_column():
    matrix = gramian([[tf.constant([1.0, np.nan])], [tf.constant([1.0, 2.0])]]).numpy()
    assert matrix[1, 1] == 5
    assert np.isnan(matrix[0]).all()


def test_dense_layer_has_the_gramian_and_the_gradient_in_closed_form():
    rng = np.random.default_rng(1)
    inputs = tf.constant(rng.normal(size=(6, 7)), tf.float32)
    kernel, bias = tf.Variable(rng.normal(size=(7, 5)), dtype=tf.float32), tf.Variable(tf.zeros(5))
    targets = tf.constant(rng.normal(size=(3, 6, 5)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        outputs = inputs @ kernel + bias
        losses = [tf.reduce_mean((tf.nn.relu(outputs) - target) ** 2) for target in tf.unstack(targets)]
    gradients = task_gradients(tape, losses, [kernel, bias])
    at_outputs = tf.stack([of_task[0] for of_task in task_gradients(tape, losses, [outputs])])
    np.testing.assert_allclose(dense_gramian(inputs, at_outputs), gramian(gradients), rtol=1e-4, atol=1e-7)
    weights = tf.constant([0.2, 1.0, -3.0])
    for exact, summed in zip(
        dense_gradients(inputs, tf.tensordot(weights, at_outputs, 1)), combine(gradients, weights), strict=True
    ):
        np.testing.assert_allclose(exact, summed, rtol=1e-4, atol=1e-6)


def test_all_of_it_compiles():
    x = tf.Variable([1.0, 2.0])

    @tf.function(jit_compile=True)
    def step():
        with tf.GradientTape(persistent=True) as tape:
            losses = [tf.reduce_sum(x**2), tf.reduce_sum(x)]
        gradients = task_gradients(tape, losses, [x])
        return combine(gradients, tf.constant([1.0, 1.0]))[0], gramian(gradients)

    combined, matrix = step()
    np.testing.assert_allclose(combined, [3, 5])
    np.testing.assert_allclose(matrix, [[20, 6], [6, 2]])
