"""Numbers -> figures: readable in grey, labelled, without any state of matplotlib's own."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation
from PIL import Image

from mtl.statistics import mean_of_defined
from mtl.trace import Relation, Score, pairs

DPI = 150
# Told apart without colour too: Okabe and Ito's colours, each with a line and a mark of its own.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 2)))
MARKS = ("o", "s", "^", "D", "v", "P", "X")
# Their lightness goes one way only, so a grey print keeps the order.
SHARES, SIGNED = colormaps["Blues"], colormaps["cividis"]
SMALL = 7.5
PANELS_SIDE_BY_SIDE = 3


def roc_curves(roc: Mapping[str, tuple[np.ndarray, np.ndarray]], scores: Mapping[str, Score]) -> Figure:
    """ROC curve of every task, its AUC and interval in the legend.

    Parameters
    ----------
    roc : mapping of str to (ndarray, ndarray)
        False and true positive rates by task.
    scores : mapping of str to Score
        ``auc/<task>`` is shown. A task that has a score and no curve is named with the reason.
    """
    figure = _figure(6.2, 5.6)
    axes = figure.add_subplot()
    tasks = [*roc, *(name.removeprefix("auc/") for name in scores if name.startswith("auc/"))]
    for i, task in enumerate(dict.fromkeys(tasks)):
        label = _labelled(task, scores.get(f"auc/{task}"))
        false, true = roc.get(task, ((), ()))
        axes.plot(false, true, label=label, markevery=0.12, markersize=5, **_style(i))
    axes.plot([0, 1], [0, 1], color="0.55", linewidth=0.9, label="chance: 0.500")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal")
    axes.set_title("ROC by frame; AUC with 95 % interval over videos", fontsize=10)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), handlelength=3.2, fontsize=8.5, frameon=False)
    _grid(axes)
    return _fitted(figure)


def confusion_matrix(table: pd.DataFrame, title: str) -> Figure:
    """Share of each true class that was predicted as each class, counts below.

    Parameters
    ----------
    table : DataFrame
        Numbers of frames, true classes down and predicted ones across. A class without frames is hatched.
    title : str
    """
    counts = table.to_numpy(dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(totals > 0, counts / totals, np.nan)
    height, width = counts.shape
    rows, columns = ([_wrapped(word, 20) for word in _words(names)] for names in (table.index, table.columns))
    figure = _figure(2.6 + 0.62 * width, 2.2 + 0.52 * height)
    axes = figure.add_subplot()
    small = [[f"{count:,.0f}" for count in row] for row in counts]
    _cells(axes, shares, (0.0, 1.0), lambda share: f"{100 * share:.0f} %", small)
    _names_on_axes(axes, rows, columns, slanted=max(map(len, columns)) > 8)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(_plain(f"{_wrapped(title, 40)}\nshare of the true class's frames, and their number"), fontsize=10)
    return _fitted(figure)


def class_auc(table: pd.DataFrame) -> Figure:
    """AUC of every class against the rest, as dots with intervals.

    Parameters
    ----------
    table : DataFrame
        Columns `class`, `videos`, `auc`, `low`, `high`, and `task` where the
        classes of several tasks are in it. An undefined AUC is said.
    """
    tasks = table["task"].nunique() if "task" in table else 1
    names = table["class"] if tasks < 2 else table["task"] + ": " + table["class"].astype(str)
    labels = [f"{name}  ({_counted(videos, 'video')})" for name, videos in zip(names, table["videos"], strict=True)]
    figure = _figure(7.0, 1.5 + 0.33 * len(table))
    axes = figure.add_subplot()
    _forest(axes, labels, table["auc"], table["low"], table["high"])
    _reference(axes, 0.5, "chance")
    axes.set_xlabel("AUC by frame (95 % interval over videos)")
    axes.set_title("Each class against the others", fontsize=10)
    _room_for(axes, [0.5, *table["auc"], *table["low"], *table["high"]])
    return _fitted(figure)


def learning_curves(history: pd.DataFrame, chosen: int | None = None) -> Figure:
    """Losses and validation AUC of every task over the epochs.

    Parameters
    ----------
    history : DataFrame
        One row per epoch, the epoch as index; columns ``train_loss/<task>``,
        ``val_loss/<task>``, ``val_auc/<task>``, others are not shown.
    chosen : int, optional
        Epoch whose weights were kept.
    """
    kinds = {"train_loss": "training loss", "val_loss": "validation loss", "val_auc": "validation AUC"}
    named = [column.split("/", 1) for column in history.columns if "/" in column]
    tasks = list(dict.fromkeys(task for kind, task in named if kind in kinds))
    figure = _figure(max(4.2, 0.8 + 2.7 * len(tasks)), 5.2)
    if not tasks or history.empty:
        _say(figure, "no epoch was recorded")
        return _fitted(figure)
    grid = figure.subplots(2, len(tasks), sharex=True, squeeze=False)
    for j, task in enumerate(tasks):
        for i, kind in enumerate(kinds):
            if f"{kind}/{task}" in history:
                axes = grid[int(kind == "val_auc"), j]
                axes.plot(history.index, history[f"{kind}/{task}"], label=kinds[kind], markersize=4, **_style(i))
        grid[0, j].set_title(_plain(_wrapped(task)), fontsize=10)
        grid[1, j].set_xlabel("epoch")
        _epochs(grid[1, j], history.index)
        for axes in grid[:, j]:
            _grid(axes)
            if chosen is not None:
                axes.axvline(chosen, color="0.25", linewidth=1.4, linestyle=":", label=f"chosen: epoch {chosen}")
    grid[0, 0].set_ylabel("loss")
    grid[1, 0].set_ylabel("AUC")
    _share_rows(grid[1])
    looks = {label: line for axes in grid[:, 0] for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    looks = dict(sorted(looks.items(), key=lambda look: look[0].startswith("chosen")))
    figure.legend(
        list(looks.values()),
        list(looks),
        loc="outside lower center",
        ncols=4,
        handlelength=3.2,
        fontsize=8.5,
        frameon=False,
    )
    return _fitted(figure)


def relation_matrix(relation: Relation, tasks: Sequence[str], name: str) -> Figure:
    """The measure between every two tasks, with interval and spread in small print; hatched where undefined.

    Parameters
    ----------
    relation : Relation
        Its `spread` and `null` stand below the interval, what it says of one task beside the task's name.
    tasks : sequence of str
        In the order of the matrix.
    name : str
        Of the measure.
    """
    values = np.asarray(relation.values)
    figure = _figure(3.0 + 1.25 * len(tasks), 2.2 + 0.9 * len(tasks))
    axes = figure.add_subplot()
    reach = _limits_of(values)
    digits = 2 if reach[1] >= 0.1 else 4
    _cells(axes, values, reach, lambda value: _signed(value, digits), _small_print(relation, digits))
    labels = [_wrapped(task) for task in tasks]  # a cell is as wide as such a line
    _names_on_axes(axes, _with_own_numbers(labels, relation), labels, slanted=False)
    if relation.directed or not np.allclose(values, values.T, equal_nan=True):
        axes.set(xlabel="recipient", ylabel="source")
    title = name.replace("_", " ") + (f"\n{_wrapped(relation.reason, 60)}" if relation.reason else "")
    if relation.spread is not None:
        title += "\n± standard deviation between batches"
    axes.set_title(_plain(title), fontsize=10)
    return _fitted(figure)


def relation_course(relation: Relation, tasks: Sequence[str], name: str) -> Figure:
    """The measure of every pair at the end of every epoch, counted from 1.

    Parameters
    ----------
    relation : Relation
        Its `course` is shown, both directions of a pair where they differ, and the
        mean course of its `null`.
    tasks : sequence of str
        In the order of the matrices.
    name : str
        Of the measure.
    """
    figure = _figure(6.6, 4.6)
    course = relation.course
    if course is None or len(tasks) < 2 or not len(course):
        _say(figure, "one task: no pair" if len(tasks) < 2 else "no course was recorded")
        return _fitted(figure)
    axes = figure.add_subplot()
    epochs = np.arange(1, len(course) + 1) if relation.course_epochs is None else relation.course_epochs
    for i, (label, a, b) in enumerate(_directed(course, tasks)):
        values = course[:, a, b]
        label += "" if np.isfinite(values).any() else " (undefined)"
        axes.plot(epochs, values, label=_plain(label), markersize=4, **_style(i))
    if relation.null is not None and relation.null.course is not None:
        off = ~np.eye(len(tasks), dtype=bool)
        nulls = mean_of_defined(relation.null.course[:, off], axis=1)
        axes.plot(epochs, nulls, color="0.45", linewidth=3, alpha=0.6, label="labels permuted, mean of all pairs")
    axes.axhline(0, color="0.55", linewidth=0.9)
    axes.set(xlabel="epoch", ylabel=_plain(name.replace("_", " ")))
    _epochs(axes, epochs)
    _grid(axes)
    figure.legend(loc="outside lower center", ncols=2, handlelength=3.2, fontsize=8.5, frameon=False)
    return _fitted(figure)


def relation_by_layer(relation: Relation, tasks: Sequence[str], name: str) -> Figure:
    """The measure of every pair within each part of the shared parameters, from the input on.

    Parameters
    ----------
    relation : Relation
        Its `by_layer` is shown.
    tasks : sequence of str
        In the order of the matrices.
    name : str
        Of the measure.
    """
    figure = _figure(6.6, 4.6)
    if not relation.by_layer or len(tasks) < 2:
        _say(figure, "one task: no pair" if len(tasks) < 2 else "no layer groups were recorded")
        return _fitted(figure)
    axes = figure.add_subplot()
    values = np.array(list(relation.by_layer.values()))
    for i, (label, a, b) in enumerate(_directed(values, tasks)):
        axes.plot(range(len(values)), values[:, a, b], label=_plain(label), markersize=4, **_style(i))
    axes.axhline(0, color="0.55", linewidth=0.9)
    axes.set_xticks(range(len(values)), [_plain(_wrapped(group)) for group in relation.by_layer], fontsize=8.5)
    axes.set(xlabel="layers, from the input on", ylabel=_plain(name.replace("_", " ")))
    _grid(axes)
    figure.legend(loc="outside lower center", ncols=2, handlelength=3.2, fontsize=8.5, frameon=False)
    return _fitted(figure)


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
    figure = _figure(7.0, 1.5 + 0.42 * len(aucs))
    axes = figure.add_subplot()
    labels, means, lows, highs = [], [], [], []
    for i, (name, values) in enumerate(aucs.items()):
        defined = np.asarray(values, float)[np.isfinite(np.asarray(values, float))]
        labels.append(f"{name}  ({_counted(len(defined), 'seed')})")
        means.append(defined.mean() if len(defined) else np.nan)
        low, high = intervals.get(name, (np.nan, np.nan))
        lows.append(low)
        highs.append(high)
        spread = np.linspace(-0.16, 0.16, len(defined)) if len(defined) > 1 else np.zeros(len(defined))
        axes.plot(defined, i + spread, "o", markersize=4.5, markerfacecolor="none", color=COLOURS[0], zorder=3)
    _forest(axes, labels, means, lows, highs, mark="|", size=14)
    _room_for(axes, [*means, *lows, *highs, *(value for values in aucs.values() for value in values)])
    axes.set(xlabel=_plain(f"{measure}: mean (bar), seeds (rings)" + (", 95 % interval (line)" if intervals else "")))
    return _fitted(figure)


def forest_plot(table: pd.DataFrame, measure: str, interval: str = "95 % interval") -> Figure:
    """Differences with their intervals around zero.

    Parameters
    ----------
    table : DataFrame
        What is compared as index; columns `difference`, `low`, `high`, and
        `verdict` where there is one, written at the right.
    measure : str
        What differs, for the axis.
    interval : str
        What the lines are.
    """
    figure = _figure(7.6, 1.5 + 0.42 * len(table))
    axes = figure.add_subplot()
    _forest(axes, _words(table.index), table["difference"], table["low"], table["high"])
    _reference(axes, 0.0, "no difference")
    _room_for(axes, [0.0, *table["difference"], *table["low"], *table["high"]])
    if "verdict" in table:
        right = axes.secondary_yaxis("right")
        right.set_yticks(
            range(len(table)), [_plain(_wrapped(str(word), 28)) for word in table["verdict"]], fontsize=8.5
        )
        right.tick_params(length=0)
    axes.set(xlabel=_plain(f"difference in {measure} ({interval})"))
    return _fitted(figure)


def relation_panels(relations: Mapping[str, Relation], tasks: Sequence[str], title: str) -> Figure:
    """Several measures between every two tasks side by side; what no number was tracked for is left blank.

    Parameters
    ----------
    relations : mapping of str to Relation
        By measure. `spread` and `null` are the small print; the diagonal is not shown.
    tasks : sequence of str
        In the order of the matrices.
    title : str
    """
    n_columns = min(PANELS_SIDE_BY_SIDE, max(1, len(relations)))
    n_rows = max(1, -(-len(relations) // n_columns))
    figure = _figure(1.6 + n_columns * (0.8 + 0.95 * len(tasks)), 1.2 + n_rows * (0.9 + 0.72 * len(tasks)))
    if not relations:
        _say(figure, "no relation was tracked")
        return _fitted(figure)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    labels = [_wrapped(task, 10) for task in tasks]
    for axes in grid.ravel()[len(relations) :]:
        axes.set_axis_off()
    for axes, (name, relation) in zip(grid.ravel(), relations.items(), strict=False):
        values = np.array(relation.values, float)
        np.fill_diagonal(values, np.nan)
        reach = _limits_of(values)
        digits = 2 if reach[1] >= 0.1 else 4
        small = _with_nulls(_spreads(relation, digits), relation, digits)
        _cells(axes, values, reach, functools.partial(_signed, digits=digits), small)
        for i in range(len(tasks)):
            axes.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, facecolor="white", lw=0))
        _names_on_axes(axes, labels, labels, slanted=False)
        if relation.directed:
            axes.set(xlabel="recipient", ylabel="source")
        axes.set_title(_plain(name.replace("_", " ")), fontsize=9.5)
    figure.suptitle(_plain(_wrapped(title, 30 * n_columns)), fontsize=10)
    return _fitted(figure)


def heat_map(values: pd.DataFrame, small: pd.DataFrame, title: str) -> Figure:
    """One number per row and column of a design; hatched where there is none.

    Parameters
    ----------
    values : DataFrame
        Shaded over their own range.
    small : DataFrame of str
        Of the same shape: small print below each number.
    title : str
    """
    matrix = values.to_numpy(float)
    finite = matrix[np.isfinite(matrix)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    reach = (low, high) if high - low > 1e-9 else (low - 0.01, high + 0.01)
    rows, columns = ([_wrapped(word, 22) for word in _words(names)] for names in (values.index, values.columns))
    figure = _figure(2.8 + 1.5 * len(columns), 1.8 + 0.62 * len(rows))
    axes = figure.add_subplot()
    _cells(axes, matrix, reach, lambda value: f"{value:.3f}", small.to_numpy(str).tolist(), SHARES)
    _names_on_axes(axes, rows, columns, slanted=False)
    axes.set_title(_plain(_wrapped(title, 60)), fontsize=10)
    return _fitted(figure)


def foretold(points: pd.DataFrame, correlations: Mapping[str, str]) -> Figure:
    """What each measure said of an auxiliary beside what the auxiliary brought, one panel per measure.

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
        figure = _figure(6.2, 2.2)
        _say(figure, "no auxiliary has both a relation and a gain: nothing to compare")
        return _fitted(figure)
    n_columns = min(PANELS_SIDE_BY_SIDE, len(measures))
    n_rows = -(-len(measures) // n_columns)
    figure = _figure(max(5.2, 0.9 + 3.1 * n_columns), 1.3 + 2.7 * n_rows)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
    looks = {name: i for i, name in enumerate(dict.fromkeys(points["auxiliary"]))}
    for axes in grid.ravel()[len(measures) :]:
        axes.set_axis_off()
    handles: dict[str, Any] = {}
    for axes, measure in zip(grid.ravel(), measures, strict=False):
        for auxiliary, group in points[points["measure"] == measure].groupby("auxiliary", sort=False):
            style = _style(looks[auxiliary])
            is_control = bool(group["control"].iloc[0])
            ends = np.array([group["gain"] - group["low"], group["high"] - group["gain"]], float)
            axes.errorbar(
                group["value"], group["gain"], yerr=np.abs(ends), fmt="none", ecolor="0.72", elinewidth=0.9, zorder=1
            )
            (line,) = axes.plot(
                group["value"],
                group["gain"],
                style["marker"],
                color=style["color"],
                markerfacecolor="white" if is_control else style["color"],
                markersize=6,
                zorder=3,
            )
            handles.setdefault(f"{auxiliary}{' (control)' if is_control else ''}", line)
        axes.axhline(0, color="0.45", linewidth=1.0, linestyle="--", zorder=0)
        axes.set_title(_plain(measure.replace("_", " ") + "\n" + correlations.get(measure, "")), fontsize=8.5)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _grid(axes)
    for row in grid:
        row[0].set_ylabel("gain in AUC", fontsize=9)
    figure.suptitle(
        "Gain of the main task beside the measure between it and the auxiliary, means over seeds", fontsize=9.5
    )
    figure.legend(
        list(handles.values()),
        [_plain(name) for name in handles],
        loc="outside lower center",
        ncols=3,
        fontsize=8.5,
        frameon=False,
    )
    return _fitted(figure)


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG.

    Drawn once: `Figure.savefig` draws twice, the first time for a layout that `_fitted` has found already.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    written = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).save(written, "png", dpi=(figure.dpi, figure.dpi))
    return written.getvalue()


# --- parts ------------------------------------------------------------------------------------------------------------


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _fitted(figure: Figure) -> Figure:
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


def _style(i: int) -> dict:
    """The i-th look of a line; marks run through at another pace, so that looks repeat late."""
    mark = MARKS[(i + i // len(MARKS)) % len(MARKS)]
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i % len(LINES)], "marker": mark, "linewidth": 1.6}


def _grid(axes: Axes) -> None:
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def _epochs(axes: Axes, epochs: Sequence[int] | np.ndarray | pd.Index) -> None:
    """Whole numbers below, also where there is one epoch only."""
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _say(figure: Figure, text: str) -> None:
    """An empty figure that says why."""
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.5, _plain(text), ha="center", va="center")


def _plain(text: str) -> str:
    """Text that is not taken for a formula."""
    return text.replace("$", r"\$")


def _words(index: Sequence[Hashable] | pd.Index) -> list[str]:
    return [str(each) for each in index]


def _wrapped(text: str, width: int = 16) -> str:
    """Text in lines of about the width, broken behind spaces, commas and underscores."""
    lines = [""]
    for word in text.replace("_", "_\0").replace(" ", " \0").replace(",", ",\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(word.rstrip()) > width:
            lines.append("")
        lines[-1] += word
    return "\n".join(line.rstrip() for line in lines)


def _counted(n: float, noun: str) -> str:
    return f"{int(n)} {noun}{'' if int(n) == 1 else 's'}"


def _signed(value: Any, digits: int) -> str:
    """The number with a real minus, and none before a zero."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _labelled(task: str, score: Score | None) -> str:
    """Task with its AUC and interval, or with the reason why there is none."""
    if score is None:
        return _plain(task)
    if not np.isfinite(score.value):
        return _plain(f"{task}: undefined, {_wrapped(score.reason, 60)}")
    interval = f" [{score.low:.3f}, {score.high:.3f}]" if np.isfinite(score.low) else ""
    return _plain(f"{task}: {score.value:.3f}{interval}")


def _cells(
    axes: Axes,
    values: np.ndarray,
    reach: tuple[float, float],
    write: Callable[[float], str],
    small: Sequence[Sequence[str]],
    shades: Colormap | None = None,
) -> None:
    """A matrix of shaded cells, each with its number and a line of small print; hatched where not finite."""
    low, high = reach
    shades = shades or (SIGNED if low < 0 else SHARES)
    points = axes.figure.dpi_scale_trans
    above, under = (axes.transData + ScaledTranslation(0, shift / 72, points) for shift in (4, -7))
    axes.imshow(np.ma.masked_invalid(values), cmap=shades, vmin=low, vmax=high, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if not np.isfinite(value):
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="0.95", edgecolor="0.6", hatch="////", lw=0))
            continue
        shade = shades((value - low) / (high - low))
        ink = "black" if np.dot(shade[:3], (0.299, 0.587, 0.114)) > 0.5 else "white"
        how: dict[str, Any] = {"ha": "center", "va": "center", "color": ink, "in_layout": False}
        below = small[i][j]
        axes.text(j, i, write(value), transform=above if below else axes.transData, fontsize=9, **how)
        if below:
            axes.text(j, i, below, transform=under, fontsize=6.5, **how)


def _names_on_axes(axes: Axes, rows: Sequence[str], columns: Sequence[str], slanted: bool) -> None:
    axes.set_xticks(range(len(columns)), [_plain(each) for each in columns], fontsize=8.5)
    if slanted:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), [_plain(each) for each in rows], fontsize=8.5)
    axes.tick_params(length=0)


def _forest(
    axes: Axes,
    labels: Sequence[str],
    values: Iterable[float],
    low: Iterable[float],
    high: Iterable[float],
    mark: str = "o",
    size: float = 6,
) -> None:
    """Dots with intervals, the first on top; a value that is not there is said."""
    for i, (value, left, right) in enumerate(zip(values, low, high, strict=True)):
        if np.isfinite(left) and np.isfinite(right):
            axes.plot([left, right], [i, i], color="black", linewidth=1.4, marker="|", markersize=6, zorder=2)
        if np.isfinite(value):
            axes.plot([value], [i], mark, color="black", markersize=size, markeredgewidth=1.6, zorder=4)
        else:
            how: dict[str, Any] = {"ha": "center", "va": "center", "color": "0.35", "backgroundcolor": "white"}
            axes.text(0.5, i, "undefined", transform=axes.get_yaxis_transform(), fontsize=8.5, **how)
    axes.set_yticks(range(len(labels)), [_plain(_wrapped(label, 40)) for label in labels], fontsize=8.5)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def _reference(axes: Axes, at: float, name: str) -> None:
    axes.axvline(at, color="0.45", linewidth=1.0, linestyle="--", zorder=1)
    how: dict[str, Any] = {"xytext": (0, 2), "textcoords": "offset points", "ha": "center", "va": "bottom"}
    axes.annotate(name, (at, 1), xycoords=("data", "axes fraction"), fontsize=SMALL, color="0.35", **how)


def _room_for(axes: Axes, values: Sequence[float]) -> None:
    """Limits that hold all values, and a little more."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        axes.set_xlim(0, 1)
        return
    margin = max(0.06 * np.ptp(finite), 0.01)
    axes.set_xlim(finite.min() - margin, finite.max() + margin)


def _share_rows(row: Sequence[Axes]) -> None:
    """One range for panels side by side."""
    limits = [axes.get_ylim() for axes in row]
    for axes in row:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _limits_of(values: np.ndarray) -> tuple[float, float]:
    """Range of the shades: all of [-1, 1] or [0, 1] where the numbers fill a share of it, else their own."""
    finite = values[np.isfinite(values)]
    reach = float(np.abs(finite).max()) if len(finite) else 1.0
    reach = 1.0 if 0.1 < reach <= 1.0 else (reach or 1.0)
    return (-reach if (finite < 0).any() else 0.0), reach


def _intervals(relation: Relation, digits: int) -> list[list[str]]:
    """The intervals as small print, empty where there is none or where it is a point."""
    small = [[""] * len(relation.values) for _ in range(len(relation.values))]
    if relation.low is not None and relation.high is not None:
        for (i, j), low in np.ndenumerate(relation.low):
            high = relation.high[i, j]
            if np.isfinite(low) and np.isfinite(high) and low < high:
                small[i][j] = f"[{_signed(low, digits)}, {_signed(high, digits)}]"
    return small


def _spreads(relation: Relation, digits: int) -> list[list[str]]:
    """The spread as small print, empty where there is none."""
    if relation.spread is None:
        return [[""] * len(relation.values) for _ in range(len(relation.values))]
    return [[f"± {_signed(each, digits)}" if np.isfinite(each) else "" for each in row] for row in relation.spread]


def _small_print(relation: Relation, digits: int) -> list[list[str]]:
    """Interval of each cell, and in a second line its spread and null."""
    intervals = _intervals(relation, digits)
    others = _with_nulls(_spreads(relation, digits), relation, digits)
    return [
        ["\n".join(filter(None, each)) for each in zip(*rows, strict=True)]
        for rows in zip(intervals, others, strict=True)
    ]


def _with_nulls(small: list[list[str]], relation: Relation, digits: int) -> list[list[str]]:
    """Small print with the null of each cell behind it, where there is one."""
    if relation.null is None:
        return small
    return [
        [
            f"{words} null {_signed(value, digits)}".strip()
            if np.isfinite(value) and (i != j or not relation.directed)
            else words
            for j, (words, value) in enumerate(zip(row, nulls, strict=True))
        ]
        for i, (row, nulls) in enumerate(zip(small, relation.null.values, strict=True))
    ]


def _with_own_numbers(labels: Sequence[str], relation: Relation) -> list[str]:
    """Tasks' names with what the measure says of each alone."""
    lines = [
        [f"{quantity.replace('_', ' ')} {value:.2f}" for quantity, value in zip(relation.of_tasks, values, strict=True)]
        for values in zip(*relation.of_tasks.values(), strict=True)
    ]
    return ["\n".join([label, *own]) for label, own in zip(labels, lines or [[]] * len(labels), strict=True)]


def _directed(course: np.ndarray, tasks: Sequence[str]) -> list[tuple[str, int, int]]:
    """Pairs to draw: each once, or in both directions where the measure has one."""
    if np.allclose(course, course.swapaxes(1, 2), equal_nan=True):
        return [(f"{tasks[a]} vs {tasks[b]}", a, b) for _, a, b in pairs(tasks)]
    return [(f"{tasks[a]} → {tasks[b]}", a, b) for a, b in permutations(range(len(tasks)), 2)]
