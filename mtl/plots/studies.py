"""A search: the course of its objective, and what the parameters matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mtl.plots.layout import COLOURS, as_text, blank, draw_grid, epoch_axis, fitted, plain

FAILED = "failed"


def objective_by_trial(values: Sequence[float], best_so_far: Sequence[float], objective: str) -> Figure:
    """The objective of every trial as a dot, and the best so far as a line; a failed trial is a cross below.

    Parameters
    ----------
    values : sequence of float
        Of the trials in their order; NaN where one failed.
    best_so_far : sequence of float
    objective : str
        In words, for the axis.
    """
    figure = blank(7.0, 3.4)
    axes = figure.add_subplot()
    numbers, found = np.arange(1, len(values) + 1), np.asarray(values, float)
    failed = ~np.isfinite(found)
    axes.plot(numbers, best_so_far, "-", drawstyle="steps-post", color="0.35", linewidth=1.4, label="best so far")
    axes.plot(numbers[~failed], found[~failed], "o", color=COLOURS[0], markersize=5, label="trial")
    if failed.any():
        low = axes.get_ylim()[0]
        axes.plot(numbers[failed], np.full(failed.sum(), low), "x", color=COLOURS[1], clip_on=False, label=FAILED)
        axes.set_ylim(bottom=low)
    draw_grid(axes)
    epoch_axis(axes, numbers)
    axes.set(xlabel="trial", ylabel=plain(objective))
    axes.legend(fontsize=8.5, frameon=False, loc="best")
    return fitted(figure)


def importance(shares: Mapping[str, float]) -> Figure:
    """Shares of the objective's variance as bars, the largest above.

    Parameters
    ----------
    shares : mapping of str to float
        By key, in [0, 1].
    """
    ordered = sorted(shares.items(), key=lambda item: item[1])
    figure = blank(7.0, 1.2 + 0.4 * len(ordered))
    axes = figure.add_subplot()
    axes.barh(range(len(ordered)), [share for _, share in ordered], height=0.55, color=COLOURS[0], edgecolor="0.2")
    axes.set_yticks(range(len(ordered)), as_text([key for key, _ in ordered]))
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the objective's variance (fANOVA)")
    draw_grid(axes)
    return fitted(figure)
