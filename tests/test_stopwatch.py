"""Stages of a watch sum to the whole, and nothing is timed where no watch runs."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from mtl import stopwatch
from mtl.stopwatch import REST, awaited, count, running, spent_on


@pytest.fixture
def clock(monkeypatch):
    """Clocks that stand still until they are moved: wall and processor, in seconds."""
    now = {"wall": 100.0, "cpu": 50.0}
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(stopwatch.time, "process_time", lambda: now["cpu"])

    def move(wall: float, cpu: float = 0.0) -> None:
        now["wall"] += wall
        now["cpu"] += cpu

    return move


def test_a_stage_within_another_counts_once(clock):
    with running(True) as watch:
        clock(1.0, 2.0)
        with spent_on("training"):
            clock(2.0)
            with spent_on("steps", 7):
                clock(4.0, 8.0)
            clock(8.0)
        with spent_on("steps", 3):
            clock(16.0)
        watch.stop()
    assert watch.seconds == {REST: 1.0, "training": 10.0, "steps": 20.0}
    assert watch.cpu_seconds == {REST: 2.0, "training": 0.0, "steps": 8.0}
    assert watch.units == {"steps": 10}
    assert watch.whole == 31.0
    assert watch.n_spans == 3


def test_what_raises_ends_its_stage(clock):
    with running(True) as watch:
        with suppress(KeyError), spent_on("index"):
            clock(3.0)
            {}["absent"]
        clock(5.0)
        watch.stop()
    assert watch.seconds == {"index": 3.0, REST: 5.0}


def test_waiting_for_items_is_timed_and_work_on_them_is_not(clock):
    def slow():
        for item in "ab":
            clock(1.0)
            yield item
        clock(0.5)  # to find that there are no more

    with running(True) as watch:
        for _ in awaited("decode", slow()):
            clock(10.0)
        watch.stop()
    assert watch.seconds == {"decode": 2.5, REST: 20.0}


def test_other_threads_and_what_follows_the_end_are_not_timed(clock):
    def work() -> None:
        with spent_on("forward", 5):
            count("forward", 5)

    with running(True) as watch:
        other = threading.Thread(target=work)
        other.start()
        other.join()
        clock(1.0)
        with spent_on("figures"):
            clock(1.0)
            watch.stop()
            clock(1.0)
        work()
    assert watch.seconds == {REST: 1.0, "figures": 1.0}
    assert watch.units == {}


def test_nothing_is_timed_where_nobody_asks():
    with running(False) as watch:
        with spent_on("steps", 5):
            count("steps", 5)
        assert list(awaited("decode", [1, None, 3])) == [1, None, 3]
    assert watch is None
