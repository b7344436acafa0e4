"""The README's Ray commands, on a cluster of two nodes that runs already, with a real server and shared features."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import BARE, ROOT, call
from mlflow_server import Server

from mtl.config.explain import RAY_TOKEN, explain

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason='Ray is not installed: `pip install -e ".[ray]"`'
    ),
]
TOKEN = "0123456789abcdef" * 4
SMALL = (*BARE, "training.epochs=1")
ENVIRONMENT = {"RAY_AUTH_MODE": "disabled"}


def readme_words() -> list[str]:
    """The README's command for a cluster that runs already."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("python run.py") and "hydra/launcher=ray" in line]
    return shlex.split(line)[2:]


@contextmanager
def cluster(**environment: str) -> Iterator[str]:
    """Address of a running cluster; its files lie under a short name, as the paths of sockets must be short."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/sweep/ray_cluster.py"), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / "errors").open("wb"),
        env=os.environ | environment,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    address = next((line.strip() for line in process.stdout if re.fullmatch(r"[\d.]+:\d+", line.strip())), "")
    try:
        assert address, (folder / "errors").read_text()
        yield address
    finally:
        process.stdin.close()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster(**ENVIRONMENT) as found:
        yield found


@pytest.mark.tensorflow
def test_the_readmes_command_does_a_whole_sweep_on_a_cluster_that_runs_already(tmp_path, address):
    shared, typed = tmp_path / "shared", tmp_path / "typed"
    shared.mkdir()
    typed.mkdir()
    server = Server(shared)
    server.start()
    try:
        words = [
            word.replace("/shared", str(shared)).replace("http://HOST:5000", server.uri) for word in readme_words()
        ]
        words = [word for word in words if not word.startswith("data")]  # the demo instead
        small = [*SMALL, "tasks=anomaly,anomaly_random", "seed=0", f"data.root={shared}/demo"]
        done = call(typed, *words, *small, RAY_ADDRESS=address, **ENVIRONMENT)
        assert done.returncode == 0, done.stdout + done.stderr
        found = runs_of(server)
        (parent,) = [run for run in found if run.tags.get("sweep") == "parent"]
        jobs = [run for run in found if run is not parent]
        assert [run.status for run in found] == ["FINISHED"] * 3
        assert {run.tags["tasks"] for run in jobs} == {"anomaly", "anomaly_random"}
        assert {run.tags["mlflow.parentRunId"] for run in jobs} == {parent.id}
        assert all("auc/general_anomaly" in run.metrics for run in jobs)
        assert (shared / "sweeps/first/summary/summary.html").is_file()
        # one store of features, computed once, and nothing of the sweep beside the shared disk
        assert len(list((shared / "features").glob("*/manifest.jsonl"))) == 1
        assert [path.name for path in typed.iterdir()] == []

        again = call(typed, *words, *small, RAY_ADDRESS=address, **ENVIRONMENT)
        assert again.returncode == 0, again.stdout + again.stderr
        assert "2 of 2 jobs were done already" in again.stdout
    finally:
        server.kill()


def runs_of(server: Server) -> list:
    from mtl.tracking.mlflow_tracking import MLflowTracking

    return MLflowTracking(server.uri, "mtl", None, timeout_s=20.0).runs()


def test_a_cluster_that_asks_for_a_token_is_one_line(tmp_path):
    with cluster(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN) as guarded:
        words = [f"hydra.launcher.ray.init.address={guarded}", "hydra/launcher=ray", "tracking=none", *SMALL]
        done = call(tmp_path, "-m", "tasks=anomaly", *words, **ENVIRONMENT)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert RAY_TOKEN in done.stderr.splitlines()[-1]


def test_no_token_where_one_is_asked_for_is_one_line(tmp_path):
    from ray.exceptions import AuthenticationError

    said = explain(AuthenticationError("Token authentication is enabled but no authentication token was found"))
    assert said == f"Token authentication is enabled but no authentication token was found. {RAY_TOKEN}"


def test_an_address_where_nobody_answers_is_one_line_before_the_sweep(tmp_path):
    done = call(
        tmp_path, "-m", "tasks=anomaly", "hydra/launcher=ray", "hydra.launcher.ray.init.address=127.0.0.1:1", *SMALL
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "hydra.launcher.ray.init.address=127.0.0.1:1: nobody answers there" in line
    assert not (tmp_path / "mlflow.db").exists()
