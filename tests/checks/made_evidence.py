"""Sweeps as checks see them, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mtl.ablation.comparison import Comparison, compare
from mtl.ablation.design import design_of
from mtl.ablation.predictions import BY_VIDEO, ComparedRun, Predicted
from mtl.checks.base import Check
from mtl.checks.evidence import Evidence
from mtl.results import TrackedRun

NAN = float("nan")


def run(tasks: str = "single", seed: int = 0, tags: Mapping[str, str] | None = None, **own: Any) -> TrackedRun:
    """A finished run; its own parameters have a dot for two underscores, metrics are a dictionary."""
    metrics = own.pop("metrics", {})
    params = {"tasks": tasks, "seed": str(seed)} | {key.replace("__", "."): str(value) for key, value in own.items()}
    return TrackedRun(f"{tasks}-{seed}", f"{tasks} seed={seed}", "FINISHED", params, metrics, tags or {})


def entry(tasks: str = "single", seed: int = 0, **predicted: Any) -> ComparedRun:
    """A run with predictions of no video, and what else is said of them."""
    none = Predicted(np.empty(0, str), np.empty(0, bool), np.empty(0, np.uint64))
    return ComparedRun(tasks, tasks, "", str(seed), frozenset({"main"}), replace(none, **predicted))


def videos(**classes: int | Sequence[int]) -> pd.DataFrame:
    """Test videos by class: how many of ten frames, or how many frames each."""
    counts = {name: [10] * n if isinstance(n, int) else n for name, n in classes.items()}
    rows = [("test", f"{name}{i}", name, n) for name, each in counts.items() for i, n in enumerate(each)]
    return pd.DataFrame(rows, columns=BY_VIDEO)


def evidence(
    *runs: TrackedRun,
    entries: Sequence[ComparedRun] = (),
    compared: Mapping[str, object] | None = None,
    **more: Any,
) -> Evidence:
    """What is known of these runs; `compared` replaces parts of a comparison of nothing."""
    nothing: Comparison = compare([], "main", (), 10, 0, 0.01)
    comparison = replace(nothing, base="single", **(compared or {}))
    return Evidence("main", design_of(runs), comparison, tuple(entries), **more)


def sets(paired_seeds: int, n: int) -> pd.DataFrame:
    """Rows of a base and so many others, as far as p values are concerned."""
    return pd.DataFrame({"p": [NAN, *[0.5] * n], "paired_seeds": [NAN, *[paired_seeds] * n]})


def found(check: Check, at: Evidence) -> tuple[str, str]:
    """Severity and lines of what a check finds."""
    finding = check.look(at)
    assert (finding.code, finding.title) == (check.code, check.title)
    return finding.severity, "\n".join(finding.lines)
