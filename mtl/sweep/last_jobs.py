"""Jobs that are still at work when a sweep ends: they are waited for, or called off."""

from __future__ import annotations

import time
from pathlib import Path

from mtl.job import context, record
from mtl.results import HOST, PROCESS
from mtl.tracking.process import this_host, this_process


def _is_running(folder: Path) -> bool:
    """Whether a process of this machine still works at one of the sweep's jobs."""
    running = [job.tags for job in record.read_jobs(folder) if job.status == "RUNNING"]
    return any(tags.get(HOST) == this_host() and tags.get(PROCESS) != this_process()[PROCESS] for tags in running)


def await_jobs(sweep: context.SweepContext) -> None:
    """A launcher that gave up may have left jobs at work, or waiting for a slot: their rows are worth the wait."""
    folder, last = Path(sweep.folder), time.monotonic()
    while (running := _is_running(folder)) or (sweep.slots and time.monotonic() - last < context.SECONDS_TO_LEAVE):
        if running:
            last = time.monotonic()
        if len([job for job in record.read_jobs(folder) if job.status != "RUNNING"]) == sweep.n_jobs:
            break
        time.sleep(context.SECONDS_BETWEEN_LOOKS)


def end_jobs(sweep: context.SweepContext) -> None:
    """Call jobs of this machine that are still at work off, and wait until they have left."""
    context.call_off(sweep)
    end = time.monotonic() + context.SECONDS_TO_LEAVE + 2 * context.SECONDS_BETWEEN_LOOKS
    while _is_running(Path(sweep.folder)) and time.monotonic() < end:
        time.sleep(0.1)
