"""A work folder that was moved or copied keeps its artifacts, and nothing is written to the old one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, slow
from mlflow.tracking._tracking_service import utils

from mtl.errors import UserError
from mtl.load_run import _store_of
from mtl.tracking import __main__, journal, send
from mtl.tracking.beside import elsewhere, move
from mtl.tracking.mlflow_tracking import SAID, MLflowTracking


@pytest.fixture(scope="module")
def worked_in(tmp_path_factory) -> Path:
    """A work folder with a finished run; tests copy it, under its own name it is never opened again."""
    folder = tmp_path_factory.mktemp("work") / "m1"
    run(store(folder), folder)
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> MLflowTracking:
    """A store that stays where it is, for tests of what is sent: to make one takes seconds."""
    return store(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def moved(worked_in, tmp_path, monkeypatch) -> Path:
    """The same under another name; where it was there is nothing."""
    monkeypatch.delenv(SAID, raising=False)
    old = worked_in.with_name("gone")
    worked_in.rename(old)
    shutil.copytree(old, tmp_path / "m2")
    yield tmp_path / "m2"
    assert not worked_in.exists()
    old.rename(worked_in)


@pytest.fixture
def copied(worked_in, tmp_path, monkeypatch) -> Path:
    """A copy; the old one is still there, and must stay as it was."""
    monkeypatch.delenv(SAID, raising=False)
    before = content(worked_in)
    shutil.copytree(worked_in, tmp_path / "m2")
    yield tmp_path / "m2"
    assert content(worked_in) == before


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def store(folder: Path, artifacts: str | None = None) -> MLflowTracking:
    found = MLflowTracking(f"sqlite:///{folder}/mlflow.db", "mtl", artifacts, 20)
    found.prepare()
    return found


def run(found: MLflowTracking, folder: Path, name: str = "first", status: str | None = "FINISHED") -> str:
    """A run with an artifact that says its name."""
    tracked = found.start(name, folder / "outputs" / name, None, {"fingerprint": name})
    artifacts = folder / "outputs" / name / "artifacts"
    artifacts.mkdir(exist_ok=True)
    (artifacts / "name.txt").write_text(name)
    tracked.artifacts(artifacts)
    if status:
        tracked.end(status)
    return tracked.id


def uris(found: MLflowTracking) -> set[str]:
    """What MLflow itself says, to its page too."""
    experiments = found._store.client.search_experiments()
    runs = found._store.client.search_runs([each.experiment_id for each in experiments])
    return {each.artifact_location for each in experiments} | {each.info.artifact_uri for each in runs}


@pytest.mark.parametrize("how", ["moved", *slow("copied")])
def test_artifacts_are_read_and_written_in_the_new_place_and_one_line_says_so(how, request, caplog):
    folder = request.getfixturevalue(how)
    found = store(folder)
    assert "its artifacts are now in" in caplog.text
    assert len(caplog.records) == 1
    second = run(found, folder, "second")
    names = {found.download(each.id, "name.txt").read_text() for each in found.runs()}
    assert names == {"first", "second"}
    assert all(uri.startswith((folder / "mlartifacts").as_uri()) for uri in uris(found))
    assert (folder / "mlartifacts" / second / "artifacts" / "name.txt").exists()
    caplog.clear()
    store(folder)
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.parametrize("how", ["moved", "copied"])
def test_what_only_reads_finds_them_too_and_writes_nothing(how, request):
    folder = request.getfixturevalue(how)
    database = (folder / "mlflow.db").read_bytes()
    found = MLflowTracking(f"sqlite:///{folder}/mlflow.db", "mtl", None, 20)
    (first,) = found.runs()
    assert found.download(first.id, "name.txt").is_relative_to(folder)
    assert found.download(first.id, "name.txt", folder / "to").read_text() == "first"
    assert _store_of(folder / "outputs" / "first").uri == found.uri
    assert (folder / "mlflow.db").read_bytes() == database


@pytest.mark.slow
def test_a_killed_run_is_taken_up_again_in_the_new_place(tmp_path):
    run(store(tmp_path / "a"), tmp_path / "a", status="KILLED")
    (tmp_path / "a").rename(tmp_path / "b")
    utils._artifact_repos_cache.clear()  # as in another process
    found = store(tmp_path / "b")
    (before,) = found.runs()
    assert run(found, tmp_path / "b") == before.id
    assert send.send(tmp_path / "b", 20) == [f"{tmp_path}/b/outputs/first: nothing was missing"]
    assert not (tmp_path / "a").exists()


def test_a_record_of_before_finds_its_store_where_the_old_place_is_gone(moved):
    path = moved / "outputs" / "first" / journal.JOURNAL
    start, *rest = path.read_text().splitlines(True)
    assert '"database"' in start
    path.write_text("".join([start.replace('"database"', '"unknown"'), *rest]))
    assert journal.Journal(path).store_uri() == f"sqlite:///{moved}/mlflow.db"


@pytest.mark.slow
def test_a_database_that_came_alone_says_where_it_writes_and_the_command_brings_all(worked_in, tmp_path, monkeypatch):
    monkeypatch.delenv(SAID, raising=False)
    folder = tmp_path / "m2"
    folder.mkdir()
    shutil.copy(worked_in / "mlflow.db", folder)
    said = elsewhere(folder / "mlflow.db", "mtl")
    assert f"Experiment 'mtl' has its artifacts in {worked_in}/mlartifacts, not beside {folder}/mlflow.db" in said
    command = said.split("`")[1].split()
    assert command[:4] == ["python", "-m", "mtl.tracking", "move"]
    before = content(worked_in)
    done = subprocess.run([sys.executable, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "The artifacts of 1 run were copied" in done.stdout
    found = store(folder)
    run(found, folder, "second")
    assert {found.download(each.id, "name.txt").read_text() for each in found.runs()} == {"first", "second"}
    assert all(uri.startswith((folder / "mlartifacts").as_uri()) for uri in uris(found))
    assert content(worked_in) == before
    assert move(folder / "mlflow.db") == [f"All artifacts of {folder}/mlflow.db are beside it already."]


@pytest.mark.slow
def test_a_place_that_was_chosen_is_kept_and_nothing_is_said(tmp_path, caplog):
    chosen = str(tmp_path / "large" / "mlartifacts")
    run(store(tmp_path / "a", chosen), tmp_path / "a")
    again = store(tmp_path / "a", chosen)
    second = run(again, tmp_path / "a", "second")
    assert not caplog.records
    assert (tmp_path / "large" / "mlartifacts" / second).is_dir()
    store(tmp_path / "a")
    assert f"tracking.artifacts={chosen} says that the place is meant" in caplog.text


@pytest.mark.slow
def test_a_folder_that_is_reached_by_a_link_was_not_moved(tmp_path, caplog):
    run(store(tmp_path / "a"), tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    store(tmp_path / "link")
    assert not caplog.records


def test_a_server_or_a_store_that_is_not_there_cannot_be_moved(tmp_path, capsys):
    assert __main__.main(["move", "--uri", "http://127.0.0.1:1"]) == 1
    assert "no local database" in capsys.readouterr().out
    with pytest.raises(UserError, match="There is no MLflow store"):
        move(tmp_path / "mlflow.db")


# --- what a record of someone else's making may do --------------------------------------------------------------------


def test_a_record_chooses_no_store(shared, tmp_path):
    """The folder names a database elsewhere: it is shown, and nothing is sent before it was asked for."""
    run(shared, tmp_path / "work")
    record = tmp_path / "work" / "outputs" / "first"
    path = record / journal.JOURNAL
    path.write_text("".join(line for line in path.read_text().splitlines(True) if '"done"' not in line))
    with pytest.raises(UserError, match=r"names the store sqlite:.*nothing was sent\. If it is yours: --uri sqlite:"):
        send.send(record, 5)
    assert "calls sent" in send.send(record, 5, shared.uri)[0]


@pytest.mark.slow
def test_a_record_chooses_no_place_for_artifacts(tmp_path):
    run(store(tmp_path, str(tmp_path / "place")), tmp_path)
    with pytest.raises(UserError, match=r"names the place file://.*/place for artifacts; nothing was sent"):
        send.send(tmp_path, 5)
    assert "nothing was missing" in send.send(tmp_path, 5, artifacts=str(tmp_path / "place"))[0]


@pytest.mark.parametrize("kind", ["above", "linked file", *slow("absolute", "linked folder")])
def test_only_what_lies_below_a_runs_folder_is_sent(shared, tmp_path, caplog, kind):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("do not send")
    started = shared.start("all", tmp_path / "work" / "run", None, {})
    artifacts = tmp_path / "work" / "run" / "artifacts"
    artifacts.mkdir()
    names = {"absolute": str(secret), "above": "../../secret", "linked folder": "linked", "linked file": "artifacts"}
    (tmp_path / "work" / "run" / "linked").symlink_to(secret)
    if kind == "linked file":
        (artifacts / "model.json").symlink_to(secret / "key.txt")
    started._journal.add("artifacts", folder=names[kind], under="")
    started.end("FINISHED")
    assert shared.run(started.id).status == "FINISHED"
    assert shared._store.client.list_artifacts(started.id) == []
    assert "Not sent: artifacts" in caplog.text
    assert ("leads out of" if kind in ("absolute", "above") else "is a link") in caplog.text


@pytest.mark.slow
def test_an_artifact_that_is_a_link_is_not_read(tmp_path):
    (tmp_path / "secret.txt").write_text("do not copy")
    found = store(tmp_path / "work")
    first = run(found, tmp_path / "work")
    (tmp_path / "work" / "mlartifacts" / first / "artifacts" / "model.json").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(UserError, match="is a link"):
        found.download(first, "model.json")
    with pytest.raises(UserError, match="leads out of"):
        found.download(first, "../../../../secret.txt", tmp_path / "to")
