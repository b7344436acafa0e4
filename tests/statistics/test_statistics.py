"""Statistics against brute force, scikit-learn, scipy and values worked out by hand."""

from __future__ import annotations

import math
import time
import tracemalloc
from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from mtl.ablation.effects import Effect, effect, paired_difference, sampled_aucs
from mtl.ablation.factorial import bundles, contrast, main_effects, shapley_values
from mtl.ablation.judged import shares_of
from mtl.ablation.verdicts import delta_m, verdict, wanted_error
from mtl.statistics import bootstrap
from mtl.statistics.bootstrap import (
    bootstrap_weights,
    coded_videos,
    mean_of_defined,
    percentile_interval,
    resampled_videos,
)
from mtl.statistics.bounded import DIFFERENCE
from mtl.statistics.correlation import block_correlation, pearson, rank_correlation, spearman
from mtl.statistics.pairwise import PairwiseCounts, macro_auc, pairwise_counts, tied_share
from mtl.statistics.significance import holm, sign_flip


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
    drawn = bootstrap_weights(np.arange(12) % 2, 20, seed)
    expected = [resampled_auc(scores, events, videos, times) for times in drawn]
    np.testing.assert_allclose(pairwise_counts(scores, events, videos).auc(drawn), expected, rtol=1e-12)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 4)), min_size=2, max_size=40))
@settings(deadline=None, max_examples=200)
def test_wins_are_comparisons_of_frames(rows: list[tuple[int, bool, int]]) -> None:
    scores, events, videos = (np.array(column) for column in zip(*rows, strict=True))
    found = pairwise_counts(scores, events, videos)
    for row, a in enumerate(found.rows):
        for column, b in enumerate(found.columns):
            difference = scores[events & (videos == a)][:, None] - scores[~events & (videos == b)]
            assert found.counts[row, column] == (difference > 0).sum() + (difference == 0).sum() / 2


def test_wins_do_not_depend_on_how_many_levels_are_cumulated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, events, videos = frames(0)
    whole = pairwise_counts(scores, events, videos)
    monkeypatch.setattr("mtl.statistics.pairwise.CELLS", 30)
    np.testing.assert_array_equal(pairwise_counts(scores, events, videos).counts, whole.counts)
    flipped = pairwise_counts(-scores, ~events, videos)  # cumulates over the other side
    np.testing.assert_array_equal(flipped.counts.T, whole.counts)


@pytest.mark.parametrize("seed", range(5))
def test_a_row_that_stands_for_several_frames_counts_as_often(seed: int) -> None:
    scores, events, videos = frames(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(scores))
    listed = np.repeat(np.arange(len(scores)), weights)
    found, wanted = (
        pairwise_counts(scores, events, videos, weights),
        pairwise_counts(scores[listed], events[listed], videos[listed]),
    )
    for name in ("counts", "rows", "columns", "positives", "negatives"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


def test_auc_of_a_resample_without_positives_is_nan() -> None:
    counts = pairwise_counts(np.array([0.1, 0.9]), np.array([False, True]), np.array([0, 1]))
    np.testing.assert_array_equal(counts.auc(np.array([[1, 1], [2, 0], [0, 2]])), [1, np.nan, np.nan])


def test_two_thousand_resamples_of_the_whole_test_set_take_seconds() -> None:
    rng = np.random.default_rng(0)
    videos = np.sort(rng.integers(290, size=111_308))
    drawn = bootstrap_weights(np.arange(290) < 140, 2000, 0)
    started = time.process_time()
    for _ in range(2):
        pairwise_counts(rng.random(len(videos)), videos < 140, videos).auc(drawn)
    assert time.process_time() - started < 5


def test_macro_auc_is_the_mean_over_columns_with_both_outcomes() -> None:
    rng = np.random.default_rng(0)
    classes, scores = rng.integers(3, size=200), rng.integers(10, size=(200, 5)) / 10
    events = classes[:, None] == np.arange(5)
    events[:, 4] = True
    expected = np.mean([roc_auc_score(events[:, c], scores[:, c]) for c in range(3)])
    assert macro_auc(events, scores) == pytest.approx(expected)
    assert np.isnan(macro_auc(events[:, 3:], scores[:, 3:]))
    assert np.isnan(macro_auc(np.empty((0, 2), bool), np.empty((0, 2))))


def test_macro_auc_takes_memory_of_a_column_not_of_all() -> None:
    scores = np.random.default_rng(0).random((20_000, 20))
    events = np.arange(20_000)[:, None] % 20 == np.arange(20)
    tracemalloc.start()
    macro_auc(events, scores)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scores.nbytes  # that of all at once is eight times the scores


# resampling


def test_one_abnormal_frame_makes_a_video_anomalous_and_both_kinds_keep_their_number() -> None:
    codes, names, anomalous = coded_videos(pd.Series([*"bacab"]), np.array([False, False, False, False, True]))
    assert codes.tolist() == [1, 0, 2, 0, 1]
    assert names.tolist() == [*"abc"]
    assert anomalous.tolist() == [False, True, False]
    drawn = resampled_videos(anomalous, 50, 0)
    assert (drawn[:, 1] == 1).all()
    assert (drawn[:, [0, 2]].sum(axis=1) == 2).all()
    assert coded_videos(pd.Series([], dtype=str), np.zeros(0, bool))[2].tolist() == []


def test_resamples_keep_the_strata_and_draw_evenly() -> None:
    strata = np.array([0, 1, 1, 0, 1, 1])
    drawn = bootstrap_weights(strata, 20_000, 0)
    assert (drawn[:, strata == 0].sum(axis=1) == 2).all()
    assert (drawn[:, strata == 1].sum(axis=1) == 4).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.03)
    assert (drawn[:, 0] == 2).mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(bootstrap_weights(strata, 5, 7), bootstrap_weights(strata, 5, 7))


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
    drawn = bootstrap_weights(np.zeros(40), 30, 0)
    for times, found in zip(drawn, spearman(values, drawn), strict=True):
        listed = np.repeat(values, times.astype(int), axis=0)
        np.testing.assert_allclose(found, stats.spearmanr(listed).statistic, atol=1e-12)


def test_spearman_within_groups_equals_ranks_by_hand() -> None:
    rng = np.random.default_rng(0)
    values, groups = rng.integers(6, size=(40, 2)).astype(float), rng.integers(4, size=40) * 7
    times = bootstrap_weights(np.zeros(40), 1, 0)
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


# effects over videos and seeds


def runs(seed: int, n_seeds: int, gain: float = 0.0) -> list[PairwiseCounts]:
    """Scorers that differ by a seed's noise only, on the same twelve videos."""
    scores, events, videos = frames(seed)
    rng = np.random.default_rng(seed + 100)
    return [
        pairwise_counts(scores + gain * events + rng.normal(0, 0.2, len(scores)), events, videos)
        for _ in range(n_seeds)
    ]


def test_paired_difference_equals_brute_force() -> None:
    """Resample videos and seeds by loops, the same for both sets; add what they do as Fisher's z."""
    drawn = bootstrap_weights(np.arange(12) % 2, 300, 1)
    with_it, without = runs(0, 4, 0.1), runs(0, 4)
    found = paired_difference(with_it, without, drawn, seed=3)
    times = np.random.default_rng([3, 1]).multinomial(4, np.full(4, 1 / 4), 300)
    widen = math.sqrt(4 / 3) * stats.t.ppf(0.975, 3) / stats.norm.ppf(0.975)
    each = np.array(
        [[a.auc(v[None])[0] - b.auc(v[None])[0] for v in drawn] for a, b in zip(with_it, without, strict=True)]
    )
    points = np.array(
        [a.auc(np.ones((1, 12)))[0] - b.auc(np.ones((1, 12)))[0] for a, b in zip(with_it, without, strict=True)]
    )
    covariances = np.cov(each, ddof=0)[~np.eye(4, dtype=bool)]
    share = math.sqrt(covariances.mean()) / each.mean(axis=0).std()
    draws = []
    for of_videos, seeds in zip(each.T, times, strict=True):
        of_seeds = (np.repeat(points, seeds).mean() - points.mean()) / (1 - points.mean() ** 2)
        by_videos = math.atanh(of_videos.mean()) - math.atanh(each.mean())
        draws.append(math.tanh(math.atanh(points.mean()) + share * by_videos + widen * of_seeds))
    np.testing.assert_allclose([found.low, found.high], np.quantile(draws, [0.025, 0.975]), atol=1e-12)
    assert found.video_error == pytest.approx(math.sqrt(covariances.mean()))
    assert found.value == pytest.approx(points.mean())
    assert found.seed_sd == pytest.approx(points.std(ddof=1))
    assert found.n_seeds == 4


def test_a_set_does_not_differ_from_itself() -> None:
    drawn = bootstrap_weights(np.arange(12) % 2, 100, 1)
    found = paired_difference(runs(0, 3), runs(0, 3), drawn, seed=0)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_pairing_by_video_and_seed_narrows_the_interval() -> None:
    drawn = bootstrap_weights(np.arange(12) % 2, 500, 1)
    (a, a_draws), (b, b_draws) = sampled_aucs(runs(0, 6, 0.1), drawn), sampled_aucs(runs(0, 6), drawn)
    paired = effect(a - b, a_draws - b_draws, 0, DIFFERENCE)
    unpaired = effect(a - b[::-1], a_draws - b_draws[::-1, ::-1], 0, DIFFERENCE)
    assert paired.high - paired.low < 0.7 * (unpaired.high - unpaired.low)


def test_interval_over_seeds_alone_is_about_students() -> None:
    """Without any variance from videos, six seeds: as wide as the t interval, on the average."""
    widths = []
    for values in np.random.default_rng(0).normal(0, 0.02, size=(200, 6)):
        found = effect(values, np.tile(values[:, None], 2000), 0, DIFFERENCE)
        low, high = stats.t.interval(0.95, 5, loc=values.mean(), scale=stats.sem(values))
        widths.append((found.high - found.low) / (high - low))
    assert np.mean(widths) == pytest.approx(1, abs=0.03)


def test_seeds_are_drawn_independently_of_videos() -> None:
    """As many seeds as the first stratum has videos, and both of the same numbers."""
    values = np.random.default_rng(1).normal(0, 0.02, size=6)
    drawn = bootstrap_weights(np.repeat([0, 1], [6, 5]), 20_000, seed=4)
    of_videos = drawn[:, :6] @ values / 6
    found = effect(values, np.tile(of_videos, (6, 1)), 4, DIFFERENCE)
    shuffled = np.random.default_rng(2).permutation(of_videos - of_videos.mean())
    expansion = math.sqrt(6 / 5) * float(stats.t.ppf(0.975, 5) / stats.norm.ppf(0.975))
    low, high = percentile_interval(of_videos + expansion * shuffled)
    assert found.high - found.low == pytest.approx(float(high - low), rel=0.05)


def test_seeds_that_failed_or_are_alone_are_said() -> None:
    draws = np.random.default_rng(0).normal(0.1, 0.01, size=(3, 200))
    two = effect(np.array([0.1, np.nan, 0.12]), draws, 0, DIFFERENCE)
    assert two.n_seeds == 2
    assert two.reason == "1 of 3 seeds are undefined"
    one = effect(np.array([0.1]), draws[:1], 0, DIFFERENCE)
    np.testing.assert_allclose([one.low, one.high], np.quantile(draws[0], [0.025, 0.975]))
    assert np.isnan(one.seed_sd)
    assert one.reason == "one seed: the interval is over videos only"
    none = effect(np.full(2, np.nan), draws[:2], 0, DIFFERENCE)
    assert np.isnan([none.value, none.low, none.high, none.p]).all()
    assert none.reason == "2 of 2 seeds are undefined"


def test_several_comparisons_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    values, draws = rng.normal(0, 0.1, size=6), rng.normal(0, 0.1, size=(6, 2000))
    one, four = effect(values, draws, 0, DIFFERENCE), effect(values, draws, 0, DIFFERENCE, comparisons=4)
    assert four.low < one.low < one.high < four.high
    assert four.level == pytest.approx(0.9875)


# tests over seeds


def test_sign_flip_equals_enumeration_and_its_floor() -> None:
    values = np.array([0.3, 0.1, -0.05, 0.2, 0.15])
    means = [abs(np.mean(signs * values)) for signs in product([-1, 1], repeat=5)]
    assert sign_flip(values) == pytest.approx(np.mean(np.array(means) >= abs(values.mean()) - 1e-12)) == 4 / 32
    for n in range(1, 9):
        assert sign_flip(np.linspace(0.1, 0.2, n)) == 2 / 2**n
    assert sign_flip(np.array([0.1, 0.2, -0.3])) == 1
    assert sign_flip(np.zeros(4)) == 1
    assert np.isnan(sign_flip(np.empty(0)))


def test_sign_flip_of_many_seeds_is_near_the_exact_one() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, 17)
    exact = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=2**17).pvalue
    assert sign_flip(values) == pytest.approx(exact, abs=0.005)
    assert sign_flip(np.ones(40)) == pytest.approx(1 / 20_000)


def test_holm_worked_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.04, np.nan, 0.5, 0.9])), [0.12, np.nan, 1, 1])
    assert holm(np.empty(0)).size == 0


# effects of auxiliaries


def full(names: str) -> list[frozenset[str]]:
    """Every subset."""
    return [
        frozenset(n for n, used in zip(names, chosen, strict=True) if used)
        for chosen in product([0, 1], repeat=len(names))
    ]


@pytest.mark.parametrize("names", ["a", "ab", "abcd"])
def test_main_effect_and_shapley_equal_their_definitions(names: str) -> None:
    sets = full(names)
    auc = dict(zip(sets, np.random.default_rng(0).random(len(sets)), strict=True))
    values = np.array(list(auc.values()))
    for name in names:
        gains = [auc[s | {name}] - auc[s] for s in sets if name not in s]
        assert main_effects(sets)[(name,)] @ values == pytest.approx(np.mean(gains))
        orders = list(permutations(names))
        joined = [frozenset(order[: order.index(name)]) for order in orders]
        shapley = np.mean([auc[before | {name}] - auc[before] for before in joined])
        assert shapley_values(sets)[(name,)] @ values == pytest.approx(shapley)
    total = sum(shapley_values(sets).values()) @ values
    assert total == pytest.approx(auc[frozenset(names)] - auc[frozenset()])


def test_glove_game() -> None:
    """a owns a left glove, b and c a right one each, a pair is worth 1: Shapley (2/3, 1/6, 1/6)."""
    sets = full("abc")
    worth = np.array([float("a" in s and len(s) > 1) for s in sets])
    found = {name: float(contrast @ worth) for (name,), contrast in shapley_values(sets).items()}
    assert found == pytest.approx({"a": 2 / 3, "b": 1 / 6, "c": 1 / 6})


def test_additive_gains_are_found_by_both() -> None:
    gain = {"a": 0.02, "b": -0.01, "c": 0.0}
    sets = full("abc")
    auc = np.array([0.7 + sum(gain[name] for name in s) for s in sets])
    for contrasts in (main_effects(sets), shapley_values(sets)):
        for name, value in gain.items():
            assert contrasts[(name,)] @ auc == pytest.approx(value)


def test_order_of_the_sets_does_not_matter() -> None:
    sets, order = full("abc"), np.random.default_rng(0).permutation(8)
    for contrasts in (main_effects, shapley_values):
        shuffled = contrasts([sets[i] for i in order])
        for bundle, weights in contrasts(sets).items():
            np.testing.assert_allclose(shuffled[bundle], weights[order])


def test_auxiliaries_always_together_are_one_bundle() -> None:
    """The four sets of the notebook, and a control that joins none of the others."""
    sets = [(), ("violence", "property"), ("type",), ("violence", "property", "type"), ("random",)]
    assert bundles(sets) == [("violence", "property"), ("type",), ("random",)]
    effects = main_effects(sets)
    np.testing.assert_allclose(effects["violence", "property"], [-0.5, 0.5, -0.5, 0.5, 0])
    np.testing.assert_allclose(effects["type",], [-0.5, -0.5, 0.5, 0.5, 0])
    np.testing.assert_allclose(effects["random",], [-1, 0, 0, 0, 1])
    shapley = shapley_values(sets)
    assert set(shapley) == {("violence", "property"), ("type",)}
    np.testing.assert_allclose(sum(shapley.values()), [-1, 0, 0, 1, 0])


def test_what_has_no_weight_may_be_missing() -> None:
    values = np.array([[0.7, 0.8], [np.nan, np.nan], [0.9, np.nan]])
    np.testing.assert_allclose(contrast(np.array([-1.0, 0, 1]), values), [0.2, np.nan])
    draws = np.random.default_rng(0).random((3, 2, 5))
    np.testing.assert_allclose(contrast(np.array([-1.0, 0, 1]), draws), draws[2] - draws[0])


def test_shapley_values_of_runs_come_with_intervals_that_share_the_draws() -> None:
    """Their effects sum, draw by draw, to that of all against none."""
    drawn = bootstrap_weights(np.arange(12) % 2, 50, 1)
    sets = full("ab")
    sampled = [sampled_aucs(runs(0, 3, 0.05 * len(s)), drawn) for s in sets]
    plain, draws = (np.array(part) for part in zip(*sampled, strict=True))
    shapley = shapley_values(sets)
    joint = sum(contrast(weights, draws) for weights in shapley.values())
    np.testing.assert_allclose(joint, draws[3] - draws[0], atol=1e-12)
    found = effect(contrast(shapley["a",], plain), contrast(shapley["a",], draws), 0, DIFFERENCE)
    assert found.low < found.value < found.high


def test_designs_that_isolate_nothing_have_no_effect() -> None:
    assert main_effects([("a",), ("b",)]) == shapley_values([("a",), ("b",)]) == {}
    assert main_effects([()]) == shapley_values([()]) == main_effects([]) == {}
    with pytest.raises(ValueError, match="twice"):
        main_effects([("a", "b"), ("b", "a")])


def test_delta_m_worked_by_hand() -> None:
    """+10 % where more is better, +50 % where less is."""
    assert delta_m(np.array([0.88, 1.0]), np.array([0.8, 2.0]), np.array([True, False])) == pytest.approx(0.3)
    assert np.isnan(delta_m(np.array([[np.nan, 1.0]]), np.array([0.8, 2.0]), np.array([True, False]))).all()


# verdicts


def measured(
    value: float, low: float, high: float, n_seeds: int = 6, seed_sd: float = 0.02, video_error: float = 0.004
) -> Effect:
    return Effect(value, low, high, 0.5, n_seeds, seed_sd, video_error)


NO_MARGIN = 1e-6  # so small that nothing realistic is within


def test_verdict_says_what_would_tell() -> None:
    assert str(verdict(measured(0.02, 0.01, 0.03), 290, 0.01)) == "helps"
    assert str(verdict(measured(-0.02, -0.03, -0.01), 290, 0.01)) == "hurts"
    # (.015 / 2.8016)^2 = 2.8667e-5; seeds 4e-4 / (2.8667e-5 - 1.6e-5) = 31.6; videos: 4e-4 / 6 = 6.7e-5 is too much
    unsure = verdict(measured(0.015, -0.003, 0.03), 290, 0.01)
    assert (unsure.word, unsure.seeds, unsure.videos) == ("cannot tell", 32, math.inf)
    assert unsure.factor == pytest.approx((1.6e-5 + 4e-4 / 6) / 2.8667e-5, rel=1e-4)
    assert str(unsure) == "cannot tell: about 32 seeds would be needed to decide"
    # with hardly any noise of seeds: 1.6e-5 * 290 / ((.008 / 2.8016)^2 - 1e-6 / 6) = 580.8
    assert verdict(measured(0.008, -0.001, 0.016, seed_sd=0.001), 290, NO_MARGIN).videos == 581
    more = "cannot tell: about 10.1 times as many seeds and videos would be needed to decide"
    assert str(verdict(measured(0.008, -0.01, 0.03), 290, NO_MARGIN)) == more
    for effect_size in (1e-4, 0.0):
        out_of_reach = verdict(measured(effect_size, -0.01, 0.01), 290, NO_MARGIN)
        assert str(out_of_reach) == "cannot tell: no realistic number of seeds or videos would decide"


def test_a_single_seed_never_tells() -> None:
    one = verdict(measured(0.05, 0.04, 0.06, n_seeds=1, seed_sd=float("nan")), 290, 0.01)
    assert one.word == "cannot tell"
    nothing = Effect(*[float("nan")] * 4, 0, *[float("nan")] * 2)
    assert str(verdict(nothing, 290, 0.01)) == str(one)


@pytest.mark.parametrize("n_seeds", [1, 2, 3])
def test_fewer_than_four_seeds_forecast_nothing(n_seeds: int) -> None:
    unsure = verdict(measured(0.015, -0.003, 0.03, n_seeds, float("nan") if n_seeds == 1 else 0.02), 290, 0.01)
    needed = "cannot tell: at least 4 seeds are needed before it can be said how many would decide"
    assert str(unsure) == needed
    assert np.isnan([unsure.seeds, unsure.videos, unsure.factor]).all()
    assert "would be needed to decide" in str(verdict(measured(0.015, -0.003, 0.03, n_seeds=4), 290, 0.01))
    if n_seeds > 1:  # what is decided is decided
        assert str(verdict(measured(0.02, 0.01, 0.03, n_seeds), 290, 0.01)) == "helps"


@pytest.mark.slow
@pytest.mark.parametrize(("effect_size", "word"), [(0.02, "helps"), (0.0, "does not matter")])
def test_what_a_verdict_asks_for_does_tell(effect_size: float, word: str) -> None:
    """Draw studies of the size asked for: about 80 % of them tell, and nearly all of those the truth."""
    rng = np.random.default_rng(0)
    seed_sd = 0.04 if effect_size else 0.02
    asked = verdict(measured(effect_size, -0.01, 0.03, seed_sd=seed_sd, video_error=0), 290, 0.01)
    told = []
    for values in rng.normal(effect_size, seed_sd, size=(150, int(asked.seeds))):
        told.append(verdict(effect(values, np.tile(values[:, None], 200), 0, DIFFERENCE), 290, 0.01).word)
    assert np.mean(np.array(told) != "cannot tell") == pytest.approx(0.8, abs=0.1)
    assert told.count(word) > 0.65 * len(told)


def test_an_effect_within_the_margin_does_not_matter() -> None:
    """The words at the edges of the margin .01: it wins over helps and hurts, and ends before its edge."""

    def word(low: float, high: float, n_seeds: int = 6, margin: float = 0.01) -> str:
        return verdict(measured((low + high) / 2, low, high, n_seeds), 290, margin).word

    assert word(-0.009, 0.009) == word(0.001, 0.009) == word(-0.009, -0.001) == word(0, 0) == "does not matter"
    assert word(-0.009, 0.01) == word(-0.01, 0.009) == word(-0.01, 0.01) == word(0.0, 0.01) == "cannot tell"
    assert word(0.001, 0.01) == word(0.011, 0.02) == "helps"
    assert word(-0.01, -0.001) == "hurts"
    assert word(-0.009, 0.009, n_seeds=1) == word(0.001, 0.002, n_seeds=1) == "cannot tell"
    assert word(-0.009, 0.009, n_seeds=2) == "does not matter"
    assert word(-0.009, 0.009, margin=0.009) == "cannot tell"


def test_a_wider_margin_never_takes_back_that_an_effect_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    for low, width in zip(rng.normal(0, 0.02, 200), rng.exponential(0.02, 200), strict=True):
        found = measured(low + width / 2, low, low + width)
        words = [verdict(found, 290, margin).word for margin in np.linspace(0.001, 0.2, 40)]
        first = words.index("does not matter") if "does not matter" in words else len(words)
        assert set(words[first:]) <= {"does not matter"}
        assert len(set(words[:first])) <= 1


def test_the_error_that_decides_by_hand() -> None:
    """Between the closed forms that hold where one of the three answers is all that is possible."""
    # zero: P(|e| > h) is .05, so P(|e| < .01 - h) must be .75: .01 / error - 1.95996 = z_.875 = 1.15035
    assert wanted_error(0.0, 0.95, 0.01) == pytest.approx(0.01 / (1.95996 + 1.15035), rel=1e-5)
    # half the margin: as likely above h as below .01 - h, each z_.6 = .25335 errors away; the other sign is rare
    assert wanted_error(0.005, 0.95, 0.01) == pytest.approx(0.01 / 2 / (1.95996 - 0.25335), rel=1e-3)
    # far above the margin: it helps, 1.95996 + .84162 errors from zero
    assert wanted_error(0.1, 0.95, 0.01) == pytest.approx(0.1 / (1.95996 + 0.84162), rel=1e-5)
    assert wanted_error(-0.1, 0.95, 0.01) == wanted_error(0.1, 0.95, 0.01)
    # 4e-4 / .0032151^2 = 38.7 seeds of sd .02, without an error of videos
    tiny = verdict(measured(0.0, -0.02, 0.02, video_error=0.0), 290, 0.01)
    assert str(tiny) == "cannot tell: about 39 seeds would be needed to decide"
    # 1.6e-5 is more than .0032151^2 = 1.0337e-5: videos alone leave too much, (1.6e-5 + 4e-4 / 6) / 1.0337e-5 = 8.0
    both = verdict(measured(0.0, -0.02, 0.02), 290, 0.01)
    assert (both.seeds, both.videos) == (math.inf, math.inf)
    assert str(both) == "cannot tell: about 8.0 times as many seeds and videos would be needed to decide"


@pytest.mark.parametrize("level", [0.95, 0.9875])
def test_every_effect_can_be_decided_and_a_wider_margin_asks_for_less(level: float) -> None:
    z = stats.norm.ppf((1 + level) / 2)
    for value in (0.0, 1e-4, 0.004, 0.0099, 0.01, 0.011, 0.03):
        errors = [wanted_error(value, level, margin) for margin in (0.002, 0.01, 0.05, 0.2)]
        assert all(error > margin / (2 * z) for error, margin in zip(errors, (0.002, 0.01, 0.05, 0.2), strict=True))
        assert (np.diff(errors) > -1e-9).all()
        drawn = np.random.default_rng(0).normal(value, errors[1], 200_000)
        reach = z * errors[1]
        decided = (np.abs(drawn) > reach) | (np.abs(drawn) < 0.01 - reach)
        assert decided.mean() == pytest.approx(0.8, abs=0.005)


def test_shares_of_known_draws() -> None:
    drawn = np.array([-0.02, -0.01, -0.0099, 0.0, 0.0, 0.005, 0.01, 0.03, 0.04, 0.5])
    assert shares_of(drawn, 0.01) == pytest.approx((0.2, 0.4, 0.4))
    assert shares_of(np.append(drawn, np.nan), 0.01) == pytest.approx((0.2, 0.4, 0.4))
    assert shares_of(drawn, 0.6) == (0, 1, 0)
    for nothing in (np.empty(0), np.full(3, np.nan)):
        assert np.isnan(shares_of(nothing, 0.01)).all()


def test_shares_are_of_the_resamples_of_the_interval() -> None:
    """They sum to 1, and what the interval rules out has at most what it leaves out."""
    rng = np.random.default_rng(1)
    for n_seeds in (1, 2, 6):
        for mean in (-0.05, 0.0, 0.03):
            values = rng.normal(mean, 0.01, n_seeds)
            found = effect(values, values[:, None] + rng.normal(0, 0.005, (n_seeds, 400)), 0, DIFFERENCE, 2)
            ends = np.quantile(found.draws, [(1 - found.level) / 2, (1 + found.level) / 2])
            assert tuple(ends) == pytest.approx((found.low, found.high))
            for margin in (0.001, 0.02, 0.2):
                parts = shares_of(found.draws, margin)
                assert sum(parts) == pytest.approx(1)
                if verdict(found, 290, margin).word == "does not matter":
                    assert parts[1] >= found.level
    assert not effect(np.full(2, np.nan), np.full((2, 9), np.nan), 0, DIFFERENCE).draws.size


# few points


def test_rank_correlation_equals_scipy() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(8, size=(2, 20)).astype(float)
    found, expected = rank_correlation(x, y), stats.spearmanr(x, y)
    assert (found.value, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("y", "r", "p"), [((1, 2, 3, 5, 4), 0.9, 10 / 120), ((2, 1, 3, 4, 7, 6, 5), 1 - 60 / 336, 0.034)]
)
def test_few_points_have_the_p_of_the_tables(y: tuple[int, ...], r: float, p: float) -> None:
    found = rank_correlation(np.arange(len(y)), np.array(y))
    assert (found.value, found.p) == (pytest.approx(r), pytest.approx(p, abs=6e-4))


def test_few_points_say_so() -> None:
    two = rank_correlation(np.array([1.0, 2, np.nan]), np.array([2.0, 3, 4]))
    assert np.isnan(two.value)
    assert two.reason == "2 points are too few to correlate"
    four = rank_correlation(np.arange(4.0), np.arange(4.0))
    assert (four.value, four.p) == pytest.approx((1, 2 / 24))
    assert np.isnan([four.low, four.high]).all()
    assert "4 points are too few to decide" in four.reason
    five = rank_correlation(np.arange(5.0), np.arange(5.0))
    assert (five.value, five.high, five.reason) == (pytest.approx(1), pytest.approx(1), "")
    assert 0 < five.low < 0.6
    assert "all points are equal" in rank_correlation(np.ones(6), np.arange(6.0)).reason


# coverage, by simulation


def simulate(
    rng: np.random.Generator, n_each: int, n_frames: int, separation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n_scorers, n_frames) of scorers with the given separations on the same normal and anomalous videos.

    A video has an effect that all scorers share, one of each scorer's own, and its
    frames differ: every score has unit variance, half of it the video's.
    """
    videos = np.repeat(np.arange(2 * n_each), n_frames)
    events = videos < n_each
    shared = rng.normal(0, math.sqrt(0.3), 2 * n_each)
    own = rng.normal(0, math.sqrt(0.2), (len(separation), 2 * n_each))
    noise = rng.normal(0, math.sqrt(0.5), (len(separation), len(videos)))
    return separation[:, None] * events + (shared + own)[:, videos] + noise, events, videos


@pytest.mark.slow
def test_intervals_by_video_cover_and_intervals_by_frame_do_not() -> None:
    """500 draws of 60 + 60 videos; the AUC is Phi(separation / sqrt 2). Measurement: .948 by video, .596 by frame."""
    rng, separation = np.random.default_rng(0), 0.8
    true = stats.norm.cdf(separation / math.sqrt(2))
    anomalous = np.arange(120) < 60
    videos_drawn, frames_drawn = (bootstrap_weights(np.repeat(anomalous, k), 1000, 0) for k in (1, 10))
    by_video, by_frame = [], []
    for _ in range(500):
        (scores,), events, videos = simulate(rng, 60, 10, np.array([separation]))
        each = np.arange(len(scores))  # the mistake: every frame as if it were a video of its own
        for code, drawn, covered in ((videos, videos_drawn, by_video), (each, frames_drawn, by_frame)):
            low, high = percentile_interval(pairwise_counts(scores, events, code).auc(drawn))
            covered.append(low <= true <= high)
    assert 0.92 <= np.mean(by_video) <= 0.98
    assert np.mean(by_frame) < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [2, 3, 6])
@pytest.mark.parametrize(
    "variances", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)], ids=["seeds", "videos", "both", "all"]
)
def test_effect_covers_whatever_the_noise_comes_from(variances: tuple[int, int, int], n_seeds: int) -> None:
    """Means of (seeds, videos) tables with variances of seed, video and their interaction; measured: .93 to .96."""
    rng = np.random.default_rng(0)
    of_seed, of_video, of_both = np.sqrt(variances)
    drawn = bootstrap_weights(np.arange(100) % 2, 600, 0)
    covered = []
    for draw in range(500):
        table = rng.normal(0, of_video, 100) + rng.normal(0, of_both, (n_seeds, 100))
        table += rng.normal(0, of_seed / 3, (n_seeds, 1))
        table *= 0.1  # to the size of differences of AUCs
        found = effect(table.mean(axis=1), table @ drawn.T / 100, draw, DIFFERENCE)
        covered.append(found.low <= 0 <= found.high)
    assert 0.92 <= np.mean(covered) <= 0.98


@pytest.mark.slow
def test_paired_differences_over_videos_and_seeds_cover() -> None:
    """500 draws of 6 seeds and 40 + 40 videos; a seed moves the separation of its scorer. Measurement: .938."""
    rng, sd = np.random.default_rng(1), 0.15
    base, gain = 0.7, 0.15
    true = np.subtract(*stats.norm.cdf([(base + gain) / math.sqrt(2 + sd**2), base / math.sqrt(2 + sd**2)]))
    drawn = bootstrap_weights(np.arange(80) < 40, 1000, 0)
    covered, told = [], []
    for draw in range(500):
        separation = np.concatenate([np.full(6, base + gain), np.full(6, base)]) + rng.normal(0, sd, 12)
        scores, events, videos = simulate(rng, 40, 8, separation)
        counts = [pairwise_counts(of, events, videos) for of in scores]
        found = paired_difference(counts[:6], counts[6:], drawn, draw)
        covered.append(found.low <= true <= found.high)
        told.append(verdict(found, 80, 0.01).word)
    assert 0.92 <= np.mean(covered) <= 0.98
    assert told.count("hurts") <= 0.05 * len(told)


def test_ties_are_a_share_of_the_frames_compared():
    scores, positives = np.array([1.0, 1.0, 2.0, 0.0]), np.array([True, False, False, False])
    assert tied_share(scores, positives) == pytest.approx(1 / 3)
    # three frames against two that tie, one above, five below
    assert tied_share(scores, positives, np.array([3, 2, 1, 5])) == pytest.approx(2 / 8)
    assert np.isnan(tied_share(scores, np.zeros(4, bool)))


def test_the_same_resamples_are_drawn_once_and_nobody_can_change_them(monkeypatch):
    monkeypatch.setattr(bootstrap, "_kept", type(bootstrap._kept)())
    strata = np.arange(30) % 2
    first = bootstrap_weights(strata, 40, 3)
    again, others = bootstrap_weights(strata.copy(), 40, 3), bootstrap_weights(strata < 1, 40, 3)
    assert again is first
    np.testing.assert_array_equal(first.sum(axis=1), 30)
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1
    assert (first != others).any()  # the strata come in the other order
    monkeypatch.setattr(bootstrap, "KEPT_MIB", first.nbytes / 2**20 / 2)
    np.testing.assert_array_equal(bootstrap_weights(strata, 40, 3), first)
    assert not bootstrap._kept  # more than may be kept
