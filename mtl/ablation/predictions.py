"""A run's predictions of the main task, reduced to what its AUC needs in any resample."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from mtl.ablation.event_truth import N_FRAMES, EventTruth, event_truth
from mtl.data.events import Events
from mtl.evaluation.auc import NEVER_TRAINED
from mtl.evaluation.predictions import of_split, predicted_classes, ranking_scores
from mtl.formatting import plural
from mtl.statistics.bootstrap import coded_videos
from mtl.statistics.pairwise import PairwiseCounts, pairwise_counts, tied_share
from mtl.tasks import NORMAL, UNLABELLED

ALIKE, ALIKE_BY_EVENTS = "all test frames have the same label", "all annotated test frames are alike by the events"

BY_VIDEO = ("split", "video", "class_name", "frames")


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
    ties : float
        Largest share of the comparisons of a class that are ties; NaN without an AUC.
    by_logits : bool
        Whether frames are ranked by logits; probabilities, of a former version, may be equal where the
        logits were not.
    by_video : DataFrame
        `split`, `video`, `class_name`, `frames`: of every video that predictions were made of, in any split.
    n_frames, n_positives : int
        Where annotated events judge: frames, and those of them that are an instance of any of the
        task's classes but Normal.
    left_out : tuple of str
        Where annotated events judge: test videos that were not annotated.
    """

    videos: np.ndarray
    anomalous: np.ndarray
    frames: np.ndarray
    counts: tuple[PairwiseCounts, ...] = ()
    by_head: Mapping[str, PairwiseCounts] = field(default_factory=dict)
    fault: str = ""
    ties: float = float("nan")
    by_logits: bool = True
    by_video: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=BY_VIDEO))
    n_frames: int = 0
    n_positives: int = 0
    left_out: tuple[str, ...] = ()


def needed(columns: Sequence[str], main_task: str) -> list[str]:
    """The columns of a table of predictions that `reduced` reads."""
    parts = {name: name.split("/") for name in columns}
    heads = {part[1] for part in parts.values() if len(part) == 3 and part[2] == NORMAL} | {main_task}
    quantity = "logit" if any(part[0] == "logit" for part in parts.values()) else "probability"
    return [
        name
        for name, part in parts.items()
        if name in ("split", "video", "frame", N_FRAMES, "class_name", f"target/{main_task}")
        or (part[0] == quantity and part[1] in heads)
    ]


def reduced(
    predictions: pd.DataFrame,
    main_task: str,
    untrained: Collection[str] = (),
    events: Events | None = None,
    split: str = "test",
) -> Predicted:
    """What comparisons need of a run's predictions of the frames of a split.

    Parameters
    ----------
    predictions : DataFrame
        See `mtl.evaluation.predictions.predictions_table`. Frames are ranked by their
        logits; by their probabilities where a former version kept no logits. Rows about which
        the main task says nothing are left out, as if they were not there.
    main_task : str
    untrained : collection of str
        Classes of the main task that no training frame showed: left out of its mean over classes.
    events : Events, optional
        What frames are judged by instead of the labels of their videos: see `EventTruth.positives`. Videos
        that were not annotated are left out, and a row that stands for several frames counts as so many.
    split : str
        Test, which judges, or validation, which chooses.

    Raises
    ------
    ValueError
        If columns are missing.
    """
    every, predictions = predictions, of_split(predictions, split)
    missing = {"video", "frame", "class_name", f"target/{main_task}"} - set(predictions)
    classes = predicted_classes(predictions, main_task)
    if not missing:
        predictions = predictions[(predictions[f"target/{main_task}"] != UNLABELLED).to_numpy()].reset_index(drop=True)
    if missing or not classes:
        raise ValueError(f"there is no column {sorted(missing)[0] if missing else f'probability/{main_task}'}")
    judged, truth, left_out = _judged(predictions, events)
    abnormal = (judged["class_name"].astype(str) != NORMAL).to_numpy()
    target, scores = judged[f"target/{main_task}"].to_numpy(), ranking_scores(judged, main_task)
    codes, videos, anomalous = coded_videos(judged["video"], abnormal)
    by_logits = any(name.split("/")[:2] == ["logit", main_task] for name in map(str, predictions))
    found = Predicted(videos, anomalous, _digests(judged, target, codes, len(videos)), left_out=left_out)
    found = replace(found, by_logits=by_logits, by_video=_by_video(every))
    if events is not None and not len(judged):
        none = f"none of its {plural(len(left_out), 'test video')} is annotated"
        return replace(found, fault=f"{none} in {events.source}" if events.source else none)
    broken = int((~np.isfinite(scores)).any(axis=1).sum())
    if broken:
        return replace(found, fault=f"{broken} of {len(judged)} predictions are not finite")
    if not len(target):
        return replace(found, fault=f"no test frame is labelled for {main_task}")
    positives, weights, rows = truth.positives(target, classes), truth.weights, truth.rows
    if events is not None:
        counted = positives[:, [each != NORMAL for each in classes]].any(axis=1)
        found = replace(found, n_frames=int(weights.sum()), n_positives=int(weights[counted].sum()))
    both = positives.any(axis=0) & ~positives.all(axis=0)
    if not both.any():
        return replace(found, fault=ALIKE if events is None else ALIKE_BY_EVENTS)
    both &= ~np.isin(classes, list(untrained))
    if not both.any():
        return replace(found, fault=NEVER_TRAINED)

    def counted_wins(score: np.ndarray, c: int) -> PairwiseCounts:
        return pairwise_counts(score[rows], positives[:, c], codes[rows], weights)

    counts = tuple(counted_wins(scores[:, c], c) for c in map(int, np.flatnonzero(both)))
    heads = {}
    if len(classes) == 1 and np.array_equal(target == 1, abnormal):  # else p(Normal) answers another question
        for head, normal in _of_normal(judged).items():
            if np.isfinite(normal).all():
                heads[head] = counted_wins(-normal, 0)
    ties = max(tied_share(scores[rows, c], positives[:, c], weights) for c in np.flatnonzero(both))
    return replace(found, counts=counts, by_head=heads, ties=ties)


def _by_video(predictions: pd.DataFrame) -> pd.DataFrame:
    """Frames by split and video, see `Predicted`; tables without a split are of test."""
    rows = predictions if "split" in predictions else predictions.assign(split="test")
    groups = rows.groupby(list(BY_VIDEO[:3]), sort=False, observed=True)
    frames = groups[N_FRAMES].sum() if N_FRAMES in rows else groups.size()
    return frames.rename("frames").reset_index().astype(dict.fromkeys(BY_VIDEO[:3], str))


def _judged(predictions: pd.DataFrame, events: Events | None) -> tuple[pd.DataFrame, EventTruth, tuple[str, ...]]:
    """The rows that count, how they are parted by events, and the videos that are left out."""
    if events is None:
        every = np.arange(len(predictions))
        return predictions, EventTruth(every, np.ones(len(every), bool), np.ones(len(every), np.int64)), ()
    videos = predictions["video"].astype(str)
    annotated = events.annotated(videos.to_numpy(dtype=object))
    judged = predictions[annotated].reset_index(drop=True)
    return judged, event_truth(judged, events), tuple(sorted(set(videos[~annotated])))


def _of_normal(predictions: pd.DataFrame) -> dict[str, np.ndarray]:
    """Score of the class that is no anomaly, by the head that has one."""
    heads = dict.fromkeys(name.split("/")[1] for name in map(str, predictions) if name.endswith(f"/{NORMAL}"))
    return {
        head: ranking_scores(predictions, head)[:, predicted_classes(predictions, head).index(NORMAL)] for head in heads
    }


def _digests(predictions: pd.DataFrame, target: np.ndarray, codes: np.ndarray, n_videos: int) -> np.ndarray:
    """Digest of every video's frames and targets, whatever their order."""
    rows = pd.DataFrame({"frame": predictions["frame"].to_numpy(np.int64), "target": target.astype(np.int64)})
    if N_FRAMES in predictions:
        rows[N_FRAMES] = predictions[N_FRAMES].to_numpy(np.int64)
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
