"""What an effect comes to at one look: a word, and what keeps it from being told."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from mtl.ablation.rule import Rule

HELPS, HURTS, NO_MATTER, CANNOT_TELL = "helps", "hurts", "does not matter", "cannot tell"
VIDEOS_POWER = 0.8  # with which the number of videos that is named would decide
NAN = float("nan")


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
        measured with as many seeds as there may be, or with more if these are too few; 0 elsewhere.
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


@dataclass(frozen=True)
class Parts:
    """Half an interval, as far as one thing alone makes it.

    Attributes
    ----------
    seeds, plain_seeds : float
        At the level of the look, and at the plain one.
    videos : float
    """

    seeds: float
    plain_seeds: float
    videos: float


def word_of(low: float, high: float, margin: float) -> str:
    """What an interval comes to; one within the margin does not matter, even where it leaves zero out."""
    if -margin < low and high < margin:
        return NO_MATTER
    return HELPS if low > 0 else HURTS if high < 0 else CANNOT_TELL


def shares_of(draws: np.ndarray, margin: float) -> tuple[float, float, float]:
    """Shares of the defined resamples below the margin, within it and above it; NaN where none is defined."""
    defined = draws[np.isfinite(draws)]
    if not len(defined):
        return NAN, NAN, NAN
    below, above = float((defined <= -margin).mean()), float((defined >= margin).mean())
    return below, 1 - below - above, above


def with_reason(found: Judged, parts: Parts, n_videos: int, alpha: float, rule: Rule) -> Judged:
    """What keeps an effect from being told: seeds, videos, or both.

    More seeds bring the value anywhere within what they leave open now (at the plain level, as giving up
    makes no verdict wrong), and their part of the interval down to nothing; the videos' part stays. Where no
    such value would be decided, no number of seeds decides.

    Parameters
    ----------
    found : Judged
        What cannot be told.
    parts : Parts
    n_videos : int
    alpha : float
        Two-sided error of this effect's interval.
    rule : Rule
    """
    size, videos = abs(found.value), parts.videos
    nearest, farthest = max(size - parts.plain_seeds, 0.0), size + parts.plain_seeds
    exhausted = farthest < videos and nearest + videos >= rule.margin
    alone = f"alone the seeds leave ±{min(parts.seeds, 1):.3f}, the videos ±{min(videos, 1):.3f}"
    if not (size < videos and size + videos >= rule.margin):
        return replace(found, reason=f"too few seeds: {alone}")
    # an effect as measured is told as one that helps or hurts, or as one that does not matter, whichever is nearer
    wanted = max(size, rule.margin - size) / float(ndtri(1 - alpha / 2) + ndtri(VIDEOS_POWER))
    left = wanted**2 - found.seed_sd**2 / max(rule.most_seeds, found.seeds)
    enough = left > 0  # else the planned seeds alone leave too much open, and more of them are needed as well
    needed = max(math.ceil(n_videos * found.video_error**2 / (left if enough else wanted**2)), n_videos + 1)
    few = "too few test videos, more seeds cannot decide" if exhausted else "too few test videos"
    few = few if enough or exhausted else "too few seeds and test videos"
    too = "" if enough else f", and more than {rule.most_seeds} seeds"
    more = f"about {needed:,} videos would be needed, there are {n_videos:,}{too}"
    return replace(found, reason=f"{few}: {alone}; {more}", needed_videos=needed, exhausted=exhausted)
