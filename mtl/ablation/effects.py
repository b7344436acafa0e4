"""Effects on the AUC with intervals over videos and seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm, t

from mtl.statistics.bootstrap import LEVEL, mean_of_defined, percentile_interval
from mtl.statistics.bounded import DIFFERENCE, Bounds
from mtl.statistics.pairwise import PairwiseCounts
from mtl.statistics.significance import sign_flip


@dataclass(frozen=True)
class Effect:
    """A number made of AUCs, for example a difference of two sets, and its uncertainty.

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
    draws : ndarray of shape (n_resamples,)
        The resamples of which the interval holds the middle, widened as it is; NaN
        where one is undefined. Empty without a seed.
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
    draws: np.ndarray = field(default_factory=lambda: np.empty(0), compare=False, repr=False)


def sampled_aucs(runs: Sequence[PairwiseCounts], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUC of every run, plain and in the same resamples of videos for all of them.

    Parameters
    ----------
    runs : sequence of PairwiseCounts
        Their videos must be coded alike.
    weights : ndarray of shape (n_resamples, n_videos)

    Returns
    -------
    ndarray of shape (n_runs,), ndarray of shape (n_runs, n_resamples)
    """
    once = np.ones((1, weights.shape[1]))
    plain = np.array([run.auc(once)[0] for run in runs])
    return plain, np.array([run.auc(weights) for run in runs]).reshape(len(runs), -1)


def paired_difference(
    first: Sequence[PairwiseCounts], second: Sequence[PairwiseCounts], weights: np.ndarray, seed: int
) -> Effect:
    """Mean AUC of the first set of runs less that of the second, run by run.

    Parameters
    ----------
    first, second : sequence of PairwiseCounts
        One run per seed, in the same order of seeds; videos coded alike.
    weights : ndarray of shape (n_resamples, n_videos)
        The same resampled videos serve both.
    seed : int
        Of the bootstrap over seeds.
    """
    (plain, draws), (base, base_draws) = sampled_aucs(first, weights), sampled_aucs(second, weights)
    return effect(plain - base, draws - base_draws, seed, DIFFERENCE)


def effect(values: np.ndarray, draws: np.ndarray, seed: int, bounds: Bounds, comparisons: int = 1) -> Effect:
    """Mean over seeds with an interval over videos and seeds.

    Videos and seeds are crossed: every seed sees every video. In every resample of
    the videos the seeds are resampled too, with two corrections. What a seed does
    to single videos shows in the spread over seeds and again in the spread over
    videos, so of the latter only what the seeds have in common counts: its
    variance is the mean covariance of two seeds' draws (a plain two-way bootstrap
    covers 99.6 % where 95 % are promised). And a bootstrap over few units is too
    narrow by nature, so the seeds' part is widened by sqrt(n / (n - 1)) t / z
    (expanded percentiles): that of six seeds is as wide as a t interval.

    With few seeds that part is wider than the quantity has room, so both parts are
    added on the scale of Fisher's z (see `Bounds`; for an AUC it is the logit), and
    the percentiles are of what is mapped back: no end lies out of bounds, and for
    small differences the interval is the same as without. The videos' draws are
    mapped each by itself, as percentiles are the same on any scale; the seeds' part
    is multiplied by the slope of the scale at the mean (delta method). Where every
    seed is at the bound, an AUC of 1 say, no resample differs and the interval has
    no width: `reason` says so.

    Parameters
    ----------
    values : ndarray of shape (n_seeds,)
        The number of every seed: an AUC, or a contrast of AUCs of that seed. Seeds
        where it is NaN are left out.
    draws : ndarray of shape (n_seeds, n_resamples)
        The same in every resample of the videos.
    seed : int
        Of the bootstrap over seeds.
    bounds : Bounds
        Least and greatest possible value.
    comparisons : int
        Number of effects judged together; the interval is widened to hold for all
        of them at once (Bonferroni).

    References
    ----------
    Owen, The pigeonhole bootstrap, 2007; Hesterberg, What teachers should know
    about the bootstrap, 2015; Efron and Tibshirani, An introduction to the
    bootstrap, 1993, section 13.6 (intervals that respect transformations and range).
    """
    defined = np.isfinite(values)
    values, draws = values[defined], draws[defined]
    n_seeds = len(values)
    level = 1 - (1 - LEVEL) / comparisons
    reasons = [] if defined.all() else [f"{len(defined) - n_seeds} of {len(defined)} seeds are undefined"]
    if n_seeds == 0:
        nan = float("nan")
        return Effect(nan, nan, nan, nan, 0, nan, nan, level, reasons[0] if reasons else "no seeds")
    value, by_videos = float(values.mean()), draws.mean(axis=0)
    reasons += filter(None, [at_bound(value, bounds)])
    if n_seeds == 1:
        reason = "; ".join([*reasons, "one seed: the interval is over videos only"])
        low, high = percentile_interval(by_videos, level=level)
        video_error = math.sqrt(float(mean_of_defined((by_videos - mean_of_defined(by_videos)) ** 2)))
        return Effect(value, float(low), float(high), 1.0, 1, float("nan"), video_error, level, reason, by_videos)
    shared, share = shared_by_seeds(draws)
    # a stream of its own: that of the videos would give as many seeds as a stratum has videos the same draws
    times = np.random.default_rng([seed, 1]).multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), draws.shape[1])
    of_seeds = (times @ values / n_seeds - value) * _expansion(n_seeds, level)
    of_videos = bounds.z(by_videos) - bounds.z(mean_of_defined(by_videos))
    drawn = bounds.z(np.array(value)) + share * of_videos + of_seeds * bounds.slope(np.array(value))
    drawn = bounds.value(drawn)
    low, high = percentile_interval(drawn, level=level)
    seed_sd, reason = float(values.std(ddof=1)), "; ".join(reasons)
    return Effect(value, float(low), float(high), sign_flip(values), n_seeds, seed_sd, shared, level, reason, drawn)


def at_bound(value: float, bounds: Bounds) -> str:
    """Why the interval of a value at a bound has no width; empty for any other value."""
    if value not in (bounds.low, bounds.high):
        return ""
    return f"{value:g} in every seed, a bound: no resample differs, so the interval has no width"


def shared_by_seeds(draws: np.ndarray) -> tuple[float, float]:
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
