"""The same sweep by every launcher: one parent, true children, and no end of the sweep where a job dies."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import BARE, ROOT, call, tracking_of

from mtl.config import schema
from mtl.job.record import Job, read_jobs
from mtl.results import TrackedRun

PLUGINS = {"joblib": "hydra_joblib_launcher", "submitit_local": "hydra_submitit_launcher", "ray": "hydra_ray_launcher"}
LAUNCHERS = ["basic", "processes", *PLUGINS]
MAIN = "auc/general_anomaly"


def needs(launcher: str) -> None:
    """Skip where the launcher's plugin is not installed."""
    if launcher in PLUGINS and not _is_installed(PLUGINS[launcher]):
        pytest.skip(f"{PLUGINS[launcher]} is not installed")


def _is_installed(plugin: str) -> bool:
    try:
        return importlib.util.find_spec(f"hydra_plugins.{plugin}") is not None
    except ModuleNotFoundError:  # no plugin at all is on the path, ours included: pytest runs elsewhere than run.py
        return False


def words(launcher: str) -> list[str]:
    needs(launcher)
    return ["-m", f"hydra/launcher={launcher}", *BARE]


def families(folder: Path) -> list:
    """Every sweep's own run, first started first, with its jobs."""
    tracking = tracking_of(folder)
    return [(parent, tracking.runs(parent=parent.id)) for parent in tracking.runs(tags={"sweep": "parent"})]


def aucs(children) -> dict[str, float]:
    """AUC by set and seed; each set and seed once."""
    found = {f"{run.params['tasks']} {run.params['seed']}": run.metrics[MAIN] for run in children}
    assert len(found) == len(children)
    return found


def summary(folder: Path, parent: str) -> pd.DataFrame:
    """A sweep's table, rows in their order."""
    return pd.read_csv(tracking_of(folder).download(parent, "summary.csv"))


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command, begun, in a group of its own as a terminal would have it."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=folder,
        stdout=(folder / "out.txt").open("a"),
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_job(folder: Path, process: subprocess.Popen[str], status: str, trained: bool = False) -> Job:
    """The first job with this status, that has ended an epoch if asked for."""
    end = time.monotonic() + 500
    while time.monotonic() < end:
        jobs = read_jobs(folder / "sweep") if folder.exists() else []
        found = [job for job in jobs if job.status == status and (job.metrics or not trained)]
        if found:
            return found[0]
        assert process.poll() is None, (folder / "out.txt").read_text()
        time.sleep(0.1)
    raise AssertionError(f"no job became {status}: {(folder / 'out.txt').read_text()}")


def test_our_preset_is_the_launchers_signature():
    node = yaml.safe_load((ROOT / "conf/hydra/launcher/processes.yaml").read_text(encoding="utf-8"))
    assert set(node) - {"_target_"} == set(schema.signature("mtl.sweep.process_launcher.Processes").annotations)


@pytest.mark.parametrize("preset", ["joblib", "submitit_local", "submitit_slurm"])
def test_presets_of_plugins_name_what_the_plugins_know(preset):
    needs(preset.replace("slurm", "local"))
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()
    known = ConfigStore.instance().load(f"hydra/launcher/{preset}.yaml").node
    node = yaml.safe_load((ROOT / f"conf/hydra/launcher/{preset}.yaml").read_text(encoding="utf-8"))
    assert set(node) == set(known)
    assert node["_target_"] == known["_target_"]


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_parent_and_children_are_right_and_a_failure_is_a_row(tmp_path, launcher):
    chosen = words(launcher)
    done = call(tmp_path, *chosen, "tasks=anomaly_random,anomaly", "weighting=notebook", "seed=0")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    ((parent, children),) = families(tmp_path)
    assert parent.status == "FAILED"
    by_tasks = {run.tags["tasks"]: run for run in children}
    assert by_tasks["anomaly_random"].status == "FAILED"
    assert "random_labels" in by_tasks["anomaly_random"].tags["failure"]
    kept = tracking_of(tmp_path).download(by_tasks["anomaly_random"].id, "traceback.txt")
    assert "random_labels" in kept.read_text()
    assert "random_labels" in parent.tags["mlflow.note.content"]
    assert "random_labels" in done.stdout
    assert by_tasks["anomaly"].status == "FINISHED"
    assert MAIN in by_tasks["anomaly"].metrics
    assert len(children) == 2

    again = call(tmp_path, *chosen, "tasks=anomaly", "weighting=notebook", "seed=0,1")
    assert again.returncode == 0, again.stdout + again.stderr
    parent, children = families(tmp_path)[1]
    assert parent.status == "FINISHED"
    reused = {run.params["seed"]: run.tags.get("reused_from") for run in children}
    assert reused == {"0": by_tasks["anomaly"].id, "1": None}
    assert "1 of 2 jobs were done already" in again.stdout


JOBS = ("tasks=anomaly,anomaly_type", "seed=0,1")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Scores and table of a sweep that no one interrupts, and the folder."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = call(folder, *words("basic"), *JOBS)
    assert done.returncode == 0, done.stdout + done.stderr
    ((parent, children),) = families(folder)
    return aucs(children), summary(folder, parent.id), folder


@pytest.mark.tensorflow
@pytest.mark.slow
def test_what_is_there_is_trained_again_on_demand(uninterrupted):
    scores, _, folder = uninterrupted
    done = call(folder, *words("basic"), "tasks=anomaly", "seed=0", "rerun=true")
    assert done.returncode == 0, done.stdout + done.stderr
    _, (trained,) = families(folder)[1]
    assert "reused_from" not in trained.tags
    assert trained.metrics[MAIN] == pytest.approx(scores["anomaly 0"], abs=1e-6)


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_after_an_interruption_the_same_command_runs_only_what_is_missing(tmp_path, uninterrupted, launcher, sent):
    if sent != signal.SIGKILL and launcher != "processes":
        pytest.skip("test_sweep.py has the basic launcher; the others differ from it in their workers only")
    chosen = [*words(launcher), *JOBS]
    first = begin(tmp_path, *chosen, "hydra.sweep.dir=sweep")
    done = wait_for_job(tmp_path, first, "FINISHED")
    time.sleep(np.random.default_rng().uniform(0, 2))
    os.kill(first.pid, sent)
    first.wait(timeout=200)
    assert first.returncode != 0
    if sent == signal.SIGKILL:
        _wait_for_orphans(tmp_path)
    untouched = {run.id: run for _, children in families(tmp_path) for run in children if run.status == "FINISHED"}
    assert done.metrics[MAIN] in [run.metrics[MAIN] for run in untouched.values()]

    second = call(tmp_path, *chosen)
    assert second.returncode == 0, second.stdout + second.stderr
    (old, left), (parent, children) = families(tmp_path)
    assert parent.status == "FINISHED"
    assert old.status == "KILLED"
    assert {run.status for run in left} <= {"FINISHED", "KILLED"}
    assert {run.tags["reused_from"] for run in children if "reused_from" in run.tags} == set(untouched)
    assert sum("reused_from" not in run.tags for run in children) == 4 - len(untouched)
    assert [but_for_figures(run) for run in left if run.id in untouched] == list(
        map(but_for_figures, untouched.values())
    )
    assert {run.tags["figures"] for run in [*children, *left] if run.status == "FINISHED"} == {"drawn"}

    scores, table, _ = uninterrupted
    assert aucs(children) == pytest.approx(scores, abs=1e-6)
    pd.testing.assert_frame_equal(summary(tmp_path, parent.id), table, check_exact=False, atol=1e-6)


def but_for_figures(run: TrackedRun) -> TrackedRun:
    """The run without what says whether its figures are drawn."""
    return replace(run, tags={key: value for key, value in run.tags.items() if key != "figures"})


def _wait_for_orphans(folder: Path) -> None:
    """Workers of a killed sweep may finish their job first; ours must not."""
    end = time.monotonic() + 300
    while any(job.status == "RUNNING" for job in read_jobs(folder / "sweep")):
        assert time.monotonic() < end
        time.sleep(0.2)
    time.sleep(1)


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSEGV])
def test_the_death_of_a_job_is_a_row_and_not_the_end(tmp_path, sent):
    process = begin(tmp_path, *words("processes"), "tasks=anomaly", "seed=0,1", "hydra.sweep.dir=sweep")
    victim = wait_for_job(tmp_path, process, "RUNNING")
    os.kill(int(victim.tags["mtl.process"].partition("@")[0]), sent)
    process.wait(timeout=500)
    assert process.returncode == 1
    ((parent, children),) = families(tmp_path)
    assert parent.status == "FAILED"
    statuses = sorted(run.status for run in children)
    assert statuses == ["FAILED", "FINISHED"]
    dead = next(run for run in children if run.status == "FAILED")
    assert sent.name in dead.tags["failure"]
    assert sent.name in (tmp_path / "out.txt").read_text()


@pytest.mark.tensorflow
@pytest.mark.slow
def test_jobs_of_a_killed_sweep_end_with_it(tmp_path):
    chosen = [*words("processes"), "training.epochs=100000", "training.early_stopping=false"]
    process = begin(tmp_path, *chosen, "tasks=anomaly", "seed=0,1", "hydra.sweep.dir=sweep")
    wait_for_job(tmp_path, process, "RUNNING", trained=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 200
    while any(job.status == "RUNNING" for job in read_jobs(tmp_path / "sweep")):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert {job.status for job in read_jobs(tmp_path / "sweep")} == {"KILLED"}
