"""The tables of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from rich.console import RenderableType
from rich.text import Text

from mtl.formatting import interval, number, terminal_table
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
    if len(result.tasks) > 1 and result.relations:
        table = pairs_table(result.relations, result.tasks)
        for i in range(0, table.shape[1], PAIRS_SIDE_BY_SIDE):
            shown.append(terminal_table("Relations of pairs", table.iloc[:, i : i + PAIRS_SIDE_BY_SIDE]))
    notes = {f"auc of {task}": reason for task, reason in scores["reason"].items() if reason}
    notes |= {name: each.reason for name, each in result.relations.items() if each.reason and len(result.tasks) > 1}
    return [*shown, *(Text(f"{name}: {reason}", style="dim") for name, reason in notes.items())]


def pairs_table(relations: Mapping[str, Relation], tasks: Sequence[str]) -> pd.DataFrame:
    """Measures down, pairs across."""
    table = pair_table(relations, tasks).map(number).T
    table.index = pd.Index([str(name).replace("_", " ") for name in table.index], name="measure")
    return table
