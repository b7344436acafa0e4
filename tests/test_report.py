"""Tables say what was tracked: means by hand, failures as rows, nothing hidden."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mtl import report
from mtl.trace import Relation, Result, Score, Trace

NAN = float("nan")


@dataclass(frozen=True)
class Run:
    """A tracked run as the tables need it."""

    name: str
    status: str = "FINISHED"
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    id: str = "0"


def run(tasks: str, seed: int, auc: float, status: str = "FINISHED", **more: str) -> Run:
    others = {"auc/violence": auc - 0.1} if "violence" in tasks or tasks == "all" else {}
    metrics = {"auc/main": auc, "auc_low/main": auc - 0.04, "auc_high/main": auc + 0.04, **others}
    params = {"tasks": tasks, "seed": str(seed), "task.violence": str(int(bool(others))), **more}
    return Run(f"{tasks} seed={seed}", status, params, metrics if status == "FINISHED" else {})


SWEEP = [
    run("anomaly", 0, 0.70),
    run("all", 0, 0.80),
    run("anomaly", 1, 0.74),
    run("all", 1, 0.78),
    Run("anomaly_violence seed=0", "FAILED", {}, {}, {"failure": "ResourceExhausted:\nout of memory"}),
]


def shown(renderable: object, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_rows_stand_in_the_order_of_launch():
    assert report.summarise(SWEEP, "main").index.tolist() == ["anomaly", "all", "anomaly_violence"]


def test_means_and_deviations_by_hand():
    summary = report.summarise(SWEEP, "main")
    np.testing.assert_allclose(summary["auc/main"], [0.72, 0.79, NAN])
    np.testing.assert_allclose(summary["sd"], [0.04 / np.sqrt(2), 0.02 / np.sqrt(2), NAN])
    np.testing.assert_allclose(summary["low"], [0.68, 0.75, NAN])
    np.testing.assert_allclose(summary["auc/violence"], [NAN, 0.69, NAN])
    assert summary["seeds"].tolist() == [2, 2, 0]


def test_one_seed_has_no_deviation():
    summary = report.summarise([run("all", 0, 0.8)], "main")
    assert np.isnan(summary.loc["all", "sd"])
    assert summary.loc["all", "seeds"] == 1


def test_a_failed_run_is_a_row_with_its_reason():
    summary = report.summarise(SWEEP, "main")
    assert summary.loc["anomaly_violence", "failed"] == 1
    assert report.failures(SWEEP) == ["anomaly_violence seed=0: failed, ResourceExhausted: out of memory"]


def test_every_failure_is_listed():
    runs = [Run(f"all seed={i}", status) for i, status in enumerate(("FAILED", "KILLED", "RUNNING", "FINISHED"))]
    assert report.failures(runs) == [
        "all seed=0: failed, no reason given",
        "all seed=1: killed, interrupted",
        "all seed=2: running, still going on",
    ]


def test_a_seed_run_twice_counts_once_with_its_last_finished_run():
    runs = [run("all", 0, 0.5), run("all", 0, 0.8), run("all", 0, 0.0, "FAILED")]
    summary = report.summarise(runs, "main")
    assert summary.loc["all", "seeds"] == 1
    assert summary.loc["all", "auc/main"] == pytest.approx(0.8)
    assert summary.loc["all", ["finished", "failed"]].tolist() == [2, 1]


def test_another_swept_axis_adds_rows():
    runs = [run(tasks, 0, 0.7, weighting=weighting) for tasks in ("anomaly", "all") for weighting in ("equal", "dwa")]
    assert report.axes(runs) == ["tasks", "weighting"]
    assert report.summarise(runs, "main").index.tolist() == [
        "anomaly, weighting=equal",
        "anomaly, weighting=dwa",
        "all, weighting=equal",
        "all, weighting=dwa",
    ]


def test_what_follows_from_a_choice_is_no_axis():
    weightings = {"equal": {}, "dwa": {"weighting.temperature": "2"}, "famo": {"weighting.temperature": "1"}}
    runs = [run("all", 0, 0.7, weighting=name, **params) for name, params in weightings.items()]
    assert report.axes(runs) == ["tasks", "weighting"]


def test_a_swept_number_of_one_choice_is_an_axis():
    runs = [run("all", 0, 0.7, weighting="dwa", **{"weighting.temperature": value}) for value in ("1", "2")]
    assert report.axes(runs) == ["tasks", "weighting.temperature"]


def test_seeds_and_task_flags_are_no_axes():
    assert report.axes(SWEEP) == ["tasks"]


def test_a_run_without_parameters_is_known_by_its_name():
    runs = [run("all", 0, 0.7, weighting="dwa"), Run("all seed=3 weighting=nash", "FAILED")]
    table = report.runs_table(runs)
    assert table["set"].tolist() == ["all, weighting=dwa", "all, weighting=nash"]
    assert table["seed"].tolist() == ["0", "3"]


def test_the_table_of_runs_keeps_every_metric():
    table = report.runs_table(SWEEP)
    assert len(table) == len(SWEEP)
    assert table["auc_low/main"].notna().sum() == 4
    assert table["counts"].tolist() == [True] * 4 + [False]


def test_no_run_at_all_is_an_empty_summary(tmp_path):
    summary = report.summarise([], "main")
    assert summary.empty
    assert report.headline(summary) == "0 settings, 0 runs."
    report.write_summary(tmp_path, summary, [], "main")
    assert (tmp_path / "summary.csv").exists()
    assert "AUC" in shown(report.summary_table(summary))


def test_the_headline_counts_and_names_the_best():
    line = report.headline(report.summarise(SWEEP, "main"))
    assert line == "3 settings, 5 runs: 4 finished, 1 failed. Highest AUC of main: 0.790 (all)."


def test_the_headline_of_a_sweep_without_an_auc_names_none():
    assert report.headline(report.summarise([SWEEP[-1]], "main")) == "1 setting, 1 run: 1 failed."


def test_markdown_is_a_table_with_the_failures_below():
    text = report.markdown(report.summarise(SWEEP, "main"), SWEEP)
    lines = text.split("\n")
    head = next(i for i, line in enumerate(lines) if line.startswith("| set"))
    cells = {line.count("|") for line in lines[head : head + 5]}
    assert len(cells) == 1
    assert "| 0.720 |" in lines[head + 2]
    assert "0.680–0.760" in lines[head + 2]
    assert "* anomaly_violence seed=0: failed, ResourceExhausted: out of memory" in text


def test_markdown_escapes_what_would_break_the_table():
    runs = [run("a|b*c", 0, 0.7)]
    assert "a\\|b\\*c" in report.markdown(report.summarise(runs, "main"), runs)


def test_a_long_description_is_cut_between_lines():
    runs = [run(f"a_set_with_a_long_name_{i}", 0, 0.7) for i in range(300)]
    text = report.markdown(report.summarise(runs, "main"), runs)
    assert len(text) < 8000
    assert "`summary.md`" in text
    assert all(line.endswith("|") for line in text.split("\n") if line.startswith("|"))


def test_summary_is_written_for_machines_and_people(tmp_path):
    folder = tmp_path / "summary"
    report.write_summary(folder, report.summarise(SWEEP, "main"), SWEEP, "main")
    assert {path.name for path in folder.iterdir()} == {"summary.csv", "summary.md", "runs.csv", "auc_by_set.png"}
    again = pd.read_csv(folder / "summary.csv", index_col="set")
    np.testing.assert_allclose(again["auc/main"], [0.72, 0.79, NAN])


def test_the_terminal_table_holds_names_with_brackets():
    runs = [run("all[x]", 0, 0.7)]
    assert "all[x]" in shown(report.summary_table(report.summarise(runs, "main")))


def test_a_narrow_terminal_loses_no_number():
    text = shown(report.summary_table(report.summarise(SWEEP, "main")), width=80)
    assert "0.720" in text
    assert "…" not in text


def result(tasks: tuple[str, ...], relations: Mapping[str, Relation]) -> Result:
    n = len(tasks)
    empty = np.zeros((0, n))
    trace = Trace(tasks, empty, empty, 1, np.zeros((0, n, n)), np.zeros(0), empty, np.zeros(0), np.zeros(0))
    scores: dict[str, Score] = {}
    for task in tasks:
        scores |= {f"auc/{task}": Score(0.75, 0.7, 0.8), f"average_precision/{task}": Score(0.5)}
        scores |= {f"balanced_accuracy/{task}": Score(0.6), f"f1/{task}": Score(0.4)}
    return Result(tasks, tasks[0], scores, relations, trace, pd.DataFrame())


def test_a_run_shows_scores_by_task_and_relations_by_pair():
    similarity = Relation(np.array([[1.0, -0.25], [-0.25, 1.0]]))
    scores, relations = report.run_tables(result(("violence", "anomaly"), {"gradient_similarity": similarity}))
    assert "0.700–0.800" in shown(scores)
    assert "anomaly\N{NO-BREAK SPACE}/" in shown(relations)
    assert "-0.250" in shown(relations)


def test_a_run_of_one_task_has_no_table_of_pairs():
    assert len(report.run_tables(result(("anomaly",), {"x": Relation(np.ones((1, 1)), reason="no pair")}))) == 1


def test_an_undefined_score_is_noted_with_its_reason():
    found = result(("anomaly",), {})
    scores = {**found.scores, "auc/anomaly": Score(NAN, reason="one class in the test split")}
    tables = report.run_tables(Result(found.tasks, "anomaly", scores, {}, found.trace, found.predictions))
    assert "–" in shown(tables[0])
    assert "auc of anomaly: one class in the test split" in shown(tables[1])


def test_pairs_of_a_directed_measure_have_both_ways():
    affinity = Relation(np.array([[0.9, 0.1], [0.2, 0.9]]))
    table = report.pair_table({"affinity": affinity}, ("b", "a"))
    assert table.index.tolist() == ["a_vs_b"]
    assert table.loc["a_vs_b"].tolist() == [0.2, 0.1]  # a is the second task: its row is the source


def test_permuting_tasks_leaves_the_pairs_as_they_are():
    values = np.array([[1, 0.1, 0.2], [0.1, 1, 0.3], [0.2, 0.3, 1]])
    order = [2, 0, 1]
    tasks = ("a", "b", "c")
    one = report.pair_table({"x": Relation(values)}, tasks)
    other = report.pair_table({"x": Relation(values[np.ix_(order, order)])}, [tasks[i] for i in order])
    pd.testing.assert_frame_equal(one, other)
