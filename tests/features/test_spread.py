from __future__ import annotations

import numpy as np
import pytest

from mtl.features import spread
from mtl.features.vectors import MemoryVectors


def of(rows, n_frames=100):
    vectors = MemoryVectors(np.asarray(rows, np.float32))
    return spread.spread_of(vectors, np.arange(len(vectors)), n_frames)


def test_mean_and_deviation_are_those_worked_out_by_hand():
    found = of([[1, 10], [3, 10], [5, 10]])
    np.testing.assert_allclose(found.mean, [3, 10])
    np.testing.assert_allclose(found.deviation, [np.sqrt(8 / 3), 0])
    assert found.size == pytest.approx(np.sqrt(4 / 3))
    assert found.level == pytest.approx(np.sqrt((9 + 100) / 2))


@pytest.mark.parametrize(("scale", "mean"), [(1, 0), (1e-11, 0), (1e-30, 0), (1e30, 0), (1, 1e4), (1e-3, 1)])
def test_no_scale_is_lost_and_blocks_do_not_matter(monkeypatch, scale, mean):
    rows = (np.random.default_rng(0).normal(size=(200, 3)) * scale + mean).astype(np.float32)
    monkeypatch.setattr(spread, "BLOCK_BYTES", 100)
    found = of(rows, 200)
    np.testing.assert_allclose(found.deviation, rows.std(axis=0, dtype=np.float64), rtol=1e-9)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-9, atol=1e-12 * scale)


def test_feature_maps_are_described_per_channel():
    maps = np.random.default_rng(0).normal(size=(7, 2, 3, 4)).astype(np.float32)
    found = of(maps)
    np.testing.assert_allclose(found.mean, maps.mean(axis=(0, 1, 2), dtype=np.float64))
    np.testing.assert_allclose(found.deviation, maps.std(axis=(0, 1, 2), dtype=np.float64))


def test_of_many_frames_evenly_spaced_ones_are_read():
    found = of([[i] for i in range(101)], n_frames=5)
    assert found.n_frames == 5
    np.testing.assert_allclose(found.mean, 50)
    np.testing.assert_allclose(found.deviation, np.std([0, 25, 50, 75, 100]))


def test_only_positions_asked_for_are_read():
    vectors = MemoryVectors(np.array([[1], [1000], [3]], np.float32))
    assert spread.spread_of(vectors, np.array([0, 2]), 10).mean == pytest.approx(2)


def test_a_constant_feature_is_divided_by_one():
    rows = np.array([[0.1, 1e4, 1e-40, 0], [0.1, 1e4, 2e-40, 1e-11]])
    rows[1, 1] = np.nextafter(np.float32(1e4), np.float32(2e4))  # the next float32
    found = of(rows)
    np.testing.assert_array_equal(found.is_constant, [True, True, True, False])
    np.testing.assert_allclose(found.scale, [1, 1, 1, 0.5e-11], rtol=1e-5)


@pytest.mark.parametrize(
    ("scale", "mean", "told", "told_if_standardised"),
    [
        (1, 0, "", ""),
        (2e-4, 0, "", ""),
        (1, 50, "", ""),
        (1e-11, 0, "hardly differ: standard deviation 1e-11, mean 0 ", ""),
        (0.5, 100, "hardly differ: standard deviation 0.5, mean 1e+02 ", ""),
        (0, 3, "do not differ: standard deviation 0, mean 3 ", "do not differ: standard deviation 0, mean 3 "),
    ],
)
def test_features_from_which_training_learns_nothing_are_told_in_one_line(scale, mean, told, told_if_standardised):
    found = of(np.array([[-1.0], [1.0]]) * scale + mean)
    for is_standardised, expected in ((False, told), (True, told_if_standardised)):
        line = found.warning(is_standardised)
        assert bool(line) == bool(expected)
        assert expected in line
        assert "\n" not in line
    assert ("model.standardise=true" in found.warning(False)) == ("hardly" in told)
