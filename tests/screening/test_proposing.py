"""Proposals: new sets only, the same for the same seed, about what is open and not about what is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mtl.errors import UserError
from mtl.screening.design import design, members
from mtl.screening.proposing import propose, worth

CANDIDATES = [f"a{i}" for i in range(6)]


def screened(seed: int, k: int = 6, n: int = 14) -> tuple[list[tuple[str, ...]], np.ndarray]:
    names = [f"a{i}" for i in range(k)]
    sets = design(names, n, seed)
    random = np.random.default_rng(seed)
    found = members(sets, names) @ random.normal(0, 0.01, k) + random.normal(0, 0.005, len(sets))
    return sets, np.where(np.arange(len(sets)) == 0, 0.0, found)


@pytest.mark.parametrize(("k", "n"), [(6, 14), (13, 20), (18, 24)])
def test_proposals_are_new_distinct_and_repeatable(k, n):
    sets, gains = screened(1, k, n)
    names = [f"a{i}" for i in range(k)]
    found = propose(sets, gains, names, 5, 3)
    assert len(set(found)) == 5
    assert not set(found) & {*sets, ()}
    assert all(list(one) == [name for name in names if name in one] for one in found)
    assert found == propose(sets, 1000 * gains, names, 5, 3)


def test_worth_is_the_expected_rise_of_the_best_sets_gain():
    mean, covariance, noise = np.array([0.5, -0.2]), np.array([[0.4, 0.1], [0.1, 0.3]]), 0.25
    sets = np.array([[1.0, 0], [1, 1]])
    z = norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    for one, found in zip(sets, worth(sets, mean, covariance, noise), strict=True):
        moved = covariance @ one / np.sqrt(one @ covariance @ one + noise)
        after = np.maximum(mean + np.outer(z, moved), 0).sum(axis=1).mean()
        assert found == pytest.approx(after - np.maximum(mean, 0).sum(), abs=1e-4)


def test_what_is_known_is_not_asked_again():
    """The last two are open; the others help or hurt beyond doubt, in sets that were all trained without these two."""
    random = np.random.default_rng(0)
    sets = design(CANDIDATES[:4], 12, 0)
    used = members(sets, CANDIDATES)
    gains = used @ np.array([0.05, -0.05, 0.04, -0.04, 0, 0]) + random.normal(0, 0.002, len(sets))
    first, second = propose(sets, gains, CANDIDATES, 2, 0)
    assert {"a4", "a5"} & set(first)
    assert {"a4", "a5"} <= {*first, *second}


def test_more_than_there_are_is_one_line():
    with pytest.raises(UserError, match="at most 1,"):
        propose([("a",), ("b",), ()], [0.1, 0.2, 0.0], ["a", "b"], 2, 0)
    assert propose([("a",), ("b",), ()], [0.1, float("nan"), 0.0], ["a", "b"], 1, 0) == [("a", "b")]
