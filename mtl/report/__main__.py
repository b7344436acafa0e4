"""A sweep's report made again: ``python -m mtl.report WHAT``."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mtl import results
from mtl.errors import UserError
from mtl.report.summary import Downloads, summarise
from mtl.report.write import sweep_tables, write_summary
from mtl.results import TrackedRun
from mtl.terminal import show
from mtl.tracking import journal, process

STORE_TIMEOUT_S = 10.0


def tracked_runs(what: str, uri: str, experiment: str) -> tuple[list[TrackedRun], Downloads | None]:
    """The runs that are meant, in the order of launch, and where their artifacts are to be had.

    Parameters
    ----------
    what : str
        Folder of a sweep, id of its own run, or name of an experiment.
    uri : str
        Of the MLflow store.
    experiment : str
        That holds the sweep, where an id is given.

    Raises
    ------
    UserError
        If there is nothing of the kind.
    """
    from mtl.tracking.mlflow_tracking import MLflowTracking

    folder = Path(what).absolute()
    if folder.is_dir() and journal.journals(folder):  # else a folder that is called as an experiment is
        found = journal.recorded(folder)
        where, tracking = f"recorded in {what}", None
    elif re.fullmatch("[0-9a-f]{32}", what):
        tracking = MLflowTracking(uri, experiment, None, timeout_s=STORE_TIMEOUT_S)
        found = tracking.runs(parent=what)
        where = f"below run {what} in experiment '{experiment}' of {uri}; --experiment and --uri say where to look"
    else:
        tracking = MLflowTracking(uri, what, None, timeout_s=STORE_TIMEOUT_S)
        found = tracking.runs()
        where = f"recorded in a folder '{what}' or in an experiment of that name in {uri}; --uri says where to look"
    jobs = [_with_older_names(run) for run in journal.in_order(found) if run.tags.get("sweep") != "parent"]
    if not jobs:
        raise UserError(f"No run is {where}.")
    return jobs, tracking


def _with_older_names(run: TrackedRun) -> TrackedRun:
    """The run, KILLED where its process died without a word."""
    dead = run.status == "RUNNING" and process.is_dead(run.tags)
    return replace(run, status="KILLED", tags={**run.tags, results.FAILURE: results.NO_WORD}) if dead else run


def _main_task(runs: Sequence[TrackedRun]) -> str:
    """What the runs are judged by."""
    found = list(dict.fromkeys(run.params["main_task"] for run in runs if "main_task" in run.params))
    if len(found) != 1:
        raise UserError(f"The runs' main tasks are {found}: --main-task says which one is meant.")
    return found[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: ``python -m mtl.report WHAT``."""
    parser = argparse.ArgumentParser(
        prog="python -m mtl.report", description="A sweep's table and figures again, from what was tracked."
    )
    parser.add_argument("what", help="id of the sweep's own run, its folder, or the name of an experiment")
    parser.add_argument("--uri", default="sqlite:///mlflow.db", help="MLflow store (default %(default)s)")
    parser.add_argument("--experiment", default="mtl", help="that holds the sweep of that id (default %(default)s)")
    parser.add_argument("--main-task", help="what is compared, where runs differ in it")
    parser.add_argument("--to", type=Path, help="folder to write to (default report/WHAT)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        runs, tracking = tracked_runs(options.what, options.uri, options.experiment)
        summary = summarise(runs, options.main_task or _main_task(runs), tracking)
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
