"""Average precision in every resample of videos, by counts of the frames above every positive one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CELLS = 2**22  # of resamples by levels at once; changes no number
PRODUCTS = 10  # of levels with videos that cost as much as to go through one frame; decides which way is taken


def average_precisions(
    scores: np.ndarray, positives: np.ndarray, videos: np.ndarray, weights: np.ndarray, drawn: np.ndarray
) -> np.ndarray:
    """Average precision of every resample: the mean over positives of the precision among all that score as high.

    As `sklearn.metrics.average_precision_score`, ties together: no line is drawn between points of the curve.

    Parameters
    ----------
    scores : ndarray of shape (n_frames,)
        Finite; higher means that a positive is more likely.
    positives : ndarray of bool, shape (n_frames,)
    videos : ndarray of int, shape (n_frames,)
        Code of each frame's video.
    weights : ndarray of shape (n_frames,)
        How many frames each row stands for.
    drawn : ndarray of shape (n_resamples, n_videos)
        How often each video is drawn; a single row of ones gives the plain number.

    Returns
    -------
    ndarray of shape (n_resamples,)
        In [0, 1]; NaN where a resample has no positive frame.
    """
    drawn = np.asarray(drawn, float)
    levels = np.unique(scores[positives])[::-1]  # precision is asked for where a positive frame is, and nowhere else
    # a frame counts from the first of these levels on, from the top, that it reaches
    reached = len(levels) - np.searchsorted(levels[::-1], scores, side="right")
    order = np.argsort(reached, kind="stable")
    order = order[: np.searchsorted(reached[order], len(levels))]
    rows = _Rows(reached[order], videos[order], np.asarray(weights, float)[order], positives[order], len(levels))
    few = len(levels) * drawn.shape[1] < PRODUCTS * len(scores)
    return _together(rows, drawn) if few else _one_by_one(rows, drawn)


@dataclass(frozen=True)
class _Rows:
    """Frames from the highest score down, each with the first level that it reaches."""

    level: np.ndarray
    video: np.ndarray
    weight: np.ndarray
    is_positive: np.ndarray
    n_levels: int


def _together(rows: _Rows, drawn: np.ndarray) -> np.ndarray:
    """By products of what lies above every level in each video with how often it was drawn."""
    n_videos = drawn.shape[1]
    total, found = np.zeros(len(drawn)), np.zeros(len(drawn))
    above, hits_above = np.zeros(n_videos), np.zeros(n_videos)
    step = max(1, CELLS // max(1, len(drawn), n_videos))
    for start in range(0, rows.n_levels, step):
        size = min(step, rows.n_levels - start)
        here = slice(*np.searchsorted(rows.level, (start, start + size)))
        cell, weight = (rows.level[here] - start) * n_videos + rows.video[here], rows.weight[here]
        counts, hits = (
            np.bincount(cell, each, minlength=size * n_videos).reshape(size, n_videos)
            for each in (weight, weight * rows.is_positive[here])
        )
        new = hits @ drawn.T  # (size, n_resamples)
        counts, hits = above + counts.cumsum(axis=0), hits_above + hits.cumsum(axis=0)
        above, hits_above = counts[-1], hits[-1]
        found += (new * _share(hits @ drawn.T, counts @ drawn.T)).sum(axis=0)
        total += new.sum(axis=0)
    return np.divide(found, total, out=np.full(len(drawn), np.nan), where=total > 0)


def _one_by_one(rows: _Rows, drawn: np.ndarray) -> np.ndarray:
    """Going through the frames of every resample: cheaper where nearly every frame is a level of its own."""
    last = np.searchsorted(rows.level, np.arange(rows.n_levels), side="right") - 1
    hit = rows.weight * rows.is_positive
    values = np.full(len(drawn), np.nan)
    for i, times in enumerate(drawn):
        weight = times[rows.video]
        hits, counts = (weight * hit).cumsum()[last], (weight * rows.weight).cumsum()[last]
        if len(hits) and hits[-1] > 0:
            values[i] = (np.diff(hits, prepend=0.0) * _share(hits, counts)).sum() / hits[-1]
    return values


def _share(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Precision; 0 where nothing was drawn yet."""
    return np.divide(hits, counts, out=np.zeros_like(hits), where=counts > 0)
