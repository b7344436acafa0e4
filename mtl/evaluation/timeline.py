"""Rows of predictions along the time of their videos, beside the annotated events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mtl.data.events import Events
from mtl.data.temporal_truth import last_step
from mtl.evaluation.predictions import of_split
from mtl.evaluation.task_predictions import TaskPredictions
from mtl.statistics.bootstrap import coded_videos
from mtl.tasks import NORMAL, UNLABELLED


@dataclass(frozen=True)
class Timeline:
    """Rows of the annotated test videos, by video and then in time.

    Attributes
    ----------
    predictions : DataFrame
    videos : ndarray of int, shape (n_rows,)
        Code of each row's video.
    names : ndarray of str, shape (n_videos,)
    anomalous : ndarray of bool, shape (n_videos,)
    first, end : ndarray of int, shape (n_rows,)
        A row shows the time from its first frame up to the next row's.
    n_frames : ndarray of int, shape (n_rows,)
        Frames that the row counts for: one, or what the predictions say.
    inside : ndarray of int, shape (n_rows,)
        How many of them lie in an event.
    lengths : ndarray of int, shape (n_videos,)
        Frames of every video, up to the end of its last row.
    intervals : tuple of tuple of (int, int)
        Events of each video, cut where its last row ends; what starts later is left out.
    """

    predictions: pd.DataFrame
    videos: np.ndarray
    names: np.ndarray
    anomalous: np.ndarray
    first: np.ndarray
    end: np.ndarray
    n_frames: np.ndarray
    inside: np.ndarray
    lengths: np.ndarray
    intervals: tuple[tuple[tuple[int, int], ...], ...]


def in_order(predictions: pd.DataFrame) -> pd.DataFrame:
    """The rows by the name of their video, then in time, whatever order they came in."""
    keys = predictions["video"].astype(str).to_numpy(dtype=str)
    return predictions.iloc[np.lexsort((predictions["frame"].to_numpy(), keys))].reset_index(drop=True)


def timeline(predictions: pd.DataFrame, events: Events) -> Timeline:
    """The test rows of annotated videos, with the frames of each that lie in an event.

    Parameters
    ----------
    predictions : DataFrame
        See `predictions_table`; with a column `n_frames` a row stands for so many frames from `frame` on.
    events : Events
    """
    rows = of_split(predictions, "test")
    rows = in_order(rows[events.annotated(rows["video"].astype(str).to_numpy(dtype=str))])
    videos, names, anomalous = coded_videos(rows["video"], (rows["class_name"] != NORMAL).to_numpy())
    first = rows["frame"].to_numpy(np.int64)
    n_frames = rows["n_frames"].to_numpy(np.int64) if "n_frames" in rows else np.ones(len(rows), np.int64)
    inside = events.frames_inside(names[videos] if len(rows) else [], first, n_frames)
    end = _ends(first, videos, n_frames if "n_frames" in rows else None)
    lengths = np.zeros(len(names), np.int64)
    np.maximum.at(lengths, videos, end)
    cut = tuple(
        tuple((start, min(stop, int(last))) for start, stop in sorted(events.intervals[name]) if start < last)
        for name, last in zip(names, lengths, strict=True)
    )
    return Timeline(rows, videos, names, anomalous, first, end, n_frames, inside, lengths, cut)


def labelled(time: Timeline, name: str) -> Timeline:
    """The rows that a task has a label for; a video that has none left has no time and no event either.

    Its videos are still those of all rows, so that all tasks are judged by the same resamples.

    Parameters
    ----------
    time : Timeline
    name : str
        Of the task.
    """
    known = (time.predictions[f"target/{name}"] != UNLABELLED).to_numpy()
    if known.all():
        return time
    left = np.isin(np.arange(len(time.names)), time.videos[known])
    return replace(
        time,
        predictions=time.predictions[known].reset_index(drop=True),
        videos=time.videos[known],
        first=time.first[known],
        end=time.end[known],
        n_frames=time.n_frames[known],
        inside=time.inside[known],
        lengths=np.where(left, time.lengths, 0),
        intervals=tuple(own if kept else () for own, kept in zip(time.intervals, left, strict=True)),
    )


def _ends(first: np.ndarray, videos: np.ndarray, n_frames: np.ndarray | None) -> np.ndarray:
    """Where the next row of the video begins; of its last row by the usual step, or by the frames it stands for."""
    if not len(first):
        return first
    end = np.append(first[1:], 0)
    last = np.append(np.diff(videos) != 0, True)
    if n_frames is None:
        usual = last_step(first, videos)
        steps = pd.Series(np.where(last, np.nan, end - first)).groupby(videos).median().fillna(usual)
        end[last] = first[last] + steps.to_numpy()[videos[last]].astype(np.int64)
    else:
        end[last] = first[last] + n_frames[last]
    return end


def by_frame(
    predicted: TaskPredictions, timeline: Timeline, normal: Sequence[bool] | np.ndarray
) -> tuple[TaskPredictions, np.ndarray]:
    """The task's predictions with the truth of frames, and how many frames each entry stands for.

    A row of which a part lies in an event is there twice: its frames inside have the row's own target,
    those outside have that of normality.

    Parameters
    ----------
    predicted : TaskPredictions
        Of the timeline's rows.
    timeline : Timeline
    normal : sequence of bool (n_classes,)
        Which classes are right where nothing happens.
    """
    outside = timeline.n_frames - timeline.inside
    within, without = np.flatnonzero(timeline.inside), np.flatnonzero(outside)
    rows = np.concatenate([within, without])
    nothing = np.tile(np.asarray(normal, bool), (len(without), 1))
    found = replace(
        predicted,
        scores=predicted.scores[rows],
        probabilities=predicted.probabilities[rows],
        positives=np.concatenate([predicted.positives[within], nothing]),
        videos=predicted.videos[rows],
    )
    return found, np.concatenate([timeline.inside[within], outside[without]]).astype(float)
