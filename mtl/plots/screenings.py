"""A screening: relevance of auxiliaries, predictions of left-out runs, predicted sets over what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mtl.plots.dots import forest_plot
from mtl.plots.layout import COLOURS, blank, draw_grid, fitted, plain, range_of
from mtl.statistics.bounded import AUC, DIFFERENCE

COLUMN, ROW = 0.22, 0.23  # inches of a set, and of an auxiliary
IN, OUT = "0.15", "0.9"
BESIDE = 0.32  # of a column, what was predicted before
BEFORE: dict[str, Any] = {"color": "black", "markerfacecolor": "white", "markersize": 5.5, "markeredgewidth": 1.3}


@dataclass(frozen=True)
class ForetoldRuns:
    """Gains of runs, and what was predicted of each without it.

    Attributes
    ----------
    measured, predicted, low, high : ndarray of shape (n_runs,)
    said : str
        For the title.
    """

    measured: np.ndarray
    predicted: np.ndarray
    low: np.ndarray
    high: np.ndarray
    said: str


@dataclass(frozen=True)
class PredictedSet:
    """A set as it is drawn.

    Attributes
    ----------
    members : tuple of str
    rank : int
        Among all sets, counted from 1.
    predicted, low, high : float
    measured : float
        NaN where nobody trained it.
    before, before_low, before_high : float
        What was predicted before it was trained, where it was trained to see whether that holds; else NaN.
    """

    members: tuple[str, ...]
    rank: int
    predicted: float
    low: float
    high: float
    measured: float
    before: float = float("nan")
    before_low: float = float("nan")
    before_high: float = float("nan")


def relevance_plot(table: pd.DataFrame, measure: str, margin: float) -> Figure:
    """Least squares coefficients with their intervals, and the ridge coefficients as open diamonds.

    Parameters
    ----------
    table : DataFrame
        Auxiliaries as index; `ridge`, `difference` (least squares), `low`, `high`, `verdict`.
    measure : str
        What is scored, for the axis.
    margin : float
        Coefficients nearer to zero do not matter: their place is shaded.
    """
    words = "dot and line: least squares, 95 % for all at once;\nopen diamond: ridge"
    figure = forest_plot(table, f"{measure} by an auxiliary", words, margin)
    axes = figure.axes[0]
    how: dict[str, Any] = {"markersize": 6.5, "markerfacecolor": "white", "color": COLOURS[1], "markeredgewidth": 1.4}
    axes.plot(table["ridge"], np.arange(len(table)) + 0.22, "D", zorder=5, **how)
    reached = table[["ridge", "difference", "low", "high"]].to_numpy(float)
    axes.set_xlim(*range_of(np.append(reached, [-margin, margin]), DIFFERENCE))
    return fitted(figure)


def foretold_plot(runs: ForetoldRuns, measure: str) -> Figure:
    """Predicted over measured gain of every run that was left out, with the interval of a prediction."""
    figure = blank(5.4, 4.9)
    axes = figure.add_subplot()
    limits = range_of(np.concatenate([runs.measured, runs.predicted, runs.low, runs.high, [0.0]]), DIFFERENCE)
    axes.plot(limits, limits, "--", color="0.45", linewidth=1.0, label="predicted = measured", zorder=1)
    axes.vlines(runs.measured, runs.low, runs.high, color="0.7", linewidth=1.2, zorder=2, label="90 % interval")
    axes.plot(runs.measured, runs.predicted, "o", color=COLOURS[0], markersize=5.5, zorder=3, label="a set, left out")
    axes.axhline(0, color="0.75", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.75", linewidth=0.8, zorder=0)
    axes.set(xlim=limits, ylim=limits)
    axes.set_aspect("equal")
    axes.set_xlabel(plain(f"measured gain in {measure}"), fontsize=9)
    axes.set_ylabel("predicted from the other sets", fontsize=9)
    axes.set_title(plain(runs.said), fontsize=10)
    axes.tick_params(labelsize=8.5)
    draw_grid(axes)
    axes.legend(fontsize=8.5, frameon=False, loc="upper left")
    return fitted(figure)


def sets_plot(sets: Sequence[PredictedSet], auxiliaries: Sequence[str], alone: float, measure: str) -> Figure:
    """Predicted score of sets above, and below it what each holds; those that were trained have an open square.

    What was predicted before a set was trained stands beside it as a diamond.

    Parameters
    ----------
    sets : sequence of PredictedSet
        One column each, in this order.
    auxiliaries : sequence of str
        Rows below, in this order.
    alone : float
        Score of the main task alone.
    measure : str
        What is scored, for the axis.
    """
    high, deep = 2.6, ROW * len(auxiliaries) + 0.1
    figure = blank(2.2 + max(COLUMN * len(sets), 3.6), high + deep + 1.3)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(high, deep))
    columns = np.arange(len(sets))
    predicted, low, top, measured = (
        np.array([getattr(one, name) for one in sets], float) for name in ("predicted", "low", "high", "measured")
    )
    above.axhline(alone, color="0.45", linewidth=1.0, linestyle="--", zorder=1)
    above.vlines(columns, low, top, color="0.7", linewidth=2.0, zorder=2)
    above.plot(columns, predicted, "o", color=COLOURS[0], markersize=5, zorder=3)
    trained: dict[str, Any] = {"color": "black", "markerfacecolor": "none", "markersize": 7, "markeredgewidth": 1.4}
    above.plot(columns, measured, "s", zorder=4, **trained)
    later = [(i, one) for i, one in enumerate(sets) if np.isfinite(one.before)]
    for i, one in later:
        above.vlines(i + BESIDE, one.before_low, one.before_high, color="black", linewidth=1.2, zorder=3)
        above.plot(i + BESIDE, one.before, "D", zorder=5, **BEFORE)
    reached = [[one.before, one.before_low, one.before_high] for _, one in later]
    above.set_ylim(*range_of(np.concatenate([predicted, low, top, measured, [alone], *reached]), AUC))
    above.set_ylabel(plain(measure), fontsize=9)
    above.tick_params(labelsize=8.5)
    above.tick_params(axis="x", length=0, labelbottom=False)
    draw_grid(above)
    above.grid(visible=False, axis="x")
    _draw_members(below, sets, auxiliaries)
    key = [
        Line2D([], [], color=COLOURS[0], marker="o", linestyle="", markersize=5, label="predicted"),
        Line2D([], [], color="0.7", linewidth=2.0, label="90 % interval of a run"),
        Line2D([], [], marker="s", linestyle="", label="measured: trained", **trained),
        Line2D([], [], color="0.45", linestyle="--", linewidth=1.0, label="main task alone"),
    ]
    if later:
        words = "predicted before it was trained, 90 % interval"
        key.append(Line2D([], [], marker="D", linestyle="-", linewidth=1.2, label=words, **BEFORE))
    figure.legend(handles=key, loc="outside lower center", ncols=2, fontsize=8.5, frameon=False)
    return fitted(figure)


def _draw_members(axes: Axes, sets: Sequence[PredictedSet], auxiliaries: Sequence[str]) -> None:
    """A dark square for an auxiliary that is in a set, a light one for one that is not."""
    inside = np.array([[name in one.members for one in sets] for name in auxiliaries])
    for is_in, colour in ((True, IN), (False, OUT)):
        rows, columns = np.nonzero(inside == is_in)
        axes.plot(columns, rows, "s", color=colour, markersize=7.5, markeredgewidth=0, clip_on=False)
    axes.set_yticks(range(len(auxiliaries)), [plain(name) for name in auxiliaries], fontsize=8.5)
    axes.set_ylim(len(auxiliaries) - 0.4, -0.6)
    axes.set_xlim(-0.7, len(sets) - 0.3)
    axes.set_xticks(range(len(sets)), [f"{one.rank:,}" for one in sets], fontsize=7.5, rotation=90)
    axes.set_xlabel("sets, by the place of their prediction among all", fontsize=9)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
