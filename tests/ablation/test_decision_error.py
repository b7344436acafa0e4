"""Simulated sweeps: how often one that stops when it knows is wrong, against what is promised."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from types import ModuleType

import numpy as np
import pytest
from conftest import ROOT

SWEEPS, RESAMPLES = 150, 200  # of every effect


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
    spread = bench.Spread(seeds, 0.002, 12)
    found = {margins: bench.study(spread, margins, SWEEPS, RESAMPLES, seed=1) for margins in bench.TRUE}
    rule = [each for one, _ in found.values() for each in one]
    naive = [each for _, other in found.values() for each in other]
    error = 3 * np.sqrt(0.05 * 0.95 / len(rule))
    assert bench.share(rule, "always") >= 0.95 - error
    assert bench.share(rule, "finally_") >= 0.95 - error
    for one, _ in found.values():
        assert bench.share(one, "wrong") <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / SWEEPS)
    assert bench.share(rule, "wrong") <= 0.05 + error
    assert bench.share(naive, "always") < min(0.9, bench.share(rule, "always") - 0.05)
    seeds_used = {margins: np.median([each.seeds for each in one]) for margins, (one, _) in found.items()}
    assert seeds_used[2.0] <= 0.45 * spread.fixed[0]
    assert seeds_used[2.0] < seeds_used[1.0] <= 0.75 * spread.fixed[0]
