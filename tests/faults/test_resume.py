"""A long training is killed at any instant and goes on by the same command, in the same run of MLflow."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import BARE, ROOT, begun, call, tracking_of

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

EPOCHS = 12
LONG = (*BARE, "tasks=anomaly_violence", f"training.epochs={EPOCHS}", "training.patience=12", "weighting=dwa")
LONG = (*LONG, "model.dropout=0.2", "training.checkpoint.seconds=0")


def killed(folder: Path, words, after: str, number=signal.SIGKILL) -> str:
    """Type the command and send a signal soon after a line with these words; what was printed until then."""
    printed, process = [], begun(folder, *words)
    for line in process.stdout:
        printed.append(line)
        if after in line:
            time.sleep(random.random() / 20)  # within the next epoch, or while the state is being written
            os.killpg(process.pid, number)
            break
    printed.append(process.communicate()[0])
    assert process.returncode != 0, "".join(printed)
    return "".join(printed)


def killed_within_a_job(folder: Path, words, after: str) -> None:
    """Type the command of a sweep and kill it soon after a job's log has a line with these words."""
    command = [sys.executable, str(ROOT / "run.py"), *words]
    with (folder / "printed.txt").open("w") as printed:
        process = subprocess.Popen(command, cwd=folder, stdout=printed, stderr=printed, start_new_session=True)
        while process.poll() is None:
            if any(after in path.read_text() for path in (folder / "multirun").rglob("run.log")):
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(0.02)
    assert process.wait() == -signal.SIGKILL, (folder / "printed.txt").read_text()


def finished(folder: Path, experiment: str = "mtl"):
    tracking = tracking_of(folder, experiment)
    (run,) = tracking.runs(status="FINISHED")
    return tracking, run


def artifacts(folder: Path) -> Path:
    tracking, run = finished(folder)
    return tracking.download(run.id, "")


def assert_same_results(one: Path, other: Path) -> None:
    first, second = artifacts(one), artifacts(other)
    assert (first / "history.csv").read_bytes() == (second / "history.csv").read_bytes()
    for name in ("trace.npz", "weights.npz"):
        with np.load(first / name) as a, np.load(second / name) as b:
            assert a.files == b.files
            for each in a.files:
                np.testing.assert_array_equal(a[each], b[each], err_msg=each)
    pd.testing.assert_frame_equal(
        pd.read_parquet(first / "predictions.parquet"), pd.read_parquet(second / "predictions.parquet")
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with the run that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    done = call(folder, *LONG)
    assert done.returncode == 0, done.stderr
    assert "checkpoints: " in done.stdout + done.stderr
    assert not list((folder / ".cache" / "checkpoints").rglob("*.npz"))
    return folder


def test_a_run_killed_again_and_again_is_one_run_with_the_same_numbers(whole, tmp_path):
    random.seed(os.getpid())
    first = killed(tmp_path, LONG, f"epoch 3/{EPOCHS}:")
    assert f"epoch 4/{EPOCHS}" not in first or "epoch 3" in first
    again = killed(tmp_path, LONG, f"epoch 6/{EPOCHS}:", signal.SIGTERM)
    assert "The training goes on after epoch" in again
    done = call(tmp_path, *LONG)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "The training goes on after epoch" in said
    assert "Traceback" not in said
    tracking, run = finished(tmp_path)
    assert [each.id for each in tracking.runs()] == [run.id]
    curve = tracking._store.client.get_metric_history(run.id, "train_loss/general_anomaly")
    assert sorted(point.step for point in curve) == list(range(1, EPOCHS + 1))
    assert "failure" not in run.tags
    assert_same_results(whole, tmp_path)
    assert not list((tmp_path / ".cache" / "checkpoints").iterdir())
    records = list((tmp_path / "outputs").rglob("tracking*.jsonl"))
    assert len(records) == 1


def test_a_changed_config_is_another_run(whole, tmp_path):
    killed(tmp_path, LONG, f"epoch 3/{EPOCHS}:")
    other = call(tmp_path, *LONG, "training.optimizer.learning_rate=0.002", "training.epochs=2")
    said = other.stdout + other.stderr
    assert other.returncode == 0, said
    assert "goes on after" not in said
    assert "1 checkpoint" in said
    assert call(tmp_path, *LONG).returncode == 0
    statuses = sorted(run.status for run in tracking_of(tmp_path).runs())
    assert statuses == ["FINISHED", "FINISHED"]


def test_a_killed_sweep_goes_on_within_its_job(whole, tmp_path):
    words = ("-m", *LONG, "seed=0,1")
    killed_within_a_job(tmp_path, words, f"epoch 4/{EPOCHS}:")
    done = call(tmp_path, *words)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    tracking = tracking_of(tmp_path)
    jobs = [run for run in tracking.runs() if run.tags.get("sweep") != "parent"]
    assert sorted(run.status for run in jobs) == ["FINISHED", "FINISHED"]
    logs = "".join(path.read_text() for path in (tmp_path / "multirun").rglob("run.log"))
    assert "The training goes on after epoch" in said + logs
    first = next(run for run in jobs if run.params["seed"] == "0")
    expected = pd.read_parquet(artifacts(whole) / "predictions.parquet")
    found = pd.read_parquet(tracking.download(first.id, "predictions.parquet"))
    pd.testing.assert_frame_equal(expected, found)
