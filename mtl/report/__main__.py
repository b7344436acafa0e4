"""A sweep's report made again: ``python -m mtl.report WHAT``."""

from __future__ import annotations

import argparse
import functools
import logging
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mtl import results
from mtl.ablation.margin import checked_margin
from mtl.errors import UserError, nearest
from mtl.report.judge import judge_of
from mtl.report.study import Study, read_study, study_of
from mtl.report.summary import summarise, summarise_search
from mtl.report.write import sweep_tables, write_summary
from mtl.results import TrackedRun
from mtl.terminal import show
from mtl.tracking import journal, process
from mtl.tracking.mlflow_tracking import MLflowTracking

STORE_TIMEOUT_S = 10.0
RUN_ID = "[0-9a-f]{32}"

log = logging.getLogger(__name__)


def tracked_runs(what: str, uri: str, experiment: str) -> tuple[list[TrackedRun], MLflowTracking | None]:
    """The runs that are meant, in the order of launch, and where their artifacts are to be had.

    Parameters
    ----------
    what : str
        Folder of a sweep or a run, id of a sweep's own run or of another one, or name of an experiment.
    uri : str
        Of the MLflow store.
    experiment : str
        That holds the sweep, where an id is given.

    Raises
    ------
    UserError
        If there is nothing of the kind.
    """
    folder = Path(what).absolute()
    if folder.is_dir() and journal.journals(folder):  # else a folder that is called as an experiment is
        found = journal.recorded(folder)
        where, tracking = f"in {what}", None
    elif re.fullmatch(RUN_ID, what):
        tracking = MLflowTracking(uri, experiment, None, timeout_s=STORE_TIMEOUT_S)
        found = tracking.runs(parent=what) or _single(what, tracking)
        where = f"below run {what} in experiment '{experiment}' of {uri}; use --experiment and --uri to look elsewhere"
    else:
        tracking = MLflowTracking(uri, what, None, timeout_s=STORE_TIMEOUT_S)
        found = tracking.without_deleted(tracking.runs())
        where = f"in a folder '{what}' or in an experiment of that name in {uri}; use --uri to look elsewhere"
    jobs = [_with_true_status(run) for run in journal.in_order(found) if run.tags.get("sweep") != "parent"]
    if not jobs:
        raise UserError(f"No run was found {where}.")
    return jobs, tracking


def _single(run_id: str, tracking: MLflowTracking) -> list[TrackedRun]:
    """The run of this id, where it is one that trained and belongs to the experiment that is meant; else nothing."""
    return [run for run in tracking.of_ids([run_id]) if run.tags.get("sweep") != "parent"]


def _draw_missing(what: str, runs: Sequence[TrackedRun], tracking: MLflowTracking | None) -> None:
    """Draw the figures that runs of a sweep were left without, by a kill or a full disk."""
    from mtl.report.pending import draw_recorded, draw_stored, pending
    from mtl.tracking.no_tracking import NoTracking

    work: dict[str, Callable[[], None]] = {}
    if tracking is None:
        for record in pending(Path(what)):
            work[record.first["name"]] = functools.partial(draw_recorded, record, NoTracking())
    else:
        for run in runs:
            if run.status == "FINISHED" and run.tags.get(results.FIGURES) == results.TO_BE_DRAWN:
                work[run.name] = functools.partial(draw_stored, run.tags.get(results.REUSED_FROM, run.id), tracking)
    for name, draw in work.items():
        try:
            draw()
        except (OSError, UserError) as error:
            log.warning("The figures of %s were not drawn (%s).", name, " ".join(str(error).split()))


def _study(what: str, tracking: MLflowTracking | None) -> Study | None:
    """The search that a sweep was, by its folder or the id of its own run; None of whatever else."""
    if tracking is None:
        return read_study(Path(what))
    return study_of(what, tracking) if re.fullmatch(RUN_ID, what) else None


def _with_true_status(run: TrackedRun) -> TrackedRun:
    """The run, KILLED where its process ended without an error message."""
    dead = run.status == "RUNNING" and process.is_dead(run.tags)
    return replace(run, status="KILLED", tags={**run.tags, results.FAILURE: results.NO_WORD}) if dead else run


def _main_task(runs: Sequence[TrackedRun]) -> str:
    """What the runs are judged by."""
    found = list(dict.fromkeys(run.params["main_task"] for run in runs if "main_task" in run.params))
    if len(found) != 1:
        tasks = f"have several main tasks, {', '.join(found)}" if found else "do not name their main task"
        raise UserError(f"The runs {tasks}: choose one with --main-task.")
    return found[0]


def _margin(text: str | None) -> float | None:
    """What --margin says."""
    try:
        return None if text is None else checked_margin(text)
    except UserError as mistake:
        raise UserError(f"--margin: {mistake}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: ``python -m mtl.report WHAT``."""
    parser = argparse.ArgumentParser(
        prog="python -m mtl.report", description="Make the tables and figures of a sweep again from its tracked runs."
    )
    parser.add_argument(
        "what", help="id of the sweep's parent run or of a single run, its folder, or the name of an experiment"
    )
    parser.add_argument("--uri", default="sqlite:///mlflow.db", help="MLflow store (default %(default)s)")
    parser.add_argument(
        "--experiment", default="mtl", help="experiment of the sweep with that id (default %(default)s)"
    )
    parser.add_argument("--main-task", help="main task of the comparison, if the runs have several")
    parser.add_argument(
        "--judge",
        default=results.VIDEO,
        help=f"what test frames are judged by, {' or '.join(results.JUDGES)}: their video's label, or annotated events "
        "(default %(default)s)",
    )
    parser.add_argument(
        "--events", type=Path, metavar="FILE", help="annotation of the test videos (default: the one the runs keep)"
    )
    parser.add_argument(
        "--margin", help="an effect whose whole interval is nearer to zero does not matter (default: that of the runs)"
    )
    parser.add_argument("--to", type=Path, help="folder to write to (default report/WHAT)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        if options.judge not in results.JUDGES:
            raise UserError(f"--judge {options.judge}: {nearest(options.judge, results.JUDGES)}")
        margin = _margin(options.margin)
        runs, tracking = tracked_runs(options.what, options.uri, options.experiment)
        judge = judge_of(options.judge, options.events, runs, tracking)
        told, study = (options.main_task or _main_task(runs), tracking, judge, margin), _study(options.what, tracking)
        summary = summarise(runs, *told) if study is None else summarise_search(study, runs, *told)
        _draw_missing(options.what, runs, tracking)
    except UserError as mistake:
        show(str(mistake))
        return 1
    for shown in sweep_tables(summary):
        show(shown)
    folder = options.to or Path("report") / Path(options.what).name
    write_summary(folder, summary)
    show(str(folder / "summary.html"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
