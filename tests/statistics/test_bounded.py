"""Intervals of bounded quantities stay in their bounds, and cover there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from mtl.ablation.effects import Effect, effect, sampled_aucs
from mtl.statistics.bootstrap import bootstrap_weights
from mtl.statistics.bounded import AUC, DIFFERENCE, Bounds, moved
from mtl.statistics.pairwise import pairwise_counts


@given(st.floats(0, 1))
def test_z_of_an_auc_is_half_its_logit_and_of_a_difference_fishers(value: float) -> None:
    if 1e-6 < value < 1 - 1e-6:
        assert AUC.z(np.array(value)) == pytest.approx(special.logit(value) / 2, abs=1e-9)
        assert AUC.slope(np.array(value)) == pytest.approx(1 / (2 * value * (1 - value)))
        assert DIFFERENCE.z(np.array(value)) == pytest.approx(math.atanh(value))
        assert DIFFERENCE.slope(np.array(value)) == pytest.approx(1 / (1 - value**2))
    for bounds in (AUC, DIFFERENCE, Bounds(-3, 7)):
        assert bounds.value(bounds.z(np.array(value))) == pytest.approx(value, abs=1e-12)


def test_what_is_mapped_back_lies_between_the_bounds_and_keeps_its_order() -> None:
    z = np.concatenate([-np.geomspace(1e300, 1e-300, 200), [0.0], np.geomspace(1e-300, 1e300, 200)])
    for bounds in (AUC, DIFFERENCE):
        values = bounds.value(z)
        assert (values[0], values[-1]) == (bounds.low, bounds.high)
        assert (np.diff(values) >= 0).all()
        assert np.isfinite(bounds.z(values)).all()
        assert np.isfinite(bounds.slope(values)).all()


def drawn(rng: np.random.Generator, kind: str, bounds: Bounds, n_seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of seeds and their resamples, all between the bounds."""
    if kind == "constant":
        values = np.full(n_seeds, rng.choice([bounds.low, (bounds.low + bounds.high) / 2, 0.3, bounds.high]))
        return values, np.tile(values[:, None], 50)
    if kind == "extreme":
        return rng.choice([bounds.low, bounds.high], n_seeds), rng.choice([bounds.low, bounds.high], (n_seeds, 50))
    near = bounds.high - 10.0 ** rng.uniform(-17, 0, (n_seeds, 51)) if kind == "at the edge" else None
    everywhere = rng.uniform(bounds.low, bounds.high, (n_seeds, 51)) if near is None else near
    return everywhere[:, 0], everywhere[:, 1:]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["constant", "extreme", "at the edge", "random"]),
    st.sampled_from([AUC, DIFFERENCE]),
    st.integers(1, 8),
    st.integers(1, 7),
)
@settings(deadline=None, max_examples=300)
def test_every_end_lies_in_bounds(seed: int, kind: str, bounds: Bounds, n_seeds: int, comparisons: int) -> None:
    found = effect(*drawn(np.random.default_rng(seed), kind, bounds, n_seeds), seed, bounds, comparisons)
    assert bounds.low <= found.low <= found.high <= bounds.high


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
@settings(deadline=None, max_examples=50)
def test_the_other_way_round_the_interval_is_mirrored(seed: int, n_seeds: int) -> None:
    rng = np.random.default_rng(seed)
    values, draws = drawn(rng, "random", AUC, n_seeds)
    there, back = effect(values, draws, 1, AUC), effect(1 - values, 1 - draws, 1, AUC)
    assert (back.low, back.high) == pytest.approx((1 - there.high, 1 - there.low), abs=1e-9)
    there, back = effect(values, draws, 1, DIFFERENCE), effect(-values, -draws, 1, DIFFERENCE)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-9)


def test_a_small_difference_has_the_interval_that_it_would_have_without_bounds() -> None:
    rng = np.random.default_rng(0)
    values, draws = 0.01 + rng.normal(0, 0.01, 8), 0.01 + rng.normal(0, 0.01, (8, 2000))
    near, far = effect(values, draws, 0, DIFFERENCE), effect(values, draws, 0, Bounds(-1e3, 1e3))
    assert (near.low, near.high) == pytest.approx((far.low, far.high), abs=2e-6)


def test_two_seeds_far_apart_have_a_wide_interval_that_is_not_cut() -> None:
    """By hand: half of 9.17 times the distance of .4, over 2 * .7 * .3, about atanh(.4)."""
    values = np.array([0.5, 0.9])
    found = effect(values, np.tile(values[:, None], 200), 0, AUC)
    half = math.sqrt(2) * stats.t.ppf(0.975, 1) / stats.norm.ppf(0.975) * 0.2 / (2 * 0.7 * 0.3)
    expected = [0.5 + 0.5 * math.tanh(math.atanh(0.4) + sign * half) for sign in (-1, 1)]
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)
    assert 0 < found.low < 0.001
    assert 0.999 < found.high < 1


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_at_a_bound_the_interval_has_no_width_and_says_so(n_seeds: int) -> None:
    found = effect(np.ones(n_seeds), np.ones((n_seeds, 40)), 0, AUC)
    assert (found.value, found.low, found.high) == (1, 1, 1)
    assert found.reason.startswith("1 in every seed, a bound")


def coverage(n_seeds: int, sd: float, top: float, gain: float, n_each: int, studies: int) -> tuple[float, float]:
    """How often the intervals of an AUC, and of its difference to a lesser one, hold the truth.

    A score is unit normal, three tenths of its variance of the video for all scorers,
    two tenths of the video for one; a seed moves the separation of its scorer by `sd`.
    """
    rng = np.random.default_rng(n_seeds)
    separation = np.repeat(stats.norm.ppf(top) * math.sqrt(2) - np.array([0.0, gain]), n_seeds)
    high, low = stats.norm.cdf(separation[[0, -1]] / math.sqrt(2 + sd**2))
    videos = np.repeat(np.arange(2 * n_each), 6)
    events, times = videos < n_each, bootstrap_weights(np.arange(2 * n_each) < n_each, 600, 0)
    covered = []
    for study in range(studies):
        of_videos = rng.normal(0, math.sqrt(0.3), 2 * n_each) + rng.normal(0, math.sqrt(0.2), (2 * n_seeds, 2 * n_each))
        scores = (separation + rng.normal(0, sd, 2 * n_seeds))[:, None] * events + of_videos[:, videos]
        scores += rng.normal(0, math.sqrt(0.5), scores.shape)
        plain, draws = sampled_aucs([pairwise_counts(each, events, videos) for each in scores], times)
        (a, b), (a_draws, b_draws) = np.split(plain, 2), np.split(draws, 2)
        score, difference = effect(a, a_draws, study, AUC), effect(a - b, a_draws - b_draws, study, DIFFERENCE)
        covered.append([_holds(score, high), _holds(difference, high - low)])
    return tuple(np.mean(covered, axis=0))


def _holds(found: Effect, truth: float) -> bool:
    return found.low <= truth <= found.high


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [2, 3, 6])
def test_intervals_near_the_bound_cover(n_seeds: int) -> None:
    """An AUC of .95 by 30 + 30 videos; without the scale six seeds covered .916 of a thousand."""
    of_auc, of_difference = coverage(n_seeds, 0.4, 0.95, 0.3, 30, 400)
    assert 0.92 <= of_auc <= 0.98
    assert 0.92 <= of_difference <= 0.98


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (-np.inf, 1.0)])
def test_a_value_is_moved_in_order_and_never_out_of_its_bounds(bounds: tuple[float, float]) -> None:
    by = np.linspace(-5, 5, 41)
    for value in np.array([0.001, 0.2, 0.5, 0.97, 0.9999]):
        found = moved(value, by * (1 - value), bounds)
        assert (found >= bounds[0]).all()
        assert (found <= bounds[1]).all()
        assert (np.diff(found) >= 0).all()
        assert moved(value, np.array(0.0), bounds) == pytest.approx(value)
        assert moved(value, np.array(1e-6), bounds) - value == pytest.approx(1e-6, rel=0.02)  # the same to first order
    assert moved(np.array(1.0), np.array(0.3), bounds) == 1
    assert np.isnan(moved(np.array([np.nan, 0.3]), np.array([0.3, np.nan]), bounds)).all()


def test_a_moved_value_by_hand() -> None:
    assert moved(np.array(0.0), np.array(2.0), (-1.0, 1.0)) == pytest.approx(np.tanh(2))
    logit = np.log(0.9 / 0.1) + 0.05 / (0.9 * 0.1)  # the delta method on the logit scale
    assert moved(np.array(0.9), np.array(0.05), (0.0, 1.0)) == pytest.approx(1 / (1 + np.exp(-logit)))
    assert moved(np.array(0.5), np.array(1.0), (-np.inf, 1.0)) == pytest.approx(1 - 0.5 * np.exp(-2))
