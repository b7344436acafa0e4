"""One task's predictions beside the truth, by frame or by video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from mtl.tasks import Task

NORMAL = "Normal"


@dataclass(frozen=True)
class Answers:
    """One task's predictions as arrays.

    `probabilities` and `events` have shape (n_frames, n_columns), `videos` are codes,
    `fault` says why none of it can be scored.
    """

    columns: tuple[str, ...]
    probabilities: np.ndarray
    events: np.ndarray
    videos: np.ndarray
    fault: str


def video_codes(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Code of each frame's video, and whether each video is anomalous."""
    codes, names = pd.factorize(predictions["video"].astype(str), sort=True)
    anomalous = np.zeros(len(names), bool)
    anomalous[codes[(predictions["class_name"] != NORMAL).to_numpy()]] = True
    return codes, anomalous


def answers_of(predictions: pd.DataFrame, name: str, task: Task, videos: np.ndarray) -> Answers:
    """The columns of one task, found by its name."""
    single = len(task.columns) == 1
    columns = [f"probability/{name}" if single else f"probability/{name}/{column}" for column in task.columns]
    probabilities = predictions[columns].to_numpy(np.float64)
    broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
    fault = f"{broken} of {len(predictions)} predictions are not finite" if broken else ""
    events = task.events(predictions[f"target/{name}"].to_numpy())
    return Answers(tuple(task.columns), probabilities, events, videos, fault or ("" if len(videos) else "no frames"))


def per_video(answers: Answers, reduce: Literal["mean", "max"]) -> Answers:
    """One row per video: mean or largest probability of its frames."""
    if answers.fault:
        return answers
    order = np.argsort(answers.videos, kind="stable")
    videos, starts = np.unique(answers.videos[order], return_index=True)
    probabilities, events = answers.probabilities[order], answers.events[order]
    sometimes, always = np.logical_or.reduceat(events, starts), np.logical_and.reduceat(events, starts)
    changing = int((sometimes != always).any(axis=1).sum())
    fault = f"the label changes within {changing} of {len(videos)} videos" if changing else ""
    if reduce == "max":
        scores = np.maximum.reduceat(probabilities, starts)
    else:
        scores = np.add.reduceat(probabilities, starts) / np.diff(starts, append=len(order))[:, None]
    return Answers(answers.columns, scores, events[starts], videos, fault)


def one_sided_reason(events: np.ndarray) -> str:
    """Which outcome is missing where all are alike."""
    return f"no {'negative' if events.any() else 'positive'} frame"
