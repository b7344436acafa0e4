"""Tasks' parts of the real updates: against direct sums on tiny models, for every optimizer."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from conftest import slow
from test_gradient_measurements import batches, deep_model, flat_gradients
from test_training import TASKS, ArrayFeatures, dataset, measurements, model, training

from mtl.relations.path import path_affinity

pytestmark = pytest.mark.tensorflow


def optimizers():
    return [
        ("SGD", {"learning_rate": 0.1}),
        ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
        ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
        ("Adam", {"learning_rate": 0.01}),
        ("Adam", {"learning_rate": 0.01, "amsgrad": True}),
        ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.0}),
        ("Nadam", {"learning_rate": 0.01}),
        ("RMSprop", {"learning_rate": 0.01, "momentum": 0.5, "rho": 0.9}),
        ("Adagrad", {"learning_rate": 0.01}),
    ]


@pytest.mark.parametrize(("name", "settings"), optimizers(), ids=[f"{n}-{len(s)}" for n, s in optimizers()])
def test_a_steady_gradient_moves_parameters_by_itself_times_the_scale(name, settings):
    import keras
    import tensorflow as tf

    from mtl.training.update_scale import update_scale

    gradient = np.array([0.5, -2.0, 1e-3], np.float32)
    weight, unused = keras.Variable(np.zeros(3, np.float32)), keras.Variable(np.zeros(2, np.float32))
    optimizer = getattr(keras.optimizers, name)(**settings)
    optimizer.build([weight, unused])
    step = tf.function(lambda: optimizer.apply([tf.constant(gradient), tf.zeros(2)], [weight, unused]), autograph=False)
    for _ in range(150):
        step()
    before = weight.numpy()
    step()
    (scale,) = update_scale(optimizer, 1)
    np.testing.assert_allclose(before - weight.numpy(), scale.numpy() * gradient, rtol=2e-3)


def test_an_optimizer_of_another_form_and_one_that_clips_have_no_scale():
    import keras

    from mtl.training.update_scale import update_scale

    for optimizer in (
        keras.optimizers.Lion(),
        keras.optimizers.Adam(clipnorm=1.0),
        keras.optimizers.SGD(clipvalue=0.5),
    ):
        optimizer.build([keras.Variable(np.zeros(3, np.float32))])
        assert update_scale(optimizer, 1) is None


def scales(built, seed=3):
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    return [tf.constant(rng.uniform(0.5, 2, v.shape), tf.float32) for v in built.shared_variables]


def test_the_closed_form_on_the_dense_layer_is_the_sum_over_parameters():
    from mtl.training.measure_dense import compile_on_dense

    built, held, stepped = model(), batches(3, 16), batches(3, 11, seed=1)
    scale = scales(built)
    found = compile_on_dense(built, 0.5)(held, held.permuted(np.random.default_rng(0)), stepped, 0, scale).update_rates
    factor = np.concatenate([np.ravel(one) for one in scale])
    of_source = np.mean([flat_gradients(built, *stepped[i]) for i in range(3)], axis=0)
    for i in range(3):
        expected = of_source * factor @ flat_gradients(built, *held[i]).T
        np.testing.assert_allclose(found[i], expected, rtol=1e-3, atol=1e-6)


def test_what_is_not_labelled_has_no_part_and_takes_none_of_the_others():
    from mtl.training.measure_updates import dense_where_labelled
    from mtl.training.measurement import Batches

    rates = np.ones((2, 2, 2))
    whole, half = np.zeros((2, 3), int), np.array([[0, 1, -1], [-1, -1, -1]])
    held, stepped = Batches(np.zeros(2), {"a": whole, "b": half}), Batches(np.zeros(2), {"a": half, "b": whole})
    dense = dense_where_labelled(rates, held, stepped)
    np.testing.assert_array_equal(dense[0], [[2, 2], [1, 1]])
    np.testing.assert_array_equal(dense[1], [[2, np.nan], [1, np.nan]])


def test_of_plain_small_steps_the_parts_add_up_to_the_drop_of_each_loss():
    """Only the shared parameters are stepped, on the batch that is also looked at."""
    import tensorflow as tf

    from mtl.training.measure_dense import compile_on_dense

    built, batch = model(), batches(1, 200)
    measure, rate, weights = compile_on_dense(built, 0.5), 0.02, np.array([1.0, 0.5, 2.0])
    scale = [tf.constant(rate)] * 2

    def losses():
        return np.array([float(loss) for loss in built.losses(built(batch.features[0], False), batch[0][1])])

    start, parts = losses(), np.zeros((3, 3))
    for _ in range(40):
        rates = measure(batch, None, batch, 0, scale).update_rates[0]
        gradients = flat_gradients(built, *batch[0])
        np.testing.assert_allclose(rates, rate * gradients @ gradients.T, rtol=2e-3, atol=1e-6)
        parts += weights[:, None] * rates
        update = rate * weights @ gradients
        for variable, part in zip(built.shared_variables, np.split(update, [update.size - 16]), strict=True):
            variable.assign_sub(part.reshape(variable.shape))
    drop = start - losses()
    assert drop.max() > 0.2
    np.testing.assert_allclose(parts.sum(axis=0), drop, rtol=0.03, atol=3e-3)


def same_frames_held_out():
    """200 training frames, and the same ones for validation."""
    from mtl.training.dataset import Dataset

    data = dataset()
    at = np.r_[0:200, 0:200]
    frames = data.frames.iloc[at].reset_index(drop=True)
    frames["split"] = np.repeat(["train", "val"], 200)
    return Dataset(
        ArrayFeatures(data.features.array[at]), {name: one[at] for name, one in data.targets.items()}, frames
    )


def trained(optimizer, epochs=6, **changes):
    """A training of one full batch per epoch, and the shared gradients (n_epochs, n_tasks, n_shared) after each."""
    from mtl.weighting.fixed import Fixed

    built, data, gradients = model(), same_frames_held_out(), []
    features, targets = data.gather(np.arange(200))

    def remember(number, epoch):
        gradients.append(flat_gradients(built, features, targets))

    weighting = Fixed(tuple(TASKS), {"violence": 0.5}, 1.0, strict=False)
    settings = measurements(batches=1, batch_size=200, permuted_labels=False, **changes)
    run = training(epochs=epochs, batch_size=200, optimizer=optimizer)
    trace, _ = run.train(built, data, weighting, settings, "general_anomaly", remember)
    return trace, np.array(gradients)


def test_a_training_with_sgd_sums_the_products_of_gradients_by_weight_and_learning_rate():
    import keras

    trace, gradients = trained(partial(keras.optimizers.SGD, 0.05))
    products = gradients @ gradients.transpose(0, 2, 1)
    at_steps = products[[0, 0, 1, 2, 3, 4]]  # before the first measurement that of the first counts
    expected = 0.05 * np.array([1, 0.5, 1])[:, None] * at_steps.sum(axis=0)
    found = path_affinity(trace)
    np.testing.assert_allclose(found.values, expected, rtol=2e-3, atol=1e-6)
    assert found.reason == ""
    assert found.trajectory_epochs.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(found.trajectory[-1], found.values)


@pytest.mark.parametrize("name", ["Adam", *slow("RMSprop")])
def test_a_training_with_moments_measures_finite_parts_and_learns_from_itself(name):
    import keras

    trace, _ = trained(partial(getattr(keras.optimizers, name), 0.003))
    found = path_affinity(trace)
    assert np.isfinite(found.values).all()
    assert (np.diagonal(found.values) > 0).all()


def test_without_a_step_that_is_known_there_is_no_number_and_a_reason():
    import keras

    trace, _ = trained(partial(keras.optimizers.Lion, 0.003), epochs=1)
    assert trace.update_rates.shape == (0, 3, 3)
    found = path_affinity(trace)
    assert np.isnan(found.values).all()
    assert found.reason.startswith(
        "no update was measured: gradient_measurements.path_steps or affinity_step is null, a backbone is trained, or"
    )
    assert trained(partial(keras.optimizers.SGD, 0.05), epochs=1, path_steps=None)[0].update_rates.shape == (0, 3, 3)


def test_it_is_measured_when_so_many_steps_have_gone_by():
    assert due_of(model()) == [True, False, True, False, True]


def test_with_a_trained_backbone_it_is_not_measured():
    """Batch norm hides from a training step what a gradient in inference mode sees."""
    assert due_of(deep_model()) == []


def due_of(built):
    import keras

    meter = measurements(path_steps=10, permuted_labels=False).on(built, dataset(), keras.optimizers.SGD(0.1))
    for step in (7, 14, 17, 20, 27):
        meter.measure(step)
    rates = meter.arrays()["update_rates"]
    return np.isfinite(rates).any(axis=(1, 2)).reshape(-1, 3).all(axis=1).tolist()
