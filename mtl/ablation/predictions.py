"""A run's predictions of the main task, reduced to what its AUC needs in any resample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from mtl.statistics.bootstrap import coded_videos
from mtl.statistics.pairwise import PairwiseCounts, pairwise_counts
from mtl.tasks import NORMAL


@dataclass(frozen=True)
class Predicted:
    """A run's predictions of the main task, reduced to what its AUC needs in any resample of videos.

    Attributes
    ----------
    videos : ndarray of str, shape (n_videos,)
        Names, sorted; the codes of the counts point to them.
    anomalous : ndarray of bool, shape (n_videos,)
    frames : ndarray of uint64, shape (n_videos,)
        Equal for two runs only where they scored the same frames with the same targets.
    counts : tuple of PairwiseCounts
        One per class of the main task that has positives and negatives.
    by_head : mapping of str to PairwiseCounts
        Counts of 1 - p(Normal) of another head as a score of the main task, by that head's task.
    fault : str
        Why there is no AUC; else empty.
    """

    videos: np.ndarray
    anomalous: np.ndarray
    frames: np.ndarray
    counts: tuple[PairwiseCounts, ...] = ()
    by_head: Mapping[str, PairwiseCounts] = field(default_factory=dict)
    fault: str = ""


def needed(columns: Sequence[str], main_task: str) -> list[str]:
    """The columns of a table of predictions that `reduced` reads."""
    return [
        name
        for name in columns
        if name in ("video", "frame", "class_name", f"target/{main_task}", f"probability/{main_task}")
        or name.startswith(f"probability/{main_task}/")
        or _is_normal(name)
    ]


def reduced(predictions: pd.DataFrame, main_task: str) -> Predicted:
    """What comparisons need of a run's predictions.

    Parameters
    ----------
    predictions : DataFrame
        One row per frame: `video`, `frame`, `class_name`, ``target/<main_task>``,
        ``probability/<main_task>`` or one column per class of it, and other tasks'.
    main_task : str

    Raises
    ------
    ValueError
        If columns are missing.
    """
    columns = [name for name in map(str, predictions) if name.split("/")[:2] == ["probability", main_task]]
    missing = {"video", "frame", "class_name", f"target/{main_task}"} - set(predictions)
    if missing or not columns:
        raise ValueError(f"there is no column {sorted(missing)[0] if missing else f'probability/{main_task}'}")
    abnormal = (predictions["class_name"].astype(str) != NORMAL).to_numpy()
    codes, videos, anomalous = coded_videos(predictions["video"], abnormal)
    target = predictions[f"target/{main_task}"].to_numpy()
    found = Predicted(videos, anomalous, _digests(predictions["frame"].to_numpy(), target, codes, len(videos)))
    scores = predictions[columns].to_numpy(np.float64)
    broken = int((~np.isfinite(scores)).any(axis=1).sum())
    if broken:
        return replace(found, fault=f"{broken} of {len(predictions)} predictions are not finite")
    positives = target[:, None] == (np.arange(len(columns)) if len(columns) > 1 else 1)
    both = positives.any(axis=0) & ~positives.all(axis=0)
    if not both.any():
        return replace(found, fault="all test frames have the same label")
    counts = tuple(pairwise_counts(scores[:, c], positives[:, c], codes) for c in np.flatnonzero(both))
    heads = {}
    if len(columns) == 1 and np.array_equal(positives[:, 0], abnormal):  # else p(Normal) answers another question
        for name in filter(_is_normal, map(str, predictions)):
            normal = predictions[name].to_numpy(np.float64)
            if np.isfinite(normal).all():
                heads[name.split("/")[1]] = pairwise_counts(1 - normal, positives[:, 0], codes)
    return replace(found, counts=counts, by_head=heads)


def _is_normal(column: str) -> bool:
    """Whether the column is a head's probability of the class that is no anomaly."""
    parts = column.split("/")
    return len(parts) == 3 and parts[0] == "probability" and parts[2] == NORMAL


def _digests(frames: np.ndarray, target: np.ndarray, codes: np.ndarray, n_videos: int) -> np.ndarray:
    """Digest of every video's frames and targets, whatever their order."""
    rows = pd.DataFrame({"frame": frames.astype(np.int64), "target": target.astype(np.int64)})
    sums = np.zeros(n_videos, np.uint64)
    np.add.at(sums, codes, pd.util.hash_pandas_object(rows, index=False).to_numpy())
    return sums


@dataclass(frozen=True)
class ComparedRun:
    """A finished run and its place in the design.

    Attributes
    ----------
    row : str
        Name of its row in the table.
    arm : str
        What is compared: its task set, as a rule.
    condition : str
        Of all other swept axes; only runs of one condition are compared.
    seed : str
    tasks : frozenset of str
    predicted : Predicted
    measures : mapping of (str, str) to float
        Relation with the main task by measure and auxiliary.
    """

    row: str
    arm: str
    condition: str
    seed: str
    tasks: frozenset[str]
    predicted: Predicted
    measures: Mapping[tuple[str, str], float] = field(default_factory=dict)
