"""p values of paired differences, and their correction for several comparisons."""

from __future__ import annotations

import numpy as np

SIGNIFICANT = 0.05
EXACT_SEEDS, FLIPS = 16, 20_000  # all sign flips are tried up to 2^16, beyond that so many random ones


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


def least_holm_p(n: int, seeds: int) -> float:
    """What no Holm p of n sign-flip tests over so many seeds can fall below."""
    return min(1.0, n * 2 / 2**seeds)
