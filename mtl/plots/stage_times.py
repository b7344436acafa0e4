"""Seconds of a run by stage, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mtl.plots.layout import SMALL, at_most, axes_at, plain, set_label
from mtl.plots.rendering import DPI, MARGIN

WIDTH, ROW = 4.6, 0.3  # inches of the bars, and of one of them
LIGHT, DARK = "0.82", "0.35"


def stage_times(
    seconds: Mapping[str, float], best: Mapping[str, float], absent: Mapping[str, str], below: Sequence[str]
) -> Figure:
    """Horizontal bars of seconds by stage; the part that this machine needs at best is dark and hatched.

    Parameters
    ----------
    seconds : mapping of str to float
        By stage, in the order of a run.
    best : mapping of str to float
        What a stage would take at best, as far as that is known; more than it took where it was
        partly done beside others.
    absent : mapping of str to str
        Stages that the run did not have, with the reason.
    below : sequence of str
        Lines below the bars.
    """
    names, whole = [*seconds, *absent], sum(seconds.values())
    left, height = 0.2 + max(map(at_most, names)), ROW * len(names)
    depth = 1.0 + 0.17 * len(below)
    figure = Figure(figsize=(left + WIDTH + 1.4 + MARGIN, depth + height + 0.35), dpi=DPI)
    axes = axes_at(figure, left, depth, WIDTH, height)
    taken = np.array([*seconds.values(), *(0.0 for _ in absent)])
    axes.barh(range(len(names)), taken, 0.72, color=LIGHT, edgecolor="0.35", linewidth=0.6)
    for i, name in enumerate(names):
        if name in absent:
            axes.text(0, i, plain(f" none: {absent[name]}"), va="center", fontsize=SMALL, color="0.25")
            continue
        part = best.get(name, float("nan"))
        if np.isfinite(part):
            shaded = min(part, taken[i])
            axes.barh([i], [shaded], 0.72, color=DARK, edgecolor="white", hatch="////", linewidth=0.0)
        shown = f" {taken[i]:.2f} s, {taken[i] / whole:.0%}"
        axes.text(taken[i], i, plain(shown), va="center", fontsize=SMALL)
    axes.set_yticks(range(len(names)), [plain(name) for name in names], fontsize=8.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, max(taken.max(), 1e-9))
    axes.tick_params(axis="x", labelsize=8.5)
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    set_label(axes.xaxis, "wall time in seconds", 0.5, -0.33 / height)
    axes.set_title(f"Where {whole:.1f} s went", fontsize=10, y=1 + 0.02 / height)
    key = [
        Patch(facecolor=LIGHT, edgecolor="0.35", label="this run"),
        Patch(facecolor=DARK, edgecolor="white", hatch="////", label="this machine at best"),
    ]
    where = (0.5, -0.4 / height)  # below the axis, where no bar is
    axes.legend(handles=key, loc="upper center", bbox_to_anchor=where, ncols=2, fontsize=SMALL, frameon=False)
    for i, line in enumerate(below):
        x, y = 0.1 / figure.get_figwidth(), (0.17 * (len(below) - 1 - i) + 0.1) / figure.get_figheight()
        figure.text(x, y, plain(line), fontsize=SMALL, color="0.25")
    return figure
