"""Looking at a growing number of seeds without losing the error: a boundary for every look, and the fixed design."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr, ndtri, roots_legendre, stdtrit

NODES = 128  # of the integral over the paths that have not crossed yet; twice as many change the eighth digit
FARTHEST = 37.0  # standard errors: beyond it a normal tail is no number any more
PATHS = 100_000  # of simulated means; what they cross is known to a fiftieth of itself
SPREADS = 200  # quantiles of the estimated spread that the power is averaged over
POWER = 0.9  # of the design without looks
MOST_FIXED = 1000  # its seeds; one that asks for more is none


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
    return float(2 * ndtr(ndtri(alpha / 2) / np.sqrt(min(fraction, 1.0))))


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
            across = ndtr((places - end) / spread) + ndtr(-(places + end) / spread)  # noqa: B023
            return float(density @ across) - wanted  # noqa: B023

        bound = float(brentq(missing, 0.0, FARTHEST, xtol=1e-12)) if missing(FARTHEST) < 0 else FARTHEST
        end = bound * np.sqrt(fraction)
        moved = np.exp(-(((end * nodes[:, None] - places) / spread) ** 2) / 2) / (spread * np.sqrt(2 * np.pi))
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
    return float(-stdtrit(freedom, ndtr(-bound)))


@cache
def spendable(looks: tuple[int, ...], alpha: float) -> float:
    """Error to spend so that t quantiles of its levels hold alpha over all looks of a single mean.

    A quantile of the same level (see `quantile`) takes the estimated spread for the same at every look. It is not:
    twelve looks from three units on cross in 5.7 % instead of 5 %. How much is crossed is simulated, with
    draws that are the same always; the error to spend is alpha times the ratio of what may be to what is.

    Parameters
    ----------
    looks : tuple of int
        Units at every look, rising, two at least; the last is the most.
    alpha : float
        Two-sided error of all looks together.

    References
    ----------
    Shao and Feng, Group sequential t-test for clinical trials with small sample sizes across stages,
    Contemporary Clinical Trials 28 (2007): bounds of t statistics by simulation.
    """
    if len(looks) == 1:
        return alpha
    draws = np.random.default_rng(0).standard_normal((looks[-1], PATHS))
    sizes = np.array(looks)[:, None]
    sums = draws.cumsum(axis=0)[sizes[:, 0] - 1]
    squares = (draws**2).cumsum(axis=0)[sizes[:, 0] - 1]
    paths = np.abs(sums) / np.sqrt(sizes * (squares - sums**2 / sizes) / (sizes - 1))
    bounds = boundaries(tuple(n / looks[-1] for n in looks), alpha)
    ends = np.array([[quantile(bound, n - 1)] for bound, n in zip(bounds, looks, strict=True)])
    crossed = float((paths >= ends).any(axis=0).mean())
    return alpha * min(alpha / crossed, 1.0)


def half_width(video: float, seeds: float) -> float:
    """Half of an interval made of two independent parts, of videos and of seeds: their squares are added.

    References
    ----------
    Zou and Donner, Construction of confidence limits about effect measures, Statistics in Medicine 27 (2008).
    """
    return float(np.hypot(video, seeds))


def fixed_seeds(margin: float, seed_sd: float, video_error: float, alpha: float, power: float = POWER) -> int:
    """Least number of seeds by which a design without looks decides an effect of one margin.

    It does where the plain interval leaves zero out: the mean plus or minus a half-width of the z quantile
    for the videos and the t quantile of n - 1 degrees of freedom for the seeds. The power is averaged over the
    estimated spread; without a video part it is that of the t test.

    Parameters
    ----------
    margin : float
        The effect.
    seed_sd, video_error : float
        Standard deviation over seeds, and standard error from the choice of videos.
    alpha : float
        Two-sided error of the interval.
    power : float
        Probability of deciding.

    Returns
    -------
    int
        Two at least; 0 where no number up to 1,000 does: the videos are too few.
    """

    def decides(n: int) -> bool:
        return _power(margin, seed_sd, video_error, alpha, n) >= power

    low, high = 1, 2
    while not decides(high):
        low, high = high, 2 * high
        if low >= MOST_FIXED:
            return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _power(margin: float, seed_sd: float, video_error: float, alpha: float, n: int) -> float:
    """Probability that the interval of n seeds lies above zero where the effect is one margin."""
    freedom = n - 1
    estimated = seed_sd * np.sqrt(2 * gammaincinv(freedom / 2, (np.arange(SPREADS) + 0.5) / SPREADS) / freedom)
    ends = np.hypot(ndtri(alpha / 2) * video_error, stdtrit(freedom, alpha / 2) * estimated / np.sqrt(n))
    error = np.hypot(video_error, seed_sd / np.sqrt(n))
    return float(ndtr((margin - ends) / error).mean()) if error > 0 else 1.0
