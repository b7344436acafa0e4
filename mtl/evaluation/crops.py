"""Predictions of several crops of one feature row as one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import log_expit, log_softmax

CROP = "crop"  # column of the frame table where crops are rows


def one_of_crops(
    frames: pd.DataFrame, targets: Mapping[str, np.ndarray], logits: Mapping[str, np.ndarray]
) -> tuple[pd.DataFrame, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Frames, targets and logits with the crops of a row made one; as they are where there is no column `crop`.

    Parameters
    ----------
    frames : DataFrame
        The crops of a row lie together.
    targets : mapping of str to ndarray (n,)
        The same for all crops of a row.
    logits : mapping of str to ndarray (n, units)

    Returns
    -------
    frames, targets, logits
        Logits are those whose probabilities are the mean of the crops': the logarithm of its odds
        for one unit, of itself for several. So ranking keeps what probabilities near 1 would lose.
    """
    if CROP not in frames:
        return frames, dict(targets), dict(logits)
    video, frame = frames["video"].cat.codes.to_numpy(), frames["frame"].to_numpy()
    starts = np.flatnonzero((np.diff(video, prepend=-1) != 0) | (np.diff(frame, prepend=-1) != 0))
    one = {name: target[starts] for name, target in targets.items()}
    return frames.iloc[starts], one, {name: _mean(values, starts) for name, values in logits.items()}


def _mean(logits: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Logits of the mean probabilities of stretches; NaN where a logit is none."""
    values = logits.astype(np.float64)
    if not len(starts):
        return logits
    if values.shape[1] == 1:
        yes, no = (np.logaddexp.reduceat(log_expit(sign * values), starts, axis=0) for sign in (1, -1))
        return np.asarray(yes - no, np.float32)
    n = np.diff(starts, append=len(values))[:, None]
    return np.asarray(np.logaddexp.reduceat(log_softmax(values, axis=1), starts, axis=0) - np.log(n), np.float32)
