"""How a sweep that looks in between came to its verdicts: the interval of every effect after each wave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from mtl.plots.layout import (
    PANELS_SIDE_BY_SIDE,
    SMALL,
    blank,
    draw_grid,
    fitted,
    plain,
    range_of,
    say,
    wrapped,
)
from mtl.statistics.bounded import DIFFERENCE


@dataclass(frozen=True)
class Course:
    """One effect from look to look.

    Attributes
    ----------
    name : str
    verdict : str
        Of the last look.
    runs : sequence of int
        That had been used by each look.
    value, low, high : sequence of float
        Effect and ends of its interval; NaN where there was none.
    is_decided : sequence of bool
    """

    name: str
    verdict: str
    runs: Sequence[int]
    value: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    is_decided: Sequence[bool]


def course_of_looks(courses: Sequence[Course], margin: float, measure: str) -> Figure:
    """Effects with their intervals over the runs used, a panel each; the region that does not matter is shaded.

    Parameters
    ----------
    courses : sequence of Course
    margin : float
        Half the height of the region that does not matter.
    measure : str
        What the effects are of, for the axis.
    """
    if not any(np.isfinite(each.value).any() for each in courses):
        figure = blank(6.2, 2.2)
        say(figure, "no effect could be looked at yet")
        return fitted(figure)
    n_columns = min(PANELS_SIDE_BY_SIDE, len(courses))
    n_rows = -(-len(courses) // n_columns)
    figure = blank(max(4.6, 0.9 + 2.7 * n_columns), 1.2 + 2.5 * n_rows)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.ravel()[len(courses) :]:
        axes.set_axis_off()
    ends = np.concatenate([np.ravel([each.value, each.low, each.high]) for each in courses])
    low, high = range_of(np.array([*ends[np.isfinite(ends)], -1.5 * margin, 1.5 * margin]), DIFFERENCE)
    for axes, course in zip(grid.ravel(), courses, strict=False):
        _panel(axes, course, margin)
        axes.set_ylim(low, high)
    figure.supylabel(plain(f"effect on {measure}"), fontsize=9)
    for axes in grid.ravel()[max(len(courses) - n_columns, 0) : len(courses)]:  # the last ones of their columns
        axes.set_xlabel("runs used", fontsize=8.5)
        axes.tick_params(labelbottom=True)
    figure.suptitle(
        "Effects after each wave, with intervals that hold for all looks\n"
        "filled: decided; open: cannot tell; shaded: does not matter",
        fontsize=9.5,
    )
    return fitted(figure)


def _panel(axes: Axes, course: Course, margin: float) -> None:
    """One effect."""
    axes.axhspan(-margin, margin, color="0.88", zorder=0)
    axes.axhline(0, color="0.45", linewidth=1.0, linestyle="--", zorder=1)
    value, low, high = (np.asarray(each, float) for each in (course.value, course.low, course.high))
    there = np.isfinite(value)
    runs, decided = np.asarray(course.runs)[there], np.asarray(course.is_decided, bool)[there]
    ends = np.abs(np.stack([value - low, high - value])[:, there])
    axes.errorbar(runs, value[there], ends, fmt="none", ecolor="black", elinewidth=1.3, capsize=2.5, zorder=2)
    axes.plot(runs, value[there], color="0.5", linewidth=0.9, zorder=2)
    for which, face in ((decided, "black"), (~decided, "white")):
        axes.plot(runs[which], value[there][which], "o", color="black", markerfacecolor=face, markersize=5, zorder=3)
    axes.set_title(plain(f"{wrapped(course.name, 30)}\n{course.verdict}"), fontsize=8.5)
    axes.tick_params(labelsize=SMALL)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(FixedLocator(list(runs)) if len(runs) <= 6 else MaxNLocator(5, integer=True))
    draw_grid(axes)
