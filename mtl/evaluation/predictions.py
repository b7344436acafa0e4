"""The table of predictions: one row per frame, per task target and probabilities."""

from __future__ import annotations

from collections.abc import Mapping

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
        ``target/<task>``; ``probability/<task>`` for a task of one column, else
        ``probability/<task>/<column>``, as float32.
    """
    columns: dict[str, object] = {name: frames[name].to_numpy() for name in ("video", "frame", "class_name")}
    for name, task in tasks.items():
        columns[f"target/{name}"] = targets[name]
        probabilities = task.probabilities(logits[name]).astype(np.float32)
        for i, column in enumerate(task.classes):
            key = f"probability/{name}" if len(task.classes) == 1 else f"probability/{name}/{column}"
            columns[key] = probabilities[:, i]
    return pd.DataFrame(columns)
