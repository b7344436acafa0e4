"""Places, keys, names and looks that every figure is made of."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mtl.plots.rendering import DPI, MARGIN
from mtl.statistics.bounded import CORRELATION, Bounds

# Distinct without colour too: Okabe and Ito's colours, each with a line and a mark of its own.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 2)))
MARKS = ("o", "s", "^", "D", "v", "P", "X")
SMALL = 7.5
PANELS_SIDE_BY_SIDE = 3
LINE = 0.21  # inches, of a line of a key
Look = tuple[str, dict[str, Any]]  # of a line in a key: its label, how it is drawn


def blank(width: float, height: float) -> Figure:
    """A figure of that size in inches whose places are found by measuring."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def fitted(figure: Figure) -> Figure:
    """The figure, made larger until no name or title is cut off."""
    FigureCanvasAgg(figure)
    for _ in range(4):
        engine = figure.get_layout_engine()
        assert engine is not None
        engine.execute(figure)  # finds the places; drawing without rendering would do more, and cost as much again
        size = figure.get_size_inches()
        ink = figure.get_tightbbox()
        # twice: what is centred grows on both sides
        lacking = 2 * np.array([max(-ink.x0, ink.x1 - size[0], 0.0), max(-ink.y0, ink.y1 - size[1], 0.0)])
        if (lacking < 0.01).all():
            break
        figure.set_size_inches(size + lacking + 0.05)
    figure.set_layout_engine("none")  # the places are found: to save the figure need not find them again
    return figure


def only_text(text: str) -> Figure:
    """A figure that says why there is nothing to see."""
    figure = Figure(figsize=(6.2, 2.2), dpi=DPI)
    say(figure, text)
    return figure


def say(figure: Figure, text: str) -> None:
    """An empty figure that says why."""
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.5, plain(text), ha="center", va="center")


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    whole_width, whole_height = figure.get_size_inches()
    place = (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    return figure.add_axes(place)


def sheet(
    n_panels: int, width: float, height: float, side_by_side: int, key: Sequence[Look], between: float = 0.85
) -> tuple[Figure, list[Axes]]:
    """Panels of one size in inches, row by row, with one key below them.

    All places are fixed and too wide rather than too narrow, and `png` cuts the white
    off: to measure every text for a layout takes longer than to draw it.
    """
    n_rows = -(-n_panels // side_by_side)
    beside, below, above = 0.75, 0.55, 0.3
    columns = max(1, int(side_by_side * (width + beside) / max(_key_width(key), 1e-9)))
    depth = LINE * sum(text.count("\n") + 1 for text, _ in key[:: min(columns, len(key)) or 1]) + 0.1
    whole = (
        max(side_by_side * (width + beside), 0.75 + max((at_most(text) for text, _ in key), default=0)) + MARGIN,
        above + n_rows * (height + between) - between + below + depth,
    )
    figure = Figure(figsize=whole, dpi=DPI)
    places = [divmod(i, side_by_side) for i in range(n_panels)]
    panels = [
        axes_at(
            figure, beside + j * (width + beside), whole[1] - above - height - i * (height + between), width, height
        )
        for i, j in places
    ]
    for axes in panels:
        draw_grid(axes)
        axes.tick_params(labelsize=8.5)
    _key(figure, key, columns, beside, depth - 0.1)
    return figure, panels


def _key_width(key: Sequence[Look]) -> float:
    """Inches of a column of a key, about."""
    return 0.8 + 0.65 * max((at_most(text) for text, _ in key), default=0)


def _key(figure: Figure, key: Sequence[Look], columns: int, left: float, top: float) -> None:
    """What each line is, row by row; a tenth of the work of matplotlib's legend, which measures itself."""
    wide, inches = _key_width(key), figure.dpi_scale_trans
    for i, (text, look) in enumerate(key):
        x = left + wide * (i % columns)
        figure.add_artist(Line2D([x, x + 0.22, x + 0.44], [top] * 3, markevery=[1], transform=inches, **look))
        figure.text(x + 0.54, top, plain(text), fontsize=8.5, va="center", transform=inches)
        if i % columns == columns - 1:
            top -= LINE * (text.count("\n") + 1)


def name_panel(axes: Axes, title: str, below: str, left: str) -> None:
    """Title and labels of a panel at places of their own, which no tick label need be measured for."""
    width, height = axes.get_position().size * axes.get_figure().get_size_inches()  # type: ignore[union-attr]
    if title:
        axes.set_title(plain(title), fontsize=10, y=1.0)
    if below:
        set_label(axes.xaxis, below, 0.5, -0.27 / height)
    if left:
        set_label(axes.yaxis, left, -0.55 / width, 0.5)


def set_label(axis: Axis, text: str, x: float, y: float) -> None:
    """A name of an axis at a place in shares of the panel."""
    axis.set_label_text(text, fontsize=9)
    axis.set_label_coords(x, y)


def set_ticks(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Ticks at these values and nowhere else."""
    axes.set_xticks(x)
    axes.set_yticks(y)


def epoch_axis(axes: Axes, epochs: Sequence[int] | np.ndarray | pd.Index) -> None:
    """Whole numbers below, also where there is one epoch only."""
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def draw_grid(axes: Axes) -> None:
    """Thin lines behind everything."""
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def range_of(values: np.ndarray, bounds: Bounds) -> tuple[float, float]:
    """Limits with a small margin around all values, but none beyond what the quantity can be."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    margin = max(0.06 * float(np.ptp(finite)), 0.01)
    return max(float(finite.min()) - margin, bounds.low), min(float(finite.max()) + margin, bounds.high)


def end_at_one(axes: Axes) -> None:
    """Let the y axis of correlations or shares end at -1 and 1; an affinity, which may be more, keeps its margin."""
    if CORRELATION.low <= axes.dataLim.y0 and axes.dataLim.y1 <= CORRELATION.high:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, CORRELATION.low), min(high, CORRELATION.high))


def style_of(i: int) -> dict:
    """The i-th look of a line; marks run through at another pace, so that looks repeat late."""
    mark = MARKS[(i + i // len(MARKS)) % len(MARKS)]
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i % len(LINES)], "marker": mark, "linewidth": 1.6}


def open_mark(style: Mapping[str, Any]) -> dict[str, Any]:
    """The same look with an open mark and a thinner line."""
    return {**style, "markerfacecolor": "white", "linewidth": 0.9}


def plain(text: str) -> str:
    """Text that is not taken for a formula."""
    return text.replace("$", r"\$")


def as_text(index: Sequence[Hashable] | pd.Index) -> list[str]:
    """Names of rows or columns."""
    return [str(each) for each in index]


def wrapped(text: str, width: int = 16) -> str:
    """Text in lines of about the width, broken behind spaces, commas and underscores."""
    lines = [""]
    for word in text.replace("_", "_\0").replace(" ", " \0").replace(",", ",\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(word.rstrip()) > width:
            lines.append("")
        lines[-1] += word
    return "\n".join(line.rstrip() for line in lines)


def folded(labels: Sequence[str]) -> list[str]:
    """Labels in lines short enough to stand beside a panel."""
    return [wrapped(label, 40) for label in labels]


def at_most(text: str, size: float = 8.5) -> float:
    """Inches that a text takes at most: no letter is wider than it is high."""
    return max(map(len, text.split("\n"))) * size / 72
