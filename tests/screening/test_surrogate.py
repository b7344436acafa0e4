"""The surrogate: closed forms against the long way, values by hand, and a gain that nothing foretells."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from mtl.screening.design import design, members
from mtl.screening.surrogate import (
    LINEAR,
    NOT_PREDICTABLE,
    PREDICTABLE,
    RBF,
    fit,
    left_out,
    left_out_means,
    linear_kernel,
    nested_left_out,
    r2,
    rbf_kernel,
    reach,
    word_of,
)

CANDIDATES = [f"a{i}" for i in range(6)]


def runs(seed: int, n: int = 14) -> np.ndarray:
    return members(design(CANDIDATES, n, seed)[1:], CANDIDATES)


def test_left_out_predictions_are_those_of_the_long_way():
    used, gains = runs(0), np.random.default_rng(0).normal(size=15)
    for penalty in (0.5, 20.0):
        quick = left_out(linear_kernel(used, used), gains, [penalty])[0]
        long = cross_val_predict(Ridge(alpha=penalty, fit_intercept=False), used, gains, cv=LeaveOneOut())
        assert quick == pytest.approx(long, abs=1e-9)
    kernel = rbf_kernel(used, used)
    long = cross_val_predict(KernelRidge(alpha=0.3, kernel="precomputed"), kernel, gains, cv=LeaveOneOut())
    assert left_out(kernel, gains, [0.3])[0] == pytest.approx(long, abs=1e-9)


def test_ridge_by_hand():
    """Runs {a}, {b} with gains 3 and 1 and penalty 1: theta = (3, 1) / 2, and left out nothing is known of either."""
    used, gains = np.eye(2), np.array([3.0, 1.0])
    fitted = fit(used, gains, [LINEAR])
    assert fitted.predict(np.array([[1.0, 1.0], [0.0, 0.0]])) == pytest.approx([4 / (1 + fitted.penalty), 0])
    assert fitted.left_out == pytest.approx([0, 0])
    assert r2(gains, fitted.left_out) == pytest.approx(0)
    assert left_out_means(gains) == pytest.approx([1, 3])


def test_kernel_is_that_of_the_paper_once_the_empty_set_is_known():
    used = np.array([[1.0, 0, 1], [0, 0, 0], [0, 1, 1]])
    plain = np.exp(-((used[:, None] - used[None]) ** 2).sum(-1) / 3)
    known = plain - plain[:, [1]] * plain[[1], :]
    assert rbf_kernel(used, used) == pytest.approx(known)
    assert fit(used[[0, 2]], np.array([1.0, -1.0]), [RBF]).predict(used[[1]]) == pytest.approx([0])


def test_additive_gains_are_predictable_and_noise_is_not():
    used = runs(1, 20)
    theta = np.array([0.03, -0.02, 0.01, 0.0, 0.02, -0.01])
    rng = np.random.default_rng(3)
    gains = used @ theta + rng.normal(0, 0.001, len(used))
    assert word_of(r2(gains, nested_left_out(used, gains))) == PREDICTABLE
    every = members(design(CANDIDATES, 40, 5), CANDIDATES)
    assert fit(used, gains).predict(every) == pytest.approx(every @ theta, abs=0.005)
    nothing = [
        word_of(r2(noise, nested_left_out(used, noise))) for noise in rng.normal(0, 0.01, (20, len(used)))
    ]  # fmt: skip
    assert nothing.count(NOT_PREDICTABLE) >= 18


def test_scale_of_gains_and_order_of_auxiliaries_do_not_matter():
    used, gains = runs(2), np.random.default_rng(2).normal(size=15)
    asked = runs(7)
    turned = [3, 1, 5, 0, 2, 4]
    plain = fit(used, gains).predict(asked)
    assert fit(used, 1000 * gains).predict(asked) == pytest.approx(1000 * plain)
    assert fit(used[:, turned], gains).predict(asked[:, turned]) == pytest.approx(plain)


def test_reach_is_the_conformal_rank():
    assert reach(np.arange(1.0, 20.0), 0.9) == 18  # ceil(20 * .9)
    assert reach(np.array([-3.0, 1.0, np.nan]), 0.9) == 3
    assert np.isnan(reach(np.array([]), 0.9))


def test_too_few_runs_predict_nothing():
    assert np.isnan(nested_left_out(np.eye(3), np.ones(3))).all()
    assert word_of(float("nan")) == NOT_PREDICTABLE
