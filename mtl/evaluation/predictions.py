"""The table of predictions: one row per frame, per task target and probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mtl.tasks import Task


def predictions_table(
    frames: pd.DataFrame, targets: Mapping[str, np.ndarray], logits: Mapping[str, np.ndarray], tasks: Mapping[str, Task]
) -> pd.DataFrame:
    """One row per frame: `video`, `frame`, `class_name`, and per task the target and the probabilities.

    Returns
    -------
    DataFrame
        ``target/<task>``; ``probability/<task>`` for a task of one class, else
        ``probability/<task>/<class>``, as float32.
    """
    columns: dict[str, object] = {name: frames[name].to_numpy() for name in ("video", "frame", "class_name")}
    for name, task in tasks.items():
        columns[f"target/{name}"] = targets[name]
        probabilities = task.probabilities(logits[name]).astype(np.float32)
        columns |= dict(zip(probability_columns(name, task.classes), probabilities.T, strict=True))
    return pd.DataFrame(columns)


def probability_columns(name: str, classes: Sequence[str]) -> list[str]:
    """Names of a task's columns of probabilities, one per class."""
    return [f"probability/{name}" if len(classes) == 1 else f"probability/{name}/{each}" for each in classes]
