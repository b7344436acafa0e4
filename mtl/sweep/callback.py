"""Hydra's callback: opens a sweep's parent run and closes it with the summary."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mtl.config import commandline, explain
from mtl.config.credentials import check_credentials
from mtl.config.renamed import rename_sweep
from mtl.errors import UserError
from mtl.job import context, progress, record, said
from mtl.results import AUC_BY, FAILURE, FIGURES, HOST, PROCESS, TO_BE_DRAWN
from mtl.sweep.composed import compose_once
from mtl.sweep.drawing import Drawing
from mtl.sweep.last_jobs import await_jobs, end_jobs
from mtl.sweep.launchers import ALL_AT_ONCE, check_cluster, check_launcher, import_as_here, jobs_at_once
from mtl.sweep.plan import Plan, dry_run, never_reused, planned
from mtl.sweep.sweepers import check_heeded, expected
from mtl.sweep.watch import Watch
from mtl.terminal import complain, hush, show
from mtl.tracking.process import this_process

if TYPE_CHECKING:
    from mtl.job.reuse import FinishedRuns
    from mtl.report.judge import Judge
    from mtl.results import TrackedRun

log = logging.getLogger(__name__)


class SweepCallback(Callback):
    """Opens the parent run before the first job and closes it, with the summary, after the last.

    `on_multirun_end` is not called by Hydra 1.3 after a failed job or Ctrl-C, so
    `finish` hangs on the end of the command line as well, and does its work once.
    """

    def __init__(self) -> None:
        self._parent: Any = None
        self._tracking: Any = None
        self._main_task = ""
        self._stop_after: int | None = None
        self._judged_by, self._judged = "", ""
        self._events: Any = None
        self._owner = 0
        self._answers = False
        self._handed: context.SweepContext | None = None
        self._watch: Watch | None = None
        self._drawing: Drawing | None = None
        self._config: DictConfig | None = None
        self.broken = ""  # why the sweeper itself ended before its end
        self.ended = ""  # why it chose to end, where that is not to be seen in the runs

    def __getstate__(self) -> dict[str, Any]:
        """What a launcher's worker gets: nothing of the parent run, which is this process's alone."""
        nothing = dict.fromkeys(("_parent", "_tracking", "_watch", "_drawing", "_events", "_config"))
        return self.__dict__ | nothing | {"_owner": 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in a launcher's worker, before it composes a job."""
        commandline.expect_presets()
        self.__dict__.update(state)

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a single run's config that holds a password before Hydra writes it down, and words of no use to it."""
        try:
            check_credentials(config)
            check_heeded(config)
        except UserError as error:
            print(error, file=sys.stderr)  # noqa: T201
            sys.exit(1)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Create store, experiment and parent once, before any job could race for them."""
        try:
            self._open(config)
        except Exception as error:  # Hydra would make a warning of it and run the jobs without a sweep
            complain(explain.explain(error) or traceback.format_exc())
            if self._parent is not None:
                self._parent.end("FAILED")
            sys.exit(1)

    def _open(self, config: DictConfig) -> None:
        """Check and plan the sweep, and open its own run."""
        from mtl.config.build import build
        from mtl.config.schema import check_nodes
        from mtl.config.switches import check_switches
        from mtl.job.reuse import FinishedRuns

        self._config = config
        check_credentials(config)
        rename_sweep(config)
        words = [str(word) for word in config.hydra.overrides.task]
        explain.check_choices(config)
        check_switches(config)
        launcher = str(config.hydra.launcher["_target_"])
        check_launcher(launcher)
        check_cluster(config.hydra.launcher)
        check_heeded(config)
        check_nodes(
            {key: OmegaConf.to_container(config[key], resolve=True) for key in ("tracking", "decide", "screening")}
        )
        compose_once()
        asked = expected(config)
        self._judged_by, self._events = config.judge, _events(config)
        self._tracking = build(config.tracking)
        if config.dry_run:
            plan = planned(config, FinishedRuns(self._tracking), asked.jobs)
            for line in (*plan.alike, *dry_run(plan, jobs_at_once(config), asked.lines, asked.most)):
                show(line)
            sys.exit(0)
        self._tracking.prepare()
        self._answers = _close_stale(self._tracking)
        plan = planned(config, self._finished(), asked.jobs)
        folder = _own_folder(config)
        self._parent = self._tracking.start(_name(words), folder, None, {"sweep": "parent"})
        self._main_task, self._stop_after = str(config.main_task), config.stop_after
        self._judged = asked.judged or f"{AUC_BY[config.judge]}/{self._main_task}"
        here = this_process()
        self._handed = context.SweepContext(
            parent=self._parent.id,
            folder=str(folder),
            n_jobs=len(plan.jobs),
            quiet=not config.hydra.verbose,
            digests=plan.digests,
            known=[number for number, job in enumerate(plan.jobs) if job.before is not None],
            common=plan.common or asked.common,
            host=here[HOST],
            process=here[PROCESS],
            slots=jobs_at_once(config) if launcher == ALL_AT_ONCE else 0,
            looks=asked.looks,
            sets=plan.sets,
            screening=asked.screening,
        )
        self._owner = os.getpid()
        self._handed.enter()
        import_as_here()
        self._watch = Watch(self._handed, self._judged)
        commandline.closing.append(self.finish)
        atexit.register(self.finish, interrupted=False)
        if plan.jobs:
            show(_opening(plan, self._handed))
        if config.hydra.job.chdir:
            show(commandline.NO_CHDIR)
        for line in (*plan.alike, *never_reused(config, self._tracking.uri)):
            show(line)
        self._watch.start()
        self._draw(plan)

    def _finished(self) -> FinishedRuns:
        """Finished runs of the store; none where it does not answer, which is said when a run starts."""
        from mtl.job.reuse import FinishedRuns
        from mtl.tracking.no_tracking import NoTracking  # with pandas, which `--help` does without

        return FinishedRuns(self._tracking if self._answers else NoTracking())

    def announce(self, jobs: Sequence[Sequence[str]], first: int) -> None:
        """Let jobs that a sweeper has just chosen be jobs of this sweep, those among them that are done be reused.

        Parameters
        ----------
        jobs : sequence of sequence of str
            Overrides of each.
        first : int
            Number of the first of them.
        """
        sweep = self._handed
        if sweep is None or self._config is None or first + len(jobs) <= sweep.n_jobs:
            return  # those that were planned when the sweep was opened
        plan = planned(self._config, self._finished(), jobs)
        known = [number for number, job in enumerate(plan.jobs, start=first) if job.before is not None]
        n_jobs, digests, sets = first + len(jobs), {**sweep.digests, **plan.digests}, [*sweep.sets, *plan.sets]
        self._handed = replace(sweep, n_jobs=n_jobs, known=[*sweep.known, *known], digests=digests, sets=sets)
        self._handed.enter()
        if self._watch is not None:
            self._watch.watch(self._handed)
        self._draw(plan)

    def _draw(self, plan: Plan) -> None:
        """Have the figures of jobs drawn as these end, where any will have to be drawn."""
        is_drawn = bool(plan.jobs) and all(
            job.before is not None and job.before.tags.get(FIGURES) != TO_BE_DRAWN for job in plan.jobs
        )
        if self._drawing is None and self._handed is not None and self._config is not None and not is_drawn:
            self._drawing = Drawing(Path(self._handed.folder), self._config.tracking)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Have the sweep alone speak; in a launcher's worker, tell the job of its sweep."""
        if self._handed is None and config.hydra.mode == RunMode.MULTIRUN:  # made anew, in a process of the job's own
            with suppress(UserError):  # the job says so itself
                self._handed = context.current()
        if self._handed is None:
            return
        if self._owner != os.getpid():
            self._handed.enter()
            commandline.leave_on_sigterm()
            context.leave_with(self._handed)
        if self._handed.quiet:
            said.listen(self._handed, Path(str(config.hydra.runtime.output_dir)))
        else:
            self._say_which(config, self._handed)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Say how a job of this process ended."""
        hush(None)
        if self._watch is not None:
            self._watch.look()

    def _say_which(self, config: DictConfig, sweep: context.SweepContext) -> None:
        """A head over all that a job says."""
        from mtl.config.choices import told
        from mtl.config.parameters import run_name

        choices, task = told(config, config.hydra.runtime.choices), list(config.hydra.overrides.task)
        name = run_name(choices, [word for word in task if word not in sweep.common])
        show(f"\n[{int(config.hydra.job.num) + 1}{f'/{sweep.n_jobs}' if sweep.n_jobs else ''}] {name}")

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
        context.leave()
        hush(None)
        end_jobs(self._handed) if interrupted else await_jobs(self._handed)
        if self._watch is not None:
            self._watch.stop()
        if self._drawing is not None and not interrupted:
            self._drawing.finish()
        if self._answers:
            _close_stale(self._tracking)
        from mtl.ablation import design
        from mtl.report import write
        from mtl.report.study import read_study
        from mtl.report.summary import summarise, summarise_search

        runs = self.runs()
        statuses = {run.status for run in runs}
        written = parent.folder / "summary"
        try:
            study, told = read_study(parent.folder), (self._main_task, self._tracking, self._judge(runs))
            summary = summarise(runs, *told) if study is None else summarise_search(study, runs, *told)
            for shown in write.sweep_tables(summary):
                show(shown)
            parent.text(write.markdown(summary))
            write.write_summary(written, summary)
            parent.artifacts(written)
        except UserError as error:
            log.warning("The report was not made: %s", error)
        except Exception:  # whatever is wrong with a report, the parent is closed
            log.exception("The report was not made; `python -m mtl.report %s` tries again.", parent.folder)
        if self._drawing is not None:
            self._drawing.close(interrupted)
        for line in filter(None, (self.ended, *self._notes(parent.folder))):
            show(line)
        bad = statuses & {"FAILED", "KILLED", "RUNNING"} or self._n_missing(len(runs)) > 0 or self.broken
        if self.broken:
            parent.tags({FAILURE: self.broken})
        parent.end("KILLED" if interrupted else "FAILED" if bad else "FINISHED")
        show(f"report   {written / 'summary.html'}")
        ids, metric = [run.id for run in runs], self._judged
        for line in self._tracking.where_to_look(ids, metric, parent.id, design.one_per_set(runs)):
            show(line)

    def runs(self) -> list[TrackedRun]:
        """The jobs that have begun, by their records."""
        from mtl.tracking.journal import recorded

        folder = Path(self._handed.folder) if self._handed else Path()
        return [run for run in recorded(folder) if run.tags.get("sweep") != "parent"]

    @property
    def own_run(self) -> str:
        """Id of the sweep's own run; without tracking its folder."""
        return (self._handed.parent or self._handed.folder) if self._handed else ""

    def judged(self) -> tuple[Any, Judge]:
        """Where predictions that do not lie on this machine are to be had, and what judges them."""
        return self._tracking, self._judge(self.runs())

    def _judge(self, runs: list[TrackedRun]) -> Judge:
        """What judges the runs: the events of the file, else those that the runs found with their data."""
        from mtl.report.judge import Judge, judge_of

        if self._events is not None or all(run.status != "FINISHED" for run in runs):
            return Judge(self._judged_by, self._events)
        return judge_of(self._judged_by, None, runs, self._tracking)

    def _notes(self, folder: Path) -> Iterator[str]:
        """What the table does not say: what was reused, where tracebacks are, why the sweep stopped."""
        found = record.read_jobs(folder)
        reused = sum(job.reused for job in found)
        if reused:
            yield f"{reused} of {len(found)} jobs were done already and are reused (rerun=true trains them again)."
        yield from progress.time_lines(found)
        traces = sorted(folder.rglob("failure/traceback.txt"))
        if len(traces) == 1:
            yield f"traceback: {traces[0]}"
        elif traces:
            yield f"{len(traces)} tracebacks, the first of them: {traces[0]}"
        reason = record.failed_alike(found, self._stop_after) if self._stop_after else ""
        missing = self._n_missing(len(found))
        if reason and missing > 0:
            yield f"{context.stopped_line(self._stop_after or 0)} {reason}"
        if missing > 0:
            not_begun = "1 job was" if missing == 1 else f"{missing} jobs were"
            yield f"{not_begun} not begun; the same command runs what is missing."

    def _n_missing(self, begun: int) -> int:
        """Jobs that were never begun, as far as is known how many there should be."""
        return max((self._handed.n_jobs if self._handed else 0) - begun, 0)


Sweep = SweepCallback  # its name before, which stands in configs that people wrote


def _events(config: DictConfig) -> Any:
    """The annotated events, read before any job is run, as a fault in them would be found too late; None without."""
    from mtl.data.events import read_events

    file = OmegaConf.select(config, "data.events")
    return read_events(Path(str(file))) if file else None


def _opening(plan: Plan, sweep: context.SweepContext) -> str:
    """The sweep's first line."""
    done = f"; {len(sweep.known)} done already and reused" if sweep.known else ""
    todo = [job.seconds for job in plan.jobs if job.before is None and job.seconds is not None]
    rough = f"; about {progress.duration(sum(todo))} of work" if todo else ""
    logs = "; what a job says stands in the run.log of its folder" if sweep.quiet else ""
    return f"sweep of {len(plan.jobs)} job{'s' * (len(plan.jobs) > 1)} in {sweep.folder}{done}{rough}{logs}"


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


def _close_stale(tracking: Any) -> bool:
    """Close runs of dead processes and say whether the store answers; that it does not is said when a run starts."""
    try:
        tracking.close_stale()
    except UserError:
        return False
    return True


def _name(words: list[str]) -> str:
    """What was asked for."""
    return f"sweep {' '.join(words)}"[:250]
