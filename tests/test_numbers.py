"""docs/numbers.md and the table it is made from: whole, and of numbers that exist."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import ROOT

from mtl.numbers import RUN, SWEEP, Number, as_markdown, known, sentences, sweep_numbers
from mtl.tracked_numbers import TRACKED, chosen

MEASURES = sorted(path.stem for path in (ROOT / "conf" / "relations").glob("*.yaml"))


def test_the_page_is_made_from_the_table():
    assert (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8") == as_markdown()


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_of_a_relation_is_in_the_table(measure):
    found = known(f"{measure}/a_vs_b")
    assert found is not None
    assert found.name == f"{measure}/<pair>"


@pytest.mark.parametrize("name", [number.name for number in RUN])
def test_what_the_table_names_is_found_by_a_name_of_its_kind(name):
    metric = name.replace("<task>", "violence").replace("<pair>", "a_vs_b").replace("<class>", "Arson")
    metric = metric.replace("<quantity>", "val_auc").replace("<measure>", "affinity").replace("<layers>", "shared")
    metric = metric.replace("<stage>", "training").replace("<part>", "heads").replace("<what>", "computed")
    found = known(metric)
    assert found is not None
    assert found.name == name


def test_ends_of_intervals_are_their_number_and_strangers_are_none():
    assert known("auc_low/violence") == known("auc/violence")
    assert known("class_auc_high/kind.Arson").name == "class_auc/<task>.<class>"
    assert known("val_auc_best/violence").name == "<quantity>_best/<task>"
    assert known("nothing/violence") is None
    assert Number("a/<b>", "", "", "").names("a/c_d.e") is True
    assert Number("a/<b>", "", "", "").names("xa/c") is False


def test_every_number_says_what_it_is_of_what_and_when():
    for number in (*RUN, *SWEEP):
        assert number.definition
        assert number.of
        assert number.epoch
    (line,) = sentences([known("auc/violence")])
    assert line.startswith("auc/<task>: area under the ROC curve by frames, ranked by logits; ")
    assert line.endswith("as of a run that diverged.")
    assert [each.name for each in sweep_numbers(["row", "auc", "p_holm"])] == ["auc", "p_holm"]


def test_columns_of_a_sweep_are_in_the_table():
    from mtl.ablation.tables import AUXILIARIES, DIFFERENCE, GAIN_PREDICTORS, HEADS, OVER_HEAD, SETS, SHAPLEY

    columns = pd.Index([*SETS, *DIFFERENCE, *AUXILIARIES, *SHAPLEY, *HEADS, *OVER_HEAD, *GAIN_PREDICTORS]).unique()
    words = {
        "row",
        "arm",
        "condition",
        "base",
        "reason",
        "auxiliary",
        "control",
        "within",
        "verdict",
        "head",
        "measure",
    }
    counts = {"seeds", "paired_seeds", "pairs", "points"}
    ends = {name for name in columns if name.split("_")[-1] in ("low", "high", "sd")}
    assert set(columns) - words - counts - ends <= {each.name for each in SWEEP}


def test_quantities_that_are_not_tracked_everywhere_are_in_the_table():
    assert set(TRACKED) <= {number.name.partition("/")[0] for number in RUN}


def test_a_run_tracks_what_concerns_its_main_task_and_every_number_of_a_stranger():
    kept = ["auc/b", "auc_low/b", "val_auc/b", "val_auc_best/b", "average_precision/main", "own_measure/a_vs_b"]
    kept += ["gradient_similarity/a_vs_b", "conflict_rate/a_vs_main", "conflict_rate/main_vs_z", "affinity/a_to_main"]
    left = ["f1/main", "f1_low/main", "class_auc/kind.x", "average_precision/b", "time_share/steps"]
    left += ["conflict_rate/a_vs_b", "conflict_rate_baseline/a_vs_main", "affinity/main_to_a", "affinity/a_to_b"]
    left += ["gradient_similarity_by_layer/first.a_vs_main", "average_precision_event_low/main"]
    numbers = dict.fromkeys([*kept, *left], 0.5)
    assert list(chosen(numbers, "main")) == kept
