"""Sweeps of listed jobs, and screenings: which jobs they are, what is refused, and that nothing is trained twice."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from conftest import call
from hydra.types import RunMode

from mtl.config.parameters import parameters, run_name
from mtl.errors import UserError
from mtl.job.fingerprint import NEUTRAL
from mtl.results import SCREENING, TrackedRun
from mtl.screening.asked import Asked
from mtl.screening.earlier import earlier_of
from mtl.sweep import sweepers
from mtl.sweep.screening_sweeper import WIDTH, design_table
from mtl.tracking.journal import recorded

CLASSES = (
    *("abuse", "arrest", "arson", "assault", "burglary", "explosion", "fighting"),
    *("road_accidents", "robbery", "shooting", "shoplifting", "stealing", "vandalism"),
)


def listed(composed, jobs, *words):
    return sweepers.expected(composed("hydra/sweeper=jobs", f"hydra.sweeper.jobs={jobs}", *words)).jobs


def test_listed_jobs_are_run_by_every_combination_of_what_else_is_swept(composed):
    jobs = '["tasks=anomaly","tasks=anomaly +task@tasks=[violence,robbery]"]'
    config = composed("hydra/sweeper=jobs", f"hydra.sweeper.jobs={jobs}")
    config.hydra.overrides.task = ["seed=0,1", "freeze=all"]
    assert sweepers.expected(config).jobs == [
        ["tasks=anomaly", "seed=0", "freeze=all"],
        ["tasks=anomaly", "+task@tasks=[violence,robbery]", "seed=0", "freeze=all"],
        ["tasks=anomaly", "seed=1", "freeze=all"],
        ["tasks=anomaly", "+task@tasks=[violence,robbery]", "seed=1", "freeze=all"],
    ]
    config.hydra.sweeper.jobs = [["tasks=all", "weighting=dwa"]]
    assert len(sweepers.expected(config).jobs) == 2


@pytest.mark.parametrize(
    ("jobs", "words", "message"),
    [
        ("[]", (), "hydra.sweeper.jobs: found []. Right would be a list of jobs"),
        ("tasks", (), "hydra.sweeper.jobs: found 'tasks'. Right would be"),
        ("[3]", (), "hydra.sweeper.jobs[0]: found 3. Right would be"),
        ('["tasks"]', (), "hydra.sweeper.jobs[0]: found 'tasks'. Right would be"),
        ('["tasks=all","tasks=a,b"]', (), "hydra.sweeper.jobs[1]: tasks=a,b has several values; right would be"),
        ('["tasks=all"]', ("tasks=anomaly",), "hydra.sweeper.jobs[0]: sets tasks=all, and so does tasks=anomaly for"),
    ],
)
def test_jobs_that_cannot_be_read_are_one_line(composed, jobs, words, message):
    with pytest.raises(UserError) as caught:
        listed(composed, jobs, *words)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_every_value_of_an_interval_cannot_be_run(composed):
    config = composed("hydra/sweeper=jobs", 'hydra.sweeper.jobs=["tasks=all"]')
    config.hydra.overrides.task = ["training.batch_size=interval(8,32)"]
    with pytest.raises(UserError, match=r"every value is run; right would be a list"):
        sweepers.expected(config)


def test_every_class_of_anomaly_is_a_task_of_its_own(composed):
    found = composed("tasks=anomaly", f"+task@tasks=[{','.join(CLASSES)}]").tasks
    assert list(found) == ["general_anomaly", *CLASSES]
    classes = [each for name in CLASSES for each in found[name].classes]
    assert classes == list(found.general_anomaly.classes)


def test_a_screening_is_the_main_task_alone_all_and_its_sets_by_the_same_seeds(composed):
    config = composed("experiment=screening")
    assert tuple(config.screening.candidates) == CLASSES
    expected = sweepers.expected(config)
    by_seed = {}
    for word, *others in expected.jobs:
        by_seed.setdefault(others[-2], []).append(word)
    assert {key: len(words) for key, words in by_seed.items()} == {f"seed={seed}": 22 for seed in range(3)}
    assert len({tuple(words) for words in by_seed.values()}) == 1
    assert by_seed["seed=0"][:2] == ["+task@tasks=[]", f"+task@tasks=[{','.join(CLASSES)}]"]
    assert len(set(by_seed["seed=0"])) == 22
    assert json.loads(expected.screening) == {"main": "general_anomaly", "candidates": list(CLASSES)}
    assert not config.training.early_stopping


def test_the_design_fits_into_a_terminal_and_says_every_set():
    few = design_table("main", ("violence", "robbery"), [(), ("violence", "robbery"), ("robbery",)], 1)
    assert few[1:] == [
        "The design: 3 sets of auxiliaries beside main, 1 of them new: the last.",
        " set  violence robbery  size",
        "   1     .        .     0",
        "   2     x        x     2",
        "   3     .        x     1",
        "sets     1        2",
        "",
    ]
    many = [f"auxiliary_{i}" for i in range(23)]
    lines = design_table("main", many, [(), many, many[:11]])
    assert max(map(len, lines)) <= WIDTH
    assert "23 auxiliary_22" in "\n".join(lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["screening.sets=2"], "screening.sets should be at least 4"),
        (["screening.candidates=[violence,general_anomaly]"], "screening.candidates: 'general_anomaly' is the main"),
        (
            ["screening.candidates=[violence,robery]"],
            "screening.candidates: there is no task 'robery' in conf/task. Did you mean 'robbery'?",
        ),
        (["screening.candidates=[violence,robbery,violence]"], "screening.candidates names 'violence' twice."),
        (["screening.candidates=[violence]"], "screening.candidates should be 3 to 23 tasks, found 1."),
        (["screening.propose=6"], "screening.propose=6 needs screening.after=ID"),
        (["screening.after=abc"], "screening.after=abc needs screening.propose=N"),
        (["screening.propose=best_and_worst"], "screening.propose=best_and_worst needs screening.after=ID"),
        (["screening.after=abc", "screening.propose=best"], "screening.propose should be how many sets more are tr"),
        (["screening.after=abc", "screening.propose=best_and_worst"], "screening.after=abc: that is no screening. "),
        (["screening.after=abc", "screening.propose=2"], "screening.after=abc: that is no screening. "),
        (
            ["screening.candidates=[violence,xd_riot,robbery]", "screening.sets=4"],
            "screening.candidates: Task 'xd_riot' names classes the data set lacks: ['B4']",
        ),
        (
            ["screening.candidates=[violence,related_1,robbery]", "screening.sets=4"],
            "screening.candidates: Task 'related_1' reads its labels in a column that the data set lacks, 'related_1'",
        ),
        (["tasks=all"], "tasks: a screening adds auxiliaries to the main task 'general_anomaly' alone, found general_"),
    ],
)  # fmt: skip
def test_what_cannot_be_screened_is_one_line(composed, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        sweepers.expected(composed("experiment=screening", *words))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "word",
    ["screening.sets=10,12", "screening.candidates=[abuse,arson,arrest],[abuse,arson,robbery]", "tasks=anomaly,all"],
)
def test_one_screening_has_one_design(composed, word):
    """Words of a sweep are in no composed config, so all jobs would be those of the config as it stands."""
    config = composed("experiment=screening")
    config.hydra.overrides.task = [word]
    with pytest.raises(UserError) as caught:
        sweepers.expected(config)
    assert str(caught.value).startswith(f"{word}: a screening has a single design, found several values.")


@pytest.mark.parametrize(
    ("words", "mode"), [((), RunMode.MULTIRUN), ((), RunMode.RUN), (("hydra/sweeper=screening",), RunMode.RUN)]
)
def test_words_about_a_screening_are_not_for_another_sweep(composed, words, mode):
    config = composed(*words)
    config.hydra.mode = mode
    config.hydra.overrides.task = ["seed=1", "screening.sets=10"]
    with pytest.raises(
        UserError, match=r"^screening.sets=10: no screening is run. Right would be experiment=screening"
    ):
        sweepers.check_heeded(config)
    config.hydra.overrides.task = ["seed=1"]
    sweepers.check_heeded(config)
    config = composed("experiment=screening")
    config.hydra.overrides.task = ["screening.sets=10"]
    sweepers.check_heeded(config)


def test_what_is_screened_changes_no_run(composed):
    config = composed("experiment=screening")
    assert "screening" in NEUTRAL
    del config.hydra
    assert not any(key.startswith("screening") for key in parameters(config, {"tasks": "anomaly"}))
    assert run_name({"tasks": "anomaly"}, ["screening.sets=10", "seed=1"]) == "anomaly seed=1"


TAG = Asked("main", ("a", "b")).tag


def run(tasks, seed, auc, status="FINISHED", tag=TAG):
    """A job that was tracked; test frames say the opposite of what validation frames say."""
    params = {"tasks": "+".join(tasks), "seed": str(seed)}
    tags = {"task_set": "+".join(tasks)} | ({SCREENING: tag} if tag else {})
    return TrackedRun("0", "x", status, params, {"val_auc_best/main": auc, "auc/main": 1.0 - auc}, tags)


def test_gains_are_differences_of_validation_aucs_by_the_same_seeds():
    runs = [
        *(run(["main"], 0, 0.6), run(["main"], 1, 0.7), run(["main", "b", "a"], 0, 0.8), run(["main", "b"], 1, 0.6)),
        *(run(["main", "b", "a"], 2, 0.1), run(["main", "a"], 0, 0.9, "FAILED"), run(["main", "b"], 0, float("nan"))),
    ]
    runs.append(run(["main"], 3, 0.0, "FAILED", tag=""))  # as of a process that died before it said anything
    found = earlier_of([runs[-1], *runs[:-1]], "x")
    assert (found.main_task, found.candidates) == ("main", ("a", "b"))
    assert found.sets == ((), ("a", "b"), ("b",), ("a",))
    assert found.gains[:3] == (0.0, pytest.approx(0.2), pytest.approx(-0.1))
    assert found.gains[3] != found.gains[3]


def test_what_is_proposed_follows_the_sets_of_the_earlier_screening(composed, monkeypatch):
    tag = Asked("general_anomaly", ("violence", "robbery", "arson")).tag
    earlier = [(), ("violence", "robbery", "arson"), ("violence",), ("robbery", "arson")]
    runs = [run(["general_anomaly", *each], 0, 0.6, tag=tag) for each in earlier]
    monkeypatch.setattr("mtl.sweep.screening_sweeper._runs_of", lambda config, what: runs)
    words = ("experiment=screening", "screening.propose=2", "screening.after=x")
    expected = sweepers.expected(composed(*words))
    of_first = [job[0] for job in expected.jobs if "seed=0" in job]
    assert of_first[:4] == [f"+task@tasks=[{','.join(each)}]" for each in earlier]
    assert len(expected.jobs) == 3 * 6 == 3 * len(set(of_first))
    assert "6 sets of auxiliaries beside general_anomaly, 2 of them new: the last." in " ".join(expected.lines)
    assert expected.screening == tag
    with pytest.raises(UserError, match=r"at most 4, as no more sets of 3 candidates are left"):
        sweepers.expected(composed(*words, "screening.propose=5"))
    config = composed(*words, "screening.candidates=[arson,violence,robbery]")
    config.hydra.overrides.task = ["screening.candidates=[arson,violence,robbery]"]
    assert sweepers.expected(config).screening == tag  # in another order they are the same
    config = composed(*words, "screening.candidates=[violence,robbery]")
    config.hydra.overrides.task = ["screening.candidates=[violence,robbery]"]
    with pytest.raises(
        UserError, match=r"^screening.candidates: found violence, robbery, and screening.after=x has violence, "
    ):
        sweepers.expected(config)
    with pytest.raises(UserError, match=r"its main task is 'general_anomaly', found main_task=related_main"):
        sweepers.expected(composed(*words, "main_task=related_main", "tasks=related_main"))


def test_the_runs_of_another_sweep_are_no_screening():
    with pytest.raises(UserError, match=r"screening.after=x: that is no screening, its runs are those of another"):
        earlier_of([run(["main"], 0, 0.6, tag="")], "x")
    with pytest.raises(UserError, match=r"screening.after=x: that is no screening, it has no runs"):
        earlier_of([], "x")


ASKED = (
    *("experiment=screening", "data=related_tasks", "backbone=none", "freeze=none", "tasks=related_main"),
    *("main_task=related_main", "screening.candidates=[related_auxiliary,random_labels,any_class]"),
    *("screening.sets=4", "seed=0", "training.epochs=2", "relations=[loss_correlation]"),
    *("gradient_measurements.batches=0", "evaluation.resamples=200"),
)


@pytest.mark.slow
def test_a_screening_and_what_is_trained_after_it(tmp_path):
    first = call(tmp_path, *ASKED)
    assert first.returncode == 0, first.stderr
    named = re.search(r"screening\.propose=6 screening\.after=([0-9a-f]{32})", first.stdout)
    assert named is not None
    assert "+ related_auxiliary" in first.stdout
    second = call(tmp_path, *ASKED, "screening.propose=best_and_worst", f"screening.after={named[1]}")
    assert second.returncode == 0, second.stderr
    assert "6 of 8 jobs were done already and are reused" in second.stdout
    assert "Predicted best and worst, trained afterwards" in second.stdout
    (written,) = (tmp_path / "multirun").rglob("best_and_worst.csv")
    rows = pd.read_csv(written)
    assert list(rows["predicted_as"]) == ["best", "best", "worst", "worst"]
    assert rows[["predicted_gain", "low", "high", "measured_gain"]].notna().all(axis=None)
    third = call(tmp_path, *ASKED, "screening.propose=2", f"screening.after={named[1]}", "dry_run=true")
    assert "8 jobs: 8 done already" in third.stdout, third.stderr  # no other two sets are left
    runs = [each for each in recorded(tmp_path / "multirun") if each.tags.get("sweep") != "parent"]
    assert len(runs) == 6 + 8
    assert {json.loads(each.tags[SCREENING])["main"] for each in runs} == {"related_main"}
    assert len({each.tags["task_set"] for each in runs}) == 8
