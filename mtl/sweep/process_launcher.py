"""A launcher of our own: one fresh process per job, some at a time.

Hydra's basic launcher runs all jobs in one process: memory and the GPU are never
given back, and what kills a job ends the sweep. Here a job that dies is a run
with the reason, and the others run.
"""

from __future__ import annotations

import logging
import math
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from pydantic import PositiveInt

from mtl import numerics, out_of_memory
from mtl.errors import UserError
from mtl.job.context import SECONDS_TO_LEAVE, SweepContext, UntrainedError, check_worth_it, current
from mtl.results import JOB, NUMERICS
from mtl.sweep import process_job
from mtl.terminal import show
from mtl.tracking.journal import JOURNAL, Journal

log = logging.getLogger(__name__)

SECONDS_BETWEEN_POLLS = 0.1
OUTPUT, LOG = "output.txt", "run.log"  # what a job writes past its log, and its log
LAST_BYTES = 20_000  # of what a dead job wrote: its artifact
LAST_LINES = 20  # of these, in which a sign of memory is looked for
ENDS_OF_REFUSED = ("SIGABRT", "SIGSEGV")  # of native code that goes on, or gives up, where an allocation fails


@dataclass
class Working:
    """A job at work: its number in the sweep, its process, its folder, and the pipe that its answer comes through."""

    number: int
    process: subprocess.Popen[bytes]
    config: DictConfig
    folder: Path
    answer: int = -1
    peak_mib: float = float("nan")  # of its memory; NaN until it has ended, or where it was below our own

    def has_ended(self) -> bool:
        """Whether the process is no more; then its status and the most memory it held are known."""
        if self.process.returncode is None:
            try:
                number, status, usage = os.wait4(self.process.pid, os.WNOHANG)  # `poll` would drop the usage
            except ChildProcessError:  # whoever started us ignores SIGCHLD: the status is lost, as `poll` knows
                return self.process.poll() is not None
            if number:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                # a process begins as a copy of its parent, and Linux keeps that copy's peak as its own
                if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
                    self.peak_mib = out_of_memory.resident_mib(usage.ru_maxrss)
        return self.process.returncode is not None


class Processes(Launcher):
    """One fresh process per job.

    Parameters
    ----------
    n_jobs : int
        How many at a time.
    threads : int or None
        Of each job's arithmetic; None shares the cores out evenly, because two
        processes of one thread are nearly twice as fast as one of two.
    """

    def __init__(self, n_jobs: PositiveInt, threads: PositiveInt | None) -> None:
        self.n_jobs, self.threads = n_jobs, threads
        self._results: dict[int, JobReturn] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what every job needs."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return what came of each, in their order."""
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        sweep = current()
        waiting = list(enumerate(job_overrides, start=initial_job_idx))
        working: list[Working] = []
        self._results = {}
        try:
            while waiting or working:
                for job in [job for job in working if job.has_ended()]:
                    working.remove(job)
                    self._results[job.number] = self._ended(job)
                while waiting and len(working) < self.n_jobs:
                    number, overrides = waiting.pop(0)
                    if sweep is not None and (number in sweep.known or _stopped(sweep, self._config.stop_after)):
                        result = self._here(number, overrides, sweep)
                        if not isinstance(result._return_value, UntrainedError):
                            self._results[number] = result
                            continue
                    working.append(self._begin(number, overrides))
                time.sleep(SECONDS_BETWEEN_POLLS)
        finally:
            _end([job.process for job in working])
        return [self._results[number] for number in sorted(self._results)]

    def _composed(self, number: int, overrides: Sequence[str]) -> DictConfig:
        config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = str(number), number
        return config

    def _here(self, number: int, overrides: Sequence[str], sweep: SweepContext) -> JobReturn:
        """A job that is not going to train anything is not worth a process; one that has to after all is refused."""
        logging.disable(logging.INFO)  # the sweep says how it ended
        replace(sweep, trains=False).enter()
        try:
            return run_job(
                hydra_context=self._context,
                task_function=self._task,
                config=self._composed(number, overrides),
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
        finally:
            sweep.enter()
            logging.disable(logging.NOTSET)
            configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)

    def _begin(self, number: int, overrides: Sequence[str]) -> Working:
        """Start a job's process, what it writes going to its own folder."""
        config = self._composed(number, overrides)
        HydraConfig.instance().set_config(config)
        folder = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        said = process_job.told(self._task, config)
        answer, theirs = os.pipe()
        with _own_file(folder / OUTPUT) as output:
            process = subprocess.Popen(
                process_job.command(theirs),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                pass_fds=[theirs],
                start_new_session=True,  # Ctrl-C reaches the sweep alone, which then ends its jobs
            )
        os.close(theirs)
        with suppress(BrokenPipeError), process.stdin as pipe:  # type: ignore[union-attr]
            pipe.write(said)
        return Working(number, process, config, folder, answer)

    def _environment(self) -> dict[str, str]:
        threads = str(self.threads or max(1, (os.cpu_count() or 1) // self.n_jobs))
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        # an empty one stands for the working folder
        path = os.pathsep.join(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
        # else the first job takes the whole GPU's memory
        told = {
            name: value for name, value in os.environ.items() if name not in numerics.PORTABLE
        }  # a job done here set
        told |= numerics.own_environment()
        return {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} | dict.fromkeys(names, threads) | told | {"PYTHONPATH": path}

    def _ended(self, job: Working) -> JobReturn:
        """What a process left behind; a run with the reason where it left nothing."""
        status = job.process.returncode
        result = process_job.answered(_content(job.answer), job.config)
        if self._config.hydra.verbose:
            show((job.folder / OUTPUT).read_text(encoding="utf-8", errors="replace"))
        if result is not None:
            return result
        reason = _cause_of_death(status, job.folder / OUTPUT, job.peak_mib)
        if Journal(job.folder / JOURNAL).status == "RUNNING":  # or it had not even begun
            self._make_row(job, reason)
        return JobReturn(overrides=[], _return_value=RuntimeError(reason), status=JobStatus.FAILED)

    def _make_row(self, job: Working, reason: str) -> None:
        from mtl.config.choices import departed, told
        from mtl.config.parameters import run_name, tags_of
        from mtl.job.failure import track_failure

        sweep = current()
        asked, words = dict(job.config.hydra.runtime.choices), list(job.config.hydra.overrides.task)
        named = told(job.config, asked)
        name = run_name(named, words, sweep.common if sweep else ())
        tags = tags_of(named, departed(named, asked), job.config.get("tasks", {})) | {JOB: str(job.number)}
        tags |= {NUMERICS: numerics.of_config(job.config.numerics).text}
        config = OmegaConf.masked_copy(job.config, [str(key) for key in job.config if key != "hydra"])
        written = "\n".join(filter(None, (_last(job.folder / name).rstrip() for name in (LOG, OUTPUT))))
        track_failure(config, job.folder, name, tags, sweep.parent if sweep else "", reason, f"{written}\n\n{reason}\n")


def _own_file(path: Path) -> IO[bytes]:
    """A new file to write to; what stood under its name is gone, and not followed where it was a link."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb")


def _content(pipe: int) -> bytes:
    """All that waits in a pipe whose writer is dead."""
    os.set_blocking(pipe, False)  # a process that the job left behind may hold the other end
    with os.fdopen(pipe, "rb") as file:
        return file.read() or b""


def _last(path: Path) -> str:
    """The end of what a file holds; nothing where there is none."""
    return path.read_bytes()[-LAST_BYTES:].decode("utf-8", "replace") if path.exists() else ""


def _stopped(sweep: SweepContext, stop_after: int | None) -> bool:
    """Whether a job would be refused because the first ones failed alike."""
    try:
        check_worth_it(sweep, stop_after)
    except UserError:
        return True
    return False


def _cause_of_death(status: int, output: Path, peak_mib: float) -> str:
    """Why a process ended without a result, in one line; and whether its memory may have run out."""
    written = [" ".join(line.split()) for line in _last(output).strip().splitlines()[-LAST_LINES:]]
    said = next((line for line in reversed(written) if out_of_memory.WORDS.search(line)), "")
    if status >= 0:
        last = f": {said or written[-1]}" if written else ""
        reason, sign = f"its process ended with status {status} and no result{last}", "as this says" if said else ""
    else:
        name = _signal_name(-status)
        reason, sign = f"its process was ended by {name}", f"its last words are: {said}" if said else ""
        if name == "SIGKILL" and not said:
            sign = "the system kills so where memory runs out"
        elif name in ENDS_OF_REFUSED and not said and out_of_memory.limits():
            sign = "so end processes that are refused it, and it is limited (ulimit -v, -d)"
    peak = "" if math.isnan(peak_mib) else f"; its peak was {peak_mib:.0f} MiB"
    return f"{reason}; memory may have run out: {sign}{peak}" if sign else reason


def _signal_name(number: int) -> str:
    """As `kill -l` says it; a real-time signal has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask processes to end, and see that they do."""
    for process in processes:
        with suppress(ProcessLookupError):
            process.terminate()
    end = time.monotonic() + SECONDS_TO_LEAVE
    for process in processes:
        try:
            process.wait(max(end - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
