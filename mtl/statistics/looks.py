"""Looking at a growing number of seeds without losing the error: a boundary for every look, and the fixed design."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import roots_legendre
from scipy.stats import chi2, norm, t

NODES = 128  # of the integral over the paths that have not crossed yet; twice as many change the eighth digit
FARTHEST = 37.0  # standard errors: beyond it a normal tail is no number any more
SPREADS = 200  # quantiles of the estimated spread that the power is averaged over
POWER = 0.9  # of the fixed design
MOST_FIXED = 1000  # seeds; a design that asks for more is none


def spent(fraction: float, alpha: float) -> float:
    """Error that may be spent up to a share of all seeds, of the O'Brien-Fleming type.

    alpha(t) = 2 - 2 Phi(z_{1 - alpha/2} / sqrt(t)): next to nothing early, alpha at the end.

    Parameters
    ----------
    fraction : float
        Seeds so far as a share of the most; above 1 it counts as 1.
    alpha : float
        Two-sided error of all looks together.

    References
    ----------
    Lan and DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70 (1983).
    """
    return float(2 * norm.sf(norm.isf(alpha / 2) / np.sqrt(min(fraction, 1.0))))


@cache
def boundaries(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """How many standard errors from its mean an estimate may be at every look.

    With B a Brownian motion and the looks at t_1 < t_2 < ..., the k-th one is the c_k with

        P(|B(t_i)| < c_i sqrt(t_i) for all i < k, |B(t_k)| >= c_k sqrt(t_k)) = alpha(t_k) - alpha(t_{k-1}),

    so that an interval of c_k standard errors at every look holds at all of them at once with
    probability 1 - alpha, whichever look is the last (repeated confidence intervals). The density
    of the paths that have not crossed is carried from look to look (Gauss-Legendre).

    Parameters
    ----------
    fractions : tuple of float
        t_k: seeds at each look as a share of the most, rising, in (0, 1].
    alpha : float
        Two-sided error of all looks together, see `spent`.

    Returns
    -------
    tuple of float
        c_k; without a look before it c_1 is the quantile of what may be spent.

    Raises
    ------
    ValueError
        If the fractions do not rise within (0, 1].

    References
    ----------
    Armitage, McPherson and Rowe, Repeated significance tests on accumulating data, JRSS A 132 (1969);
    Jennison and Turnbull, Interim analyses: the repeated confidence interval approach, JRSS B 51 (1989).
    """
    steps = np.diff((0.0, *fractions))
    if not len(fractions) or (steps <= 0).any() or fractions[-1] > 1 + 1e-12:
        raise ValueError(f"looks should be at rising shares in (0, 1], found {fractions}.")
    nodes, weights = roots_legendre(NODES)
    places, density = np.zeros(1), np.ones(1)  # of the paths that go on: all at zero before the first look
    found: list[float] = []
    before = 0.0
    for fraction, step in zip(fractions, steps, strict=True):
        wanted, spread = spent(fraction, alpha) - before, np.sqrt(step)

        def missing(z: float) -> float:
            """What crosses at this look beyond what may."""
            end = z * np.sqrt(fraction)  # noqa: B023 - it is used within this turn
            across = norm.sf((end - places) / spread) + norm.sf((end + places) / spread)  # noqa: B023
            return float(density @ across) - wanted  # noqa: B023

        bound = float(brentq(missing, 0.0, FARTHEST, xtol=1e-12)) if missing(FARTHEST) < 0 else FARTHEST
        end = bound * np.sqrt(fraction)
        moved = norm.pdf((end * nodes[:, None] - places) / spread) / spread
        density = end * weights * (moved @ density)
        places = end * nodes
        before += wanted
        found.append(bound)
    return tuple(found)


def quantile(bound: float, freedom: float) -> float:
    """The t quantile of the same level as a number of standard errors, for a spread that is itself estimated.

    Parameters
    ----------
    bound : float
        As of `boundaries`.
    freedom : float
        Degrees of freedom of the estimated spread.

    References
    ----------
    Jennison and Turnbull, Group sequential methods, 2000, section 11.4 (the significance level approach).
    """
    return float(t.isf(norm.sf(bound), freedom))


def half_width(video: float, seeds: float) -> float:
    """Half of an interval made of two independent parts, of videos and of seeds: their squares are added.

    References
    ----------
    Zou and Donner, Construction of confidence limits about effect measures, Statistics in Medicine 27 (2008).
    """
    return float(np.hypot(video, seeds))


def fixed_seeds(margin: float, seed_sd: float, video_error: float, alpha: float, effects: float = 1.0) -> int:
    """Least number of seeds by which a design without looks decides an effect of one margin.

    It does where the interval leaves zero out: mean over seeds and videos plus or minus a half-width of
    z and t quantiles of alpha. The power is averaged over the estimated spread, so without a
    video part it is that of the t test.

    Parameters
    ----------
    margin : float
        The effect.
    seed_sd, video_error : float
        Standard deviation over seeds, and standard error from the choice of videos.
    alpha : float
        Two-sided error of the interval.
    effects : float
        From how many effects' worth of seeds the spread is estimated: the degrees of freedom are so many times n - 1.

    Returns
    -------
    int
        0 where no number up to 1,000 does: the videos are too few.
    """
    if not seed_sd > 0:
        return 2 if seed_sd == 0 and _power(margin, 0.0, video_error, alpha, 2, effects) >= POWER else 0
    low, high = 1, 2
    while _power(margin, seed_sd, video_error, alpha, high, effects) < POWER:
        low, high = high, 2 * high
        if low >= MOST_FIXED:
            return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if _power(margin, seed_sd, video_error, alpha, middle, effects) >= POWER else (middle, high)
        )
    return high


def _power(margin: float, seed_sd: float, video_error: float, alpha: float, n: int, effects: float) -> float:
    """Probability that the interval of n seeds lies above zero where the effect is one margin."""
    freedom = effects * (n - 1)
    estimated = seed_sd * np.sqrt(chi2.ppf((np.arange(SPREADS) + 0.5) / SPREADS, freedom) / freedom)
    ends = np.hypot(norm.isf(alpha / 2) * video_error, t.isf(alpha / 2, freedom) * estimated / np.sqrt(n))
    error = np.hypot(video_error, seed_sd / np.sqrt(n))
    with np.errstate(divide="ignore"):
        return float(norm.cdf((margin - ends) / error).mean()) if error > 0 else 1.0


def shares(draws: Sequence[float] | np.ndarray, margin: float) -> tuple[float, float, float]:
    """Shares of resamples below the region of no matter, within it, and above it."""
    drawn = np.asarray(draws, float)
    if not np.isfinite(drawn).any():
        return (float("nan"),) * 3
    drawn = drawn[np.isfinite(drawn)]
    below, above = float((drawn <= -margin).mean()), float((drawn >= margin).mean())
    return below, 1 - below - above, above
