"""A run's predictions judged by annotated events: which frames are positive, and how many a row stands for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtl.data.events import Events
from mtl.evaluation.predictions import of_split, predicted_classes, ranking_scores
from mtl.statistics.pairwise import macro_auc
from mtl.tasks import NORMAL

N_FRAMES = "n_frames"  # column of predictions: frames that a row stands for; without it one


@dataclass(frozen=True)
class EventTruth:
    """Rows of predictions parted by events: one that is partly inside is there twice.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Positions in the predictions.
    inside : ndarray of bool, shape (n,)
        Whether these frames of the row lie in an event.
    weights : ndarray of int64, shape (n,)
        How many frames they are, 1 or more.
    """

    rows: np.ndarray
    inside: np.ndarray
    weights: np.ndarray

    def positives(self, targets: np.ndarray, classes: Sequence[str]) -> np.ndarray:
        """Whether each class is the right one, bool of shape (n, len(classes)).

        Parameters
        ----------
        targets : ndarray of int, shape (n_predictions,)
            By the videos' labels.
        classes : sequence of str
            A single one stands for a yes: it is right where the target is, inside of events alone.
            Of several the target is right inside, and Normal outside; none where there is no Normal.
        """
        target = np.asarray(targets)[self.rows]
        if len(classes) == 1:
            return (self.inside & (target == 1))[:, None]
        outside = list(classes).index(NORMAL) if NORMAL in classes else -1
        return np.where(self.inside, target, outside)[:, None] == np.arange(len(classes))


def event_truth(predictions: pd.DataFrame, events: Events) -> EventTruth:
    """The rows of annotated videos, parted into their frames in events and those outside.

    Parameters
    ----------
    predictions : DataFrame
        `video`, `frame` (the row's first, numbered as in the original video), and perhaps `n_frames`.
    events : Events
    """
    videos = predictions["video"].astype(str).to_numpy(dtype=object)
    n = predictions[N_FRAMES].to_numpy(np.int64) if N_FRAMES in predictions else np.ones(len(predictions), np.int64)
    inside = events.frames_inside(videos, predictions["frame"].to_numpy(), n)
    rows = np.flatnonzero(events.annotated(videos))
    both = np.concatenate([rows, rows])
    weights = np.concatenate([inside[rows], (n - inside)[rows]])
    parts = np.repeat([True, False], len(rows))
    there = np.flatnonzero(weights > 0)
    there = there[np.argsort(both[there], kind="stable")]
    return EventTruth(both[there], parts[there], weights[there])


def event_aucs(
    predictions: pd.DataFrame, events: Events, untrained: dict[str, Collection[str]] | None = None
) -> dict[str, float]:
    """AUC of every task by the annotated events, by ``auc_event/<task>``; NaN where it is undefined.

    Parameters
    ----------
    predictions : DataFrame
        See `mtl.evaluation.predictions.predictions_table`.
    events : Events
    untrained : dict of str to collection of str
        By task the classes that no training frame showed: left out of its mean over classes.
    """
    predictions = of_split(predictions, "test")
    truth = event_truth(predictions, events)
    found = {}
    for name in [str(each).removeprefix("target/") for each in predictions if str(each).startswith("target/")]:
        classes, scores = predicted_classes(predictions, name), ranking_scores(predictions, name)[truth.rows]
        kept = ~np.isin(classes, list((untrained or {}).get(name, ())))
        positives = truth.positives(predictions[f"target/{name}"].to_numpy(), classes)
        defined = bool(np.isfinite(scores).all()) and len(scores) > 0 and kept.any()
        value = macro_auc(positives[:, kept], scores[:, kept], truth.weights) if defined else float("nan")
        found[f"auc_event/{name}"] = value
    return found
