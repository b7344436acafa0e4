"""A sweep as its jobs see it, and how a job waits, stops and leaves with it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mtl.errors import UserError
from mtl.files import NO_LOCKS
from mtl.job.record import failed_alike, read_jobs
from mtl.results import HOST, PROCESS
from mtl.tracking.process import is_dead

SWEEP = "MTL_SWEEP"
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
        Whether jobs run side by side, so that only the sweep itself writes to the terminal.
    digests : mapping of str to str
        Digest of the data by `fingerprint.data_key`.
    known : list of int
        Numbers of the jobs that were done before the sweep began.
    common : list of str
        Overrides that all jobs have; a job is told by the others.
    output : str
        The file its process writes to, so that a worker knows whether it writes to the same one.
    host, process : str
        Where the sweep itself runs, as `journal.this_process` says it.
    slots : int
        How many jobs may work at once where the launcher itself knows no limit; 0: as many as it starts.
    trains : bool
        Whether this process may train; else a job whose result is not there is refused.
    """

    parent: str
    folder: str
    n_jobs: int = 0
    quiet: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)
    known: Sequence[int] = ()
    common: Sequence[str] = ()
    output: str = ""
    host: str = ""
    process: str = ""
    slots: int = 0
    trains: bool = True

    def label(self, name: str) -> str:
        """A job's name without what all jobs have."""
        return " ".join(word for word in name.split(" ") if word not in self.common)

    def enter(self) -> None:
        """Make it the sweep of this process, and of those that it starts from now on."""
        os.environ[SWEEP] = json.dumps(asdict(self))


def output() -> str:
    """The file behind this process's standard output."""
    try:
        found = os.fstat(1)
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def current() -> SweepContext | None:
    """The sweep this process is a job of; None outside a sweep."""
    text = os.environ.get(SWEEP)
    return SweepContext(**json.loads(text)) if text else None


def leave() -> None:
    """Belong to no sweep any more."""
    os.environ.pop(SWEEP, None)


def is_gone(sweep: SweepContext) -> bool:
    """Whether the sweep ran on this machine and its process is no more."""
    return is_dead({HOST: sweep.host, PROCESS: sweep.process})


def leave_with(sweep: SweepContext) -> None:
    """End this process, truthfully, when the sweep's is gone: a sweep that was killed leaves nobody at work."""

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
    import fcntl

    for attempt in itertools.count():
        with (Path(sweep.folder) / f".slot-{attempt % sweep.slots}").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in NO_LOCKS:
                    raise UserError(
                        f"The file system of {sweep.folder} cannot lock files, so jobs cannot wait for their turn; "
                        "right would be hydra.sweep.dir on a disk that can, or hydra/launcher=processes."
                    ) from error
                if is_gone(sweep):
                    raise StoppedError("The sweep's own process is gone.") from None
                time.sleep(0.2)
                continue
            yield
            return
