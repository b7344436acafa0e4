"""Verdicts: helps, hurts, does not matter, or cannot tell, and how much data would be needed to decide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from mtl.ablation.effects import Effect

POWER = 0.8  # of the study that `verdict` asks for
WITHIN_REACH, WITHIN_REACH_TIMES = 10_000, 20  # seeds or videos, or times as many of both, that a verdict may ask for
FEWEST_SEEDS = 6  # with fewer no sign-flip test can fall below .05
# the 95 % interval of a variance reaches up to 1,018 times that of two seeds, 39 times that of three, 14 times of four
FEWEST_TO_FORECAST = 4
TOO_FEW = f"at least {FEWEST_TO_FORECAST} seeds are needed before it can be said how many would decide"


@dataclass(frozen=True)
class Verdict:
    """What an effect comes to, in a word, and how much data would be needed to decide.

    Attributes
    ----------
    word : {"helps", "hurts", "does not matter", "cannot tell"}
    seeds, videos : float
        How many of the one, with as many of the other as now, would decide with 80 %
        probability if the effect is as large as measured: infinite where no number
        would, NaN where the effect is decided or nothing can be predicted.
    factor : float
        By how much both would have to grow together.
    reason : str
        Why nothing can be predicted, else empty.
    """

    word: Literal["helps", "hurts", "does not matter", "cannot tell"]
    seeds: float = float("nan")
    videos: float = float("nan")
    factor: float = float("nan")
    reason: str = ""

    def __str__(self) -> str:
        """The word, and what would be needed to decide."""
        if self.word != "cannot tell":
            return self.word
        if self.reason:
            return f"{self.word}: {self.reason}"
        ways = [f"{n:,.0f} {unit}" for n, unit in ((self.seeds, "seeds"), (self.videos, "videos")) if n <= WITHIN_REACH]
        if ways:
            return f"{self.word}: about {' or '.join(ways)} would be needed to decide"
        if self.factor <= WITHIN_REACH_TIMES:
            return f"{self.word}: about {self.factor:.1f} times as many seeds and videos would be needed to decide"
        none = f"{self.word}: no realistic number of seeds or videos would decide"
        return none if self.factor > 0 else self.word


def verdict(of: Effect, n_videos: int, margin: float) -> Verdict:
    """Say whether an auxiliary helps, hurts or does not matter, by the interval of its effect alone.

    It does not matter where the whole interval lies between -margin and margin,
    whether zero is in it or not: two one-sided tests, each at half of what the
    interval leaves out (so stricter than the usual .05 each). Else it helps or hurts
    where the interval leaves out zero. A single seed never decides.

    What is not decided asks for a number. With the error sigma the interval reaches
    z sigma to both sides of an estimate e ~ N(effect, sigma^2), with the z of the
    effect's own level. It helps or hurts where |e| > z sigma and does not matter
    where |e| < margin - z sigma, so nothing is decided with probability

        P(margin - z sigma <= |e| <= z sigma),

    which is 0 up to sigma = margin / (2 z), whatever the effect is. `wanted_error` is
    the sigma at which it is .2. For an effect far above the margin that is
    effect / (z + z_.8), for one of zero margin / (z + z_.875). The variance of the
    effect is v / n_videos + s^2 / n_seeds, so that

        seeds  >= s^2 / (sigma^2 - v / n_videos), and six at least,
        videos >= v / (sigma^2 - s^2 / n_seeds).

    From fewer than four seeds nothing is predicted: what they say of s^2 may be wrong
    by any factor.

    Parameters
    ----------
    of : Effect
    n_videos : int
        Test videos that the effect was measured on.
    margin : float
        In AUC, above 0: an effect that is nearer to zero does not matter.

    References
    ----------
    Schuirmann, A comparison of the two one-sided tests procedure and the power
    approach, 1987; Benavoli et al., Time for a change: a tutorial for comparing
    multiple classifiers through Bayesian analysis, JMLR 2017 (region of practical
    equivalence).
    """
    if of.n_seeds > 1:
        if -margin < of.low and of.high < margin:
            return Verdict("does not matter")
        if of.low > 0:
            return Verdict("helps")
        if of.high < 0:
            return Verdict("hurts")
    if of.n_seeds < FEWEST_TO_FORECAST:
        return Verdict("cannot tell", reason=TOO_FEW)
    wanted = wanted_error(of.value, of.level, margin) ** 2
    by_videos, by_seeds = of.video_error**2, of.seed_sd**2 / of.n_seeds
    seeds = _needed(by_seeds * of.n_seeds, wanted - by_videos)
    videos = _needed(by_videos * n_videos, wanted - by_seeds)
    factor = (by_videos + by_seeds) / wanted
    return Verdict("cannot tell", max(seeds, of.n_seeds + 1, FEWEST_SEEDS), max(videos, n_videos + 1), factor)


def wanted_error(value: float, level: float, margin: float) -> float:
    """Largest standard error with which an effect of this size is decided with 80 % probability.

    The root of the probability that `verdict` derives, between margin / (2 z), where it is
    0, and max(|value|, margin) / z, where it is about a half or more.

    Parameters
    ----------
    value : float
        The effect, as it is taken to be in truth.
    level : float
        Of its interval.
    margin : float
        Above 0.
    """
    z, size = float(norm.ppf((1 + level) / 2)), abs(value)

    def undecided(error: float) -> float:
        outer, inner = z * error, max(margin - z * error, 0.0)
        above, below = (np.array([outer, inner]) - size) / error, (np.array([-inner, -outer]) - size) / error
        return float(-np.diff(norm.cdf(above))[0] - np.diff(norm.cdf(below))[0])

    return float(brentq(lambda error: undecided(error) - (1 - POWER), margin / (2 * z), max(size, margin) / z))


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
