"""How sure one can be: bootstraps over videos, tests over seeds, effects of auxiliaries. Arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

LEVEL = 0.95
CELLS = 2**16  # counts cumulated at once: few enough to stay in the cache, changes no number


def macro_auc(events: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve, the mean over the columns that have both outcomes.

    Parameters
    ----------
    events : ndarray of bool, shape (n_frames, n_columns)
    scores : ndarray of shape (n_frames, n_columns)
        Finite; higher means that the event is more likely.

    Returns
    -------
    float
        In [0, 1]; NaN where no column has both outcomes.
    """
    positives = events.sum(axis=0)
    compared = positives * (len(events) - positives)
    if not compared.any():
        return float("nan")
    both = compared > 0
    ranks = np.where(events[:, both], rankdata(scores[:, both], axis=0), 0.0).sum(axis=0)
    won = ranks - positives[both] * (positives[both] + 1) / 2
    return float((won / compared[both]).mean())


@dataclass(frozen=True)
class VideoWins:
    """All that an AUC needs to know of the scores, by pairs of videos.

    An AUC is a share of won comparisons between positive and negative frames.
    Videos are resampled whole, so the comparisons between two videos are counted
    once, and every resample is a product with the videos' multiplicities.

    Attributes
    ----------
    wins : ndarray of shape (n_rows, n_columns)
        Comparisons that the positive frames of a video win against the negative
        frames of another, ties counted half.
    rows, columns : ndarray of int
        The videos that have positive frames, and those that have negative ones.
    positives, negatives : ndarray, shapes (n_rows,) and (n_columns,)
        Number of such frames.
    """

    wins: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    def auc(self, multiplicities: np.ndarray) -> np.ndarray:
        """AUC of every resample; NaN where a resample lacks positive or negative frames.

        Parameters
        ----------
        multiplicities : ndarray of shape (n_resamples, n_videos)
            How often each video is drawn; a single row of ones is the plain AUC.

        Returns
        -------
        ndarray of shape (n_resamples,)
        """
        above = np.asarray(multiplicities, float)[:, self.rows]
        below = np.asarray(multiplicities, float)[:, self.columns]
        won = np.einsum("rc,rc->r", above @ self.wins, below)
        compared = (above @ self.positives) * (below @ self.negatives)
        return np.divide(won, compared, out=np.full(len(won), np.nan), where=compared > 0)


def video_wins(scores: np.ndarray, events: np.ndarray, videos: np.ndarray) -> VideoWins:
    """Count, for every two videos, the comparisons won.

    Parameters
    ----------
    scores : ndarray of shape (n_frames,)
        Finite; higher means that the event is more likely.
    events : ndarray of bool, shape (n_frames,)
    videos : ndarray of int, shape (n_frames,)
        Code of each frame's video.

    Returns
    -------
    VideoWins
        Exact; it takes time in n_frames * log(n_frames) + n_frames * (the smaller
        number of videos with positive or with negative frames).
    """
    level = np.unique(scores, return_inverse=True)[1]
    rows, row = np.unique(videos[events], return_inverse=True)
    columns, column = np.unique(videos[~events], return_inverse=True)
    n_levels = int(level.max(initial=-1)) + 1
    positive, negative = level[events], level[~events]
    if len(columns) <= len(rows):
        wins = _beaten(positive, row, len(rows), negative, column, len(columns), n_levels)
    else:  # the same seen from the other side: cheaper, as it cumulates over the fewer videos
        last = n_levels - 1
        wins = _beaten(last - negative, column, len(columns), last - positive, row, len(rows), n_levels).T
    return VideoWins(
        np.ascontiguousarray(wins),
        rows,
        columns,
        np.bincount(row, minlength=len(rows)).astype(float),
        np.bincount(column, minlength=len(columns)).astype(float),
    )


def _beaten(
    level: np.ndarray,
    video: np.ndarray,
    n_videos: int,
    other_level: np.ndarray,
    other_video: np.ndarray,
    n_others: int,
    n_levels: int,
) -> np.ndarray:
    """Frames of every other video that lie below the frames of a video, ties half; (n_videos, n_others)."""
    order, other_order = np.argsort(level, kind="stable"), np.argsort(other_level, kind="stable")
    level, video = level[order], video[order]
    other_level, other_video = other_level[other_order], other_video[other_order]
    wins = np.zeros((n_videos, n_others))
    passed = np.zeros(n_others)
    step = max(1, CELLS // max(1, n_others))
    for start in range(0, n_levels, step):
        size = min(step, n_levels - start)
        here = slice(*np.searchsorted(level, (start, start + size)))
        there = slice(*np.searchsorted(other_level, (start, start + size)))
        cell = (other_level[there] - start) * n_others + other_video[there]
        counts = np.bincount(cell, minlength=size * n_others).reshape(size, n_others)
        reached = passed + counts.cumsum(axis=0)
        frames = sparse.csr_array(
            (np.ones(here.stop - here.start), (video[here], level[here] - start)), shape=(n_videos, size)
        )
        wins += frames @ (reached - counts / 2)
        passed = reached[-1]
    return wins


def stratified_multiplicities(strata: np.ndarray, resamples: int, seed: int) -> np.ndarray:
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


def percentile_interval(draws: np.ndarray, axis: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % percentile interval over the defined draws; NaN where none is defined."""
    defined = np.isfinite(draws).any(axis=axis, keepdims=True)
    low, high = np.nanquantile(np.where(defined, draws, 0.0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=axis)
    some = defined.squeeze(axis)
    return np.where(some, low, np.nan), np.where(some, high, np.nan)


def mean_of_defined(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean over the values that are not NaN; NaN, without a warning, where there is none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def spearman(values: np.ndarray, multiplicities: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Rank correlation between every two columns, in every resample of the rows.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
    multiplicities : ndarray of shape (n_resamples, n_rows)
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
    drawn = np.asarray(multiplicities, float)
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
