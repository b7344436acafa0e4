"""A job that fails leaves a row and what is known of it, whenever it failed."""

from __future__ import annotations

import subprocess

from omegaconf import OmegaConf

from mtl.job.failure import track_failure
from mtl.job.record import read_job
from mtl.results import JOB
from mtl.sweep.process_launcher import OUTPUT, Processes, Working
from mtl.tracking.journal import Journal

CONFIG = {"tracking": {"_target_": "mtl.tracking.NoTracking"}}


def uploaded(folder) -> list[str]:
    """Folders that the record says are artifacts."""
    return [entry["folder"] for entry in Journal(folder / "tracking.jsonl").entries if entry["call"] == "artifacts"]


def test_a_job_refused_before_its_run_was_opened_has_its_traceback(tmp_path):
    track_failure(OmegaConf.create(CONFIG), tmp_path, "all", {}, "", "no frame", "Traceback: no frame")
    job = read_job(tmp_path)
    assert (job.status, job.failure) == ("FAILED", "no frame")
    assert (tmp_path / "failure" / "traceback.txt").read_text() == "Traceback: no frame"
    assert uploaded(tmp_path) == ["failure"]


def test_of_a_dead_job_the_end_of_what_it_wrote_is_kept(tmp_path):
    hydra = {"runtime": {"choices": {"tasks": "all"}, "config_sources": []}, "overrides": {"task": ["seed=3"]}}
    config = OmegaConf.create(CONFIG | {"hydra": hydra, "numerics": {"portable": False}})
    (tmp_path / OUTPUT).write_text("begin" + "x" * 30_000 + "\nlast words\n")
    with subprocess.Popen(["true"]) as process:
        job = Working(7, process, config, tmp_path)
    Processes(1, None)._make_row(job, "its process was ended by SIGKILL")
    assert read_job(tmp_path).tags[JOB] == "7"
    text = (tmp_path / "failure" / "traceback.txt").read_text()
    assert text.endswith("last words\n\nits process was ended by SIGKILL\n")
    assert "begin" not in text
    assert uploaded(tmp_path) == ["failure"]
