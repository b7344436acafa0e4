"""The tables of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from rich.console import RenderableType
from rich.text import Text

from mtl.formatting import SPACE, interval, number, terminal_table
from mtl.report.tables import INTERVAL, SCORES, intervals
from mtl.results import Relation, Result, Score, pairs

PAIRS_SIDE_BY_SIDE = 6  # all pairs of four tasks fit into 80 columns


def task_table(scores: Mapping[str, Score], tasks: Sequence[str]) -> pd.DataFrame:
    """Scores by task.

    Returns
    -------
    DataFrame
        Tasks as index; `auc`, `low`, `high`, `average_precision`,
        `balanced_accuracy`, `f1`, and `reason` where the AUC is undefined or
        leaves something out.
    """
    rows = []
    for task in tasks:
        auc = scores.get(f"auc/{task}", Score(float("nan")))
        row: dict[str, object] = {"task": task, "auc": auc.value, "low": auc.low, "high": auc.high}
        row |= {name: scores[f"{name}/{task}"].value for name in SCORES[1:] if f"{name}/{task}" in scores}
        rows.append(row | {"reason": auc.reason})
    return pd.DataFrame(rows, columns=["task", "auc", "low", "high", *SCORES[1:], "reason"]).set_index("task")


def event_tables(scores: Mapping[str, Score], tasks: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """Scores by annotated events as text: a title and a table of frames, and of alarms; none without events."""
    if "event_frames/scored" not in scores:
        return []

    def column(kind: str, names: Sequence[str], digits: int = 3) -> list[str]:
        return [number(scores[f"{kind}/{name}"].value, digits) for name in names]

    def with_ends(kind: str, names: Sequence[str], digits: int) -> list[str]:
        found = [scores[f"{kind}/{name}"] for name in names]
        return [
            f"{number(each.value, digits)}{SPACE}({number(each.low, digits)}–{number(each.high, digits)})"
            if np.isfinite(each.low)
            else number(each.value, digits)
            for each in found
        ]

    n = {name: f"{scores[name].value:,.0f}" for name in scores if name.startswith("event_")}
    frames = pd.DataFrame(index=pd.Index(tasks, name="task"))
    frames["AUC by events"] = column("auc_event", tasks)
    frames[INTERVAL] = [interval(scores[f"auc_event/{task}"].low, scores[f"auc_event/{task}"].high) for task in tasks]
    frames["AP by events"] = column("average_precision_event", tasks)
    frames["AUC in anomalous videos"] = column("auc_event_anomalous", tasks)
    frames["AUC by video labels"] = column("auc", tasks)
    frames["AUC of videos"] = column("video_auc_mean", tasks)
    title = (
        f"By the annotated events: {n['event_frames/scored']} frames, {n['event_frames/inside']} in events, "
        f"{n['event_videos/annotated']} of {n['event_videos/test']} videos"
    )
    binary = [task for task in tasks if f"events_found/{task}" in scores]
    if not binary:
        return [(title, frames)]
    alarms = pd.DataFrame(index=pd.Index(binary, name="task"))
    for kind, label, digits in (
        ("false_alarms_per_hour", "false alarms per hour", 1),
        ("events_found", "events found", 2),
        ("alarm_delay_s", "median delay in s", 1),
    ):
        alarms[label] = with_ends(kind, binary, digits)
    alarms["ECE"] = column("calibration_error", binary)
    return [(title, frames), (f"Alarms, from a threshold that validation videos chose ({INTERVAL}s)", alarms)]


def pair_table(relations: Mapping[str, Relation], tasks: Sequence[str]) -> pd.DataFrame:
    """Relations by pair of tasks.

    Returns
    -------
    DataFrame
        ``<a>_vs_<b>`` as index, one column per measure. A directed measure has
        two: ``<measure>`` from a to b, ``<measure> (back)`` from b to a. A symmetric
        one with a permutation baseline has ``<measure> (permutation baseline)`` beside it.
    """
    named = pairs(tasks)
    columns: dict[str, list[float]] = {}
    for name, relation in relations.items():
        matrix = np.asarray(relation.values)
        columns[name] = [matrix[a, b] for _, a, b in named]
        if not np.allclose(matrix, matrix.T, equal_nan=True):
            columns[f"{name} (back)"] = [matrix[b, a] for _, a, b in named]
        if relation.baseline is not None and not relation.directed:
            columns[f"{name} (permutation baseline)"] = [relation.baseline.values[a, b] for _, a, b in named]
    return pd.DataFrame(columns, index=pd.Index([name for name, _, _ in named], name="pair"))


def run_tables(result: Result) -> list[RenderableType]:
    """What one run found, for a terminal: scores by task, relations by pair, and notes."""
    scores = task_table(result.scores, result.tasks)
    table = pd.DataFrame(index=scores.index)
    table["AUC"] = [number(value) for value in scores["auc"]]
    table[INTERVAL] = intervals(scores, interval)
    for name in SCORES[1:]:
        table[name.replace("_", " ").replace("f1", "F1")] = [number(value) for value in scores[name]]
    shown: list[RenderableType] = [terminal_table("Test scores", table)]
    shown += [terminal_table(title, table) for title, table in event_tables(result.scores, result.tasks)]
    if len(result.tasks) > 1 and result.relations:
        table = pairs_table(result.relations, result.tasks)
        for i in range(0, table.shape[1], PAIRS_SIDE_BY_SIDE):
            shown.append(terminal_table("Relations of pairs", table.iloc[:, i : i + PAIRS_SIDE_BY_SIDE]))
        together = whole_set_table(result.relations)
        if len(together) and len(result.tasks) > 2:  # of two the pair is the set
            shown.append(terminal_table("Relations of the whole set", together))
    notes = {f"auc of {task}": reason for task, reason in scores["reason"].items() if reason}
    notes |= {
        f"{kind.replace('_', ' ')} of {task}": result.scores[f"{kind}/{task}"].reason
        for kind in ("auc_event", "false_alarms_per_hour")
        for task in result.tasks
        if f"{kind}/{task}" in result.scores and np.isnan(result.scores[f"{kind}/{task}"].value)
    }
    notes |= {name: each.reason for name, each in result.relations.items() if each.reason and len(result.tasks) > 1}
    return [*shown, *(Text(f"{name}: {reason}", style="dim") for name, reason in notes.items())]


def whole_set_table(relations: Mapping[str, Relation]) -> pd.DataFrame:
    """Measures down that have one number of all tasks together, and that number."""
    found = {name: relation.of_set for name, relation in relations.items() if relation.of_set is not None}
    index = pd.Index([name.replace("_", " ") for name in found], name="measure")
    return pd.DataFrame({"all tasks together": [number(value) for value in found.values()]}, index=index)


def pairs_table(relations: Mapping[str, Relation], tasks: Sequence[str]) -> pd.DataFrame:
    """Measures down, pairs across."""
    table = pair_table(relations, tasks).map(number).T
    table.index = pd.Index([str(name).replace("_", " ") for name in table.index], name="measure")
    return table
