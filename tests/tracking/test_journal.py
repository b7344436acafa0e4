"""The record of a run survives a kill at any byte, and names and processes are what they say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl import results
from mtl.results import FAILURE, HOST, JOB, PARENT, PROCESS, TrackedRun
from mtl.tracking import journal, names
from mtl.tracking.journal import Journal, in_order, moment
from mtl.tracking.process import is_dead, process_identity, this_host, this_process


def started(folder: Path, **details: object) -> Journal:
    record = Journal(folder / journal.JOURNAL)
    details = {"key": "k" * 32, "name": "all seed=0", "parent": None, "tags": this_process()} | details
    record.add("start", **details)
    return record


def test_calls_are_read_back_in_order_with_what_is_missing(tmp_path):
    record = started(tmp_path)
    record.add("params", params={"a": "1"})
    record.done(record.entries[0], "id0")
    again = Journal(record.path)
    assert again.entries == record.entries
    assert again.run_id == "id0"
    assert [entry["call"] for entry in again.pending] == ["params"]


def test_a_record_cut_at_any_byte_is_read_and_continued(tmp_path):
    record = started(tmp_path)
    record.add("metrics", metrics={"auc/ä": 0.5}, step=1)
    record.done(record.entries[0], "id0")
    whole = record.path.read_bytes()
    for size in range(len(whole)):
        record.path.write_bytes(whole[:size])
        cut = Journal(record.path)
        whole_lines = [json.loads(line) for line in whole[:size].split(b"\n")[:-1]]
        assert len(cut.entries) >= len([line for line in whole_lines if "call" in line])
        if cut.entries:
            cut.add("end", status="FINISHED")
            assert Journal(record.path).entries == cut.entries


def test_a_record_without_its_start_is_empty(tmp_path):
    path = tmp_path / journal.JOURNAL
    path.write_text('{"n": 3, "call": "params", "time": 1, "params": {}}\n')
    assert Journal(path).entries == []


def test_status_follows_the_last_word(tmp_path):
    record = started(tmp_path)
    assert record.status == "RUNNING"
    record.add("end", status="KILLED")
    assert record.status == "KILLED"
    record.add("again", parent=None, tags={})
    assert record.status == "RUNNING"
    record.add("end", status="FINISHED")
    assert record.status == "FINISHED"


def test_a_run_taken_up_again_has_not_failed_yet(tmp_path):
    record = started(tmp_path)
    record.add("tags", tags={FAILURE: "interrupted", "other": "stays"})
    record.add("again", parent=None, tags={})
    assert FAILURE not in record.tags()
    assert record.tags()["other"] == "stays"


def test_records_put_aside_are_still_found(tmp_path):
    record = started(tmp_path)
    fresh = record.put_aside()
    assert fresh.entries == []
    assert len(journal.journals(tmp_path)) == 1


def test_runs_are_read_from_their_records_alone(tmp_path):
    parent = started(tmp_path, name="sweep")
    parent.add("end", status="FINISHED")
    child = started(tmp_path / "0", key="c" * 32, parent="local-" + "k" * 32)
    child.add("params", params={"seed": "1"})
    child.add("metrics", metrics={"auc/x": 0.5, "val_auc/x": 0.1}, step=1)
    child.add("metrics", metrics={"val_auc/x": 0.2}, step=2)
    child.add("tags", tags={FAILURE: "out of memory"})
    child.add("end", status="FAILED")
    sweep, job = journal.recorded(tmp_path)
    assert (sweep.name, sweep.status) == ("sweep", "FINISHED")
    assert (job.status, job.tags[FAILURE], job.params) == ("FAILED", "out of memory", {"seed": "1"})
    assert job.metrics == {"auc/x": 0.5, "val_auc/x": 0.2}
    assert job.tags[PARENT] == sweep.id == "local-" + "k" * 32
    assert job.end is not None
    assert job.end >= job.start


def test_a_run_that_died_without_a_word_has_that_as_its_reason(tmp_path):
    started(tmp_path, tags=this_process() | {PROCESS: "1@never/0"})
    (run,) = journal.recorded(tmp_path)
    assert (run.status, run.tags[FAILURE]) == ("KILLED", results.NO_WORD)


def test_runs_stand_in_the_order_of_launch_and_not_of_start():
    def run(name: str, seconds: int, **tags: str) -> TrackedRun:
        return TrackedRun(name, name, "FINISHED", tags=tags, start=moment(1000 * seconds), artifact_uri=f"/x/{name}")

    runs = [run("b9", 5, **{PARENT: "b", JOB: "9"}), run("alone", 6), run("b10", 4, **{PARENT: "b", JOB: "10"})]
    runs += [run("a1", 2, **{PARENT: "a", JOB: "1"}), run("a0", 7, **{PARENT: "a", JOB: "0"})]
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0]):
        assert [each.id for each in in_order([runs[i] for i in order])] == ["a0", "a1", "b9", "b10", "alone"]
    beside = [TrackedRun(str(n), "", "FINISHED", tags={JOB: str(n)}, artifact_uri=f"file:///s/{n}") for n in (1, 0)]
    assert [each.id for each in in_order(beside)] == ["0", "1"]


def test_a_dead_process_is_told_from_a_living_one():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    tags = {HOST: this_host(), PROCESS: process_identity(process.pid)}
    assert not is_dead(tags)
    assert not is_dead(this_process())
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert is_dead(tags)


def test_a_process_of_another_host_is_never_called_dead():
    assert not is_dead({HOST: "elsewhere", PROCESS: "1@x"})
    assert not is_dead({})


def test_a_number_used_again_is_another_process():
    mark = process_identity(os.getpid())
    assert is_dead({HOST: this_host(), PROCESS: f"{mark}9"})


@pytest.mark.parametrize(
    ("key", "legal"),
    [
        ("training.epochs", "training.epochs"),
        ("auc/general anomaly", "auc/general anomaly"),
        ("a=b[0]", "a_b_0_"),
        ("größe", "größe"),
        ("a//b", "a/b"),
        ("/a", "_a"),
        ("../a", "_/a"),
        ("./a", "_/a"),
        ("a/../b", "b"),
        ("", "_"),
        (".", "_"),
    ],
)
def test_keys_are_made_legal(key, legal):
    assert names.legal_key(key) == legal


@given(st.text(max_size=400))
def test_any_key_is_accepted_by_mlflows_rules(key):
    legal = names.legal_key(key)
    assert 0 < len(legal) <= 250
    assert all(sign.isalnum() or sign in "_-./: " for sign in legal) or not legal.isascii()
    assert os.path.normpath(legal) == legal
    assert not legal.startswith(("/", ".."))
    assert names.legal_key(legal) == legal


def test_names_that_become_equal_stay_apart():
    legal = names.legal_keys({"a=b": 1, "a_b": 2, "a[b": 3, "x" * 300 + "1": 4, "x" * 300 + "2": 5})
    assert sorted(legal.values()) == [1, 2, 3, 4, 5]
    assert legal["a_b"] == 2


def test_nested_parameters_are_joined_by_dots():
    assert names.flatten({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_text_holds_what_a_store_cannot():
    assert names.as_text("a\0b\udcff", 100) == "a\\0b\\udcff"
    assert names.as_text("x" * 10, 5) == "xx..."
    assert names.as_text(None, 5) == "None"


def test_a_clock_set_back_turns_no_times_round(tmp_path, monkeypatch):
    record = started(tmp_path)
    monkeypatch.setattr(journal.time, "time", lambda: 1000.0)
    record.add("metrics", metrics={"a": 1.0}, step=1)
    again = Journal(record.path)  # of a process that began after the clock was set back
    again.add("end", status="FINISHED")
    times = [entry["time"] for entry in again.entries]
    assert times == sorted(times)
    assert times[0] > 1000 * 1000


def test_a_folder_that_is_removed_meanwhile_hides_no_other_record(tmp_path, monkeypatch):
    """A job writes to a folder beside its artifacts and renames it, while another process looks for records."""
    records = [started(tmp_path / name).path for name in ("0", "1", "2")]
    (tmp_path / "1" / ".writing-artifacts").mkdir()
    scandir = os.scandir

    def vanished(path=".", *rest):
        if Path(path).name == ".writing-artifacts":
            raise FileNotFoundError(path)
        return scandir(path, *rest)

    monkeypatch.setattr(os, "scandir", vanished)
    assert journal.journals(tmp_path) == records
