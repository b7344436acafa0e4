"""Linearised estimates as a number of every set: of small sets their own, of larger ones the mean over the pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtl.ablation.design import design_of
from mtl.report.linearised_sets import ASKED_FOR, LINEARISED, linearised_predictors, mean_of_subsets
from mtl.results import TrackedRun
from mtl.screening.asked import Asked
from mtl.screening.predictors import of_sets

GAINS = {"a": 0.1, "b": -0.2, "c": 0.3, "a+b": 0.04, "a+c": 0.05, "b+c": 0.0, "a+b+c": 9.0}
ESTIMATED = {frozenset(name.split("+")): value for name, value in GAINS.items()}
SETS = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]], float)


def test_a_small_set_has_its_own_estimate_and_a_larger_one_the_mean_over_pairs():
    by_pairs = mean_of_subsets(ESTIMATED, ["a", "b", "c"])
    assert of_sets(by_pairs, SETS) == pytest.approx([0, 0.1, 0.3, 0.04, (0.04 + 0.05 + 0.0) / 3])
    single = {one: value for one, value in ESTIMATED.items() if len(one) != 2}
    by_single = mean_of_subsets(single, ["a", "b", "c"])
    assert of_sets(by_single, SETS) == pytest.approx([0, 0.1, 0.3, -0.05, 0.2 / 3])
    assert mean_of_subsets({frozenset("a"): 0.1}, ["a", "b", "c"]) is None
    undefined = ESTIMATED | {frozenset("b"): float("nan")}
    assert mean_of_subsets(undefined, ["a", "b", "c"]) is None


def run(folder, tasks, seed, gains, most="2"):
    """A run, and the table of estimates that it left where it has all candidates."""
    place = folder / f"{tasks}-{seed}"
    (place / "tables").mkdir(parents=True)
    if gains:
        rows = {"auxiliaries": list(gains), "val_gain": list(gains.values()), "test_gain": 7.0}
        pd.DataFrame(rows).to_csv(place / "tables" / "linearised.csv", index=False)
    flags = {f"task.{name}": str(int(name in tasks.split("+"))) for name in ("main", "a", "b", "c")}
    params = {"tasks": tasks, "seed": str(seed), "main_task": "main", ASKED_FOR: most, **flags}
    found = TrackedRun(f"{tasks}-{seed}", tasks, "FINISHED", params, {"auc/main": 0.6}, {"task_set": tasks})
    return replace(found, artifact_uri=str(place))


def test_runs_with_all_candidates_foretell_by_validation_frames(tmp_path):
    twice = {name: 3 * value for name, value in GAINS.items()}
    runs = [run(tmp_path, "main+a+b+c", 0, GAINS), run(tmp_path, "main+a+b+c", 1, twice), run(tmp_path, "main", 0, {})]
    asked = Asked("main", ("a", "b", "c"))
    ((_, found),) = linearised_predictors(design_of(runs), asked, None).items()
    assert of_sets(found[LINEARISED], SETS) == pytest.approx(2 * np.array([0, 0.1, 0.3, 0.04, 0.03]))


def test_where_a_run_estimated_none_nothing_foretells(tmp_path, caplog):
    asked = Asked("main", ("a", "b", "c"))
    runs = [run(tmp_path, "main+a+b+c", 0, GAINS), run(tmp_path, "main+a+b+c", 1, {}, most="0")]
    assert linearised_predictors(design_of(runs), asked, None) == {}
    assert not caplog.records
    lost = [run(tmp_path, "main+a+b+c", 2, {})]
    assert linearised_predictors(design_of(lost), asked, None) == {}
    assert "its linearised estimates cannot be read" in caplog.text
