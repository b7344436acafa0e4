"""Scores along the time of single videos, beside the annotated events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtl.plots.layout import COLOURS, Look, name_panel, only_text, sheet

SIDE_BY_SIDE = 2
SHADE = "0.82"
LONGEST = 41  # letters of a name that fit above a panel; of a longer one its start and its end


@dataclass(frozen=True)
class Curve:
    """What a panel shows of a video.

    Attributes
    ----------
    title : str
    edges : ndarray of shape (n_rows + 1,)
        Seconds at which each row begins, and at which the last one ends.
    probability : ndarray of shape (n_rows,)
    events : sequence of (float, float)
        Start and end in seconds.
    """

    title: str
    edges: np.ndarray
    probability: np.ndarray
    events: Sequence[tuple[float, float]]


def scores_over_time(curves: Sequence[Curve], what: str, threshold: float) -> Figure:
    """A panel per video: the probability over time, events shaded, the threshold of alarms as a line.

    Parameters
    ----------
    curves : sequence of Curve
    what : str
        Whose probability it is.
    threshold : float
        NaN where there is none.
    """
    if not curves:
        return only_text("no annotated test video to show")
    line: dict[str, Any] = {"color": COLOURS[0], "linewidth": 1.4}
    dashed: dict[str, Any] = {"color": "0.25", "linewidth": 1.0, "linestyle": "--"}
    key: list[Look] = [(f"probability of {what}", line), ("annotated event", {"color": SHADE, "linewidth": 9})]
    has_threshold = bool(np.isfinite(threshold))
    if has_threshold:
        key.append((f"alarm from {threshold:.3f} on, chosen on validation videos", dashed))
    figure, panels = sheet(len(curves), 3.9, 1.25, min(SIDE_BY_SIDE, len(curves)), key)
    for i, (axes, curve) in enumerate(zip(panels, curves, strict=True)):
        for start, end in curve.events:
            axes.axvspan(start, end, color=SHADE, linewidth=0, zorder=0.5)
        axes.stairs(curve.probability, curve.edges, baseline=None, **line)
        if has_threshold:
            axes.axhline(threshold, **dashed)
        first, last = curve.edges[0], curve.edges[-1]
        axes.set(xlim=(first, last), ylim=(-0.03, 1.03))
        axes.set_yticks([0, 0.5, 1])
        ticks = MaxNLocator(5).tick_values(first, last)
        axes.set_xticks(
            ticks[(ticks >= first) & (ticks < last - 0.06 * (last - first))]
        )  # at the end one would hang out
        below = "seconds" if i >= len(curves) - SIDE_BY_SIDE else ""
        title = curve.title if len(curve.title) <= LONGEST else f"{curve.title[:20]}…{curve.title[-20:]}"
        name_panel(axes, title, below, "probability" if i % SIDE_BY_SIDE == 0 else "")
    return figure
