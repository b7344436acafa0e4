"""A tracking server that dies in an epoch and comes back after the run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BARE, ROOT, begun
from mlflow_server import Server
from provoked import AT_STEP, with_fault

from mtl.tracking.journal import Journal


@pytest.fixture
def server(tmp_path):
    (tmp_path / "server").mkdir()
    started = Server(tmp_path / "server")
    started.start()
    yield started
    started.kill()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Return once there is a file that a process makes."""
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_server_that_dies_in_an_epoch_costs_one_warning_and_gets_the_rest_by_one_command(tmp_path, server):
    from mtl.tracking.mlflow_tracking import MLflowTracking

    word, answer = tmp_path / "epoch 2 is over", tmp_path / "the server is dead"
    fault = with_fault(tmp_path / "fault", AT_STEP.format(step=2, word=str(word), answer=str(answer)))
    words = ["tasks=anomaly", *BARE, "training.epochs=3", "training.early_stopping=false", "hydra.run.dir=outputs/one"]
    words += ["tracking=server", f"tracking.uri={server.uri}", "tracking.timeout_s=20"]
    process = begun(tmp_path, *words, **fault)
    wait_for(word, process)
    server.kill()
    answer.touch()
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert "epoch 3/3" in said
    assert said.count("cannot be had") == 1
    assert f"--uri {server.uri}`" in said
    record = Journal(tmp_path / "outputs" / "one" / "tracking.jsonl")
    assert record.pending
    assert record.status == "FINISHED"
    history = (tmp_path / "outputs" / "one" / "artifacts" / "history.csv").read_bytes()

    server.start()
    found = MLflowTracking(server.uri, "mtl", None, 20.0)
    (run,) = found.runs()
    assert run.status == "RUNNING"
    done = subprocess.run(
        [sys.executable, "-m", "mtl.tracking", "send", "outputs", "--uri", server.uri],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = found.runs()
    assert run.status == "FINISHED"
    expected = {name for entry in record.entries for name in entry.get("metrics", {})}
    assert expected <= set(run.metrics)
    assert "auc/general_anomaly" in expected
    points = found._store.client.get_metric_history(run.id, "train_loss/general_anomaly")
    assert sorted(point.step for point in points) == [1, 2, 3]
    assert found.download(run.id, "history.csv").read_bytes() == history
