"""Intervals of quantities that have bounds: made on a scale that has none, and brought back."""

from __future__ import annotations

import numpy as np


def moved(value: float | np.ndarray, by: float | np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """A value moved by a deviation, without leaving the bounds of what it is.

    Between two bounds it moves on Fisher's z, arctanh of the value's place between -1 and 1,
    which for an AUC is half its logit; below an upper bound alone on the logarithm of the
    distance to it. The deviation has the same size there to first order (delta method), so far
    from the bounds, or for a small deviation, nothing changes. What lies on a bound stays.

    Parameters
    ----------
    value, by : float or ndarray
        NaN gives NaN.
    bounds : (float, float)
        Finite, or the lower one infinite, or both.

    Returns
    -------
    ndarray
        Within the bounds by construction, in the order of `by`.

    References
    ----------
    Fisher, On the probable error of a coefficient of correlation, 1921; Efron and Tibshirani, An
    introduction to the bootstrap, 1993, ch. 12 (intervals that respect a transformation).
    """
    value, by = np.broadcast_arrays(np.asarray(value, float), np.asarray(by, float))
    low, high = bounds
    if np.isinf(high):
        return value + by
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if np.isinf(low):
            distance = high - value
            found = high - distance * np.exp(-by / distance)
            inside = distance > 0
        else:
            half = (high - low) / 2
            place = (value - low) / half - 1
            found = low + half * (1 + np.tanh(np.arctanh(place) + by / half / (1 - place**2)))
            inside = np.abs(place) < 1
    return np.where(inside | np.isnan(value), found, value)
