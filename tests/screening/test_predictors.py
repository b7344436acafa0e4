"""Free predictors: in where they foretell, out where they are noise, and never by the run that is foretold."""

from __future__ import annotations

import numpy as np
import pytest

from mtl.screening.design import design, members
from mtl.screening.predictors import PRIOR, alone, fit_forward, of_sets, with_predictors
from mtl.screening.surrogate import LINEAR, fit, nested_left_out, r2

CANDIDATES = [f"a{i}" for i in range(13)]
USED = members(design(CANDIDATES, 12, 0)[1:], CANDIDATES)  # as many runs as auxiliaries: membership alone knows little


def gains(random: np.random.Generator, noise: float = 0.004) -> tuple[np.ndarray, np.ndarray]:
    effects = random.normal(0, 0.01, 13)
    return effects, USED @ effects + random.normal(0, noise, len(USED))


def test_what_foretells_enters_and_makes_predictions_better():
    better = []
    for seed in range(5):
        random = np.random.default_rng(seed)
        effects, found = gains(random)
        told = {"cosine": 50 * effects + random.normal(0, 0.05, 13), "noise": random.normal(size=13)}
        chosen = fit_forward(USED, found, told)
        assert "cosine" in chosen.model.predictors
        with_it = r2(found, nested_left_out(USED, found, lambda used, of, told=told: fit_forward(used, of, told)))
        better.append(with_it - r2(found, nested_left_out(USED, found)))
        by_itself = alone(USED, found, told)
        assert by_itself["cosine"] > by_itself["noise"]
    assert min(better) > 0


def test_noise_seldom_raises_the_nested_r2():
    raised = []
    for seed in range(8):
        random = np.random.default_rng([seed, 1])
        _, found = gains(random)
        told = {f"noise {i}": random.normal(size=13) for i in range(3)}
        with_them = nested_left_out(USED, found, lambda used, of, told=told: fit_forward(used, of, told))
        raised.append(r2(found, with_them) - r2(found, nested_left_out(USED, found)))
    assert np.mean(raised) < 0.02


def test_a_number_per_auxiliary_is_what_their_coefficients_are_drawn_to():
    """theta = b z + rest has the covariance PRIOR z z' + I, z scaled by the root mean square of its sums."""
    z = np.arange(1.0, 14.0)
    model = with_predictors({"z": z}, USED)
    scale = np.sqrt(((USED @ z) ** 2).mean() / USED.sum(axis=1).mean())
    covariance = np.eye(13) + PRIOR * np.outer(z, z) / scale**2
    assert model.kernel(USED, USED) == pytest.approx(USED @ covariance @ USED.T)
    assert with_predictors({}, USED) is LINEAR
    thousand = with_predictors({"z": 1000 * z}, USED)
    assert thousand.kernel(USED, USED) == pytest.approx(model.kernel(USED, USED))


def test_a_predictor_may_give_every_set_its_own_number():
    mean = lambda used: used @ np.ones(13) / np.maximum(used.sum(axis=1), 1)  # noqa: E731
    assert of_sets(mean, USED) == pytest.approx(1)
    fitted = fit(USED, USED.sum(axis=1) * 0 + 0.02, [with_predictors({"any": mean}, USED)])
    assert fitted.predict(np.eye(13)[:1])[0] > 0.01
    assert fitted.predict(np.zeros((1, 13)))[0] == 0
