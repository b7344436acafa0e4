"""Condition number and balance of losses against values worked out by hand, and their properties."""

from __future__ import annotations

import numpy as np
import pytest
from test_relations import make_trace

from mtl.numbers import known
from mtl.relations.scales import condition_number, loss_scale_balance
from mtl.results import tracked_values
from mtl.statistics.bounded import moved
from mtl.trace import Trace
from mtl.tracked_numbers import chosen
from mtl.tracking.artifacts import relations_table

TASKS = ("a", "b", "c")
PAIR = np.array([[-4.0, 1, 1], [6, 1, 1]])  # cosine -.841191


def trace(gramians: np.ndarray, losses: np.ndarray, steps_per_epoch: int = 2, **more: np.ndarray) -> Trace:
    """Gramians of one batch per epoch, from the first on, and losses of steps."""
    n_tasks = losses.shape[1]
    empty = np.empty(0, int)
    steps = np.arange(1, len(gramians) + 1) * steps_per_epoch
    weights = more.pop("weights", np.ones_like(losses))
    return Trace(
        TASKS[:n_tasks], losses, weights, steps_per_epoch, gramians, steps, np.empty((0, n_tasks)), empty, empty
    )


def of_gradients(*gradients: np.ndarray) -> Trace:
    """A trace of these matrices of gradients (n_tasks, n_shared), one per epoch."""
    gramians = np.array([one @ one.T for one in gradients])
    return trace(gramians, np.ones((2 * len(gradients), len(gradients[0]))))


def test_the_condition_number_of_a_pair_and_of_a_set_is_that_of_unit_gradients():
    found = condition_number(of_gradients(PAIR), 0)
    cosine = 0.841191
    expected = np.sqrt((1 + cosine) / (1 - cosine))
    np.testing.assert_allclose(found.values, [[1, expected], [expected, 1]], rtol=1e-5)
    assert found.of_set == pytest.approx(found.values[0, 1])
    gradients = np.random.default_rng(0).normal(size=(3, 7))
    of_three = condition_number(of_gradients(gradients), 0)
    unit = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    assert of_three.of_set == pytest.approx(np.linalg.cond(unit))
    assert of_three.values[0, 2] == pytest.approx(np.linalg.cond(unit[[0, 2]]))
    assert of_three.reason == ""


def test_lengths_and_signs_of_gradients_change_no_condition_number_and_right_angles_give_one():
    gradients = np.random.default_rng(1).normal(size=(3, 9))
    whole = condition_number(of_gradients(gradients), 0)
    other = condition_number(of_gradients(gradients * [[1e3], [-1], [1e-3]]), 0)
    np.testing.assert_allclose(other.values, whole.values)
    assert other.of_set == pytest.approx(whole.of_set)
    square = condition_number(of_gradients(np.diag([3.0, 1.0, 0.2])), 0)
    np.testing.assert_allclose(square.values, 1)
    assert square.of_set == pytest.approx(1)


def test_parallel_zero_and_dependent_gradients_have_no_condition_number_and_a_reason():
    found = condition_number(of_gradients(np.array([[1.0, 2, 0], [2.0, 4, 0], [0, 0, 0]])), 0)
    assert np.isnan(found.values[[0, 0, 1, 2], [1, 2, 2, 2]]).all()
    assert found.values[0, 0] == found.values[1, 1] == 1
    assert np.isnan(found.of_set)
    assert "gradient of c is zero or not finite on 1 of 1 batches" in found.reason
    assert "gradients of a and b are parallel on 1 of 1 batches" in found.reason
    flat = condition_number(of_gradients(np.array([[1.0, 0], [0, 1.0], [1.0, 1.0]])), 0)
    assert np.isfinite(flat.values).all()
    assert np.isnan(flat.of_set)
    assert flat.reason == "the gradients of all tasks together are linearly dependent on every batch"


def test_the_condition_number_leaves_the_warmup_out_and_averages_epochs():
    first, second, third = (np.array([[1.0, 0], [np.sin(x), np.cos(x)]]) for x in (1.2, 0.2, 0.5))
    found = condition_number(of_gradients(first, second, third), 1)
    expected = np.mean([np.sqrt((1 + np.sin(x)) / (1 - np.sin(x))) for x in (0.2, 0.5)])
    assert found.values[0, 1] == pytest.approx(expected)
    assert found.of_set == pytest.approx(expected)
    assert np.isnan(condition_number(of_gradients(first), 1).of_set)


def test_the_interval_of_a_condition_number_stays_above_one():
    found = condition_number(make_trace(3), 1)
    off = ~np.eye(3, dtype=bool)
    assert (found.low[off] > 1).all()
    assert (found.low[off] < found.values[off]).all()
    assert (found.high[off] > found.values[off]).all()
    assert moved(np.array(1.5), np.array(-9.0), (1.0, np.inf)) > 1
    assert moved(np.array(1.5), np.array(1e-4), (1.0, np.inf)) == pytest.approx(1.5001, abs=1e-6)


def test_the_balance_is_the_geometric_over_the_arithmetic_mean_of_epoch_means():
    losses = np.array([[9.0, 9, 9], [9, 9, 9], [1, 3, 2], [3, 5, 2], [1, 4, 1], [1, 4, 1]])  # three epochs of two steps
    found = loss_scale_balance(trace(np.empty((0, 3, 3)), losses), 1)
    of_pair = [np.sqrt(2 * 4) / 3, np.sqrt(1 * 4) / 2.5]
    assert found.values[0, 1] == pytest.approx(np.mean(of_pair))
    assert found.of_set == pytest.approx(np.mean([16 ** (1 / 3) / (8 / 3), 4 ** (1 / 3) / 2]))
    np.testing.assert_allclose(np.diagonal(found.values), 1)
    np.testing.assert_allclose(found.trajectory[:, 0, 1], [1, *of_pair])
    assert found.reason == ""


def test_the_balance_knows_no_common_unit_and_says_what_it_lacks():
    whole = make_trace(4)
    found = loss_scale_balance(whole, 1)
    other = loss_scale_balance(Trace(**vars(whole) | {"losses": whole.losses * 1e200}), 1)
    np.testing.assert_allclose(other.values, found.values)
    assert 0 < found.of_set < found.values[~np.eye(4, dtype=bool)].max() <= 1
    broken = loss_scale_balance(trace(np.empty((0, 2, 2)), np.array([[1.0, np.inf]] * 4)), 1)
    assert np.isnan(broken.of_set)
    assert broken.values[0, 0] == 1
    assert broken.reason == "loss of b is not finite or negative, or has no labelled frame, in 1 of 1 epochs"
    zero = loss_scale_balance(trace(np.empty((0, 2, 2)), np.zeros((4, 2))), 1)
    assert np.isnan(zero.values).all()
    assert zero.reason == "losses are zero"
    one_zero = loss_scale_balance(trace(np.empty((0, 2, 2)), np.array([[0.0, 2.0]] * 4)), 1)
    assert one_zero.of_set == 0
    assert loss_scale_balance(trace(np.empty((0, 2, 2)), np.ones((2, 2))), 1).reason.startswith("no whole epoch")


def test_steps_without_a_labelled_frame_do_not_count_in_the_balance():
    losses, weights = np.array([[1.0, 4], [1, np.nan]]), np.array([[1.0, 1], [1, 0]])
    found = loss_scale_balance(trace(np.empty((0, 2, 2)), losses, weights=weights), 0)
    assert found.of_set == pytest.approx(2 / 2.5)


@pytest.mark.parametrize("measure", [condition_number, loss_scale_balance])
def test_a_number_of_the_whole_set_is_tabled_and_known(measure):
    name, of_trace = measure.__name__, make_trace(3)
    found = measure(of_trace, 1)
    numbers = tracked_values(name, found, of_trace.tasks)
    assert numbers[f"{name}/all_tasks"] == found.of_set
    assert not chosen(numbers, of_trace.tasks[0])  # they are in the table of all numbers
    assert known(f"{name}/all_tasks").name == f"{name}/all_tasks"
    assert known(f"{name}/a_vs_b").name == f"{name}/<pair>"
    assert f"{name}/all_tasks" not in tracked_values(name, measure(make_trace(1), 1), ("alone",))
    table = relations_table({name: found}, of_trace.tasks)
    assert table.loc[table["source"] == "all_tasks", "value"].tolist() == [found.of_set]
