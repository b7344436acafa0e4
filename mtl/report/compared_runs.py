"""The runs of a design as they are compared: their predictions, and why some have none."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd

from mtl.ablation import predictions
from mtl.ablation.design import Design, measures_of, tasks_of
from mtl.ablation.event_truth import event_aucs
from mtl.ablation.predictions import ComparedRun, Predicted
from mtl.report.judge import Judge
from mtl.report.stored import PREDICTIONS, Downloads, stored
from mtl.results import DIVERGED, UNTRAINED, TrackedRun


def compared_runs(
    design: Design, main_task: str, tracking: Downloads | None, judge: Judge, split: str = "test"
) -> tuple[list[ComparedRun], list[str], dict[int, dict[str, float]]]:
    """The runs that count and have predictions, a warning for each that has none, and AUCs by events of the i-th.

    Parameters
    ----------
    design : Design
    main_task : str
    tracking : Downloads, optional
        Asked for predictions that do not lie on this machine.
    judge : Judge
        Where events judge, the stored predictions are scored again, for every task.
    split : str
        Whose frames are compared: of test, which judges, or of val, which chooses.
    """
    entries, warnings, scored = [], [], {}
    for i, (run, row) in enumerate(zip(design.runs, design.table.to_dict("records"), strict=True)):
        if not row["counts"]:
            continue
        try:
            predicted, scored[i] = _predicted(run, main_task, tracking, judge, split)
        except (OSError, ValueError) as error:
            warnings.append(f"{run.name}: its predictions cannot be read, so it is left out ({_one_line(error)}).")
            continue
        if run.tags.get(DIVERGED):
            reason = f"it diverged ({run.tags[DIVERGED]})"
            predicted = replace(predicted, fault=predicted.fault and reason)
        condition, arm = place_of(design, run)
        tasks = tasks_of(run) or frozenset({main_task})
        measures = measures_of(run, main_task, tasks)
        place = (str(row["set"]), arm, condition, str(row["seed"]))
        entries.append(ComparedRun(*place, tasks, predicted, measures))
    return entries, warnings, scored


def place_of(design: Design, run: TrackedRun) -> tuple[str, str]:
    """Condition and arm of a run, as they are compared."""
    arm = design.arm(run)
    return design.condition(run), arm if design.axis == "tasks" else f"{design.axis}={arm}"


def _predicted(
    run: TrackedRun, main_task: str, tracking: Downloads | None, judge: Judge, split: str
) -> tuple[Predicted, dict[str, float]]:
    """A run's predictions, from its folder or from the tracking; where events judge, every task's AUC by them."""
    from pyarrow import parquet

    untrained = json.loads(run.tags.get(UNTRAINED, "{}"))
    with stored(run, PREDICTIONS, tracking) as path:
        columns = predictions.needed(parquet.read_schema(path).names, main_task) if judge.truth is None else None
        table = pd.read_parquet(path, columns=columns)
    predicted = predictions.reduced(table, main_task, untrained.get(main_task, ()), judge.truth, split)
    return predicted, event_aucs(table, judge.truth, untrained) if judge.truth is not None else {}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")
