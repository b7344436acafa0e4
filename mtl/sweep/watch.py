"""A line for every job of a sweep that begins or ends."""

from __future__ import annotations

import threading
from pathlib import Path

from mtl.job import context, progress, record
from mtl.terminal import show


class Watch(threading.Thread):
    """Says a line for every job that has come to its end, whatever process on whatever machine it ran in."""

    def __init__(self, sweep: context.SweepContext, main_task: str) -> None:
        super().__init__(daemon=True)
        self._sweep, self._main_task = sweep, main_task
        self._over = threading.Event()
        self._begun: set[Path] = set()
        self._said: set[Path] = set()

    def run(self) -> None:
        """Look now and then."""
        while not self._over.wait(context.SECONDS_BETWEEN_LOOKS):
            self.look()

    def stop(self) -> None:
        """Say what is left to say."""
        self._over.set()
        if self.is_alive():
            self.join()
            self.look()

    def look(self) -> None:
        """Say what has begun and what has ended since the last look."""
        found = record.read_jobs(Path(self._sweep.folder))
        for job in found:
            if job.status == "RUNNING" and job.folder not in self._begun:
                self._begun.add(job.folder)
                show(progress.begun_line(job, self._sweep))
        ended = sorted((job for job in found if job.status != "RUNNING"), key=lambda job: job.ended)
        left = progress.seconds_left(found, self._sweep)
        for done, job in enumerate(ended, start=1):
            if job.folder not in self._said:
                self._said.add(job.folder)
                show(progress.ended_line(job, done, self._sweep, self._main_task, left if job is ended[-1] else None))

    def seconds_left(self) -> float | None:
        """Rough time to the end."""
        return progress.seconds_left(record.read_jobs(Path(self._sweep.folder)), self._sweep)
