"""AUC from pairwise counts by video, so that any resample of videos costs a product."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

CELLS = 2**16  # counts cumulated at once: few enough to stay in the cache, changes no number


def macro_auc(positives: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC curve, the mean over the columns that have both outcomes.

    Parameters
    ----------
    positives : ndarray of bool, shape (n_frames, n_columns)
    scores : ndarray of shape (n_frames, n_columns)
        Finite; higher means that a positive is more likely.
    weights : ndarray of shape (n_frames,), optional
        Positive; a comparison of two frames counts as the product of theirs. Without them all count alike.

    Returns
    -------
    float
        In [0, 1]; NaN where no column has both outcomes.
    """
    n_positives = positives.sum(axis=0)
    compared = n_positives * (len(positives) - n_positives)
    if not compared.any():
        return float("nan")
    both = np.flatnonzero(compared)
    if weights is not None:
        return float(np.mean([_weighted_auc(positives[:, i], scores[:, i], weights) for i in both]))
    # column by column: ranks take twenty times the memory of the scores
    ranks = np.array([rankdata(scores[:, i])[positives[:, i]].sum() for i in both])
    won = ranks - n_positives[both] * (n_positives[both] + 1) / 2
    return float((won / compared[both]).mean())


def tied_share(scores: np.ndarray, positives: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Share of the comparisons between positive and negative frames that are ties; NaN where there are none.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    positives : ndarray of bool, shape (n,)
    weights : ndarray of shape (n,), optional
        How many frames each row stands for; one without it.
    """
    level = np.unique(scores, return_inverse=True)[1]
    n = int(level.max(initial=-1)) + 1
    each = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
    above, below = (np.bincount(level[side], each[side], minlength=n) for side in (positives, ~positives))
    compared = above.sum() * below.sum()
    return float((above * below).sum() / compared) if compared else float("nan")


def _weighted_auc(positives: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """Share of the weight of the comparisons between positives and negatives that is won, ties half."""
    level = np.unique(scores, return_inverse=True)[1]
    above, below = np.bincount(level, weights * positives), np.bincount(level, weights * ~positives)
    won = (above * (below.cumsum() - below / 2)).sum()
    return float(won / (above.sum() * below.sum()))


@dataclass(frozen=True)
class PairwiseCounts:
    """All that an AUC needs to know of the scores, by pairs of videos.

    An AUC is a share of won comparisons between positive and negative frames.
    Videos are resampled whole, so the comparisons between two videos are counted
    once, and every resample is a product with the videos' weights.

    Attributes
    ----------
    counts : ndarray of shape (n_rows, n_columns)
        Comparisons that the positive frames of a video win against the negative
        frames of another, ties counted half.
    rows, columns : ndarray of int
        The videos that have positive frames, and those that have negative ones.
    positives, negatives : ndarray, shapes (n_rows,) and (n_columns,)
        Number of such frames.
    """

    counts: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    def auc(self, weights: np.ndarray) -> np.ndarray:
        """AUC of every resample; NaN where a resample lacks positive or negative frames.

        Parameters
        ----------
        weights : ndarray of shape (n_resamples, n_videos)
            How often each video is drawn; a single row of ones is the plain AUC.

        Returns
        -------
        ndarray of shape (n_resamples,)
        """
        weights = np.asarray(weights, float)
        # sums of whole and half numbers are exact in any order: that of the side with fewer videos is the shortest
        if len(self.rows) <= len(self.columns):
            own, others, won_by = self.rows, self.columns, self.counts.T
        else:
            own, others, won_by = self.columns, self.rows, self.counts
        by_video = np.zeros((weights.shape[1], len(own)))  # no copy of the other side's columns of all resamples
        by_video[others] = won_by
        won = np.einsum("rv,rv->r", weights @ by_video, weights[:, own])
        side = np.zeros((weights.shape[1], 2))
        side[self.rows, 0], side[self.columns, 1] = self.positives, self.negatives
        compared = np.prod(weights @ side, axis=1)
        return np.divide(won, compared, out=np.full(len(won), np.nan), where=compared > 0)


def pairwise_counts(
    scores: np.ndarray, positives: np.ndarray, videos: np.ndarray, weights: np.ndarray | None = None
) -> PairwiseCounts:
    """Count, for every two videos, the comparisons won.

    Parameters
    ----------
    scores : ndarray of shape (n_frames,)
        Finite; higher means that a positive is more likely.
    positives : ndarray of bool, shape (n_frames,)
    videos : ndarray of int, shape (n_frames,)
        Code of each frame's video.
    weights : ndarray of shape (n_frames,), optional
        How many frames each row stands for, 0 or more: the counts are those of rows that
        are there so many times. Without them every row is one.

    Returns
    -------
    PairwiseCounts
        Exact; it takes time in n_frames * log(n_frames) + n_frames * (the smaller
        number of videos with positive or with negative frames).
    """
    weight = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
    there = weight > 0  # a video whose rows stand for no frame has none
    scores, positives, videos, weight = scores[there], positives[there], videos[there], weight[there]
    level = np.unique(scores, return_inverse=True)[1]
    rows, row = np.unique(videos[positives], return_inverse=True)
    columns, column = np.unique(videos[~positives], return_inverse=True)
    n_levels = int(level.max(initial=-1)) + 1
    positive = _Side(level[positives], row, len(rows), weight[positives])
    negative = _Side(level[~positives], column, len(columns), weight[~positives])
    if len(columns) <= len(rows):
        counts = _beaten(positive, negative, n_levels)
    else:  # the same seen from the other side: cheaper, as it cumulates over the fewer videos
        counts = _beaten(negative.turned(n_levels), positive.turned(n_levels), n_levels).T
    return PairwiseCounts(
        np.ascontiguousarray(counts),
        rows,
        columns,
        np.bincount(row, positive.weight, len(rows)),
        np.bincount(column, negative.weight, len(columns)),
    )


@dataclass(frozen=True)
class _Side:
    """The positive frames, or the negative ones: rank of the score, code of the video, frames that a row stands for."""

    level: np.ndarray
    video: np.ndarray
    n_videos: int
    weight: np.ndarray

    def turned(self, n_levels: int) -> _Side:
        """With the scores in the opposite order."""
        return replace(self, level=n_levels - 1 - self.level)

    def in_order(self) -> _Side:
        """With the lowest score first."""
        order = np.argsort(self.level, kind="stable")
        return _Side(self.level[order], self.video[order], self.n_videos, self.weight[order])


def _beaten(frames: _Side, others: _Side, n_levels: int) -> np.ndarray:
    """Frames of every other video that lie below the frames of a video, ties half; (n_videos, n_others)."""
    frames, others, n_others = frames.in_order(), others.in_order(), others.n_videos
    won = np.zeros((frames.n_videos, n_others))
    passed = np.zeros(n_others)
    step = max(1, CELLS // max(1, n_others))
    for start in range(0, n_levels, step):
        size = min(step, n_levels - start)
        here = slice(*np.searchsorted(frames.level, (start, start + size)))
        there = slice(*np.searchsorted(others.level, (start, start + size)))
        cell = (others.level[there] - start) * n_others + others.video[there]
        counts = np.bincount(cell, others.weight[there], size * n_others).reshape(size, n_others)
        reached = passed + counts.cumsum(axis=0)
        by_level = sparse.csr_array(
            (frames.weight[here], (frames.video[here], frames.level[here] - start)), shape=(frames.n_videos, size)
        )
        won += by_level @ (reached - counts / 2)
        passed = reached[-1]
    return won
