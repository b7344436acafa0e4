"""A video's scores over time as a figure that is readable in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mtl.plots.layout import name_panel, only_text, sheet, style_of, wrapped
from mtl.predict.curves import Curve, Threshold, smoothed
from mtl.predict.scoring import Scored
from mtl.predict.tables import Moment

WIDTH, HEIGHT = 9.0, 1.5  # inches of a panel
N_MARKS = 12
EVENT: dict[str, Any] = {"color": "0.82", "linewidth": 9}
LIMIT: dict[str, Any] = {"color": "0.25", "linewidth": 1.1, "linestyle": "--"}
MOMENT: dict[str, Any] = {"color": "black", "linestyle": "none", "marker": "v", "markersize": 6}

Span = tuple[float, float]


def figure_of(
    scored: Scored,
    curves: Sequence[Curve],
    limits: Mapping[str, Threshold],
    smooth: float,
    tops: Sequence[Moment],
    events: Sequence[Span] | None,
) -> Figure:
    """A panel per curve with its threshold, annotated events shaded, the leading curve's top moments marked.

    Parameters
    ----------
    tops : sequence of Moment
        Of the first curve.
    events : sequence of (float, float) or None
        Seconds of the annotated events; None where the video was not annotated.
    """
    if not scored.has_times:
        return only_text(f"{scored.name}: {scored.reason or 'nothing tells when its frames are shown'}")
    key = [("threshold", LIMIT), ("top moments", MOMENT), *([("annotated event", EVENT)] if events else [])]
    figure, panels = sheet(len(curves), WIDTH, HEIGHT, 1, key, between=0.62)
    seconds = scored.table["seconds"].to_numpy()
    for i, (axes, curve) in enumerate(zip(panels, curves, strict=True)):
        for start, end in events or ():
            axes.axvspan(start, end, color=EVENT["color"], linewidth=0, zorder=0)
        style = {**style_of(i), "markersize": 4, "markevery": max(1, len(seconds) // N_MARKS)}
        axes.plot(seconds, smoothed(seconds, curve.values(scored.table), smooth), **style)
        axes.axhline(limits[curve.name].value, **LIMIT)
        for moment in tops if i == 0 else ():
            axes.plot([moment.seconds], [min(moment.value + 0.06, 1.02)], clip_on=False, **MOMENT)
        axes.set_ylim(0, 1.05)
        axes.set_yticks([0, 0.5, 1])
        axes.set_xlim(0, max(float(seconds[-1]), float(np.max(scored.times)), 1e-3))
        last = i == len(curves) - 1
        name_panel(axes, _title(scored, curve, i), "seconds" if last else "", "probability")
    return figure


def _title(scored: Scored, curve: Curve, i: int) -> str:
    return wrapped(f"{scored.name}: {curve.name}" if i == 0 else curve.name, 100)
