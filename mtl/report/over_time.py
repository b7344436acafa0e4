"""The score over time of a handful of test videos, of the base set and of the best other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mtl.data.events import Events
from mtl.errors import UserError
from mtl.evaluation.predictions import of_split, predicted_classes, prediction_columns
from mtl.plots.timelines import Timeline
from mtl.report.stored import PREDICTIONS, Downloads, stored
from mtl.results import TrackedRun
from mtl.tasks import NORMAL

if TYPE_CHECKING:
    from mtl.ablation.comparison import Comparison

ANOMALOUS, NORMALS = 4, 2  # videos that are shown


def shown_videos(predictions: pd.DataFrame, events: Events) -> list[str]:
    """First by name of each of the first anomalous classes with an event, then the first normal ones."""
    classes = predictions.assign(video=predictions["video"].astype(str)).groupby("video")["class_name"].first()
    anomalous: dict[str, str] = {}
    normal = []
    for video, name in classes.sort_index().astype(str).items():
        if name == NORMAL and str(video) in events.intervals:
            normal.append(str(video))
        elif name != NORMAL and events.intervals.get(str(video)):
            anomalous.setdefault(name, str(video))
    return [anomalous[name] for name in sorted(anomalous)[:ANOMALOUS]] + normal[:NORMALS]


def over_time(
    tables: Mapping[str, pd.DataFrame], main_task: str, events: Events, rate: float | None
) -> tuple[Timeline, ...]:
    """The videos of `shown_videos` as timelines; frames are paired by name and number, in whatever order.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Predictions of test frames, by what gave them; the first chooses the videos.
    main_task : str
        Its probability of a yes is shown, of several classes 1 - p(Normal).
    events : Events
    rate : float or None
        Frames per second; without it time is in frames.
    """
    scores = {name: score for name, table in tables.items() if (score := _scores(table, main_task)) is not None}
    if not scores:
        return ()
    chosen, per = next(iter(tables.values())), rate or 1.0
    classes = chosen.assign(video=chosen["video"].astype(str)).groupby("video")["class_name"].first()
    found = []
    for video in shown_videos(chosen, events):
        own = {name: score.loc[video] for name, score in scores.items() if video in score.index.get_level_values(0)}
        frames = np.unique(np.concatenate([score.index.to_numpy() for score in own.values()]))
        aligned = {name: score.reindex(frames).to_numpy(float) for name, score in own.items()}
        spans = [(start / per, min(end, frames[-1] + 1) / per) for start, end in events.intervals[video]]
        found.append(Timeline(video, str(classes[video]), frames / per, aligned, spans))
    return tuple(found)


def _scores(table: pd.DataFrame, main_task: str) -> pd.Series | None:
    """Score by video and frame; None of a task that has no class Normal among several."""
    classes = predicted_classes(table, main_task)
    if len(classes) > 1 and NORMAL not in classes:
        return None
    column = prediction_columns("probability", main_task, classes)[classes.index(NORMAL) if len(classes) > 1 else 0]
    values = table[column].to_numpy(float)
    index = pd.MultiIndex.from_arrays([table["video"].astype(str), table["frame"].to_numpy()])
    return pd.Series(1 - values if len(classes) > 1 else values, index).sort_index()


def compared_over_time(
    runs: Sequence[tuple[str, TrackedRun]],
    compared: Comparison,
    main_task: str,
    events: Events | None,
    tracking: Downloads | None,
) -> tuple[tuple[Timeline, ...], str]:
    """Timelines of the base's and the best other set's first run, and the unit of their time.

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
    rates: set[str] = set()
    for row in [*base["row"], *others["row"]] if events is not None else []:
        run = next(run for name, run in runs if name == row)
        try:
            with stored(run, PREDICTIONS, tracking) as path:
                tables[f"{row}, seed {run.params.get('seed', '')}"] = of_split(pd.read_parquet(path), "test")
        except (OSError, UserError):  # it was there when the runs were compared; the tables say what is lacking
            continue
        rates.add(run.params.get("data.fps", ""))
    rate = float(rates.pop()) if len(rates) == 1 and _is_number(next(iter(rates))) else None
    if events is None or not tables:
        return (), ""
    return over_time(tables, main_task, events, rate), "seconds" if rate else "frame of the video"


def _is_number(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
