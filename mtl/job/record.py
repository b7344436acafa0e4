"""The jobs of a sweep by their records on disk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtl.results import FAILURE, REUSED_FROM
from mtl.tracking.journal import JOURNAL, Journal, journals, stamp
from mtl.tracking.process import is_dead


@dataclass(frozen=True)
class Job:
    """A job by its record.

    Attributes
    ----------
    number : int
        Of its folder; -1 where that is no number.
    name, status, failure : str
    seconds : float
        From start to end, of a run that was gone on with from where it was taken up; 0 while it runs.
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


_ended: dict[Path, tuple[tuple[int, ...], Job]] = {}  # a sweep looks every second, at all that ended before too


def read_job(folder: Path) -> Job | None:
    """The job whose record lies in a folder; None where it has not begun.

    The record of one that has ended is read again only where it is another file since, or a longer one.
    """
    path = folder / JOURNAL
    now = stamp(path)
    if now is None:
        return None
    known = _ended.get(path)
    if known is not None and known[0] == now:
        return known[1]
    job = _read(folder)
    if job is not None and job.status not in ("RUNNING", "KILLED"):
        _ended[path] = now, job
    return job


def _read(folder: Path) -> Job | None:
    """As `read_job`, from the file."""
    record = Journal(folder / JOURNAL)
    if not record.entries:
        return None
    tags, status = record.tags(), record.status
    last = record.ended / 1000
    first = [entry["time"] / 1000 for entry in record.entries if entry["call"] in ("start", "again")][-1]
    if status == "RUNNING" and is_dead(tags):
        status = "KILLED"
    metrics = {key: value for entry in record.entries for key, value in entry.get("metrics", {}).items()}
    return Job(
        number=int(folder.name) if folder.name.isdecimal() else -1,
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
    folders = sorted(path.parent for path in journals(folder) if path.name == JOURNAL and path.parent != folder)
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
