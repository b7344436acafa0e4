"""Numbers in shaded cells: confusion matrices, relations of pairs, one number per row and column of a design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation

from mtl.formatting import number
from mtl.plots.layout import SMALL, as_text, at_most, axes_at, blank, fitted, only_text, plain, wrapped
from mtl.plots.rendering import DPI, MARGIN
from mtl.results import Relation, pairs

# Their lightness goes one way only, so a grey print keeps the order.
SHARES, SIGNED = colormaps["Blues"], colormaps["cividis"]
CELL = (0.54, 0.28)  # inches, of a confusion matrix


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
        alike.setdefault(tuple(as_text(table.columns)), []).append(task)
    blocks = [_confusion_block({task: tables[task] for task in tasks}, names) for names, tasks in alike.items()]
    left = 0.2 + max(at_most(label) for block in blocks for label in block.rows)
    below = [0.3 + (0.75 * max(map(at_most, block.columns)) if block.slanted else 0.0) for block in blocks]
    heights = [CELL[1] * len(block.rows) for block in blocks]
    width = left + max(6.5, *(max(CELL[0] * len(block.columns), at_most(block.title, 10)) for block in blocks)) + MARGIN
    top = sum(heights) + sum(below) + 0.6 * len(blocks)
    figure = Figure(figsize=(width, top), dpi=DPI)
    for block, height, depth in zip(blocks, heights, below, strict=True):
        top -= 0.6 + height
        axes = axes_at(figure, left, top, CELL[0] * len(block.columns), height)
        top -= depth
        colours = _shaded(block.shares, (0.0, 1.0), SHARES)
        texts = [[_share(value) for value in row] for row in block.shares]
        _cells(axes, colours, texts, [[""] * len(block.columns)] * len(texts))
        _names_on_axes(axes, block.rows, block.columns, slanted=block.slanted)
        title = f"{block.title}\nrows: true class (frames), columns: predicted class; share of the true class's frames"
        axes.set_title(plain(title), fontsize=10, loc="left", y=1.0)
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
    of_task = [
        f"{task}: {name}" if len(tables) > 1 else name for task, t in tables.items() for name in as_text(t.index)
    ]
    rows = [wrapped(f"{name} ({total:,.0f})", 30) for name, total in zip(of_task, totals[:, 0], strict=True)]
    title = next(iter(tables)) if len(tables) == 1 else f"{len(tables)} tasks"
    return _ConfusionBlock(title, rows, [wrapped(name, 20) for name in names], shares)


def _share(value: float) -> str | None:
    """Per cent; nothing of nothing, and None where it is undefined."""
    if np.isnan(value):
        return None
    return f"{100 * value:.0f} %" if value else ""


def relation_table(relations: Mapping[str, Relation], tasks: Sequence[str], title: str) -> Figure:
    """Every measure of every pair of tasks: a pair a row, a measure a column; hatched where undefined.

    Parameters
    ----------
    relations : mapping of str to Relation
        By measure. Interval, `spread` and `baseline` are the small print of a cell; a
        directed measure has two columns. Why one is undefined and its quantities
        of each task alone stand below.
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
        return only_text("one task: no pair" if len(tasks) < 2 else "no relation was tracked")
    shape = (len(named), len(columns))
    colours, texts, small = np.ones((*shape, 4)), np.full(shape, None), np.full(shape, "", dtype=object)
    for j, (_, relation, turned) in enumerate(columns):
        first, second = (np.array([pair[side] for pair in named]) for side in ((2, 1) if turned else (1, 2)))
        off = np.where(np.eye(len(tasks)), np.nan, relation.values)
        reach = _limits_of(off)
        digits = 2 if reach[1] >= 0.1 else 4
        values = off[first, second]
        colours[:, j] = _shaded(values, reach, SIGNED if reach[0] < 0 else SHARES)
        texts[:, j] = [number(value, digits) if np.isfinite(value) else None for value in values]
        small[:, j] = np.array(_small_print(relation, digits), dtype=object)[first, second]
    rows = ["\nand ".join(sorted((tasks[a], tasks[b]))) for _, a, b in named]
    heads = [wrapped(name.replace("_", " "), 13) for name, _, _ in columns]
    ways = {False: "first → second", True: "second → first"}
    heads = [
        f"{head}\n{ways[turned]}" if of.directed else head for head, (_, of, turned) in zip(heads, columns, strict=True)
    ]
    notes = _notes(relations, tasks)
    left, wide, high = 0.1 + max(map(at_most, rows)), 1.06 * len(columns), 0.5 * len(rows)
    over, under = 0.45 + 0.15 * max(head.count("\n") + 1 for head in heads), 0.1 + 0.16 * len(notes)
    widest = max(wide, at_most(title, 10), *(at_most(note, SMALL) for note in notes))
    figure = Figure(figsize=(left + widest + MARGIN, over + high + under), dpi=DPI)
    axes = axes_at(figure, left, under, wide, high)
    _cells(axes, colours, texts.tolist(), small.tolist())
    _names_on_axes(axes, rows, heads, above=True)
    inches = figure.dpi_scale_trans
    figure.text(left, over + high + under - 0.15, plain(title), fontsize=10, va="center", transform=inches)
    for i, note in enumerate(notes):
        figure.text(left, under - 0.15 - 0.16 * i, plain(note), fontsize=SMALL, va="center", transform=inches)
    return figure


def _notes(relations: Mapping[str, Relation], tasks: Sequence[str]) -> list[str]:
    """Lines below the table: what the small print is, what is undefined and why, quantities of single tasks."""
    lines = []
    if any(relation.spread is not None for relation in relations.values()):
        lines.append("± standard deviation between batches or runs; baseline: permuted labels")
    for name, relation in relations.items():
        if relation.reason:
            lines.append(f"{name.replace('_', ' ')}: {relation.reason}")
        if relation.of_set is not None:
            lines.append(f"{name.replace('_', ' ')} of all tasks together: {_significant(relation.of_set)}")
        for quantity, values in relation.of_tasks.items():
            of_each = ", ".join(f"{task} {_significant(value)}" for task, value in zip(tasks, values, strict=True))
            lines.append(f"{quantity.replace('_', ' ')}: {of_each}")
    return lines


def _significant(value: float) -> str:
    """Two decimals, or more of a small number."""
    return number(value, 2 if abs(value) >= 0.1 else 4) if np.isfinite(value) else "undefined"


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
    """Interval of each cell, and in a second line its spread and baseline."""
    intervals = _intervals(relation, digits)
    others = _with_baselines(_spreads(relation, digits), relation, digits)
    return [
        ["\n".join(filter(None, each)) for each in zip(*rows, strict=True)]
        for rows in zip(intervals, others, strict=True)
    ]


def _with_baselines(small: list[list[str]], relation: Relation, digits: int) -> list[list[str]]:
    """Small print with the baseline of each cell behind it, where there is one."""
    if relation.baseline is None:
        return small
    return [
        [
            f"{text} baseline {number(value, digits)}".strip()
            if np.isfinite(value) and (i != j or not relation.directed)
            else text
            for j, (text, value) in enumerate(zip(row, baselines, strict=True))
        ]
        for i, (row, baselines) in enumerate(zip(small, relation.baseline.values, strict=True))
    ]


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
    rows, columns = ([wrapped(name, 22) for name in as_text(names)] for names in (values.index, values.columns))
    figure = blank(2.8 + 1.5 * len(columns), 1.8 + 0.62 * len(rows))
    axes = figure.add_subplot()
    texts = [[f"{value:.3f}" if np.isfinite(value) else None for value in row] for row in matrix]
    _cells(axes, _shaded(matrix, reach, SHARES), texts, small.to_numpy(str).tolist())
    _names_on_axes(axes, rows, columns)
    axes.set_title(plain(wrapped(title, 60)), fontsize=10)
    return fitted(figure)


def _shaded(values: np.ndarray, reach: tuple[float, float], shades: Colormap) -> np.ndarray:
    """Colours (..., 4) of values within a range."""
    low, high = reach
    return shades((np.nan_to_num(values) - low) / (high - low))


def _limits_of(values: np.ndarray) -> tuple[float, float]:
    """Range of the shades: all of [-1, 1] or [0, 1] where the numbers fill a share of it, else their own."""
    finite = values[np.isfinite(values)]
    reach = float(np.abs(finite).max()) if len(finite) else 1.0
    reach = 1.0 if 0.1 < reach <= 1.0 else (reach or 1.0)
    return (-reach if (finite < 0).any() else 0.0), reach


def _cells(
    axes: Axes, colours: np.ndarray, texts: Sequence[Sequence[str | None]], small: Sequence[Sequence[str]]
) -> None:
    """A matrix of shaded cells, each with its text and a line of small print; hatched where the text is None."""
    points = axes.figure.dpi_scale_trans
    above, under = (axes.transData + ScaledTranslation(0, shift / 72, points) for shift in (4, -7))
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    light = colours[..., :3] @ (0.299, 0.587, 0.114) > 0.5
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            if text is None:
                hole = Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="0.95", edgecolor="0.6", hatch="////", lw=0)
                axes.add_patch(hole)
                continue
            how: dict[str, Any] = {"ha": "center", "va": "center", "color": "black" if light[i, j] else "white"}
            how["in_layout"] = False
            below = small[i][j]
            if text:
                axes.text(j, i, text, transform=above if below else axes.transData, fontsize=9, **how)
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
        axes.text(0, i, plain(name), transform=beside, ha="right", va="center", fontsize=8.5)
    turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {"ha": "center"}
    for j, name in enumerate(columns):
        axes.text(j, above, plain(name), transform=under, va="bottom" if above else "top", fontsize=8, **turned)
