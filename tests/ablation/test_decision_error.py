"""Simulated sweeps: how often one that stops when it knows is wrong, against what is promised."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from types import ModuleType

import numpy as np
import pytest
from conftest import ROOT

SWEEPS, RESAMPLES = 120, 200  # of every effect


@cache
def benchmark() -> ModuleType:
    """benchmarks/decide.py, which is no package."""
    spec = importlib.util.spec_from_file_location("benchmark_decide", ROOT / "benchmarks" / "decide.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(0.008, 0.008, 0.008), (0.006, 0.008, 0.010)], ids=["alike", "unlike"])
def test_the_error_is_held_with_looking_and_not_without_its_correction(seeds):
    bench = benchmark()
    spread = bench.Spread(seeds, 0.001, 12)
    found = {margins: bench.study(spread, margins, SWEEPS, RESAMPLES, seed=1) for margins in bench.TRUE}
    rule = [each for one, _ in found.values() for each in one]
    naive = [each for _, other in found.values() for each in other]
    error = 3 * np.sqrt(0.05 * 0.95 / len(rule))
    assert bench.share(rule, "always") >= 0.95 - error
    assert bench.share(rule, "finally_") >= 0.95 - error
    assert bench.share(rule, "wrong") <= 0.05 + error
    for one, _ in found.values():
        assert bench.share(one, "wrong") <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / SWEEPS)
    assert bench.share(naive, "always") < min(0.88, bench.share(rule, "always") - 0.08)
    used = {margins: np.median([each.seeds for each in one]) for margins, (one, _) in found.items()}
    assert used[2.0] <= 0.55 * spread.fixed[0]
    assert used[1.0] < spread.fixed[0]
    assert all(each.decided for each in found[2.0][0])


def test_one_course_says_what_wave_by_wave_comes_to():
    bench = benchmark()
    spread = bench.Spread((0.006, 0.006), 0.001, 8)
    truth = {"a0": 0.02, "a1": -0.02}
    for k in range(3):
        sweep = bench.simulated(spread, np.array(list(truth.values())), RESAMPLES, np.random.default_rng(k))
        whole, waves = bench.by_rule(sweep, spread, truth), bench.by_waves(sweep, truth)
        assert (whole.finally_, whole.wrong, whole.decided, whole.seeds) == (
            waves.finally_,
            waves.wrong,
            waves.decided,
            waves.seeds,
        )
