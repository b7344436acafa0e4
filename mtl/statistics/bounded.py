"""Quantities that have a least and a greatest value, on a scale that has none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EDGE = 2.0**-53  # half a step of the numbers below 1: what lies nearer to a bound counts as that near


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest value of a quantity, and Fisher's z of its place between them.

    z = atanh(u) with u from -1 at the least value to 1 at the greatest. For a
    correlation or a difference of AUCs, both in [-1, 1], it is Fisher's z; for an
    AUC, in [0, 1], half the logit. What is computed there and mapped back lies
    between the bounds, whatever it is. The scale is monotone and odd: the negative
    of a difference, or 1 - AUC, has the negative z.

    Attributes
    ----------
    low, high : float

    References
    ----------
    Fisher, On the "probable error" of a coefficient of correlation deduced from a
    small sample, 1921.
    """

    low: float
    high: float

    def z(self, values: np.ndarray) -> np.ndarray:
        """Fisher's z, finite for a value at a bound too: 18.7 of the greatest."""
        return np.arctanh(self._place(values))

    def slope(self, values: np.ndarray) -> np.ndarray:
        """Change of z per change of the value."""
        place = self._place(values)
        return 2 / (self.high - self.low) / ((1 - place) * (1 + place))

    def value(self, z: np.ndarray) -> np.ndarray:
        """The values that have this z, in [low, high]."""
        return (self.low + self.high) / 2 + (self.high - self.low) / 2 * np.tanh(z)

    def _place(self, values: np.ndarray) -> np.ndarray:
        """Place between the bounds, in (-1, 1); only what rounding brings to a bound or beyond is moved."""
        place = (2 * np.asarray(values, float) - (self.low + self.high)) / (self.high - self.low)
        return np.clip(place, EDGE - 1, 1 - EDGE)


AUC = Bounds(0.0, 1.0)
DIFFERENCE = Bounds(-1.0, 1.0)  # of two AUCs, and every weighted mean of such differences
CORRELATION = Bounds(-1.0, 1.0)


def moved(value: np.ndarray, by: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Values moved by a deviation of theirs, without leaving the bounds (delta method).

    Between two bounds on the scale of `Bounds`; beside a single bound on the logarithm of
    the distance to it. To first order the deviation keeps its size. What lies on a bound stays.

    Parameters
    ----------
    value, by : ndarray
        NaN gives NaN.
    bounds : (float, float)
        Finite or infinite; with both infinite the deviation is added.
    """
    low, high = bounds
    if np.isinf(low) and np.isinf(high):
        return value + by
    if np.isinf(high):
        return -moved(-value, -by, (-high, -low))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if np.isinf(low):
            found, inside = high - (high - value) * np.exp(-by / (high - value)), value < high
        else:
            scale = Bounds(low, high)
            found, inside = scale.value(scale.z(value) + by * scale.slope(value)), (value > low) & (value < high)
    return np.where(inside | np.isnan(value), found, value)
