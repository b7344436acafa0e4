"""Multiruns of the real command line: one parent, one row per job, and an honest end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, TINY, call

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

MAIN = "auc/general_anomaly"
QUICK = (*TINY, "relations=[gradient_similarity]")  # a sweep is no better proved by more of them


def tracking_of(folder: Path):
    from mtl.tracking import MLflowTracking

    return MLflowTracking(f"sqlite:///{folder}/mlflow.db", "mtl", None, timeout_s=20.0)


def family(folder: Path):
    """The sweep's own run and its jobs, as MLflow has them."""
    tracking = tracking_of(folder)
    parents = tracking.runs(tags={"sweep": "parent"})
    assert len(parents) == 1
    return parents[0], tracking.runs(parent=parents[0].id)


def test_a_sweep_makes_one_parent_with_a_table(tmp_path):
    done = call(tmp_path, "-m", "tasks=anomaly,anomaly_violence", *QUICK)
    assert done.returncode == 0, done.stderr
    parent, jobs = family(tmp_path)
    assert parent.status == "FINISHED"
    assert [job.params["tasks"] for job in jobs] == ["anomaly", "anomaly_violence"]
    assert all(job.status == "FINISHED" and MAIN in job.metrics for job in jobs)
    assert not parent.metrics
    table = parent.tags["mlflow.note.content"]
    for job in jobs:
        assert f"{job.metrics[MAIN]:.3f}" in table
        assert f"{job.metrics[MAIN]:.3f}" in done.stdout
    kept = tracking_of(tmp_path).download(parent.id, "")
    assert (kept / "summary.csv").is_file()
    assert (kept / "summary.md").is_file()
    assert (kept / "auc_by_set.png").is_file()
    assert "compare-runs" in done.stdout


def test_a_failing_job_is_a_row_and_the_others_run(tmp_path):
    done = call(tmp_path, "-m", "tasks=anomaly_random,anomaly", "weighting=notebook", *QUICK)
    assert done.returncode == 1
    parent, jobs = family(tmp_path)
    assert parent.status == "FAILED"
    assert [job.status for job in jobs] == ["FAILED", "FINISHED"]
    assert "random_labels" in jobs[0].tags["failure"]
    assert "random_labels" in tracking_of(tmp_path).download(jobs[0].id, "traceback.txt").read_text()
    assert "random_labels" in parent.tags["mlflow.note.content"]
    assert "Traceback" not in done.stderr
    assert "random_labels" in done.stdout + done.stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_is_closed_truthfully(tmp_path, sent):
    words = ["-m", "tasks=anomaly,all", *QUICK, "training.epochs=4000", "training.early_stopping=false"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *words],
        cwd=tmp_path,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            break
    time.sleep(0.5)
    process.send_signal(sent)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    parent, jobs = family(tmp_path)
    assert parent.status == "KILLED", rest
    assert [job.status for job in jobs] == ["KILLED"], rest


def test_the_first_jobs_that_fail_alike_stop_a_sweep(tmp_path):
    words = ("-m", "tasks=anomaly_random", "weighting=notebook", "seed=range(5)", *QUICK)
    done = call(tmp_path, *words)
    assert done.returncode == 1
    parent, jobs = family(tmp_path)
    assert parent.status == "FAILED"
    assert [job.status for job in jobs] == ["FAILED"] * 3
    assert "first 3 jobs failed alike" in done.stdout
    assert "2 jobs were not begun" in done.stdout
    done = call(tmp_path, *words, "stop_after=null")
    assert done.returncode == 1
    tracking = tracking_of(tmp_path)
    assert len(tracking.runs(parent=tracking.runs(tags={"sweep": "parent"})[1].id)) == 5


def test_a_dry_run_says_what_would_run_and_leaves_nothing(tmp_path):
    words = ("-m", "tasks=anomaly,anomaly_type", "seed=0", *QUICK)
    done = call(tmp_path, *words, "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "[1/2] anomaly: would run" in done.stdout
    assert "2 jobs: 0 done already, 2 would run." in done.stdout
    assert "not known" in done.stdout
    assert not list(tmp_path.rglob("tracking.jsonl"))
    assert not (tmp_path / "mlflow.db").exists()

    single = call(tmp_path, "tasks=anomaly", "seed=0", *QUICK)
    assert single.returncode == 0, single.stderr
    done = call(tmp_path, *words, "dry_run=true")
    assert "[1/2] anomaly: done already" in done.stdout
    assert "2 jobs: 1 done already, 1 would run." in done.stdout
    assert "About" in done.stdout
    assert len(tracking_of(tmp_path).runs()) == 1
    done = call(tmp_path, *words, "dry_run=true", "rerun=true")
    assert "2 jobs: 0 done already, 2 would run." in done.stdout


def test_the_same_sweep_again_trains_nothing_and_has_the_same_table(tmp_path):
    words = ("-m", "tasks=anomaly", "seed=0,1", *QUICK)
    first = call(tmp_path, *words, "hydra.sweep.dir=sweep")
    assert first.returncode == 0, first.stderr
    again = call(tmp_path, *words, "hydra.sweep.dir=sweep")
    assert again.returncode == 0, again.stderr
    assert "2 of 2 jobs were done already" in again.stdout
    assert "epoch 1/" not in again.stdout
    tables = [(tmp_path / name / "summary" / "summary.csv").read_text() for name in ("sweep", "sweep-2")]
    assert tables[0] == tables[1]
    tracking = tracking_of(tmp_path)
    (_, first_jobs), (_, second_jobs) = (
        (parent, tracking.runs(parent=parent.id)) for parent in tracking.runs(tags={"sweep": "parent"})
    )
    assert [job.tags["reused_from"] for job in second_jobs] == [job.id for job in first_jobs]
    assert [job.metrics[MAIN] for job in second_jobs] == [job.metrics[MAIN] for job in first_jobs]
    assert [job.params for job in second_jobs] == [job.params for job in first_jobs]
    assert tracking.download(second_jobs[0].id, "predictions.parquet").is_file()

    changed = call(tmp_path, *words, "training.epochs=1")
    assert "done already" not in changed.stdout


def test_progress_says_which_of_how_many(tmp_path):
    done = call(tmp_path, "-m", "tasks=anomaly", "seed=0,1", *QUICK)
    assert "[1/2] anomaly seed=0" in done.stdout
    assert "[2/2] anomaly seed=1 (about" in done.stdout


def test_short_jobs_spend_less_than_a_tenth_of_their_time_on_tracking(tmp_path):
    done = call(tmp_path, "-m", "tasks=anomaly", "seed=0,1", *QUICK)
    (share,) = re.findall(r"in training steps, (\d+) % in tracking", done.stdout)
    assert int(share) < 10
    _, jobs = family(tmp_path)
    assert all(0 < job.metrics["time/tracking_s"] < job.metrics["time/run_s"] / 10 for job in jobs)


def test_a_job_whose_former_result_is_gone_is_trained_by_a_process_of_its_own(tmp_path):
    words = ("-m", "hydra/launcher=processes", "tasks=anomaly", "seed=0", *QUICK)
    assert call(tmp_path, *words).returncode == 0
    for path in tmp_path.rglob("predictions.parquet"):
        path.unlink()
    again = call(tmp_path, *words)
    assert again.returncode == 0, again.stdout + again.stderr
    tracking = tracking_of(tmp_path)
    parent = tracking.runs(tags={"sweep": "parent"})[1]
    (job,) = tracking.runs(parent=parent.id)
    assert job.status == "FINISHED"
    assert "reused_from" not in job.tags
    assert job.tags["mtl.process"] != parent.tags["mtl.process"]
