"""Searches of the real command line: one parent with the trials as children, whatever comes of them."""

from __future__ import annotations

import re

import pytest
from conftest import BARE, call, tracking_of

from mtl.report.__main__ import main as report
from mtl.report.study import read_study

pytest.importorskip("optuna")
pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

MAIN, VAL = "auc/general_anomaly", "val_auc_best/general_anomaly"
WORDS = (
    *("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=9", "hydra.sweep.dir=sweep"),
    *("training.optimizer.learning_rate=0.001,0.01,1e25", "seed=0,1", "tasks=anomaly", *BARE),
)


def families(folder) -> list:
    """Every sweep's own run, first started first, with its jobs."""
    tracking = tracking_of(folder)
    return [(parent, tracking.runs(parent=parent.id)) for parent in tracking.runs(tags={"sweep": "parent"})]


def test_a_search_goes_on_past_what_diverges_and_the_same_command_again_trains_nothing(tmp_path):
    done = call(tmp_path, *WORDS)
    assert done.returncode == 0, done.stdout + done.stderr
    ((parent, jobs),) = families(tmp_path)
    assert parent.status == "FINISHED"
    study = read_study(tmp_path / "sweep")
    tried = {trial.proposal["training.optimizer.learning_rate"]: trial for trial in study.trials}
    assert set(tried) == {"0.001", "0.01", "1e+25"}
    assert len(jobs) == 6
    for trial in tried.values():
        of_trial = [jobs[number] for number in trial.jobs]
        assert [job.params["seed"] for job in of_trial] == ["0", "1"]
        assert [job.metrics.get(VAL) for job in of_trial] == list(trial.values)
    assert "is not finite in epoch 1" in tried["1e+25"].reason
    best = max(tried["0.001"], tried["0.01"], key=lambda trial: trial.value)
    assert study.best.proposal == best.proposal

    said, page = done.stdout, parent.tags["mlflow.note.content"]
    assert len(re.findall(r"^\[\d+/\d+\] .*: (val_auc 0\.\d{3}|diverged), ", said, re.MULTILINE)) == 6
    of_best = sum(jobs[number].metrics[MAIN] for number in study.best.jobs) / 2
    assert f"{of_best:.3f}" in page
    for job in jobs:
        if int(job.tags["mtl.job"]) not in study.best.jobs and MAIN in job.metrics:
            assert f"{job.metrics[MAIN]:.3f}" not in page + said
    kept = tracking_of(tmp_path).download(parent.id, "")
    for name in ("summary.html", "trials.csv", "objective_by_trial.png", "study.json"):
        assert (kept / name).is_file()

    address = f"sqlite:///{tmp_path}/mlflow.db"
    assert report([parent.id, "--uri", address, "--to", str(tmp_path / "report")]) == 0
    for name in ("summary.md", "trials.csv"):
        assert (tmp_path / "report" / name).read_text() == (kept / name).read_text()

    again = call(tmp_path, *WORDS)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "6 of 6 jobs were done already" in again.stdout
    second, reused = families(tmp_path)[1]
    assert second.status == "FINISHED"
    assert {job.tags["reused_from"] for job in reused} == {job.id for job in jobs if VAL in job.metrics} | {
        job.id for job in jobs if "diverged" in job.tags
    }
    assert read_study(tmp_path / "sweep-2") == study


def test_a_storage_that_fails_leaves_a_failed_parent_with_the_reason_and_no_job(tmp_path):
    done = call(tmp_path, *WORDS, "hydra.sweeper.storage=nowhere/study.journal")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "nowhere" in done.stderr
    ((parent, jobs),) = families(tmp_path)
    assert parent.status == "FAILED"
    assert "nowhere" in parent.tags["failure"]
    assert jobs == []
