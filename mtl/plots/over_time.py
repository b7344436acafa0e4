"""Scores along the time of single videos, beside the annotated events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtl.plots.layout import COLOURS, LINES, Look, name_panel, only_text, sheet, wrapped

SIDE_BY_SIDE = 2
SHADE = "0.82"
LONGEST = 41  # letters of a name that fit above a panel; of a longer one its start and its end


@dataclass(frozen=True)
class VideoScores:
    """What a panel shows of a video.

    Attributes
    ----------
    video, class_name : str
    scores : mapping of str to (ndarray of shape (n_rows + 1,), ndarray of shape (n_rows,))
        By what gave them: the times at which each row begins and the last one ends, and probabilities in
        [0, 1]; NaN is a gap.
    events : sequence of (float, float)
        Start and end of each annotated event, in the unit of the times.
    """

    video: str
    class_name: str
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]]
    events: Sequence[tuple[float, float]]


def scores_over_time(videos: Sequence[VideoScores], unit: str = "seconds", threshold: float = np.nan) -> Figure:
    """A panel per video: probabilities over time as lines of unlike styles, events shaded.

    Parameters
    ----------
    videos : sequence of VideoScores
    unit : str
        Of the time.
    threshold : float
        Of alarms; NaN where there is none.
    """
    names = list(dict.fromkeys(name for each in videos for name in each.scores))
    if not names:
        return only_text("no annotated test video to show")
    looks: dict[str, dict[str, Any]] = {
        name: {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i % len(LINES)], "linewidth": 1.4}
        for i, name in enumerate(names)
    }
    dashed: dict[str, Any] = {"color": "0.25", "linewidth": 1.0, "linestyle": "--"}
    key: list[Look] = [(wrapped(name, 60), look) for name, look in looks.items()]
    key += [("annotated event", {"color": SHADE, "linewidth": 9})]
    has_threshold = bool(np.isfinite(threshold))
    if has_threshold:
        key += [(f"alarm from {threshold:.3f} on, chosen on validation videos", dashed)]
    figure, panels = sheet(len(videos), 3.9, 1.25, min(SIDE_BY_SIDE, len(videos)), key, between=0.75)
    for i, (axes, each) in enumerate(zip(panels, videos, strict=True)):
        for start, end in each.events:
            axes.axvspan(start, end, color=SHADE, linewidth=0, zorder=0.5)
        for name, (edges, values) in each.scores.items():
            axes.stairs(values, edges, baseline=None, **looks[name])
        if has_threshold:
            axes.axhline(threshold, **dashed)
        first = min(edges[0] for edges, _ in each.scores.values())
        last = max(edges[-1] for edges, _ in each.scores.values())
        axes.set(xlim=(first, last), ylim=(-0.03, 1.03))
        axes.set_yticks([0, 0.5, 1])
        ticks = MaxNLocator(5).tick_values(first, last)
        inside = (ticks >= first) & (ticks < last - 0.06 * (last - first))  # at the end one would hang out
        axes.set_xticks(ticks[inside])
        below = unit if i >= len(videos) - SIDE_BY_SIDE else ""
        name_panel(axes, _title(each), below, "probability" if i % SIDE_BY_SIDE == 0 else "")
    return figure


def _title(each: VideoScores) -> str:
    whole = f"{each.video} ({each.class_name})" if each.class_name else each.video
    return whole if len(whole) <= LONGEST else f"{whole[:20]}…{whole[-20:]}"
