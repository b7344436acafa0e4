"""What is loaded of a store does not grow with what it holds: runs are counted, as times depend on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtl.job.record import REUSED_FROM
from mtl.job.reuse import FinishedRuns
from mtl.load_run import where_tracked
from mtl.report.__main__ import tracked_runs
from mtl.results import FINGERPRINT, HOST, PARENT, PROCESS
from mtl.tracking.mlflow_tracking import MLflowTracking

SIZES = (3, 9)  # sweeps of two jobs
LATEST = 4


class Counted:
    """A client of MLflow that counts its calls, and the runs that come with them."""

    def __init__(self, client) -> None:
        self._client = client
        self.calls = self.runs = 0

    def __getattr__(self, name: str):
        return getattr(self._client, name)

    def search_runs(self, *args, **kwargs):
        found = self._client.search_runs(*args, **kwargs)
        self.calls, self.runs = self.calls + 1, self.runs + len(found)
        return found

    def get_run(self, run_id: str):
        self.calls, self.runs = self.calls + 1, self.runs + 1
        return self._client.get_run(run_id)


def tracking_of(database: Path, size: int) -> MLflowTracking:
    return MLflowTracking(f"sqlite:///{database}", f"of {size}", None, 60)


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    """Experiments of several sizes: sweeps of a job that was trained, and of one whose row reuses the first of all."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    for size in SIZES:
        tracking = tracking_of(database, size)
        tracking.prepare()
        client, experiment = tracking._store.client, tracking._store.create_experiment()
        first = ""
        for sweep in range(size):
            tags = {"sweep": "parent"}
            parent = client.create_run(experiment, 1000 * sweep, tags, f"sweep {sweep}").info.run_id
            for name, more in (("trained", {}), ("reused", {REUSED_FROM: first})):
                if name == "reused" and not first:
                    continue
                mine = {PARENT: parent, FINGERPRINT: f"f{0 if name == 'reused' else sweep}"} | more
                run = client.create_run(experiment, 1000 * sweep + 1, mine, name).info.run_id
                first = first or run
                client.set_terminated(run, "FINISHED", 1000 * sweep + 2)
            client.set_terminated(parent, "FINISHED", 1000 * sweep + 3)
    return database


@pytest.fixture(params=SIZES)
def counted(database, request) -> tuple[MLflowTracking, Counted]:
    tracking = tracking_of(database, request.param)
    client = Counted(tracking._store.client)
    tracking._store.__dict__["client"] = client  # a cached property
    return tracking, client


def test_a_plan_loads_the_runs_of_its_jobs_and_the_latest_few(counted):
    tracking, client = counted
    finished = FinishedRuns(tracking)
    found = finished.of(["f0", "f1", "f2", "nobody", "f1"])
    assert {each: run.tags[FINGERPRINT] for each, run in found.items()} == {each: each for each in ("f0", "f1", "f2")}
    assert all(REUSED_FROM not in run.tags for run in found.values())
    # a row for each fingerprint, the run that the row of f0 names, and the parents of the three
    assert (client.calls, client.runs) == (4 + 1 + 1, 3 + 1 + 3)
    assert len(finished.latest(LATEST)) == LATEST
    assert client.runs == 7 + LATEST


def test_runs_of_dead_processes_are_closed_without_loading_those_that_ended(counted):
    tracking, client = counted
    experiment = tracking._store.experiment_id()
    open_one = client.create_run(experiment, 10**6, {HOST: "elsewhere", PROCESS: "1@x"}, "open").info.run_id
    assert tracking.close_stale() == []
    assert (client.calls, client.runs) == (1, 1)
    client.delete_run(open_one)


def test_a_report_of_one_sweep_and_the_place_of_a_run_load_these_alone(counted):
    tracking, client = counted
    (parent,) = tracking.runs(tags={"sweep": "parent"}, last=1)
    assert client.runs == 1
    jobs = tracking.runs(parent=parent.id)
    assert sorted(job.name for job in jobs) == ["reused", "trained"]
    assert client.runs == 1 + 2
    where_tracked(jobs[0].id, tracking)
    assert client.runs == 1 + 2 + 1
    runs, _ = tracked_runs(parent.id, tracking.uri, tracking.experiment)
    assert {run.id for run in runs} == {job.id for job in jobs}
