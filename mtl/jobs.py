"""What a job knows of its sweep, and what the records of a sweep's jobs tell about how far it is.

A sweep hands its jobs one environment variable; a launcher whose workers do not
inherit the environment carries it on the callback. Everything else is read from
the records in the sweep's folder, which any process on any machine can do.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mtl.journal import FAILURE, HOST, JOURNAL, NO_WORD, PROCESS, Journal, is_dead
from mtl.mistakes import Mistake

SWEEP = "MTL_SWEEP"
SECONDS_BETWEEN_LOOKS, SECONDS_TO_LEAVE = 1.0, 20.0
REUSED_FROM = "reused_from"  # tag of a row whose numbers are another run's


@dataclass(frozen=True)
class Sweep:
    """A sweep as its jobs see it.

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

    def text(self) -> str:
        """For the environment."""
        return json.dumps(asdict(self))


def output() -> str:
    """The file behind this process's standard output."""
    try:
        found = os.fstat(1)
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def current() -> Sweep | None:
    """The sweep this process is a job of; None outside a sweep."""
    text = os.environ.get(SWEEP)
    return Sweep(**json.loads(text)) if text else None


def is_gone(sweep: Sweep) -> bool:
    """Whether the sweep ran on this machine and its process is no more."""
    return is_dead({HOST: sweep.host, PROCESS: sweep.process})


def leave_with(sweep: Sweep) -> None:
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


class StoppedError(Mistake):
    """A job was not begun because the sweep has stopped: no row."""


class UntrainedError(StoppedError):
    """A job that was to be reused has to be trained, by another process than this one."""


@dataclass(frozen=True)
class Job:
    """A job by its record.

    Attributes
    ----------
    number : int
        Of its folder; -1 where that is no number.
    name, status, failure : str
    seconds : float
        From start to end; 0 while it runs.
    ended : float
        Seconds since 1970.
    reused : bool
    began : float
        Seconds since 1970.
    """

    number: int
    name: str
    status: str
    failure: str
    seconds: float
    ended: float
    reused: bool
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    folder: Path
    began: float = 0.0


def read_job(folder: Path) -> Job | None:
    """The job whose record lies in a folder; None where it has not begun."""
    record = Journal(folder / JOURNAL)
    if not record.entries:
        return None
    tags, status = record.tags(), record.status
    first, last = record.first["time"] / 1000, record.entries[-1]["time"] / 1000
    if status == "RUNNING" and is_dead(tags):
        status = "KILLED"
    metrics = {key: value for entry in record.entries for key, value in entry.get("metrics", {}).items()}
    return Job(
        number=int(folder.name) if folder.name.isdigit() else -1,
        name=record.first["name"],
        status=status,
        failure=tags.get(FAILURE, ""),
        seconds=last - first if status != "RUNNING" else 0.0,
        ended=last,
        reused=REUSED_FROM in tags,
        metrics=metrics,
        tags=tags,
        folder=folder,
        began=first,
    )


def read_jobs(folder: Path) -> list[Job]:
    """The jobs below a sweep's folder that have begun."""
    folders = sorted(path.parent for path in folder.rglob(JOURNAL) if path.parent != folder)
    return [job for job in map(read_job, folders) if job is not None]


def failed_alike(jobs: Sequence[Job], first: int) -> str:
    """Why the first so many jobs all failed, if it was one and the same reason; else nothing.

    Parameters
    ----------
    jobs : sequence of Job
    first : int
        How many jobs, counted in the order in which they ended, must have failed.
    """
    trained = [
        job for job in jobs if job.status in ("FINISHED", "FAILED") and not job.reused
    ]  # a reused one did nothing
    ended = sorted(trained, key=lambda job: job.ended)[:first]
    if len(ended) < first or any(job.status != "FAILED" for job in ended):
        return ""
    reasons = {re.sub(r"\d+", "#", job.failure) for job in ended}
    return ended[0].failure if len(reasons) == 1 else ""


def seconds_left(jobs: Sequence[Job], sweep: Sweep) -> float | None:
    """Rough time to the end of a sweep, from how its jobs went so far; None where that is not known.

    Parameters
    ----------
    jobs : sequence of Job
        Those that have begun.
    sweep : Sweep
    """
    trained = [job for job in jobs if not job.reused and job.number not in sweep.known]
    took = [job.seconds for job in trained if job.status == "FINISHED"]
    if not took or sweep.n_jobs == 0:
        return None
    now, each = time.time(), sum(took) / len(took)
    running = [now - job.began for job in trained if job.status == "RUNNING"]
    busy = sum(running) + sum(job.seconds for job in trained if job.status != "RUNNING")
    # how many were at work at a time, on the average: what was reused took none of it
    at_once = busy / max(now - min(job.began for job in trained), 1e-9)
    not_begun = max(sweep.n_jobs - len(sweep.known) - len(trained), 0)
    return (not_begun * each + sum(max(each - since, 0.0) for since in running)) / max(at_once, 1e-9)


def time_lines(jobs: Sequence[Job]) -> list[str]:
    """Where the time of the jobs that were trained went, in a line; none where no job was."""
    trained = [job.metrics for job in jobs if job.status == "FINISHED" and not job.reused]
    trained = [metrics for metrics in trained if metrics.get("time/run_s")]
    whole, steps, tracking = (
        sum(metrics.get(f"time/{part}_s", 0.0) for metrics in trained) for part in ("run", "steps", "tracking")
    )
    if not whole:
        return []
    return [
        f"{duration(whole / len(trained))} per trained job: {100 * steps / whole:.0f} % in training steps, "
        f"{100 * tracking / whole:.0f} % in tracking."
    ]


def check_worth_it(sweep: Sweep, stop_after: int | None) -> None:
    """Raise `Mistake` where the first jobs of the sweep all failed alike: this one would too.

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
def turn(sweep: Sweep | None) -> Iterator[None]:
    """Wait for one of the sweep's slots, where it has a limited number of them; a dead job's is free at once."""
    if sweep is None or not sweep.slots:
        yield
        return
    import fcntl

    for attempt in itertools.count():
        with (Path(sweep.folder) / f".slot-{attempt % sweep.slots}").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if is_gone(sweep):
                    raise StoppedError("The sweep's own process is gone.") from None
                time.sleep(0.2)
                continue
            yield
            return


def duration(seconds: float) -> str:
    """Seconds as a person says them: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def begun_line(job: Job, sweep: Sweep) -> str:
    """One line about a job that has begun, beside others."""
    return f"job {job.number + 1}{f'/{sweep.n_jobs}' if sweep.n_jobs else ''} begins: {sweep.label(job.name)}"


def ended_line(job: Job, done: int, sweep: Sweep, main_task: str, left: float | None) -> str:
    """One line about a job that has come to its end.

    Parameters
    ----------
    job : Job
    done : int
        How many have, with this one.
    sweep : Sweep
    main_task : str
    left : float or None
        Seconds.
    """
    of = f"/{sweep.n_jobs}" if sweep.n_jobs else ""
    auc = job.metrics.get(f"auc/{main_task}")
    result = "" if auc is None else f", AUC {auc:.3f}"
    what = {
        "FINISHED": f"reused{result}" if job.reused else f"finished{result} in {duration(job.seconds)}",
        "FAILED": f"FAILED: {job.failure}",
        "KILLED": f"KILLED: {job.failure or NO_WORD}",
    }[job.status]
    more = f"; about {duration(left)} left" if left else ""
    return f"[{done}{of}] {sweep.label(job.name)}: {what}{more}"
