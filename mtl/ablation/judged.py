"""Effects judged at one look: an interval that holds at all looks at once, and a word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm, t

from mtl.ablation.effects import shared_by_seeds
from mtl.ablation.rule import Rule
from mtl.statistics.bootstrap import LEVEL, mean_of_defined, percentile_interval
from mtl.statistics.bounded import DIFFERENCE
from mtl.statistics.looks import boundaries, half_width, quantile, shares

HELPS, HURTS, NO_MATTER, CANNOT_TELL = "helps", "hurts", "does not matter", "cannot tell"
VIDEOS_POWER = 0.8  # with which the number of videos that is named would decide
NAN = float("nan")


@dataclass(frozen=True)
class Effects:
    """What is asked of one condition: main effects of a factorial, or differences to the base; seed by seed.

    Attributes
    ----------
    condition : str
    names : tuple of str
        Auxiliaries, or arms.
    weights : ndarray of shape (n_effects, n_arms)
        What turns the AUCs of the arms into each effect.
    values : ndarray of shape (n_effects, n_seeds)
        In the order in which seeds are launched; NaN where an arm of the effect has no AUC.
    draws : ndarray of shape (n_effects, n_seeds, n_resamples)
        The same in every resample of the videos.
    n_videos : int
    seed : int
        Of the resamples.
    """

    condition: str
    names: tuple[str, ...]
    weights: np.ndarray
    values: np.ndarray
    draws: np.ndarray
    n_videos: int
    seed: int


@dataclass(frozen=True)
class Judged:
    """One auxiliary of a factorial, or one set against the base, at one look.

    Attributes
    ----------
    condition, name : str
    value, low, high : float
        The effect, and its interval: it holds for all effects of the condition at all looks at once.
    seeds : int
        That all sets of the effect have.
    word : {"helps", "hurts", "does not matter", "cannot tell"}
    reason : str
        Why it cannot be told, in words: seeds, or videos; else empty.
    shares : (float, float, float)
        Of the resamples, of videos and seeds, below ``-margin``, within, above ``margin``; at no other
        level than their own, and no part of the verdict.
    seed_sd : float
        Standard deviation over seeds that the interval is made with.
    video_error : float
        Standard error from the choice of videos.
    needed_videos : int
        Where the videos are the limit: about how many would decide, with 80 % probability, an effect as large as
        measured with as many seeds as there may be; 0 elsewhere, and where no number would.
    exhausted : bool
        Whether no number of seeds would decide, whatever they show.
    """

    condition: str
    name: str
    value: float
    low: float
    high: float
    seeds: int
    word: str
    reason: str
    shares: tuple[float, float, float]
    seed_sd: float = NAN
    video_error: float = NAN
    needed_videos: int = 0
    exhausted: bool = False

    @property
    def open(self) -> bool:
        """Whether more seeds may still tell."""
        return self.word == CANNOT_TELL and not self.exhausted


def judge(effects: Effects, used: Sequence[Sequence[int]], rule: Rule) -> tuple[Judged, ...]:
    """Every effect by the seeds given: its interval and what it comes to.

    The value is a mean over seeds; two independent things make it uncertain. The seeds: their standard
    error times the quantile c_k of `boundaries` at this look, with looks at every number of
    seeds from `first_seeds` to `most_seeds`, as a t quantile of the same level. The videos: they are the
    same at every look, so their part is the percentile interval over resamples of videos at the plain level, which
    looking neither widens nor narrows. Both levels are divided among the effects of the condition
    (Bonferroni), the two parts are added by their squares on the scale of Fisher's z, so that no end lies beyond
    -1 or 1.

    Few seeds know their spread poorly. So the spread of an effect is never taken for smaller than that of all
    effects of the condition together, which has the more degrees of freedom: the larger one of its own and the
    pooled variance counts, with the t quantile of the pooled one. (With the pooled one alone, unequal
    spreads would cost the error: .006, .008 and .01 covered .93 instead of .95.)

    Parameters
    ----------
    effects : Effects
    used : sequence of sequences of int
        Places of the seeds that each effect is judged by; with fewer than two it is not judged.
    rule : Rule
    """
    alpha = (1 - LEVEL) / len(effects.names)
    spread = spread_of(effects, used)
    return tuple(
        _judged(effects, i, list(places), float(spread.larger[i]), spread.freedom, alpha, rule)
        for i, places in enumerate(used)
    )


@dataclass(frozen=True)
class Spread:
    """Standard deviations over seeds, by effect, each of shape (n_effects,).

    Attributes
    ----------
    own, pooled : ndarray
        NaN of fewer than two seeds; that of all effects together, in the unit of each.
    freedom : float
        Degrees of freedom of the pooled one.
    """

    own: np.ndarray
    pooled: np.ndarray
    freedom: float

    @property
    def larger(self) -> np.ndarray:
        """What is reckoned with."""
        return np.fmax(self.own, self.pooled)


def spread_of(effects: Effects, used: Sequence[Sequence[int]]) -> Spread:
    """Standard deviations over the seeds that each effect is judged by.

    Variances are pooled per unit of the effect's weights, sum w^2, as sets of equal spread would have them.
    Effects that share sets, as differences to one base do, count for less than their number: with r the
    correlation that the weights alone give, their variances correlate by r^2 (Satterthwaite's degrees of freedom).
    """
    scale = (effects.weights**2).sum(axis=1)
    counts = np.array([max(len(places) - 1, 0) for places in used], float)
    own = np.array([_variance(effects.values[i, list(places)]) for i, places in enumerate(used)])
    some = counts > 0
    if not some.any():
        return Spread(own, np.full(len(own), np.nan), 0.0)
    pooled = float((counts * own / scale)[some].sum() / counts[some].sum())
    alike = effects.weights @ effects.weights.T / np.sqrt(np.outer(scale, scale))
    together = (alike**2 * np.minimum.outer(counts, counts))[np.ix_(some, some)].sum()
    return Spread(np.sqrt(own), np.sqrt(pooled * scale), float(counts.sum() ** 2 / together))


def _variance(values: np.ndarray) -> float:
    """Over seeds; NaN of fewer than two."""
    return float(values.var(ddof=1)) if len(values) > 1 else NAN


def bound_at(n: int, rule: Rule, alpha: float) -> float:
    """Standard errors at the look at n seeds; beyond the planned number those of the last look."""
    looks = range(rule.first_seeds, rule.most_seeds + 1)
    place = min(max(n, rule.first_seeds), rule.most_seeds) - rule.first_seeds
    return boundaries(tuple(each / rule.most_seeds for each in looks), alpha)[place]


def _judged(
    effects: Effects, i: int, places: list[int], seed_sd: float, freedom: float, alpha: float, rule: Rule
) -> Judged:
    """One effect by its seeds."""
    condition, name, n = effects.condition, effects.names[i], len(places)
    values, draws = effects.values[i, places], effects.draws[i, places]
    if n < 2:
        few = "no seed has all sets of this effect" if n == 0 else "a single seed says nothing of the spread over seeds"
        return Judged(condition, name, float(values.mean()) if n else NAN, NAN, NAN, n, CANNOT_TELL, few, (NAN,) * 3)
    value = float(values.mean())
    error, share = shared_by_seeds(draws)
    by_videos = draws.mean(axis=0)
    z, slope = float(DIFFERENCE.z(np.array(value))), float(DIFFERENCE.slope(np.array(value)))
    moved = share * (DIFFERENCE.z(by_videos) - DIFFERENCE.z(mean_of_defined(by_videos)))
    down, up = (abs(float(end)) for end in percentile_interval(moved, level=1 - alpha))
    of_seeds = slope * seed_sd / math.sqrt(n)
    part = of_seeds * quantile(bound_at(n, rule, alpha), freedom)
    low = float(DIFFERENCE.value(np.array(z - half_width(down, part))))
    high = float(DIFFERENCE.value(np.array(z + half_width(up, part))))
    word = word_of(low, high, rule.margin)
    random = np.random.default_rng([effects.seed, 2]).permutation(len(moved))
    drawn = z + moved + of_seeds * t.ppf((random + 0.5) / len(moved), freedom)
    found = Judged(
        condition, name, value, low, high, n, word, "",
        shares(DIFFERENCE.value(drawn), rule.margin), seed_sd, error,
    )  # fmt: skip
    return (
        found
        if word != CANNOT_TELL
        else _with_reason(found, part / slope, max(down, up) / slope, effects.n_videos, alpha, rule)
    )


def word_of(low: float, high: float, margin: float) -> str:
    """What an interval comes to; one within the margin does not matter, even where it leaves zero out."""
    if -margin < low and high < margin:
        return NO_MATTER
    return HELPS if low > 0 else HURTS if high < 0 else CANNOT_TELL


def _with_reason(found: Judged, seeds: float, videos: float, n_videos: int, alpha: float, rule: Rule) -> Judged:
    """What keeps an effect from being told: parts of half its interval that come of seeds and of videos.

    More seeds bring the value anywhere within their part, and that part down to nothing; the videos' part
    stays. Where no such value would be decided, no number of seeds decides.
    """
    nearest, farthest = max(abs(found.value) - seeds, 0.0), abs(found.value) + seeds
    exhausted = farthest < videos and nearest + videos >= rule.margin
    as_it_looks = abs(found.value) < videos and abs(found.value) + videos >= rule.margin
    parts = f"the interval is wide by seeds ±{seeds:.3f} and by videos ±{videos:.3f}"
    if not as_it_looks:
        return replace(found, reason=f"seeds: {parts}")
    # an effect as measured is told as one that helps or hurts, or as one that does not matter, whichever is nearer
    wanted = max(abs(found.value), rule.margin - abs(found.value)) / float(norm.isf(alpha / 2) + norm.ppf(VIDEOS_POWER))
    left = wanted**2 - found.seed_sd**2 / max(rule.most_seeds, found.seeds)
    needed = max(math.ceil(n_videos * found.video_error**2 / left), n_videos + 1) if left > 0 else 0
    more = f"; about {needed:,} test videos would be needed, there are {n_videos:,}" if needed else ""
    why = "videos: more seeds cannot tell" if exhausted else "videos" if needed else "seeds and videos"
    return replace(found, reason=f"{why}; {parts}{more}", needed_videos=needed, exhausted=exhausted)
