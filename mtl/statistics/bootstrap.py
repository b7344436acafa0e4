"""The bootstrap over units within strata, and what is made of its draws."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pandas as pd

LEVEL = 0.95
KEPT_MIB = 32  # of draws: jobs of one process that share their videos share the resamples
_kept: OrderedDict[tuple[bytes, str, int, int], np.ndarray] = OrderedDict()


def bootstrap_weights(strata: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """How often each unit is drawn in every resample with replacement within its stratum.

    Parameters
    ----------
    strata : ndarray of shape (n_units,)
        Stratum of each unit; every resample keeps the number of units of each.
    resamples, seed : int

    Returns
    -------
    ndarray of float, shape (resamples, n_units)
        Read-only: whoever asks for the same again may get the same array.
    """
    key = (strata.tobytes(), strata.dtype.str, resamples, seed)
    drawn = _kept.pop(key, None)
    _kept[key] = _drawn(strata, resamples, seed) if drawn is None else drawn
    drawn = _kept[key]
    while _kept and sum(each.nbytes for each in _kept.values()) > KEPT_MIB * 2**20:
        _kept.popitem(last=False)
    return drawn


def _drawn(strata: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """As of `bootstrap_weights`, drawn anew."""
    generator = np.random.default_rng(seed)
    drawn = np.zeros((resamples, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
    drawn.flags.writeable = False
    return drawn


def coded_videos(videos: pd.Series, abnormal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Code of each frame's video, the videos' names in sorted order, and whether each video is anomalous.

    Parameters
    ----------
    videos : Series of shape (n_frames,)
    abnormal : ndarray of bool, shape (n_frames,)
        Whether the frame's class is another than normal; one such frame makes a video anomalous.
    """
    codes, names = pd.factorize(videos.astype(str), sort=True)
    anomalous = np.bincount(codes, weights=abnormal, minlength=len(names)) > 0
    return codes, names.to_numpy(dtype=str), anomalous


def resampled_videos(anomalous: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """How often each video is drawn in every resample of whole videos.

    Anomalous and normal videos are two strata: every resample has as many of each
    as there are, so the AUC of an anomaly score is defined in all of them.

    Parameters
    ----------
    anomalous : ndarray of bool, shape (n_videos,)
        See `coded_videos`; the order of the videos decides which resamples are drawn.
    resamples, seed : int

    Returns
    -------
    ndarray of float, shape (resamples, n_videos)
    """
    return bootstrap_weights(anomalous, resamples, seed)


def percentile_interval(draws: np.ndarray, axis: int = -1, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the percentile interval over the defined draws; NaN where none is defined."""
    defined = np.isfinite(draws).any(axis=axis, keepdims=True)
    low, high = np.nanquantile(np.where(defined, draws, 0.0), [(1 - level) / 2, (1 + level) / 2], axis=axis)
    some = defined.squeeze(axis)
    return np.where(some, low, np.nan), np.where(some, high, np.nan)


def mean_of_defined(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean over the values that are not NaN; NaN, without a warning, where there is none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
