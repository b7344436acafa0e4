"""Multiruns of the real command line: one parent, one row per job, and an honest end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BARE, ROOT, TINY, call, heeded, tracking_of

from mtl.tracking.journal import Journal

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

MAIN = "auc/general_anomaly"
CALLS = 20  # of a job to its store, whatever it trains, beside one per epoch
SWEPT = ("-m", "tasks=anomaly,anomaly_violence", "seed=0,1", *TINY, "relations=[gradient_similarity]")


def family(folder: Path):
    """The sweep's own run and its jobs, as MLflow has them."""
    tracking = tracking_of(folder)
    parents = tracking.runs(tags={"sweep": "parent"})
    assert len(parents) == 1
    return parents[0], tracking.runs(parent=parents[0].id)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The folder of a sweep, and what it said."""
    folder = tmp_path_factory.mktemp("swept")
    done = call(folder, *SWEPT, "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_sweep_makes_one_parent_with_a_table(swept):
    folder, said = swept
    parent, jobs = family(folder)
    assert parent.status == "FINISHED"
    assert [job.params["tasks"] for job in jobs] == ["anomaly"] * 2 + ["anomaly_violence"] * 2
    assert all(job.status == "FINISHED" and MAIN in job.metrics for job in jobs)
    assert not parent.metrics
    assert {job.tags["figures"] for job in jobs} == {"drawn"}  # beside the next job, by a process of their own
    drawn = {path.name for path in tracking_of(folder).download(jobs[-1].id, "figures").iterdir()}
    assert {"learning_curves.png", "roc_curves.png", "relations.png", "confusion_matrices.png"} <= drawn
    table = parent.tags["mlflow.note.content"]
    for pair in (jobs[:2], jobs[2:]):
        mean = f"{sum(job.metrics[MAIN] for job in pair) / 2:.3f}"
        assert mean in table
        assert mean in said
    kept = tracking_of(folder).download(parent.id, "")
    assert (kept / "summary.csv").is_file()
    assert (kept / "summary.md").is_file()
    assert (kept / "auc_by_set.png").is_file()
    assert "compare-runs" in said


def test_progress_says_which_of_how_many(swept):
    lines = [line for line in swept[1].splitlines() if line.startswith("[")]
    assert len(lines) == 4
    told = r"\[%d/4\] %s: AUC 0\.\d{3} \(0\.\d{3}–[01]\.\d{3}\), \d+ \w+"
    assert re.match(told % (1, "anomaly seed=0"), lines[0])
    assert re.match(told % (2, "anomaly seed=1") + "; about .* left", lines[1])


def test_what_a_job_says_stands_in_its_own_log(swept):
    folder, told = swept
    assert "epoch 1/" not in told
    assert "Test scores" not in told
    for number in range(4):
        log = (folder / "sweep" / str(number) / "run.log").read_text(encoding="utf-8")
        assert "epoch 1/2" in log
        assert log.count("Test scores") == 1


def test_all_is_shown_to_who_asks_for_it(tmp_path):
    done = call(tmp_path, "-m", "tasks=anomaly", "seed=0", *BARE, "hydra.verbose=true")
    assert done.returncode == 0, done.stderr
    assert "epoch 1/2" in done.stdout
    assert done.stdout.count("Test scores") == 1


def test_a_job_asks_the_store_once_per_epoch_and_not_often_besides(swept):
    folder, said = swept
    (share,) = re.findall(r"in training steps, (\d+) % in tracking", said)
    _, jobs = family(folder)
    assert all(0 < job.metrics["time/tracking_s"] < job.metrics["time/run_s"] for job in jobs)
    assert 0 < int(share) < 100
    for number in range(4):
        record = Journal(folder / "sweep" / str(number) / "tracking.jsonl")
        calls = [entry["call"] for entry in record.entries if entry["call"] != "metrics" or entry["step"] == 0]
        assert len(calls) <= CALLS
        assert len(record.entries) - len(calls) == 2  # epochs


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_is_closed_truthfully(tmp_path, sent):
    words = ["-m", "tasks=anomaly,all", *BARE, "training.epochs=100000", "training.early_stopping=false"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *words],
        cwd=tmp_path,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heeded,
    )
    while not any("epoch 2/" in log.read_text(encoding="utf-8") for log in tmp_path.rglob("run.log")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(sent)
    rest, _ = process.communicate(timeout=200)
    assert process.returncode != 0
    parent, jobs = family(tmp_path)
    assert parent.status == "KILLED", rest
    assert [job.status for job in jobs] == ["KILLED"], rest


def test_the_first_jobs_that_fail_alike_stop_a_sweep(tmp_path):
    words = ("-m", "tasks=anomaly_random", "weighting=notebook", "seed=range(5)", *BARE)
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


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_a_job_that_diverges_has_no_score_and_its_row_says_so(tmp_path, onednn):
    words = ("-m", "tasks=anomaly", "training.optimizer.learning_rate=0.001,1e25", *BARE)
    done = call(tmp_path, *words, TF_ENABLE_ONEDNN_OPTS=onednn)
    assert done.returncode == 0, done.stderr
    _, (sound, broken) = family(tmp_path)
    assert MAIN in sound.metrics
    assert "diverged" not in sound.tags
    assert "is not finite in epoch 1; nothing sound is left" in broken.tags["diverged"]
    assert not any(name.startswith(("auc", "f1", "balanced", "average", "video", "epoch/")) for name in broken.metrics)
    undefined = json.loads(tracking_of(tmp_path).download(broken.id, "undefined.json").read_text(encoding="utf-8"))
    assert undefined[MAIN] == broken.tags["diverged"]
    assert "Training stopped: loss of general_anomaly is not finite in epoch 1" in done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.lstrip().startswith("anomaly, ") and "1e+25" in line]
    assert any("1 finished, 1 diverged" in row for row in rows)
    assert not any("0.5" in row for row in rows)


def test_a_dry_run_says_what_would_run_and_leaves_nothing(tmp_path):
    words = ("-m", "tasks=anomaly,anomaly_type", "seed=0", *BARE)
    done = call(tmp_path, *words, "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "[1/2] anomaly: would run" in done.stdout
    assert "2 jobs: 0 done already, 2 would run." in done.stdout
    assert "not known" in done.stdout
    assert not list(tmp_path.rglob("tracking.jsonl"))
    assert not (tmp_path / "mlflow.db").exists()

    single = call(tmp_path, "tasks=anomaly", "seed=0", *BARE)
    assert single.returncode == 0, single.stderr
    done = call(tmp_path, *words, "dry_run=true")
    assert "[1/2] anomaly: done already" in done.stdout
    assert "2 jobs: 1 done already, 1 would run." in done.stdout
    assert "About" in done.stdout
    assert len(tracking_of(tmp_path).runs()) == 1
    done = call(tmp_path, *words, "dry_run=true", "rerun=true")
    assert "2 jobs: 0 done already, 2 would run." in done.stdout


def test_the_same_sweep_again_trains_nothing_and_has_the_same_table(swept, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(swept[0], folder)
    again = call(folder, *SWEPT, "hydra.sweep.dir=sweep")
    assert again.returncode == 0, again.stderr
    assert "4 of 4 jobs were done already" in again.stdout
    assert "epoch 1/" not in again.stdout
    tables = [(folder / name / "summary" / "summary.csv").read_text() for name in ("sweep", "sweep-2")]
    assert tables[0] == tables[1]
    tracking = tracking_of(folder)
    (_, first_jobs), (_, second_jobs) = (
        (parent, tracking.runs(parent=parent.id)) for parent in tracking.runs(tags={"sweep": "parent"})
    )
    assert [job.tags["reused_from"] for job in second_jobs] == [job.id for job in first_jobs]
    assert [job.metrics[MAIN] for job in second_jobs] == [job.metrics[MAIN] for job in first_jobs]
    assert [job.params for job in second_jobs] == [job.params for job in first_jobs]
    assert tracking.download(second_jobs[0].id, "predictions.parquet").is_file()

    changed = call(folder, *SWEPT, "training.epochs=1", "dry_run=true")
    assert "4 jobs: 0 done already, 4 would run." in changed.stdout


def test_a_job_whose_former_result_is_gone_is_trained_by_a_process_of_its_own(tmp_path):
    words = ("-m", "hydra/launcher=processes", "tasks=anomaly", "seed=0", *BARE)
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
