"""How sure one can be: bootstraps over videos, tests over seeds, effects of auxiliaries. Arrays in, arrays out."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.stats import norm, rankdata, spearmanr, t

LEVEL = 0.95
POWER = 0.8  # of the study that `verdict` asks for
WITHIN_REACH, WITHIN_REACH_TIMES = 10_000, 20  # seeds or videos, or times as many of both, that a verdict may ask for
FEWEST_SEEDS = 6  # with fewer no sign-flip test can fall below .05
FEWEST_POINTS = 5  # with fewer no rank correlation can fall below .05
EXACT_SEEDS, FLIPS = 16, 20_000  # all sign flips are tried up to 2^16, beyond that so many random ones
EXACT_POINTS = 7  # all orders are tried up to 7!
CELLS = 2**16  # counts cumulated at once: few enough to stay in the cache, changes no number


def macro_auc(events: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve, the mean over the columns that have both outcomes.

    Parameters
    ----------
    events : ndarray of bool, shape (n_frames, n_columns)
    scores : ndarray of shape (n_frames, n_columns)
        Finite; higher means that the event is more likely.

    Returns
    -------
    float
        In [0, 1]; NaN where no column has both outcomes.
    """
    positives = events.sum(axis=0)
    compared = positives * (len(events) - positives)
    if not compared.any():
        return float("nan")
    both = np.flatnonzero(compared)
    # column by column: ranks take twenty times the memory of the scores
    ranks = np.array([rankdata(scores[:, i])[events[:, i]].sum() for i in both])
    won = ranks - positives[both] * (positives[both] + 1) / 2
    return float((won / compared[both]).mean())


@dataclass(frozen=True)
class VideoWins:
    """All that an AUC needs to know of the scores, by pairs of videos.

    An AUC is a share of won comparisons between positive and negative frames.
    Videos are resampled whole, so the comparisons between two videos are counted
    once, and every resample is a product with the videos' multiplicities.

    Attributes
    ----------
    wins : ndarray of shape (n_rows, n_columns)
        Comparisons that the positive frames of a video win against the negative
        frames of another, ties counted half.
    rows, columns : ndarray of int
        The videos that have positive frames, and those that have negative ones.
    positives, negatives : ndarray, shapes (n_rows,) and (n_columns,)
        Number of such frames.
    """

    wins: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    def auc(self, multiplicities: np.ndarray) -> np.ndarray:
        """AUC of every resample; NaN where a resample lacks positive or negative frames.

        Parameters
        ----------
        multiplicities : ndarray of shape (n_resamples, n_videos)
            How often each video is drawn; a single row of ones is the plain AUC.

        Returns
        -------
        ndarray of shape (n_resamples,)
        """
        above = np.asarray(multiplicities, float)[:, self.rows]
        below = np.asarray(multiplicities, float)[:, self.columns]
        won = np.einsum("rc,rc->r", above @ self.wins, below)
        compared = (above @ self.positives) * (below @ self.negatives)
        return np.divide(won, compared, out=np.full(len(won), np.nan), where=compared > 0)


def video_wins(scores: np.ndarray, events: np.ndarray, videos: np.ndarray) -> VideoWins:
    """Count, for every two videos, the comparisons won.

    Parameters
    ----------
    scores : ndarray of shape (n_frames,)
        Finite; higher means that the event is more likely.
    events : ndarray of bool, shape (n_frames,)
    videos : ndarray of int, shape (n_frames,)
        Code of each frame's video.

    Returns
    -------
    VideoWins
        Exact; it takes time in n_frames * log(n_frames) + n_frames * (the smaller
        number of videos with positive or with negative frames).
    """
    level = np.unique(scores, return_inverse=True)[1]
    rows, row = np.unique(videos[events], return_inverse=True)
    columns, column = np.unique(videos[~events], return_inverse=True)
    n_levels = int(level.max(initial=-1)) + 1
    positive, negative = level[events], level[~events]
    if len(columns) <= len(rows):
        wins = _beaten(positive, row, len(rows), negative, column, len(columns), n_levels)
    else:  # the same seen from the other side: cheaper, as it cumulates over the fewer videos
        last = n_levels - 1
        wins = _beaten(last - negative, column, len(columns), last - positive, row, len(rows), n_levels).T
    return VideoWins(
        np.ascontiguousarray(wins),
        rows,
        columns,
        np.bincount(row, minlength=len(rows)).astype(float),
        np.bincount(column, minlength=len(columns)).astype(float),
    )


def _beaten(
    level: np.ndarray,
    video: np.ndarray,
    n_videos: int,
    other_level: np.ndarray,
    other_video: np.ndarray,
    n_others: int,
    n_levels: int,
) -> np.ndarray:
    """Frames of every other video that lie below the frames of a video, ties half; (n_videos, n_others)."""
    order, other_order = np.argsort(level, kind="stable"), np.argsort(other_level, kind="stable")
    level, video = level[order], video[order]
    other_level, other_video = other_level[other_order], other_video[other_order]
    wins = np.zeros((n_videos, n_others))
    passed = np.zeros(n_others)
    step = max(1, CELLS // max(1, n_others))
    for start in range(0, n_levels, step):
        size = min(step, n_levels - start)
        here = slice(*np.searchsorted(level, (start, start + size)))
        there = slice(*np.searchsorted(other_level, (start, start + size)))
        cell = (other_level[there] - start) * n_others + other_video[there]
        counts = np.bincount(cell, minlength=size * n_others).reshape(size, n_others)
        reached = passed + counts.cumsum(axis=0)
        frames = sparse.csr_array(
            (np.ones(here.stop - here.start), (video[here], level[here] - start)), shape=(n_videos, size)
        )
        wins += frames @ (reached - counts / 2)
        passed = reached[-1]
    return wins


def stratified_multiplicities(strata: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """How often each unit is drawn in every resample with replacement within its stratum.

    Parameters
    ----------
    strata : ndarray of shape (n_units,)
        Stratum of each unit; every resample keeps the number of units of each.
    resamples, seed : int

    Returns
    -------
    ndarray of float, shape (resamples, n_units)
    """
    generator = np.random.default_rng(seed)
    drawn = np.zeros((resamples, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
    return drawn


def percentile_interval(draws: np.ndarray, axis: int = -1, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the percentile interval over the defined draws; NaN where none is defined."""
    defined = np.isfinite(draws).any(axis=axis, keepdims=True)
    low, high = np.nanquantile(np.where(defined, draws, 0.0), [(1 - level) / 2, (1 + level) / 2], axis=axis)
    some = defined.squeeze(axis)
    return np.where(some, low, np.nan), np.where(some, high, np.nan)


def mean_of_defined(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean over the values that are not NaN; NaN, without a warning, where there is none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def spearman(values: np.ndarray, multiplicities: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Rank correlation between every two columns, in every resample of the rows.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
    multiplicities : ndarray of shape (n_resamples, n_rows)
        How often each row is drawn; a single row of ones is the plain correlation.
    groups : ndarray of shape (n_rows,), optional
        Where given, a row is ranked among the rows of its group only and its rank
        is taken from the group's mean rank and divided by the group's size, so
        neither level nor spread of a group can make a correlation.

    Returns
    -------
    ndarray of shape (n_resamples, n_columns, n_columns)
        In [-1, 1]; NaN where a column is constant in a resample.
    """
    drawn = np.asarray(multiplicities, float)
    group = np.zeros(len(values), int) if groups is None else np.unique(groups, return_inverse=True)[1]
    ranks = np.stack([_centred_ranks(column, group, drawn) for column in values.T], axis=2)
    weighted = (ranks * drawn[:, :, None]).transpose(0, 2, 1)  # (n_resamples, n_columns, n_rows)
    return _correlation(weighted @ ranks)


def _centred_ranks(values: np.ndarray, group: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Mid-rank of each row within its group, less the group's mean rank, over its size; (n_resamples, n_rows)."""
    order = np.lexsort((values, group))
    new_group = np.diff(group[order], prepend=-1) != 0
    new_level = new_group | (np.diff(values[order], prepend=np.nan) != 0)
    reached = np.concatenate([np.zeros((len(drawn), 1)), drawn[:, order].cumsum(axis=1)], axis=1)
    level_start, level_end = _ends(new_level)
    group_start, group_end = _ends(new_group)
    # the mean rank of a level lies half-way between the counts below it and up to it; so does a group's
    position = (reached[:, level_start] + reached[:, level_end]) / 2
    middle = (reached[:, group_start] + reached[:, group_end]) / 2
    size = reached[:, group_end] - reached[:, group_start]
    ranks = np.empty_like(drawn)
    ranks[:, order] = np.divide(position - middle, size, out=np.zeros_like(position), where=size > 0)
    return ranks


def _ends(starts_new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First position, and the one after the last, of the stretch that each position belongs to."""
    starts = np.flatnonzero(starts_new)
    stretch = starts_new.cumsum() - 1
    return starts[stretch], np.append(starts[1:], len(starts_new))[stretch]


def _correlation(covariance: np.ndarray) -> np.ndarray:
    """Correlations of a stack of covariance matrices; NaN where a variance is zero."""
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    # what rounding leaves of a constant is no variance
    scale = np.sqrt(np.where(variance > 1e-12 * np.abs(covariance).max(axis=(-2, -1))[..., None], variance, np.nan))
    return np.clip(covariance / scale[..., :, None] / scale[..., None, :], -1, 1)


def block_correlation(values: np.ndarray, block: int, resamples: int, seed: int) -> np.ndarray:
    """Pearson correlation between every two columns, in resamples of whole blocks of consecutive rows.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
        Rows in time.
    block : int
        Rows per block; longer than the time over which rows depend on each other.
    resamples, seed : int

    Returns
    -------
    ndarray of shape (resamples, n_columns, n_columns)
        NaN where a column is constant.

    References
    ----------
    Politis and Romano, A circular block-resampling procedure, 1992.
    """
    n_rows, n_columns = values.shape
    centred = _standardised(values)
    moments = np.concatenate([centred, (centred[:, :, None] * centred[:, None, :]).reshape(n_rows, -1)], axis=1)
    circle = np.concatenate([moments, moments[: block - 1]])
    reached = np.concatenate([np.zeros((1, moments.shape[1])), circle.cumsum(axis=0)])
    of_block = reached[block:] - reached[:-block]  # sums over the block that starts at each row
    starts = np.random.default_rng(seed).integers(n_rows, size=(resamples, -(-n_rows // block)))
    mean = of_block[starts].mean(axis=1) / block
    first, second = mean[:, :n_columns], mean[:, n_columns:].reshape(-1, n_columns, n_columns)
    return _correlation(second - first[:, :, None] * first[:, None, :])


def pearson(values: np.ndarray) -> np.ndarray:
    """Pearson correlation between every two columns of (n_rows, n_columns); NaN where a column is constant."""
    standard = _standardised(values)
    return _correlation(standard.T @ standard)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns about their mean, the largest deviation 1; zero where a column is constant but for rounding."""
    centred = values - values.mean(axis=0)
    spread = np.abs(centred).max(axis=0)
    return np.where(spread > 1e-12 * np.abs(values).max(axis=0), centred / np.where(spread > 0, spread, 1), 0.0)


@dataclass(frozen=True)
class Effect:
    """A number made of AUCs, for example a difference of two sets, and how sure one can be of it.

    Attributes
    ----------
    value : float
        Mean over seeds; NaN where undefined.
    low, high : float
        Ends of its interval over videos and seeds.
    p : float
        Sign-flip p over seeds; never below 2 / 2^n_seeds.
    n_seeds : int
        Seeds that count.
    seed_sd : float
        Standard deviation over seeds, NaN with a single one.
    video_error : float
        Standard error that comes from the choice of videos, whatever the seed.
    level : float
        Of the interval.
    reason : str
        Why something is NaN or left out; else empty.
    """

    value: float
    low: float
    high: float
    p: float
    n_seeds: int
    seed_sd: float
    video_error: float
    level: float = LEVEL
    reason: str = ""


def sampled_aucs(runs: Sequence[VideoWins], multiplicities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUC of every run, plain and in the same resamples of videos for all of them.

    Parameters
    ----------
    runs : sequence of VideoWins
        Their videos must be coded alike.
    multiplicities : ndarray of shape (n_resamples, n_videos)

    Returns
    -------
    ndarray of shape (n_runs,), ndarray of shape (n_runs, n_resamples)
    """
    once = np.ones((1, multiplicities.shape[1]))
    plain = np.array([run.auc(once)[0] for run in runs])
    return plain, np.array([run.auc(multiplicities) for run in runs]).reshape(len(runs), -1)


def paired_difference(
    first: Sequence[VideoWins], second: Sequence[VideoWins], multiplicities: np.ndarray, seed: int
) -> Effect:
    """Mean AUC of the first set of runs less that of the second, run by run.

    Parameters
    ----------
    first, second : sequence of VideoWins
        One run per seed, in the same order of seeds; videos coded alike.
    multiplicities : ndarray of shape (n_resamples, n_videos)
        The same resampled videos serve both.
    seed : int
        Of the bootstrap over seeds.
    """
    (plain, draws), (base, base_draws) = sampled_aucs(first, multiplicities), sampled_aucs(second, multiplicities)
    return effect(plain - base, draws - base_draws, seed)


def effect(values: np.ndarray, draws: np.ndarray, seed: int, comparisons: int = 1) -> Effect:
    """Mean over seeds with an interval over videos and seeds.

    Videos and seeds are crossed: every seed sees every video. In every resample of
    the videos the seeds are resampled too, with two corrections. What a seed does
    to single videos shows in the spread over seeds and again in the spread over
    videos, so of the latter only what the seeds have in common counts: its
    variance is the mean covariance of two seeds' draws (a plain two-way bootstrap
    covers 99.6 % where 95 % are promised). And a bootstrap over few units is too
    narrow by nature, so the seeds' part is widened by sqrt(n / (n - 1)) t / z
    (expanded percentiles): that of six seeds is as wide as a t interval.

    Parameters
    ----------
    values : ndarray of shape (n_seeds,)
        The number of every seed: an AUC, or a contrast of AUCs of that seed. Seeds
        where it is NaN are left out.
    draws : ndarray of shape (n_seeds, n_resamples)
        The same in every resample of the videos.
    seed : int
        Of the bootstrap over seeds.
    comparisons : int
        Number of effects judged together; the interval is widened to hold for all
        of them at once (Bonferroni).

    References
    ----------
    Owen, The pigeonhole bootstrap, 2007; Hesterberg, What teachers should know
    about the bootstrap, 2015.
    """
    defined = np.isfinite(values)
    values, draws = values[defined], draws[defined]
    n_seeds = len(values)
    level = 1 - (1 - LEVEL) / comparisons
    reason = f"{len(defined) - n_seeds} of {len(defined)} seeds are undefined" if not defined.all() else ""
    if n_seeds == 0:
        nan = float("nan")
        return Effect(nan, nan, nan, nan, 0, nan, nan, level, reason or "no seeds")
    value, by_videos = float(values.mean()), draws.mean(axis=0)
    if n_seeds == 1:
        reason = "; ".join(filter(None, [reason, "one seed: the interval is over videos only"]))
        low, high = percentile_interval(by_videos, level=level)
        video_error = math.sqrt(float(mean_of_defined((by_videos - mean_of_defined(by_videos)) ** 2)))
        return Effect(value, float(low), float(high), 1.0, 1, float("nan"), video_error, level, reason)
    shared, share = _shared_by_seeds(draws)
    # a stream of its own: that of the videos would give as many seeds as a stratum has videos the same draws
    times = np.random.default_rng([seed, 1]).multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), draws.shape[1])
    of_seeds = (times @ values / n_seeds - value) * _expansion(n_seeds, level)
    low, high = percentile_interval(value + share * (by_videos - mean_of_defined(by_videos)) + of_seeds, level=level)
    seed_sd = float(values.std(ddof=1))
    return Effect(value, float(low), float(high), sign_flip(values), n_seeds, seed_sd, shared, level, reason)


def _shared_by_seeds(draws: np.ndarray) -> tuple[float, float]:
    """Standard deviation over resamples that the seeds share, and its ratio to that of their mean."""
    draws = draws[:, np.isfinite(draws).all(axis=0)]
    if draws.shape[1] < 2:
        return float("nan"), float("nan")
    n_seeds, of_mean = len(draws), draws.mean(axis=0).var()
    covariance = (n_seeds**2 * of_mean - draws.var(axis=1).sum()) / (n_seeds * (n_seeds - 1))
    shared = math.sqrt(max(covariance, 0.0))
    return shared, shared / math.sqrt(of_mean) if of_mean > 0 else 0.0


def _expansion(n: int, level: float) -> float:
    """By how much a bootstrap over n units is narrower than the t interval over them."""
    tail = (1 + level) / 2
    return math.sqrt(n / (n - 1)) * float(t.ppf(tail, n - 1) / norm.ppf(tail))


def sign_flip(values: np.ndarray) -> float:
    """Two-sided p of a mean of zero: share of the sign flips with a mean as far from zero.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Paired differences. Up to 16 of them all 2^n flips are tried, beyond that
        20,000 random ones.

    Returns
    -------
    float
        Never below 2 / 2^n; NaN without values.
    """
    n = len(values)
    if n == 0:
        return float("nan")
    if n <= EXACT_SEEDS:
        positive = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        positive = np.random.default_rng(0).integers(2, size=(FLIPS, n))
        positive[0] = values > 0  # the data themselves are one of the flips
    scale = np.abs(values).sum()
    # sums that differ by rounding only are alike
    return float((np.abs((2 * positive - 1) @ np.abs(values)) >= abs(values.sum()) - 1e-12 * scale).mean())


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's corrected p of several comparisons, in their order; NaN are no comparisons and stay NaN."""
    p = np.asarray(p, float)
    corrected = np.full(p.shape, np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # NaN sort last
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return corrected


def bundles(sets: Sequence[Collection[str]]) -> list[tuple[str, ...]]:
    """Auxiliaries that a design can tell apart: those always used together come as one.

    Parameters
    ----------
    sets : sequence of collections of str
        Auxiliary tasks of every set of the design; the main task is not named.

    Returns
    -------
    list of tuple of str
        In order of first appearance.
    """
    names = list(dict.fromkeys(name for used in sets for name in used))
    by_use: dict[tuple[bool, ...], list[str]] = {}
    for name in names:
        by_use.setdefault(tuple(name in used for used in sets), []).append(name)
    return [tuple(alike) for alike in by_use.values()]


def main_effects(sets: Sequence[Collection[str]]) -> dict[tuple[str, ...], np.ndarray]:
    """Weights that turn the AUCs of all sets into the main effect of each auxiliary.

    The main effect of j is the mean of AUC(S + j) - AUC(S) over every set S of the
    design without j whose S + j is there too: all of them in a full factorial.

    Parameters
    ----------
    sets : sequence of collections of str
        Distinct sets of auxiliaries, the empty one among them or not.

    Returns
    -------
    dict of tuple of str to ndarray of shape (n_sets,)
        By bundle (see `bundles`); those that no pair of sets isolates are missing.
    """
    position = _positions(sets)
    effects = {}
    for bundle in bundles(sets):
        pairs = [
            (position[s | set(bundle)], i)
            for s, i in position.items()
            if not s & set(bundle) and s | set(bundle) in position
        ]
        if pairs:
            effects[bundle] = np.zeros(len(sets))
            for with_it, without in pairs:
                effects[bundle][with_it] += 1 / len(pairs)
                effects[bundle][without] -= 1 / len(pairs)
    return effects


def shapley_values(sets: Sequence[Collection[str]]) -> dict[tuple[str, ...], np.ndarray]:
    """Weights that turn the AUCs of all sets into the Shapley value of each auxiliary.

    The mean over all orders of joining of what j adds to those before it; the
    values sum to AUC(all) - AUC(none).

    Parameters
    ----------
    sets : sequence of collections of str
        Distinct sets of auxiliaries.

    Returns
    -------
    dict of tuple of str to ndarray of shape (n_sets,)
        By bundle, for the largest full factorial that the design holds; sets
        outside of it have no weight. Empty where it holds none.

    References
    ----------
    Shapley, A value for n-person games, 1953.
    """
    position = _positions(sets)
    factors = _largest_factorial(bundles(sets), position)
    values = {factor: np.zeros(len(sets)) for factor in factors}
    n = len(factors)
    for factor, weights in values.items():
        others = [other for other in factors if other != factor]
        for size in range(n):
            share = 1 / (n * math.comb(n - 1, size))
            for before in combinations(others, size):
                joined = frozenset().union(*before)
                weights[position[joined | set(factor)]] += share
                weights[position[joined]] -= share
    return values


def contrast(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted sum over the first axis; what has no weight may be NaN.

    Parameters
    ----------
    weights : ndarray of shape (n_sets,)
        For example of `main_effects`.
    values : ndarray of shape (n_sets, ...)
        AUCs by set, then seed, then resample: both arguments of `effect`, for one
        set after the other.

    Returns
    -------
    ndarray of shape (...)
    """
    used = weights != 0
    return np.tensordot(weights[used], values[used], axes=1)


def _positions(sets: Sequence[Collection[str]]) -> dict[frozenset[str], int]:
    """Where each set stands."""
    position = {frozenset(used): i for i, used in enumerate(sets)}
    if len(position) != len(sets):
        raise ValueError("A set of auxiliaries is listed twice.")
    return position


def _largest_factorial(factors: list[tuple[str, ...]], position: Collection[frozenset[str]]) -> list[tuple[str, ...]]:
    """The most factors of which every combination is there; the first such in order."""
    for size in range(len(factors), 0, -1):
        for chosen in combinations(factors, size):
            unions = (frozenset().union(*some) for k in range(size + 1) for some in combinations(chosen, k))
            if all(union in position for union in unions):
                return list(chosen)
    return []


@dataclass(frozen=True)
class Verdict:
    """What an effect comes to, in a word, and what it would take to say more.

    Attributes
    ----------
    word : {"helps", "hurts", "cannot tell"}
    seeds, videos : float
        How many of the one, with as many of the other as now, would tell with 80 %
        probability if the effect is as large as measured: infinite where no number
        would, NaN where the word is out already or nothing can be foreseen.
    factor : float
        By how much both would have to grow together.
    """

    word: Literal["helps", "hurts", "cannot tell"]
    seeds: float = float("nan")
    videos: float = float("nan")
    factor: float = float("nan")

    def __str__(self) -> str:
        """The word, and what would tell where anything within reach would."""
        if self.word != "cannot tell":
            return self.word
        ways = [f"{n:,.0f} {unit}" for n, unit in ((self.seeds, "seeds"), (self.videos, "videos")) if n <= WITHIN_REACH]
        if ways:
            return f"{self.word}: {' or '.join(ways)} would"
        if self.factor <= WITHIN_REACH_TIMES:
            return f"{self.word}: {self.factor:.1f} times the seeds and the videos would"
        return f"{self.word}: nothing within reach would" if self.factor > 0 else self.word


def verdict(of: Effect, n_videos: int) -> Verdict:
    """Say whether an auxiliary helps: yes or no where the interval leaves zero out.

    Else: the variance of the effect is v / n_videos + s^2 / n_seeds, and to tell
    it must come down to (effect / (z_.975 + z_.8))^2, so that

        seeds  >= s^2 / ((effect / 2.80)^2 - v / n_videos), and six at least,
        videos >= v / ((effect / 2.80)^2 - s^2 / n_seeds),

    with the z of the effect's own level. A single seed never tells.

    Parameters
    ----------
    of : Effect
    n_videos : int
        Test videos that the effect was measured on.
    """
    if of.n_seeds < 2:
        return Verdict("cannot tell", FEWEST_SEEDS)
    if of.low > 0:
        return Verdict("helps")
    if of.high < 0:
        return Verdict("hurts")
    wanted = (of.value / float(norm.ppf((1 + of.level) / 2) + norm.ppf(POWER))) ** 2
    by_videos, by_seeds = of.video_error**2, of.seed_sd**2 / of.n_seeds
    seeds = _needed(by_seeds * of.n_seeds, wanted - by_videos)
    videos = _needed(by_videos * n_videos, wanted - by_seeds)
    factor = (by_videos + by_seeds) / wanted if wanted > 0 else math.inf
    return Verdict("cannot tell", max(seeds, of.n_seeds + 1, FEWEST_SEEDS), max(videos, n_videos + 1), factor)


def _needed(variance: float, left: float) -> float:
    """Least number that brings a variance per unit down to what is left for it."""
    return float(np.ceil(variance / left)) if left > 0 else math.inf


def delta_m(scores: np.ndarray, single: np.ndarray, higher_is_better: np.ndarray) -> np.ndarray:
    """Mean relative gain of several tasks over their single-task scores.

    Parameters
    ----------
    scores, single : ndarray of shape (..., n_tasks)
    higher_is_better : ndarray of bool, shape (n_tasks,)

    Returns
    -------
    ndarray of shape (...)
        A share: .01 is one percent. NaN where a score is.

    References
    ----------
    Maninis et al., Attentive single-tasking of multiple tasks, CVPR 2019, eq. 4.
    """
    return (np.where(higher_is_better, 1, -1) * (scores - single) / single).mean(axis=-1)


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation of a few points.

    Attributes
    ----------
    value, low, high : float
    p : float
        Of no relation, two-sided.
    n : int
        Points that count.
    reason : str
        Why something is NaN; else empty.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    reason: str = ""


def rank_correlation(x: np.ndarray, y: np.ndarray) -> RankCorrelation:
    """Spearman's correlation with an interval that is honest about few points.

    The interval is Fisher's with the error sqrt((1 + r^2 / 2) / (n - 3)); a perfect
    order counts as half a step less than perfect, as it would otherwise have no
    width. p is exact up to seven points. Points that share runs are not
    independent; then both are too sure.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        Points where one is NaN are left out.

    Returns
    -------
    RankCorrelation
        Without interval below five points; NaN below three or where all are alike.

    References
    ----------
    Bonett and Wright, Sample size requirements for estimating Pearson, Kendall and
    Spearman correlations, 2000.
    """
    both = np.isfinite(x) & np.isfinite(y)
    x, y = rankdata(np.asarray(x)[both]), rankdata(np.asarray(y)[both])
    n, nan = len(x), float("nan")
    if n < 3:
        return RankCorrelation(nan, nan, nan, nan, n, f"{n} points are too few to correlate")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return RankCorrelation(nan, nan, nan, nan, n, "all points are alike in one of the two")
    r = float(np.corrcoef(x, y)[0, 1])
    p = _permutation_p(x, y) if n <= EXACT_POINTS else float(spearmanr(x, y).pvalue)
    if n < FEWEST_POINTS:
        reason = f"{n} points are too few to tell: even a perfect order of {n} comes by chance"
        return RankCorrelation(r, nan, nan, p, n, reason)
    step = 12 / (n * (n**2 - 1))  # smallest change of r without ties
    z = math.atanh(math.copysign(min(abs(r), 1 - step / 2), r))
    half = float(norm.ppf((1 + LEVEL) / 2)) * math.sqrt((1 + r**2 / 2) / (n - 3))
    return RankCorrelation(r, min(math.tanh(z - half), r), max(math.tanh(z + half), r), p, n)


def _permutation_p(x: np.ndarray, y: np.ndarray) -> float:
    """Share of all orders of y that correlate with x as strongly."""
    x, y = x - x.mean(), y - y.mean()
    products = np.array(list(permutations(y))) @ x
    return float((np.abs(products) >= abs(x @ y) - 1e-9).mean())
