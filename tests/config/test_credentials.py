"""A password on the command line, in a config or in an error is written nowhere."""

from __future__ import annotations

import json
import logging
import os

import pytest
from conftest import BARE, call
from omegaconf import OmegaConf

from mtl.config.credentials import check_credentials, taken_out
from mtl.errors import UserError
from mtl.masking import MaskedFormatter, masked
from mtl.tracking.address import absolute_uri
from mtl.tracking.journal import Journal


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MTL_TRACKING_URI"):
        monkeypatch.setenv(name, "")  # so that it is as it was afterwards


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("http://ann:pass@host:5000/x", "http://ann:***@host:5000/x"),
        ("http://token@host", "http://***@host"),
        ("postgresql://ann:a/b@c@host/db?sslmode=on", "postgresql://ann:***@host/db?sslmode=on"),
        ("postgresql://host/db?user=ann&password=p&x=1", "postgresql://host/db?user=ann&password=***&x=1"),
        ("at 'http://h/?api_key=k' it fails", "at 'http://h/?api_key=***' it fails"),
        ("http://h/#/x?orderByKey=metrics.auc&author=a", "http://h/#/x?orderByKey=metrics.auc&author=a"),
        ("http://h/x and a@b.c, sqlite:///a.db", "http://h/x and a@b.c, sqlite:///a.db"),
    ],
)
def test_a_text_is_shown_without_what_is_secret(text, right):
    assert masked(text) == right
    assert masked(right) == right


def test_what_a_variable_holds_is_masked_wherever_a_server_repeats_it(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a/b c d")
    monkeypatch.setenv("MTL_TRACKING_URI", "postgresql://ann:p%40ss@host/db")
    assert masked("wrong: a/b c d, a%2Fb%20c%20d, p@ss") == "wrong: ***, ***, ***"


def test_records_and_log_lines_are_masked(tmp_path):
    record = Journal(tmp_path / "tracking.jsonl")
    record.add("tags", tags={"failure": "no http://ann:secret@h"}, words=["x=http://secret@h"])
    assert "secret" not in (tmp_path / "tracking.jsonl").read_text() + json.dumps(record.entries)
    line = logging.LogRecord("x", 30, "", 0, "no %s", ("http://ann:secret@h",), None)
    assert MaskedFormatter("%(message)s").format(line) == "no http://ann:***@h"


def test_a_servers_password_goes_to_the_variables_of_mlflow():
    words, lines = taken_out(["seed=1", "tracking.uri='http://ann:a/b%40@host:5000'"])
    assert words == ["seed=1", "tracking.uri=http://host:5000"]
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "ann"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "a/b@"
    assert len(lines) == 1
    assert "a/b" not in lines[0]


def test_a_databases_address_goes_to_a_variable_as_a_whole():
    words, _ = taken_out(["tracking.uri=postgresql://ann:secret@host/db"])
    assert words == ["tracking.uri=env:MTL_TRACKING_URI"]
    assert absolute_uri("env:MTL_TRACKING_URI") == ("postgresql://ann:secret@host/db", None)


@pytest.mark.parametrize(
    "word",
    ["tracking.uri=http://h/?token=secret", "tracking.artifacts=s3://a:secret@b", "tracking.uri=http://a:secret@b,c"],
)
def test_a_password_that_has_no_place_to_go_is_refused(word):
    with pytest.raises(UserError, match="right would be") as caught:
        taken_out([word])
    assert "secret" not in str(caught.value)


def test_a_config_that_spells_a_password_out_is_refused():
    with pytest.raises(UserError, match=r"'http://ann:\*\*\*@h' holds a password; right would be MLFLOW_TRACK"):
        check_credentials(OmegaConf.create({"tracking": {"uri": "http://ann:secret@h", "artifacts": None}}))


# whether a database's driver is installed decides whether the run begins; a server needs none
@pytest.mark.slow
@pytest.mark.parametrize("kind", [[], ["-m"]])
@pytest.mark.parametrize(
    ("uri", "codes"),
    [
        ("http://ann:t0p-s3cret@127.0.0.1:9", (0,)),
        ("postgresql://ann:t0p/s3cret@127.0.0.1:9/db?password=t0p-s3cret", (0, 1)),
    ],
    ids=["server", "database"],
)
def test_no_file_of_a_run_holds_a_password(tmp_path, kind, uri, codes):
    done = call(tmp_path, *kind, *BARE, "tasks=anomaly", f"tracking.uri='{uri}'", "tracking.timeout_s=1")
    assert done.returncode in codes, done.stderr
    assert "the password is kept for this process alone" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert holding == []
