"""Sets of a sweep that go through one compiled step: the same numbers as by a step of their own, traced once."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from conftest import sampled
from test_training import TASKS, WEIGHTINGS, D, dataset, measurements, training

pytestmark = pytest.mark.tensorflow

SETS = (("general_anomaly",), ("general_anomaly", "anomaly_type", "violence"), ("general_anomaly", "violence"))
OWN_STEPS = {"excess_mtl", "metabalance"}  # they have a state by task and parameter


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """No model kept from other tests."""
    from mtl.model import multitask as module

    monkeypatch.setattr(module, "_kept", OrderedDict())


def kinds(names):
    from mtl.model.slots import kinds_of

    return kinds_of({name: TASKS[name] for name in names})


def weighting_of(name, names, seed=0):
    from omegaconf import OmegaConf

    from mtl.config.build import build

    node = OmegaConf.load(WEIGHTINGS / f"{name}.yaml")
    config = OmegaConf.create({"seed": seed, "main_task": "general_anomaly", "w": node})
    return build(config.w, tasks=tuple(names))


def job(names, weighting, sets, seed=0, make=None, epochs=2):
    """A whole training of a set, measured and validated; its model, steps, Trace, history and state."""
    import keras

    from mtl.model.multitask import MultiTaskModel, reused
    from mtl.model.parts import nothing_trained
    from mtl.training import loop as module
    from mtl.training.shared_steps import shared_sets

    make = make or (lambda: keras.optimizers.Adam(0.01))
    tasks, method = {name: TASKS[name] for name in names}, weighting_of(weighting, names, seed)
    fresh = MultiTaskModel(nothing_trained(), D, tasks, 16, dropout=0.3, standardise=False, seed=seed)
    model = reused(fresh, shared_sets([kinds(each) for each in sets], method, make(), is_partial=False))
    kept = []
    with pytest.MonkeyPatch.context() as patch:
        state = module.State

        def kept_state(*args, **kwargs):
            kept.append(state(*args, **kwargs))
            return kept[0]

        patch.setattr(module, "State", kept_state)
        trace, history = training(seed=seed, optimizer=make, epochs=epochs, checkpoint=None).train(
            model, dataset(tasks), method, measurements(seed=seed), "general_anomaly", lambda number, epoch: None
        )
    return model, trace, history, kept[0]


def numbers(done):
    """All numbers of a job by name."""
    model, trace, history, state = done
    found = {name: value for name, value in vars(trace).items() if isinstance(value, np.ndarray)}
    found |= {f"epoch {i} {name}": value for i, one in enumerate(history.epochs) for name, value in vars(one).items()}
    found |= {f"state {name}": array for name, array in state.arrays().items()}
    found |= model.get_weights()
    return {name: value for name, value in found.items() if not name.endswith("tasks")}


def assert_near(one, other, tolerance=1e-4):
    assert list(one) == list(other)
    for name, value in one.items():
        value, expected = np.asarray(value), np.asarray(other[name])
        assert value.shape == expected.shape, name
        if value.dtype.kind == "f":
            size = np.nanmax(np.abs(expected), initial=1e-2)
            np.testing.assert_allclose(value / size, expected / size, atol=tolerance, err_msg=name)
        else:
            np.testing.assert_array_equal(value, expected, err_msg=name)


@pytest.mark.parametrize("name", sampled(sorted(path.stem for path in Path(WEIGHTINGS).glob("*.yaml")), 6))
def test_a_set_trained_by_the_shared_step_is_the_set_trained_by_its_own(name):
    import keras
    import tensorflow as tf

    from mtl.model.multitask import MultiTaskModel, reused
    from mtl.model.parts import nothing_trained
    from mtl.training.shared_steps import shared_sets
    from mtl.training.steps import compiled_steps

    positions = np.stack([np.random.default_rng(i).permutation(200)[:32] for i in range(5)])

    def steps(names, sets, gradients_of="parameters"):
        tasks, method = {each: TASKS[each] for each in names}, weighting_of(name, names)
        data = dataset(tasks)
        fresh = MultiTaskModel(nothing_trained(), D, tasks, 16, dropout=0.3, standardise=False, seed=1)
        sets = shared_sets([kinds(each) for each in sets], method, keras.optimizers.SGD(0.05), is_partial=False)
        model = reused(fresh, sets)
        assert (model.slots is None) is (not sets)
        done = compiled_steps(model, method, keras.optimizers.SGD(0.05), gradients_of)
        done.weighting.start_epoch(0, np.zeros((0, len(names))))
        found = []
        for epoch in range(2):
            losses, weights = done.run(tf.constant(data.features.array), data.targets, positions)
            done.weighting.start_epoch(epoch + 1, np.tile(losses.numpy().mean(0), (epoch + 1, 1)))
            found += [losses.numpy(), weights.numpy()]
        found += [variable.numpy() for variable in done.weighting.variables]
        return found, model.get_weights()

    turned = SETS[1][1:] + SETS[1][:1]  # a set's order is not that of the kinds of its heads
    ways = ((SETS[0], "parameters"), (SETS[1], "parameters"), (turned, "parameters"), (turned, "representation"))
    for names, gradients_of in ways:
        if gradients_of == "representation" and name not in ("mgda", "upgrad"):
            continue
        shared, weights = steps(names, [] if name in OWN_STEPS else [*SETS, turned], gradients_of)
        own, expected = steps(names, [], gradients_of)
        for one, other in zip(shared, own, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6)
        for key, array in expected.items():
            np.testing.assert_allclose(weights[key], array, rtol=1e-5, atol=2e-6, err_msg=key)


@pytest.mark.slow
def test_all_sets_are_traced_once_and_no_job_depends_on_those_before():
    from mtl.model import multitask as module

    after = []
    for names in (*SETS[:2], SETS[0]):
        done = job(names, "gradnorm", SETS, seed=len(names))
        after.append((numbers(done), done[0]))
    assert len({id(model) for _, model in after}) == 1
    compiled = after[0][1]._compiled
    (shared,) = [each for key, each in compiled.items() if key[1][0] == "steps"]
    assert shared.run.__self__._compiled.experimental_get_tracing_count() == 1
    assert len(compiled) == 3  # steps, measurements and predictions
    for names, found in ((SETS[0], after[2][0]), (SETS[1], after[1][0])):
        module._kept.clear()
        alone = numbers(job(names, "gradnorm", SETS, seed=len(names)))
        for name, value in alone.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    module._kept.clear()
    assert_near(after[1][0], numbers(job(SETS[1], "gradnorm", [], seed=3)))


def test_places_of_tasks_that_are_not_in_the_set_stay_as_they_were():
    model, *_ = job(SETS[0], "equal", SETS)
    kernel, bias = (variable.numpy() for variable in model.stacked.variables)
    own = model.stacked.rows(model.at[0])
    assert kernel[own].any()
    assert bias[own].any()
    others = np.delete(np.arange(len(kernel)), own)
    assert len(others) == model.stacked.n_units - 1
    assert not kernel[others].any()
    assert not bias[others].any()


def test_heads_of_each_kind_are_as_many_units_as_they_have():
    from mtl.model.slots import Slots
    from mtl.model.stacked_heads import StackedHeads

    yes_no, types = ("BinaryCrossentropy", 1), ("SparseCategoricalCrossentropy", 3)
    slots = Slots.of([(yes_no, types, yes_no), (types,)])
    heads = StackedHeads([], slots.kinds)
    assert heads.groups == [yes_no, types]
    assert heads.n_units == 5  # filled up to the widest they would be nine
    of_set = (types, yes_no, yes_no)
    found = heads.by_kind(slots.places(of_set))
    assert found.order.tolist() == [1, 2, 0]
    assert found.positions.tolist() == [2, 0, 1]
    assert found.counts.tolist() == [2, 1]
    assert found.rows.tolist() == [0, 1, 2, 3, 4]
    assert found.task_of_row.tolist() == [1, 2, 0, 0, 0]
    alone = heads.by_kind(slots.places((types,)))
    assert alone.counts.tolist() == [0, 1]
    assert alone.rows.tolist() == [2, 3, 4]


def test_what_heads_of_two_kinds_give_is_what_each_gives_alone():
    import keras
    import tensorflow as tf

    from mtl.model.stacked_heads import StackedHeads
    from mtl.tasks import UNLABELLED

    rng = np.random.default_rng(0)
    kinds = [("SparseCategoricalCrossentropy", 3), ("BinaryCrossentropy", 1)]
    layers = [keras.layers.Dense(units, bias_initializer="uniform") for _, units in kinds]
    for layer in layers:
        layer.build((None, 4))
    hidden = tf.constant(rng.normal(size=(6, 4)).astype(np.float32))
    labels = np.array([[2, 1, UNLABELLED, 0, 0, 1], [1, 0, 0, 1, UNLABELLED, UNLABELLED]], np.int32)
    stacked = StackedHeads(layers, kinds)
    by_kind = stacked.by_kind((0, 1))
    heads = stacked.taken(*by_kind.tensors()[:2])
    logits = heads.logits(hidden)
    np.testing.assert_allclose(logits, np.hstack([layers[1](hidden), layers[0](hidden)]), rtol=1e-5, atol=1e-6)
    found = heads.losses(logits, tf.constant(labels[by_kind.order].T), is_partial=True)
    for of_kind, i in zip(found, by_kind.order, strict=True):
        known = labels[i] != UNLABELLED
        loss = keras.losses.get({"class_name": kinds[i][0], "config": {"from_logits": True, "reduction": None}})
        expected = np.zeros(6, np.float32)
        expected[known] = loss(labels[i][known][:, None], layers[i](hidden).numpy()[known])
        np.testing.assert_allclose(of_kind[:, 0], expected, rtol=1e-5, atol=1e-6)
    of_logits = tf.constant(rng.normal(size=(6, 4)).astype(np.float32))
    of_hidden = heads.of_hidden(of_logits)
    np.testing.assert_allclose(of_hidden[0], of_logits[:, :1] @ tf.transpose(layers[1].kernel), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_hidden[1], of_logits[:, 1:] @ tf.transpose(layers[0].kernel), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sampled(["AdamW", "SGD", "Adagrad"], 3))
def test_other_optimizers_that_step_by_number_share_too(name):
    import keras

    def make():
        return getattr(keras.optimizers, name)(0.01)

    job(SETS[0], "equal", SETS, make=make)  # of which nothing is left
    shared, own = (numbers(job(SETS[1], "equal", sets, make=make)) for sets in (SETS, []))
    assert_near(shared, own)


def test_what_does_not_fit_keeps_steps_of_its_own():
    import keras

    from mtl.training.shared_steps import shared_sets

    sets, adam = [kinds(names) for names in SETS], keras.optimizers.Adam()
    equal = weighting_of("equal", SETS[0])
    assert shared_sets(sets, equal, adam, is_partial=False) == sets
    assert shared_sets(sets, equal, adam, is_partial=True) == ()
    assert shared_sets(sets, weighting_of("metabalance", SETS[0]), adam, is_partial=False) == ()
    for optimizer in (keras.optimizers.Lamb(), keras.optimizers.Adam(clipnorm=1.0)):
        assert shared_sets(sets, equal, optimizer, is_partial=False) == ()


def test_a_gramian_of_unlike_heads_is_quicker_in_a_step_of_its_own():
    from mtl.training.shared_steps import quick_sets

    yes_no, classes = kinds(("violence",)), kinds(("anomaly_type",))
    equal, pcgrad = (weighting_of(name, SETS[0]) for name in ("equal", "pcgrad"))
    assert quick_sets([yes_no, yes_no + classes], equal) == [yes_no, yes_no + classes]
    assert quick_sets([yes_no, yes_no + classes], pcgrad) == []
    assert quick_sets([yes_no, yes_no * 2], pcgrad) == [yes_no, yes_no * 2]


def test_a_state_goes_on_in_another_sweep_of_other_sets():
    from mtl.model import multitask as module

    *_, state = job(SETS[2], "uncertainty", SETS, epochs=1)
    left = state.arrays(), {**state.facts(), "took": 0.0}
    for sets in ([], SETS[::2]):  # by steps of its own; and in a sweep of fewer tasks
        module._kept.clear()
        *_, other = job(SETS[2], "uncertainty", sets, seed=5, epochs=1)
        assert other.restore(*left) == 1
        for name, array in other.arrays().items():
            np.testing.assert_array_equal(array, left[0][name], err_msg=name)


def test_slots_are_as_many_of_each_kind_as_a_set_needs_in_any_order():
    from mtl.model.slots import Slots, slots_for

    yes_no, types = ("BinaryCrossentropy", 1), ("SparseCategoricalCrossentropy", 3)
    sets = [(yes_no,), (yes_no, types, yes_no), (yes_no, yes_no)]
    slots = Slots.of(sets)
    assert slots == Slots.of(reversed(sets))
    assert slots.kinds == (yes_no, yes_no, types)
    assert slots.sizes == (1, 2, 3)
    assert slots.places(sets[1]) == (0, 2, 1)
    named = {name: TASKS[name] for name in SETS[1]}
    assert slots_for(named, [kinds(names) for names in SETS]) is not None
    assert slots_for(named, [kinds(SETS[1])]) is None  # no other set
    assert slots_for(named, [kinds(SETS[0]), kinds(SETS[2])]) is None  # the sweep has other sets


def test_a_method_of_another_size_has_a_state_of_its_own():
    from mtl.weighting.resized import can_be_resized, resized

    method = weighting_of("gradnorm", SETS[1])
    other = resized(method, 2)
    assert other.n_tasks == 2
    assert [tuple(variable.shape) for variable in other.variables] == [(2,), (2,), (2,), (2,), (2,), ()]
    assert not {id(variable) for variable in other.variables} & {id(variable) for variable in method.variables}
    assert other.optimizer.variable is other.current
    method.table = np.ones(3)  # what a method of a user's might hold: nobody knows what it is for two tasks
    assert not can_be_resized(method)
