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


def tied_share(scores: np.ndarray, positives: np.ndarray) -> float:
    """Share of the comparisons between positive and negative frames that are ties; NaN where there are none."""
    level = np.unique(scores, return_inverse=True)[1]
    n = int(level.max(initial=-1)) + 1
    above, below = (np.bincount(level[side], minlength=n).astype(float) for side in (positives, ~positives))
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
        Number of such frames, or their weight.
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
        above = np.asarray(weights, float)[:, self.rows]
        below = np.asarray(weights, float)[:, self.columns]
        won = np.einsum("rc,rc->r", above @ self.counts, below)
        compared = (above @ self.positives) * (below @ self.negatives)
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
        How many frames of this score and outcome each row stands for, 0 or more; without them one.

    Returns
    -------
    PairwiseCounts
        Exact; it takes time in n_frames * log(n_frames) + n_frames * (the smaller
        number of videos with positive or with negative frames).
    """
    level = np.unique(scores, return_inverse=True)[1]
    rows, row = np.unique(videos[positives], return_inverse=True)
    columns, column = np.unique(videos[~positives], return_inverse=True)
    n_levels = int(level.max(initial=-1)) + 1
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
    positive = _Side(level[positives], row, weights[positives], len(rows))
    negative = _Side(level[~positives], column, weights[~positives], len(columns))
    if len(columns) <= len(rows):
        counts = _beaten(positive, negative, n_levels)
    else:  # the same seen from the other side: cheaper, as it cumulates over the fewer videos
        counts = _beaten(negative.reversed(n_levels), positive.reversed(n_levels), n_levels).T
    return PairwiseCounts(np.ascontiguousarray(counts), rows, columns, positive.totals, negative.totals)


@dataclass(frozen=True)
class _Side:
    """The frames of one outcome: level of the score, code of the video, weight; each of shape (n,)."""

    level: np.ndarray
    video: np.ndarray
    weight: np.ndarray
    n_videos: int

    @property
    def totals(self) -> np.ndarray:
        """Weight of every video's frames."""
        return np.bincount(self.video, self.weight, minlength=self.n_videos)

    def reversed(self, n_levels: int) -> _Side:
        """With the highest score the lowest."""
        return replace(self, level=n_levels - 1 - self.level)

    def sorted(self) -> _Side:
        """In order of score."""
        order = np.argsort(self.level, kind="stable")
        return replace(self, level=self.level[order], video=self.video[order], weight=self.weight[order])


def _beaten(side: _Side, other: _Side, n_levels: int) -> np.ndarray:
    """Weight of the frames of every other video that lie below those of a video, ties half; (n_videos, n_others)."""
    side, other, n_others = side.sorted(), other.sorted(), other.n_videos
    won = np.zeros((side.n_videos, n_others))
    passed = np.zeros(n_others)
    step = max(1, CELLS // max(1, n_others))
    for start in range(0, n_levels, step):
        size = min(step, n_levels - start)
        here = slice(*np.searchsorted(side.level, (start, start + size)))
        there = slice(*np.searchsorted(other.level, (start, start + size)))
        cell = (other.level[there] - start) * n_others + other.video[there]
        counts = np.bincount(cell, other.weight[there], minlength=size * n_others).reshape(size, n_others)
        reached = passed + counts.cumsum(axis=0)
        frames = sparse.csr_array(
            (side.weight[here], (side.video[here], side.level[here] - start)), shape=(side.n_videos, size)
        )
        won += frames @ (reached - counts / 2)
        passed = reached[-1]
    return won
