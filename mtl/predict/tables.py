"""Scores as files, and the summary over videos."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mtl.files import publish
from mtl.formatting import NOTHING, number
from mtl.predict.curves import Curve, Threshold, smoothed
from mtl.predict.scoring import Scored

N_MOMENTS = 5
APART_SECONDS, APART_SHARE = 2.0, 0.05  # between two moments, at least: whichever is more
DIGITS = "%.7g"


@dataclass(frozen=True)
class Moment:
    """A high score: when, which frame, how high."""

    seconds: float
    frame: int
    value: float


def write_scores(folder: Path, scored: Scored, form: str) -> list[Path]:
    """Write the table of frames and its means by whole second; what stood there is replaced when they are whole."""
    files = [folder / f"{scored.name}.{form}", folder / f"{scored.name}_per_second.{form}"]
    for file, table in zip(files, (scored.table, per_second(scored.table)), strict=True):
        publish(file, _bytes(table, form))
    return files


def _bytes(table: pd.DataFrame, form: str) -> bytes:
    """A table in csv or parquet."""
    if form == "csv":
        return table.to_csv(index=False, float_format=DIGITS).encode()
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def per_second(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the frames shown within each whole second: `second`, `frames` (how many), and the scores.

    A second without a frame has no row; frames without a time are in none.
    """
    timed = table[np.isfinite(table["seconds"])]
    seconds = np.floor(timed["seconds"] + 1e-6).astype(int).rename("second")
    means = timed.drop(columns=["frame", "seconds"]).groupby(seconds).mean()
    means.insert(0, "frames", timed.groupby(seconds).size())
    return means.reset_index()


def moments(scored: Scored, curve: Curve, smooth: float) -> list[Moment]:
    """The highest peaks of a video's scores, the highest first, each apart from the ones before."""
    if not scored.has_times:
        return []
    seconds = scored.table["seconds"].to_numpy()
    values = smoothed(seconds, curve.values(scored.table), smooth)
    apart = max(APART_SECONDS, APART_SHARE * float(np.ptp(seconds)))
    beyond = np.concatenate([[-np.inf], np.where(np.isfinite(values), values, -np.inf), [-np.inf]])
    free = np.isfinite(values) & (values >= beyond[:-2]) & (values >= beyond[2:])  # no shoulder of a higher one
    found: list[Moment] = []
    while free.any() and len(found) < N_MOMENTS:
        at = int(np.argmax(np.where(free, values, -np.inf)))
        found.append(Moment(float(seconds[at]), int(scored.table["frame"].iloc[at]), float(values[at])))
        free &= np.abs(seconds - seconds[at]) >= apart
    return found


def share_above(scored: Scored, curve: Curve, threshold: float, smooth: float) -> float:
    """Share of the frames at or above the threshold; NaN without a frame."""
    if not len(scored.table):
        return np.nan
    values = smoothed(scored.table["seconds"].to_numpy(), curve.values(scored.table), smooth)
    return float(np.mean(values >= threshold))


def summary(videos: Sequence[Scored], curve: Curve, limits: Mapping[str, Threshold], smooth: float) -> pd.DataFrame:
    """A row per video: frames, seconds, the highest score and when, the share of frames that are an alarm, problems."""
    rows = []
    for scored in videos:
        top = moments(scored, curve, smooth)[:1]
        rows.append(
            {
                "frames": f"{len(scored.times):,}",
                "scored": f"{len(scored.table):,}",
                "length": clock(scored.times[-1]) if len(scored.times) else NOTHING,
                "top score": number(top[0].value) if top else NOTHING,
                "at": clock(top[0].seconds) if top else NOTHING,
                "alarm": _percent(share_above(scored, curve, limits[curve.name].value, smooth)),
                "problem": scored.reason or NOTHING,
            }
        )
    table = pd.DataFrame(rows, index=pd.Index([scored.name for scored in videos], name="video"))
    return table if (table["problem"] != NOTHING).any() else table.drop(columns="problem")


def clock(seconds: float) -> str:
    """As in 1:02.5, with hours where there are some."""
    if not np.isfinite(seconds):
        return NOTHING
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02d}:{rest / 10:04.1f}" if hours else f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{text}" if hours else text


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if np.isfinite(share) else NOTHING
