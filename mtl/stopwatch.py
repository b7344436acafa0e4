"""Wall and processor time of what a run does, each moment counted once; nothing is timed unless a watch runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

REST = "everything else"  # what no stage claims
DECODE, FORWARD, MODEL, STEPS, COMPILE = "decode", "forward", "model", "steps", "compile"
MEASUREMENTS, VALIDATION, CHECKPOINTS = "gradient measurements", "validation", "checkpoints"
VIDEOS, BLOCKS, TURN, FIGURES, TRACKING = "decode videos", "wait for features", "wait for a slot", "figures", "tracking"

T = TypeVar("T")


class Stopwatch:
    """Time of stages that may lie within each other: the outer one stands still while an inner one runs.

    So the stages sum to the whole. It counts what the thread does that made it; what other
    threads do meanwhile is part of the processor's time alone.

    Attributes
    ----------
    seconds, cpu_seconds : dict of str to float
        By stage: wall time, and processor time of all threads of this process.
    units : dict of str to int
        What a stage did: frames, steps, calls.
    n_spans : int
        How often a stage was begun: what the watch costs is a few microseconds for each.
    stopped : float or None
        When, by `time.perf_counter`; None as long as it runs.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self.units: dict[str, int] = {}
        self.n_spans = 0
        self.stopped: float | None = None
        self._thread = threading.get_ident()
        self._open = [REST]
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def whole(self) -> float:
        """Wall time of all stages."""
        return sum(self.seconds.values())

    def is_mine(self) -> bool:
        """Whether this thread is the one that is timed, and still is."""
        return self.stopped is None and threading.get_ident() == self._thread

    def begin(self, stage: str, units: int = 0) -> None:
        """From now on time is this stage's."""
        self._charge()
        self._open.append(stage)
        self.n_spans += 1
        self.count(stage, units)

    def end(self) -> None:
        """From now on time is again the outer stage's."""
        if self.stopped is None:
            self._charge()
            self._open.pop()

    def count(self, stage: str, units: int) -> None:
        """So many more units of a stage are done."""
        if units:
            self.units[stage] = self.units.get(stage, 0) + units

    def stop(self) -> None:
        """Nothing that follows is timed."""
        if self.stopped is None:
            self._charge()
            self.stopped = self._wall

    def _charge(self) -> None:
        wall, cpu, stage = time.perf_counter(), time.process_time(), self._open[-1]
        self.seconds[stage] = self.seconds.get(stage, 0.0) + wall - self._wall
        self.cpu_seconds[stage] = self.cpu_seconds.get(stage, 0.0) + cpu - self._cpu
        self._wall, self._cpu = wall, cpu


_running: Stopwatch | None = None


@contextmanager
def running(wanted: bool) -> Iterator[Stopwatch | None]:
    """A watch that times this block; None where none is wanted."""
    global _running
    before, _running = _running, Stopwatch() if wanted else None
    try:
        yield _running
    finally:
        _running = before


class spent_on:  # noqa: N801  # a word of a `with` statement; a class costs half of what a generator does
    """Time of a block, for the watch that runs; nothing where none does, or in another thread.

    Parameters
    ----------
    stage : str
    units : int
        That the block does.
    """

    __slots__ = ("_stage", "_units", "_watch")

    def __init__(self, stage: str, units: int = 0) -> None:
        self._stage, self._units = stage, units
        self._watch: Stopwatch | None = None

    def __enter__(self) -> None:
        if _running is not None and _running.is_mine():
            self._watch = _running
            _running.begin(self._stage, self._units)

    def __exit__(self, *raised: object) -> None:
        if self._watch is not None:
            self._watch.end()


def count(stage: str, units: int) -> None:
    """So many units of a stage are done, for the watch that runs."""
    if _running is not None and _running.is_mine():
        _running.count(stage, units)


def awaited(stage: str, items: Iterable[T]) -> Iterator[T]:
    """The same items; the time until each comes is the stage's."""
    waiting, nothing = iter(items), object()
    while True:
        with spent_on(stage):
            item = next(waiting, nothing)
        if item is nothing:
            return
        yield item  # type: ignore[misc]
