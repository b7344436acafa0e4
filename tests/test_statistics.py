"""Statistics against brute force, scikit-learn, scipy and values worked out by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from mtl.statistics import (
    block_correlation,
    macro_auc,
    mean_of_defined,
    pearson,
    percentile_interval,
    spearman,
    stratified_multiplicities,
    video_wins,
)


def frames(seed: int, n_videos: int = 12, n_levels: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties, events and videos; some videos hold both outcomes."""
    rng = np.random.default_rng(seed)
    videos = rng.permutation(np.repeat(np.arange(n_videos), rng.integers(1, 30, n_videos)))
    mixed = rng.random(len(videos)) < 0.5
    events = np.where(videos % 4 == 0, mixed, videos % 2 == 0)
    return rng.integers(n_levels, size=len(videos)) / n_levels + 0.2 * events, events, videos


def resampled_auc(scores: np.ndarray, events: np.ndarray, videos: np.ndarray, times: np.ndarray) -> float:
    """Brute force: every frame listed as often as its video was drawn."""
    listed = np.repeat(np.arange(len(videos)), times[videos].astype(int))
    return roc_auc_score(events[listed], scores[listed])


# AUC by video


@pytest.mark.parametrize("seed", range(5))
def test_resampled_auc_equals_listing_the_frames_again(seed: int) -> None:
    scores, events, videos = frames(seed)
    drawn = stratified_multiplicities(np.arange(12) % 2, 20, seed)
    expected = [resampled_auc(scores, events, videos, times) for times in drawn]
    np.testing.assert_allclose(video_wins(scores, events, videos).auc(drawn), expected, rtol=1e-12)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 4)), min_size=2, max_size=40))
@settings(deadline=None, max_examples=200)
def test_wins_are_comparisons_of_frames(rows: list[tuple[int, bool, int]]) -> None:
    scores, events, videos = (np.array(column) for column in zip(*rows, strict=True))
    found = video_wins(scores, events, videos)
    for row, a in enumerate(found.rows):
        for column, b in enumerate(found.columns):
            difference = scores[events & (videos == a)][:, None] - scores[~events & (videos == b)]
            assert found.wins[row, column] == (difference > 0).sum() + (difference == 0).sum() / 2


def test_wins_do_not_depend_on_how_many_levels_are_cumulated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, events, videos = frames(0)
    whole = video_wins(scores, events, videos)
    monkeypatch.setattr("mtl.statistics.CELLS", 30)
    np.testing.assert_array_equal(video_wins(scores, events, videos).wins, whole.wins)
    flipped = video_wins(-scores, ~events, videos)  # cumulates over the other side
    np.testing.assert_array_equal(flipped.wins.T, whole.wins)


def test_auc_of_a_resample_without_positives_is_nan() -> None:
    wins = video_wins(np.array([0.1, 0.9]), np.array([False, True]), np.array([0, 1]))
    np.testing.assert_array_equal(wins.auc(np.array([[1, 1], [2, 0], [0, 2]])), [1, np.nan, np.nan])


def test_two_thousand_resamples_of_the_whole_test_set_take_seconds() -> None:
    rng = np.random.default_rng(0)
    videos = np.sort(rng.integers(290, size=111_308))
    drawn = stratified_multiplicities(np.arange(290) < 140, 2000, 0)
    started = time.perf_counter()
    for _ in range(2):
        video_wins(rng.random(len(videos)), videos < 140, videos).auc(drawn)
    assert time.perf_counter() - started < 5


def test_macro_auc_is_the_mean_over_columns_with_both_outcomes() -> None:
    rng = np.random.default_rng(0)
    classes, scores = rng.integers(3, size=200), rng.integers(10, size=(200, 5)) / 10
    events = classes[:, None] == np.arange(5)
    events[:, 4] = True
    expected = np.mean([roc_auc_score(events[:, c], scores[:, c]) for c in range(3)])
    assert macro_auc(events, scores) == pytest.approx(expected)
    assert np.isnan(macro_auc(events[:, 3:], scores[:, 3:]))
    assert np.isnan(macro_auc(np.empty((0, 2), bool), np.empty((0, 2))))


# resampling


def test_resamples_keep_the_strata_and_draw_evenly() -> None:
    strata = np.array([0, 1, 1, 0, 1, 1])
    drawn = stratified_multiplicities(strata, 20_000, 0)
    assert (drawn[:, strata == 0].sum(axis=1) == 2).all()
    assert (drawn[:, strata == 1].sum(axis=1) == 4).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.03)
    assert (drawn[:, 0] == 2).mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(stratified_multiplicities(strata, 5, 7), stratified_multiplicities(strata, 5, 7))


def test_interval_counts_only_defined_draws() -> None:
    draws = np.array([[0.0, np.nan, *np.linspace(0, 1, 101)[1:]], np.full(102, np.nan)])
    low, high = percentile_interval(draws)
    np.testing.assert_allclose([low[0], high[0]], [0.025, 0.975])
    assert np.isnan([low[1], high[1]]).all()
    np.testing.assert_array_equal(mean_of_defined(np.array([[1, np.nan], [3, np.nan]])), [2, np.nan])


# correlation


def test_spearman_equals_scipy_on_listed_rows() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(15, size=(40, 3)).astype(float)
    drawn = stratified_multiplicities(np.zeros(40), 30, 0)
    for times, found in zip(drawn, spearman(values, drawn), strict=True):
        listed = np.repeat(values, times.astype(int), axis=0)
        np.testing.assert_allclose(found, stats.spearmanr(listed).statistic, atol=1e-12)


def test_spearman_within_groups_equals_ranks_by_hand() -> None:
    rng = np.random.default_rng(0)
    values, groups = rng.integers(6, size=(40, 2)).astype(float), rng.integers(4, size=40) * 7
    times = stratified_multiplicities(np.zeros(40), 1, 0)
    listed = np.repeat(np.arange(40), times[0].astype(int))
    ranks = np.empty((len(listed), 2))
    for group in np.unique(groups[listed]):
        here = groups[listed] == group
        rank = stats.rankdata(values[listed][here], axis=0)
        ranks[here] = (rank - rank.mean(axis=0)) / here.sum()
    expected = (ranks[:, 0] @ ranks[:, 1]) / np.sqrt((ranks**2).sum(axis=0).prod())
    assert spearman(values, times, groups)[0, 0, 1] == pytest.approx(expected)


def test_constant_column_has_no_correlation() -> None:
    values = np.column_stack([np.arange(9.0), np.full(9, 0.1), np.arange(9.0) ** 2])
    for found in (spearman(values, np.ones((1, 9)))[0], pearson(values), block_correlation(values, 2, 1, 0)[0]):
        assert np.isnan(found[1]).all()
        assert np.isfinite(found[[0, 0, 2], [0, 2, 2]]).all()


def test_pearson_equals_numpy_whatever_the_scale() -> None:
    values = np.random.default_rng(0).normal(size=(30, 3)) * [1e-9, 1, 1e9] + [1e-8, 0, 3e9]
    np.testing.assert_allclose(pearson(values), np.corrcoef(values.T), atol=1e-9)


def test_block_resamples_equal_listed_blocks() -> None:
    values = np.random.default_rng(0).normal(size=(23, 3)).cumsum(axis=0)
    starts = np.random.default_rng(5).integers(23, size=(4, 6))  # as drawn inside
    for of, found in zip(starts, block_correlation(values, 4, 4, 5), strict=True):
        rows = (of[:, None] + np.arange(4)).ravel() % 23
        np.testing.assert_allclose(found, np.corrcoef(values[rows].T), atol=1e-9)
