"""What is shown of annotated test videos: which of them, and which probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mtl.evaluation.predictions import prediction_columns
from mtl.evaluation.timeline import Timeline
from mtl.tasks import NORMAL

SHOWN_CLASSES, SHOWN_NORMAL = 4, 2  # chosen by name and never by result


def shown_videos(time: Timeline, positive: np.ndarray | None = None) -> list[int]:
    """Codes of the first video with an event of each of the first anomalous classes, then of the first normal videos.

    All in order of name.

    Parameters
    ----------
    time : Timeline
    positive : ndarray of bool, shape (n_rows,), optional
        Rows that the task to be shown calls positive: only classes of such videos are shown.
    """
    _, one_row = np.unique(time.videos, return_index=True)  # of every video, in order of name
    classes = time.predictions["class_name"].astype(str).to_numpy()[one_row]
    wanted = time.anomalous & np.array([bool(events) for events in time.intervals], bool)
    if positive is not None:
        wanted &= positive[one_row]
    first: dict[str, int] = {}
    for video in np.flatnonzero(wanted):
        first.setdefault(classes[video], int(video))
    normal = [int(video) for video in np.flatnonzero(~time.anomalous)]
    return [first[name] for name in sorted(first)[:SHOWN_CLASSES]] + normal[:SHOWN_NORMAL]


def anomaly_probability(predictions: pd.DataFrame, name: str, classes: Sequence[str]) -> np.ndarray | None:
    """A task's probability of a yes, or of not being Normal; None of a task with several classes and no Normal.

    Parameters
    ----------
    predictions : DataFrame
    name : str
        Of the task.
    classes : sequence of str

    Returns
    -------
    ndarray of float64, shape (n_rows,), or None
    """
    columns = prediction_columns("probability", name, classes)
    if len(classes) == 1:
        return predictions[columns[0]].to_numpy(float)
    if NORMAL not in classes:
        return None
    return 1 - predictions[columns[list(classes).index(NORMAL)]].to_numpy(float)
