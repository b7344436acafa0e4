"""A line for every job of a sweep that ends, and for everything that jobs have to say, once."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

from mtl import terminal
from mtl.job import context, progress, record, said
from mtl.terminal import show


class Watch(threading.Thread):
    """Says a line for every job that has come to its end, whatever process on whatever machine it ran in.

    On a terminal a bar for the whole sweep stands below the lines.
    """

    def __init__(self, sweep: context.SweepContext, judged: str) -> None:
        super().__init__(daemon=True)
        self._sweep, self._judged = sweep, judged
        self._over = threading.Event()
        self._ended: set[Path] = set()
        self._said: set[str] = set()
        self._looking = threading.Lock()
        self._bar = ExitStack()
        self._advance: terminal.Advance | None = None

    def watch(self, sweep: context.SweepContext) -> None:
        """From now on there are more jobs."""
        with self._looking:
            self._sweep = sweep

    def start(self) -> None:
        """Begin to look, and show the bar."""
        if terminal.is_watched() and self._sweep.quiet:
            self._advance = self._bar.enter_context(terminal.progress("sweep", self._sweep.n_jobs or None, "jobs"))
        super().start()

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
        self._bar.close()

    def look(self) -> None:
        """Say what was said and what has ended since the last look."""
        with self._looking:
            for name, line in said.lines(self._sweep).items():
                if name not in self._said:
                    self._said.add(name)
                    show(line)
            found = record.read_jobs(Path(self._sweep.folder))
            ended = sorted((job for job in found if job.status != "RUNNING"), key=lambda job: job.ended)
            left = progress.seconds_left(found, self._sweep)
            new = [(done, job) for done, job in enumerate(ended, start=1) if job.folder not in self._ended]
            for done, job in new:
                self._ended.add(job.folder)
                more = left if job is ended[-1] else None
                show(progress.ended_line(job, done, self._sweep, self._judged, more))
            if self._advance is not None:
                running = [self._sweep.label(job.name) for job in found if job.status == "RUNNING"]
                self._advance(len(new), note=progress.at_work(running), total=self._sweep.n_jobs or None)
