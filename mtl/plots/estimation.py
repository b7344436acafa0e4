"""Estimation plots: the seeds of every set, and below them how its difference to the base is distributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import gaussian_kde

from mtl.formatting import MINUS
from mtl.plots.layout import COLOURS, SMALL, blank, draw_grid, fitted, plain, range_of, wrapped
from mtl.statistics.bounded import AUC, DIFFERENCE

WIDEST, NARROWEST, PAGE, LEAST = 1.1, 0.6, 9.0, 5.0  # inches of a column, of all where that leaves room, and at least
LETTER = 0.075  # inches that a letter of a name takes, about
TURN = 40  # degrees of names that find no room beside each other
MOST_LINES = 4  # of a name that is not turned
SIDE = 26  # letters of a line beside a panel
TAIL = 0.005  # share of the resamples left out at each end of a drawn distribution: single ones would stretch the axis
LEVELS = 200  # at which a density is drawn
REACH = 0.38  # of a column that the widest place of a distribution takes
BEYOND, WITHIN, BAND = COLOURS[0], "0.8", "0.94"  # dark, light, lighter: told apart in grey


@dataclass(frozen=True)
class Difference:
    """A difference to the base as it is drawn.

    Attributes
    ----------
    value, low, high : float
        The difference and the ends of its interval.
    draws : ndarray of shape (n_resamples,)
        Its resamples; NaN are left out.
    """

    value: float
    low: float
    high: float
    draws: np.ndarray


def estimation_plot(
    seeds: Mapping[str, Mapping[str, float]],
    differences: Mapping[str, Difference],
    base: str,
    measure: str,
    margin: float,
    condition: str = "",
) -> Figure:
    """Dots of all seeds above, and below each set the distribution of its difference to the base.

    Parameters
    ----------
    seeds : mapping of str to (mapping of str to float)
        By set, then seed, its score in [0, 1]; NaN where a run has none. One column per set, in
        this order; a line joins the runs of one seed.
    differences : mapping of str to Difference
        By set; one that is missing has an empty place.
    base : str
    measure : str
        What is scored, for the axes.
    margin : float
        Half the width of the band in which a difference does not matter.
    condition : str
        What all runs have in common, for the title.

    References
    ----------
    Ho et al., Moving beyond P values: data analysis with estimation graphics, Nature
    Methods 2019.
    """
    width = max(LEAST, max(NARROWEST, min(WIDEST, PAGE / len(seeds))) * len(seeds))
    names, turned = _names(list(seeds), width / len(seeds))
    deep = LETTER * max(map(_longest_line, names)) * np.sin(np.deg2rad(TURN)) if turned else 0.0
    figure = blank(1.2 + width, 6.4 + deep)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.1))
    labels = (f"difference in {measure}", f"relative to {base}")
    _draw_seeds(above, seeds)
    _draw_differences(below, list(seeds), differences, margin)
    if base in seeds:
        how: dict[str, Any] = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "va": "bottom"}
        below.annotate("base", (list(seeds).index(base), 0), fontsize=SMALL, color="0.35", **how)
    above.set_ylabel(plain(wrapped(measure, SIDE)), fontsize=9)
    below.set_ylabel(plain("\n".join(wrapped(what, SIDE) for what in labels)), fontsize=9)
    below.set_xlim(-0.5, len(seeds) - 0.5)
    how_turned: dict[str, Any] = {"rotation": TURN, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    below.set_xticks(range(len(seeds)), [plain(name) for name in names], fontsize=8.5, **how_turned)
    several = any(np.isfinite(list(values.values())).sum() > 1 for values in seeds.values())
    over = "videos and seeds" if several else "videos"
    title = f"All runs (above), and the difference to the base in resamples of {over} (below)"
    lines = [wrapped(each, int(width / LETTER)) for each in (title, condition) if each]
    figure.suptitle(plain("\n".join(lines)), fontsize=10)
    figure.legend(handles=_key(margin), loc="outside lower center", ncols=2, fontsize=8.5, frameon=False)
    return fitted(figure)


def _draw_seeds(axes: Axes, seeds: Mapping[str, Mapping[str, float]]) -> None:
    """A circle per run, a thin line per seed, a bar at each mean."""
    of_seeds = list(dict.fromkeys(seed for values in seeds.values() for seed in values))
    values = np.array([[of_set.get(seed, np.nan) for of_set in seeds.values()] for seed in of_seeds], float)
    columns = np.arange(len(seeds))
    for of_seed in values:
        axes.plot(columns, of_seed, color="0.75", linewidth=0.8, zorder=1)
    for column, of_set in zip(columns, values.T, strict=True):
        defined = of_set[np.isfinite(of_set)]
        circles: dict[str, Any] = {"markersize": 5, "markerfacecolor": "white", "color": COLOURS[0], "zorder": 5}
        axes.plot(np.full(len(defined), column), defined, "o", clip_on=not len(defined), **circles)
        if len(defined):
            bar: dict[str, Any] = {"color": "black", "linewidth": 2, "zorder": 4, "clip_on": False}
            axes.plot([column - 0.2, column + 0.2], [defined.mean()] * 2, **bar)
        else:
            how: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL, "color": "0.35"}
            axes.text(float(column), 0.5, "undefined", transform=axes.get_xaxis_transform(), rotation=90, **how)
    axes.set_ylim(*range_of(values, AUC))
    axes.tick_params(labelsize=8.5)
    axes.tick_params(axis="x", length=0, labelbottom=False)
    draw_grid(axes)
    axes.grid(visible=False, axis="x")


def _draw_differences(axes: Axes, names: Sequence[str], differences: Mapping[str, Difference], margin: float) -> None:
    """Distributions to the right of their intervals, over the band of the margin."""
    axes.axhspan(-margin, margin, facecolor=BAND, edgecolor="none", zorder=0)
    for edge in (-margin, margin):
        axes.axhline(edge, color="0.6", linewidth=0.8, linestyle=":", zorder=1)
    axes.axhline(0.0, color="0.3", linewidth=1.0, linestyle="--", zorder=3.5)
    reached = [0.0, -margin, margin]
    for column, name in enumerate(names):
        if name not in differences:
            continue
        found = differences[name]
        levels = _draw_distribution(axes, column, found.draws, margin)
        axes.plot([column] * 2, [found.low, found.high], color="black", linewidth=2.2, solid_capstyle="butt", zorder=4)
        axes.plot([column], [found.value], "o", color="black", markersize=5.5, zorder=5)
        reached += [found.value, found.low, found.high, *levels]
    axes.set_ylim(*range_of(np.array(reached), DIFFERENCE))
    axes.tick_params(labelsize=8.5)
    axes.tick_params(axis="x", length=0)
    draw_grid(axes)
    axes.grid(visible=False, axis="x")


def _draw_distribution(axes: Axes, column: int, draws: np.ndarray, margin: float) -> tuple[float, ...]:
    """Half a violin, light within the margin and dark beyond it; its ends. None where all resamples are alike."""
    defined = draws[np.isfinite(draws)].astype(float)
    if len(defined) < 2 or np.ptp(defined) < 1e-9:
        return ()
    low, high = np.quantile(defined, [TAIL, 1 - TAIL])
    edges = [edge for edge in (-margin, margin) if low < edge < high]
    levels = np.unique([*np.linspace(low, high, LEVELS), *edges])
    density = gaussian_kde(defined)(levels)
    right = column + REACH * density / density.max()
    for low_edge, high_edge, colour in (
        (-np.inf, -margin, BEYOND),
        (-margin, margin, WITHIN),
        (margin, np.inf, BEYOND),
    ):
        part = (levels >= low_edge) & (levels <= high_edge)
        if part.sum() > 1:
            axes.fill_betweenx(levels[part], column, right[part], facecolor=colour, edgecolor="none", zorder=2)
    axes.plot(right, levels, color="0.25", linewidth=0.8, zorder=3)
    return float(low), float(high)


def _names(names: Sequence[str], wide: float) -> tuple[list[str], bool]:
    """Names in lines for columns so many inches wide, and whether they must be turned."""
    upright = [wrapped(name, int(wide / LETTER)) for name in names]
    if max(map(_longest_line, upright)) * LETTER <= wide and max(name.count("\n") for name in upright) < MOST_LINES:
        return upright, False
    return [wrapped(name, 30) for name in names], True


def _longest_line(text: str) -> int:
    return max(map(len, text.split("\n")))


def _key(margin: float) -> list[Line2D | Patch]:
    """What each mark is."""
    near = f"{MINUS}{margin:g} and +{margin:g}"
    return [
        Line2D([], [], color="0.75", linewidth=0.8, marker="o", markeredgecolor=COLOURS[0], markerfacecolor="white",
               label="one run; lines join the runs of a seed"),
        Line2D([], [], color="black", linewidth=2, label="mean over seeds"),
        Line2D([], [], color="black", linewidth=2.2, marker="o", markersize=5.5, label="difference, 95 % interval"),
        Patch(facecolor=BEYOND, edgecolor="0.25", label="resamples beyond the margin"),
        Patch(facecolor=WITHIN, edgecolor="0.25", label="resamples within the margin"),
        Patch(facecolor=BAND, edgecolor="0.6", linestyle=":", label=f"between {near} it does not matter"),
    ]  # fmt: skip
