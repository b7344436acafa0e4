"""Dots with intervals: scores by class or set, differences, predicted beside observed gains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mtl.formatting import plural
from mtl.plots.layout import (
    COLOURS,
    PANELS_SIDE_BY_SIDE,
    SMALL,
    as_text,
    at_most,
    axes_at,
    blank,
    draw_grid,
    fitted,
    folded,
    plain,
    range_of,
    say,
    set_label,
    style_of,
    wrapped,
)
from mtl.plots.rendering import DPI, MARGIN
from mtl.statistics.bounded import AUC, CORRELATION, DIFFERENCE, Bounds


def class_auc(table: pd.DataFrame) -> Figure:
    """AUC of every class against the rest, as dots with intervals.

    Parameters
    ----------
    table : DataFrame
        Columns `class`, `videos`, `auc`, `low`, `high`, and `task` where the
        classes of several tasks are in it; a class that was not `trained` is marked behind its
        name where there is such a column. An undefined AUC is marked.
    """
    tasks = table["task"].nunique() if "task" in table else 1
    names = table["class"] if tasks < 2 else table["task"] + ": " + table["class"].astype(str)
    trained = table["trained"] if "trained" in table else [True] * len(table)
    labels = [
        f"{name}  ({plural(int(videos), 'video')}{'' if trains else ', never trained'})"
        for name, videos, trains in zip(names, table["videos"], trained, strict=True)
    ]
    left, height = 0.2 + max(map(at_most, folded(labels)), default=0.0), 0.2 + 0.3 * max(1, len(labels))
    figure = Figure(figsize=(left + 4.5 + MARGIN, 0.6 + height + 0.6), dpi=DPI)
    axes = axes_at(figure, left, 0.6, 4.5, height)
    _forest(axes, labels, table["auc"], table["low"], table["high"])
    _reference(axes, 0.5, "chance")
    set_label(axes.xaxis, "frame-level AUC (95 % interval over videos)", 0.5, -0.3 / height)
    axes.set_title("Each class against the others", fontsize=10, y=1 + 0.18 / height)
    _set_limits(axes, [0.5, *table["auc"], *table["low"], *table["high"]], AUC)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.tick_params(axis="x", labelsize=8.5)
    return figure


def auc_by_set(
    aucs: Mapping[str, Sequence[float]], intervals: Mapping[str, tuple[float, float]], measure: str
) -> Figure:
    """A score by task set: one open dot per seed, the mean as a bar, its interval as a line.

    Parameters
    ----------
    aucs : mapping of str to sequence of float
        By set, one value per seed; NaN where a run has none.
    intervals : mapping of str to (float, float)
        Ends of the 95 % interval by set; a set may be missing.
    measure : str
        What is shown, for the axis.
    """
    figure = blank(7.0, 1.5 + 0.42 * len(aucs))
    axes = figure.add_subplot()
    labels, means, lows, highs = [], [], [], []
    for i, (name, values) in enumerate(aucs.items()):
        defined = np.asarray(values, float)[np.isfinite(np.asarray(values, float))]
        labels.append(f"{name}  ({plural(len(defined), 'seed')})")
        means.append(defined.mean() if len(defined) else np.nan)
        low, high = intervals.get(name, (np.nan, np.nan))
        lows.append(low)
        highs.append(high)
        spread = np.linspace(-0.16, 0.16, len(defined)) if len(defined) > 1 else np.zeros(len(defined))
        circles: dict[str, Any] = {"markersize": 4.5, "markerfacecolor": "none", "color": COLOURS[0], "zorder": 3}
        axes.plot(defined, i + spread, "o", clip_on=not len(defined), **circles)
    _forest(axes, labels, means, lows, highs, mark="|", size=14)
    _set_limits(axes, [*means, *lows, *highs, *(value for values in aucs.values() for value in values)], AUC)
    axes.set(xlabel=plain(f"{measure}: mean (bar), seeds (circles)" + (", 95 % interval (line)" if intervals else "")))
    return fitted(figure)


def forest_plot(
    table: pd.DataFrame, measure: str, interval: str = "95 % interval", margin: float | None = None
) -> Figure:
    """Differences with their intervals around zero.

    Parameters
    ----------
    table : DataFrame
        What is compared as index; columns `difference`, `low`, `high`, and
        `verdict` where there is one, shown at the right.
    measure : str
        What differs, for the axis.
    interval : str
        What the lines are.
    margin : float, optional
        Differences nearer to zero do not matter: their place is shaded.
    """
    figure = blank(7.6, 1.5 + 0.42 * len(table))
    axes = figure.add_subplot()
    _forest(axes, as_text(table.index), table["difference"], table["low"], table["high"])
    _reference(axes, 0.0, "no difference")
    ends = [0.0, *table["difference"], *table["low"], *table["high"]]
    if margin is not None:
        axes.axvspan(-margin, margin, facecolor="0.92", edgecolor="none", zorder=0)
        ends += [-margin, margin]
        interval += f";\nshaded: does not matter, within ±{margin:g}"
    _set_limits(axes, ends, DIFFERENCE)
    if "verdict" in table:
        right = axes.secondary_yaxis("right")
        right.set_yticks(range(len(table)), [plain(wrapped(str(word), 28)) for word in table["verdict"]], fontsize=8.5)
        right.tick_params(length=0)
    axes.set(xlabel=plain(f"difference in {measure} ({interval})"))
    return fitted(figure)


def predicted_and_observed_gain(points: pd.DataFrame, correlations: Mapping[str, str]) -> Figure:
    """Gain that an auxiliary brought against each measure of it, one panel per measure.

    Parameters
    ----------
    points : DataFrame
        Columns `measure`, `auxiliary`, `control`, `value`, `gain`, `low`, `high`.
        Controls are open marks.
    correlations : mapping of str to str
        What stands below each measure's name.
    """
    measures = list(dict.fromkeys(points["measure"]))
    if not measures:
        figure = blank(6.2, 2.2)
        say(figure, "no auxiliary has both a relation and a gain: nothing to compare")
        return fitted(figure)
    n_columns = min(PANELS_SIDE_BY_SIDE, len(measures))
    n_rows = -(-len(measures) // n_columns)
    figure = blank(max(5.2, 0.9 + 3.1 * n_columns), 1.3 + 2.7 * n_rows)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
    looks = {name: i for i, name in enumerate(dict.fromkeys(points["auxiliary"]))}
    for axes in grid.ravel()[len(measures) :]:
        axes.set_axis_off()
    handles: dict[str, Any] = {}
    gains = range_of(points[["gain", "low", "high"]].to_numpy(float), DIFFERENCE)
    grid[0, 0].set_ylim(min(gains[0], 0.0), max(gains[1], 0.0))
    for axes, measure in zip(grid.ravel(), measures, strict=False):
        of_measure = points[points["measure"] == measure]
        for auxiliary, group in of_measure.groupby("auxiliary", sort=False):
            style = style_of(looks[auxiliary])
            is_control = bool(group["control"].iloc[0])
            marks = _gains(axes, group, style["marker"], style["color"], is_control)
            handles.setdefault(f"{auxiliary}{' (control)' if is_control else ''}", marks)
        if (of_measure["value"].abs() <= 1).all():  # correlations and shares; an affinity may be anything
            _set_limits(axes, of_measure["value"].tolist(), CORRELATION)
        axes.axhline(0, color="0.45", linewidth=1.0, linestyle="--", zorder=0)
        axes.set_title(plain(measure.replace("_", " ") + "\n" + correlations.get(measure, "")), fontsize=8.5)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        draw_grid(axes)
    for row in grid:
        row[0].set_ylabel("gain in AUC", fontsize=9)
    figure.suptitle("Gain of the main task against its measure with the auxiliary, means over seeds", fontsize=9.5)
    figure.legend(
        list(handles.values()),
        [plain(name) for name in handles],
        loc="outside lower center",
        ncols=3,
        fontsize=8.5,
        frameon=False,
    )
    return fitted(figure)


def _gains(axes: Axes, points: pd.DataFrame, mark: str, colour: str, is_control: bool) -> Line2D:
    """Gains of an auxiliary with their intervals, over its measure; open marks for a control."""
    ends = np.array([points["gain"] - points["low"], points["high"] - points["gain"]], float)
    axes.errorbar(points["value"], points["gain"], np.abs(ends), fmt="none", ecolor="0.72", elinewidth=0.9, zorder=1)
    face = "white" if is_control else colour
    (marks,) = axes.plot(
        points["value"], points["gain"], mark, color=colour, markerfacecolor=face, markersize=6, zorder=3, clip_on=False
    )
    return marks


def _forest(
    axes: Axes,
    labels: Sequence[str],
    values: Iterable[float],
    low: Iterable[float],
    high: Iterable[float],
    mark: str = "o",
    size: float = 6,
) -> None:
    """Dots with intervals, the first on top; a missing value is marked."""
    dots = np.array([list(values), list(low), list(high)], float).reshape(3, -1)
    rows, known = np.arange(dots.shape[1]), np.isfinite(dots)
    both = known[1] & known[2]
    ends = np.stack([*dots[1:, both], np.full(both.sum(), np.nan)], axis=1)  # NaN ends a line
    line: dict[str, Any] = {"color": "black", "linewidth": 1.4, "marker": "|", "markersize": 6, "zorder": 2}
    of_dots: dict[str, Any] = {"color": "black", "markersize": size, "markeredgewidth": 1.6, "zorder": 4}
    # not clipped, so that a mark at a bound of the axis is whole; what is empty lies nowhere and is
    axes.plot(ends.ravel(), rows[both].repeat(3), clip_on=not both.any(), **line)
    axes.plot(dots[0], rows, mark, clip_on=not known[0].any(), **of_dots)
    for i in rows[~known[0]]:
        how: dict[str, Any] = {"ha": "center", "va": "center", "color": "0.35", "backgroundcolor": "white"}
        axes.text(0.5, i, "undefined", transform=axes.get_yaxis_transform(), fontsize=8.5, **how)
    axes.set_yticks(range(len(labels)), [plain(label) for label in folded(labels)], fontsize=8.5)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def _reference(axes: Axes, at: float, name: str) -> None:
    axes.axvline(at, color="0.45", linewidth=1.0, linestyle="--", zorder=1)
    how: dict[str, Any] = {"xytext": (0, 2), "textcoords": "offset points", "ha": "center", "va": "bottom"}
    axes.annotate(name, (at, 1), xycoords=("data", "axes fraction"), fontsize=SMALL, color="0.35", **how)


def _set_limits(axes: Axes, values: Sequence[float], bounds: Bounds) -> None:
    """Limits that hold all values, and a little more where there is more."""
    axes.set_xlim(*range_of(np.asarray(values, float), bounds))
