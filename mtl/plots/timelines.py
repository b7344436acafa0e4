"""Scores over a video's time, with the annotated events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mtl.plots.layout import COLOURS, LINES, Look, name_panel, only_text, sheet, wrapped

THRESHOLD = 0.5  # of a probability; drawn, nothing is decided by it
SIDE_BY_SIDE = 2
EVENT: dict[str, Any] = {"facecolor": "0.88", "edgecolor": "0.55", "hatch": "///", "linewidth": 0.0, "zorder": 0.5}


@dataclass(frozen=True)
class Timeline:
    """A video's scores over time.

    Attributes
    ----------
    video, class_name : str
    seconds : ndarray of shape (n,)
        Ascending; of the frame that each score belongs to, or its number where the rate is not known.
    scores : mapping of str to ndarray (n,)
        Probabilities, in [0, 1], by what gave them; NaN is a gap.
    events : sequence of (float, float)
        Start and end of each annotated event, in the unit of `seconds`.
    """

    video: str
    class_name: str
    seconds: np.ndarray
    scores: Mapping[str, np.ndarray]
    events: Sequence[tuple[float, float]]


def timelines(videos: Sequence[Timeline], unit: str = "seconds") -> Figure:
    """One panel per video: scores as lines of unlike styles, events hatched, the threshold dotted.

    Parameters
    ----------
    videos : sequence of Timeline
    unit : str
        Of the time.
    """
    names = list(dict.fromkeys(name for each in videos for name in each.scores))
    if not names:
        return only_text("no video has scores to show over time")
    looks: dict[str, dict[str, Any]] = {
        name: {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i % len(LINES)], "linewidth": 1.4}
        for i, name in enumerate(names)
    }
    key: list[Look] = [(wrapped(name, 60), look) for name, look in looks.items()]
    threshold: dict[str, Any] = {"color": "0.35", "linestyle": ":", "linewidth": 1.0}
    key += [(f"threshold {THRESHOLD}", threshold)]
    key += [("hatched: annotated event", {"color": "0.8", "linewidth": 7.0, "linestyle": "-"})]
    figure, panels = sheet(len(videos), 3.6, 1.3, min(SIDE_BY_SIDE, len(videos)), key, between=0.75)
    for i, (axes, each) in enumerate(zip(panels, videos, strict=True)):
        for start, end in each.events:
            axes.axvspan(start, end, **EVENT)
        for name, values in each.scores.items():
            axes.plot(each.seconds, values, **looks[name])
        axes.axhline(THRESHOLD, **threshold)
        axes.set_ylim(-0.02, 1.02)
        axes.set_yticks([0, 0.5, 1])
        is_last = i >= len(videos) - SIDE_BY_SIDE
        name_panel(
            axes, f"{each.video} ({each.class_name})", unit if is_last else "", "" if i % SIDE_BY_SIDE else "score"
        )
    return figure
