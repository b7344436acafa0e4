"""A disk that fills while features, results or artifacts are written: one line, nothing half, and it goes on."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BARE, ROOT, call, tracking_of
from provoked import AT_STEP, with_fault

from mtl.errors import UserError
from mtl.files import free_bytes, publish, whole_files
from mtl.tracking.journal import JOURNAL, Journal

RUN = (*BARE, "tasks=anomaly")
FILLER = "filler"
HALF = 204_800  # bytes; a run leaves some 450,000, of which the weights are 266,244


@pytest.fixture
def disk(tmp_path):
    """A disk of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=0", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a disk of a limited size cannot be made here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the runs of this file are typed: they share frames, features and a store."""
    return tmp_path_factory.mktemp("work")


def fill(disk: Path, free: int) -> None:
    """Leave so many bytes free, about."""
    with (disk / FILLER).open("ab") as file:
        file.write(b"\0" * max(0, free_bytes(disk) - free))


def make_room(disk: Path) -> None:
    (disk / FILLER).unlink()


def half_written(disk: Path) -> list[Path]:
    files = [path for path in disk.rglob("*") if path.is_file()]
    return [path for path in files if ".writing-" in str(path) or not path.stat().st_size]


def last_line(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert "Logging error" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_group_of_files_is_there_or_is_not(disk):
    artifacts = disk / "run" / "artifacts"
    with whole_files(artifacts, 0, "Make room.") as new:
        publish(new / "predictions.parquet", b"whole")
    fill(disk, 50_000)
    with pytest.raises(UserError, match=r"No room in .*run/artifacts: 60,000 bytes needed, \d+,\d+ free. Make room."):
        write(artifacts, 60_000)
    said = r"No room in .*artifacts \(No space left on device\): more than (\d+,\d+) bytes needed, \1 free. Make room."
    with pytest.raises(UserError, match=said):
        write(artifacts, 0)
    assert [path.name for path in (disk / "run").rglob("*") if path.is_file()] == ["predictions.parquet"]
    assert [path.name for path in (disk / "run").iterdir()] == ["artifacts"]


def write(artifacts: Path, said: int) -> None:
    """Files of 60,000 bytes."""
    with whole_files(artifacts, said, "Make room.") as new:
        (new / "tables").mkdir()
        (new / "tables" / "scores.csv").write_bytes(b"0" * 30_000)
        (new / "figure.png").write_bytes(b"0" * 30_000)


def test_a_record_has_no_half_line_and_is_closed_without_room(disk):
    record = Journal(disk / JOURNAL)
    record.add("start", key="a" * 32, name="run", parent=None, tags={})
    fill(disk, 0)
    with pytest.raises(UserError, match=r"No room in .* \(No space left on device\): 10,0\d\d bytes needed, 0 free."):
        record.add("tags", tags={"note": "x" * 10_000})
    record.is_closing = True
    record.add("end", status="FAILED", note="x" * 10_000)
    assert record.status == "FAILED"
    make_room(disk)
    assert [entry["call"] for entry in Journal(disk / JOURNAL).entries] == ["start"]


@pytest.mark.tensorflow
@pytest.mark.slow
def test_full_while_features_are_written(disk, folder):
    fill(disk, 20_000)
    words = (*RUN, f"features.dir={disk / 'features'}", "tracking.experiment=features")
    said = last_line(call(folder, *words))
    assert said.startswith(f"No room in {disk / 'features'}")
    assert "179,520 bytes needed" in said
    assert "Make room (python -m mtl.features prune)" in said
    assert not list(disk.rglob("*.npy"))
    assert not half_written(disk)
    (run,) = tracking_of(folder, "features").runs()
    assert (run.status, run.tags["failure"]) == ("FAILED", said)
    make_room(disk)
    again = call(folder, *words)
    assert again.returncode == 0, again.stderr
    assert len(tracking_of(folder, "features").runs(status="FINISHED")) == 1


@pytest.mark.tensorflow
@pytest.mark.slow
def test_full_before_the_training_for_what_it_will_leave(disk, folder):
    fill(disk, HALF)
    said = last_line(call(folder, *RUN, f"hydra.run.dir={disk / 'run'}", "tracking.experiment=before"))
    assert said.startswith(f"No room in {disk / 'run' / 'artifacts'}: 266,244 bytes needed, ")
    assert said.endswith("to another disk; then the same command again.")
    (run,) = tracking_of(folder, "before").runs()
    assert (run.status, run.tags["failure"]) == ("FAILED", said)
    assert "val_auc/general_anomaly" not in run.metrics


@pytest.mark.tensorflow
@pytest.mark.slow
def test_full_while_the_results_are_written(disk, folder, tmp_path):
    words = (*RUN, f"hydra.run.dir={disk / 'run'}", "tracking.experiment=results")
    word, answer = tmp_path / "word", tmp_path / "answer"
    fault = with_fault(tmp_path / "fault", AT_STEP.format(step=2, word=str(word), answer=str(answer)))
    command = [sys.executable, str(ROOT / "run.py"), *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=os.environ | fault, **pipes) as process:
        while not word.exists() and process.poll() is None:
            time.sleep(0.1)
        fill(disk, 0)
        answer.touch()
        out, err = process.communicate(timeout=600)
    said = last_line(subprocess.CompletedProcess(command, process.returncode, out, err))
    assert said.startswith(f"No room in {disk / 'run'}")
    assert " bytes needed, " in said
    tracking = tracking_of(folder, "results")
    (run,) = tracking.runs()
    assert (run.status, run.tags["failure"]) == ("FAILED", said)
    assert not list(disk.rglob("*.parquet"))
    assert not half_written(disk)
    make_room(disk)
    again = call(folder, *words)
    assert again.returncode == 0, again.stderr
    assert [run.status for run in tracking.runs()] == ["FAILED", "FINISHED"]
    assert (disk / "run" / "artifacts" / "predictions.parquet").exists()


@pytest.mark.tensorflow
@pytest.mark.slow
def test_full_while_mlflow_takes_the_artifacts(disk, folder):
    fill(disk, HALF)
    done = call(folder, *RUN, f"tracking.artifacts={disk / 'store'}", "tracking.experiment=upload")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (said,) = [line for line in done.stdout.splitlines() if "cannot be had" in line]
    assert "no room in" in said
    assert " bytes needed, " in said
    assert "Test scores" in done.stdout  # nothing of the run is lost
    assert not [path for path in disk.rglob("*") if path.is_file() and path.name != FILLER]
    tracking = tracking_of(folder, "upload")
    (run,) = tracking.runs()
    assert run.status == "FAILED"  # neither running for ever nor whole
    assert run.tags["failure"].startswith("not all was sent: no room in ")
    make_room(disk)
    command = shlex.split(said.split("`")[1])
    sent = subprocess.run(
        [sys.executable, *command[1:]],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert sent.returncode == 0, sent.stderr
    (run,) = tracking.runs()
    assert run.status == "FINISHED"
    assert "failure" not in run.tags
    assert tracking.download(run.id, "predictions.parquet").stat().st_size
