"""A sweep as its jobs see it, and how a job waits, stops and leaves with it."""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mtl.errors import UserError
from mtl.files import take_lock
from mtl.job.record import failed_alike, read_jobs
from mtl.results import HOST, PROCESS
from mtl.stopwatch import TURN, spent_on
from mtl.tracking.process import is_dead

SWEEP = "MTL_SWEEP"
CALLED_OFF = ".called_off"  # of a sweep's folder: whoever still works at it is to leave
NO_TURNS = "Jobs cannot wait for their turn: set hydra.sweep.dir to a disk that can, or hydra/launcher=processes."
SECONDS_BETWEEN_LOOKS = 1.0  # at the records of jobs, or whether the sweep is alive
SECONDS_TO_LEAVE = 20.0  # that a process has between SIGTERM and SIGKILL


@dataclass(frozen=True)
class SweepContext:
    """A sweep as its jobs see it.

    A job asks `current` and finds the sweep in its process's environment, put there by
    `enter`. Two carriers bring it that far, because launchers differ: processes that this
    one starts (one by one, `mtl.sweep.process_launcher`, submitit on this machine) inherit the
    environment; workers that began before the sweep, or on another machine (joblib, ray,
    slurm), do not, and get it in the pickled `mtl.sweep.SweepCallback`, whose
    `on_job_start` enters it there.

    Attributes
    ----------
    parent : str
        Id of its own run; empty without tracking.
    folder : str
        Absolute.
    n_jobs : int
        0 where the sweeper decides as it goes.
    quiet : bool
        Whether only the sweep itself writes to the terminal, a line per job; else every job says all.
    digests : mapping of str to str
        Digest of the data by `fingerprint.data_key`.
    known : list of int
        Numbers of the jobs that were done before the sweep began.
    common : list of str
        Overrides that all jobs have; a job is told by the others.
    host, process : str
        Where the sweep itself runs, as `journal.this_process` says it.
    slots : int
        How many jobs may work at once where the launcher itself knows no limit; 0: as many as it starts.
    trains : bool
        Whether this process may train; else a job whose result is not there is refused.
    looks : str
        Of a sweep that ends when it knows: seeds before its first look, and at most, as ``3/12``.
    sets : list of list of (str, int)
        Kinds of heads of the task sets that its jobs have, see `mtl.job.task_sets`: they share what is compiled.
    screening : str
        Of a screening: its main task and its candidates, as the tag `SCREENING` of its jobs.
    """

    parent: str
    folder: str
    n_jobs: int = 0
    quiet: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)
    known: Sequence[int] = ()
    common: Sequence[str] = ()
    host: str = ""
    process: str = ""
    slots: int = 0
    trains: bool = True
    looks: str = ""
    sets: Sequence[Sequence[tuple[str, int]]] = field(default_factory=list)
    screening: str = ""

    def label(self, name: str) -> str:
        """A job's name without what all jobs have, which comes last; a name may be cut off there."""
        *words, last = name.split(" ")
        kept = [word for word in words if word not in self.common]
        cut = words and any(word.startswith(last) for word in self.common)
        return " ".join(kept if cut else [*kept, last])

    def enter(self) -> None:
        """Make it the sweep of this process, and of those that it starts from now on."""
        os.environ[SWEEP] = json.dumps(asdict(self))


def current() -> SweepContext | None:
    """The sweep this process is a job of; None outside a sweep.

    Raises
    ------
    UserError
        Where the environment variable that says it is damaged.
    """
    text = os.environ.get(SWEEP)
    return _described(text) if text else None


@functools.lru_cache(maxsize=2)  # a job asks a few times
def _described(text: str) -> SweepContext:
    """The sweep that is described so, see `current`."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(SweepContext).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"The environment variable {SWEEP}, by which a sweep tells its jobs of itself, is damaged "
            f"({f'{where}: ' if where else ''}{first['msg']}). "
            f"Outside a sweep: unset {SWEEP}; in a sweep: start it again."
        ) from None


def leave() -> None:
    """Belong to no sweep any more."""
    os.environ.pop(SWEEP, None)


def call_off(sweep: SweepContext) -> None:
    """Have jobs that are still at work end themselves, whatever process on whatever machine they are.

    A process number that stands in a file may be anyone's by now, so nobody is signalled by one.
    """
    with suppress(OSError):
        (Path(sweep.folder) / CALLED_OFF).touch()


def is_gone(sweep: SweepContext) -> bool:
    """Whether the sweep was called off, or ran on this machine and its process is no more."""
    return (Path(sweep.folder) / CALLED_OFF).exists() or is_dead({HOST: sweep.host, PROCESS: sweep.process})


def leave_with(sweep: SweepContext) -> None:
    """End this process, truthfully, when the sweep's is gone or calls it off: nobody is left at work."""

    def watch() -> None:
        while not is_gone(sweep):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS_TO_LEAVE)
        os.kill(os.getpid(), signal.SIGKILL)

    names = {thread.name for thread in threading.enumerate()}
    if sweep.process and sweep.process not in names:  # a worker that stays has many jobs of one sweep
        threading.Thread(target=watch, name=sweep.process, daemon=True).start()


class StoppedError(UserError):
    """A job was not begun because the sweep has stopped: no row."""


class UntrainedError(StoppedError):
    """A job that was to be reused has to be trained, by another process than this one."""


def check_worth_it(sweep: SweepContext, stop_after: int | None) -> None:
    """Raise `UserError` where the first jobs of the sweep all failed alike: this one would too.

    Parameters
    ----------
    sweep : Sweep
    stop_after : int or None
        How many jobs must have failed; None: a sweep never stops.
    """
    reason = failed_alike(read_jobs(Path(sweep.folder)), stop_after) if stop_after else ""
    if reason:
        raise StoppedError(f"{stopped_line(stop_after or 0)} {reason}")
    if is_gone(sweep):
        raise StoppedError("The sweep's own process is gone.")


def stopped_line(stop_after: int) -> str:
    """What is said of a sweep that stopped."""
    jobs = "job" if stop_after == 1 else f"{stop_after} jobs"
    return f"The sweep stopped because its first {jobs} failed alike (stop_after=null goes on all the same):"


@contextmanager
def turn(sweep: SweepContext | None) -> Iterator[None]:
    """Wait for one of the sweep's slots, where it has a limited number of them; a dead job's is free at once."""
    if sweep is None or not sweep.slots:
        yield
        return
    for attempt in itertools.count():
        held = take_lock(Path(sweep.folder) / f".slot-{attempt % sweep.slots}", NO_TURNS)
        if held is not None:
            try:
                yield
            finally:
                os.close(held)
            return
        if is_gone(sweep):
            raise StoppedError("The sweep's own process is gone.")
        with spent_on(TURN):
            time.sleep(0.2)
