"""What a sweep and the process of a job say to each other, and where that process imports from."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.types import RunMode
from omegaconf import OmegaConf

from mtl.errors import UserError
from mtl.sweep import process_job, process_launcher


@pytest.fixture(scope="module")
def config():
    """A job's config as a sweep composes it."""
    setup_globals()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        found = compose("config", ["tasks=anomaly", "hydra.mode=MULTIRUN"], return_hydra_config=True)
    OmegaConf.set_readonly(found.hydra, False)
    found.hydra.job.num, found.hydra.job.name, found.hydra.job.id = 0, "job", "0"
    return found


def job(config):
    """Some function in a file."""


def test_a_job_arrives_as_it_was_composed(config):
    folder = str(config.hydra.sweep.dir)  # names a moment
    said = json.loads(process_job.told(job, config))
    found = process_job._config(said)
    assert found.hydra.sweep.dir == folder
    assert found.hydra.mode is RunMode.MULTIRUN
    mine = [key for key in config if key != "hydra"]
    assert OmegaConf.masked_copy(found, mine) == OmegaConf.masked_copy(config, mine)
    HydraConfig().set_config(found)  # refuses what is not typed as Hydra's own
    assert said["task"] == {"name": "job", "module": __name__, "file": str(Path(__file__))}


def test_an_answer_is_what_came_of_the_job(config):
    done = JobReturn(status=JobStatus.COMPLETED)
    done.return_value = 0.75
    found = process_job.answered(process_job._answer(done), config)
    assert (found.status, found.return_value) == (JobStatus.COMPLETED, 0.75)
    failed = JobReturn(status=JobStatus.FAILED)
    failed.return_value = UserError("what was wrong")
    found = process_job.answered(process_job._answer(failed), config)
    assert found.status == JobStatus.FAILED
    assert isinstance(found._return_value, UserError)
    assert str(found._return_value) == "what was wrong"
    failed.return_value = ZeroDivisionError("by\nzero" * 10_000)
    content = process_job._answer(failed)
    assert len(content) < 2**16  # what a pipe takes
    assert str(process_job.answered(content, config)._return_value).startswith("ZeroDivisionError: by zero")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"status": "COMPLETED"}', b"\x80\x04\x95"])
def test_an_answer_that_is_not_whole_is_none(config, content):
    assert process_job.answered(content, config) is None


def test_a_job_imports_nothing_from_the_folder_it_works_in(tmp_path, monkeypatch):
    for name in ("json", "numpy", "hydra", "mtl", "sitecustomize", "runpy"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep + str(ROOT))  # an empty one stands for the working folder
    answer, theirs = os.pipe()
    launcher = process_launcher.Processes(1, None)
    done = subprocess.run(
        process_job.command(theirs),
        cwd=tmp_path,
        env=launcher._environment(),
        pass_fds=[theirs],
        input=b"{}",
        capture_output=True,
        check=False,
    )
    os.close(theirs)
    assert done.returncode == 1
    assert json.loads(process_launcher._content(answer))["status"] == "FAILED"  # so it came as far as its job
    assert not (tmp_path / "imported").exists()


def test_a_job_writes_through_no_link(tmp_path):
    (tmp_path / "kept").write_text("kept", encoding="utf-8")
    (tmp_path / "output.txt").symlink_to(tmp_path / "kept")
    with process_launcher._own_file(tmp_path / "output.txt") as file:
        file.write(b"new")
    assert (tmp_path / "kept").read_text(encoding="utf-8") == "kept"
    assert (tmp_path / "output.txt").read_text(encoding="utf-8") == "new"
