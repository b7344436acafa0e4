"""Verdicts: helps, hurts, or cannot tell, and how much data would be needed to decide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
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
    word : {"helps", "hurts", "cannot tell"}
    seeds, videos : float
        How many of the one, with as many of the other as now, would decide with 80 %
        probability if the effect is as large as measured: infinite where no number
        would, NaN where the effect is decided or nothing can be predicted.
    factor : float
        By how much both would have to grow together.
    reason : str
        Why nothing can be predicted, else empty.
    """

    word: Literal["helps", "hurts", "cannot tell"]
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


def verdict(of: Effect, n_videos: int) -> Verdict:
    """Say whether an auxiliary helps: yes or no where the interval does not include zero.

    Else: the variance of the effect is v / n_videos + s^2 / n_seeds, and to decide
    it must come down to (effect / (z_.975 + z_.8))^2, so that

        seeds  >= s^2 / ((effect / 2.80)^2 - v / n_videos), and six at least,
        videos >= v / ((effect / 2.80)^2 - s^2 / n_seeds),

    with the z of the effect's own level. A single seed never decides, and from fewer
    than four nothing is predicted: what they say of s^2 may be wrong by any factor.

    Parameters
    ----------
    of : Effect
    n_videos : int
        Test videos that the effect was measured on.
    """
    if of.n_seeds > 1 and of.low > 0:
        return Verdict("helps")
    if of.n_seeds > 1 and of.high < 0:
        return Verdict("hurts")
    if of.n_seeds < FEWEST_TO_FORECAST:
        return Verdict("cannot tell", reason=TOO_FEW)
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
