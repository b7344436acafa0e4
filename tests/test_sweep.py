"""Multiruns of the real command line: one parent, one row per job, and an honest end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, TINY, call

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

MAIN = "auc/general_anomaly"


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
    done = call(tmp_path, "-m", "tasks=anomaly,anomaly_violence", *TINY)
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
    done = call(tmp_path, "-m", "tasks=anomaly_random,anomaly", "weighting=notebook", *TINY)
    assert done.returncode == 1
    parent, jobs = family(tmp_path)
    assert parent.status == "FAILED"
    assert [job.status for job in jobs] == ["FAILED", "FINISHED"]
    assert "random_labels" in jobs[0].tags["failure"]
    assert "random_labels" in parent.tags["mlflow.note.content"]
    assert "Traceback" not in done.stderr
    assert "random_labels" in done.stdout + done.stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_is_closed_truthfully(tmp_path, sent):
    words = ["-m", "tasks=anomaly,all", *TINY, "training.epochs=4000", "training.early_stopping=false"]
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
