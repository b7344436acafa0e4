"""What a run found is whole in its table, and a report has it from there."""

from __future__ import annotations

import pytest

from mtl.errors import UserError
from mtl.report.stored import with_all_metrics
from mtl.results import TrackedRun
from mtl.tracking.metrics_table import METRICS_TABLE, TABLED, read_metrics, write_metrics


def test_numbers_come_back_to_the_last_bit_without_those_that_are_undefined(tmp_path):
    numbers = {"auc/main": 1 / 3, "class_auc/type.a,b": 1e-300, "f1/main": 0.0}
    write_metrics(tmp_path, {**numbers, "auc/other": float("nan"), "auc/more": float("inf")})
    found = read_metrics(tmp_path / METRICS_TABLE)
    assert list(found.values()) == list(numbers.values())
    assert found["auc/main"] == 1 / 3


def test_a_report_has_all_numbers_of_a_run_and_the_metrics_of_a_former_version(tmp_path, caplog):
    write_metrics(tmp_path / "artifacts", {"auc/main": 0.5, "f1/main": 0.25})
    run = TrackedRun("id", "all", "FINISHED", metrics={"auc/main": 0.5, "time/run_s": 3.0}, artifact_uri=str(tmp_path))
    assert with_all_metrics(run, None) is run
    tabled = TrackedRun(**{**vars(run), "tags": {TABLED: METRICS_TABLE}})
    assert with_all_metrics(tabled, None).metrics == {"auc/main": 0.5, "f1/main": 0.25, "time/run_s": 3.0}
    assert not caplog.text
    (tmp_path / "artifacts" / METRICS_TABLE).write_text("metric,value\nauc/main,half\n")
    assert with_all_metrics(tabled, None) is tabled
    assert "all: only what it tracked in MLflow is reported" in caplog.text
    with pytest.raises(UserError, match="is damaged"):
        read_metrics(tmp_path / "artifacts" / METRICS_TABLE)
