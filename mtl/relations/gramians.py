"""Lengths and cosines of gradients, from their inner products."""

from __future__ import annotations

import numpy as np


def squared_norms(gramians: np.ndarray) -> np.ndarray:
    """Squared lengths (..., n) of gradients with inner products (..., n, n), in float64."""
    return np.diagonal(gramians, axis1=-2, axis2=-1).astype(np.float64)


def cosines(gramians: np.ndarray) -> np.ndarray:
    """Cosines (..., n, n) of inner products (..., n, n), to rounding; NaN where a gradient is zero."""
    length = np.sqrt(squared_norms(gramians))
    return ratio_or_nan(gramians, length[..., :, None] * length[..., None, :])


def ratio_or_nan(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Their ratio; NaN where the denominator is not positive."""
    with np.errstate(invalid="ignore"):  # of infinite lengths
        return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)
