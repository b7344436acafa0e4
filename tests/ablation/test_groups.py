"""The best groups of tasks against brute force over all sets of sets."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest
from conftest import sampled

from mtl.ablation.groups import best_groups, pairwise_scores

TASKS = ("a", "b", "c", "d")


def by_brute_force(tasks, scores, most_groups, overlap):
    """Best mean score over every choice of at most so many known sets that has every task."""
    best = -np.inf
    for size in range(1, most_groups + 1):
        for chosen in combinations(scores, size):
            if not overlap and sum(map(len, chosen)) != len(tasks):
                continue
            if frozenset().union(*chosen) != frozenset(tasks):
                continue
            options = [[scores[one][task] for one in chosen if task in one] for task in tasks]
            if all(np.isfinite(each).any() for each in options):
                best = max(best, float(np.mean([np.nanmax(each) for each in options])))
    return best


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("most_groups", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", sampled(range(8), every=3))
def test_it_is_the_best_of_all(most_groups, overlap, seed):
    rng = np.random.default_rng(seed)
    tasks = TASKS if seed % 2 else TASKS[:3]
    scores = pairwise_scores(tasks, rng.normal(size=(len(tasks),) * 2), rng.normal(size=len(tasks)))
    found = best_groups(tasks, scores, most_groups, overlap)
    assert found.score == pytest.approx(by_brute_force(tasks, scores, most_groups, overlap))
    assert len(found.groups) <= most_groups
    for task in tasks:
        group = found.groups[found.served_by[task]]
        assert task in group
        assert found.scores[task] == scores[frozenset(group)][task]
    if not overlap:
        assert sorted(task for group in found.groups for task in group) == sorted(tasks)


@pytest.mark.parametrize("seed", range(8))
def test_measured_sets_need_not_be_all_sets(seed):
    rng = np.random.default_rng(seed)
    sets = [frozenset(c) for size in (1, 2, 3, 4) for c in combinations(TASKS, size)]
    scores = {one: {task: rng.normal() for task in sorted(one)} for one in sets if rng.random() < 0.6}
    scores[frozenset(TASKS)] = dict.fromkeys(TASKS, -1.0)
    scores[sets[0]] = {"a": np.nan}
    for overlap in (True, False):
        found = best_groups(TASKS, scores, 3, overlap)
        assert found.score == pytest.approx(by_brute_force(TASKS, scores, 3, overlap))
        assert all(frozenset(group) in scores for group in found.groups)


def test_pairs_score_the_mean_of_what_the_others_give_and_alone_the_real_value():
    gains = np.array([[np.nan, 1, 2], [3, 9, 4], [5, 6, 9]])
    scores = pairwise_scores("abc", gains, np.array([0.1, 0.2, 0.3]))
    assert len(scores) == 7
    assert scores[frozenset("b")] == {"b": 0.2}
    assert scores[frozenset("ac")] == {"a": 5, "c": 2}
    assert scores[frozenset("abc")] == pytest.approx({"a": 4, "b": 3.5, "c": 3})


def test_a_task_that_all_harm_stays_alone_and_may_still_help():
    """c gives to a and b and gets harm: with overlap it is in their group, and taken from its own."""
    gains = np.array([[0, 1, -2], [1, 0, -2], [2, 2, 0.0]])
    scores = pairwise_scores("abc", gains, np.zeros(3))
    apart = best_groups("abc", scores, 2, overlap=False)
    assert apart.groups == (("a", "b"), ("c",))
    assert apart.scores == {"a": 1, "b": 1, "c": 0}
    shared = best_groups("abc", scores, 2, overlap=True)
    assert shared.groups == (("a", "b", "c"), ("c",))
    assert shared.served_by == {"a": 0, "b": 0, "c": 1}
    assert shared.scores == {"a": 1.5, "b": 1.5, "c": 0}
    assert best_groups("abc", scores, 3, overlap=True).groups == (("a", "c"), ("b", "c"), ("c",))


def test_equally_good_means_fewest_groups_then_fewest_places():
    scores = pairwise_scores("abc", np.zeros((3, 3)), np.zeros(3))
    assert best_groups("abc", scores, 3, overlap=True).groups == (("a", "b", "c"),)
    gains = np.array([[0, 1, -1], [1, 0, -1], [1, 1, 0.0]])
    assert best_groups("abc", pairwise_scores("abc", gains, np.zeros(3)), 2, overlap=True).groups == (
        ("a", "b"),
        ("c",),
    )


def test_permuting_the_tasks_changes_nothing_but_their_order():
    rng = np.random.default_rng(5)
    gains, order = rng.normal(size=(4, 4)), [2, 0, 3, 1]
    one = best_groups(TASKS, pairwise_scores(TASKS, gains, np.zeros(4)), 2, overlap=True)
    names = [TASKS[i] for i in order]
    two = best_groups(names, pairwise_scores(names, gains[np.ix_(order, order)], np.zeros(4)), 2, overlap=True)
    assert {frozenset(group) for group in one.groups} == {frozenset(group) for group in two.groups}
    assert one.score == pytest.approx(two.score)


def test_one_task_is_a_group():
    found = best_groups(("a",), {frozenset("a"): {"a": 0.7}}, 3, overlap=True)
    assert (found.groups, found.score) == ((("a",),), 0.7)


def test_what_cannot_be_covered_is_said():
    with pytest.raises(ValueError, match="do not cover a, b with at most 1 groups"):
        best_groups("ab", {frozenset("a"): {"a": 1.0}, frozenset("b"): {"b": 1.0}}, 1, overlap=True)
    with pytest.raises(ValueError, match="13 tasks are too many"):
        best_groups([f"t{i}" for i in range(13)], {}, 2, overlap=False)


def test_eight_tasks_take_less_than_seconds():
    rng = np.random.default_rng(0)
    tasks = [f"t{i}" for i in range(8)]
    scores = pairwise_scores(tasks, rng.normal(size=(8, 8)), np.zeros(8))
    start = time.process_time()
    found = best_groups(tasks, scores, 3, overlap=True)
    assert time.process_time() - start < 5
    assert len(found.groups) <= 3
