"""A job that runs out of memory is a row with the reason, and the others run."""

from __future__ import annotations

import pytest
from conftest import BARE, call, tracking_of
from provoked import NO_MEMORY, with_fault

LARGE = str(2**24)  # units of the shared layer, for each of which there are 128 weights: 8 GiB


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
    assert "ResourceExhaustedError" in jobs[LARGE].tags["failure"]
    assert "OOM when allocating tensor" in jobs[LARGE].tags["failure"]
    assert "OOM when allocating tensor" in done.stdout
