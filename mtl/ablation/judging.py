"""Effects judged at one look: intervals that hold at all looks at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from mtl.ablation.effects import shared_by_seeds
from mtl.ablation.judged import CANNOT_TELL, NAN, Judged, Parts, shares_of, with_reason, word_of
from mtl.ablation.rule import Rule
from mtl.statistics.bootstrap import LEVEL, mean_of_defined, percentile_interval
from mtl.statistics.bounded import DIFFERENCE
from mtl.statistics.looks import boundaries, half_width, quantile, spendable


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


def judge(effects: Effects, used: Sequence[Sequence[int]], rule: Rule) -> tuple[Judged, ...]:
    """Every effect by the seeds given: its interval and what it comes to.

    The value is a mean over seeds; two independent things make it uncertain. The seeds: their standard
    error times the quantile c_k of `boundaries` at this look, with looks at every number of
    seeds from `first_seeds` to `most_seeds`, as a t quantile of the same level. The videos: they are the
    same at every look, so their part is the percentile interval over resamples of videos at the plain level, which
    looking neither widens nor narrows. Both levels are divided among the effects of the condition
    (Bonferroni), the two parts are added by their squares on the scale of Fisher's z, so that no end lies beyond
    -1 or 1.

    Few seeds know their spread poorly. So the larger one of an effect's own variance and that of all effects of
    the condition together counts, with the t quantile of the latter, which has more degrees of freedom. (The
    common one alone would cost the error where effects vary unlike: of .006, .008 and .01 it covered .93 instead
    of .95.) A single effect has nothing to lean on; see `spendable`.

    Parameters
    ----------
    effects : Effects
    used : sequence of sequences of int
        Places of the seeds that each effect is judged by; with fewer than two it is not judged.
    rule : Rule
    """
    if not effects.names:
        return ()
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

    Variances are pooled per unit of the effect's weights, sum w^2, as sets of equal spread would have them. The
    degrees of freedom of the pooled one are Satterthwaite's: fewer where few effects vary much more than the
    others, and where effects share sets, as differences to one base do; with r the correlation that the weights
    alone give, their variances correlate by r^2.

    References
    ----------
    Satterthwaite, An approximate distribution of estimates of variance components, Biometrics 2 (1946).
    """
    scale = (effects.weights**2).sum(axis=1)
    counts = np.array([max(len(places) - 1, 0) for places in used], float)
    own = np.array([_variance(effects.values[i, list(places)]) for i, places in enumerate(used)])
    some = counts > 0
    if not some.any():
        return Spread(own, np.full(len(own), np.nan), 0.0)
    pooled = float((counts * own / scale)[some].sum() / counts[some].sum())
    alike = effects.weights @ effects.weights.T / np.sqrt(np.outer(scale, scale))
    sizes = np.where(some & (pooled > 0), np.nan_to_num(own) / scale, some.astype(float))
    of_sum = sizes @ (alike**2 * np.minimum.outer(counts, counts)) @ sizes
    return Spread(np.sqrt(own), np.sqrt(pooled * scale), float((counts @ sizes) ** 2 / of_sum))


def _variance(values: np.ndarray) -> float:
    """Over seeds; NaN of fewer than two."""
    return float(values.var(ddof=1)) if len(values) > 1 else NAN


def bound_at(n: int, rule: Rule, effects: int) -> float:
    """Standard errors at the look at n seeds; beyond the planned number those of the last look."""
    looks = tuple(range(rule.first_seeds, rule.most_seeds + 1))
    alpha = (1 - LEVEL) / effects if effects > 1 else spendable(looks, 1 - LEVEL)
    place = min(max(n, rule.first_seeds), rule.most_seeds) - rule.first_seeds
    return boundaries(tuple(each / rule.most_seeds for each in looks), alpha)[place]


def _judged(
    effects: Effects, i: int, places: list[int], seed_sd: float, freedom: float, alpha: float, rule: Rule
) -> Judged:
    """One effect by its seeds."""
    condition, name, n = effects.condition, effects.names[i], len(places)
    values, draws = effects.values[i, places], effects.draws[i][places]
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
    part = of_seeds * quantile(bound_at(n, rule, len(effects.names)), freedom)
    parts = Parts(part / slope, -float(stdtrit(freedom, alpha / 2)) * of_seeds / slope, max(down, up) / slope)
    low = float(DIFFERENCE.value(np.array(z - half_width(down, part))))
    high = float(DIFFERENCE.value(np.array(z + half_width(up, part))))
    word = word_of(low, high, rule.margin)
    random = np.random.default_rng([effects.seed, 2]).permutation(len(moved))
    drawn = z + moved + of_seeds * stdtrit(freedom, (random + 0.5) / len(moved))
    found = Judged(
        condition, name, value, low, high, n, word, "",
        shares_of(DIFFERENCE.value(drawn), rule.margin), seed_sd, error,
    )  # fmt: skip
    if word == CANNOT_TELL:
        return with_reason(found, parts, effects.n_videos, alpha, rule)
    return (
        found if high > low else replace(found, reason="no seed and no resample differs, so the interval has no width")
    )
