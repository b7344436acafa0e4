"""Weightings where a batch has no labelled frame of a task: the method sees the tasks that are there."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ROOT, asked, moved_on, sampled, shared_shapes

tf = pytest.importorskip("tensorflow")

from hydra.utils import instantiate  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

from mtl.weighting.present import WhereLabelled  # noqa: E402

pytestmark = pytest.mark.tensorflow

YAMLS = sorted((ROOT / "conf" / "weighting").glob("*.yaml"))
TASKS = ["general_anomaly", "violence", "property_crime", "anomaly_type"]
THERE = np.array([0, 1, 3])  # without property_crime


def build(yaml, tasks):
    config = OmegaConf.create({"seed": 0, "main_task": tasks[0], "weighting": OmegaConf.load(yaml)})
    weighting = instantiate(config.weighting, tasks=list(tasks))
    weighting.build(shared_shapes(8))
    return weighting


def targets(present):
    return {name: tf.constant([-1, 0 if there else -1]) for name, there in zip(TASKS, present, strict=True)}


def compiled(weighting):
    """One step in graph, as a training does it: weights, weights of heads, then an update."""
    where = WhereLabelled(weighting)

    @tf.function
    def step(losses, gradients, labels):
        those = where.on(labels)
        weights = asked(those, losses, gradients)
        moved_on(those, losses, 0.9 * losses * losses, gradients)
        return weights, those.head_weights(weights)

    return step


def drawn(seed, present):
    """Losses and gradients of four tasks; those of an absent one are zero."""
    rng = np.random.default_rng(seed)
    gradients = (rng.normal(size=(4, 8)) - 0.3) * np.array(present)[:, None]
    losses = rng.uniform(0.2, 0.9, 4) * present
    return losses.astype(np.float32), gradients.astype(np.float32)


def by_tasks(weighting):
    """The state but what it has per parameter, and per variable whether it has an entry per task."""
    of_parameters = {id(variable) for variable in weighting.of_parameters}
    kept = [variable for variable in weighting.variables if id(variable) not in of_parameters]
    return kept, [bool(variable.shape.rank) and variable.shape[0] == weighting.n_tasks for variable in kept]


def by_parameter(weighting):
    """What the state has per parameter, by task: nothing for most methods."""
    n = len(weighting.of_parameters) // weighting.n_tasks
    return [weighting.of_parameters[i * n : (i + 1) * n] for i in range(weighting.n_tasks)]


@pytest.mark.parametrize("yaml", sampled(YAMLS, 4), ids=[path.stem for path in YAMLS])
def test_every_yaml_weighs_present_tasks_as_if_there_were_no_other(yaml):
    weighting, without = build(yaml, TASKS), build(yaml, [TASKS[i] for i in THERE])
    present = np.isin(range(4), THERE)
    step = compiled(weighting)
    (state, by_task), (others, _) = by_tasks(weighting), by_tasks(without)
    before = [variable.numpy() for variable in state]
    for seed in range(3):
        losses, gradients = drawn(seed, present)
        weights, heads = (each.numpy() for each in step(losses, gradients, targets(present)))
        own = asked(without, losses[THERE], gradients[THERE])
        moved_on(without, losses[THERE], 0.9 * losses[THERE] ** 2, gradients[THERE])
        assert np.isfinite(weights).all()
        assert weights[2] == heads[2] == 0
        np.testing.assert_allclose(weights[THERE], own, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(heads[THERE], without.head_weights(own), rtol=1e-5, atol=1e-6)
    for variable, other, earlier, each in zip(state, others, before, by_task, strict=True):
        if each:  # the absent task's part is as it was, the others' as without it
            np.testing.assert_array_equal(variable.numpy()[2], earlier[2])
            np.testing.assert_allclose(variable.numpy()[THERE], other.numpy(), rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(variable.numpy(), other.numpy())
    mine, theirs = by_parameter(weighting), by_parameter(without)
    assert not any(variable.numpy().any() for variable in mine[2])
    for i, of_task in zip(THERE, theirs, strict=True):
        for variable, other in zip(mine[i], of_task, strict=True):
            np.testing.assert_allclose(variable.numpy(), other.numpy(), rtol=1e-6)


@pytest.mark.parametrize("yaml", YAMLS, ids=[path.stem for path in YAMLS])
def test_every_yaml_is_itself_where_all_tasks_are_present_and_at_rest_where_none_is(yaml):
    weighting, plain = build(yaml, TASKS), build(yaml, TASKS)
    step, everything, nothing = compiled(weighting), np.ones(4), np.zeros(4)
    losses, gradients = drawn(0, everything)
    weights, _ = step(losses, gradients, targets(everything))
    np.testing.assert_allclose(weights, asked(plain, losses, gradients), rtol=1e-6)
    moved_on(plain, losses, 0.9 * losses * losses, gradients)
    weights, heads = step(*drawn(0, nothing), targets(nothing))
    assert not weights.numpy().any()
    assert not heads.numpy().any()
    for variable, other in zip(weighting.variables, plain.variables, strict=True):
        np.testing.assert_allclose(variable.numpy(), other.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["equal", "gradnorm", "nash"])
def test_a_loss_that_is_not_finite_still_voids_the_step_of_the_present_tasks(name):
    weighting = build(ROOT / "conf" / "weighting" / f"{name}.yaml", TASKS)
    present = np.isin(range(4), THERE)
    losses, gradients = drawn(0, present)
    before = [variable.numpy() for variable in weighting.variables]
    weights, _ = compiled(weighting)(losses * [np.nan, 1, 1, 1], gradients, targets(present))
    assert np.isnan(weights.numpy()[THERE]).all()
    at = 1 if name == "gradnorm" else None  # its norms are those of the step that was asked for
    for i, (variable, earlier) in enumerate(zip(weighting.variables, before, strict=True)):
        if i != at:
            np.testing.assert_array_equal(variable.numpy(), earlier)
