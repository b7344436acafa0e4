"""A file system that cannot lock: said in one line, never waited for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import BARE, ROOT, call
from provoked import NO_LOCKS, with_fault

SAID = "cannot lock files"


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_run_says_it_in_one_line_and_does_without_on_demand(tmp_path):
    fault = with_fault(tmp_path / "fault", NO_LOCKS)
    words = ["tasks=anomaly", "tracking=none", *BARE, "training.epochs=1"]
    done = call(tmp_path, *words, **fault)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert SAID in done.stderr.splitlines()[-1]
    assert "features.max_gib=1e-9" in done.stderr.splitlines()[-1]
    without = call(tmp_path, *words, "features.max_gib=1e-9", "freeze=none", "training.checkpoint.seconds=0", **fault)
    assert without.returncode == 0, without.stdout + without.stderr
    assert f"{SAID}: the sizes of the frames are not kept" in without.stdout + without.stderr
    assert "No checkpoint is kept" in without.stdout + without.stderr


@pytest.mark.slow
def test_lists_of_features_and_extractions_say_it_too(tmp_path):
    fault = with_fault(tmp_path / "fault", NO_LOCKS)
    store = tmp_path / "features" / "k"
    store.mkdir(parents=True)
    (store / "spec.json").write_text("{}")
    (store / "lock").touch()
    (tmp_path / "videos" / "Abuse").mkdir(parents=True)
    (tmp_path / "videos" / "Abuse" / "Abuse001_x264.mp4").write_bytes(b"no video")
    for words, code in (
        (["mtl.features", "list", "--dir", str(tmp_path / "features")], 0),
        (["mtl.extract_frames", str(tmp_path / "videos"), str(tmp_path / "out")], 1),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, env=os.environ | fault, capture_output=True, text=True,
            check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert (SAID in done.stdout + done.stderr) == (code == 1)


@pytest.mark.slow
def test_jobs_that_wait_for_their_turn_do_not_wait_for_ever(tmp_path):
    fault = with_fault(tmp_path / "fault", NO_LOCKS)
    code = (
        "from mtl.job.context import SweepContext, turn\n"
        f"with turn(SweepContext('', {str(tmp_path)!r}, slots=1)): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | fault, capture_output=True, text=True, check=False, timeout=600
    )
    assert SAID in done.stderr.splitlines()[-1]
