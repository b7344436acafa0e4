"""A report says what was tracked: the same numbers in every form, failures as rows, nothing hidden."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from rich.console import Console
from test_ablation import auc, predictions

from mtl.ablation import design
from mtl.ablation.margin import margin_of
from mtl.checks.base import Finding
from mtl.errors import UserError
from mtl.formatting import signed
from mtl.report import __main__, figures, run_tables, sections, write
from mtl.report.page import page
from mtl.report.sentences import footnotes
from mtl.report.summary import Summary, summarise
from mtl.report.tables import job_table
from mtl.results import Relation, Result, Score, TrackedRun
from mtl.trace import Trace
from mtl.tracking.journal import recorded
from mtl.tracking.mlflow_tracking import MLflowTracking
from mtl.tracking.no_tracking import NoTracking

NAN = float("nan")
SETS = {"single": (), "helped": ("a",), "typed": ("type",), "all": ("a", "type"), "random": ("coin",)}


def table_of(tasks: str, seed: int) -> pd.DataFrame:
    """What a run of the set predicts; the auxiliary a is of much help."""
    return predictions(seed, 0.5 + 0.7 * ("a" in SETS[tasks]), 60, type_head="type" in SETS[tasks])


def track(
    tracking: MLflowTracking | NoTracking,
    folder: Path,
    parent: str | None,
    tasks: str,
    seed: int,
    status: str = "FINISHED",
    predicted: bool = True,
    diverged: str = "",
    margin: str | None = None,
    **params: object,
) -> None:
    """A run as the experiment would have left it."""
    words = " ".join(f"{key}={value}" for key, value in params.items())
    run = tracking.start(f"{tasks} seed={seed} {words}".strip(), folder, parent, {"tasks": tasks})
    names = ("main", *SETS[tasks])
    flags = {f"task.{name}": int(name in names) for name in ("main", "a", "type", "coin")}
    classes = {f"tasks.{name}.classes": "[]" for name in names if name != "coin"}
    control = {"tasks.coin.probability": 0.5, "tasks.coin.seed": 0} if "coin" in names else {}
    budget = {"training.epochs": 8, "training.batch_size": 32, "training.early_stopping": False, "training.seed": seed}
    given = {"tasks": tasks, "seed": seed, "main_task": "main", "evaluation.resamples": 200, "evaluation.seed": 0}
    run.tags(({"diverged": diverged} if diverged else {}) | ({"decide.margin": margin} if margin else {}))
    run.params({**given, **budget, **flags, **classes, **control, **params})
    if status == "FINISHED":
        table = table_of(tasks, seed)
        others = {f"auc/{name}": 0.6 + seed / 100 for name in SETS[tasks]}
        pair = {name: "_vs_".join(sorted(("main", name))) for name in SETS[tasks]}
        measures = {f"gradient_similarity/{pair[name]}": 0.1 + seed / 10 for name in SETS[tasks]}
        measures |= {f"gradient_similarity_baseline/{pair[name]}": 0.02 + seed / 10 for name in SETS[tasks]}
        directed = {f"affinity/{name}_to_main": 0.02 for name in SETS[tasks]}
        run.metrics({"auc/main": auc(table), **others, **measures, **directed}, step=0)
        artifacts = folder / "artifacts"
        artifacts.mkdir(exist_ok=True)
        if predicted:
            table.to_parquet(artifacts / "predictions.parquet", index=False)
        run.artifacts(artifacts)
    else:
        run.tags({"failure": "ResourceExhausted:\nout of memory" if status == "FAILED" else "interrupted"})
    run.end(status)  # type: ignore[arg-type]


def sweep(folder: Path, tracking: MLflowTracking | NoTracking | None = None, seeds: int = 2) -> str:
    """A sweep with all that goes wrong: one failed, one killed, one without predictions; the id of its own run."""
    tracking = tracking or NoTracking()
    parent = tracking.start("sweep", folder, None, {"sweep": "parent"})
    for i, tasks in enumerate(("single", "helped", "typed", "all", "random")):
        for seed in range(seeds):
            track(tracking, folder / f"{i}-{seed}", parent.id or None, tasks, seed)
    track(tracking, folder / "failed", parent.id or None, "typed", 7, "FAILED")
    track(tracking, folder / "killed", parent.id or None, "typed", 8, "KILLED")
    track(tracking, folder / "unread", parent.id or None, "typed", 9, predicted=False)
    parent.end("FAILED")
    return parent.id


def jobs(folder: Path) -> list[TrackedRun]:
    return [run for run in recorded(folder) if run.tags.get("sweep") != "parent"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("sweep")
    sweep(made)
    return made


@pytest.fixture(scope="module")
def summary(folder) -> Summary:
    return summarise(jobs(folder), "main")


@pytest.fixture(scope="module")
def files(summary, tmp_path_factory) -> Path:
    """The folder a report was written to."""
    made = tmp_path_factory.mktemp("report") / "summary"
    write.write_summary(made, summary)
    return made


def test_page_has_the_scores_of_every_job_folded_and_a_failed_one_with_its_reason(summary, files):
    page = (files / "summary.html").read_text(encoding="utf-8")
    named = [f"{name}, seed {seed}" for name, seed in zip(summary.table["set"], summary.table["seed"], strict=True)]
    assert all(f"<summary>{name}</summary>" in page or f"<p>{name}, " in page for name in named)
    assert page.count("<details>") == sum(run.status == "FINISHED" for run in summary.runs)
    assert "typed, seed 7, failed: ResourceExhausted: out of memory" in " ".join(page.split())


def test_a_jobs_table_holds_what_the_run_tracked():
    metrics = {"auc/b": 0.75, "auc_low/b": 0.5, "auc_high/b": 0.875, "f1/b": 0.25, "auc/a": NAN, "auc/main_type": 1.0}
    run = TrackedRun("1", "a job", "FINISHED", {"task.a": "1", "task.b": "1", "task.c": "0"}, metrics)
    table = job_table(run)
    assert list(table.index) == ["a", "b"]
    assert list(table.loc["b"]) == ["0.750", "0.500–0.875", "–", "–", "0.250"]
    assert list(table.loc["a"]) == ["–"] * 5


def summarised(folder: Path, *runs: tuple, **params: object) -> Summary:
    """A report of a few runs, each a set, a seed and its own parameters."""
    for i, (tasks, seed, *own) in enumerate(runs):
        track(NoTracking(), folder / str(i), None, tasks, seed, **{**params, **(own[0] if own else {})})
    return summarise(jobs(folder), "main")


def shown(renderable: object, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def said(summary: Summary) -> str:
    """All of a report in one line."""
    return " ".join(write.markdown(summary).replace("\\", "").split())


def issue(summary: Summary, code: str) -> tuple[str, ...]:
    """What a check found, where it is an issue."""
    (found,) = (each for each in summary.findings if each.code == code)
    return found.lines if found.severity == "issue" else ()


# --- the table --------------------------------------------------------------------------------------------------------


def test_rows_stand_in_the_order_of_launch_and_hold_the_means(summary):
    assert summary.sets.index.tolist() == ["single", "helped", "typed", "all", "random"]
    for tasks in summary.sets.index:
        wanted = np.mean([auc(table_of(tasks, seed)) for seed in range(2)])
        assert summary.sets.loc[tasks, "auc/main"] == pytest.approx(wanted)
    assert summary.sets["seeds"].tolist() == [2] * 5
    assert summary.compared.base == "single"


def test_differences_are_paired_by_seed(summary):
    pairs = [auc(table_of("all", seed)) - auc(table_of("single", seed)) for seed in range(2)]
    assert summary.sets.loc["all", "difference"] == pytest.approx(np.mean(pairs))


def test_other_tasks_have_their_tracked_means(summary):
    assert summary.sets.loc["all", "auc/type"] == pytest.approx(0.605)
    assert np.isnan(summary.sets.loc["single", "auc/type"])


def test_what_failed_is_killed_or_cannot_be_read_is_counted_and_said(summary):
    assert summary.sets.loc["typed", ["finished", "failed", "killed", "unread"]].tolist() == [3, 1, 1, 1]
    assert design.failures(summary.runs) == [
        "typed seed=7: failed, ResourceExhausted: out of memory",
        "typed seed=8: killed, interrupted",
    ]
    assert issue(summary, "MTL011") == (
        "typed seed=9: its predictions cannot be read, so it is left out (there is no predictions.parquet).",
    )
    text = said(summary)
    assert "3 finished, 1 failed, 1 killed, 1 without predictions" in text
    assert "out of memory" in text


def test_a_run_that_diverged_is_counted_and_said(tmp_path):
    track(NoTracking(), tmp_path / "0", None, "single", 0)
    for seed, kept in ((0, "kept is epoch 2"), (1, "nothing sound is left")):
        folder = tmp_path / f"1-{seed}"
        track(NoTracking(), folder, None, "helped", seed, diverged=f"loss of main is not finite in epoch 3; {kept}")
        if seed:
            path = folder / "artifacts" / "predictions.parquet"
            pd.read_parquet(path).assign(**{"probability/main": NAN}).to_parquet(path, index=False)
    found = summarise(jobs(tmp_path), "main")
    assert found.sets["diverged"].tolist() == [0, 2]
    assert found.sets["seeds"].tolist() == [1, 1]
    assert issue(found, "MTL009") == (
        "helped seed=0: it diverged (loss of main is not finite in epoch 3; kept is epoch 2).",
        "helped, seed 1: no AUC, because it diverged (loss of main is not finite in epoch 3; nothing sound is left).",
    )
    assert not issue(found, "MTL011")
    assert found.table["diverged"].str.len().gt(0).tolist() == [False, True, True]
    assert "2 finished, 2 diverged" in said(found)


def test_a_broken_file_of_predictions_is_a_warning(tmp_path):
    track(NoTracking(), tmp_path / "0", None, "single", 0)
    (tmp_path / "0" / "artifacts" / "predictions.parquet").write_bytes(b"PAR1 cut")
    found = summarise(jobs(tmp_path), "main")
    assert "cannot be read" in issue(found, "MTL011")[0]
    assert np.isnan(found.sets.loc["single", "auc/main"])


def test_a_set_without_any_result_is_a_row(tmp_path):
    track(NoTracking(), tmp_path / "0", None, "single", 0, "FAILED")
    track(NoTracking(), tmp_path / "1", None, "helped", 0)
    found = summarise(jobs(tmp_path), "main")
    assert found.sets.index.tolist() == ["single", "helped"]
    assert found.sets["seeds"].tolist() == [0, 1]
    assert found.compared.base == "helped"


def test_seeds_of_parts_are_no_axes(summary):
    assert summary.axis == "tasks"
    assert not any("training.seed" in row for row in summary.sets.index)


def test_one_seed_says_that_it_cannot_decide(tmp_path):
    found = summarised(tmp_path, ("single", 0), ("helped", 0))
    assert "helped seed" not in said(found)
    assert "cannot tell for a" in sections.headline(found)
    assert "With 1 seed, no Holm p of 1 difference can be below 1: at least 6 seeds are needed" in said(found)
    assert "sd" not in sections.sections(found)[1].table.columns


def test_no_single_task_set_compares_with_the_first(tmp_path):
    found = summarised(tmp_path, ("helped", 0), ("all", 0))
    assert found.compared.base == "helped"
    assert "a: cannot tell, no two task sets differ only in this auxiliary." in said(found)


def test_other_axes_add_rows_and_are_compared_within(tmp_path):
    runs = [(tasks, 0, {"weighting": w}) for w in ("equal", "dwa") for tasks in ("single", "helped")]
    found = summarised(tmp_path, *runs)
    assert found.sets.index.tolist() == [f"{t}, weighting={w}" for w in ("equal", "dwa") for t in ("single", "helped")]
    assert found.sets["difference"].notna().tolist() == [False, True, False, True]
    assert {"auc_heat_map", "auc_by_set"} <= set(figures.draw(found))


def test_with_one_task_set_the_other_axis_is_compared(tmp_path):
    found = summarised(tmp_path, *(("helped", s, {"weighting": w}) for w in ("equal", "dwa") for s in range(2)))
    assert found.axis == "weighting"
    assert found.compared.base == "weighting=equal"
    assert found.sets["difference"].notna().tolist() == [False, True]
    row = found.sets.iloc[1]
    assert (
        f"For main: AUC compared with weighting=equal: weighting=dwa {signed(row['difference'])} ("
        in sections.headline(found)
    )
    assert "cannot tell" not in said(found)
    assert next(each.title for each in sections.sections(found)[1:]) == "AUC of main by weighting"
    assert "Effect of each auxiliary" not in said(found)
    assert "auxiliaries" not in figures.draw(found)
    assert "Effect of weighting on main" in page(found, {})


def test_no_run_at_all_is_an_empty_report(tmp_path):
    found = summarise([], "main")
    assert sections.headline(found) == "0 conditions, 0 runs."
    write.write_summary(tmp_path, found)
    assert (tmp_path / "summary.html").exists()
    for each in write.sweep_tables(found):
        shown(each)


# --- what is fair -----------------------------------------------------------------------------------------------------


def test_the_budget_is_stated(summary, tmp_path):
    assert "Equal training budget: every run was trained for 8 epochs at batch size 32" in said(summary)
    found = summarised(tmp_path, ("single", 0), ("helped", 0), **{"training.early_stopping": True})
    assert "Equal maximum training budget" in said(found)


def test_the_terminal_says_what_the_numbers_are_worth(tmp_path):
    found = summarised(tmp_path, *(("single", s) for s in range(3)), ("helped", 0), ("helped", 1))
    terminal = " ".join("".join(shown(each) for each in write.sweep_tables(found)).split())
    for line in (
        "Equal training budget: every run was trained for 8 epochs at batch size 32",
        "With 2 seeds, no Holm p of 1 difference can be below 0.5",
        "helped: 1 seed is missing in some of the compared sets.",
    ):
        assert line in terminal
        assert line in said(found)
    assert "the same resampled videos" not in terminal


def test_runs_that_differ_in_more_than_the_axes_come_with_a_warning(tmp_path):
    found = summarised(tmp_path, ("single", 0, {"training.epochs": 5}), ("helped", 0, {"training.epochs": 10}))
    assert found.sets["difference"].notna().any()
    assert issue(found, "MTL004") == (
        "The runs also differ in training.epochs, which may explain a difference: 10 in helped but 5 in single.",
    )
    assert "budgets differ" in said(found)


def test_runs_without_a_base_are_not_compared_and_the_warning_names_why(tmp_path):
    equal = {"weighting": "equal", "training.epochs": 5}
    notebook = {"weighting": "notebook", "training.epochs": 10}
    runs = [(tasks, 0, own) for tasks, own in (("single", equal), ("helped", equal), ("all", notebook))]
    found = summarised(tmp_path, *runs)
    assert found.sets["difference"].notna().tolist() == [False, True, False]
    assert issue(found, "MTL004") == (
        "all was not compared with single: there is no finished run of single with weighting=notebook. The runs of "
        "single with weighting=equal differ in weighting (notebook instead of equal), training.epochs (10 instead of "
        "5), which could explain a difference.",
    )
    assert "MTL004 all was not compared" in "".join(shown(each) for each in write.sweep_tables(found))


def test_the_terminal_shows_issues_with_their_codes_and_every_other_form_all_checks(summary, files):
    terminal = " ".join("".join(shown(each) for each in write.sweep_tables(summary)).split())
    forms = [(files / f"summary.{form}").read_text(encoding="utf-8") for form in ("html", "md")]
    kept = json.loads((files / "summary.json").read_text(encoding="utf-8"))
    assert [each["code"] for each in kept["checks"]] == [each.code for each in summary.findings]
    assert {each.severity for each in summary.findings} >= {"issue", "passed", "not applicable"}
    for each in summary.findings:
        assert (f"{each.code} {each.lines[0]}" in terminal) == (each.severity == "issue")
        for text in forms:
            assert each.title in text
            assert f"docs/checks.md#{each.code.lower()}" in text
    assert "docs/checks.md explains the codes" in terminal
    assert kept["warnings"] == list(summary.warnings)
    assert all(each["see"] == f"docs/checks.md#{each['code'].lower()}" for each in kept["checks"])


def test_budgets_that_are_swept_need_no_warning(tmp_path):
    runs = [(tasks, 0, {"training.epochs": n}) for n in (5, 10) for tasks in ("single", "helped")]
    found = summarised(tmp_path / "a", *runs)
    assert not issue(found, "MTL004")
    assert "budgets differ between conditions and are equal" in said(found)
    found = summarised(tmp_path / "b", *(("single", 0, {"training.epochs": n}) for n in (5, 10)))
    assert "budgets differ, as intended: they are what is compared" in said(found)


def test_a_value_that_happens_to_be_the_seed_is_a_difference(tmp_path):
    found = summarised(tmp_path, ("single", 5, {"training.epochs": 5}), ("helped", 5, {"training.epochs": 10}))
    assert "10 in helped but 5 in single" in issue(found, "MTL004")[0]


def test_another_definition_of_a_shared_task_is_a_difference(tmp_path):
    found = summarised(tmp_path, ("single", 0), ("helped", 0, {"tasks.main.classes": "['Arson']"}))
    assert "tasks.main.classes" in issue(found, "MTL004")[0]


def test_relations_and_seeds_may_differ(tmp_path):
    own = {"relations.x.resamples": 10, "model.seed": 1}
    assert not issue(summarised(tmp_path, ("single", 0), ("helped", 1, own)), "MTL004")


# --- auxiliaries, controls, predicted gains ---------------------------------------------------------------------------


def test_auxiliaries_have_verdicts_and_controls_are_named(summary):
    table = summary.compared.auxiliaries.set_index("auxiliary")
    assert table.index.tolist() == ["a", "type", "coin"]
    assert table["control"].tolist() == [False, False, True]
    assert "coin (control)" in said(summary)
    assert "It is a control" in said(summary)
    assert "coin" not in sections.headline(summary)
    assert table["verdict"].tolist() == ["helps", "does not matter", "does not matter"]
    assert "helps; type (+0.000) does not matter." in sections.headline(summary)
    assert "as expected, it makes no difference that matters" in said(summary)
    assert table[["share_above", "share_within", "share_below"]].sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert table.loc["type", ["share_above", "share_within", "share_below"]].tolist() == [0, 1, 0]


def test_the_margin_is_that_of_the_last_run_or_of_the_command(tmp_path, capsys):
    for i, margin in enumerate((None, "0.2", "0.3", None)):
        track(NoTracking(), tmp_path / str(i), None, ("single", "helped")[i % 2], i // 2, margin=margin)
    found = summarise(jobs(tmp_path), "main")
    assert found.compared.margin == 0.3
    assert "lies between −0.3 and +0.3 (the margin:" in said(found)
    tables = {each.title: each.table for each in sections.sections(found)}
    assert "share of resamples: does not matter" in tables["Effect of each auxiliary"].columns
    assert found.compared.auxiliaries.loc[0, "share_within"] > 0.9
    assert __main__.main([str(tmp_path), "--margin", "0.005", "--to", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["margin"] == 0.005
    assert pd.read_csv(tmp_path / "out" / "auxiliaries.csv").loc[0, "share_within"] < 0.1
    assert "lies between −0.005 and +0.005" in (tmp_path / "out" / "summary.html").read_text()
    capsys.readouterr()
    for wrong in ("0", "-0.01", "1", "nan", "small"):
        assert __main__.main([str(tmp_path), f"--margin={wrong}"]) == 1
        assert f"--margin: should be a number above 0 and below 1, found '{wrong}'." in capsys.readouterr().out


def test_runs_of_before_the_tag_have_the_margin_of_the_configuration(summary, folder):
    assert summary.compared.margin == 0.01
    configured = yaml.safe_load((ROOT / "conf" / "config.yaml").read_text(encoding="utf-8"))["decide"]["margin"]
    assert margin_of(jobs(folder)) == margin_of([]) == configured
    with pytest.raises(UserError, match=r"decide.margin of the run 'x' should be a number above 0 and below 1"):
        margin_of([TrackedRun("1", "x", "FINISHED", tags={"decide.margin": "a"})])


def test_a_verdict_that_p_cannot_bear_out_is_explained(tmp_path):
    found = summarised(tmp_path, *((tasks, s) for tasks in ("single", "helped", "typed") for s in range(3)))
    table = found.compared.auxiliaries.set_index("auxiliary")
    assert (table.loc["a", "verdict"], table.loc["a", "p_holm"]) == ("helps", 0.5)
    line = "The verdict follows from the interval, not from p, which is from sign flips over seeds: with 3 seeds, no "
    assert f"{line}Holm p of 2 can be below 0.5." in said(found)
    assert "Holm p of 2 can be below" in " ".join("".join(shown(each) for each in write.sweep_tables(found)).split())


def test_two_seeds_make_no_forecast_and_the_scale_of_the_intervals_is_named(summary, tmp_path):
    sentences = said(summary)
    assert "on the scale of Fisher's z (of an AUC: its logit), which keeps them in bounds" in sentences
    alone = summarised(tmp_path, ("single", 0), ("helped", 0))  # over videos: plain percentiles
    assert "at least 4 seeds are needed before it can be said how many would decide" in said(alone)
    assert "would be needed to decide" not in sentences + said(alone)
    assert "Fisher" not in " ".join(footnotes(alone))
    assert all(
        "percentiles over videos alone with one seed" in line for line in said(alone).split("\n") if "Fisher" in line
    )


def test_the_type_head_has_a_line_wherever_it_is_trained(summary):
    assert summary.compared.heads["row"].tolist() == ["typed", "all"]
    assert "1 − p(Normal)" in said(summary)
    terminal = "".join(shown(each) for each in write.sweep_tables(summary))
    assert re.search(r"1\N{NO-BREAK SPACE}−\N{NO-BREAK SPACE}p\(Normal\)", terminal)


def test_measures_stand_beside_gains_and_directed_ones_point_at_the_main_task(summary):
    points = summary.compared.points
    assert set(points["measure"]) == {"gradient_similarity", "affinity"}
    assert (points.loc[points["measure"] == "gradient_similarity", "value"].round(6) == 0.15).all()
    assert "No measure can be correlated with the gains: all points have the same gain or value." in said(summary)
    assert "5 points" not in said(summary)


def test_the_best_groups_of_tasks_stand_in_every_form(summary, files):
    assert summary.groups["sets"].tolist() == [4] * len(summary.groups)  # the one with a control is none of them
    text = said(summary)
    assert "Which tasks to train together" in text
    assert "main + a + type → " in text
    groups = json.loads((files / "summary.json").read_text())["groups"]
    assert groups[0]["groups"] == [["main", "a", "type"]]
    assert groups[0]["taken_from"] == {"main": 0, "a": 0, "type": 0}
    assert groups[0]["scores"]["a"] == pytest.approx(0.605)
    assert "Which tasks to train together" in (files / "summary.html").read_text()


def test_one_set_has_no_groups_to_choose_from(tmp_path):
    found = summarised(tmp_path, ("helped", 0), ("helped", 1))
    assert found.groups.empty
    assert "Which tasks to train together" not in said(found)


def test_few_points_are_owned_up_to(tmp_path):
    found = summarised(tmp_path, ("single", 0), ("helped", 0))
    assert "1 point per measure cannot show whether any measure predicts the gains" in said(found)


def test_no_point_at_all_is_owned_up_to(tmp_path):
    found = summarised(tmp_path, ("helped", 0), ("typed", 0))
    assert not len(found.compared.points)
    assert "there is nothing to correlate" in said(found)


def test_relations_are_means_over_seeds(summary):
    tasks, relations = summary.relations[""]
    assert tasks == ("a", "main", "type")
    assert relations["gradient_similarity"].values[0, 1] == pytest.approx(0.15)
    assert np.isnan(relations["gradient_similarity"].values[0, 2])
    assert set(relations) == {"gradient_similarity", "affinity"}
    assert relations["gradient_similarity"].baseline.values[0, 1] == pytest.approx(0.07)
    assert relations["affinity"].baseline is None
    assert relations["affinity"].directed
    assert np.isnan(relations["affinity"].values[1, 0])


# --- forms ------------------------------------------------------------------------------------------------------------


def test_everything_is_written_for_machines_and_people(summary, files):
    names = {path.name for path in files.iterdir()}
    assert names == {
        *("summary.csv", "summary.md", "summary.json", "summary.html", "runs.csv"),
        *("auxiliaries.csv", "type_heads.csv", "gain_predictors.csv", "gain_points.csv"),
        *(
            "auc_by_set.png",
            "estimation.png",
            "differences.png",
            "auxiliaries.png",
            "relations.png",
            "predicted_and_observed_gain.png",
        ),
    }
    again = pd.read_csv(files / "summary.csv", index_col="set")
    np.testing.assert_allclose(again["auc/main"], summary.sets["auc/main"])
    content = json.loads((files / "summary.json").read_text())
    assert content["sets"][1]["difference"] == pytest.approx(summary.sets.loc["helped", "difference"])
    assert content["sets"][0]["difference"] is None
    for picture in re.findall(r"\]\((.+)\)", (files / "summary.md").read_text()):
        assert (files / picture).is_file()


@pytest.mark.slow
def test_the_figure_of_auxiliaries_says_what_its_intervals_are(summary, tmp_path):
    def label(found: Summary) -> str:
        return " ".join(figures.draw(found)["auxiliaries"].axes[0].get_xlabel().split())

    assert label(summary).endswith("(interval: 95 % for all 3 at once; shaded: does not matter, within ±0.01)")
    assert label(summarised(tmp_path, ("single", 0), ("helped", 0))).endswith(
        "(95 % interval; shaded: does not matter, within ±0.01)"
    )


def test_there_is_an_estimation_plot_per_condition_up_to_a_few(tmp_path):
    runs = [(tasks, 0, {"weighting": f"w{w}"}) for w in range(5) for tasks in ("helped", "single")]
    found = summarised(tmp_path, *runs)
    drawn = figures.draw(found)
    names = ["estimation", "estimation_2", "estimation_3", "estimation_4"]
    assert [name for name in drawn if name.startswith("estimation")] == names
    assert "first 4 of 5 conditions; not for weighting=w4." in said(found)
    assert drawn["estimation_2"].get_suptitle().endswith("weighting=w1")
    labels = [label.get_text() for label in drawn["estimation"].axes[1].get_xticklabels()]
    assert labels == ["single", "helped"]  # the base first, whatever was launched first
    assert set(found.compared.differences) == {f"helped, weighting=w{w}" for w in range(5)}
    ends = np.quantile(found.compared.differences["helped, weighting=w0"], [0.025, 0.975])
    row = found.sets.loc["helped, weighting=w0"]
    assert tuple(ends) == pytest.approx((row["difference_low"], row["difference_high"]), abs=1e-5)
    for name in names:
        assert f"![{name}]({name}.png)" in "\n".join(write._markdown_lines(found, drawn))


def test_without_a_difference_there_is_no_estimation_plot(tmp_path):
    assert "estimation" not in figures.draw(summarised(tmp_path, ("single", 0), ("single", 1)))


def test_the_page_needs_nothing_else(files):
    page = (files / "summary.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    assert "http" not in page
    assert "<script" not in page


def test_every_form_has_the_same_numbers(summary, files):
    number = f"{summary.sets.loc['all', 'auc/main']:.3f}"
    terminal = "".join(shown(each) for each in write.sweep_tables(summary))
    for text in (
        terminal,
        write.markdown(summary),
        *((files / f"summary.{form}").read_text() for form in ("md", "html")),
    ):
        assert number in text


def test_a_second_sweep_that_reuses_and_finishes_the_first_counts_once(tmp_path):
    for i, (tasks, status) in enumerate((("single", "FINISHED"), ("helped", "KILLED"))):
        track(NoTracking(), tmp_path / "a" / str(i), None, tasks, 0, status)
    for i, tasks in enumerate(("single", "helped")):
        track(NoTracking(), tmp_path / "b" / str(i), None, tasks, 0)
    found = summarise(jobs(tmp_path), "main")
    assert "2 runs: 2 finished." in sections.headline(found)
    assert "did not finish" not in said(found)
    assert found.sets[["finished", "killed"]].to_numpy().tolist() == [[1, 0], [1, 0]]


def test_names_that_are_markup_stay_names(tmp_path):
    track(NoTracking(), tmp_path / "0", None, "single", 0, weighting="a|b*<i>[x]")
    track(NoTracking(), tmp_path / "1", None, "single", 0, weighting="plain")
    found = summarise(jobs(tmp_path), "main")
    assert "a\\|b\\*\\<i>\\[x]" in write.markdown(found)
    assert "a|b*&lt;i&gt;[x]" in page(found, {})
    assert "[x]" in "".join(shown(each) for each in write.sweep_tables(found))


def test_a_narrow_terminal_loses_no_number(summary, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = "".join(shown(each, width=80) for each in write.sweep_tables(summary))
    assert f"{summary.sets.loc['all', 'auc/main']:.3f}" in text
    assert "…" not in text


def test_a_long_description_is_cut_between_lines(summary):
    findings = tuple(Finding(f"MTL{i}", "word " * 9, "issue", ("word " * 30,)) for i in range(100))
    text = write.markdown(replace(summary, findings=findings))
    assert len(text) < 8000
    assert text.endswith("`summary.md`.")


# --- from MLflow alone ------------------------------------------------------------------------------------------------


def written(summary: Summary, folder: Path) -> dict[str, bytes]:
    """What a report consists of; where the runs are tracked is left out."""
    write.write_summary(folder, summary)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_a_report_from_mlflow_alone_equals_the_one_of_the_folder(tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracking = MLflowTracking(uri, "mtl", None, 20)
    tracking.prepare()
    parent = sweep(tmp_path / "sweep", tracking)
    at_the_end = written(summarise(jobs(tmp_path / "sweep"), "main", tracking), tmp_path / "a")
    for name, what in (("b", parent), ("c", "mtl")):
        runs, found = __main__.tracked_runs(what, uri, "mtl")
        again = written(summarise(runs, "main", found), tmp_path / name)
        assert again.keys() == at_the_end.keys()
        for file, content in at_the_end.items():
            assert again[file] == content, file
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mtl").mkdir()  # a folder without records, called as the experiment is
    assert len(__main__.tracked_runs("mtl", uri, "mtl")[0]) == len(runs)
    assert __main__.main([parent]) == 0
    assert (tmp_path / "report" / parent / "summary.html").read_bytes() == at_the_end["summary.html"]


@pytest.mark.slow
def test_the_command_takes_a_folder(folder, tmp_path, capsys):
    assert __main__.main([str(folder), "--to", str(tmp_path)]) == 0
    assert (tmp_path / "summary.html").is_file()


def test_the_command_says_what_it_did_not_find(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for what in ("nowhere", "0" * 32):
        assert __main__.main([what]) == 1
        assert "no MLflow store" in capsys.readouterr().out


def test_runs_of_several_main_tasks_need_a_word(tmp_path):
    with pytest.raises(UserError, match="--main-task"):
        __main__._main_task([TrackedRun("1", "x", "FINISHED", {"main_task": name}) for name in ("a", "b")])


# --- one run ----------------------------------------------------------------------------------------------------------


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
    scores, relations = run_tables.run_tables(result(("violence", "anomaly"), {"gradient_similarity": similarity}))
    assert "0.700–0.800" in shown(scores)
    assert "anomaly\N{NO-BREAK SPACE}/" in shown(relations)
    assert "\N{MINUS SIGN}0.250" in shown(relations)


def test_a_run_of_three_tasks_shows_what_is_measured_of_all_together():
    condition = Relation(np.full((3, 3), 1.1), of_set=1.234)
    undefined = Relation(np.full((3, 3), np.nan), of_set=NAN, reason="no batch")
    measured = {"condition_number": condition, "loss_scale_balance": undefined, "other": Relation(np.eye(3))}
    *_, table, note = map(shown, run_tables.run_tables(result(("a", "b", "c"), measured)))
    assert "Relations of the whole set" in table
    assert "1.234" in table
    assert "loss scale balance" in table
    assert "other" not in table
    assert "loss_scale_balance: no batch" in note
    two = {"condition_number": Relation(np.full((2, 2), 1.1), of_set=1.1)}
    assert all("whole set" not in shown(one) for one in run_tables.run_tables(result(("a", "b"), two)))


def test_a_run_shows_scores_by_events_beside_those_by_video_labels_and_its_alarms():
    found = result(("anomaly", "kind"), {})
    scores = dict(found.scores)
    for task in found.tasks:
        scores |= {f"auc_event/{task}": Score(0.85, 0.8, 0.9), f"video_auc_mean/{task}": Score(0.66)}
        scores |= {f"average_precision_event/{task}": Score(0.3), f"auc_event_anomalous/{task}": Score(0.55)}
    scores |= {"event_frames/scored": Score(111308.0), "event_frames/inside": Score(8415.0)}
    scores |= {"event_videos/annotated": Score(288.0), "event_videos/test": Score(290.0)}
    scores |= {
        "false_alarms_per_hour/anomaly": Score(NAN, reason="no normal video"),
        "events_found/anomaly": Score(0.5),
    }
    scores |= {"alarm_delay_s/anomaly": Score(1.2, 0.4, 3.0), "calibration_error/anomaly": Score(0.1)}
    tables = run_tables.run_tables(Result(found.tasks, "anomaly", scores, {}, found.trace, found.predictions))
    _, frames, alarms, note = map(shown, tables)
    assert "By the annotated events: 111,308 frames, 8,415 in events, 288 of 290 videos" in " ".join(frames.split())
    assert "0.800–0.900" in frames
    assert all(number in frames for number in ("0.850", "0.300", "0.550", "0.750", "0.660"))
    assert "1.2\N{NO-BREAK SPACE}(0.4–3.0)" in alarms
    assert "0.50" in alarms
    assert "kind" not in alarms
    assert "false alarms per hour of anomaly: no normal video" in note


def test_a_run_of_one_task_has_no_table_of_pairs():
    assert len(run_tables.run_tables(result(("anomaly",), {"x": Relation(np.ones((1, 1)), reason="no pair")}))) == 1


def test_an_undefined_score_is_noted_with_its_reason():
    found = result(("anomaly",), {})
    scores = {**found.scores, "auc/anomaly": Score(NAN, reason="one class in the test split")}
    tables = run_tables.run_tables(Result(found.tasks, "anomaly", scores, {}, found.trace, found.predictions))
    assert "–" in shown(tables[0])
    assert "auc of anomaly: one class in the test split" in shown(tables[1])


def test_pairs_of_a_directed_measure_have_both_ways():
    affinity = Relation(np.array([[0.9, 0.1], [0.2, 0.9]]))
    table = run_tables.pair_table({"affinity": affinity}, ("b", "a"))
    assert table.index.tolist() == ["a_vs_b"]
    assert table.loc["a_vs_b"].tolist() == [0.2, 0.1]  # a is the second task: its row is the source


def test_permuting_tasks_leaves_the_pairs_as_they_are():
    values = np.array([[1, 0.1, 0.2], [0.1, 1, 0.3], [0.2, 0.3, 1]])
    order = [2, 0, 1]
    tasks = ("a", "b", "c")
    one = run_tables.pair_table({"x": Relation(values)}, tasks)
    other = run_tables.pair_table({"x": Relation(values[np.ix_(order, order)])}, [tasks[i] for i in order])
    pd.testing.assert_frame_equal(one, other)
