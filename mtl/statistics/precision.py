"""Average precision in every resample of videos, by counts of the frames above every positive one."""

from __future__ import annotations

import numpy as np

CELLS = 2**22  # of resamples by levels at once; changes no number


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
    n_videos = drawn.shape[1]
    levels = np.unique(scores[positives])[::-1]  # precision is asked for where a positive frame is, and nowhere else
    # a frame counts from the first of these levels on, from the top, that it reaches
    reached = len(levels) - np.searchsorted(levels[::-1], scores, side="right")
    drawn = np.asarray(drawn, float)
    total, found = np.zeros(len(drawn)), np.zeros(len(drawn))
    above, above_positive = np.zeros(n_videos), np.zeros(n_videos)
    order = np.argsort(reached, kind="stable")
    reached, videos, weights, positives = reached[order], videos[order], weights[order], positives[order]
    step = max(1, CELLS // max(1, len(drawn), n_videos))
    for start in range(0, len(levels), step):
        size = min(step, len(levels) - start)
        here = slice(*np.searchsorted(reached, (start, start + size)))
        cell = (reached[here] - start) * n_videos + videos[here]
        counts = np.bincount(cell, weights[here], minlength=size * n_videos).reshape(size, n_videos)
        of_positives = np.bincount(cell, weights[here] * positives[here], minlength=size * n_videos)
        of_positives = of_positives.reshape(size, n_videos)
        all_above = above + counts.cumsum(axis=0)
        positive_above = above_positive + of_positives.cumsum(axis=0)
        above, above_positive = all_above[-1], positive_above[-1]
        new = of_positives @ drawn.T  # (size, n_resamples)
        shown = all_above @ drawn.T
        hits = positive_above @ drawn.T
        found += (new * np.divide(hits, shown, out=np.zeros_like(hits), where=shown > 0)).sum(axis=0)
        total += new.sum(axis=0)
    return np.divide(found, total, out=np.full(len(drawn), np.nan), where=total > 0)
