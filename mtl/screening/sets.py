"""Sets that nobody trained: their predicted AUC, and which set is likely the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtl.screening.measured import Measured
from mtl.screening.surrogate import Fitted, reach

LEVEL = 0.9  # of the interval of a predicted set
MOST_OPEN = 15  # candidates whose sets are all listed; of more, those with the smallest relevance
RESAMPLES = 1000  # of which the chance of being best is taken
AT_ONCE = 100


@dataclass(frozen=True)
class Chosen:
    """The set with the highest prediction.

    Attributes
    ----------
    place : int
        Among the sets that were predicted.
    chance : float
        Share of the resamples in which it is the best of all.
    """

    place: int
    chance: float


def all_sets(relevance: np.ndarray) -> np.ndarray:
    """Every set of the candidates, the empty one first, (n_sets, k).

    With more than 15 candidates those of the largest relevance are in or out, by its sign, in every set: a set
    that does otherwise with one of them is predicted worse than the same set that does not.
    """
    k = len(relevance)
    is_open = np.zeros(k, bool)
    is_open[np.argsort(np.abs(relevance), kind="stable")[:MOST_OPEN]] = True
    n_open = int(is_open.sum())
    sets = np.tile((relevance > 0).astype(float), (2**n_open, 1))
    sets[:, is_open] = np.arange(2**n_open)[:, None] >> np.arange(n_open) & 1
    return sets if n_open == k else np.vstack([np.zeros(k), sets])


def interval_of(predicted: np.ndarray, residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval of what a run of each set would measure, by the residuals of left-out runs."""
    far = reach(residuals, LEVEL)
    return predicted - far, predicted + far


def chosen(measured: Measured, fitted: Fitted, residuals: np.ndarray, sets: np.ndarray, seed: int) -> Chosen:
    """The best of all sets by prediction, and how often it is the best in resamples of videos and runs.

    In every resample the gains of the runs are what was fitted, moved as the resampled videos move them, plus
    residuals of left-out runs drawn anew; model and penalty stay.

    Parameters
    ----------
    measured : Measured
        Of the videos that choose.
    fitted : Fitted
    residuals : ndarray of shape (n_runs,)
        Of left-out runs.
    sets : ndarray of shape (n_sets, k)
    seed : int
    """
    kernel = fitted.model.kernel(sets, fitted.members)  # (n_sets, n_runs)
    predicted = kernel @ fitted.weights
    place = best_of(predicted[None], sets)[0]
    random = np.random.default_rng([seed, 3])
    moved = measured.gain_draws - np.nanmean(measured.gain_draws, axis=1, keepdims=True)
    n = min(RESAMPLES, moved.shape[1])
    smooth, times = fitted.predict(fitted.members), 0
    for start in range(0, n, AT_ONCE):
        of_videos = np.nan_to_num(moved[:, start : min(start + AT_ONCE, n)].T)  # (n_at_once, n_runs)
        drawn = smooth + of_videos + random.choice(residuals, of_videos.shape)
        times += int((best_of(fitted.refitted(drawn) @ kernel.T, sets) == place).sum())
    return Chosen(int(place), times / n if n else float("nan"))


def best_of(predicted: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Place of the highest prediction of each row; of equally good sets that with the fewest members."""
    order = np.argsort(sets.sum(axis=1), kind="stable")
    ordered = np.round(predicted[:, order], 12)
    return order[ordered.argmax(axis=1)]
