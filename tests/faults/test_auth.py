"""A tracking server that asks who is there, as the README starts it."""

from __future__ import annotations

import subprocess

import pytest
import requests
from conftest import BARE, call
from mlflow_server import Server

from mtl.errors import UserError
from mtl.tracking.journal import JOURNAL, Journal

pytest.importorskip("flask_wtf", reason='needs `pip install "mlflow[auth]"`')

ADMIN = ("admin", "admin-password-1")
PASSWORDS = {"clerk": "clerk-password-1", "reader": "reader-password-1"}
TIMEOUT_S = 60.0  # to check a password takes the server long on a busy machine


def as_user(user: str, password: str) -> dict[str, str]:
    return {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password, "MLFLOW_TRACKING_TOKEN": ""}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose experiment `mtl` belongs to the clerk; all others may only read it."""
    started = Server(
        tmp_path_factory.mktemp("server"),
        ["--host", "127.0.0.1", "--app-name", "basic-auth"],
        MLFLOW_AUTH_ADMIN_USERNAME=ADMIN[0],
        MLFLOW_AUTH_ADMIN_PASSWORD=ADMIN[1],
        MLFLOW_FLASK_SERVER_SECRET_KEY="a secret of these tests",
    )
    started.start()
    api = f"{started.uri}/api/2.0/mlflow"
    for user, password in PASSWORDS.items():
        answer = requests.post(f"{api}/users/create", {}, {"username": user, "password": password}, auth=ADMIN)
        answer.raise_for_status()
    owner = ("clerk", PASSWORDS["clerk"])
    requests.post(f"{api}/experiments/create", {}, {"name": "mtl"}, auth=owner).raise_for_status()
    yield started
    started.kill()


def tracking(server, monkeypatch, user: str, password: str):
    from mtl.tracking.mlflow_tracking import MLflowTracking

    for name, value in as_user(user, password).items():
        monkeypatch.setenv(name, value)
    return MLflowTracking(server.uri, "mtl", None, TIMEOUT_S)


def typed(server, folder, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    store = ("tracking=server", f"tracking.uri={server.uri}", f"tracking.timeout_s={TIMEOUT_S}")
    return call(folder, "tasks=anomaly", *BARE, *store, *words, **environment)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_right_user_gets_everything_there_and_leaves_no_password(tmp_path, server, monkeypatch):
    done = typed(server, tmp_path, "hydra.run.dir=outputs/one", **as_user("clerk", PASSWORDS["clerk"]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cannot be had" not in done.stderr
    record = Journal(tmp_path / "outputs" / "one" / JOURNAL)
    assert not record.pending
    found = tracking(server, monkeypatch, "clerk", PASSWORDS["clerk"])
    run = found.run(record.run_id)
    assert run.status == "FINISHED"
    assert {name for entry in record.entries for name in entry.get("metrics", {})} <= set(run.metrics)
    history = (tmp_path / "outputs" / "one" / "artifacts" / "history.csv").read_bytes()
    assert found.download(run.id, "history.csv").read_bytes() == history
    secret = PASSWORDS["clerk"].encode()
    assert secret not in (done.stdout + done.stderr).encode()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("-m", "seed=1,2")], ids=["run", "sweep"])
@pytest.mark.parametrize(
    ("user", "password", "said"),
    [
        ("clerk", "a-wrong-password", "it knows no user 'clerk' with this password"),
        ("", "", "it asks for a user and a password, and none was given"),
        ("clerk", "", "it asks for a user and a password, and only MLFLOW_TRACKING_USERNAME is set"),
        ("reader", PASSWORDS["reader"], "user 'reader' may not do this in experiment 'mtl'"),
    ],
    ids=["wrong", "none", "half", "reader"],
)
def test_whoever_may_not_is_told_in_one_line_before_any_features(tmp_path, server, words, user, password, said):
    done = typed(server, tmp_path, *words, **as_user(user, password))
    (line,) = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 1
    assert line.startswith(f"MLflow at {server.uri} refuses: {said}; right would be ")
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in line
    assert not password or password not in line
    assert not (tmp_path / ".cache" / "features").exists()
    assert not list(tmp_path.rglob("tracking*.jsonl"))  # nothing that a later `send` would bring over empty


@pytest.mark.slow
@pytest.mark.parametrize(("user", "password"), [("reader", PASSWORDS["reader"]), ("clerk", "a-wrong-password")])
def test_a_user_turned_away_in_the_middle_loses_nothing(tmp_path, server, monkeypatch, caplog, user, password):
    from mtl.tracking.send import send

    right = ("clerk", PASSWORDS["clerk"])
    run = tracking(server, monkeypatch, *right).start("turned away", tmp_path / "one", None, {})
    run.metrics({"loss": 1.0}, step=0)
    tracking(server, monkeypatch, user, password)
    run.metrics({"loss": 2.0}, step=1)
    (tmp_path / "one" / "files").mkdir()
    (tmp_path / "one" / "files" / "name.txt").write_text("content")
    run.artifacts(tmp_path / "one" / "files")
    run.end("FINISHED")
    (warning,) = caplog.messages
    assert f"'{user}'" in warning
    assert "right would be" in warning
    assert "python -m mtl.tracking send" in warning
    with pytest.raises(UserError, match=f"{server.uri}.*'{user}'.*MLFLOW_TRACKING_PASSWORD"):
        send(tmp_path, TIMEOUT_S, server.uri)

    found = tracking(server, monkeypatch, *right)
    send(tmp_path, TIMEOUT_S, server.uri)
    sent = found.run(run.id)
    assert (sent.status, sent.metrics["loss"]) == ("FINISHED", 2.0)
    assert found.download(run.id, "name.txt").read_text() == "content"


@pytest.mark.slow
def test_files_that_a_reader_may_not_upload_are_sent_later(tmp_path, server, monkeypatch, caplog):
    from mtl.tracking.send import send

    right = ("clerk", PASSWORDS["clerk"])
    run = tracking(server, monkeypatch, *right).start("files", tmp_path / "one", None, {})
    (tmp_path / "one" / "files").mkdir()
    (tmp_path / "one" / "files" / "name.txt").write_text("content")
    tracking(server, monkeypatch, "reader", PASSWORDS["reader"])
    run.artifacts(tmp_path / "one" / "files")
    (warning,) = caplog.messages
    assert "user 'reader' may not do this in experiment 'mtl'" in warning
    found = tracking(server, monkeypatch, *right)
    run.end("FINISHED")
    assert found.download(run.id, "name.txt").read_text() == "content"
    assert "nothing was missing" in send(tmp_path, TIMEOUT_S, server.uri)[0]
