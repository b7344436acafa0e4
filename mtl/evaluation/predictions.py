"""The table of predictions: one row per frame, per task target, logits and probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mtl.tasks import Task, log_odds


def predictions_table(
    frames: pd.DataFrame, targets: Mapping[str, np.ndarray], logits: Mapping[str, np.ndarray], tasks: Mapping[str, Task]
) -> pd.DataFrame:
    """One row per frame: `split`, `video`, `frame`, `class_name`, and per task target, logits and probabilities.

    Returns
    -------
    DataFrame
        ``target/<task>``; ``logit/<task>`` and ``probability/<task>`` for a task of one
        class, else ``logit/<task>/<class>`` and ``probability/<task>/<class>``; float32.
        Frames are ranked by `mtl.tasks.log_odds` of the logits: probabilities near 1 are tied.
        `n_frames` too where the rows of `frames` stand for several frames each.
    """
    names = [*("split", "video", "frame", "class_name"), *(["n_frames"] if "n_frames" in frames else [])]
    columns: dict[str, object] = {name: frames[name].to_numpy() for name in names}
    for name, task in tasks.items():
        columns[f"target/{name}"] = targets[name]
        found = {"logit": logits[name], "probability": task.probabilities(logits[name])}
        for quantity, values in found.items():
            named = prediction_columns(quantity, name, task.classes)
            columns |= dict(zip(named, values.astype(np.float32).T, strict=True))
    return pd.DataFrame(columns)


def prediction_columns(quantity: str, name: str, classes: Sequence[str]) -> list[str]:
    """Names of a task's columns of a quantity, `logit` or `probability`: one per class."""
    return [f"{quantity}/{name}" if len(classes) == 1 else f"{quantity}/{name}/{each}" for each in classes]


def of_split(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows of a split; tables of before split was a column hold test frames alone."""
    if "split" not in predictions:
        return predictions if split == "test" else predictions.iloc[:0]
    return predictions[(predictions["split"] == split).to_numpy()].reset_index(drop=True)


def ranking_scores(predictions: pd.DataFrame, name: str) -> np.ndarray:
    """What a task's frames are ranked by, (n_frames, n_classes) of float64; the classes in the table's order.

    Log-odds from the logits; of tables without logits, of former versions, the probabilities.
    Nothing, (n_frames, 0), where the task has no column.
    """
    logits = _columns(predictions, "logit", name)
    found = predictions[logits or _columns(predictions, "probability", name)].to_numpy(np.float64)
    return log_odds(found) if logits else found


def predicted_classes(predictions: pd.DataFrame, name: str) -> list[str]:
    """Classes of a task's columns in the table's order; ``yes`` of a task with a single column."""
    columns = _columns(predictions, "logit", name) or _columns(predictions, "probability", name)
    return [(each.split("/", 2)[2:] or ["yes"])[0] for each in columns]


def _columns(predictions: pd.DataFrame, quantity: str, name: str) -> list[str]:
    return [each for each in map(str, predictions) if each.split("/")[:2] == [quantity, name]]
