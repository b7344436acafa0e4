"""The score over time of a handful of test videos, of the base set and of the best other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mtl.config.stored import read_stored
from mtl.data.events import Events
from mtl.errors import UserError
from mtl.evaluation.predictions import predicted_classes
from mtl.evaluation.shown import anomaly_probability, shown_videos
from mtl.evaluation.timeline import Timeline, timeline
from mtl.plots.over_time import VideoScores
from mtl.report.stored import CONFIG, PREDICTIONS, Downloads, stored
from mtl.results import TrackedRun
from mtl.tracking.by_events import panel

if TYPE_CHECKING:
    from mtl.ablation.comparison import Comparison


def over_time(
    tables: Mapping[str, pd.DataFrame], main_task: str, events: Events, rate: float | None
) -> tuple[VideoScores, ...]:
    """The probability of the main task along the videos of `shown_videos`; of several classes 1 - p(Normal).

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Predictions, by what gave them; the first one chooses the videos.
    main_task : str
    events : Events
    rate : float or None
        Frames per second; without it time is in frames.
    """
    scores: dict[str, tuple[Timeline, np.ndarray]] = {}
    for name, table in tables.items():
        time = timeline(table, events)
        probability = anomaly_probability(time.predictions, main_task, predicted_classes(table, main_task))
        if probability is not None:
            scores[name] = (time, probability)
    if not scores:
        return ()
    time = next(iter(scores.values()))[0]
    return tuple(panel(time, video, scores, rate or 1.0) for video in shown_videos(time))


def compared_over_time(
    runs: Sequence[tuple[str, TrackedRun]],
    compared: Comparison,
    main_task: str,
    events: Events | None,
    tracking: Downloads | None,
) -> tuple[tuple[VideoScores, ...], str]:
    """Scores over time of the base's and the best other set's first run, and the unit of their time.

    Parameters
    ----------
    runs : sequence of (str, TrackedRun)
        Those that count, with the names of their rows.
    compared : Comparison
    main_task : str
    events : Events, optional
        Without them there is nothing to show.
    tracking : Downloads, optional
    """
    sets = compared.sets[compared.sets["auc"].notna()]
    base = sets[sets["arm"] == compared.base][:1]
    others = sets[sets["arm"] != compared.base].sort_values("auc", ascending=False, kind="stable")[:1]
    tables: dict[str, pd.DataFrame] = {}
    rates: set[float | None] = set()
    for row in [*base["row"], *others["row"]] if events is not None else []:
        run = next(run for name, run in runs if name == row)
        try:
            with stored(run, PREDICTIONS, tracking) as path:
                tables[f"{row}, seed {run.params.get('seed', '')}"] = pd.read_parquet(path)
        except (OSError, UserError):  # it was there when the runs were compared; the tables say what is lacking
            continue
        rates.add(_rate(run, tracking))
    rate = rates.pop() if len(rates) == 1 else None
    if events is None or not tables:
        return (), ""
    return over_time(tables, main_task, events, rate), "seconds" if rate else "frame of the video"


def _rate(run: TrackedRun, tracking: Downloads | None) -> float | None:
    """Frames per second of a run's videos, of its stored config; None where that cannot be had or tells none."""
    try:
        with stored(run, CONFIG, tracking) as path:
            data = read_stored(path, run.name, ()).get("data")
    except (OSError, UserError):
        return None
    fps = data.get("fps") if isinstance(data, Mapping) else None
    return float(fps) if isinstance(fps, int | float) and fps > 0 else None
