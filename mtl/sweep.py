"""The multirun: what it would run, one parent run over its jobs, and the table at its end."""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import re
import signal
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from mtl import commandline, jobs
from mtl.journal import HOST, PROCESS, this_host, this_process
from mtl.mistakes import Mistake
from mtl.terminal import hush, show

if TYPE_CHECKING:
    from mtl.journal import TrackedRun

log = logging.getLogger(__name__)

ONE_BY_ONE = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
ALL_AT_ONCE = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"
PRODUCT = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_LEAVE = 20.0
# parameters that say how long a run takes, the most telling last
COSTLY = ("data", "backbone", "freeze", "training.epochs", "weighting", "tasks")


class Sweep(Callback):
    """Opens the parent run before the first job and closes it, with the summary, after the last.

    `on_multirun_end` is not called by Hydra 1.3 after a failed job or Ctrl-C, so
    `finish` hangs on the end of the command line as well, and does its work once.
    """

    def __init__(self) -> None:
        self._parent: Any = None
        self._tracking: Any = None
        self._main_task = ""
        self._stop_after: int | None = None
        self._owner = 0
        self._answers = False
        self._handed: jobs.Sweep | None = None
        self._watch: Watch | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What a launcher's worker gets: nothing of the parent run, which is this process's alone."""
        nothing = dict.fromkeys(("_parent", "_tracking", "_watch"))
        return self.__dict__ | nothing | {"_owner": 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in a launcher's worker, before it composes a job."""
        commandline.expect_presets()
        self.__dict__.update(state)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Create store, experiment and parent once, before any job could race for them."""
        try:
            self._open(config)
        except Exception as error:  # Hydra would make a warning of it and run the jobs without a sweep
            said = commandline.explained(error)
            print(said or traceback.format_exc(), file=sys.stderr)  # noqa: T201
            if self._parent is not None:
                self._parent.end("FAILED")
            sys.exit(1)

    def _open(self, config: DictConfig) -> None:
        """Check and plan the sweep, and open its own run."""
        from hydra.utils import instantiate

        from mtl.experiment import check_switches, finished_runs

        OmegaConf.resolve(config.tracking)
        words = [str(word) for word in config.hydra.overrides.task]
        commandline.check_choices(words)
        check_switches(config)
        launcher = str(config.hydra.launcher["_target_"])
        check_launcher(launcher)
        self._tracking = instantiate(config.tracking)
        if config.dry_run:
            for line in dry_run(planned(config, finished_runs(self._tracking)), _at_once(config)):
                show(line)
            sys.exit(0)
        self._tracking.prepare()
        self._answers = _close_stale(self._tracking)
        plan = planned(config, finished_runs(self._tracking) if self._answers else [])
        folder = _own_folder(config)
        self._parent = self._tracking.start(_name(words), folder, None, {"sweep": "parent"})
        self._main_task, self._stop_after = str(config.main_task), config.stop_after
        here = this_process()
        self._handed = jobs.Sweep(
            parent=self._parent.id,
            folder=str(folder),
            n_jobs=len(plan.jobs),
            quiet=launcher != ONE_BY_ONE,
            digests=plan.digests,
            known=[number for number, job in enumerate(plan.jobs) if job.before is not None],
            common=plan.common,
            output=jobs.output(),
            host=here[HOST],
            process=here[PROCESS],
            slots=_at_once(config) if launcher == ALL_AT_ONCE else 0,
        )
        self._owner = os.getpid()
        os.environ[jobs.SWEEP] = self._handed.text()
        self._watch = Watch(self._handed, self._main_task)
        if self._handed.quiet:
            self._watch.start()
        commandline.closing.append(self.finish)
        atexit.register(self.finish, interrupted=False)
        if plan.jobs:
            show(_opening(plan, self._handed))
        for line in _never_reused(config, plan, self._tracking.uri):
            show(line)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Say which job begins; in a launcher's worker, tell the job of its sweep and keep quiet."""
        if self._handed is None:
            return
        number, of = int(config.hydra.job.num) + 1, f"/{self._handed.n_jobs}" if self._handed.n_jobs else ""
        if self._owner == os.getpid():
            if not self._handed.quiet:
                from mtl.experiment import run_name

                choices, task = dict(config.hydra.runtime.choices), list(config.hydra.overrides.task)
                words = [word for word in task if word not in self._handed.common]
                left = self._watch.seconds_left() if self._watch else None
                more = f" (about {jobs.duration(left)} left for all)" if left else ""
                show(f"\n[{number}{of}] {run_name(choices, words)}{more}")
            return
        os.environ[jobs.SWEEP] = self._handed.text()
        commandline.leave_on_sigterm()
        jobs.leave_with(self._handed)
        if self._handed.quiet and self._handed.output == jobs.output():
            hush(f"[job {number}{of}] ")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """All jobs came to an end."""
        self.finish(interrupted=False)

    def finish(self, interrupted: bool) -> None:
        """Put the summary into the parent and on the terminal, and close the parent truthfully.

        Parameters
        ----------
        interrupted : bool
            Whether a person or the system ended the sweep before its end.
        """
        if self._parent is None or self._owner != os.getpid() or self._handed is None:
            return
        parent, self._parent = self._parent, None
        atexit.unregister(self.finish)
        if self.finish in commandline.closing:
            commandline.closing.remove(self.finish)
        os.environ.pop(jobs.SWEEP, None)
        _end_jobs(parent.folder) if interrupted else _await_jobs(self._handed)
        if self._watch is not None:
            self._watch.stop()
        if self._answers:
            _close_stale(self._tracking)
        from mtl import design, report
        from mtl.tracking import recorded

        runs = [run for run in recorded(parent.folder) if run.tags.get("sweep") != "parent"]
        statuses = {run.status for run in runs}
        written = parent.folder / "summary"
        try:
            summary = report.summarise(runs, self._main_task, self._tracking)
            for shown in report.sweep_tables(summary):
                show(shown)
            parent.text(report.markdown(summary))
            report.write_summary(written, summary)
            parent.artifacts(written)
        except Exception:  # whatever is wrong with a report, the parent is closed
            log.exception("The report was not made; `python -m mtl.report %s` tries again.", parent.folder)
        for line in self._notes(parent.folder):
            show(line)
        bad = statuses & {"FAILED", "KILLED", "RUNNING"} or self._n_missing(len(runs)) > 0
        parent.end("KILLED" if interrupted else "FAILED" if bad else "FINISHED")
        show(f"report   {written / 'summary.html'}")
        ids, metric = [run.id for run in runs], f"auc/{self._main_task}"
        for line in self._tracking.where_to_look(ids, metric, parent.id, design.one_per_set(runs)):
            show(line)

    def _notes(self, folder: Path) -> Iterator[str]:
        """What the table does not say: what was reused, where tracebacks are, why the sweep stopped."""
        found = jobs.read_jobs(folder)
        reused = sum(job.reused for job in found)
        if reused:
            yield f"{reused} of {len(found)} jobs were done already and are reused (rerun=true trains them again)."
        yield from jobs.time_lines(found)
        for trace in sorted(folder.rglob("failure/traceback.txt")):
            yield f"traceback: {trace}"
        reason = jobs.failed_alike(found, self._stop_after) if self._stop_after else ""
        missing = self._n_missing(len(found))
        if reason and missing > 0:
            yield f"{jobs.stopped_line(self._stop_after or 0)} {reason}"
        if missing > 0:
            not_begun = "1 job was" if missing == 1 else f"{missing} jobs were"
            yield f"{not_begun} not begun; the same command runs what is missing."

    def _n_missing(self, begun: int) -> int:
        """Jobs that were never begun, as far as is known how many there should be."""
        return max((self._handed.n_jobs if self._handed else 0) - begun, 0)


def check_launcher(target: str) -> None:
    """Raise `Mistake` where the launcher is not installed: Hydra would say so after the sweep has been opened.

    Parameters
    ----------
    target : str
        Full name of its class.
    """
    try:
        importlib.import_module(target.rpartition(".")[0])
    except ImportError as error:
        extra = re.match(r"hydra_plugins\.hydra_(\w+)_launcher\.", target)
        right = f'; right would be `pip install -e ".[{extra[1]}]"`' if extra else ""
        raise Mistake(f"hydra/launcher: {target} cannot be imported ({error}){right}.") from error


# --- what would run ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    """A job that a sweep would run.

    Attributes
    ----------
    name : str
    params : mapping of str to str
        As they would be tracked.
    before : TrackedRun or None
        The finished run that has its result already.
    seconds : float or None
        How long it would take, by the runs of the store.
    """

    name: str
    params: Mapping[str, str]
    before: TrackedRun | None
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """All jobs of a sweep, the digests of their data by `fingerprint.data_key`, and the overrides that all have."""

    jobs: Sequence[Planned]
    digests: Mapping[str, str]
    common: Sequence[str]


def planned(config: DictConfig, finished: Sequence[TrackedRun]) -> Plan:
    """What the sweep of this command line consists of, and what of it is done.

    Parameters
    ----------
    config : DictConfig
        As Hydra composes it for a multirun.
    finished : sequence of TrackedRun
        Of the store.

    Notes
    -----
    The data are looked at only where the store has a finished run at all. A
    sweeper that decides as it goes has no plan.
    """
    from mtl.experiment import parameters, plain_config, run_name
    from mtl.fingerprint import data_key, fingerprint

    marks = {} if config.rerun else {run.tags["fingerprint"]: run for run in finished if "fingerprint" in run.tags}
    digests: dict[str, str] = {}
    found = []
    composed = list(_composed(config))
    common = set.intersection(*(set(words) for words, _, _ in composed)) if len(composed) > 1 else set()
    for words, choices, job in composed:
        plain = plain_config(job)
        key, before = data_key(plain), None
        if marks:
            if key not in digests:
                digests[key] = _digest(job)
            before = marks.get(fingerprint(plain, digests[key])) if digests[key] else None
        params = {name: str(value) for name, value in parameters(job, choices).items()}
        own = [word for word in words if word not in common]
        found.append(Planned(run_name(choices, own), params, before, _seconds(params, finished)))
    return Plan(found, {key: digest for key, digest in digests.items() if digest}, sorted(common))


def _composed(config: DictConfig) -> Iterator[tuple[list[str], dict[str, Any], DictConfig]]:
    """Overrides, choices and config of every job, as Hydra's own sweeper will make them.

    Composing takes a tenth of a second; jobs that differ in their seed alone are
    composed once.
    """
    from hydra.core.global_hydra import GlobalHydra

    loader = GlobalHydra.instance().config_loader()
    composed: dict[tuple[str, ...], DictConfig] = {}
    for words in _expanded(config, loader):
        rest = tuple(word for word in words if not word.startswith("seed="))
        if rest not in composed:
            composed[rest] = loader.load_sweep_config(config, list(words))
        job = composed[rest].copy()
        choices = dict(job.hydra.runtime.choices)
        task = [word for word in words if not word.startswith(("hydra.", "hydra/", "+hydra.", "++hydra."))]
        with read_write(job), open_dict(job):
            if len(rest) < len(words):
                job.seed = _seed(next(word[5:] for word in words if word.startswith("seed=")))
            del job["hydra"]
        yield task, choices, job


def _seed(word: str) -> int:
    """The seed of an override."""
    if not word.isdecimal():
        raise Mistake(f"seed: should be a whole number from 0 on, found {word!r}.")
    return int(word)


def _expanded(config: DictConfig, loader: Any) -> list[list[str]]:
    """Overrides of every job; none where another sweeper than Hydra's own makes them."""
    if config.hydra.sweeper["_target_"] != PRODUCT:
        return []
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    words += [str(word) for word in config.hydra.overrides.task]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(words)
    return [list(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]


def _digest(job: DictConfig) -> str:
    """Digest of a job's data; empty where they cannot be read, which the job itself will say."""
    from mtl.experiment import build, data_digest

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # the jobs will say it all
    try:
        data = build(job.data)
        data.check()
        return data_digest(data.frames(), data.root)
    except Exception:  # whatever it is, the job meets it too, and has a row for it
        return ""
    finally:
        logging.disable(before)


def _seconds(params: Mapping[str, str], finished: Sequence[TrackedRun]) -> float | None:
    """Median time of the finished runs most like this one; None where none is like it."""
    for known in range(len(COSTLY), 2, -1):
        keys = COSTLY[:known]
        wanted = [params.get(key) for key in keys]
        times = [
            (run.end - run.start).total_seconds()
            for run in finished
            if run.end and run.start and [run.params.get(key) for key in keys] == wanted
        ]
        if times:
            return statistics.median(times)
    return None


def dry_run(plan: Plan, at_once: int) -> list[str]:
    """Lines that say what a sweep would run and what is done already.

    Parameters
    ----------
    plan : Plan
    at_once : int
        How many jobs run side by side.
    """
    if not plan.jobs:
        return ["This sweeper chooses its jobs as it goes: nothing is known in advance."]
    lines = []
    for number, job in enumerate(plan.jobs, start=1):
        about = "" if job.seconds is None else f", about {jobs.duration(job.seconds)}"
        what = f"done already (run {job.before.id})" if job.before else f"would run{about}"
        lines.append(f"[{number}/{len(plan.jobs)}] {job.name}: {what}")
    todo = [job for job in plan.jobs if job.before is None]
    done = len(plan.jobs) - len(todo)
    known = [job.seconds for job in todo if job.seconds is not None]
    lines.append(f"{len(plan.jobs)} jobs: {done} done already, {len(todo)} would run.")
    if todo and known:
        rough = statistics.mean(known) * len(todo) / min(at_once, len(todo))
        side = f", {at_once} at once" if at_once > 1 else ""
        lines.append(f"About {jobs.duration(rough)}{side}, by the times of like runs in this store.")
    elif todo:
        lines.append("How long it takes is not known: the store has no like run yet.")
    return lines


def _opening(plan: Plan, sweep: jobs.Sweep) -> str:
    """The sweep's first line."""
    done = f"; {len(sweep.known)} done already and reused" if sweep.known else ""
    todo = [job.seconds for job in plan.jobs if job.before is None and job.seconds is not None]
    rough = f"; about {jobs.duration(sum(todo))} of work" if todo else ""
    return f"sweep of {len(plan.jobs)} job{'s' * (len(plan.jobs) > 1)} in {sweep.folder}{done}{rough}"


def _never_reused(config: DictConfig, plan: Plan, uri: str) -> list[str]:
    """Why nothing that is done already can be found, where that is so."""
    if config.rerun:
        return []
    if not uri:
        return ["tracking=none keeps no store, so what was done before is not known: every job is trained."]
    if not plan.jobs:
        return ["This sweeper chooses its jobs as it goes, so none is known to be done already: every job is trained."]
    return []


def _at_once(config: DictConfig) -> int:
    """How many jobs the chosen launcher runs side by side on this machine."""
    launcher = config.hydra.launcher
    cores = os.cpu_count() or 1
    if "n_jobs" in launcher:
        return int(launcher.n_jobs) if int(launcher.n_jobs) > 0 else cores
    if launcher["_target_"] == ALL_AT_ONCE:
        return max(1, cores // int(launcher.cpus_per_task or 1))
    return 1


def _own_folder(config: DictConfig) -> Path:
    """The sweep's folder, made; another sweep's is never written to, a number is put behind the name."""
    wanted = Path(str(config.hydra.sweep.dir)).absolute()
    folder = wanted
    for number in range(2, 10_000):
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            (folder / ".sweep").touch(exist_ok=False)  # one of two sweeps that ask at once is first
            break
        folder = wanted.with_name(f"{wanted.name}-{number}")
    if folder != wanted:
        quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
        given = config.hydra.overrides.hydra
        kept = [word for word in given if not word.startswith("hydra.sweep.dir=")]
        for node in (config.hydra.sweep, config.hydra.overrides):
            OmegaConf.set_readonly(node, False)
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra = [*kept, f"hydra.sweep.dir='{quoted}'"]  # jobs are composed from these
    return folder


# --- while it runs ----------------------------------------------------------------------------------------------------


class Watch(threading.Thread):
    """Says a line for every job that has come to its end, whatever process on whatever machine it ran in."""

    def __init__(self, sweep: jobs.Sweep, main_task: str) -> None:
        super().__init__(daemon=True)
        self._sweep, self._main_task = sweep, main_task
        self._over = threading.Event()
        self._begun: set[Path] = set()
        self._said: set[Path] = set()

    def run(self) -> None:
        """Look now and then."""
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            self.look()

    def stop(self) -> None:
        """Say what is left to say."""
        self._over.set()
        if self.is_alive():
            self.join()
            self.look()

    def look(self) -> None:
        """Say what has begun and what has ended since the last look."""
        found = jobs.read_jobs(Path(self._sweep.folder))
        for job in found:
            if job.status == "RUNNING" and job.folder not in self._begun:
                self._begun.add(job.folder)
                show(jobs.begun_line(job, self._sweep))
        ended = sorted((job for job in found if job.status != "RUNNING"), key=lambda job: job.ended)
        left = jobs.seconds_left(found, self._sweep)
        for done, job in enumerate(ended, start=1):
            if job.folder not in self._said:
                self._said.add(job.folder)
                show(jobs.ended_line(job, done, self._sweep, self._main_task, left if job is ended[-1] else None))

    def seconds_left(self) -> float | None:
        """Rough time to the end."""
        return jobs.seconds_left(jobs.read_jobs(Path(self._sweep.folder)), self._sweep)


def _running(folder: Path) -> list[int]:
    """Processes of this machine that still work at the sweep's jobs."""
    running = [job.tags for job in jobs.read_jobs(folder) if job.status == "RUNNING"]
    pids = {int(tags[PROCESS].partition("@")[0]) for tags in running if tags.get(HOST) == this_host()}
    return sorted(pids - {os.getpid()})


def _await_jobs(sweep: jobs.Sweep) -> None:
    """A launcher that gave up may have left jobs at work, or waiting for a slot: their rows are worth the wait."""
    folder, last = Path(sweep.folder), time.monotonic()
    while _running(folder) or (sweep.slots and time.monotonic() - last < SECONDS_TO_LEAVE):
        if _running(folder):
            last = time.monotonic()
        if len([job for job in jobs.read_jobs(folder) if job.status != "RUNNING"]) == sweep.n_jobs:
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _end_jobs(folder: Path) -> None:
    """Ask jobs of this machine that are still at work to end, and see that they do."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _running(folder):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        end = time.monotonic() + SECONDS_TO_LEAVE
        while _running(folder) and time.monotonic() < end:
            time.sleep(0.1)


def _close_stale(tracking: Any) -> bool:
    """Close runs of dead processes and say whether the store answers; that it does not is said when a run starts."""
    try:
        tracking.close_stale()
    except Mistake:
        return False
    return True


def _name(words: list[str]) -> str:
    """What was asked for."""
    return f"sweep {' '.join(words)}"[:250]
