"""The bootstrap over units within strata, and what is made of its draws."""

from __future__ import annotations

import numpy as np

LEVEL = 0.95


def bootstrap_weights(strata: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """How often each unit is drawn in every resample with replacement within its stratum.

    Parameters
    ----------
    strata : ndarray of shape (n_units,)
        Stratum of each unit; every resample keeps the number of units of each.
    resamples, seed : int

    Returns
    -------
    ndarray of float, shape (resamples, n_units)
    """
    generator = np.random.default_rng(seed)
    drawn = np.zeros((resamples, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
    return drawn


def percentile_interval(draws: np.ndarray, axis: int = -1, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the percentile interval over the defined draws; NaN where none is defined."""
    defined = np.isfinite(draws).any(axis=axis, keepdims=True)
    low, high = np.nanquantile(np.where(defined, draws, 0.0), [(1 - level) / 2, (1 + level) / 2], axis=axis)
    some = defined.squeeze(axis)
    return np.where(some, low, np.nan), np.where(some, high, np.nan)


def mean_of_defined(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean over the values that are not NaN; NaN, without a warning, where there is none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
