from __future__ import annotations

import numpy as np
import pytest

from mtl.tasks import BinaryTask, CategoricalTask

pytestmark = pytest.mark.tensorflow

CLASSES = ("Arson", "Fighting", "Normal")
TASKS = {"violence": BinaryTask(["Fighting"], []), "anomaly_type": CategoricalTask(CLASSES, [])}


def model(seed=0, tasks=TASKS, graph="identity", units=8, dropout=0.5, standardise=False):
    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import TrainedPart

    identity = TrainedPart(lambda features, training: features, [], [], graph=graph)
    return MultiTaskModel(identity, 5, tasks, units, dropout, standardise, seed)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """No model kept from other tests."""
    from collections import OrderedDict

    from mtl.model import multitask as module

    monkeypatch.setattr(module, "_kept", OrderedDict())


def test_logits_are_heads_on_the_shared_layer():
    built = model()
    features = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    weights = built.get_weights()
    hidden = np.maximum(features @ weights["shared/kernel"] + weights["shared/bias"], 0)
    for name, logits in built(features, training=False).items():
        expected = hidden @ weights[f"head/{name}/kernel"] + weights[f"head/{name}/bias"]
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(built.infer(features)[name], logits)


def test_a_model_of_the_same_graph_is_used_again_with_the_new_values():
    from mtl.model.multitask import reused

    first = reused(model(seed=0))
    for variable in first.state:
        variable.assign(variable + 1)
    fresh = model(seed=3)
    again = reused(fresh)
    assert again is first
    for own, given in zip(again.state, fresh.state, strict=True):
        np.testing.assert_array_equal(own.numpy(), given.numpy())
    features = np.ones((64, 5), np.float32)
    logits, expected = again(features, training=True), fresh(features, training=True)  # dropout's state is the same too
    for name in TASKS:
        np.testing.assert_array_equal(logits[name], expected[name])


@pytest.mark.parametrize(
    "change",
    [
        {"units": 9},
        {"dropout": 0.1},
        {"graph": "other"},
        {"graph": None},
        {"tasks": dict(reversed(TASKS.items()))},
        {"tasks": {"violence": TASKS["violence"]}},
    ],
)
def test_a_model_of_another_graph_is_its_own(change):
    from mtl.model.multitask import reused

    reused(model())
    other = model(**change)
    assert reused(other) is other


def test_only_so_many_models_are_kept(monkeypatch):
    from mtl.model import multitask as module

    monkeypatch.setattr(module, "KEPT", 2)
    first = module.reused(model(units=1))
    module.reused(model(units=2))
    module.reused(model(units=1))
    module.reused(model(units=3))
    assert module.reused(model(units=1)) is first
    two = model(units=2)
    assert module.reused(two) is two
