"""Average precision in every resample of videos, by counts of the frames above every positive one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CELLS = 2**19  # of resamples by levels at once, which fit a cache; changes no number
PRODUCTS = 50  # of levels with videos that cost as much as to go through one frame; decides which way is taken


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
    drawn, weights = np.asarray(drawn, float), np.asarray(weights, float)
    # precision is asked for where a positive frame is, and nowhere else
    hits = np.flatnonzero(positives)
    hits = hits[np.argsort(-scores[hits], kind="stable")]
    starts = np.flatnonzero(np.diff(scores[hits], prepend=np.inf))  # rows with which a level of equal scores begins
    levels = -scores[hits[starts]]
    # another frame counts from the first of these levels on, from the top, that it reaches
    misses = np.flatnonzero(~np.asarray(positives, bool))
    reached = np.searchsorted(levels, -scores[misses])
    order = np.argsort(reached, kind="stable")
    order = order[: np.searchsorted(reached[order], len(levels))]
    misses, reached = misses[order], reached[order]
    rows = _Rows(starts, videos[hits], weights[hits], reached, videos[misses], weights[misses])
    few = len(levels) * drawn.shape[1] < PRODUCTS * (len(hits) + len(misses))
    return _together(rows, drawn) if few else _one_by_one(rows, drawn)


@dataclass(frozen=True)
class _Rows:
    """Positive frames from the highest score down, in levels of equal scores; and the others that reach a level.

    Attributes
    ----------
    starts : ndarray of int, shape (n_levels,)
        The first positive frame of each level.
    hit_video, hit_weight : ndarray of shape (n_positives,)
    reached : ndarray of int, shape (n_others,)
        The first level from the top that each other frame reaches; it rises.
    miss_video, miss_weight : ndarray of shape (n_others,)
    """

    starts: np.ndarray
    hit_video: np.ndarray
    hit_weight: np.ndarray
    reached: np.ndarray
    miss_video: np.ndarray
    miss_weight: np.ndarray

    @property
    def has_ties(self) -> bool:
        """Whether positive frames share a level."""
        return len(self.starts) < len(self.hit_video)


def _together(rows: _Rows, drawn: np.ndarray) -> np.ndarray:
    """By products of the other frames above every level in each video with how often it was drawn."""
    n_levels, n_videos = len(rows.starts), drawn.shape[1]
    often = np.ascontiguousarray(drawn.T)  # (n_videos, n_resamples)
    found, hits, missed = np.zeros(len(drawn)), np.zeros(len(drawn)), np.zeros(n_videos)
    level = np.repeat(np.arange(n_levels), np.diff(rows.starts, append=len(rows.hit_video)))
    step = max(1, CELLS // max(1, len(drawn), n_videos))
    for start in range(0, n_levels, step):
        shape = (min(step, n_levels - start), n_videos)
        if rows.has_ties:
            new = _by_video(level, rows.hit_video, rows.hit_weight, start, shape) @ often  # (size, n_resamples)
        else:  # a positive frame is its level: no product is needed
            here = slice(start, start + shape[0])
            new = often[rows.hit_video[here]] * rows.hit_weight[here, None]
        above = missed + _by_video(rows.reached, rows.miss_video, rows.miss_weight, start, shape).cumsum(axis=0)
        missed = above[-1]
        reached = new.cumsum(axis=0)
        reached += hits
        hits = reached[-1].copy()
        counts = above @ often
        counts += reached
        counts[counts == 0] = 1.0  # nothing was drawn yet
        new *= reached
        new /= counts
        found += new.sum(axis=0)
    return np.divide(found, hits, out=np.full(len(drawn), np.nan), where=hits > 0)


def _by_video(
    level: np.ndarray, video: np.ndarray, weight: np.ndarray, start: int, shape: tuple[int, int]
) -> np.ndarray:
    """Weights of the frames of `shape[0]` levels from `start` on, in each of `shape[1]` videos."""
    here = slice(*np.searchsorted(level, (start, start + shape[0])))
    cell = (level[here] - start) * shape[1] + video[here]
    return np.bincount(cell, weight[here], minlength=shape[0] * shape[1]).reshape(shape)


def _one_by_one(rows: _Rows, drawn: np.ndarray) -> np.ndarray:
    """Going through the frames of every resample: cheaper where positives are many."""
    missed = np.zeros(len(rows.reached) + 1)  # after so many of the other frames
    above = np.searchsorted(rows.reached, np.arange(len(rows.starts)), side="right")
    values = np.full(len(drawn), np.nan)
    for i, times in enumerate(np.ascontiguousarray(drawn)):
        new = times[rows.hit_video] * rows.hit_weight
        if rows.has_ties:
            new = np.add.reduceat(new, rows.starts)
        hits = new.cumsum()
        if not len(hits) or hits[-1] <= 0:
            continue
        np.cumsum(times[rows.miss_video] * rows.miss_weight, out=missed[1:])
        counts = hits + missed[above]
        drawn_from = np.searchsorted(counts, 0.0, side="right")  # before it nothing was drawn
        new *= hits
        values[i] = (new[drawn_from:] / counts[drawn_from:]).sum() / hits[-1]
    return values
