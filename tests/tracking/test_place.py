"""Where artifacts go is fixed when an experiment is made: another wish is refused, the same one is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import BARE, call
from mlflow_server import Server

from mtl.errors import UserError
from mtl.tracking import place


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def store(artifacts: str | None, experiment: str = "mtl", uri: str = "sqlite:///mlflow.db"):
    from mtl.tracking.mlflow_tracking import MLflowTracking

    made = MLflowTracking(uri, experiment, artifacts, 20.0)
    made.prepare()
    return made


def run(tracking, name: str) -> str:
    """The id of a run of one artifact."""
    files = Path("outputs") / name / "files"
    files.mkdir(parents=True)
    (files / "name.txt").write_text(name)
    run = tracking.start(name, files.parent, None, {})
    run.artifacts(files)
    run.end("FINISHED")
    return run.id


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("place", "file:///work/place"),
        ("/data/place", "file:///data/place"),
        ("file:/data/place", "file:/data/place"),
        ("s3://bucket/place", "s3://bucket/place"),
        ("mlflow-artifacts:/1", "mlflow-artifacts:/1"),
        ("one:two", "file:///work/one%3Atwo"),
    ],
)
def test_a_folder_is_made_absolute_and_an_address_stays(typed, address, folder):
    assert place.absolute(typed) == address.replace("/work", str(folder))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("file:///data/a%20b", "/data/a b/", True),
        ("file:///data/x/../a", "file://localhost/data/a", True),
        ("s3://bucket/a/", "s3://bucket/a", True),
        ("s3://bucket/a", "s3://bucket/b", False),
        ("s3://bucket/a", "file:///bucket/a", False),
        ("mlflow-artifacts:/1", "/1", False),
    ],
)
def test_one_place_has_many_spellings(one, other, same):
    assert place.is_same(one, other) is same


@pytest.mark.slow
def test_another_place_than_the_experiments_own_is_refused_in_one_line(folder):
    store("one")
    with pytest.raises(UserError) as caught:
        store("two")
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"Experiment 'mtl' has its artifacts in {folder}/one, not in {folder}/two as tracking.art")
    assert line.endswith("Right would be to leave tracking.artifacts out, or another tracking.experiment.")
    store("two", "another")
    store("one", "usual")
    with pytest.raises(UserError, match="has its artifacts in .*/one, not in .*/mlartifacts"):
        store("mlartifacts")


@pytest.mark.slow
def test_the_same_place_in_any_spelling_goes_on(folder, caplog):
    (folder / "link").symlink_to(folder, target_is_directory=True)
    store("a place")
    spelled = ["a place", "./a place/", f"{folder}/a place", (folder / "a place").as_uri(), f"file:{folder}/a%20place"]
    for same in [*spelled, "link/a place"]:
        store(same)
    assert not caplog.records


@pytest.mark.slow
def test_mlflows_own_first_experiment_takes_the_place_asked_for(folder):
    for _ in range(2):
        run_id = run(store("one", "Default"), f"run {len(list(Path().glob('outputs/*')))}")
        assert list(folder.glob(f"one/**/{run_id}/artifacts/name.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("bring", [shutil.move, shutil.copytree], ids=["moved", "copied"])
def test_a_work_folder_that_was_moved_goes_on_with_the_same_words(folder, monkeypatch, caplog, bring):
    first = run(store("place"), "first")
    new = folder.with_name("new")
    monkeypatch.chdir(folder.parent)
    bring(folder, new)
    monkeypatch.chdir(new)
    tracking = store("place")
    assert f"had its artifacts in {folder}/place before: they are now in {new}/place" in caplog.text
    second = run(tracking, "second")
    assert (new / "place" / second).is_dir()
    assert not (folder / "place" / second).exists()
    assert {tracking.download(each, "name.txt").read_text() for each in (first, second)} == {"first", "second"}
    assert str(new) in str(tracking.download(first, "name.txt"))
    caplog.clear()
    store("place")
    assert not caplog.records


@pytest.mark.slow
def test_a_server_says_it_too_and_the_same_words_go_on(folder, tmp_path):
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server")
    server.start()
    try:
        for _ in range(2):
            store("mlflow-artifacts:/chosen", "chosen", server.uri)
        store(None, "mtl", server.uri)
        with pytest.raises(UserError, match=r"'mtl' has its artifacts in mlflow-artifacts:/\d+, not in s3://bucket"):
            store("s3://bucket", "mtl", server.uri)
    finally:
        server.kill()


@pytest.mark.slow
def test_where_the_store_answers_only_at_the_end_the_other_place_is_said(folder, caplog):
    from mtl.tracking.mlflow_tracking import MLflowTracking

    store("one")
    away = MLflowTracking("sqlite:///mlflow.db", "mtl", "two", 20.0)
    away._down = "it was away when the run began"
    run_id = run(away, "late")
    assert (folder / "one" / run_id / "artifacts" / "name.txt").is_file()
    assert [line for line in caplog.messages if f"{folder}/one, not in {folder}/two" in line]


@pytest.mark.slow
def test_a_run_and_a_sweep_are_refused_before_any_data(folder):
    store("one")
    for words in ((), ("-m", "seed=1,2")):
        done = call(folder, "tasks=anomaly", *BARE, "tracking.artifacts=two", *words)
        (line,) = (done.stdout + done.stderr).splitlines()
        assert done.returncode == 1
        assert line.startswith(f"Experiment 'mtl' has its artifacts in {folder}/one, not in {folder}/two")
        assert not (folder / ".cache").exists()
        assert not list(folder.rglob("tracking*.jsonl"))
