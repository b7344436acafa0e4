"""The gain of a set as a function of its members: ridge and kernel ridge, and how well they foretell a left-out run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

PENALTIES = tuple(float(each) for each in np.logspace(-2, 3, 26))  # that are tried; gains of any size, members 0 or 1
USABLE = 0.3  # nested leave-one-run-out R2 above which a set that nobody trained is predicted
FEWEST_RUNS = 4  # of which one is left out, and of these another, before a penalty can be chosen
PREDICTABLE, NOT_PREDICTABLE = "predictable", "not predictable: train them"

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Model:
    """A prior on how the gain depends on the members: a kernel, which is zero where one of two sets is empty.

    Attributes
    ----------
    name : str
    kernel : callable
        Members (n, k) and (m, k) of two lists of sets -> (n, m).
    predictors : tuple of str
        Names of further predictors in it.
    """

    name: str
    kernel: Kernel
    predictors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """A model fitted to the gains of runs, a run being a set with all its seeds.

    Attributes
    ----------
    model : Model
    penalty : float
        Chosen by leave-one-run-out.
    members : ndarray of shape (n_runs, k)
    weights : ndarray of shape (n_runs,)
        Of the runs' kernels in a prediction.
    left_out : ndarray of shape (n_runs,)
        Prediction of each run from the others, at this penalty.
    """

    model: Model
    penalty: float
    members: np.ndarray
    weights: np.ndarray
    left_out: np.ndarray

    @property
    def coefficients(self) -> np.ndarray:
        """Of the ridge on membership alone, what each member adds, (k,)."""
        return self.members.T @ self.weights

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Gains of sets, members (n, k) -> (n,); that of the empty set is zero."""
        return self.model.kernel(members, self.members) @ self.weights

    def refitted(self, gains: np.ndarray) -> np.ndarray:
        """Weights by the same model and penalty for other gains of the same runs, (..., n_runs) -> (..., n_runs)."""
        kernel = self.model.kernel(self.members, self.members)
        return np.linalg.solve(kernel + self.penalty * np.eye(len(kernel)), np.asarray(gains)[..., None])[..., 0]


Procedure = Callable[[np.ndarray, np.ndarray], Fitted]  # members and gains of runs -> what is chosen by them


def linear_kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Auxiliaries that two sets share: f(s) = theta' s, ridge on theta, no intercept."""
    return one @ other.T


def rbf_kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """exp(-|a - b|^2 / k), given that the gain of the empty set is zero.

    The kernel of the process k(a, b) - k(a, 0) k(0, b), once its value at the empty set is known.
    """
    k = one.shape[1]
    apart = one.sum(axis=1)[:, None] + other.sum(axis=1)[None] - 2 * one @ other.T
    return np.exp(-apart / k) - np.exp(-one.sum(axis=1) / k)[:, None] * np.exp(-other.sum(axis=1) / k)[None]


LINEAR, RBF = Model("ridge", linear_kernel), Model("kernel ridge", rbf_kernel)


def left_out(kernel: np.ndarray, gains: np.ndarray, penalties: Sequence[float] = PENALTIES) -> np.ndarray:
    """Prediction of every run from all others, in closed form.

    With the hat matrix H = K (K + penalty I)^-1 the residual of run i, left out, is (f - H f)_i / (1 - H_ii).

    Parameters
    ----------
    kernel : ndarray of shape (n_runs, n_runs)
    gains : ndarray of shape (n_runs,)
    penalties : sequence of float
        Above 0.

    Returns
    -------
    ndarray of shape (n_penalties, n_runs)

    References
    ----------
    Allen, The relationship between variable selection and data augmentation and a method for prediction, 1974 (PRESS).
    """
    values, vectors = np.linalg.eigh(kernel)
    kept = np.maximum(values, 0.0) / (np.maximum(values, 0.0) + np.asarray(penalties)[:, None])  # (n_penalties, n)
    fitted = (kept * (vectors.T @ gains)) @ vectors.T
    leverage = kept @ (vectors**2).T
    return gains - (gains - fitted) / (1 - leverage)


def fit(members: np.ndarray, gains: np.ndarray, models: Sequence[Model] = (LINEAR, RBF)) -> Fitted:
    """The model and the penalty that foretell left-out runs best.

    Parameters
    ----------
    members : ndarray of shape (n_runs, k)
        Zeros and ones; no empty set, whose gain is zero.
    gains : ndarray of shape (n_runs,)
        Of each run over the main task alone: the mean over seeds of differences paired by seed.
    models : sequence of Model
        Of equally good ones the first; of equally good penalties the largest.

    References
    ----------
    Li, Nguyen, Zhang, Identification of negative transfers in multitask learning using surrogate models, TMLR 2023
    (ridge on membership); Zhang et al., ICLR 2026, arXiv 2602.03783 (kernel ridge).
    """
    best: tuple[float, Model, float, np.ndarray] | None = None
    for model in models:
        predicted = left_out(model.kernel(members, members), gains)
        for penalty, values in zip(reversed(PENALTIES), predicted[::-1], strict=True):
            error = float(((gains - values) ** 2).sum())
            if best is None or error < best[0] * (1 - 1e-9):
                best = (error, model, penalty, values)
    assert best is not None, "at least one model"
    _, model, penalty, values = best
    fitted = Fitted(model, penalty, members, np.empty(0), values)
    return Fitted(model, penalty, members, fitted.refitted(gains), values)


def nested_left_out(members: np.ndarray, gains: np.ndarray, procedure: Procedure = fit) -> np.ndarray:
    """Prediction of every run by what the procedure chooses without it; all NaN with fewer than four runs."""
    if len(gains) < FEWEST_RUNS:
        return np.full(len(gains), np.nan)
    others = ~np.eye(len(gains), dtype=bool)
    return np.array(
        [
            procedure(members[kept], gains[kept]).predict(members[[i]])[0]
            for i, kept in enumerate(others)
        ]
    )  # fmt: skip


def r2(gains: np.ndarray, predicted: np.ndarray, against: float | np.ndarray = 0.0) -> float:
    """1 - sum of squared errors / sum of squared differences from what is predicted without a surrogate.

    Parameters
    ----------
    gains, predicted : ndarray of shape (n_runs,)
    against : float or ndarray of shape (n_runs,)
        Zero: no auxiliary does anything. See also `left_out_means`.

    Returns
    -------
    float
        NaN where the gains do not differ from what they are held against, or a prediction is NaN.
    """
    total = float(((gains - against) ** 2).sum())
    return 1 - float(((gains - predicted) ** 2).sum()) / total if total > 0 else float("nan")


def left_out_means(gains: np.ndarray) -> np.ndarray:
    """Of every run the mean gain of all others: every set is as good as any other."""
    n = len(gains)
    return (gains.sum() - gains) / (n - 1) if n > 1 else np.full(n, np.nan)


def word_of(nested_r2: float) -> str:
    """Whether sets that nobody trained can be predicted; not so where R2 is undefined."""
    return PREDICTABLE if nested_r2 > USABLE else NOT_PREDICTABLE


def reach(residuals: np.ndarray, level: float) -> float:
    """How far an interval reaches to both sides of a prediction.

    The quantile of the absolute residuals of left-out runs, of rank ceil((n + 1) level), the largest where that is
    more than there are: of n + 1 exchangeable runs the one not seen is within with probability `level`, or n / (n + 1).

    References
    ----------
    Barber et al., Predictive inference with the jackknife+, Annals of Statistics 2021.
    """
    sizes = np.sort(np.abs(residuals[np.isfinite(residuals)]))
    if not len(sizes):
        return float("nan")
    return float(sizes[min(int(np.ceil((len(sizes) + 1) * level - 1e-9)), len(sizes)) - 1])
