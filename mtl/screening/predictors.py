"""Numbers that cost no further run, such as a cosine of gradients, as predictors beside membership."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from mtl.ablation.predictions import ComparedRun
from mtl.screening.surrogate import LINEAR, RBF, Fitted, Model, fit, linear_kernel, nested_left_out, r2

PRIOR = 10.0  # variance of a predictor's slope against that of what an auxiliary does besides

Predictor = np.ndarray | Callable[[np.ndarray], np.ndarray]


def of_sets(predictor: Predictor, members: np.ndarray) -> np.ndarray:
    """A predictor's value for every set, (n_sets,).

    Parameters
    ----------
    predictor : ndarray of shape (k,), or callable
        A number of every auxiliary towards the main task, of which a set has the sum over its members; or what gives
        every set its own number, members (n_sets, k) -> (n_sets,).
    members : ndarray of shape (n_sets, k)
    """
    return predictor(members) if callable(predictor) else members @ predictor


def with_predictors(predictors: Mapping[str, Predictor], members: np.ndarray) -> Model:
    """Ridge on membership and predictors: f(s) = theta' s + b' p(s), b hardly drawn towards zero.

    For a number z_j of every auxiliary that is a ridge whose theta_j is drawn towards b z_j in place of zero, with b
    found from the runs: b z foretells, and the runs correct it where they know better.

    Parameters
    ----------
    predictors : mapping of str to Predictor
    members : ndarray of shape (n_runs, k)
        Runs whose predictors have a mean square as large as the mean number of members, once scaled.
    """
    if not predictors:
        return LINEAR
    scales = {}
    for name, each in predictors.items():
        size = np.sqrt((of_sets(each, members) ** 2).mean() / max(float(members.sum(axis=1).mean()), 1.0))
        scales[name] = float(size) if size > 0 else 1.0

    def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        total = linear_kernel(one, other)
        for name, each in predictors.items():
            total = total + PRIOR * np.outer(of_sets(each, one), of_sets(each, other)) / scales[name] ** 2
        return total

    return Model(" + ".join(["ridge", *predictors]), kernel, tuple(predictors))


def fit_forward(members: np.ndarray, gains: np.ndarray, predictors: Mapping[str, Predictor]) -> Fitted:
    """Ridge or kernel ridge, and predictors one after the other as long as left-out runs are foretold better.

    A predictor enters where the squared errors of left-out runs fall by more than one standard error of that fall over
    the runs: one of several that are noise makes them fall a little, by chance. Whatever is chosen is chosen by the
    runs given, so that `nested_left_out` can ask it of all runs but one.

    References
    ----------
    Breiman, Friedman, Olshen, Stone, Classification and Regression Trees, 1984, section 3.4.3 (one standard error).
    """
    best = fit(members, gains, [LINEAR, RBF])
    entered: dict[str, Predictor] = {}
    while len(entered) < len(predictors):
        tried = {
            name: fit(members, gains, [with_predictors({**entered, name: each}, members)])
            for name, each in predictors.items()
            if name not in entered
        }
        name = min(tried, key=lambda each: float(_errors(tried[each], gains).sum()))
        fall = _errors(best, gains) - _errors(tried[name], gains)
        if not fall.mean() > fall.std(ddof=1) / np.sqrt(len(fall)):
            break
        best, entered[name] = tried[name], predictors[name]
    return best


def alone(members: np.ndarray, gains: np.ndarray, predictors: Mapping[str, Predictor]) -> dict[str, float]:
    """Nested leave-one-run-out R2 of the ridge with each predictor as the only one beside membership."""

    def procedure(name: str, used: np.ndarray, of: np.ndarray) -> Fitted:
        return fit(used, of, [with_predictors({name: predictors[name]}, used)])

    return {
        name: r2(gains, nested_left_out(members, gains, partial(procedure, name))) for name in predictors
    }  # fmt: skip


def _errors(fitted: Fitted, gains: np.ndarray) -> np.ndarray:
    """Squared errors of left-out runs."""
    return (gains - fitted.left_out) ** 2


def tracked_predictors(
    entries: Sequence[ComparedRun], condition: str, candidates: Sequence[str], main_task: str
) -> dict[str, np.ndarray]:
    """Measures of every candidate with the main task from the runs that have all of them, the mean over seeds."""
    whole = [one for one in entries if one.condition == condition and one.tasks == {main_task, *candidates}]
    measures = dict.fromkeys(measure for one in whole for measure, _ in one.measures)
    found = {}
    for measure in measures:
        values = np.array([[one.measures.get((measure, name), np.nan) for name in candidates] for one in whole])
        if np.isfinite(values).all() and np.ptp(values) > 0:
            found[measure] = values.mean(axis=0)
    return found
