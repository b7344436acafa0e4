"""Predictions -> scores, each with its interval over videos."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat, PositiveInt

from mtl.evaluation.auc import average_precision, class_aucs, macro_score, mean_roc
from mtl.evaluation.decisions import confusion, decision_scores
from mtl.evaluation.predictions import of_split
from mtl.evaluation.task_predictions import REDUCTIONS, TaskPredictions, per_video, task_predictions
from mtl.results import Score
from mtl.statistics.bootstrap import coded_videos, resampled_videos
from mtl.tasks import NORMAL, Task

log = logging.getLogger(__name__)

CLASS_COLUMNS = ["task", "class", "videos", "frames", "trained", "auc", "low", "high", "reason"]


@dataclass(frozen=True)
class Evaluated:
    """Scores of the predictions.

    Attributes
    ----------
    scores : dict of str to Score
        By tracked name, for example ``auc/violence``.
    classes : DataFrame
        One row per class of every task with several classes: `task`, `class`,
        `videos` and `frames` (of that class), whether it was `trained`, `auc` against
        the rest, `low`, `high`, `reason`.
    confusions : dict of str to DataFrame
        Per task the number of frames, true classes down, predicted across; a task
        whose predictions cannot be scored is missing.
    roc : dict of str to (ndarray, ndarray)
        Per task false and true positive rates, some `ROC_POINTS` points at most, the
        mean curve over classes where there are several; a task without a defined
        AUC is missing.
    """

    scores: dict[str, Score]
    classes: pd.DataFrame
    confusions: dict[str, pd.DataFrame]
    roc: dict[str, tuple[np.ndarray, np.ndarray]]


class Evaluation:
    """Scores predictions, every interval from the same resamples of whole videos.

    Parameters
    ----------
    resamples : int
        Of the bootstrap, see `resampled_videos`.
    seed : int
        Of the bootstrap.
    threshold : float
        Probability from which a single class is predicted. Of several classes
        the likeliest is.
    alarm_gap_s : float
        Seconds: alarms that lie no further apart are one.
    """

    def __init__(
        self,
        resamples: PositiveInt,
        seed: int,
        threshold: Annotated[float, Field(ge=0, le=1)],
        alarm_gap_s: NonNegativeFloat,
    ) -> None:
        self.resamples = resamples
        self.seed = seed
        self.threshold = threshold
        self.alarm_gap_s = alarm_gap_s

    def evaluate(
        self,
        predictions: pd.DataFrame,
        tasks: Mapping[str, Task],
        fault: str = "",
        trained: Mapping[str, np.ndarray] | None = None,
    ) -> Evaluated:
        """Score every task on the test frames; what is undefined is NaN and says why.

        Parameters
        ----------
        predictions : DataFrame
            See `predictions_table`; without its column `split` all rows are test frames, and
            without logits frames are ranked by their probabilities.
        tasks : mapping of str to Task
        fault : str
            Why none of the predictions counts; empty where they do.
        trained : mapping of str to ndarray of bool (n_classes,), optional
            Per task which classes the training frames showed, beside others; what was never
            trained is left out of every mean over classes. Without it all were.
        """
        predictions = of_split(predictions, "test")
        abnormal = (predictions["class_name"] != NORMAL).to_numpy()
        videos, _, anomalous = coded_videos(predictions["video"], abnormal)
        drawn = resampled_videos(anomalous, self.resamples, self.seed)
        scores: dict[str, Score] = {}
        classes: list[tuple] = []
        confusions, roc = {}, {}
        for name, task in tasks.items():
            predicted = task_predictions(predictions, name, task, videos, fault, (trained or {}).get(name))
            aucs = class_aucs(predicted, drawn)
            scores[f"auc/{name}"] = macro_score(aucs, predicted)
            scores[f"average_precision/{name}"] = average_precision(predicted)
            scores |= decision_scores(name, predicted, drawn, self.threshold)
            for reduce in REDUCTIONS:
                of_videos = class_aucs(per_video(predicted, reduce), drawn)
                scores[f"video_auc_{reduce}/{name}"] = macro_score(of_videos, predicted)
            if len(predicted.classes) > 1:
                counted = zip(predicted.classes, aucs, predicted.trained, strict=True)
                by_class = {each: auc.score("" if trains else "no training frame") for each, auc, trains in counted}
                scores |= {f"class_auc/{name}.{each}": score for each, score in by_class.items()}
                classes += _class_rows(name, predicted, by_class)
            if not predicted.fault:
                confusions[name] = confusion(predicted, self.threshold)
            if np.isfinite(scores[f"auc/{name}"].value):
                roc[name] = mean_roc(predicted)
        for name, score in scores.items() if not fault else ():  # of a fault of all scores the caller has spoken
            if np.isnan(score.value):
                log.warning("%s is undefined: %s.", name, score.reason)
        return Evaluated(scores, pd.DataFrame(classes, columns=CLASS_COLUMNS), confusions, roc)


def _class_rows(name: str, predicted: TaskPredictions, by_class: Mapping[str, Score]) -> list[tuple]:
    """Rows of the table per class."""
    rows = []
    for (each, score), positives, trained in zip(
        by_class.items(), predicted.positives.T, predicted.trained, strict=True
    ):
        counts = (len(np.unique(predicted.videos[positives])), int(positives.sum()), bool(trained))
        rows.append((name, each, *counts, score.value, score.low, score.high, score.reason))
    return rows
