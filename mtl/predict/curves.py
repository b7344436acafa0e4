"""Which curves a run draws over a video, their smoothing, and from which height on they are an alarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mtl.evaluation.predictions import of_split, prediction_columns
from mtl.tasks import NORMAL

if TYPE_CHECKING:
    from mtl.tasks import Task

HALF = 0.5
FRAMES_PER_SECOND = 30.0  # of UCF-Crime's videos, whose stored predictions have frame numbers and no times


@dataclass(frozen=True)
class Curve:
    """One number per frame.

    Attributes
    ----------
    name : str
        The task's, or what is made of a task of several classes.
    task : str
    columns : tuple of str
        Of the table of scores, which it is made of.
    normal : int or None
        Position of the column that is taken from 1; None: the largest of the columns.
    """

    name: str
    task: str
    columns: tuple[str, ...]
    normal: int | None = None

    def values(self, table: pd.DataFrame, columns: Sequence[str] | None = None) -> np.ndarray:
        """The curve's values, (n_rows,) in [0, 1]; `columns` are what the table calls its columns."""
        found = table[list(columns or self.columns)].to_numpy(np.float64)
        return found.max(1, initial=-np.inf) if self.normal is None else 1 - found[:, self.normal]


@dataclass(frozen=True)
class Threshold:
    """From where on a score is an alarm, and how that was chosen."""

    value: float
    known_from: str


def columns_of(name: str, task: Task) -> list[str]:
    """What a task's columns are called: the task, or ``<task>/<class>`` where it has several classes."""
    return [name] if len(task.classes) == 1 else [f"{name}/{each}" for each in task.classes]


def curves_of(tasks: Mapping[str, Task], main_task: str | None) -> list[Curve]:
    """The curves of a run, the main task's first: of the binary tasks, or of the others where there is none.

    A task of several classes gives the probability of not being normal, where one of them is normal.
    """
    found = [Curve(name, name, (name,)) for name, task in tasks.items() if len(task.classes) == 1]
    if not found:
        for name, task in tasks.items():
            normal = task.classes.index(NORMAL) if NORMAL in task.classes else None
            said = f"{name}: largest class" if normal is None else f"{name}: not {NORMAL}"
            found.append(Curve(said, name, tuple(columns_of(name, task)), normal))
    return sorted(found, key=lambda curve: curve.task != main_task)


def smoothed(seconds: np.ndarray, values: np.ndarray, width: float) -> np.ndarray:
    """Mean of the values within half the width before and after, of one video; its ends have fewer.

    Parameters
    ----------
    seconds : ndarray of shape (n,)
        Rising. Values as they are where one is NaN.
    values : ndarray of shape (n,)
    width : float
        In seconds; 0 leaves the values as they are.
    """
    if width <= 0 or not len(values) or np.isnan(seconds).any():
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    low = np.searchsorted(seconds, seconds - width / 2 - 1e-9)
    high = np.searchsorted(seconds, seconds + width / 2 + 1e-9)
    return (sums[high] - sums[low]) / (high - low)


def youden(scores: np.ndarray, positive: np.ndarray, videos: np.ndarray) -> float:
    """The score at or above which a frame is called positive, where true minus false positive rate is largest.

    Each video counts alike in the rates, however many frames it has. Of several such scores the
    largest; NaN where all frames are positive or none is.

    References
    ----------
    Youden, Index for rating diagnostic tests, Cancer 1950.
    """
    if not positive.any() or positive.all():
        return np.nan
    _, codes, counts = np.unique(videos.astype(str), return_inverse=True, return_counts=True)
    weights = 1 / counts[codes]
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of each run of equal scores
    hits, alarms = (np.cumsum((weights * sign)[order])[last] for sign in (positive, ~positive))
    return float(scores[order][last][np.argmax(hits / hits[-1] - alarms / alarms[-1])])


def thresholds(
    predictions: Path | str, curves: Sequence[Curve], tasks: Mapping[str, Task], width: float
) -> dict[str, Threshold]:
    """Of each curve: the largest Youden index on the run's validation frames by video labels, else 0.5.

    Parameters
    ----------
    predictions : Path or str
        The run's stored predictions; or why there are none.
    width : float
        Seconds of smoothing, which the validation frames get too, as frames of 30 to a second.
    """
    if isinstance(predictions, str):
        return {curve.name: Threshold(HALF, predictions) for curve in curves}
    return {curve.name: _threshold(predictions, curve, tasks[curve.task], width) for curve in curves}


def _threshold(predictions: Path, curve: Curve, task: Task, width: float) -> Threshold:
    target, named = f"target/{curve.task}", prediction_columns("probability", curve.task, task.classes)
    try:
        table = of_split(pd.read_parquet(predictions, columns=["split", "video", "frame", target, *named]), "val")
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors
        return Threshold(HALF, f"its stored predictions cannot be read: {' '.join(str(error).split())[:100]}")
    table = table.sort_values(["video", "frame"], kind="stable").reset_index(drop=True)
    scores, targets = curve.values(table, named), table[target].to_numpy()
    if width > 0:
        seconds = table["frame"].to_numpy(np.float64) / FRAMES_PER_SECOND
        for rows in table.groupby("video", sort=False).indices.values():
            scores[rows] = smoothed(seconds[rows], scores[rows], width)
    usable = (targets >= 0) & np.isfinite(scores)
    is_positive = targets == 1 if len(task.classes) == 1 else targets != (-1 if curve.normal is None else curve.normal)
    videos = table["video"].to_numpy()[usable]
    value = youden(scores[usable], is_positive[usable], videos)
    if not np.isfinite(value):
        return Threshold(HALF, "the run's validation frames are not of both kinds")
    n_videos = len(np.unique(videos.astype(str)))
    return Threshold(
        value, f"largest Youden index on the {usable.sum():,} validation frames of {n_videos} videos, by video labels"
    )
