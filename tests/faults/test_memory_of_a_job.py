"""A run that runs out of memory says so in one line; as a job it is a row with the reason, and the others run."""

from __future__ import annotations

import re

import pytest
from conftest import BARE, call, tracking_of
from provoked import NO_MEMORY, with_fault

LARGE = str(2**24)  # units of the shared layer, for each of which there are 128 weights: 8 GiB
REASON = f"Memory ran out in the stage model: 8192 MiB were asked for (tensor with shape[128,{LARGE}] and type float), "


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_job_out_of_memory_is_a_row_with_the_reason_and_the_other_finishes(tmp_path):
    fault = with_fault(tmp_path / "fault", NO_MEMORY.format(more=6 * 2**30))
    words = ["-m", "hydra/launcher=processes", "tasks=anomaly", *BARE, "training.epochs=1", "hydra.sweep.dir=sweep"]
    words += [f"model.shared_units={LARGE},16"]
    done = call(tmp_path, *words, **fault)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    tracking = tracking_of(tmp_path)
    (parent,) = tracking.runs(tags={"sweep": "parent"})
    assert parent.status == "FAILED"
    jobs = {job.params["model.shared_units"]: job for job in tracking.runs(parent=parent.id)}
    assert [jobs[units].status for units in (LARGE, "16")] == ["FAILED", "FINISHED"]
    assert jobs[LARGE].tags["failure"].startswith(REASON)
    assert (
        jobs[LARGE]
        .tags["failure"]
        .endswith(
            f"a smaller model.shared_units (now {LARGE}), fewer jobs at once (hydra.launcher.n_jobs) or more memory."
        )
    )
    assert REASON in done.stdout


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_run_out_of_memory_is_one_line_and_nothing_is_lost(tmp_path):
    fault = with_fault(tmp_path / "fault", NO_MEMORY.format(more=6 * 2**30))
    words = ["tasks=anomaly", *BARE, "training.epochs=1"]
    done = call(tmp_path, *words, f"model.shared_units={LARGE}", **fault)
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(REASON)
    assert re.search(r"\d+ MiB are free within the process's limit of \d+ MiB \(ulimit -v\)\. Right would be ", line)
    (run,) = tracking_of(tmp_path).runs()
    assert (run.status, run.tags["failure"]) == ("FAILED", line)
    (details,) = (tmp_path / "outputs").rglob("failure/traceback.txt")
    assert "ResourceExhaustedError" in details.read_text(encoding="utf-8")
    smaller = call(tmp_path, *words, "model.shared_units=16", **fault)
    assert smaller.returncode == 0, smaller.stdout + smaller.stderr
    assert "340 computed" in done.stdout
    assert "340 computed" not in smaller.stdout  # the features were kept
