"""Path-integrated affinity against sums worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from test_relations import make_trace

from mtl.relations.path import path_affinity
from mtl.results import tracked_values
from mtl.trace import Trace
from mtl.tracked_numbers import chosen


def trace(rates: np.ndarray, weights: np.ndarray, steps: list[int], steps_per_epoch: int = 2) -> Trace:
    empty, n = np.empty(0, int), weights.shape[1]
    return Trace(
        ("a", "b")[:n], np.ones_like(weights), weights, steps_per_epoch, np.zeros((len(steps), n, n)), np.array(steps),
        np.empty((0, n)), empty, empty, update_rates=rates,
    )  # fmt: skip


def test_every_step_has_its_own_weight_and_a_rate_between_those_measured():
    rates = np.array([[[1.0, 2], [3, 4]], [[3.0, 2], [5, 0]]])  # after steps 2 and 4
    weights = np.array([[1.0, 2], [1, 2], [0, 1], [3, 1], [9, 9]])  # the last step comes after the last measurement
    found = path_affinity(trace(rates, weights, [2, 4]))
    # rates of a on a before the steps: 1, 1, 1, 2
    np.testing.assert_allclose(found.values, [[1 + 1 + 0 + 6, 2 + 2 + 0 + 6], [6 + 6 + 3 + 4, 8 + 8 + 4 + 2]])
    np.testing.assert_allclose(found.trajectory[0], [[2, 4], [12, 16]])
    assert found.directed
    assert found.trajectory_epochs.tolist() == [1, 2]
    np.testing.assert_array_equal(found.of_tasks["path_affinity_to_itself"], [8, 22])


def test_a_batch_that_was_another_tasks_turn_does_not_count_and_the_interval_is_over_batches():
    rates = np.array([[[1.0, 2], [np.nan, np.nan]], [[np.nan, np.nan], [3, 4]]])  # two batches after step 2
    found = path_affinity(trace(rates, np.ones((2, 2)), [2, 2]))
    np.testing.assert_allclose(found.values, [[2, 4], [6, 8]])
    assert np.isnan(found.low).all()
    both = path_affinity(trace(np.array([[[1.0, 2], [2, 3]], [[3.0, 2], [2, 3]]]), np.ones((2, 2)), [2, 2]))
    np.testing.assert_allclose(both.values, [[4, 4], [4, 6]])
    assert both.low[0, 0] == pytest.approx(4 - 12.7062 * 2)  # t of one degree of freedom, standard error 2
    assert both.high[0, 1] == both.low[0, 1] == 4


def test_a_void_step_takes_nothing_and_what_was_not_measured_is_said():
    rates = np.ones((1, 2, 2))
    weights = np.array([[1.0, 1], [np.nan, np.nan]])
    np.testing.assert_allclose(path_affinity(trace(rates, weights, [2])).values, 1)
    dead = rates.copy()
    dead[:, 1], dead[:, :, 1] = np.nan, np.inf
    found = path_affinity(trace(dead, weights, [2]))
    assert found.values[0, 0] == 1
    assert np.isnan(found.values[1, 1])
    assert found.reason == "no finite update was measured for b"
    old = path_affinity(Trace(**vars(trace(rates, weights, [2])) | {"update_rates": np.empty(0)}))
    assert np.isnan(old.values).all()
    assert old.reason.startswith("no update was measured")


def test_those_towards_the_main_task_are_tracked():
    of_trace = make_trace(3)
    numbers = tracked_values("path_affinity", path_affinity(of_trace), of_trace.tasks)
    main, *others = of_trace.tasks
    assert set(chosen(numbers, main)) == {f"path_affinity/{other}_to_{main}" for other in others}
