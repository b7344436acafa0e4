"""What the records of a sweep's jobs tell, without any store."""

from __future__ import annotations

import logging
import multiprocessing
import time
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from mtl import terminal
from mtl.errors import UserError
from mtl.job import progress, record, said
from mtl.job.context import SWEEP, SweepContext, current, is_gone, leave, turn
from mtl.job.progress import duration, ended_line, seconds_left
from mtl.job.record import failed_alike, read_jobs
from mtl.job.task_sets import sets_of
from mtl.results import HOST, JOB, PROCESS
from mtl.sweep import last_jobs
from mtl.sweep.watch import Watch
from mtl.tracking.journal import Journal, recorded
from mtl.tracking.no_tracking import NoTracking
from mtl.tracking.process import this_process


@pytest.fixture
def folder(tmp_path):
    """Six jobs: two finished, one of them reused, one failed, one killed, one running, one not begun."""
    tracking = NoTracking()
    for number, status in enumerate(("FINISHED", "FINISHED", "FAILED", "KILLED", None)):
        tags = {"reused_from": "x"} if number == 1 else {"failure": "no frame 7"} if status == "FAILED" else {}
        run = tracking.start(f"set{number} seed=0 a=1", tmp_path / str(number), None, tags)
        run.metrics({"auc/main": 0.5 + number / 10}, step=0)
        if number == 0:
            run.metrics({"auc_low/main": 0.45, "auc_high/main": 0.55}, step=0)
        if status:
            run.end(status)
    tracking.start("sweep", tmp_path, None, {"sweep": "parent"})
    return tmp_path


def test_records_are_read_as_jobs(folder):
    found = read_jobs(folder)
    assert [job.number for job in found] == [0, 1, 2, 3, 4]
    assert [job.status for job in found] == ["FINISHED", "FINISHED", "FAILED", "KILLED", "RUNNING"]
    assert [job.reused for job in found] == [False, True, False, False, False]


def test_a_line_says_who_how_and_how_long(folder):
    sweep = SweepContext("", str(folder), n_jobs=6, common=["a=1"])
    lines = [ended_line(job, n, sweep, "auc/main", None) for n, job in enumerate(read_jobs(folder)[:4], start=1)]
    assert lines[0] == "[1/6] set0 seed=0: AUC 0.500 (0.450–0.550), 0 s"
    assert lines[1] == "[2/6] set1 seed=0: AUC 0.600, reused"
    assert lines[2] == "[3/6] set2 seed=0: FAILED: no frame 7"
    assert lines[3].startswith("[4/6] set3 seed=0: KILLED")
    assert ended_line(read_jobs(folder)[0], 1, sweep, "auc_event/main", None) == "[1/6] set0 seed=0: event AUC –, 0 s"


def test_a_line_says_that_a_job_diverged(tmp_path):
    run = NoTracking().start("set seed=0", tmp_path / "0", None, {})
    run.tags({"diverged": "loss of main is not finite in epoch 1; nothing sound is left"})
    run.end("FINISHED")
    (found,) = read_jobs(tmp_path)
    assert ended_line(found, 1, SweepContext("", str(tmp_path), n_jobs=1), "auc/main", None).endswith(": diverged, 0 s")


def test_a_job_is_one_line_and_what_jobs_say_is_said_once(folder, capsys):
    sweep = SweepContext("", str(folder), n_jobs=6, common=["a=1"])
    logger = logging.getLogger("mtl.data.anything")
    handler = terminal.ConsoleHandler()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        for number in (0, 1):
            own = folder / str(number)
            said.listen(sweep, own)
            logger.info("707 videos in %.1f s", 1 + number)
            logger.warning("2 frames are left out; %s says why.", own / "bad_frames.csv")
            logging.getLogger("mtl.training").info("epoch 1")
            terminal.report("a table")
    finally:
        terminal.hush(None)
        logger.removeHandler(handler)
    assert capsys.readouterr().out == ""
    watch = Watch(sweep, "auc/main")
    watch.look()
    watch.look()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "707 videos in 1.0 s",
        f"warning: 2 frames are left out; {folder / '0' / 'bad_frames.csv'} says why.",
    ]
    assert [line[:5] for line in lines[2:]] == ["[1/6]", "[2/6]", "[3/6]", "[4/6]"]


def test_what_a_job_cannot_leave_for_its_sweep_it_says_itself(tmp_path, capsys):
    said.listen(SweepContext("", str(tmp_path / "gone")), tmp_path)
    try:
        for handled in (logging.WARNING, logging.INFO):
            terminal.ConsoleHandler().handle(logging.LogRecord("mtl.x", handled, "", 0, "line", (), None))
    finally:
        terminal.hush(None)
    assert capsys.readouterr().out == "warning: line\n"


def test_the_label_of_a_name_that_was_cut_off_has_no_rest_of_what_all_have():
    sweep = SweepContext("", "/a", common=["training.epochs=2"])
    assert sweep.label("all seed=0 training.epochs=2") == "all seed=0"
    assert sweep.label("all seed=0 training.ep") == "all seed=0"
    assert sweep.label("all") == "all"


def job(number, status="FINISHED", ended=0.0, failure="", reused=False):
    return record.Job(number, "", status, failure, 1.0, ended, reused, {}, {}, None)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([job(0, "FAILED", 1, "bad frame 1"), job(1, "FAILED", 2, "bad frame 22")], "bad frame 1"),
        ([job(0, "FAILED", 2, "bad frame 1"), job(1, "FAILED", 1, "bad frame 22")], "bad frame 22"),
        ([job(0, "FAILED", 1, "this"), job(1, "FAILED", 2, "that")], ""),
        ([job(0, "FAILED", 1, "this")], ""),
        ([job(0, "FAILED", 1, "this"), job(1, "FINISHED", 2), job(2, "FAILED", 3, "this")], ""),
        ([job(0, "FAILED", 1, "this"), job(1, "KILLED", 2), job(2, "FAILED", 3, "this")], "this"),
        ([job(0, "FINISHED", 1), job(1, "FAILED", 2, "this"), job(2, "FAILED", 3, "this")], ""),
        ([job(0, reused=True), job(1, "FAILED", 2, "this"), job(2, "FAILED", 3, "this")], "this"),
    ],
)
def test_the_first_that_ended_failed_alike(found, expected):
    assert failed_alike(found, 2) == expected


def timed(number, began, ended=None):
    """A job that ran so many seconds from now, and still runs where it has no end."""
    found = job(number, "RUNNING" if ended is None else "FINISHED")
    now = time.time()
    return replace(found, began=now + began, ended=now + (ended or 0), seconds=0.0 if ended is None else ended - began)


def test_time_left_is_that_of_jobs_left_over_how_many_work_at_once():
    reused = job(8, reused=True)
    sweep = SweepContext("", "", n_jobs=10, known=[8, 9])
    one_by_one = [timed(0, -40, -20), timed(1, -20, 0), reused]
    assert seconds_left(one_by_one, sweep) == pytest.approx(6 * 20, abs=1)
    two_at_once = [timed(0, -40, -20), timed(1, -40, -20), timed(2, -20), timed(3, -20), reused]
    assert seconds_left(two_at_once, sweep) == pytest.approx(4 * 20 / 2, abs=1)
    first_of_four = [timed(0, -20, 0), *(timed(n, -20) for n in (1, 2, 3)), reused]
    assert seconds_left(first_of_four, sweep) == pytest.approx(4 * 20 / 4, abs=1)
    assert seconds_left([timed(0, -30, -10), timed(1, -10)], SweepContext("", "", n_jobs=2)) == pytest.approx(10, abs=1)
    assert seconds_left([reused, timed(0, -5)], sweep) is None
    assert seconds_left(one_by_one, SweepContext("", "")) is None


def test_where_the_time_went_is_said_of_trained_jobs():
    spent = {"time/run_s": 100.0, "time/steps_s": 60.0, "time/tracking_s": 5.0}
    found = [replace(job(n), metrics=spent) for n in range(2)] + [replace(job(2, reused=True), metrics=spent)]
    found += [job(3, "FAILED"), replace(job(4), metrics={**spent, "time/run_s": 300.0})]
    assert progress.time_lines(found) == ["3 min per trained job: 36 % in training steps, 3 % in tracking."]
    assert progress.time_lines([job(3, "FAILED")]) == []


def test_durations_are_said_as_people_say_them():
    assert [duration(s) for s in (4.4, 89, 600, 9000)] == ["4 s", "89 s", "10 min", "2.5 h"]


def test_a_sweep_goes_through_the_environment(monkeypatch):
    monkeypatch.setenv(SWEEP, "")
    assert current() is None
    sweep = SweepContext("id", "/a", 3, True, {"k": "d"}, [1], ["a=1"], "host", "1@boot/2", 2, sets=[[("a", 1)]])
    sweep.enter()
    assert current() == sweep
    leave()
    assert current() is None


@pytest.mark.parametrize(
    "line",
    [
        "3",
        "[]",
        '{"n": 1}',
        '{"call": "end", "n": 1, "time": 1}',
        "{",
        "[" * 100_000,
        '{"call": "tags", "n": 1, "time": 1, "tags": {"mtl.process": 7}}',
        '{"done": []}',
        "\x00",
    ],
)
def test_a_damaged_line_of_a_record_is_said_and_left_out(folder, line, caplog):
    with (folder / "0" / "tracking.jsonl").open("a") as file:
        file.write(f"{line}\n")
    assert next(job.status for job in read_jobs(folder)) == "FINISHED"
    assert "is not whole and is left out" in caplog.text
    assert len(recorded(folder)) == 6


def test_a_damaged_number_or_process_of_a_job_is_none(tmp_path):
    tracking = NoTracking()
    tags = {"mtl.process": "²@x", "mtl.host": this_process()[HOST], JOB: "²"}
    tracking.start("a", tmp_path / "²", None, tags)
    (found,) = read_jobs(tmp_path)
    assert found.number == -1
    assert len(recorded(tmp_path)) == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"parent": "a"}', '{"parent": "a", "folder": 3}', "\x1b[2J"])
def test_a_damaged_word_of_a_sweep_is_said_as_damage(monkeypatch, text):
    monkeypatch.setenv(SWEEP, text)
    with pytest.raises(UserError, match="MTL_SWEEP.* is damaged.*unset MTL_SWEEP"):
        current()


def test_a_sweep_that_is_called_off_is_gone_and_nobody_is_signalled_by_a_number_in_a_file(tmp_path, monkeypatch):
    here = this_process()
    sweep = SweepContext("", str(tmp_path), host=here[HOST], process=here[PROCESS])
    assert not is_gone(sweep)
    monkeypatch.setattr("os.kill", lambda *_: pytest.fail("signalled"))
    run = NoTracking().start("job", tmp_path / "0", None, {})
    run.tags({HOST: here[HOST], PROCESS: "1@another"})  # process 1 is the system's
    assert not last_jobs._is_running(tmp_path)
    last_jobs.end_jobs(sweep)
    assert is_gone(sweep)


def _occupy(sweep, began, hold):
    with turn(sweep):
        began.release()
        hold.acquire()


@pytest.mark.slow
def test_a_slot_is_given_back_even_by_the_dead(tmp_path):
    context = multiprocessing.get_context("spawn")
    began, hold = context.Semaphore(0), context.Semaphore(0)
    sweep = SweepContext("", str(tmp_path), slots=1)
    first, second = (context.Process(target=_occupy, args=(sweep, began, hold), daemon=True) for _ in range(2))
    first.start()
    assert began.acquire(timeout=300)
    second.start()
    assert not began.acquire(timeout=2)
    first.kill()
    assert began.acquire(timeout=300)
    second.kill()


def test_the_sets_of_a_sweep_are_told_by_the_kinds_of_their_heads():
    binary = {"_target_": "mtl.tasks.BinaryTask", "classes": ["a"], "unlabelled": []}
    types = {"_target_": "mtl.tasks.CategoricalTask", "classes": ["a", "b"], "unlabelled": []}
    sets = [{"x": binary}, {"y": binary}, {"y": types, "x": binary}, {"open": {**types, "classes": None}}, {"bad": {}}]
    found = sets_of([OmegaConf.create({"tasks": each}) for each in sets])
    yes_no = ("BinaryCrossentropy", 1)
    assert found == [[yes_no], [("SparseCategoricalCrossentropy", 2), yes_no]]


def test_the_record_of_a_job_that_has_ended_is_read_again_only_when_it_grows(tmp_path, monkeypatch):
    ended, running = (NoTracking().start(name, tmp_path / name, None, {}) for name in ("0", "1"))
    ended.metrics({"auc/main": 0.5}, step=0)
    ended.end("FINISHED")
    read, parse = [], Journal._read
    monkeypatch.setattr(Journal, "_read", lambda self: (read.append(self.path.parent.name), parse(self)))
    for _ in range(3):
        first, second = read_jobs(tmp_path)
        assert (first.status, first.metrics, second.status) == ("FINISHED", {"auc/main": 0.5}, "RUNNING")
    assert read == ["0", "1", "1", "1"]
    ended.tags({"figures": "drawn"})
    running.end("FAILED")
    first, second = read_jobs(tmp_path)
    assert (first.tags["figures"], second.status, read[-2:]) == ("drawn", "FAILED", ["0", "1"])
