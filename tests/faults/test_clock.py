"""A clock that is set back by an hour between two epochs."""

from __future__ import annotations

import re

import pytest
from conftest import BARE, call
from provoked import AT_STEP, CLOCK_JUMPS_BACK, with_fault

from mtl.tracking.journal import JOURNAL, Journal


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_clock_set_back_between_epochs_loses_nothing_and_no_duration_is_negative(tmp_path):
    from mtl.tracking.mlflow_tracking import MLflowTracking

    word = str(tmp_path / "epoch 2 is over")
    fault = with_fault(
        tmp_path / "fault", AT_STEP.format(step=2, word=word, answer=word) + CLOCK_JUMPS_BACK.format(word=word)
    )
    words = ["-m", "tasks=anomaly", "seed=0,1", *BARE, "training.epochs=4", "training.early_stopping=false"]
    done = call(tmp_path, *words, "hydra.sweep.dir=sweep", **fault)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not re.search(r"-\d+(\.\d+)? (s|min|h)\b", done.stdout)

    found = MLflowTracking(f"sqlite:///{tmp_path}/mlflow.db", "mtl", None, 20.0)
    runs = found.runs()
    assert [run.status for run in runs] == ["FINISHED"] * 3
    assert all(run.end >= run.start for run in runs)
    assert all(value >= 0 for run in runs for name, value in run.metrics.items() if name.startswith("time/"))
    for job in ("0", "1"):
        record = Journal(tmp_path / "sweep" / job / JOURNAL)
        times = [entry["time"] for entry in record.entries]
        assert times == sorted(times)
        points = found._store.client.get_metric_history(record.run_id, "train_loss/general_anomaly")
        assert [point.step for point in sorted(points, key=lambda point: point.timestamp)] == [1, 2, 3, 4]
    again = call(tmp_path, *words, "hydra.sweep.dir=sweep")
    assert "2 of 2 jobs were done already" in again.stdout
