"""What a run tells MLflow arrives, once, whatever happens to the store or to the process."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, slow
from mlflow_server import Server

from mtl import results
from mtl.errors import UserError
from mtl.job.reuse import FinishedRuns
from mtl.results import FAILURE, FINGERPRINT, HOST, PARENT, PROCESS
from mtl.tracking import __main__, journal, provenance, send
from mtl.tracking.mlflow_tracking import MLflowTracking
from mtl.tracking.no_tracking import NoTracking
from mtl.tracking.run import Run
from mtl.tracking.store import Store

NAN, INFINITE = float("nan"), float("inf")
PATIENT_S = 60.0  # for a server that is there, however busy the machine is


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A database that every test of this module may use, each in an experiment of its own."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    MLflowTracking(f"sqlite:///{database}", "first", None, 20).prepare()
    return database


@pytest.fixture
def tracked(store, request) -> MLflowTracking:
    found = MLflowTracking(f"sqlite:///{store}", request.node.name, None, 5)
    found.prepare()
    return found


def history(found: MLflowTracking, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Every point of every metric."""
    client = found._store.client
    return {
        key: sorted((point.step, point.value) for point in client.get_metric_history(run_id, key))
        for key in client.get_run(run_id).data.metrics
    }


def files(found: MLflowTracking, run_id: str, path: str = "") -> set[str]:
    """Every artifact of a run."""
    names: set[str] = set()
    for each in found._store.client.list_artifacts(run_id, path or None):
        names |= files(found, run_id, each.path) if each.is_dir else {each.path}
    return names


def datasets(found: MLflowTracking, run_id: str) -> set[tuple[str, ...]]:
    """Name, digest and context of each input."""
    inputs = found._store.client.get_run(run_id).inputs.dataset_inputs
    return {(each.dataset.name, each.dataset.digest, *(tag.value for tag in each.tags)) for each in inputs}


def everything(found: MLflowTracking, run_id: str) -> dict[str, object]:
    """What a run looks like in the store, without what differs from run to run."""
    run = found.run(run_id)
    own = {results.KEY, HOST, PROCESS, PARENT}
    tags = {key: value for key, value in run.tags.items() if key not in own}
    return {
        "name": run.name, "status": run.status, "params": dict(run.params), "tags": tags,
        "metrics": history(found, run_id), "files": files(found, run_id), "datasets": datasets(found, run_id),
    }  # fmt: skip


def whole_run(found: MLflowTracking | NoTracking, folder: Path, parent: str | None = None, at_epoch=None) -> Run:
    """A run as an experiment would track it; `at_epoch` may do harm in the middle."""
    run = found.start("all seed=0", folder, parent, {"tasks": "all"})
    run.params({"tasks": "all", "training": {"epochs": 3}})
    run.dataset("demo", "d" * 36, "/data/demo", {"frames": {"train": 10}}, "train")
    run.dataset("demo", "d" * 36, "/data/demo", {"frames": {"train": 10}}, "test")
    for epoch in range(1, 4):
        if at_epoch is not None:
            at_epoch(epoch)
        run.metrics({"val_auc/main": 0.5 + epoch / 10, "train_loss/main": 1 / epoch}, step=epoch)
    run.metrics({"auc/main": 0.8, "auc/other": NAN}, step=3)
    run.undefined({"auc/other": "one class in the test split"})
    artifacts = folder / "artifacts"
    (artifacts / "figures").mkdir(parents=True, exist_ok=True)
    (artifacts / "config.yaml").write_text("seed: 0\n")
    (artifacts / "figures" / "roc.png").write_bytes(b"png")
    run.artifacts(artifacts)
    run.text("# found\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    run.end("FINISHED")
    return run


# --- before a store is touched ----------------------------------------------------------------------------------------


def test_importing_tracking_does_not_import_mlflow():
    code = "import sys, mtl.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "uri", ["./mlruns", "mlruns", "file:///tmp/mlruns", "sqlite://", "sqlite:///:memory:", "htp://x", ""]
)
def test_a_refused_address_is_one_clear_line(uri):
    with pytest.raises(UserError, match=r"Tracking URI .*right would be sqlite:///mlflow\.db") as caught:
        MLflowTracking(uri, "x", None, 1)
    assert "\n" not in str(caught.value)


def test_the_default_address_is_made_absolute_with_artifacts_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "conf/tracking/mlflow.yaml").read_text())
    config.pop("_target_")
    found = MLflowTracking(**config)
    assert found.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert found._store.artifacts == (tmp_path / "mlartifacts").as_uri()


def test_a_server_keeps_its_own_place_for_artifacts():
    assert MLflowTracking("http://127.0.0.1:1", "x", None, 1)._store.artifacts is None


def test_a_password_is_shown_nowhere(tmp_path, caplog):
    found = MLflowTracking("http://someone:secret@127.0.0.1:1", "x", None, 0.2)
    run = found.start("all", tmp_path, None, {})
    run.end("FINISHED")
    assert "secret" not in (tmp_path / journal.JOURNAL).read_text()
    assert "secret" not in caplog.text
    with pytest.raises(UserError, match="--uri"):
        send.send(tmp_path, 0.2)


def test_a_place_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as root every place can be written
    with pytest.raises(UserError, match=r"cannot be written \(permission\): set tracking\.uri"):
        MLflowTracking(f"sqlite:///{tmp_path}/mlflow.db", "x", None, 1).prepare()


def test_a_file_that_is_no_store_is_named_and_left_alone(tmp_path):
    database = tmp_path / "mlflow.db"
    database.write_text("my notes")
    with pytest.raises(UserError, match="no whole MLflow store"):
        MLflowTracking(f"sqlite:///{database}", "x", None, 1).prepare()
    assert database.read_text() == "my notes"


def test_reading_makes_no_store(tmp_path):
    found = MLflowTracking(f"sqlite:///{tmp_path}/mlflow.db", "x", None, 1)
    with pytest.raises(UserError, match="There is no MLflow store at"):
        found.runs()
    assert list(tmp_path.iterdir()) == []


# --- a local store ----------------------------------------------------------------------------------------------------


def test_whatever_the_store_takes_is_counted(tracked, tmp_path, monkeypatch):
    play = Store.play

    def late(*args):
        time.sleep(0.2)
        return play(*args)

    before = tracked.seconds
    assert before > 0  # the store was made
    monkeypatch.setattr(Store, "play", late)
    run = tracked.start("all", tmp_path, None, {})
    run.metrics({"auc/main": 0.5}, step=0)
    run.end("FINISHED")
    assert tracked.seconds - before > 0.6
    assert NoTracking().seconds == 0


def test_a_run_arrives_whole(tracked, tmp_path):
    run = whole_run(tracked, tmp_path)
    found = everything(tracked, run.id)
    assert found["name"] == "all seed=0"
    assert found["status"] == "FINISHED"
    assert found["params"] == {"tasks": "all", "training.epochs": "3"}
    assert found["metrics"] == {
        "val_auc/main": [(1, 0.6), (2, 0.7), (3, 0.8)],
        "train_loss/main": [(1, 1.0), (2, 0.5), (3, 1 / 3)],
        "auc/main": [(3, 0.8)],
    }
    assert found["files"] == {"config.yaml", "figures/roc.png", "undefined.json"}
    assert found["datasets"] == {("demo", "d" * 30 + "-train", "train"), ("demo", "d" * 31 + "-test", "test")}
    assert found["tags"]["mlflow.note.content"].startswith("# found")
    assert found["tags"]["mlflow.source.name"] == "run.py"
    assert found["tags"]["mlflow.user"]


def test_the_commit_is_tracked_with_a_flag_for_changed_files(tracked, tmp_path):
    run = tracked.start("all", tmp_path, None, {})
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    tags = tracked.run(run.id).tags
    assert tags.get("mlflow.source.git.commit", "") == head.stdout.strip() or provenance.git_state.cache_info().hits
    assert tags.get("git_dirty", "true") in ("true", "false")


def test_what_is_not_finite_is_noted_with_a_reason_and_not_as_a_number(tracked, tmp_path):
    run = tracked.start("all", tmp_path, None, {})
    run.undefined({"auc/a": "one class in the test split"})
    run.metrics({"auc/a": NAN, "loss/b": INFINITE, "auc/c": 0.5}, step=2)
    run.end("FINISHED")
    found = tracked.run(run.id)
    assert found.metrics == {"auc/c": 0.5}
    assert found.tags["undefined"] == "auc/a, loss/b"
    noted = json.loads(tracked.download(run.id, "undefined.json").read_text())
    assert noted == {"auc/a": "one class in the test split", "loss/b": "inf at step 2"}


def test_what_was_undefined_before_a_kill_is_still_known(tracked, tmp_path):
    run = tracked.start("all", tmp_path, None, {})
    run.undefined({"auc/a": "one class"})
    run.end("KILLED")
    again = tracked.start("all", tmp_path, None, {})
    again.undefined({"auc/b": "no frame"})
    again.end("FINISHED")
    assert json.loads(tracked.download(run.id, "undefined.json").read_text()) == {
        "auc/a": "one class",
        "auc/b": "no frame",
    }
    fresh = tracked.start("all", tmp_path, None, {})
    fresh.end("FINISHED")
    assert files(tracked, fresh.id) == set()


def test_odd_names_and_values_are_taken(tracked, tmp_path):
    values = {
        "data.root": "/a path/with 'quotes' and \"more\"/ü/=x",
        "key=with[brackets]": "x" * 10_000,
        "none": None,
        "empty": "",
        "list": [1, "a b"],
        "surrogate": "\udcff",
    }
    run = tracked.start("tasks=all data.root='/a b'", tmp_path, None, {"odd/tag=1": "☃\n"})
    run.params(values)
    run.metrics({"class_auc/type.a=b": 0.5}, step=0)
    run.end("FINISHED")
    found = tracked.run(run.id)
    assert found.params["data.root"] == values["data.root"]
    assert len(found.params["key_with_brackets_"]) == 6000
    assert found.params["list"] == "[1, 'a b']"
    assert found.params["none"] == "None"
    assert found.metrics == {"class_auc/type.a_b": 0.5}
    assert found.tags["odd/tag_1"] == "☃\n"
    assert found.name == "tasks=all data.root='/a b'"


@pytest.mark.slow
def test_a_hundred_and_more_of_everything_is_taken(tracked, tmp_path):
    run = tracked.start("all", tmp_path, None, {})
    run.params({f"p{i}": i for i in range(250)})
    run.metrics({f"m{i}": i for i in range(1500)}, step=0)
    run.tags({f"t{i}": i for i in range(150)})
    found = tracked.run(run.id)
    assert len(found.params) == 250
    assert len(found.metrics) == 1500
    assert found.tags["t149"] == "149"


def test_a_long_description_is_cut_not_refused(tracked, tmp_path):
    run = tracked.start("all", tmp_path, None, {})
    run.text("x" * 20_000)
    assert len(tracked.run(run.id).tags["mlflow.note.content"]) == 8000


def test_children_are_found_by_their_parent_and_tags(tracked, tmp_path):
    parent = tracked.start("sweep", tmp_path, None, {"sweep": "parent"})
    first = tracked.start("a", tmp_path / "0", parent.id, {FINGERPRINT: "f'0"})
    second = tracked.start("b", tmp_path / "1", parent.id, {FINGERPRINT: "f1"})
    first.end("FINISHED")
    second.end("FAILED")
    assert [run.name for run in tracked.runs(parent=parent.id)] == ["a", "b"]
    assert [run.name for run in tracked.runs()] == ["sweep", "a", "b"]
    assert [run.name for run in tracked.runs(tags={FINGERPRINT: "f'0"})] == ["a"]
    assert [run.name for run in tracked.runs(status="FAILED")] == ["b"]
    assert tracked.runs(parent="nobody") == []
    found = tracked.runs(parent=parent.id)[0]
    assert found.start <= found.end
    assert found.artifact_uri.startswith("file://")


def test_no_variable_of_mlflow_leaks_into_the_environment(tracked, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    whole_run(tracked, tmp_path)
    left = {key for key in os.environ if key.startswith("MLFLOW_")}
    assert left <= {"MLFLOW_DISABLE_TELEMETRY", "MLFLOW_TRACKING_URI"}


def test_a_variable_with_a_run_id_is_not_heeded(tracked, tmp_path, monkeypatch):
    parent = tracked.start("sweep", tmp_path, None, {})
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.id)
    assert tracked.start("job", tmp_path / "0", parent.id, {}).id != parent.id


@pytest.mark.slow
def test_a_deleted_experiment_stays_deleted_and_a_new_one_is_begun_and_said(tracked, tmp_path, caplog):
    for attempt in range(2):
        here = MLflowTracking(tracked.uri, tracked.experiment, None, 5)
        here.prepare()
        assert here.runs() == []
        run = whole_run(here, tmp_path / str(attempt))
        assert [found.id for found in here.runs()] == [run.id]
        here._store.client.delete_experiment(here._store.experiment_id())
    last = MLflowTracking(tracked.uri, tracked.experiment, None, 5)
    last.prepare()
    assert last.runs() == []
    assert caplog.text.count("had been deleted: it stays so, as") == 2
    assert last._store.client.get_run(run.id).info.lifecycle_stage == "deleted"


def sweep_of_two(found: MLflowTracking, folder: Path) -> tuple[str, list[str]]:
    """A finished sweep: its own run's id, and its jobs', whose fingerprints are the folder and their numbers."""
    parent = found.start("sweep", folder, None, {"sweep": "parent"})
    jobs = [whole_run(found, folder / str(job), parent.id) for job in range(2)]
    for number, job in enumerate(jobs):
        job.tags({FINGERPRINT: f"{folder.name} {number}"})
    parent.end("FINISHED")
    return parent.id, [job.id for job in jobs]


@pytest.mark.parametrize("gone", ["the sweep", *slow("the sweep for good", "one job")])
def test_what_was_deleted_does_not_count_as_done(tracked, tmp_path, gone):
    parent, jobs = sweep_of_two(tracked, tmp_path / "deleted")
    _, kept = sweep_of_two(tracked, tmp_path / "kept")
    alone = whole_run(tracked, tmp_path / "alone").id
    tracked._store.client.delete_run(jobs[0] if gone == "one job" else parent)  # the page deletes no child
    if gone == "the sweep for good":
        with closing(sqlite3.connect(tracked._database)) as connection:  # as `mlflow gc` does
            for table in ("tags", "latest_metrics", "metrics", "params", "runs"):
                connection.execute(f"delete from {table} where run_uuid = ?", (parent,))
            connection.commit()
    finished = FinishedRuns(tracked)
    left = {"kept 0": kept[0], "kept 1": kept[1]} | ({"deleted 1": jobs[1]} if gone == "one job" else {})
    asked = [f"{name} {number}" for name in ("kept", "deleted", "nobody") for number in range(2)]
    assert {each: run.id for each, run in finished.of(asked).items()} == left
    assert alone in {run.id for run in finished.latest(20)}
    assert [run.id for run in finished.latest(1)] == [alone]
    assert FinishedRuns(NoTracking()).of(asked) == {}


def test_an_unknown_run_or_artifact_is_one_clear_line(tracked, tmp_path):
    with pytest.raises(UserError, match="nobody"):
        tracked.run("nobody")
    run = tracked.start("all", tmp_path, None, {})
    with pytest.raises(UserError, match=r"nothing\.txt"):
        tracked.download(run.id, "nothing.txt")


def test_artifacts_come_back(tracked, tmp_path):
    run = whole_run(tracked, tmp_path / "run")
    assert tracked.download(run.id, "config.yaml").read_text() == "seed: 0\n"
    copied = tracked.download(run.id, "figures", tmp_path / "to")
    assert (copied / "roc.png").read_bytes() == b"png"


def test_a_store_of_another_version_names_the_upgrade(store, tmp_path):
    import sqlite3

    database = tmp_path / "mlflow.db"
    shutil.copy(store, database)
    with sqlite3.connect(database) as connection:
        connection.execute("update alembic_version set version_num = 'bd07f7e963c5'")
    with pytest.raises(UserError, match=r"another version of MLflow.*mlflow db upgrade"):
        MLflowTracking(f"sqlite:///{database}", "x", None, 5).prepare()


# --- a run that is done again, or dies --------------------------------------------------------------------------------


def test_a_point_is_tracked_once(tracked, tmp_path):
    run = tracked.start("all", tmp_path, None, {})
    run.metrics({"val_auc/main": 0.6}, step=1)
    run.end("KILLED")
    again = tracked.start("all", tmp_path, None, {})
    assert again.id == run.id
    again.metrics({"val_auc/main": 0.6}, step=1)
    again.metrics({"val_auc/main": 0.7}, step=2)
    again.end("FINISHED")
    assert history(tracked, run.id) == {"val_auc/main": [(1, 0.6), (2, 0.7)]}
    assert tracked.run(run.id).status == "FINISHED"
    assert len(tracked.runs()) == 1


def test_a_killed_run_taken_up_again_has_not_failed(tracked, tmp_path):
    run = tracked.start("all", tmp_path, None, {})
    run.tags({FAILURE: "interrupted"})
    run.end("KILLED")
    again = tracked.start("all", tmp_path, None, {})
    assert FAILURE not in tracked.run(again.id).tags
    assert tracked.run(again.id).status == "RUNNING"


def test_a_killed_run_that_was_deleted_comes_back(tracked, tmp_path):
    run = tracked.start("all", tmp_path, None, {})
    run.end("KILLED")
    tracked._store.client.delete_run(run.id)
    again = tracked.start("all", tmp_path, None, {})
    again.end("FINISHED")
    assert [found.id for found in tracked.runs()] == [run.id]


@pytest.mark.parametrize("status", ["FINISHED", "FAILED"])
def test_a_run_that_came_to_an_end_is_not_taken_up(tracked, tmp_path, status):
    run = tracked.start("all", tmp_path, None, {})
    run.end(status)
    assert tracked.start("all", tmp_path, None, {}).id != run.id
    assert [found.status for found in tracked.runs()] == [status, "RUNNING"]
    assert len(journal.recorded(tmp_path)) == 2


def test_another_fingerprint_is_another_run(tracked, tmp_path):
    run = tracked.start("all", tmp_path, None, {FINGERPRINT: "a"})
    run.end("KILLED")
    assert tracked.start("all", tmp_path, None, {FINGERPRINT: "b"}).id != run.id


def test_a_run_deleted_in_the_middle_costs_one_warning(tracked, tmp_path, caplog):
    run = tracked.start("all", tmp_path, None, {})
    tracked._store.client.delete_run(run.id)
    for epoch in range(5):
        run.metrics({"loss": 1.0}, step=epoch)
    run.end("FINISHED")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "deleted" in caplog.text


LIVING = """
import sys, time
from pathlib import Path
from mtl.tracking import MLflowTracking
found = MLflowTracking(sys.argv[1], sys.argv[2], None, 20)
run = found.start("all", Path(sys.argv[3]), None, {})
run.metrics({"val_auc/main": .6}, step=1)
print(run.id, flush=True)
time.sleep(600)
"""


def living(found: MLflowTracking, folder: Path) -> tuple[subprocess.Popen, str]:
    """A process in the middle of a run."""
    command = [sys.executable, "-c", LIVING, found.uri, found.experiment, str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


@pytest.mark.slow
def test_a_process_killed_by_the_system_is_closed_or_taken_up_again(tracked, tmp_path):
    process, run_id = living(tracked, tmp_path)
    try:
        with pytest.raises(UserError, match="still going on"):
            tracked.start("all", tmp_path, None, {})
        assert tracked.close_stale() == []
        assert "still going on" in send.send(tmp_path, 5, tracked.uri)[0]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert tracked.run(run_id).status == "RUNNING"
    assert [run.id for run in tracked.close_stale()] == [run_id]
    assert tracked.run(run_id).status == "KILLED"
    assert tracked.run(run_id).tags[FAILURE] == "its process died without a word"
    assert journal.recorded(tmp_path)[0].status == "KILLED"
    again = tracked.start("all", tmp_path, None, {})
    again.metrics({"val_auc/main": 0.6}, step=1)
    again.end("FINISHED")
    assert again.id == run_id
    assert tracked.run(run_id).status == "FINISHED"
    assert history(tracked, run_id) == {"val_auc/main": [(1, 0.6)]}
    assert len(tracked.runs()) == 1


def test_a_run_of_another_host_is_closed_by_a_word(tracked, tmp_path, capsys):
    elsewhere = tracked.start("elsewhere", tmp_path / "a", None, {})
    elsewhere.tags({HOST: "another/1"})
    here = tracked.start("here", tmp_path / "b", None, {})
    assert __main__.main(["close", elsewhere.id, here.id, "--uri", tracked.uri]) == 1
    found = tracked.run(elsewhere.id)
    assert (found.status, found.tags[FAILURE]) == ("KILLED", results.NO_WORD)
    assert tracked.run(here.id).status == "RUNNING"
    said = capsys.readouterr().out
    assert f"{elsewhere.id}: elsewhere is closed as KILLED" in said
    assert "still going on" in said
    assert __main__.main(["close", elsewhere.id, "--uri", tracked.uri]) == 1
    assert "KILLED already" in capsys.readouterr().out


def test_runs_of_other_hosts_are_left_open(tracked, tmp_path):
    run = tracked.start("all", tmp_path, None, {})
    run.tags({HOST: "elsewhere", PROCESS: "1@x/1"})
    assert tracked.close_stale() == []


# --- a store that goes away -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_local_store_that_breaks_in_the_middle_costs_nothing(store, tmp_path, caplog):
    database = tmp_path / "mlflow.db"
    shutil.copy(store, database)
    found = MLflowTracking(f"sqlite:///{database}", "x", None, 0.5)

    def break_it(epoch: int) -> None:
        if epoch == 2:
            shutil.copy(database, tmp_path / "whole.db")
            os.truncate(database, 100)

    run = whole_run(found, tmp_path / "run", at_epoch=break_it)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "mtl.tracking send" in warnings[0]
    assert journal.recorded(tmp_path / "run")[0].metrics["auc/main"] == 0.8
    (tmp_path / "whole.db").replace(database)
    command = [
        sys.executable,
        "-m",
        "mtl.tracking",
        "send",
        str(tmp_path / "run"),
    ]  # this process has the old file open
    assert "calls sent" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (tmp_path / "again.db").symlink_to(database)
    again = MLflowTracking(f"sqlite:///{tmp_path}/again.db", "x", None, 5)
    assert everything(again, run.id)["metrics"]["val_auc/main"] == [(1, 0.6), (2, 0.7), (3, 0.8)]
    assert again.run(run.id).status == "FINISHED"


def test_to_send_what_arrived_already_changes_nothing(tracked, tmp_path):
    run = whole_run(tracked, tmp_path)
    before = everything(tracked, run.id)
    assert send.send(tmp_path, 5, tracked.uri) == [f"{tmp_path}: nothing was missing"]
    path = tmp_path / journal.JOURNAL
    path.write_text("".join(line for line in path.read_text().splitlines(True) if '"done"' not in line))
    assert "calls sent" in send.send(tmp_path, 5, tracked.uri)[0]  # as if killed between every call and its receipt
    assert everything(tracked, run.id) == before
    assert len(tracked.runs()) == 1
    assert history(tracked, run.id) == before["metrics"]


def test_a_folder_without_a_record_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="No run is recorded"):
        send.send(tmp_path, 1)


# --- without tracking -------------------------------------------------------------------------------------------------


def test_without_tracking_the_record_is_kept_all_the_same(tmp_path):
    found = NoTracking()
    found.prepare()
    run = whole_run(found, tmp_path)
    assert run.id == ""
    assert found.runs() == []
    assert found.close_stale() == []
    assert found.where_to_look([run.id], "auc/main") == []
    assert journal.recorded(tmp_path)[0].metrics["auc/main"] == 0.8
    assert "tracking=none" in send.send(tmp_path, 1)[0]
    with pytest.raises(UserError, match="tracking=mlflow"):
        found.run("x")


def test_a_run_made_without_tracking_can_be_sent_to_a_store(tracked, tmp_path):
    whole_run(NoTracking(), tmp_path)
    assert "calls sent" in send.send(tmp_path, 5, tracked.uri)[0]
    there = MLflowTracking(tracked.uri, "mtl", None, 5)
    assert [run.metrics["auc/main"] for run in there.runs()] == [0.8]


def test_both_ways_to_track_have_one_interface():
    public = {name for name in vars(MLflowTracking) if not name.startswith("_")}
    assert public <= {name for name in vars(NoTracking) if not name.startswith("_")}


# --- where to look ----------------------------------------------------------------------------------------------------


def test_where_to_look_names_command_and_links(tracked, tmp_path):
    runs = [tracked.start(name, tmp_path / name, None, {}) for name in "ab"]
    lines = tracked.where_to_look([run.id for run in runs], "auc/main", parent=runs[0].id)
    assert lines[0] == f"mlflow ui --backend-store-uri {tracked.uri}"
    assert f"compare-runs?runs=%5B%22{runs[0].id}%22%2C%22{runs[1].id}%22%5D&experiments=%5B%22" in lines[1]
    assert "orderByKey=metrics.%60auc%2Fmain%60" in lines[2]
    assert "compareRunsMode=CHART" in lines[2]
    assert runs[0].id in lines[2]
    assert tracked.where_to_look([runs[0].id], "auc/main")[1].endswith(
        f"/runs/{runs[0].id}?workflowType=machine_learning"
    )
    assert tracked.where_to_look(["", "local-1"], "auc/main") == []


def test_of_many_runs_one_of_each_set_is_compared(tracked, tmp_path):
    tracked.start("a", tmp_path / "a", None, {})
    many = [f"x{i}" for i in range(48)]
    lines = tracked.where_to_look(many, "auc/main", one_per_set=["x0", "x24", "gone"])
    assert "compare-runs?runs=%5B%22x0%22%2C%22x24%22%5D&experiments=" in lines[1]
    assert lines[1].startswith("compare, one run of each set  http")
    assert tracked.where_to_look(many, "auc/main", one_per_set=many)[1].count("%22x") == 20
    assert not any("compare-runs" in line for line in tracked.where_to_look(many, "auc/main"))


def test_the_default_store_needs_no_flag(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(store, tmp_path / "mlflow.db")
    found = MLflowTracking("sqlite:///mlflow.db", "x", None, 5)
    run = found.start("all", tmp_path / "run", None, {})
    assert found.where_to_look([run.id], "auc/main")[0] == "mlflow ui"
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").touch()  # then the UI would take that old folder
    assert "--backend-store-uri" in found.where_to_look([run.id], "auc/main")[0]


# --- real servers and many processes ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped_server(store, tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(store, folder / "mlflow.db")
    server = Server(folder)
    yield server
    server.kill()


@pytest.fixture
def server(stopped_server) -> Server:
    if stopped_server._process is None:
        stopped_server.start()
    return stopped_server


def warnings_in(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.slow
def test_a_run_on_a_server_looks_as_one_in_a_local_store(server, tracked, tmp_path):
    found = MLflowTracking(server.uri, "whole", None, 20)
    remote = whole_run(found, tmp_path / "remote")
    local = whole_run(tracked, tmp_path / "local")
    assert everything(found, remote.id) == everything(tracked, local.id)
    assert found.download(remote.id, "figures/roc.png").read_bytes() == b"png"
    (line,) = found.where_to_look([remote.id], "auc/main")
    assert line.startswith(f"run      {server.uri}/#/experiments/{found._store.experiment_id()}/runs/{remote.id}")


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle_gets_the_rest_later(server, tmp_path, caplog):
    found, patient = (MLflowTracking(server.uri, "dies", None, seconds) for seconds in (2, PATIENT_S))
    undisturbed = everything(patient, whole_run(patient, tmp_path / "undisturbed").id)
    caplog.clear()
    began = time.monotonic()
    run = whole_run(found, tmp_path / "run", at_epoch=lambda epoch: server.kill() if epoch == 2 else None)
    assert time.monotonic() - began < 15
    assert len(warnings_in(caplog)) == 1
    assert f"`python -m mtl.tracking send {tmp_path}/run --uri {server.uri}`" in warnings_in(caplog)[0]
    with pytest.raises(UserError, match="Connection refused"):
        send.send(tmp_path / "run", 0.5, server.uri)
    server.start()
    assert patient.run(run.id).status == "RUNNING"
    for _ in range(2):
        assert __main__.main(["send", str(tmp_path), "--uri", server.uri, "--timeout", str(PATIENT_S)]) == 0
        assert everything(patient, run.id) == undisturbed
    assert len(patient.runs()) == 2


@pytest.mark.slow
def test_a_sweep_without_a_server_is_sent_later_as_a_family(server, tmp_path, caplog):
    server.kill()
    began = time.monotonic()
    found = MLflowTracking(server.uri, "family", None, 1)
    found.prepare()
    parent = found.start("sweep", tmp_path, None, {"sweep": "parent"})
    assert parent.id.startswith("local-")
    for job in range(2):
        of_job = MLflowTracking(server.uri, "family", None, 1)
        whole_run(of_job, tmp_path / str(job), parent.id)
    parent.end("FINISHED")
    assert time.monotonic() - began < 25
    assert len(warnings_in(caplog)) == 3
    assert found.where_to_look([parent.id], "auc/main") == []
    assert len([run for run in journal.recorded(tmp_path) if run.tags.get(PARENT) == parent.id]) == 2
    server.start()
    with pytest.raises(UserError, match="parent"):
        send.send(tmp_path / "0", PATIENT_S, server.uri)
    assert len(send.send(tmp_path, PATIENT_S, server.uri)) == 3
    fresh = MLflowTracking(server.uri, "family", None, PATIENT_S)
    (top,) = fresh.runs(tags={"sweep": "parent"})
    assert [run.status for run in fresh.runs(parent=top.id)] == ["FINISHED", "FINISHED"]
    assert len(fresh.runs()) == 3


@pytest.mark.slow
def test_a_server_that_hangs_costs_a_bounded_wait_and_gets_all_when_it_is_back(server, tmp_path, caplog):
    found = MLflowTracking(server.uri, "hangs", None, 2)
    found.prepare()
    run = found.start("all", tmp_path, None, {})
    server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        for epoch in range(5):
            run.metrics({"loss": 1.0}, step=epoch)
        assert time.monotonic() - began < 10
        assert len(warnings_in(caplog)) == 1
    finally:
        server.signal(signal.SIGCONT)
    run.end("FINISHED")
    assert len(warnings_in(caplog)) == 1
    assert found.run(run.id).status == "FINISHED"
    assert history(found, run.id) == {"loss": [(epoch, 1.0) for epoch in range(5)]}


@pytest.mark.slow
def test_a_server_that_is_none_is_a_mistake():
    command = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        port = process.stdout.readline().split("port ")[1].split()[0]
        with pytest.raises(UserError, match="refuses"):
            MLflowTracking(f"http://127.0.0.1:{port}", "x", None, 2).prepare()
    finally:
        process.kill()
        process.wait()


JOB = """
import sys
from pathlib import Path
from mtl.tracking import MLflowTracking
found = MLflowTracking(f"sqlite:///{sys.argv[1]}/mlflow.db", "together", None, 60)
found.prepare()
run = found.start(sys.argv[2], Path(sys.argv[1]) / sys.argv[2], None, {})
for epoch in range(20):
    run.metrics({f"m{i}": epoch for i in range(10)}, step=epoch)
run.end("FINISHED")
"""


@pytest.mark.slow
def test_parallel_processes_on_a_fresh_store_all_finish_in_one_experiment(tmp_path):
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", JOB, str(tmp_path), str(i)], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for i in range(8)
    ]
    said = [job.communicate(timeout=300)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 8
    assert said == [""] * 8
    found = MLflowTracking(f"sqlite:///{tmp_path}/mlflow.db", "together", None, 20)
    runs = found.runs()
    assert sorted(run.name for run in runs) == [str(i) for i in range(8)]
    assert {run.status for run in runs} == {"FINISHED"}
    assert all(len(history(found, run.id)["m0"]) == 20 for run in runs)


@pytest.mark.slow
def test_a_kill_while_the_store_is_made_leaves_no_half_store(tmp_path):
    code = f"import mtl.tracking as t; t.MLflowTracking('sqlite:///{tmp_path}/mlflow.db', 'x', None, 60).prepare()"
    half = tmp_path / "mlflow.db.new"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while process.poll() is None and not (half.exists() and half.stat().st_size > 50_000):
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert half.exists()
    assert not (tmp_path / "mlflow.db").exists()
    found = MLflowTracking(f"sqlite:///{tmp_path}/mlflow.db", "x", None, 60)
    found.prepare()
    assert found.runs() == []
    assert not half.exists()


def test_a_store_whose_writer_was_killed_within_a_transaction_is_whole(tmp_path):
    from mtl.tracking.database import create_database

    database = tmp_path / "mlflow.db"
    program = (
        "import os, signal, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('create table alembic_version (version_num)');"
        "c.execute(\"insert into alembic_version values ('1')\"); c.execute('create table t (x)');"
        "c.execute('pragma cache_size = 5'); c.execute('begin immediate');"
        "c.executemany('insert into t values (?)', [('x' * 1000,)] * 3000); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(database)], check=False)
    assert database.with_name("mlflow.db-journal").stat().st_size
    create_database(database, str(tmp_path))
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select count(*) from t").fetchone() == (0,)
