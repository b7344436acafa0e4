"""Videos decoded in processes, one per core: a decoder that dies costs the video it had."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from mtl.data.video_reader import BadVideo
from mtl.data.videos import Video
from mtl.errors import UserError
from mtl.terminal import progress

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

log = logging.getLogger(__name__)

SECONDS_BETWEEN_REPORTS = 0.5

Report = Callable[[float, int], None]


class Job(Protocol):
    """A video, and the folder that its frames go to."""

    @property
    def video(self) -> Video:
        """The video."""

    @property
    def folder(self) -> Path:
        """Named where it cannot be written to."""


class Made(Protocol):
    """What came of a video."""

    @property
    def n_written(self) -> int:
        """Frames written."""

    @property
    def surely_whole(self) -> bool:
        """Whether the file says where its pictures end."""


@dataclass(frozen=True)
class Progress:
    """What a process says of the job it has.

    Attributes
    ----------
    kind : str
        ``going``, or at the end of a job ``done``, ``bad`` (the video) or ``stop``
        (the output: going on with other videos makes no sense).
    share : float
        Of the video that is done, in [0, 1].
    n_frames : int
        Frames written.
    reason : str
        Why it ended badly.
    surely_whole : bool
        Whether the file says where its pictures end.
    """

    kind: Literal["going", "done", "bad", "stop"]
    share: float = 1.0
    n_frames: int = 0
    reason: str = ""
    surely_whole: bool = True


def serve_jobs(connection: Connection, do: Callable[[Any, Report], Made]) -> None:
    """Do the jobs that come over a connection, and send answers, in a process of its own."""
    last = 0.0

    def report(share: float, n_written: int) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            connection.send(
                Progress("going", share, n_written)
            )  # fails when the parent is gone, and so ends this process

    while True:
        try:
            job = connection.recv()
            try:
                made = do(job, report)
                answer = Progress("done", n_frames=made.n_written, surely_whole=made.surely_whole)
            except BadVideo as error:
                answer = Progress("bad", reason=str(error))
            except (BrokenPipeError, EOFError):
                raise
            except OSError as error:
                answer = Progress("stop", reason=f"{error.strerror or error} ({error.filename or job.folder})")
            connection.send(answer)
        except (EOFError, OSError):
            return


@dataclass(frozen=True)
class Work:
    """What is done with videos.

    Attributes
    ----------
    title : str
        Of the progress.
    serve : callable
        What a process runs: takes a connection and `asked`.
    asked : object
        How frames are made.
    n_workers : int
    out : Path
        Where all of it goes.
    again : str
        What goes on where it was stopped, as in "The same command".
    """

    title: str
    serve: Callable[[Connection, Any], None]
    asked: object
    n_workers: int
    out: Path
    again: str


def run_jobs(
    jobs: Sequence[Job], work: Work, watch: Callable[[int, float], None] | None = None
) -> tuple[int, list[tuple[Path, str]]]:
    """Do the jobs before the person's eyes; the number of frames written, and the failed videos with the reason.

    Videos whose container cannot tell whether they are whole are named in one line.

    Parameters
    ----------
    jobs : sequence of Job
        In the order in which they are begun.
    work : Work
    watch : callable, optional
        Told the frames written so far and the share of the videos' bytes that is done; what it raises ends the work.

    Raises
    ------
    UserError
        If the output cannot be written.
    """
    size = {job.video.file: job.video.size / 1e6 for job in jobs}  # MB: frames are not known before decoding
    total = max(round(sum(size.values())), 1)
    going: dict[Path, Progress] = {}
    done, told, n_told, n_written, bad, unsure = 0.0, 0, 0, 0, [], []
    began = time.monotonic()
    with progress(work.title, total, "MB") as advance:
        for job, answer in _answers(jobs, work):
            name = job.video.file
            if answer.kind == "stop":
                raise UserError(f"Cannot write to {work.out}: {answer.reason}. {work.again} goes on from here.")
            going[name] = answer
            if answer.kind != "going":
                del going[name]
                done += size.pop(name)
                n_written += answer.n_frames
            if answer.kind == "bad":
                bad.append((job.video.file, answer.reason))
            if not answer.surely_whole:
                unsure.append(job.video.file)
            now = min(round(done + sum(size[name] * said.share for name, said in going.items())), total)
            n_told = max(n_told, n_written + sum(said.n_frames for said in going.values()))
            rate = n_told / max(time.monotonic() - began, 1e-9)
            note = f"{len(jobs) - len(size)}/{len(jobs)} videos, {n_told} frames, {rate:.0f} frames/s"
            advance(max(now - told, 0), note=note)
            told = max(now, told)
            if watch is not None:
                watch(n_told, told / total)
    if unsure:
        log.warning(
            "%d videos (%s) do not say where they end, such as %s: every frame that is there decodes, "
            "but whether the end is missing this kind of file cannot tell.",
            len(unsure), ", ".join(sorted({file.suffix.lower() for file in unsure})), min(unsure),
        )  # fmt: skip
    return n_written, bad


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Ctrl-C reaches the whole group, and the parent decides; a child ignores it from its first line on."""
    if threading.current_thread() is not threading.main_thread():  # which alone may say so
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _answers(jobs: Sequence[Job], work: Work) -> Iterator[tuple[Job, Progress]]:
    """What the worker processes say of the jobs, as it comes.

    A worker that dies, as decoders do over broken videos, costs the video it had;
    another takes its place.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(jobs))
    workers: dict[Connection, tuple[SpawnProcess, Job]] = {}

    def hire() -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=work.serve, args=(theirs, work.asked), daemon=True)
        with _deaf_children():
            process.start()
        theirs.close()
        give(ours, process)

    def give(connection: Connection, process: SpawnProcess) -> None:
        workers[connection] = (process, waiting.pop())
        with suppress(OSError):  # it died in between: the answer will say so
            connection.send(workers[connection][1])

    try:
        for _ in range(min(work.n_workers, len(jobs))):
            hire()
        while workers:
            for connection in cast(list[Connection], wait(list(workers))):
                process, job = workers[connection]
                try:
                    answer = connection.recv()
                except (EOFError, OSError):
                    process.join()
                    answer = Progress("bad", reason=f"the decoder died (exit code {process.exitcode})")
                yield job, answer
                if answer.kind == "going":
                    continue
                del workers[connection]
                if waiting and process.is_alive():
                    give(connection, process)
                elif waiting:
                    hire()
                else:
                    connection.close()  # sends the worker home
    finally:
        for process, _ in workers.values():
            process.terminate()
            process.join()
