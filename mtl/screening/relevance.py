"""What each auxiliary does to the main task over the sets of a design, with an interval that holds for all at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtl.ablation.judged import CANNOT_TELL, shares_of, word_of
from mtl.screening.measured import Measured
from mtl.screening.surrogate import LINEAR, fit
from mtl.statistics.bootstrap import LEVEL, mean_of_defined

FEWEST_DEGREES = 12.0  # of what seeds bring: with fewer a part that is next to nothing would have tails that decide
TINY = 1e-8  # below which a coefficient's row of the pseudo-inverse is not that of the coefficient alone


@dataclass(frozen=True)
class Relevance:
    """Of every candidate, in their order: what it adds to the AUC of the main task.

    Attributes
    ----------
    candidates : tuple of str
    ridge : ndarray of shape (n_candidates,)
        Coefficient of the ridge with the penalty by leave-one-run-out: drawn towards zero, best for predictions.
    least_squares : ndarray of shape (n_candidates,)
        Coefficient without a penalty; NaN where the sets do not separate it from others.
    low, high : ndarray of shape (n_candidates,)
        Simultaneous interval around the least squares coefficient.
    words : tuple of str
        helps, hurts, does not matter, cannot tell.
    reasons : tuple of str
        Why it cannot be told; else empty.
    shares : ndarray of shape (n_candidates, 3)
        Of the resamples below minus the margin, within, above.
    penalty : float
    degrees : int
        Of freedom of what is left of the gains.
    critical : float
        How many standard errors the intervals reach.
    of_runs, of_seeds, of_videos : ndarray of shape (n_candidates,)
        The parts of the standard error.
    """

    candidates: tuple[str, ...]
    ridge: np.ndarray
    least_squares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    words: tuple[str, ...]
    reasons: tuple[str, ...]
    shares: np.ndarray
    penalty: float
    degrees: int
    critical: float
    of_runs: np.ndarray
    of_seeds: np.ndarray
    of_videos: np.ndarray


def relevance(measured: Measured, margin: float, seed: int) -> Relevance:
    """Ridge and least squares coefficients of the gains on membership, intervals, and verdicts.

    The interval's target is the coefficient of the additive description c + theta' s of the true AUCs that is best
    over sets as those of the design, without a penalty: what least squares would find with all videos of the kind,
    any number of seeds, and any number of such sets. A ridge coefficient is no estimate of it, as it is drawn towards
    zero by as much as helps predictions, so the intervals are around least squares. With an intercept, and the main
    task alone as one row among the others: what happened to its runs would else be in every gain, and in every theta.

    Three things make a coefficient uncertain, and each is resampled or drawn:

    * runs: what a set with all its seeds does beyond the sum of its members, and what training it with so few seeds
      brings. The residuals of the rows, divided by the root of 1 - leverage, are resampled and multiplied by
      the root of degrees / chi^2 (so that few degrees of freedom are as wide as a t interval);
    * seeds: what an auxiliary does differently from seed to seed, whatever the set. All sets share the seeds, so no
      residual shows it: it is the variance between the coefficients of single seeds beyond what the residuals of single
      seeds explain, pooled over auxiliaries, not below zero, and drawn with the few degrees of freedom it has;
    * videos: the coefficients in the resamples of the test videos. What videos do to single sets shows in the
      residuals already, so of the variance over resamples only what is beyond that counts.

    The interval reaches so many standard errors that the largest deviation of all coefficients stays within in 95 % of
    the resamples (max-t).

    Parameters
    ----------
    measured : Measured
        Of test videos.
    margin : float
        In AUC, above 0: see `mtl.ablation.judged.word_of`. A single seed never decides.
    seed : int

    References
    ----------
    Freedman, Bootstrapping regression models, Annals of Statistics 1981 (residuals); Hothorn, Bretz, Westfall,
    Simultaneous inference in general parametric models, Biometrical Journal 2008 (max-t).
    """
    measured = measured.with_gain()
    k, n_resamples = len(measured.candidates), measured.draws.shape[2]
    gains = np.concatenate([[0.0], measured.gains])
    ridge, penalty = np.zeros(k), float("nan")
    if len(gains) > 2:
        fitted = fit(measured.members[1:], gains[1:], [LINEAR])
        ridge, penalty = fitted.coefficients, fitted.penalty
    pattern = np.column_stack([np.ones(len(gains)), measured.members])
    inverse = np.linalg.pinv(pattern)
    separate = np.abs(inverse @ pattern - np.eye(k + 1)).max(axis=1)[1:] < TINY
    weights, degrees = inverse[1:], len(gains) - int(np.linalg.matrix_rank(pattern))  # (k, n_rows)
    of_ones = (weights**2).sum(axis=1)
    left = np.eye(len(gains)) - pattern @ inverse
    found = np.where(separate, weights @ gains, np.nan)
    n_seeds = len(measured.complete)
    nan = np.full(k, np.nan)
    if degrees < 1 or not separate.any():
        why = tuple(_few_sets(k, each) for each in separate)
        none = (nan, nan, (CANNOT_TELL,) * k, why, np.full((k, 3), np.nan), penalty, degrees, float("nan"))
        return Relevance(measured.candidates, ridge, found, *none, nan, nan, nan)
    by_videos = np.vstack([np.zeros(n_resamples), measured.gain_draws])  # (n_rows, n_resamples)
    by_videos = np.nan_to_num(by_videos - mean_of_defined(by_videos, axis=1)[:, None])
    of_single = float((left * np.cov(by_videos)).sum()) / degrees if n_resamples > 1 else 0.0
    moved = weights @ by_videos  # (k, n_resamples)
    videos = np.sqrt(np.maximum(moved.var(axis=1) - of_single * of_ones, 0.0))
    residuals = left @ gains
    variance = float((residuals**2).sum()) / degrees
    between, of_between = _between_seeds(measured, weights, left, separate)
    runs, seeds = np.sqrt(variance * of_ones), np.full(k, between)
    random = np.random.default_rng([seed, 2])
    drawn = weights @ _resampled(residuals, np.diag(left), variance, degrees, n_resamples, random)
    wider = np.sqrt(of_between / random.chisquare(of_between, n_resamples))
    drawn += seeds[:, None] * random.normal(size=drawn.shape) * wider
    drawn += moved * np.divide(videos, moved.std(axis=1), out=np.zeros(k), where=moved.std(axis=1) > 0)[:, None]
    error = np.sqrt(runs**2 + seeds**2 + videos**2)
    sizes = np.abs(drawn[separate]) / np.where(error > 0, error, 1.0)[separate, None]
    critical = float(np.quantile(sizes.max(axis=0), LEVEL))
    low, high = np.maximum(found - critical * error, -1.0), np.minimum(found + critical * error, 1.0)
    words, reasons = [], []
    for j in range(k):
        word = word_of(low[j], high[j], margin) if separate[j] and n_seeds > 1 else CANNOT_TELL
        by_runs, of_videos = critical * np.hypot(runs[j], seeds[j]), critical * videos[j]
        parts = f"sets and seeds alone leave ±{by_runs:.3f}, videos ±{of_videos:.3f}"
        alone = f"{'one seed never decides' if n_seeds == 1 else 'no seed has all sets'}; {parts}"
        said = _few_sets(k, False) if not separate[j] else parts if n_seeds > 1 else alone
        words.append(word)
        reasons.append(said if word == CANNOT_TELL else "")
    shares = np.array([shares_of(found[j] + drawn[j], margin) for j in range(k)])
    told = (low, high, tuple(words), tuple(reasons), shares, penalty, degrees, critical)
    return Relevance(measured.candidates, ridge, found, *told, runs, seeds, videos)


def _few_sets(k: int, separate: bool) -> str:
    """Why least squares says nothing, or nothing certain."""
    least = f"at least {k + 2} sets with a result, the main task alone among them"
    if separate:
        return f"the sets are too few to know how wrong the coefficients may be: {least}, are needed"
    return f"the sets do not separate it from other auxiliaries: {least}, are needed, and no two always together"


def _between_seeds(
    measured: Measured, weights: np.ndarray, left: np.ndarray, separate: np.ndarray
) -> tuple[float, float]:
    """Standard error of a coefficient from what auxiliaries do differently by seed, and its degrees of freedom.

    A difference of two variances, so the degrees are Satterthwaite's (Biometrics Bulletin 1946), but not below
    `FEWEST_DEGREES`.
    """
    values = measured.values[:, measured.complete]
    n_seeds = values.shape[1]
    if n_seeds < 2:
        return 0.0, 1.0
    of_seeds = weights @ values  # (k, n_seeds)
    residuals = left @ (values - values.mean(axis=1, keepdims=True))
    degrees = float(np.trace(left)) * (n_seeds - 1)  # residuals of n_rows - rank dimensions, less one seed
    explained = float((residuals**2).sum()) / degrees * float((weights[separate] ** 2).sum(axis=1).mean())
    total = float(of_seeds[separate].var(axis=1, ddof=1).mean())
    beyond = max(total - explained, 0.0)
    spread = total**2 / (separate.sum() * (n_seeds - 1)) + explained**2 / degrees
    of_difference = beyond**2 / spread if spread > 0 else 0.0
    return float(np.sqrt(beyond / n_seeds)), max(of_difference, FEWEST_DEGREES)


def _resampled(
    residuals: np.ndarray, left: np.ndarray, variance: float, degrees: int, n: int, random: np.random.Generator
) -> np.ndarray:
    """Residuals of the rows in n resamples, (n_rows, n), as wide as their few degrees of freedom make them."""
    loose = left > TINY  # a row that its own coefficient fits exactly has no residual
    pool = residuals[loose] / np.sqrt(left[loose])
    pool = np.concatenate([pool, -pool])  # without a mean, and as likely above as below
    spread = np.sqrt((pool**2).mean())
    pool = pool * (np.sqrt(variance) / spread if spread > 0 else 0.0)
    wider = np.sqrt(degrees / random.chisquare(degrees, n))
    return random.choice(pool, (len(residuals), n)) * wider
