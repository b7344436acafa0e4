"""Linearised estimates of subsets: against explicit gradients, numerical derivatives, another program, known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.linear_model import LogisticRegression

from mtl.relations.linearised import (
    DenseModel,
    Linear,
    best_penalty,
    fitted,
    linearise,
    linearised_aucs,
    linearised_gains,
)
from mtl.tasks import BinaryTask

YES = BinaryTask(["Arson"], [])


def small_model(n_in: int = 4, n_units: int = 5) -> DenseModel:
    rng = np.random.default_rng(0)
    heads = {name: (rng.normal(size=(n_units, units)), rng.normal(size=units)) for name, units in (("a", 1), ("b", 3))}
    return DenseModel(rng.normal(size=(n_in, n_units)), rng.normal(size=n_units), heads)


def linear(n: int = 30, units: int = 1, d: int = 4, seed: int = 0) -> Linear:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, max(units, 2), n)
    return Linear(rng.normal(size=(n, units)), rng.normal(size=(n, units, d)), targets)


def test_logits_are_the_models_and_slopes_keep_the_products_of_its_gradients():
    model, inputs = small_model(), np.random.default_rng(1).normal(size=(6, 4))
    targets = {"a": np.array([0, 1, 0, -1, 1, 1]), "b": np.array([0, 1, 2, 0, 1, -1])}
    found = linearise(model, inputs, targets, 40000, 0)
    outputs = inputs @ model.kernel + model.bias
    for name, one in found.items():
        kernel, bias = model.heads[name]
        known = targets[name] >= 0
        np.testing.assert_allclose(one.logits, (np.maximum(outputs, 0) @ kernel + bias)[known])
        np.testing.assert_array_equal(one.targets, targets[name][known])
        with_bias = np.c_[inputs, np.ones(6)]
        rows = zip(with_bias, outputs > 0, strict=True)
        exact = np.array([[np.outer(x, passed * column).ravel() for column in kernel.T] for x, passed in rows])[known]
        flat, projected = (each.reshape(-1, each.shape[-1]) for each in (exact, one.slopes))
        length = np.linalg.norm(flat, axis=1)
        error = (projected @ projected.T - flat @ flat.T) / np.outer(length, length)
        assert np.abs(error).max() < 0.06
    again = linearise(model, inputs, targets, 7, 3)
    np.testing.assert_array_equal(again["b"].slopes, linearise(model, inputs, {"b": targets["b"]}, 7, 3)["b"].slopes)


@pytest.mark.parametrize("units", [1, 3])
def test_gradient_and_curvature_of_a_loss_are_its_derivatives(units):
    one, zero = linear(units=units), np.zeros(4)
    delta = np.array([0.3, -0.2, 0.1, 0.4])
    np.testing.assert_allclose(one.loss(delta)[1], approx_fprime(delta, lambda x: one.loss(x)[0]), atol=1e-6)
    numerical = np.array([approx_fprime(zero, lambda x, i=i: one.loss(x)[1][i]) for i in range(4)])
    np.testing.assert_allclose(one.curvature, numerical, atol=1e-6)


def test_without_offset_the_fit_is_that_of_a_ridge_logistic_regression():
    one = linear(60)
    plain = Linear(np.zeros_like(one.logits), one.slopes, one.targets)
    ridge = 0.05 * np.square(one.slopes).sum(axis=-1).mean()
    other = LogisticRegression(C=1 / (60 * ridge), fit_intercept=False, tol=1e-8).fit(one.slopes[:, 0], one.targets)
    np.testing.assert_allclose(fitted({"a": plain}, ["a"], 0.05), other.coef_[0], atol=1e-4)
    assert np.abs(fitted({"a": one}, ["a"], 0.05) - other.coef_[0]).max() > 0.01  # the offset counts


def test_the_fit_is_where_all_members_pull_as_hard_as_the_ridge_and_others_do_not_count():
    train = {"a": linear(40), "b": linear(50, 3, seed=1), "c": linear(60, seed=2)}
    size = np.mean([np.square(one.slopes).sum(axis=-1).mean() for one in train.values()])
    delta = fitted(train, ["a", "b"], 0.1)
    pull = train["a"].loss(delta)[1] + train["b"].loss(delta)[1]
    np.testing.assert_allclose(pull + 0.1 * size * delta, 0, atol=1e-4)
    np.testing.assert_allclose(fitted(train, ["b", "a"], 0.1), delta, atol=1e-4)
    assert np.abs(fitted(train, ["a", "b"], 1e9)).max() < 1e-6
    assert np.abs(fitted(train, ["a", "b", "c"], 0.1) - delta).max() > 1e-3


def related(n_main: int = 40, seed: int = 0) -> tuple[dict[str, Linear], Linear]:
    """A main task of few frames, an auxiliary with the same truth and many, one with none; and frames to judge."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=10)

    def of(n: int, weights: np.ndarray) -> Linear:
        slopes = rng.normal(size=(n, 1, 10))
        targets = (slopes[:, 0] @ weights + rng.logistic(size=n) > 0).astype(int)
        return Linear(np.zeros((n, 1)), slopes, targets)

    train = {"main": of(n_main, truth), "same": of(2000, truth), "coin": of(2000, np.zeros(10))}
    return train, of(2000, truth)


def test_an_auxiliary_with_the_same_truth_is_foretold_to_help_and_a_coin_not_to():
    train, judged = related()
    gains = linearised_gains(train, "main", judged, YES, [["same"], ["coin"], ["coin", "same"]], 0.01)
    assert gains[frozenset()] == 0
    assert gains[frozenset({"same"})] > 0.02
    assert gains[frozenset({"coin"})] < 0.005
    assert gains[frozenset({"same"})] >= gains[frozenset({"coin", "same"})] - 0.005
    aucs = linearised_aucs(train, "main", {"val": judged, "test": judged}, YES, [["main", "same"]], 0.01)
    ((chosen, found),) = aucs.items()
    assert chosen == {"same"}
    assert found["val"] == found["test"] > 0.8


def test_the_penalty_is_that_of_the_least_validation_loss_of_the_main_task():
    train, judged = related()
    grid = [1e-4, 1e-2, 1.0, 100.0]
    losses = [sum(judged.loss(fitted(train, m, p))[0] for m in (["main"], list(train))) for p in grid]
    assert best_penalty(train, "main", judged, grid) == grid[int(np.argmin(losses))] != 100.0


def test_one_outcome_only_has_no_auc():
    train, judged = related()
    alike = Linear(judged.logits, judged.slopes, np.zeros_like(judged.targets))
    assert np.isnan(linearised_gains(train, "main", alike, YES, [["same"]], 0.1)[frozenset({"same"})])
