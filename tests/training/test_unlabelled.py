"""Tasks that say nothing about some frames: their losses, gradients, weights and what is measured of them."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import slow
from test_training import TASKS, ArrayFeatures, dataset, model, train

from mtl.tasks import UNLABELLED, BinaryTask, CategoricalTask
from mtl.training.dataset import Dataset
from mtl.training.history import epoch_means

pytestmark = pytest.mark.tensorflow

PARTIAL = {
    "general_anomaly": BinaryTask(["Arson", "Fighting"], []),
    "violence": BinaryTask(["Fighting"], ["Arson"]),
    "anomaly_type": CategoricalTask(["Fighting", "Normal"], ["Arson"]),
}


def partial_model(tasks=PARTIAL, **more):
    built = model(tasks, **more)
    built.is_partial = True
    return built


def batch(tasks=PARTIAL, n=32, data=None):
    import tensorflow as tf

    data = data or dataset(tasks)
    return tf.constant(data.features.array[:n]), {name: tf.constant(one[:n]) for name, one in data.targets.items()}


def loss_and_gradient(built, features, targets, name):
    import tensorflow as tf

    variables = [*built.shared_variables, *built.head_variables]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        loss = dict(zip(built.tasks, built.losses(built(features, training=True), targets), strict=True))[name]
    found = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return float(loss), np.concatenate([np.ravel(one) for one in found])


def test_the_loss_is_the_mean_over_the_labelled_frames_by_hand():
    import tensorflow as tf

    built = partial_model()
    logits = {"general_anomaly": [[0.0], [0.0]], "violence": [[np.log(3.0)], [9.0]], "anomaly_type": [[0, 1.0], [5, 0]]}
    targets = {"general_anomaly": [1, 0], "violence": [1, UNLABELLED], "anomaly_type": [UNLABELLED, UNLABELLED]}
    losses = built.losses(
        {name: tf.constant(one, tf.float32) for name, one in logits.items()},
        {name: tf.constant(one) for name, one in targets.items()},
    )
    # of log-odds 0 either answer has probability 1/2; of log 3 the yes has 3/4
    np.testing.assert_allclose([float(one) for one in losses], [np.log(2), np.log(4 / 3), 0], rtol=1e-6)


@pytest.mark.parametrize("name", list(PARTIAL))
def test_loss_and_gradient_are_those_of_the_labelled_frames_alone(name):
    import tensorflow as tf

    features, targets = batch()
    known = np.flatnonzero(targets[name].numpy() != UNLABELLED)
    assert name == "general_anomaly" or 0 < len(known) < 32
    loss, gradient = loss_and_gradient(partial_model(), features, targets, name)
    alone = {each: tf.gather(one, known) for each, one in targets.items()}
    own_loss, own_gradient = loss_and_gradient(model(PARTIAL), tf.gather(features, known), {**alone, **{
        each: tf.maximum(one, 0) for each, one in alone.items()}}, name)  # fmt: skip
    assert loss == pytest.approx(own_loss, rel=1e-6)
    np.testing.assert_allclose(gradient, own_gradient, atol=1e-6)


def test_masking_a_class_equals_leaving_its_frames_out():
    whole, kept = dataset(PARTIAL), dataset(PARTIAL).frames["class_name"] != "Arson"
    tasks = {"violence": PARTIAL["violence"], "general_anomaly": BinaryTask(["Fighting"], ["Arson"])}
    masked = Dataset(whole.features, {name: task.targets(whole.frames) for name, task in tasks.items()}, whole.frames)
    at = np.flatnonzero(kept)
    less = Dataset(
        ArrayFeatures(whole.features.array[at]),
        {name: target[at] for name, target in masked.targets.items()},
        whole.frames.iloc[at].reset_index(drop=True),
    )
    n_train = len(masked.positions("train"))
    # one batch holds the whole split, so that both trainings see the same labelled frames at every step
    one = train(tasks, data=masked, epochs=3, batch_size=n_train)
    other = train(tasks, data=less, epochs=3, batch_size=len(less.positions("train")))
    np.testing.assert_allclose(one[1].losses, other[1].losses, rtol=1e-4)
    np.testing.assert_allclose(one[2].best.val_losses, other[2].best.val_losses, rtol=1e-4)
    np.testing.assert_allclose(one[2].best.weighted_val_aucs, other[2].best.weighted_val_aucs, atol=1e-6)
    assert not less.is_partial
    assert masked.is_partial


def sparse(only=5):
    """A set in which anomaly_type is labelled for the first `only` training frames, and for half of validation."""
    data = dataset(TASKS)
    target = data.targets["anomaly_type"].copy()
    target[only:230] = UNLABELLED
    return Dataset(data.features, {**data.targets, "anomaly_type": target}, data.frames)


@pytest.mark.parametrize("name", ["equal", "pcgrad", "famo", *slow("metabalance", "excess_mtl")])
def test_a_batch_without_labels_has_loss_nan_weight_zero_and_teaches_the_others(name):
    from test_training import of_conf

    data = sparse()
    built, trace, history = train(weighting=of_conf(name), data=data, measured=3)
    absent = trace.absent
    assert absent[:, 2].any()
    assert not absent[:, :2].any()
    assert not absent[:, 2].all()
    assert np.isnan(trace.losses[absent]).all()
    assert not trace.weights[absent].any()
    assert np.isfinite(trace.losses[~absent]).all()
    assert np.isfinite(trace.weights).all()
    assert (trace.weights[:, :2] > 0).any(axis=1).all()
    assert not history.diverged
    assert history.sound
    assert not built.broken()
    assert np.isfinite([epoch.train_losses[:2] for epoch in history.epochs]).all()
    np.testing.assert_array_equal(np.isnan(trace.val_losses), ~trace.val_labelled)
    assert trace.val_labelled.sum(axis=0).tolist() == [60, 60, 30]
    assert history.epochs[0].val_losses[2] == pytest.approx(
        np.nanmean(trace.val_losses[:, 2]), rel=0.5
    )  # a mean over the thirty, of another epoch


def test_the_head_of_an_absent_task_has_no_gradient():
    data = sparse(only=0)
    built = model()
    before = {name: [v.numpy() for v in head.variables] for name, head in built.heads.items()}
    _, trace, history = train(data=data, built=built)
    assert trace.absent[:, 2].all()
    assert np.isnan(history.epochs[0].train_losses[2])
    for one, earlier in zip(built.heads["anomaly_type"].variables, before["anomaly_type"], strict=True):
        np.testing.assert_array_equal(one.numpy(), earlier)
    assert not np.array_equal(built.heads["violence"].variables[0].numpy(), before["violence"][0])


def test_measurements_know_which_tasks_a_batch_has_both_ways_alike():
    from test_gradient_measurements import measurements

    from mtl.training.measure_batchwise import compile_on_all
    from mtl.training.measure_dense import compile_on_dense
    from mtl.training.measurement import Batches

    del measurements
    rng = np.random.default_rng(0)
    built = partial_model(TASKS)
    features = rng.normal(size=(3, 8, 6)).astype(np.float32)
    targets = {"general_anomaly": rng.integers(0, 2, (3, 8)), "violence": rng.integers(-1, 2, (3, 8))}
    targets["anomaly_type"] = rng.integers(-1, 3, (3, 8))
    targets["anomaly_type"][1] = UNLABELLED
    held = Batches(features, {name: one.astype(np.int32) for name, one in targets.items()})
    stepped = Batches(features[:, :4], {name: one[:, 4:].astype(np.int32) for name, one in targets.items()})
    permuted = held.permuted(np.random.default_rng(1))
    for name, one in permuted.items():
        np.testing.assert_array_equal(one == UNLABELLED, held.targets[name] == UNLABELLED)
        np.testing.assert_array_equal(np.sort(one, axis=1), np.sort(held.targets[name], axis=1))
    found = [
        compile(built, 0.1)(held, permuted, stepped, 0).where_labelled(held.present, stepped.present)
        for compile in (compile_on_dense, compile_on_all)
    ]
    np.testing.assert_allclose(found[0].gramians, found[1].gramians, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found[0].mean_gramian, found[1].mean_gramian, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found[0].affinities, found[1].affinities, rtol=1e-2, atol=1e-5)
    absent = np.isnan(found[0].gramians[:, 0])
    assert absent[1, 2].all()
    assert absent[1, :, 2].all()
    assert absent.sum() == 5
    for one in found:
        assert np.isnan(one.affinities[1, 2]).all()
        assert np.isnan(one.affinities[1, :, 2]).all()
        assert np.isnan(one.permuted_cosines[1, :, 2]).all()


def test_epoch_means_leave_absent_steps_out():
    losses = [np.array([[1.0, np.nan], [3.0, 5.0]]), np.array([[1.0, np.nan], [2.0, np.nan]])]
    weights = [np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])]
    np.testing.assert_array_equal(epoch_means(losses, weights, 2), [[2, 5], [1.5, np.nan]])
    void = [np.full((2, 2), np.nan)]
    assert np.isnan(epoch_means(void, void, 2)).all()


def test_a_set_without_unlabelled_frames_builds_no_mask():
    built, trace, _ = train()
    assert not built.is_partial
    assert trace.val_labelled.size == 0
    assert not trace.absent.any()
