"""A boundary for every look: by hand, against scipy's integrals, and by random paths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, nct, norm, t

from mtl.statistics.looks import boundaries, fixed_seeds, half_width, quantile, spendable, spent


def test_next_to_nothing_is_spent_early_and_all_at_the_end():
    # 2 - 2 Phi(1.959964 / sqrt(t)), with Phi(3.919928) = .99995571 and Phi(2.771808) = .99721257
    assert spent(0.25, 0.05) == pytest.approx(8.858e-05, rel=1e-3)
    assert spent(0.5, 0.05) == pytest.approx(0.005575, rel=1e-3)
    assert spent(1.0, 0.05) == pytest.approx(0.05)
    assert spent(1.5, 0.05) == spent(1.0, 0.05)


def test_a_single_look_is_the_plain_interval():
    assert boundaries((1.0,), 0.05) == pytest.approx([norm.isf(0.025)])


@pytest.mark.parametrize("fractions", [(0.5, 1.0), (0.3, 0.6, 1.0), (0.25, 0.5, 0.75, 1.0)])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 3])
def test_what_is_spent_is_crossed_as_the_normal_integral_has_it(fractions, alpha):
    found = boundaries(fractions, alpha)
    times = np.array(fractions)
    correlations = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    for k in range(1, len(fractions) + 1):
        normal = multivariate_normal(np.zeros(k), correlations[:k, :k], seed=0, abseps=1e-9, releps=1e-9, maxpts=10**6)
        inside = normal.cdf(np.array(found[:k]), lower_limit=-np.array(found[:k]))
        assert 1 - inside == pytest.approx(spent(fractions[k - 1], alpha), abs=2e-6)


def test_the_second_bound_solves_the_double_integral():
    first = norm.isf(spent(0.4, 0.05) / 2)
    normal = multivariate_normal([0, 0], [[1, np.sqrt(0.4)], [np.sqrt(0.4), 1]])
    second = brentq(lambda c: 0.95 - normal.cdf([first, c], lower_limit=[-first, -c]), 1.9, 2.2)
    assert boundaries((0.4, 1.0), 0.05) == pytest.approx([first, second], abs=1e-4)


def test_random_paths_cross_as_often_as_may_be():
    looks = np.arange(3, 13)
    paths = np.random.default_rng(0).normal(size=(100_000, 12)).cumsum(axis=1)[:, looks - 1] / np.sqrt(looks)
    crossed = (np.abs(paths) >= boundaries(tuple(looks / 12), 0.05)).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 100_000))


def test_bounds_fall_from_look_to_look_and_end_above_the_plain_one():
    found = boundaries(tuple(np.arange(3, 25) / 24), 0.05)
    assert list(found) == sorted(found, reverse=True)
    assert norm.isf(0.025) < found[-1] < 2.2


@pytest.mark.parametrize("fractions", [(), (0.5, 0.5), (0.6, 0.3), (0.0, 1.0), (0.5, 1.2)])
def test_looks_that_do_not_rise_within_the_plan_are_refused(fractions):
    with pytest.raises(ValueError, match="rising shares"):
        boundaries(fractions, 0.05)


def test_a_quantile_of_few_degrees_of_freedom_has_the_level_of_the_bound():
    assert quantile(1.959964, 4) == pytest.approx(2.776445, abs=1e-5)  # tables: t of 4 at .975
    for bound, freedom in ((4.8, 6), (2.5, 33)):
        assert t.sf(quantile(bound, freedom), freedom) == pytest.approx(norm.sf(bound), rel=1e-6)


def test_parts_are_added_by_their_squares():
    assert half_width(0.003, 0.004) == pytest.approx(0.005)


@pytest.mark.parametrize(("seed_sd", "alpha"), [(0.006, 0.05), (0.008, 0.05 / 3), (0.01, 0.025)])
def test_the_fixed_design_has_the_power_of_the_t_test(seed_sd, alpha):
    def power(n: int) -> float:
        return float(nct.sf(t.isf(alpha / 2, n - 1), n - 1, 0.01 / seed_sd * np.sqrt(n)))

    n = fixed_seeds(0.01, seed_sd, 0.0, alpha)
    assert power(n) > 0.899
    assert power(n - 1) < 0.901


def test_too_few_videos_leave_no_fixed_design():
    # the margin is (1.96 + 1.28) standard errors of the videos at .00309: beyond it no number of seeds helps
    assert fixed_seeds(0.01, 0.008, 0.0031, 0.05) == 0
    assert fixed_seeds(0.01, 0.008, 0.0030, 0.05) > fixed_seeds(0.01, 0.008, 0.0, 0.05) > 2
    assert fixed_seeds(0.01, 0.0, 0.001, 0.05) == 2


def test_what_t_quantiles_cost_a_single_mean_is_paid_for():
    looks = tuple(range(3, 13))
    alpha = spendable(looks, 0.05)
    assert 0.04 < alpha < 0.05
    assert spendable((6,), 0.05) == 0.05
    values = np.random.default_rng(1).normal(size=(60_000, 12))  # other draws than it was found by
    bounds = boundaries(tuple(n / 12 for n in looks), alpha)
    crossed = np.zeros(len(values), bool)
    for n, bound in zip(looks, bounds, strict=True):
        error = values[:, :n].std(axis=1, ddof=1) / np.sqrt(n)
        crossed |= np.abs(values[:, :n].mean(axis=1)) >= quantile(bound, n - 1) * error
    assert crossed.mean() == pytest.approx(0.05, abs=0.003)
