"""Correlations of columns with their intervals: ranks, blocks, few points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy.stats import norm, rankdata, spearmanr

from mtl.statistics.bootstrap import LEVEL

FEWEST_POINTS = 5  # with fewer no rank correlation can fall below .05
EXACT_POINTS = 7  # all orders are tried up to 7!


def spearman(values: np.ndarray, weights: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Rank correlation between every two columns, in every resample of the rows.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
    weights : ndarray of shape (n_resamples, n_rows)
        How often each row is drawn; a single row of ones is the plain correlation.
    groups : ndarray of shape (n_rows,), optional
        Where given, a row is ranked among the rows of its group only and its rank
        is taken from the group's mean rank and divided by the group's size, so
        neither level nor spread of a group can make a correlation.

    Returns
    -------
    ndarray of shape (n_resamples, n_columns, n_columns)
        In [-1, 1]; NaN where a column is constant in a resample.
    """
    drawn = np.asarray(weights, float)
    group = np.zeros(len(values), int) if groups is None else np.unique(groups, return_inverse=True)[1]
    ranks = np.stack([_centred_ranks(column, group, drawn) for column in values.T], axis=2)
    weighted = (ranks * drawn[:, :, None]).transpose(0, 2, 1)  # (n_resamples, n_columns, n_rows)
    return _correlation(weighted @ ranks)


def _centred_ranks(values: np.ndarray, group: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Mid-rank of each row within its group, less the group's mean rank, over its size; (n_resamples, n_rows)."""
    order = np.lexsort((values, group))
    new_group = np.diff(group[order], prepend=-1) != 0
    new_level = new_group | (np.diff(values[order], prepend=np.nan) != 0)
    reached = np.concatenate([np.zeros((len(drawn), 1)), drawn[:, order].cumsum(axis=1)], axis=1)
    level_start, level_end = _ends(new_level)
    group_start, group_end = _ends(new_group)
    # the mean rank of a level lies half-way between the counts below it and up to it; so does a group's
    position = (reached[:, level_start] + reached[:, level_end]) / 2
    middle = (reached[:, group_start] + reached[:, group_end]) / 2
    size = reached[:, group_end] - reached[:, group_start]
    ranks = np.empty_like(drawn)
    ranks[:, order] = np.divide(position - middle, size, out=np.zeros_like(position), where=size > 0)
    return ranks


def _ends(starts_new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First position, and the one after the last, of the stretch that each position belongs to."""
    starts = np.flatnonzero(starts_new)
    stretch = starts_new.cumsum() - 1
    return starts[stretch], np.append(starts[1:], len(starts_new))[stretch]


def _correlation(covariance: np.ndarray) -> np.ndarray:
    """Correlations of a stack of covariance matrices; NaN where a variance is zero."""
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    # what rounding leaves of a constant is no variance
    scale = np.sqrt(np.where(variance > 1e-12 * np.abs(covariance).max(axis=(-2, -1))[..., None], variance, np.nan))
    return np.clip(covariance / scale[..., :, None] / scale[..., None, :], -1, 1)


def block_correlation(values: np.ndarray, block: int, resamples: int, seed: int) -> np.ndarray:
    """Pearson correlation between every two columns, in resamples of whole blocks of consecutive rows.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
        Rows in time.
    block : int
        Rows per block; longer than the time over which rows depend on each other.
    resamples, seed : int

    Returns
    -------
    ndarray of shape (resamples, n_columns, n_columns)
        NaN where a column is constant.

    References
    ----------
    Politis and Romano, A circular block-resampling procedure, 1992.
    """
    n_rows, n_columns = values.shape
    centred = _standardised(values)
    moments = np.concatenate([centred, (centred[:, :, None] * centred[:, None, :]).reshape(n_rows, -1)], axis=1)
    circle = np.concatenate([moments, moments[: block - 1]])
    reached = np.concatenate([np.zeros((1, moments.shape[1])), circle.cumsum(axis=0)])
    of_block = reached[block:] - reached[:-block]  # sums over the block that starts at each row
    starts = np.random.default_rng(seed).integers(n_rows, size=(resamples, -(-n_rows // block)))
    mean = of_block[starts].mean(axis=1) / block
    first, second = mean[:, :n_columns], mean[:, n_columns:].reshape(-1, n_columns, n_columns)
    return _correlation(second - first[:, :, None] * first[:, None, :])


def pearson(values: np.ndarray) -> np.ndarray:
    """Pearson correlation between every two columns of (n_rows, n_columns); NaN where a column is constant."""
    standard = _standardised(values)
    return _correlation(standard.T @ standard)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns about their mean, the largest deviation 1; zero where a column is constant but for rounding."""
    centred = values - values.mean(axis=0)
    spread = np.abs(centred).max(axis=0)
    return np.where(spread > 1e-12 * np.abs(values).max(axis=0), centred / np.where(spread > 0, spread, 1), 0.0)


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation of a few points.

    Attributes
    ----------
    value, low, high : float
    p : float
        Of no relation, two-sided.
    n : int
        Points that count.
    reason : str
        Why something is NaN; else empty.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    reason: str = ""


def rank_correlation(x: np.ndarray, y: np.ndarray) -> RankCorrelation:
    """Spearman's correlation with an interval that holds for few points too.

    The interval is Fisher's with the error sqrt((1 + r^2 / 2) / (n - 3)); a perfect
    order counts as half a step less than perfect, as it would otherwise have no
    width. p is exact up to seven points. Points that share runs are not
    independent; then both are too sure.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        Points where one is NaN are left out.

    Returns
    -------
    RankCorrelation
        Without interval below five points; NaN below three or where all are alike.

    References
    ----------
    Bonett and Wright, Sample size requirements for estimating Pearson, Kendall and
    Spearman correlations, 2000.
    """
    both = np.isfinite(x) & np.isfinite(y)
    x, y = rankdata(np.asarray(x)[both]), rankdata(np.asarray(y)[both])
    n, nan = len(x), float("nan")
    if n < 3:
        return RankCorrelation(nan, nan, nan, nan, n, f"{n} points are too few to correlate")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return RankCorrelation(nan, nan, nan, nan, n, "all points are equal in one of the two quantities")
    r = float(np.corrcoef(x, y)[0, 1])
    p = _permutation_p(x, y) if n <= EXACT_POINTS else float(spearmanr(x, y).pvalue)
    if n < FEWEST_POINTS:
        reason = f"{n} points are too few to decide: even a perfect order of {n} can be due to chance"
        return RankCorrelation(r, nan, nan, p, n, reason)
    step = 12 / (n * (n**2 - 1))  # smallest change of r without ties
    z = math.atanh(math.copysign(min(abs(r), 1 - step / 2), r))
    half = float(norm.ppf((1 + LEVEL) / 2)) * math.sqrt((1 + r**2 / 2) / (n - 3))
    return RankCorrelation(r, min(math.tanh(z - half), r), max(math.tanh(z + half), r), p, n)


def _permutation_p(x: np.ndarray, y: np.ndarray) -> float:
    """Share of all orders of y that correlate with x as strongly."""
    x, y = x - x.mean(), y - y.mean()
    products = np.array(list(permutations(y))) @ x
    return float((np.abs(products) >= abs(x @ y) - 1e-9).mean())
