"""Two sweeps that are started in one folder at the same moment."""

from __future__ import annotations

import pytest
from conftest import BARE, begun, tracking_of
from provoked import AT_ONCE, with_fault


@pytest.mark.slow
@pytest.mark.tensorflow
def test_two_sweeps_in_one_folder_at_once_on_a_fresh_store_both_finish_in_folders_of_their_own(tmp_path):
    (tmp_path / "ready").mkdir()
    fault = with_fault(tmp_path / "fault", AT_ONCE.format(folder=str(tmp_path / "ready")))
    words = ["-m", "tasks=anomaly", "seed=0,1", *BARE, "training.epochs=1", "hydra.sweep.dir=sweep"]
    sweeps = [begun(tmp_path, *words, **fault) for _ in range(2)]
    said = [sweep.communicate(timeout=900)[0] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0, 0], said
    assert not any("Traceback" in one for one in said)

    tracking = tracking_of(tmp_path)
    parents = tracking.runs(tags={"sweep": "parent"})
    assert [parent.status for parent in parents] == ["FINISHED"] * 2
    families = [tracking.runs(parent=parent.id) for parent in parents]
    assert [sorted(job.params["seed"] for job in jobs) for jobs in families] == [["0", "1"]] * 2
    jobs = [job for family in families for job in family]
    assert len({job.id for job in jobs}) == 4
    assert {job.status for job in jobs} == {"FINISHED"}
    by_seed = [{job.params["seed"]: job.metrics["auc/general_anomaly"] for job in family} for family in families]
    assert by_seed[0] == by_seed[1]
    for folder in ("sweep", "sweep-2"):
        assert {path.parent.name for path in (tmp_path / folder).glob("[01]/tracking.jsonl")} == {"0", "1"}
        assert (tmp_path / folder / "summary" / "summary.html").is_file()
