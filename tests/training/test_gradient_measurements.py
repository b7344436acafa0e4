"""Gradient measurements against values worked out by hand, and one way of measuring against another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, slow
from test_training import TASKS, ArrayFeatures, dataset, measurements, model, training

pytestmark = pytest.mark.tensorflow

ONE = {"general_anomaly": TASKS["general_anomaly"]}


def batches(n=3, size=16, seed=0, tasks=TASKS):
    """Batches of features and targets as a meter holds them."""
    from mtl.training.measurement import Batches

    data = dataset(tasks, seed)
    return Batches(*data.gather(np.arange(n * size).reshape(n, size)))


def flat_gradients(built, features, targets):
    """Each task's gradient as one vector, eagerly, task by task."""
    import tensorflow as tf

    flat = []
    for name in built.tasks:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(built.frame_losses(built(features, training=False), targets)[name])
        flat.append(np.concatenate([np.ravel(g) for g in tape.gradient(loss, built.shared_variables)]))
    return np.array(flat)


def deep_model(tasks=TASKS):
    """Two trained layers of a backbone, in two stages, before the shared one."""
    import keras
    import tensorflow as tf

    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import TrainedPart

    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(7, activation="tanh"), keras.layers.Dense(5, activation="tanh")]
    for layer, width in zip(layers, (6, 7), strict=True):
        layer.build((None, width))
    variables = [v for layer in layers for v in layer.trainable_variables]

    def forward(features, training):
        return layers[1](layers[0](tf.cast(features, tf.float32)))

    trained = TrainedPart(forward, variables, variables, ["first", "first", "second", "second"])
    return MultiTaskModel(trained, 5, tasks, shared_units=8, dropout=0.5, standardise=False, seed=0)


# when, and on what


@pytest.mark.parametrize(
    ("epochs", "due"), [(1, [1, 2, 3, 4, 5, 6]), (2, [2, 4, 6]), ([1, 5], [1, 5]), ([9], [])], ids=str
)
def test_it_measures_after_the_epochs_that_are_named(epochs, due):
    meter = measurements(epochs=epochs).on(model(ONE), dataset(ONE))
    assert [epoch for epoch in range(1, 7) if meter.due(epoch)] == due


def test_held_out_batches_are_disjoint_validation_frames_and_the_same_every_time():
    from mtl.training.gradient_measurements import held_out_batches

    val = np.arange(200, 260)
    found = held_out_batches(val, 3, 16, 0)
    assert found.shape == (3, 16)
    assert len(set(found.ravel())) == 48
    assert set(found.ravel()) <= set(val)
    np.testing.assert_array_equal(found, held_out_batches(val, 3, 16, 0))
    assert (found != held_out_batches(val, 3, 16, 1)).any()
    assert held_out_batches(val, 9, 16, 0).shape == (3, 16)
    assert held_out_batches(val, 2, 100, 0).shape == (1, 60)
    assert held_out_batches(val[:0], 2, 16, 0).shape == (0, 0)


def test_step_batches_are_training_frames_none_twice_while_they_last():
    from mtl.training.gradient_measurements import step_batches

    assert len(set(step_batches(np.arange(200), 3, 16, 0).ravel())) == 48
    few = step_batches(np.arange(20), 3, 16, 0)
    assert few.shape == (3, 16)
    assert set(few.ravel()) == set(range(20))
    assert step_batches(np.arange(5), 3, 16, 0).shape == (3, 5)


@pytest.mark.parametrize("build", [model, deep_model])
def test_a_share_thins_what_is_null_where_a_backbone_is_trained(build):
    from mtl.training.measurement_plan import Course

    course, data = Course(5, 200), dataset()
    by_share = measurements(epochs=None, batches=None, share=1e-3).on(build(), data, course=course)
    every = measurements(epochs=None, batches=None).on(build(), data, course=course)
    by_hand = measurements(share=1e-3).on(build(), data, course=course)
    due = [[epoch for epoch in range(1, 6) if meter.due(epoch)] for meter in (by_share, every, by_hand)]
    assert due == [[1, 2, 3, 4, 5] if build is model else [2, 5], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]
    for meter in (by_share, every, by_hand):
        meter.measure(7)
        meter.measure(14)
    found, full = by_share.arrays(), every.arrays()
    assert [len(one["gramians"]) for one in (found, full, by_hand.arrays())] == [6 if build is model else 2, 6, 6]
    if build is deep_model:
        assert found["measurement_batches"].tolist() == [0, 1]
        for name in ("gramians", "affinities", "group_gramians"):
            turns = [0] if name == "affinities" else [0, 4]  # the first batch, then the second one
            rtol = 0.5 if name == "affinities" else 1e-4  # by a step whose size is of all batches that are measured
            np.testing.assert_allclose(found[name][: len(turns)], full[name][turns], rtol=rtol, atol=1e-2)
        assert np.isnan(found["affinities"][1]).all()


def test_permuted_labels_are_the_batchs_own():
    held = batches()
    permuted = held.permuted(np.random.default_rng(0))
    for name, labels in held.targets.items():
        np.testing.assert_array_equal(np.sort(permuted[name], axis=1), np.sort(labels, axis=1))
        assert (permuted[name] != labels).any()


def test_nothing_held_out_is_nothing_measured():
    meter = measurements(batches=0).on(model(), dataset())
    meter.measure(7)
    found = meter.arrays()
    assert found["gramians"].shape == found["mean_gramians"].shape == (0, 3, 3)
    assert found["measurement_steps"].shape == (0,)


@pytest.mark.parametrize("build", [model, deep_model])
@pytest.mark.parametrize("tasks", [TASKS, *slow(ONE)], ids=["three tasks", "one task"])
def test_the_arrays_have_the_shapes_of_the_trace(build, tasks):
    built, n = build(tasks), len(tasks)
    meter = measurements().on(built, dataset(tasks))
    meter.measure(7)
    meter.measure(14)
    found = meter.arrays()
    assert found["gramians"].shape == found["permuted_cosines"].shape == found["affinities"].shape == (6, n, n)
    assert found["mean_gramians"].shape == (2, n, n)
    assert found["group_gramians"].shape == (6, len(meter.groups), n, n)
    assert meter.groups == (("shared",) if build is model else ("first", "second", "shared"))
    assert found["measurement_steps"].tolist() == [7, 7, 7, 14, 14, 14]
    for name, one in found.items():
        if name not in ("permuted_cosines", "affinities"):
            assert np.isfinite(one).all(), name
    share = 1 if build is model else 1 / n
    assert np.isfinite(found["permuted_cosines"]).mean() == pytest.approx(share)
    assert np.isfinite(found["affinities"]).all()
    assert found["measurement_batches"].tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("build", [model, *slow(deep_model)])
def test_what_is_switched_off_is_empty(build):
    meter = measurements(permuted_labels=False, affinity_step=None).on(build(), dataset())
    meter.measure(7)
    found = meter.arrays()
    assert found["permuted_cosines"].shape == found["affinities"].shape == (0, 3, 3)
    assert found["gramians"].shape == (3, 3, 3)


# what


@pytest.mark.parametrize("build", [model, deep_model])
def test_gramians_are_inner_products_of_task_gradients_by_batch_of_their_mean_and_by_layer(build):
    from mtl.training.measure_batchwise import compile_on_all
    from mtl.training.measure_dense import compile_on_dense

    built, held = build(), batches()
    compile_for = compile_on_dense if build is model else compile_on_all
    found = compile_for(built, None)(held, None, None, 0)
    each = np.array([flat_gradients(built, *held[i]) for i in range(3)])  # (batches, tasks, parameters)
    np.testing.assert_allclose(found.gramians.sum(axis=1), each @ each.transpose(0, 2, 1), rtol=1e-4, atol=1e-6)
    mean = each.mean(axis=0)
    np.testing.assert_allclose(found.mean_gramian, mean @ mean.T, rtol=1e-4, atol=1e-6)
    start = 0
    for g, group in enumerate(built.layer_groups.values()):
        size = sum(int(np.prod(built.shared_variables[i].shape)) for i in group)
        part = each[:, :, start : start + size]
        np.testing.assert_allclose(found.gramians[:, g], part @ part.transpose(0, 2, 1), rtol=1e-4, atol=1e-6)
        start += size
    assert start == each.shape[-1]


@pytest.mark.parametrize("n_frames", [3, *slow(40)], ids=["fewer frames than inputs", "more"])
def test_the_closed_form_on_the_dense_layer_is_what_the_tape_finds(n_frames):
    from mtl.training.measure_batchwise import compile_on_all
    from mtl.training.measure_dense import compile_on_dense

    built, held, stepped = model(), batches(2, n_frames), batches(2, 11, seed=1)
    permuted = held.permuted(np.random.default_rng(0))
    closed = compile_on_dense(built, 0.5)(held, permuted, stepped, 0)
    taped = compile_on_all(built, 0.5)
    turns = [taped(held, permuted, stepped, number) for number in range(3)]
    for one in turns:
        np.testing.assert_allclose(closed.gramians, one.gramians, rtol=1e-3, atol=2e-6)
        np.testing.assert_allclose(closed.mean_gramian, one.mean_gramian, rtol=1e-3, atol=2e-6)
        np.testing.assert_allclose(closed.affinities, one.affinities, rtol=1e-3, atol=2e-6)
    together = np.nanmean([one.permuted_cosines for one in turns], axis=0)  # each entry had one turn
    np.testing.assert_allclose(closed.permuted_cosines, together, rtol=1e-3, atol=2e-6)


def test_in_as_many_measurements_as_tasks_every_batch_has_seen_every_task():
    from mtl.training.measure_batchwise import compile_on_all

    measure, held = compile_on_all(deep_model(), 0.1), batches()
    permuted = held.permuted(np.random.default_rng(0))
    found = [measure(held, permuted, held, number) for number in range(3)]
    assert np.isfinite([one.affinities for one in found]).all()
    assert (np.isfinite([one.permuted_cosines for one in found]).sum(axis=0) == 1).all()


def test_the_permutation_baseline_is_the_cosine_with_the_gradient_of_permuted_labels():
    from mtl.training.measure_batchwise import compile_on_all

    built, held = deep_model(), batches()
    permuted = held.permuted(np.random.default_rng(0))
    found = compile_on_all(built, None)(held, permuted, None, 0).permuted_cosines[1]
    own = flat_gradients(built, *held[1])
    other = flat_gradients(built, held.features[1], {name: one[1] for name, one in permuted.items()})
    expected = own @ other.T / np.linalg.norm(own, axis=1)[:, None] / np.linalg.norm(other, axis=1)
    np.testing.assert_allclose(found[:, 1], expected[:, 1], rtol=1e-3, atol=1e-5)
    assert np.isnan(found[:, [0, 2]]).all()


def test_affinity_has_the_golden_values_and_puts_back_what_it_moved():
    """Two quadratics of which each is the source once: source down, recipient across."""
    import tensorflow as tf

    from mtl.training.measure_batchwise import affinity

    x = tf.Variable([1.0, 1.0])

    def losses():
        away = x - [2.0, 0.0]
        return [0.5 * tf.reduce_sum([2.0, 1.0] * x**2), 0.5 * tf.reduce_sum([1.0, 3.0] * away**2)]

    def from_source(i, before):
        with tf.GradientTape() as tape:
            loss = losses()[i]
        return affinity([tape.gradient(loss, x)], losses, before, [x], 0.1)

    found = [from_source(i, tf.stack(losses())) for i in range(2)]
    np.testing.assert_allclose(found, [[0.303333, 0.0325], [0.03, 0.43]], atol=5e-7)
    np.testing.assert_array_equal(x.numpy(), [1, 1])
    nothing_left = from_source(0, tf.constant([1.5, 0.0])).numpy()
    assert np.isfinite(nothing_left[0])
    assert np.isnan(nothing_left[1])


def test_affinity_is_one_plain_step_on_a_training_batch_judged_on_a_held_out_one():
    """By hand: step the shared parameters alone, look at the other batch, go back."""
    import tensorflow as tf

    from mtl.training.measure_batchwise import compile_on_all

    built, held, stepped = deep_model(), batches(2), batches(2, seed=5)
    start = built.get_weights()
    measure = compile_on_all(built, 0.1)
    found = measure(held, None, stepped, 0).affinities

    def held_losses():
        features, targets = held[1]
        return np.array([tf.reduce_mean(one) for one in built.frame_losses(built(features, False), targets).values()])

    before = held_losses()
    pairs = [held[i] for i in range(2)]
    squares = sum((flat_gradients(built, *one) ** 2).sum() for one in pairs)
    sums = sum(float(loss) for features, t in pairs for loss in built.losses(built(features, False), t))
    step = 0.1 * sums / squares
    for i, of_task in enumerate(flat_gradients(built, *stepped[1])):
        place = 0
        for variable in built.shared_variables:
            size = int(np.prod(variable.shape))
            variable.assign_sub(step * of_task[place : place + size].reshape(variable.shape))
            place += size
        np.testing.assert_allclose(found[1, i], 1 - held_losses() / before, rtol=1e-3, atol=1e-5)
        built.set_weights(start)


@pytest.mark.parametrize("build", [deep_model, *slow(model)])
def test_measuring_changes_no_bit_of_the_model(build):
    built, data = build(), dataset()
    before = built.get_weights()
    meter = measurements(affinity_step=100.0).on(built, data)
    meter.measure(7)
    for name, weight in built.get_weights().items():
        np.testing.assert_array_equal(weight, before[name], err_msg=name)


@pytest.mark.slow
def test_a_training_with_gradient_measurements_ends_where_one_without_does():
    from mtl.weighting.equal import Equal

    ends = []
    for batches_ in (0, 3):
        built, data = model(dropout=0.5), dataset()
        settings = measurements(batches=batches_)
        training().train(built, data, Equal(tuple(TASKS)), settings, "general_anomaly", lambda number, epoch: None)
        ends.append(built.get_weights())
    for name, weight in ends[0].items():
        np.testing.assert_array_equal(weight, ends[1][name], err_msg=name)


@pytest.mark.slow
def test_named_epochs_alone_are_in_the_trace():
    from mtl.weighting.equal import Equal

    settings = measurements(epochs=[2, 3])
    trace, history = training(epochs=4).train(
        model(), dataset(), Equal(tuple(TASKS)), settings, "general_anomaly", lambda number, epoch: None
    )
    assert trace.measurement_steps.tolist() == [14] * 3 + [21] * 3
    assert trace.mean_gramians.shape == (2, 3, 3)
    assert history.measurement_seconds > 0


def test_large_features_are_gathered_again_instead_of_being_kept(monkeypatch):
    from mtl.training import gradient_measurements as module

    monkeypatch.setattr(module, "HELD_BYTES", 0)
    built, data = model(), dataset()
    meter = measurements().on(built, data)
    meter.measure(1)
    meter.measure(2)
    assert not meter._kept
    kept = measurements().on(built, data)
    kept.measure(1)
    np.testing.assert_allclose(kept.arrays()["gramians"], meter.arrays()["gramians"][:3], rtol=1e-5)


def test_label_combinations_are_counted_by_frame_and_by_video():
    from mtl.training.dataset import Dataset

    frames = pd.DataFrame(
        {"split": ["train"] * 5 + ["val"], "video": pd.Categorical(["u", "u", "v", "w", "w", "x"]), "class_name": "A"}
    )
    targets = {"a": np.array([1, 1, 0, 1, 1, 9]), "b": np.array([5, 5, 5, 5, 2, 9])}
    labels, n_frames, n_videos = Dataset(ArrayFeatures(np.zeros((6, 1))), targets, frames).label_combinations("train")
    assert labels.tolist() == [[0, 5], [1, 2], [1, 5]]
    assert n_frames.tolist() == [1, 1, 3]
    assert n_videos.tolist() == [1, 1, 2]
    empty = Dataset(ArrayFeatures(np.zeros((6, 1))), targets, frames).label_combinations("test")
    assert [one.shape for one in empty] == [(0, 2), (0,), (0,)]


def test_a_step_for_itself_takes_about_the_share_that_is_asked_for():
    """Whatever the scale of the features, and so of the gradients."""
    import tensorflow as tf

    from mtl.training.measure_dense import compile_on_dense
    from mtl.training.measurement import Batches, step_size

    for scale in (0.1, 10.0):
        held = batches(4, 32)
        held = Batches(scale * held.features, held.targets)
        gains = compile_on_dense(model(), 0.001)(held, None, held, 0).affinities
        assert np.diagonal(gains, axis1=1, axis2=2).mean() == pytest.approx(0.001, rel=0.5)
    assert float(step_size(0.1, tf.ones((2, 3)), tf.zeros((2, 3, 3)))) == 0
    assert float(step_size(0.5, tf.ones((2, 3)), 4 * tf.eye(3, batch_shape=[2]))) == pytest.approx(0.125)


@pytest.mark.parametrize("name", ["small_cnn", *slow("mobilenet_v2", "resnet50")])
def test_layer_groups_are_the_trained_stages_and_the_shared_layer(name):
    """Every variable in the stage that its layer's name tells of, where it tells one."""

    from omegaconf import OmegaConf

    from mtl.config.build import build
    from mtl.model.backbone import Freeze
    from mtl.model.multitask import assemble

    conf = OmegaConf.load(ROOT / "conf" / "backbone" / f"{name}.yaml")
    config = OmegaConf.create(
        {
            "seed": 0,
            "backbone": OmegaConf.merge(conf, {"weights": "random", "image_size": 32, "seed": 0}),
            "model": {
                "_target_": "mtl.model.MultiTaskModel",
                "_partial_": True,
                "shared_units": 4,
                "dropout": 0.0,
                "standardise": False,
                "seed": 0,
            },
        }
    )
    cut = build(config.backbone).split(Freeze(1))
    built = assemble(build(config.model), cut, TASKS, cut.frozen.feature_shape((32, 32)))
    groups = built.layer_groups
    assert list(groups) == [*list(config.backbone.stages)[1:], "shared"]
    assert sorted(i for group in groups.values() for i in group) == list(range(len(built.shared_variables)))
    if name != "mobilenet_v2":  # whose blocks are numbered through
        for stage, group in list(groups.items())[:-1]:
            assert all(stage in cut.trained.trainable_variables[i].path for i in group)


# what it tells


RELATED = {"same": 1.0, "near": 0.9, "half": 0.6, "none": 0.0, "random": 0.0}


def related_tasks(seed, n_frames=1500, n_features=24):
    """Labels by the median of y = w.x + sum sin(a w.x + b) + noise (Ma et al., KDD 2018).

    The angle between a task's w and the main task's has the cosine that `RELATED` says;
    "same" has the main task's w and noise of its own, "random" a coin per frame.
    """
    from mtl.training.dataset import Dataset

    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    features = rng.normal(size=(n_frames, n_features)).astype(np.float32)
    speeds, shifts = rng.normal(1, 0.5, size=3), rng.uniform(0, 2 * np.pi, size=3)

    def labels(direction):
        z = features @ direction
        y = z + np.sin(np.outer(z, speeds) + shifts).sum(axis=1) + rng.normal(size=n_frames)
        return (y > np.median(y)).astype(np.int32)

    targets = {"main": labels(directions[0])}
    for own, (name, rho) in zip(directions[1:], RELATED.items(), strict=False):
        targets[name] = labels(rho * directions[0] + np.sqrt(1 - rho**2) * own)
    targets["random"] = rng.integers(0, 2, n_frames).astype(np.int32)
    frames = pd.DataFrame(
        {
            "class_name": pd.Categorical(["A"] * n_frames),
            "video": pd.Categorical([f"v{i}" for i in range(n_frames)]),
            "split": np.where(np.arange(n_frames) % 2, "train", "val"),
        }
    )
    return Dataset(ArrayFeatures(features), targets, frames)


@pytest.mark.slow
def test_held_out_cosine_and_affinity_order_the_relatedness():
    """Means over seeds; of one seed they do not. Random labels are the control."""
    import keras
    import tensorflow as tf

    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import TrainedPart
    from mtl.relations.gradient import affinity, conflict_rate, gradient_similarity, gradient_similarity_mean
    from mtl.tasks import BinaryTask
    from mtl.weighting.equal import Equal

    found, baselines = {"cosine": [], "of the mean": [], "affinity": []}, []
    for seed in range(12):
        data = related_tasks(seed)
        tasks = {name: BinaryTask(["A"], []) for name in data.targets}
        identity = TrainedPart(lambda features, training: tf.cast(features, tf.float32), [], [])
        built = MultiTaskModel(identity, 24, tasks, shared_units=16, dropout=0.0, standardise=False, seed=seed)
        settings = training(epochs=8, optimizer=lambda: keras.optimizers.Adam(5e-3), seed=seed)
        measured = measurements(batches=11, batch_size=64, affinity_step=0.01, seed=seed)
        trace, _ = settings.train(built, data, Equal(tuple(tasks)), measured, "main", lambda number, epoch: None)
        found["cosine"].append(gradient_similarity(trace, 2).values[0, 1:])
        found["of the mean"].append(gradient_similarity_mean(trace, 2).values[0, 1:])
        both_ways = affinity(trace, 2).values
        found["affinity"].append((both_ways[0, 1:] + both_ways[1:, 0]) / 2)
        baselines.append(conflict_rate(trace, 2).baseline.values[0, 1:])
    for name, values in found.items():
        same, near, half, none, random = np.mean(values, axis=0)
        assert same > near > max(half, none, random), (name, np.mean(values, axis=0))
        assert max(abs(none), abs(random)) < 0.5 * same, (name, np.mean(values, axis=0))
    same, *_, random = np.mean(baselines, axis=0)
    assert abs(random - 0.5) < 0.1
    assert same > 0.5  # labels at random ask to unlearn what related tasks have learnt together
