"""The files of a run: predictions, weights, trace, tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mtl import files
from mtl.data.annotations import annotation_lines
from mtl.results import Relation, directions, pairs
from mtl.trace import Trace
from mtl.tracked_numbers import WHOLE_SET
from mtl.tracking.journal import ROOM as ROOM

if TYPE_CHECKING:
    from mtl.evaluation.evaluation import Evaluated

ROC_COLUMNS = ["false_positive_rate", "true_positive_rate"]
ROWS_AT_ONCE = 2**16  # as python strings, which take several times their text


def whole_artifacts(artifacts: Path, size: int = 0) -> AbstractContextManager[Path]:
    """A folder to write to, whose files become artifacts only when the block was left without an error.

    Parameters
    ----------
    artifacts : Path
    size : int
        Bytes that will be written, or less.

    Raises
    ------
    UserError
        If there is no room; nothing is left behind then.
    """
    return files.whole_files(artifacts, size, ROOM)


def table_digest(frames: pd.DataFrame) -> str:
    """36 characters that tell one frame table from another: paths, classes and splits in their order."""
    hashed = hashlib.blake2b(digest_size=18)
    for column in ("path", "class_name", "split"):
        for start in range(0, len(frames), ROWS_AT_ONCE):
            values = frames[column].iloc[start : start + ROWS_AT_ONCE].astype("string[pyarrow]").array
            hashed.update(pd.util.hash_array(np.asarray(values, dtype=object)).tobytes())
    return hashed.hexdigest()


def write_annotations(path: Path, frames: pd.DataFrame, split: str) -> None:
    """Write the annotation file of a split, a line per frame in the table's order."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for start in range(0, len(frames), ROWS_AT_ONCE):
            file.write(annotation_lines(frames.iloc[start : start + ROWS_AT_ONCE], split))


def write_json(path: Path, content: object) -> None:
    """Write content as indented JSON."""
    path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


def write_weights(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name, without pickle."""
    np.savez(path, **weights)  # type: ignore[arg-type]


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name, as `write_weights` left them."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def write_trace(path: Path, trace: Trace) -> None:
    """Write the trace's arrays, without pickle."""
    arrays = {name: value for name, value in vars(trace).items() if isinstance(value, np.ndarray)}
    scalars = {
        "tasks": np.array(trace.tasks),
        "layer_groups": np.array(trace.layer_groups, dtype=str),
        "steps_per_epoch": np.array(trace.steps_per_epoch),
    }
    np.savez_compressed(path, **arrays, **scalars)  # type: ignore[arg-type]


def read_trace(path: Path) -> Trace:
    """The trace that `write_trace` left."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    tasks, groups = (tuple(map(str, arrays.pop(name))) for name in ("tasks", "layer_groups"))
    return Trace(tasks=tasks, layer_groups=groups, steps_per_epoch=int(arrays.pop("steps_per_epoch")), **arrays)


def write_tables(folder: Path, evaluated: Evaluated, relations: Mapping[str, Relation], trace: Trace) -> None:
    """Scores, classes, confusion matrices, ROC curves and relations as csv."""
    folder.mkdir(parents=True, exist_ok=True)
    scores = pd.DataFrame({name: vars(score) for name, score in evaluated.scores.items()}).T
    scores.to_csv(folder / "scores.csv", index_label="score")
    evaluated.classes.to_csv(folder / "classes.csv", index=False)
    for task, table in evaluated.confusions.items():
        table.to_csv(folder / f"confusion_{task}.csv")
    curves = {task: pd.DataFrame(dict(zip(ROC_COLUMNS, rates, strict=True))) for task, rates in evaluated.roc.items()}
    pd.concat(curves or {"": pd.DataFrame(columns=ROC_COLUMNS)}, names=["task"]).droplevel(1).to_csv(folder / "roc.csv")
    for name, relation in relations.items():
        values = pd.DataFrame(relation.values, index=trace.tasks, columns=trace.tasks)
        values.to_csv(folder / f"{name}.csv", index_label="task")
    relations_table(relations, trace.tasks).to_csv(folder / "relations.csv", index=False)


def relations_table(relations: Mapping[str, Relation], tasks: Sequence[str]) -> pd.DataFrame:
    """Every number of every relation, one row each.

    Returns
    -------
    DataFrame
        `measure`, `source`, `recipient` (of a symmetric measure each pair once; `all_tasks` and nothing
        for a number of all tasks together),
        `epoch` (empty for the number after the warm-up), `layers` (empty for all of
        the shared parameters), `value`, `low`, `high`, `spread` between batches, `baseline`.
    """
    rows = []
    for name, relation in relations.items():
        if relation.of_set is not None:
            rows.append({"measure": name, "source": WHOLE_SET, "recipient": "", "value": relation.of_set})
        for _, a, b in directions(tasks) if relation.directed else pairs(tasks):
            pair = {"measure": name, "source": tasks[a], "recipient": tasks[b]}
            more = {key: getattr(relation, key) for key in ("low", "high", "spread")}
            more["baseline"] = None if relation.baseline is None else relation.baseline.values
            known = {key: matrix[a, b] for key, matrix in more.items() if matrix is not None}
            rows.append(pair | {"value": relation.values[a, b]} | known)
            rows += [pair | {"layers": group, "value": one[a, b]} for group, one in relation.by_layer.items()]
            if relation.trajectory is not None and relation.trajectory_epochs is not None:
                epochs = zip(relation.trajectory_epochs, relation.trajectory, strict=True)
                rows += [pair | {"epoch": epoch, "value": one[a, b]} for epoch, one in epochs]
    columns = ["measure", "source", "recipient", "epoch", "layers", "value", "low", "high", "spread", "baseline"]
    return pd.DataFrame(rows, columns=columns).astype({"epoch": "Int64"})
