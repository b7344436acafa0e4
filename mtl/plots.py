"""Numbers -> figures: readable in grey, labelled, without any state of matplotlib's own."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from mtl.forms import number
from mtl.rendering import DPI, MARGIN, Canvas
from mtl.statistics import mean_of_defined
from mtl.trace import Relation, Score, pairs

# Told apart without colour too: Okabe and Ito's colours, each with a line and a mark of its own.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 2)))
MARKS = ("o", "s", "^", "D", "v", "P", "X")
# Their lightness goes one way only, so a grey print keeps the order.
SHARES, SIGNED = colormaps["Blues"], colormaps["cividis"]
SMALL = 7.5
PANELS_SIDE_BY_SIDE = 3
CELL, LINE = (0.54, 0.28), 0.21  # inches: of a confusion matrix; of a line of a key
Look = tuple[str, dict[str, Any]]  # of a line in a key: what is said of it, how it is drawn


def roc_curves(roc: Mapping[str, tuple[np.ndarray, np.ndarray]], scores: Mapping[str, Score]) -> Figure:
    """ROC curve of every task, its AUC and interval in the legend.

    Parameters
    ----------
    roc : mapping of str to (ndarray, ndarray)
        False and true positive rates by task.
    scores : mapping of str to Score
        ``auc/<task>`` is shown. A task that has a score and no curve is named with the reason.
    """
    tasks = dict.fromkeys([*roc, *(name.removeprefix("auc/") for name in scores if name.startswith("auc/"))])
    looks = [(_labelled(task, scores.get(f"auc/{task}")), _style(i)) for i, task in enumerate(tasks)]
    chance: dict[str, Any] = {"color": "0.55", "linewidth": 0.9}
    figure, (axes,) = _sheet(1, 4.6, 4.6, 1, [*looks, ("chance: 0.500", chance)])
    for task, (_, style) in zip(tasks, looks, strict=True):
        axes.plot(*roc.get(task, ((), ())), markevery=0.12, markersize=5, **style)
    axes.plot([0, 1], [0, 1], **chance)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    _name(axes, "ROC by frame; AUC with 95 % interval over videos", "false positive rate", "true positive rate")
    _ticks(axes, np.linspace(0, 1, 6), np.linspace(0, 1, 6))
    return figure


def confusion_matrices(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Share of each true class that was predicted as each class, and the true class's number of frames.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By task, numbers of frames, true classes down and predicted ones across. Tasks
        with the same classes stand in one matrix. A class without frames is
        hatched, what was never predicted of a class is left blank.
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    for task, table in tables.items():
        alike.setdefault(tuple(_words(table.columns)), []).append(task)
    blocks = [_confusion_block({task: tables[task] for task in tasks}, names) for names, tasks in alike.items()]
    left = 0.2 + max(_at_most(label) for block in blocks for label in block.rows)
    below = [0.3 + (0.75 * max(map(_at_most, block.columns)) if block.slanted else 0.0) for block in blocks]
    heights = [CELL[1] * len(block.rows) for block in blocks]
    width = (
        left + max(6.5, *(max(CELL[0] * len(block.columns), _at_most(block.title, 10)) for block in blocks)) + MARGIN
    )
    top = sum(heights) + sum(below) + 0.6 * len(blocks)
    figure = Figure(figsize=(width, top), dpi=DPI)
    for block, height, room in zip(blocks, heights, below, strict=True):
        top -= 0.6 + height
        axes = _axes_at(figure, left, top, CELL[0] * len(block.columns), height)
        top -= room
        colours = _shaded(block.shares, (0.0, 1.0), SHARES)
        words = [[_share(value) for value in row] for row in block.shares]
        _cells(axes, colours, words, [[""] * len(block.columns)] * len(words))
        _names_on_axes(axes, block.rows, block.columns, slanted=block.slanted)
        title = f"{block.title}\ntrue down, predicted across; share of the true class's frames (their number)"
        axes.set_title(_plain(title), fontsize=10, loc="left", y=1.0)
    return figure


@dataclass(frozen=True)
class _ConfusionBlock:
    """One matrix of shares; of several tasks their rows below each other."""

    title: str
    rows: list[str]
    columns: list[str]
    shares: np.ndarray

    @property
    def slanted(self) -> bool:
        """Whether a column's name is longer than the column is wide."""
        return max(map(len, self.columns)) > 7


def _confusion_block(tables: Mapping[str, pd.DataFrame], names: Sequence[str]) -> _ConfusionBlock:
    """The matrix of tasks whose classes are these."""
    counts = np.concatenate([table.to_numpy(dtype=float) for table in tables.values()])
    totals = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(totals > 0, counts / totals, np.nan)
    of_task = [f"{task}: {name}" if len(tables) > 1 else name for task, t in tables.items() for name in _words(t.index)]
    rows = [_wrapped(f"{name} ({total:,.0f})", 30) for name, total in zip(of_task, totals[:, 0], strict=True)]
    title = next(iter(tables)) if len(tables) == 1 else f"{len(tables)} tasks"
    return _ConfusionBlock(title, rows, [_wrapped(name, 20) for name in names], shares)


def _share(value: float) -> str | None:
    """Per cent; nothing of nothing, and None where it is undefined."""
    if np.isnan(value):
        return None
    return f"{100 * value:.0f} %" if value else ""


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
    left, height = 0.2 + max(map(_at_most, _folded(labels)), default=0.0), 0.2 + 0.3 * max(1, len(labels))
    figure = Figure(figsize=(left + 4.5 + MARGIN, 0.6 + height + 0.6), dpi=DPI)
    axes = _axes_at(figure, left, 0.6, 4.5, height)
    _forest(axes, labels, table["auc"], table["low"], table["high"])
    _reference(axes, 0.5, "chance")
    _label(axes.xaxis, "AUC by frame (95 % interval over videos)", 0.5, -0.3 / height)
    axes.set_title("Each class against the others", fontsize=10, y=1 + 0.18 / height)
    _room_for(axes, [0.5, *table["auc"], *table["low"], *table["high"]])
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.tick_params(axis="x", labelsize=8.5)
    return figure


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
    if not tasks or history.empty:
        return _only_words("no epoch was recorded")
    looks = {kind: (words, _style(i)) for i, (kind, words) in enumerate(kinds.items())}
    at_chosen: dict[str, Any] = {"color": "0.25", "linewidth": 1.4, "linestyle": ":"}
    key = [*looks.values(), *([(f"chosen: epoch {chosen}", at_chosen)] if chosen is not None else [])]
    figure, grid = _sheet(2 * len(tasks), 2.2, 1.7, len(tasks), key, between=0.15)
    low, high = _range_of(history[[f"val_auc/{task}" for task in tasks if f"val_auc/{task}" in history]].to_numpy())
    for j, task in enumerate(tasks):
        above, below = grid[j], grid[len(tasks) + j]
        for kind, (_, style) in looks.items():
            if f"{kind}/{task}" in history:
                axes = below if kind == "val_auc" else above
                axes.plot(history.index, history[f"{kind}/{task}"], markersize=4, **style)
        below.set_ylim(low, high)
        for axes in (above, below):
            _epochs(axes, history.index)
            axes.yaxis.set_major_locator(MaxNLocator(4))
            if chosen is not None:
                axes.axvline(chosen, **at_chosen)
        above.set_xticks([])
        below.tick_params(axis="y", labelleft=j == 0)
        _name(above, _wrapped(task, 26), "", "" if j else "loss")
        _name(below, "", "epoch", "" if j else "AUC")
    return figure


def relation_table(relations: Mapping[str, Relation], tasks: Sequence[str], title: str) -> Figure:
    """Every measure of every pair of tasks: a pair a row, a measure a column; hatched where undefined.

    Parameters
    ----------
    relations : mapping of str to Relation
        By measure. Interval, `spread` and `null` are the small print of a cell; a
        directed measure has two columns. Why one is undefined and what it
        says of each task alone stands below.
    tasks : sequence of str
        In the order of the matrices.
    title : str
    """
    columns = [
        (name, relation, turned)
        for name, relation in relations.items()
        for turned in ((False, True) if relation.directed else (False,))
    ]
    named = pairs(tasks)
    if not columns or not named:
        return _only_words("one task: no pair" if len(tasks) < 2 else "no relation was tracked")
    shape = (len(named), len(columns))
    colours, words, small = np.ones((*shape, 4)), np.full(shape, None), np.full(shape, "", dtype=object)
    for j, (_, relation, turned) in enumerate(columns):
        first, second = (np.array([pair[side] for pair in named]) for side in ((2, 1) if turned else (1, 2)))
        off = np.where(np.eye(len(tasks)), np.nan, relation.values)
        reach = _limits_of(off)
        digits = 2 if reach[1] >= 0.1 else 4
        values = off[first, second]
        colours[:, j] = _shaded(values, reach, SIGNED if reach[0] < 0 else SHARES)
        words[:, j] = [number(value, digits) if np.isfinite(value) else None for value in values]
        small[:, j] = np.array(_small_print(relation, digits), dtype=object)[first, second]
    rows = ["\nand ".join(sorted((tasks[a], tasks[b]))) for _, a, b in named]
    heads = [_wrapped(name.replace("_", " "), 13) for name, _, _ in columns]
    ways = {False: "first → second", True: "second → first"}
    heads = [
        f"{head}\n{ways[turned]}" if of.directed else head for head, (_, of, turned) in zip(heads, columns, strict=True)
    ]
    notes = _notes(relations, tasks)
    left, wide, high = 0.1 + max(map(_at_most, rows)), 1.06 * len(columns), 0.5 * len(rows)
    over, under = 0.45 + 0.15 * max(head.count("\n") + 1 for head in heads), 0.1 + 0.16 * len(notes)
    widest = max(wide, _at_most(title, 10), *(_at_most(note, SMALL) for note in notes))
    figure = Figure(figsize=(left + widest + MARGIN, over + high + under), dpi=DPI)
    axes = _axes_at(figure, left, under, wide, high)
    _cells(axes, colours, words.tolist(), small.tolist())
    _names_on_axes(axes, rows, heads, above=True)
    inches = figure.dpi_scale_trans
    figure.text(left, over + high + under - 0.15, _plain(title), fontsize=10, va="center", transform=inches)
    for i, note in enumerate(notes):
        figure.text(left, under - 0.15 - 0.16 * i, _plain(note), fontsize=SMALL, va="center", transform=inches)
    return figure


def _notes(relations: Mapping[str, Relation], tasks: Sequence[str]) -> list[str]:
    """Lines below the table: what the small print is, what is undefined and why, what is said of single tasks."""
    lines = []
    if any(relation.spread is not None for relation in relations.values()):
        lines.append("± standard deviation between batches or runs; null: labels permuted")
    for name, relation in relations.items():
        if relation.reason:
            lines.append(f"{name.replace('_', ' ')}: {relation.reason}")
        for quantity, values in relation.of_tasks.items():
            of_each = ", ".join(f"{task} {_significant(value)}" for task, value in zip(tasks, values, strict=True))
            lines.append(f"{quantity.replace('_', ' ')}: {of_each}")
    return lines


def _significant(value: float) -> str:
    """Two decimals, or more of a small number."""
    return number(value, 2 if abs(value) >= 0.1 else 4) if np.isfinite(value) else "undefined"


def relation_courses(relations: Mapping[str, Relation], tasks: Sequence[str]) -> Figure:
    """Every measure of every pair at the end of every epoch, counted from 1, a panel per measure.

    Parameters
    ----------
    relations : mapping of str to Relation
        Those with a `course` are shown, both directions of a pair where they differ,
        and the mean course of their `null`.
    tasks : sequence of str
        In the order of the matrices.
    """
    shown = {name: one for name, one in relations.items() if one.course is not None and len(one.course)}
    if len(tasks) < 2 or not shown:
        return _only_words("one task: no pair" if len(tasks) < 2 else "no course was recorded")
    null: dict[str, Any] = {"color": "0.45", "linewidth": 3, "alpha": 0.6}
    nulls = [name for name, one in shown.items() if one.null is not None and one.null.course is not None]
    more = [("labels permuted, mean of all pairs", null)] if nulls else []
    figure, grid = _panels_of_pairs(shown, tasks, more)
    for axes, (name, relation) in zip(grid, shown.items(), strict=True):
        course = np.asarray(relation.course)
        epochs = np.arange(1, len(course) + 1) if relation.course_epochs is None else relation.course_epochs
        _lines_of_pairs(axes, epochs, course, relation.directed, tasks)
        if name in nulls:
            of_null = np.asarray(relation.null.course)[:, ~np.eye(len(tasks), dtype=bool)]  # type: ignore[union-attr]
            axes.plot(epochs, mean_of_defined(of_null, axis=1), **null)
        _epochs(axes, epochs)
        _name(axes, _wrapped(name.replace("_", " "), 32), "epoch", "")
    return figure


def relations_by_layer(relations: Mapping[str, Relation], tasks: Sequence[str]) -> Figure:
    """Every measure of every pair within each part of the shared parameters, from the input on.

    Parameters
    ----------
    relations : mapping of str to Relation
        Those with a `by_layer` are shown.
    tasks : sequence of str
        In the order of the matrices.
    """
    shown = {name: relation for name, relation in relations.items() if relation.by_layer}
    if len(tasks) < 2 or not shown:
        return _only_words("one task: no pair" if len(tasks) < 2 else "no layer groups were recorded")
    figure, grid = _panels_of_pairs(shown, tasks, [])
    for axes, (name, relation) in zip(grid, shown.items(), strict=True):
        values, groups = np.array(list(relation.by_layer.values())), list(relation.by_layer)
        _lines_of_pairs(axes, np.arange(len(values)), values, relation.directed, tasks)
        axes.set_xticks(range(len(groups)), [_plain(_wrapped(group, 8)) for group in groups], fontsize=SMALL)
        _name(axes, _wrapped(name.replace("_", " "), 32), "layers, from the input on", "")
    return figure


def _panels_of_pairs(
    relations: Mapping[str, Relation], tasks: Sequence[str], more: Sequence[Look]
) -> tuple[Figure, list[Axes]]:
    """A panel per measure, and one key of the pairs for all of them."""
    looks = [("{} and {}".format(*sorted((tasks[a], tasks[b]))), _style(i)) for i, (_, a, b) in enumerate(pairs(tasks))]
    if any(relation.directed for relation in relations.values()):
        looks.append(("open mark: from the second task to the first", _open(_style(0) | {"color": "0.3"})))
    return _sheet(len(relations), 2.9, 2.1, min(PANELS_SIDE_BY_SIDE, len(relations)), [*looks, *more])


def _lines_of_pairs(axes: Axes, at: np.ndarray, values: np.ndarray, directed: bool, tasks: Sequence[str]) -> None:
    """A line per pair of matrices (n, n_tasks, n_tasks), or one each way; zero as a thin one."""
    for i, (_, a, b) in enumerate(pairs(tasks)):
        axes.plot(at, values[:, a, b], markersize=4, **_style(i))
        if directed:
            axes.plot(at, values[:, b, a], markersize=4, **_open(_style(i)))
    axes.axhline(0, color="0.55", linewidth=0.9)
    axes.yaxis.set_major_locator(MaxNLocator(4))


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
    words = [[f"{value:.3f}" if np.isfinite(value) else None for value in row] for row in matrix]
    _cells(axes, _shaded(matrix, reach, SHARES), words, small.to_numpy(str).tolist())
    _names_on_axes(axes, rows, columns)
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


# --- parts ------------------------------------------------------------------------------------------------------------


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _fitted(figure: Figure) -> Figure:
    """The figure, made larger until no name or title is cut off."""
    Canvas(figure)
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


def _at_most(text: str, size: float = 8.5) -> float:
    """Inches that a text takes at most: no letter is wider than it is high."""
    return max(map(len, text.split("\n"))) * size / 72


def _axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    whole_width, whole_height = figure.get_size_inches()
    place = (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    return figure.add_axes(place)


def _sheet(
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
        max(side_by_side * (width + beside), 0.75 + max((_at_most(text) for text, _ in key), default=0)) + MARGIN,
        above + n_rows * (height + between) - between + below + depth,
    )
    figure = Figure(figsize=whole, dpi=DPI)
    places = [divmod(i, side_by_side) for i in range(n_panels)]
    panels = [
        _axes_at(
            figure, beside + j * (width + beside), whole[1] - above - height - i * (height + between), width, height
        )
        for i, j in places
    ]
    for axes in panels:
        _grid(axes)
        axes.tick_params(labelsize=8.5)
    _key(figure, key, columns, beside, depth - 0.1)
    return figure, panels


def _key_width(key: Sequence[Look]) -> float:
    """Inches of a column of a key, about."""
    return 0.8 + 0.65 * max((_at_most(text) for text, _ in key), default=0)


def _key(figure: Figure, key: Sequence[Look], columns: int, left: float, top: float) -> None:
    """What each line is, row by row; a tenth of the work of matplotlib's legend, which measures itself."""
    wide, inches = _key_width(key), figure.dpi_scale_trans
    for i, (text, look) in enumerate(key):
        x = left + wide * (i % columns)
        figure.add_artist(Line2D([x, x + 0.22, x + 0.44], [top] * 3, markevery=[1], transform=inches, **look))
        figure.text(x + 0.54, top, _plain(text), fontsize=8.5, va="center", transform=inches)
        if i % columns == columns - 1:
            top -= LINE * (text.count("\n") + 1)


def _name(axes: Axes, title: str, below: str, left: str) -> None:
    """Title and labels of a panel at places of their own, which no tick label need be measured for."""
    width, height = axes.get_position().size * axes.get_figure().get_size_inches()  # type: ignore[union-attr]
    if title:
        axes.set_title(_plain(title), fontsize=10, y=1.0)
    if below:
        _label(axes.xaxis, below, 0.5, -0.27 / height)
    if left:
        _label(axes.yaxis, left, -0.55 / width, 0.5)


def _label(axis: Axis, text: str, x: float, y: float) -> None:
    axis.set_label_text(text, fontsize=9)
    axis.set_label_coords(x, y)


def _ticks(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    axes.set_xticks(x)
    axes.set_yticks(y)


def _only_words(text: str) -> Figure:
    figure = Figure(figsize=(6.2, 2.2), dpi=DPI)
    _say(figure, text)
    return figure


def _open(style: Mapping[str, Any]) -> dict[str, Any]:
    """The same look with an open mark and a thinner line."""
    return {**style, "markerfacecolor": "white", "linewidth": 0.9}


def _range_of(values: np.ndarray) -> tuple[float, float]:
    """Limits with a little room for all values."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    margin = max(0.06 * float(np.ptp(finite)), 0.01)
    return float(finite.min()) - margin, float(finite.max()) + margin


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


def _labelled(task: str, score: Score | None) -> str:
    """Task with its AUC and interval, or with the reason why there is none."""
    if score is None:
        return _plain(task)
    if not np.isfinite(score.value):
        return _plain(f"{task}: undefined, {_wrapped(score.reason, 60)}")
    interval = f" [{score.low:.3f}, {score.high:.3f}]" if np.isfinite(score.low) else ""
    return _plain(f"{task}: {score.value:.3f}{interval}")


def _shaded(values: np.ndarray, reach: tuple[float, float], shades: Colormap) -> np.ndarray:
    """Colours (..., 4) of values within a range."""
    low, high = reach
    return shades((np.nan_to_num(values) - low) / (high - low))


def _cells(
    axes: Axes, colours: np.ndarray, words: Sequence[Sequence[str | None]], small: Sequence[Sequence[str]]
) -> None:
    """A matrix of shaded cells, each with its word and a line of small print; hatched where the word is None."""
    points = axes.figure.dpi_scale_trans
    above, under = (axes.transData + ScaledTranslation(0, shift / 72, points) for shift in (4, -7))
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    light = colours[..., :3] @ (0.299, 0.587, 0.114) > 0.5
    for i, row in enumerate(words):
        for j, word in enumerate(row):
            if word is None:
                hole = Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="0.95", edgecolor="0.6", hatch="////", lw=0)
                axes.add_patch(hole)
                continue
            how: dict[str, Any] = {"ha": "center", "va": "center", "color": "black" if light[i, j] else "white"}
            how["in_layout"] = False
            below = small[i][j]
            if word:
                axes.text(j, i, word, transform=above if below else axes.transData, fontsize=9, **how)
            if below:
                axes.text(j, i, below, transform=under, fontsize=6.5, **how)


def _names_on_axes(
    axes: Axes, rows: Sequence[str], columns: Sequence[str], slanted: bool = False, above: bool = False
) -> None:
    """Names beside the rows and below, or above, the columns; plain texts, as a tick takes the time of four."""
    axes.set_xticks([])
    axes.set_yticks([])
    inches = axes.figure.dpi_scale_trans
    beside = axes.get_yaxis_transform() + ScaledTranslation(-5 / 72, 0, inches)
    under = axes.get_xaxis_transform() + ScaledTranslation(0, (5 if above else -5) / 72, inches)
    for i, name in enumerate(rows):
        axes.text(0, i, _plain(name), transform=beside, ha="right", va="center", fontsize=8.5)
    turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {"ha": "center"}
    for j, name in enumerate(columns):
        axes.text(j, above, _plain(name), transform=under, va="bottom" if above else "top", fontsize=8, **turned)


def _folded(labels: Sequence[str]) -> list[str]:
    return [_wrapped(label, 40) for label in labels]


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
    dots = np.array([list(values), list(low), list(high)], float).reshape(3, -1)
    rows, known = np.arange(dots.shape[1]), np.isfinite(dots)
    both = known[1] & known[2]
    ends = np.stack([*dots[1:, both], np.full(both.sum(), np.nan)], axis=1)  # NaN ends a line
    line: dict[str, Any] = {"color": "black", "linewidth": 1.4, "marker": "|", "markersize": 6, "zorder": 2}
    axes.plot(ends.ravel(), rows[both].repeat(3), **line)
    axes.plot(dots[0], rows, mark, color="black", markersize=size, markeredgewidth=1.6, zorder=4)
    for i in rows[~known[0]]:
        how: dict[str, Any] = {"ha": "center", "va": "center", "color": "0.35", "backgroundcolor": "white"}
        axes.text(0.5, i, "undefined", transform=axes.get_yaxis_transform(), fontsize=8.5, **how)
    axes.set_yticks(range(len(labels)), [_plain(label) for label in _folded(labels)], fontsize=8.5)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def _reference(axes: Axes, at: float, name: str) -> None:
    axes.axvline(at, color="0.45", linewidth=1.0, linestyle="--", zorder=1)
    how: dict[str, Any] = {"xytext": (0, 2), "textcoords": "offset points", "ha": "center", "va": "bottom"}
    axes.annotate(name, (at, 1), xycoords=("data", "axes fraction"), fontsize=SMALL, color="0.35", **how)


def _room_for(axes: Axes, values: Sequence[float]) -> None:
    """Limits that hold all values, and a little more."""
    axes.set_xlim(*_range_of(np.asarray(values, float)))


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
            high = float(relation.high[i, j])
            if np.isfinite(low) and np.isfinite(high) and low < high:
                small[i][j] = f"[{number(low, digits)}, {number(high, digits)}]"
    return small


def _spreads(relation: Relation, digits: int) -> list[list[str]]:
    """The spread as small print, empty where there is none."""
    if relation.spread is None:
        return [[""] * len(relation.values) for _ in range(len(relation.values))]
    return [[f"± {number(each, digits)}" if np.isfinite(each) else "" for each in row] for row in relation.spread]


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
            f"{words} null {number(value, digits)}".strip()
            if np.isfinite(value) and (i != j or not relation.directed)
            else words
            for j, (words, value) in enumerate(zip(row, nulls, strict=True))
        ]
        for i, (row, nulls) in enumerate(zip(small, relation.null.values, strict=True))
    ]
