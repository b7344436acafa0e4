"""Which sets to train next: those that are expected to teach the most about what is still open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from mtl.errors import UserError
from mtl.screening.design import members
from mtl.screening.surrogate import LINEAR, fit

ALL_LISTED = 14  # candidates up to which every set is weighed
STARTS = 4096  # sets from which the best is climbed to beyond


def propose(
    done: Sequence[tuple[str, ...]], gains: Sequence[float], candidates: Sequence[str], n: int, seed: int
) -> list[tuple[str, ...]]:
    """The next sets, the one that teaches most first.

    Ridge as its Bayesian reading: theta ~ N(0, tau^2 I), gains with noise sigma^2, where sigma^2 is the mean square of
    left-out residuals and tau^2 = sigma^2 / penalty. Under it the best set has the gain sum_j max(theta_j, 0), and what
    a run is worth is by how much it is expected to raise the sum of max(m_j, 0), m the mean of what is then known: the
    knowledge gradient. An auxiliary whose sign is known adds nothing to it, one that is open adds the more the
    more the set tells of it. After each set what is known grows as it would with its run, whatever that gives
    (the variance does not depend on it), so the next is another.

    Parameters
    ----------
    done : sequence of tuple of str
        Sets that were trained, also the empty one.
    gains : sequence of float
        Of each over the main task alone, of validation videos; NaN where a run has none.
    candidates : sequence of str
    n : int
    seed : int
        Of equally good sets, and of where to look with more than 14 candidates.

    Returns
    -------
    list of tuple of str
        Auxiliaries in the order of the candidates; none was done, none is empty.

    Raises
    ------
    UserError
        If there are not so many other sets.

    References
    ----------
    Frazier, Powell, Dayanik, The knowledge-gradient policy for correlated normal beliefs, INFORMS Journal on Computing
    2009.
    """
    k = len(candidates)
    used, found = members(done, candidates), np.asarray(gains, float)
    taken = {(0.0,) * k, *map(tuple, used)}
    if n > 2**k - len(taken):
        raise UserError(
            f"screening.propose should be at most {2**k - len(taken)}, as no more sets of {k} candidates are left, "
            f"found {n}."
        )
    kept = np.isfinite(found) & (used.sum(axis=1) > 0)
    mean, covariance, noise = _known(used[kept], found[kept], k)
    random, chosen = np.random.default_rng(seed), []
    for _ in range(n):
        best = _best(mean, covariance, noise, taken, random)
        chosen.append(best)
        taken.add(tuple(best))
        moved = covariance @ best
        covariance = covariance - np.outer(moved, moved) / (best @ moved + noise)
    return [tuple(name for name, is_in in zip(candidates, one, strict=True) if is_in) for one in chosen]


def worth(sets: np.ndarray, mean: np.ndarray, covariance: np.ndarray, noise: float) -> np.ndarray:
    """By how much a run of each set is expected to raise sum_j max(m_j, 0), sets (n, k) -> (n,).

    The mean becomes m + s Z with s = C x / sqrt(x' C x + sigma^2), so that every term rises by
    |s_j| phi(m_j / s_j) - |m_j| Phi(-|m_j / s_j|).
    """
    moved = sets @ covariance
    size = np.abs(moved) / np.sqrt((moved * sets).sum(axis=1) + noise)[:, None]
    ratio = np.abs(mean) / np.maximum(size, 1e-300)
    density = np.exp(-0.5 * np.minimum(ratio, 40.0) ** 2) / np.sqrt(2 * np.pi)
    return (size * density - np.abs(mean) * ndtr(-ratio)).sum(axis=1)


def _known(used: np.ndarray, gains: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and covariance of theta, and the variance of the noise."""
    noise, prior = 1.0, 1.0
    if len(gains) > 2 and np.ptp(gains) > 0:
        fitted = fit(used, gains, [LINEAR])
        noise = float(((gains - fitted.left_out) ** 2).mean())
        prior = noise / fitted.penalty
    covariance = np.linalg.inv(used.T @ used / noise + np.eye(k) / prior)
    return covariance @ used.T @ gains / noise, covariance, noise


def _best(
    mean: np.ndarray, covariance: np.ndarray, noise: float, taken: set[tuple[float, ...]], random: np.random.Generator
) -> np.ndarray:
    """The set not taken that is worth most."""
    k = len(mean)
    if k <= ALL_LISTED:
        sets = np.arange(2**k)[:, None] >> np.arange(k) & 1
        sets = random.permutation(sets).astype(float)
    else:
        sets = np.unique(random.integers(0, 2, (STARTS, k)), axis=0).astype(float)
        sets = _climbed(sets, mean, covariance, noise)
    worths = worth(sets, mean, covariance, noise)
    for place in np.argsort(-worths, kind="stable"):
        if tuple(sets[place]) not in taken:
            return sets[place]
    raise AssertionError("fewer sets are taken than there are")


def _climbed(sets: np.ndarray, mean: np.ndarray, covariance: np.ndarray, noise: float) -> np.ndarray:
    """The sets, and what the best of them becomes auxiliary by auxiliary, as long as that is worth more."""
    best = sets[np.argmax(worth(sets, mean, covariance, noise))]
    way = [best]
    while True:
        around = np.abs(best - np.eye(len(best)))
        worths = worth(np.vstack([best, around]), mean, covariance, noise)
        if worths.argmax() == 0:
            return np.vstack([around, *way, sets])
        best = around[worths.argmax() - 1]
        way.append(best)
