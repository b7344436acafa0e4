from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, sampled, slow

from mtl.tasks import BinaryTask, CategoricalTask

pytestmark = pytest.mark.tensorflow

CLASSES = ("Arson", "Fighting", "Normal")
TASKS = {
    "general_anomaly": BinaryTask(["Arson", "Fighting"], []),
    "violence": BinaryTask(["Fighting"], []),
    "anomaly_type": CategoricalTask(list(CLASSES), []),
}
N, D = 300, 6
WEIGHTINGS = ROOT / "conf" / "weighting"


class ArrayFeatures:
    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __len__(self):
        return len(self.array)

    def take(self, positions):
        return self.array[positions]


def dataset(tasks=TASKS, seed=0):
    """Feature vectors whose class is linear in them, ten frames a video, three splits."""
    from mtl.training.dataset import Dataset

    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N, D)).astype(np.float32)
    codes = (features[:, :3] + 0.3 * rng.normal(size=(N, 3))).argmax(axis=1)
    frames = pd.DataFrame(
        {
            "class_name": pd.Categorical.from_codes(codes, CLASSES),
            "video": pd.Categorical([f"v{i // 10}" for i in range(N)]),
            "split": pd.Categorical(np.repeat(["train", "val", "test"], [200, 60, 40])),
        }
    )
    return Dataset(ArrayFeatures(features), {name: task.targets(frames) for name, task in tasks.items()}, frames)


def model(tasks=TASKS, seed=0, dropout=0.0):
    import tensorflow as tf

    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import TrainedPart

    identity = TrainedPart(lambda features, training: tf.cast(features, tf.float32), [], [])
    return MultiTaskModel(identity, D, tasks, shared_units=16, dropout=dropout, standardise=False, seed=seed)


def training(**changes):
    import keras

    from mtl.training.loop import Training

    settings = {
        "epochs": 3,
        "batch_size": 32,
        "optimizer": lambda: keras.optimizers.Adam(0.01),
        "sampling": "natural",
        "early_stopping": False,
        "patience": 2,
        "gradients_of": "parameters",
        "checkpoint": None,
        "seed": 0,
    }
    return Training(**settings | changes)


def measurements(**changes):
    from mtl.training.gradient_measurements import GradientMeasurements

    settings = {"epochs": 1, "batches": 3, "batch_size": 16, "permuted_labels": True, "affinity_step": 0.1, "seed": 0}
    settings |= {"path_steps": 1, "share": None, "most_batches": 3}
    return GradientMeasurements(**settings | changes)


def of_conf(name):
    """The weighting of `conf/weighting/<name>.yaml`."""
    from omegaconf import OmegaConf

    from mtl.config.build import build

    node = OmegaConf.load(WEIGHTINGS / f"{name}.yaml")
    config = OmegaConf.create({"seed": 0, "main_task": "general_anomaly", "w": node})
    return build(config.w, tasks=tuple(TASKS))


def train(tasks=TASKS, weighting=None, data=None, built=None, seed=0, measured=0, **changes):
    """What a training with so many measured batches gives; to measure takes as long as all else."""
    from mtl.weighting.equal import Equal

    built = built or model(tasks, seed)
    epochs: list = []
    trace, history = training(seed=seed, **changes).train(
        built,
        data or dataset(tasks),
        weighting or Equal(tuple(tasks)),
        measurements(seed=seed, batches=measured),
        "general_anomaly",
        lambda number, epoch: epochs.append(epoch),
    )
    assert epochs == history.epochs
    return built, trace, history


@pytest.mark.parametrize("names", [list(TASKS), *slow(["general_anomaly"])])
def test_one_task_has_the_same_shapes_as_many(names):
    tasks = {name: TASKS[name] for name in names}
    _, trace, history = train(tasks, measured=3)
    t = len(tasks)
    assert trace.tasks == tuple(names)
    assert trace.steps_per_epoch == 7
    assert trace.losses.shape == trace.weights.shape == (21, t)
    assert trace.gramians.shape == (9, t, t)
    assert trace.measurement_steps.tolist() == [7, 7, 7, 14, 14, 14, 21, 21, 21]
    assert trace.val_losses.shape == (60, t)
    first = history.epochs[0]
    assert first.tasks == tuple(names)
    for of_tasks in (first.train_losses, first.val_losses, first.val_aucs, first.weights):
        assert of_tasks.shape == (t,)


def test_the_history_has_a_column_for_every_metric_of_an_epoch():
    from mtl.tracking.epoch_metrics import best_metrics, epoch_metrics
    from mtl.tracking.metrics import history_table
    from mtl.training.history import Epoch, History

    aucs, weighted = np.array([0.5, np.nan]), np.array([0.75, np.nan])
    epoch = Epoch(("a", "b"), np.float32([1, 2]), np.float32([3, 4]), aucs, weighted, np.float32([1, 1]))
    expected = {"val_loss/a": 3, "val_loss/b": 4, "val_auc/a": 0.5, "train_loss/a": 1, "train_loss/b": 2}
    expected |= {"val_auc_video_weighted/a": 0.75, "weight/a": 1, "weight/b": 1}
    metrics = epoch_metrics(epoch)
    assert np.isnan(metrics.pop("val_auc/b"))
    assert np.isnan(metrics.pop("val_auc_video_weighted/b"))
    assert metrics == expected
    best = best_metrics(epoch)
    assert best["val_auc_best/a"] == 0.5
    assert {name.replace("_best", "") for name in best} == set(epoch_metrics(epoch))
    table = history_table(History(epochs=[epoch, epoch]))
    assert table.columns.tolist() == list(epoch_metrics(epoch))
    assert table.index.tolist() == [1, 2]


def test_it_learns_what_can_be_learnt():
    _, trace, history = train(epochs=12)
    assert trace.losses[-7:].mean() < 0.6 * trace.losses[:7].mean()
    assert history.epochs[-1].val_auc("general_anomaly") > 0.9


def test_the_same_seed_gives_the_same_numbers_and_another_does_not():
    first, again, other = (train(seed=seed, measured=n)[1] for seed, n in ((0, 3), (0, 3), (1, 0)))
    np.testing.assert_array_equal(first.losses, again.losses)
    np.testing.assert_array_equal(first.gramians, again.gramians)
    assert (first.losses != other.losses).any()


def test_the_shared_layer_and_the_order_are_the_same_in_every_task_set():
    alone, together = model({"general_anomaly": TASKS["general_anomaly"]}), model()
    for name in ("shared/kernel", "head/general_anomaly/kernel"):
        np.testing.assert_array_equal(alone.get_weights()[name], together.get_weights()[name])


def test_a_step_is_the_gradient_of_the_weighted_sum():
    import keras
    import tensorflow as tf

    from mtl.training.steps import compile_steps
    from mtl.weighting.fixed import Fixed

    weights = {"general_anomaly": 1.0, "violence": 0.5, "anomaly_type": 2.0}
    data, built = dataset(), model()
    before = built.get_weights()
    features = tf.constant(data.features.array[:32])
    targets = {name: tf.constant(one[:32]) for name, one in data.targets.items()}
    with tf.GradientTape() as tape:
        losses = built.frame_losses(built(features, training=True), targets)
        total = sum(weights[name] * tf.reduce_mean(loss) for name, loss in losses.items())
    expected = tape.gradient(total, [*built.shared_variables, *built.head_variables])
    weighting = Fixed(tuple(TASKS), weights, None, strict=True)
    steps = compile_steps(built, weighting, keras.optimizers.SGD(0.1))
    steps(features, targets, np.arange(32)[None])
    after = built.get_weights()
    names = [name for name, v in built.named_variables()]
    for name, gradient in zip(names, expected, strict=True):
        np.testing.assert_allclose(before[name] - after[name], 0.1 * gradient.numpy(), atol=1e-6)


def test_a_step_of_a_weighting_by_variable_is_the_sum_of_gradients_weighed_apart():
    import keras
    import tensorflow as tf

    from mtl.training.steps import compile_steps
    from mtl.weighting.metabalance import MetaBalance

    data, built = dataset(), model()
    before = built.get_weights()
    features = tf.constant(data.features.array[:32])
    targets = {name: tf.constant(one[:32]) for name, one in data.targets.items()}
    with tf.GradientTape(persistent=True) as tape:
        losses = built.frame_losses(built(features, training=True), targets)
        means = [tf.reduce_mean(loss) for loss in losses.values()]
        total = tf.add_n(means)
    main, *others = ([one.numpy() for one in tape.gradient(mean, built.shared_variables)] for mean in means)
    steps = compile_steps(built, MetaBalance(tuple(TASKS), "general_anomaly", 1.0, 0.9), keras.optimizers.SGD(0.1))
    _, weights = steps(features, targets, np.arange(32)[None])
    after, names = built.get_weights(), ["shared/kernel", "shared/bias"]
    for i, name in enumerate(names):
        long = np.linalg.norm(main[i])
        expected = main[i] + sum(long / np.linalg.norm(other[i]) * other[i] for other in others)
        np.testing.assert_allclose(before[name] - after[name], 0.1 * expected, atol=1e-6)
    lengths = [np.sqrt(sum(np.linalg.norm(part) ** 2 for part in of_task)) for of_task in (main, *others)]
    np.testing.assert_allclose(weights.numpy()[0], lengths[0] / np.array(lengths), rtol=1e-4)
    by_heads = tape.gradient(total, built.head_variables)  # weight one each
    heads = [name for name, _ in built.named_variables() if name.startswith("head/")]
    for name, gradient in zip(heads, by_heads, strict=True):
        np.testing.assert_allclose(before[name] - after[name], 0.1 * gradient.numpy(), atol=1e-6)


@pytest.mark.parametrize("way", ["closed form", "through what is trained"])
def test_gradients_of_the_representation_are_those_on_the_shared_layer_s_outputs(way):
    import keras
    import tensorflow as tf

    from mtl.model.multitask import MultiTaskModel
    from mtl.training.steps import compile_steps
    from mtl.weighting.mgda import MGDA

    class ByPasses(MultiTaskModel):
        shares_dense_layer_only = False

    data, built = dataset(), model()
    built.__class__ = MultiTaskModel if way == "closed form" else ByPasses
    before = built.get_weights()
    features = tf.constant(data.features.array[:32])
    targets = {name: tf.constant(one[:32]) for name, one in data.targets.items()}
    with tf.GradientTape(persistent=True) as tape:
        outputs = built.shared_outputs(built.trained(features, training=True))
        tape.watch(outputs)
        losses = built.frame_losses(built.from_shared(outputs, training=True), targets)
        means = [tf.reduce_mean(loss) for loss in losses.values()]
        total = tf.add_n(means)
    rows = np.stack([tape.gradient(mean, outputs).numpy().ravel() for mean in means])
    gramian = tf.constant(rows @ rows.T)
    method = MGDA(tuple(TASKS))
    expected = method.weights(tf.stack(means), gramian).numpy()
    on_parameters = [[one.numpy() for one in tape.gradient(mean, built.shared_variables)] for mean in means]
    flat = np.stack([np.concatenate([one.ravel() for one in each]) for each in on_parameters])
    other = method.weights(tf.stack(means), tf.constant(flat @ flat.T)).numpy()
    assert np.abs(expected - other).max() > 0.01  # else the test would tell nothing
    for gradients_of, wanted in (("parameters", other), ("representation", expected)):
        built.set_weights(before)
        steps = compile_steps(built, method, keras.optimizers.SGD(0.1), gradients_of)
        _, weights = steps(features, targets, np.arange(32)[None])
        np.testing.assert_allclose(weights.numpy()[0], wanted, atol=1e-4)
        after = built.get_weights()
        for i, name in enumerate(("shared/kernel", "shared/bias")):
            update = sum(weight * each[i] for weight, each in zip(weights.numpy()[0], on_parameters, strict=True))
            np.testing.assert_allclose(before[name] - after[name], 0.1 * update, atol=1e-6)
        heads = [name for name, _ in built.named_variables() if name.startswith("head/")]
        for name, gradient in zip(heads, tape.gradient(total, built.head_variables), strict=True):
            np.testing.assert_allclose(before[name] - after[name], 0.1 * gradient.numpy(), atol=1e-6)


@pytest.mark.slow
def test_a_gramian_weighting_that_weighs_equally_steps_like_equal():
    from mtl.weighting.base import GramianWeighting
    from mtl.weighting.equal import Equal

    class Ones(GramianWeighting):
        def solve(self, gramian):
            import tensorflow as tf

            return tf.ones(self.n_tasks, gramian.dtype)

    by_sum, _, _ = train(weighting=Equal(tuple(TASKS)))
    by_task, _, _ = train(weighting=Ones(tuple(TASKS)))
    for name, weight in by_sum.get_weights().items():
        np.testing.assert_allclose(by_task.get_weights()[name], weight, atol=1e-4)


@pytest.mark.parametrize("kind", ["PCGrad", "CAGrad", "GradNorm"])
@pytest.mark.slow
def test_the_closed_form_of_a_dense_layer_steps_like_task_gradients(kind, monkeypatch):
    from mtl.model.multitask import MultiTaskModel
    from mtl.weighting import cagrad, gradnorm, pcgrad

    def weighting():
        return {
            "PCGrad": lambda: pcgrad.PCGrad(tuple(TASKS), seed=0),
            "CAGrad": lambda: cagrad.CAGrad(tuple(TASKS), c=0.5),
            "GradNorm": lambda: gradnorm.GradNorm(tuple(TASKS), alpha=1.5, learning_rate=0.01),
        }[kind]()

    closed, trace, _ = train(weighting=weighting(), epochs=2)
    monkeypatch.setattr(MultiTaskModel, "shares_dense_layer_only", False)
    taped, expected, _ = train(weighting=weighting(), epochs=2)
    np.testing.assert_allclose(trace.weights, expected.weights, rtol=1e-3)
    for name, weight in taped.get_weights().items():
        np.testing.assert_allclose(closed.get_weights()[name], weight, atol=1e-3)


def optimizers():
    import keras

    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)
    return {
        "adam": (keras.optimizers.Adam(0.01), True),
        "schedule": (keras.optimizers.Adam(schedule, beta_1=0.8, epsilon=1e-3), True),
        "clipped": (keras.optimizers.Adam(0.01, clipnorm=0.1), False),
        "amsgrad": (keras.optimizers.Adam(0.01, amsgrad=True), False),
        "averaged": (keras.optimizers.Adam(0.01, use_ema=True), False),
        "adamw": (keras.optimizers.AdamW(0.01), False),
        "sgd": (keras.optimizers.SGD(0.01, momentum=0.9), False),
    }


@pytest.mark.parametrize(
    "name", sampled(["adam", "schedule", "clipped", "amsgrad", "averaged", "adamw", "sgd"], every=3)
)
def test_an_optimizer_steps_as_keras_lets_it(name):
    import keras
    import tensorflow as tf

    from mtl.training.optimizer import _is_plain_adam, stepper

    def variables():
        return [keras.Variable([[1.0, -2.0], [0.5, 3.0]]), keras.Variable([0.1, 0.0])]

    (ours, fused), (theirs, _) = optimizers()[name], optimizers()[name]
    stepped, expected = variables(), variables()
    apply = tf.function(stepper(ours, stepped))
    assert _is_plain_adam(ours, stepped) == fused
    theirs.build(expected)
    rng = np.random.default_rng(0)
    for _ in range(5):
        gradients = [tf.constant(rng.normal(size=v.shape), tf.float32) for v in expected]
        apply(gradients)
        theirs.apply(gradients, expected)
    for got, want in zip([*stepped, *ours.variables], [*expected, *theirs.variables], strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-5, atol=1e-6)


def misaligned(array):
    """A copy in memory that no tensor can share."""
    from mtl.memory import ALIGNMENT, aligned

    raw = aligned((array.nbytes + ALIGNMENT,), np.uint8)[4:][: array.nbytes]
    copy = raw.view(array.dtype).reshape(array.shape)
    copy[:] = array
    return copy


@pytest.mark.slow
def test_features_shared_or_copied_or_read_in_blocks_give_the_same_bits(monkeypatch):
    from mtl.memory import aligned
    from mtl.training import source as module
    from mtl.training.dataset import Dataset

    data = dataset()
    shared = aligned(data.features.array.shape, np.float32)
    shared[:] = data.features.array
    on_disk = ArrayFeatures(data.features.array)
    on_disk.array = None
    on_disk.take = lambda positions: shared[positions]
    sources = {"shared": ArrayFeatures(shared), "copied": ArrayFeatures(misaligned(shared)), "blocks": on_disk}
    traces = {}
    for name, features in sources.items():
        monkeypatch.setattr(module, "STEPS_PER_CALL", 3 if name == "blocks" else 256)
        assert (module.resident(features) is None) == (name == "blocks")
        traces[name] = train(data=Dataset(features, data.targets, data.frames))[1]
    np.testing.assert_array_equal(traces["shared"].losses, traces["copied"].losses)
    np.testing.assert_array_equal(traces["shared"].losses, traces["blocks"].losses)


def test_a_tensor_shares_aligned_features_even_read_only_ones():
    from mtl.memory import aligned
    from mtl.training.source import resident

    features = aligned((10, 4), np.float32)
    features[:] = 1
    kept = features.view()
    kept.flags.writeable = False
    tensor = resident(ArrayFeatures(kept))
    features[3] = 7
    assert tensor[3].numpy().tolist() == [7.0] * 4


def test_many_features_that_cannot_be_shared_are_not_held_twice(monkeypatch):
    from mtl.training import source as module

    features = ArrayFeatures(misaligned(np.ones((100, 10), np.float32)))
    assert module.resident(features) is not None
    monkeypatch.setattr(module, "COPIED_BYTES", 3999)
    assert module.resident(features) is None


def test_early_stopping_goes_back_to_the_best_epoch():
    data = dataset()
    built, trace, history = train(data=data, epochs=30, early_stopping=True, patience=2)
    aucs = [epoch.weighted_val_auc("general_anomaly") for epoch in history.epochs]
    assert history.best_epoch == int(np.argmax(aucs))
    assert len(aucs) <= history.best_epoch + 3
    from mtl.training.validation import Validation

    again = Validation(data, built.tasks).of(built)
    assert again.weighted_aucs[0] == pytest.approx(aucs[history.best_epoch])
    assert again.aucs[0] == pytest.approx(history.epochs[history.best_epoch].val_auc("general_anomaly"))
    mean = trace.val_losses[:, 0].mean()
    assert mean == pytest.approx(history.epochs[history.best_epoch].val_losses[0], abs=1e-5)


def test_without_early_stopping_every_epoch_runs_and_the_last_counts():
    _, trace, history = train(epochs=5)
    assert (len(history.epochs), history.best_epoch) == (5, 4)
    assert len(trace.losses) == 5 * trace.steps_per_epoch


def test_a_diverged_run_says_so_and_keeps_the_last_sound_epoch():
    import keras

    from mtl.weighting.equal import Equal

    class Exploding(Equal):
        def start_epoch(self, epoch, epoch_losses):
            optimizer.learning_rate.assign(0.01 if epoch < 2 else 1e30)

    optimizer = keras.optimizers.SGD(0.01)
    built, trace, history = train(weighting=Exploding(tuple(TASKS)), epochs=6, optimizer=lambda: optimizer)
    assert "is not finite in epoch 3" in history.diverged
    assert len(history.epochs) == 3
    assert history.best_epoch == 1
    assert not np.isfinite(trace.losses).all()
    assert all(np.isfinite(weight).all() for weight in built.get_weights().values())
    assert np.isfinite(trace.val_losses).all()


@pytest.mark.parametrize("epoch", [2, *slow(1)])
@pytest.mark.parametrize("name", ["equal", *slow("famo", "cagrad", "gradnorm", "excess_mtl")])
def test_one_loss_that_is_not_finite_moves_nothing_and_the_run_says_so(name, epoch):
    """One frame is not finite from some epoch on: its step is void, those before and after it count."""
    from mtl.memory import aligned
    from mtl.training.dataset import Dataset

    data = dataset()
    features = aligned(data.features.array.shape, np.float32)  # the graph shares this memory
    features[:] = data.features.array
    weighting = of_conf(name)
    start_epoch = weighting.start_epoch

    def and_break(number, epoch_losses):
        start_epoch(number, epoch_losses)
        features[17] = np.nan if number + 1 == epoch else features[17]

    weighting.start_epoch = and_break
    built, trace, history = train(
        weighting=weighting, data=Dataset(ArrayFeatures(features), data.targets, data.frames), epochs=3
    )
    assert len(history.epochs) == epoch
    assert f"is not finite in epoch {epoch}" in history.diverged
    void = ~np.isfinite(trace.losses).all(axis=1)
    assert void.sum() == void[-trace.steps_per_epoch :].sum() == 1
    np.testing.assert_array_equal(void, np.isnan(trace.weights).all(axis=1))
    assert all(np.isfinite(array).all() for array in built.get_weights().values())
    assert history.best_epoch == max(epoch - 2, 0)
    assert np.isfinite(trace.val_losses).all()


def test_a_void_step_leaves_parameters_and_optimizer_as_they_were():
    import keras
    import tensorflow as tf

    from mtl.training.steps import compile_steps

    data, built = dataset(), model()
    for name, optimizer in {
        "excess_mtl": keras.optimizers.Adam(0.01),
        "equal": keras.optimizers.SGD(0.01, momentum=0.9),
    }.items():
        weighting = of_conf(name)
        steps = compile_steps(built, weighting, optimizer)
        features = np.array(data.features.array)
        features[9] = np.nan
        targets = {name: tf.constant(one, tf.int32) for name, one in data.targets.items()}
        sound, void = np.arange(10, 18)[None], np.arange(8, 16)[None]
        steps(tf.constant(features), targets, sound)
        state = [*built.trained_variables, *optimizer.variables, *weighting.of_parameters]
        before = [variable.numpy() for variable in state]
        steps(tf.constant(features), targets, void)
        for variable, kept in zip(state, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), kept)
        assert all(variable.numpy().any() for variable in weighting.of_parameters)
        steps(tf.constant(features), targets, sound)
        assert not np.array_equal(built.trained_variables[0].numpy(), before[0])


def broken_trunk(epoch):
    """A model and a weighting that puts a NaN into its shared kernel when an epoch starts, counted from 1."""
    from mtl.weighting.equal import Equal

    built = model()

    class Breaking(Equal):
        def start_epoch(self, number, epoch_losses):
            if number + 1 == epoch:
                kernel = built.shared.kernel.numpy()
                kernel[2, 7] = np.nan
                built.shared.kernel.assign(kernel)

    return built, Breaking(tuple(TASKS))


def test_a_weight_that_is_not_finite_voids_steps_and_the_epoch_before_is_kept():
    built, weighting = broken_trunk(epoch=3)
    _, trace, history = train(built=built, weighting=weighting, epochs=5, measured=3)
    assert history.diverged == "loss of every task is not finite in epoch 3; kept is epoch 2"
    assert (history.sound, history.best_epoch, len(history.epochs)) == (True, 1, 3)
    assert np.isnan(trace.weights[-7:]).all()
    assert np.isfinite(trace.weights[:-7]).all()
    assert not built.broken()
    assert np.isfinite(trace.val_losses).all()
    assert np.isfinite(trace.gramians).all()
    assert trace.measurement_steps.max() == 14


def test_a_run_that_was_never_sound_has_nothing_left():
    from mtl.training.source import predict

    built, weighting = broken_trunk(epoch=1)
    data = dataset()
    _, trace, history = train(built=built, weighting=weighting, data=data)
    assert history.diverged == "loss of every task is not finite in epoch 1; nothing sound is left"
    assert not history.sound
    assert np.isnan(trace.val_losses).all()
    assert np.isnan(history.epochs[0].val_auc("general_anomaly"))
    logits = predict(built, data.features, data.positions("test"))
    assert all(np.isnan(one).all() for one in logits.values())


@pytest.mark.slow
def test_a_learning_rate_that_is_absurd_leaves_nothing():
    import keras

    _, trace, history = train(optimizer=lambda: keras.optimizers.Adam(1e25))
    assert history.diverged.endswith("in epoch 1; nothing sound is left")
    assert np.isnan(trace.val_losses).all()


def test_a_gradient_that_is_not_finite_voids_a_step_whose_losses_are():
    import keras
    import tensorflow as tf

    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import TrainedPart

    steep = keras.Variable(0.0, name="steep")  # the root's slope at zero is infinite, the root is not
    trained = TrainedPart(lambda rows, training: rows * (1 + tf.sqrt(steep)), [steep], [steep])
    built = MultiTaskModel(trained, D, TASKS, shared_units=16, dropout=0.0, standardise=False, seed=0)
    before = built.get_weights()
    _, trace, history = train(built=built)
    assert history.diverged == "a gradient is not finite in epoch 1; kept is epoch 1 without its void steps"
    assert np.isfinite(trace.losses).all()
    assert np.isnan(trace.weights).all()
    for name, weight in built.get_weights().items():
        np.testing.assert_array_equal(weight, before[name])


def test_parameters_that_break_in_an_epochs_last_step_are_found_at_its_end():
    import keras

    built, trace, history = train(optimizer=lambda: keras.optimizers.SGD(np.inf), batch_size=200)
    assert np.isfinite(trace.losses).all()
    assert history.diverged.startswith("shared/kernel and ")
    assert history.diverged.endswith(" is not finite in epoch 1; nothing sound is left")
    assert built.broken()[0] == "shared/kernel"


@pytest.mark.slow
def test_the_cost_of_relations_holds_the_measures_and_tells_the_first_measurement_apart():
    from mtl.tracking.metrics import cost_of_relations
    from mtl.training.history import History

    _, _, history = train(measured=3)
    assert 0 < history.first_measurement_seconds < history.measurement_seconds
    told = cost_of_relations(History(seconds=100.0, measurement_seconds=8.0, first_measurement_seconds=5.0), 2.0)
    assert told.startswith("10.0 s, 10% of the 100.0 s of training steps")
    assert "the first measurement, which compiles, 5.0 s, the other measurements 3.0 s (3%), measures 2.0 s" in told


def test_an_epoch_shows_every_frame_and_ends_on_a_whole_batch():
    from mtl.training.loop import _orders

    order = next(_orders(200, None, 32, 0))
    assert len(order) == 224
    assert set(order) == set(range(200))


def test_tasks_that_are_balanced_are_drawn_alike_whatever_they_have_labels_for():
    from mtl.training.loop import _chances, _orders

    whole, half, rare, none = np.zeros(100, int), np.full(100, -1), np.full(100, -1), np.full(100, -1)
    half[:50], rare[98:] = 1, 0
    # a third of the draws by each task: 1/300 each, 1/150 each of the first 50, 1/6 each of the last 2
    chances = _chances("balanced_tasks", np.zeros(100, int), [whole, half, rare, none])
    np.testing.assert_allclose(chances, [*[1 / 300 + 1 / 150] * 50, *[1 / 300] * 48, *[1 / 300 + 1 / 6] * 2])
    order = next(_orders(100, chances, 9000, 0))
    assert 2900 < (order >= 98).sum() < 3300  # expected: 3,060, sd 45
    np.testing.assert_allclose(_chances("balanced_tasks", np.zeros(100, int), [whole]), 0.01)


def test_balanced_sampling_shows_every_class_as_often():
    from mtl.training.loop import _chances, _orders

    chances = _chances("balanced", np.repeat([0, 1], [20, 980]), [])
    order = next(_orders(1000, chances, 1000, 0))
    assert 430 < (order < 20).sum() < 570


@pytest.mark.slow
def test_every_optimizer_step_of_every_weighting_of_conf_trains():
    data = dataset()
    for path in sorted(WEIGHTINGS.glob("*.yaml")):
        _, trace, history = train(weighting=of_conf(path.stem), data=data, epochs=6)
        assert not history.diverged, path.stem
        assert np.isfinite(trace.weights).all(), path.stem
        assert history.epochs[-1].val_auc("general_anomaly") > 0.75, path.stem


def test_weights_come_back_as_they_were(tmp_path):
    from mtl.tracking.artifacts import read_weights, write_weights

    built, rng = model(), np.random.default_rng(0)
    built.set_weights({name: rng.normal(size=weight.shape) for name, weight in built.get_weights().items()})
    write_weights(tmp_path / "weights.npz", built.get_weights())
    other = model(seed=5)
    other.set_weights(read_weights(tmp_path / "weights.npz"))
    for name, weight in built.get_weights().items():
        np.testing.assert_array_equal(other.get_weights()[name], weight)
    with pytest.raises(ValueError, match="another model"):
        model({"violence": TASKS["violence"]}).set_weights(built.get_weights())


def jobs():
    """Trainings that differ in what does not enter a graph, and in what does."""
    import keras

    from mtl.weighting.excess_mtl import ExcessMTL
    from mtl.weighting.famo import FAMO
    from mtl.weighting.pcgrad import PCGrad
    from mtl.weighting.uncertainty import Uncertainty

    tasks = tuple(TASKS)
    adam = {"optimizer": lambda: keras.optimizers.Adam(0.03)}
    return [
        (0, Uncertainty(tasks, learning_rate=0.1), {}),
        (1, Uncertainty(tasks, learning_rate=0.1), adam),
        (1, FAMO(tasks, learning_rate=0.1, weight_decay=0.0), {}),
        (2, PCGrad(tasks, seed=0), {}),
        (2, PCGrad(tasks, seed=1), adam),
        (0, ExcessMTL(tasks, step_size=1.0), {}),
        (1, ExcessMTL(tasks, step_size=1.0), adam),
        (0, Uncertainty(tasks, learning_rate=0.1), {}),
    ]


def small_network(seed):
    from mtl.model.backbone import Backbone, Freeze
    from mtl.model.networks import scale_to_one, small_cnn

    def network(**given):
        return small_cnn(widths=[4, 8], **given)

    stages = {"stage1": "stage1_pool", "stage2": "stage2_pool"}
    backbone = Backbone("small_cnn", network, scale_to_one, 8, "random", stages, "float32", 16, seed)
    return backbone.split(Freeze(0)).trained, 8


@pytest.mark.parametrize("trained", [lambda seed: (None, D), small_network], ids=["heads", "network"])
@pytest.mark.slow
def test_a_job_after_others_equals_the_job_alone_bit_for_bit(trained, monkeypatch):
    from collections import OrderedDict

    import tensorflow as tf

    from mtl.model import multitask as module
    from mtl.model.parts import TrainedPart
    from mtl.training.dataset import Dataset

    def job(seed, weighting, changes, keep):
        if not keep:
            monkeypatch.setattr(module, "_kept", OrderedDict())
        part, n_features = trained(seed)
        data = dataset()
        if part is None:
            part = TrainedPart(lambda features, training: tf.cast(features, tf.float32), [], [], graph="identity")
        else:
            frames = np.random.default_rng(0).integers(0, 256, (N, 8, 8, 3)).astype(np.uint8)
            data = Dataset(ArrayFeatures(frames), data.targets, data.frames)
        built = module.reused(
            module.MultiTaskModel(part, n_features, TASKS, 16, dropout=0.3, standardise=False, seed=seed)
        )
        _, trace, _ = train(weighting=weighting, data=data, built=built, seed=seed, measured=3, epochs=2, **changes)
        return built, trace, built.get_weights()

    monkeypatch.setattr(module, "_kept", OrderedDict())
    one_after_another = [job(*one, keep=True) for one in jobs()]
    assert len({id(built) for built, _, _ in one_after_another}) == 1
    assert len([key for key in one_after_another[0][0]._compiled if key[1][0] == "steps"]) == 4
    for one, (_, after, weights_after) in zip(jobs(), one_after_another, strict=True):
        _, alone, weights = job(*one, keep=False)
        for name in ("losses", "weights", "gramians", "val_losses"):
            np.testing.assert_array_equal(getattr(after, name), getattr(alone, name), err_msg=name)
        for name, weight in weights.items():
            if not name.startswith("backbone/"):
                np.testing.assert_array_equal(weights_after[name], weight, err_msg=name)
