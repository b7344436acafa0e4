"""Lines: over epochs, over thresholds, over layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtl.plots.layout import (
    PANELS_SIDE_BY_SIDE,
    SMALL,
    Look,
    end_at_one,
    epoch_axis,
    name_panel,
    only_text,
    open_mark,
    plain,
    range_of,
    set_ticks,
    sheet,
    style_of,
    wrapped,
)
from mtl.results import Relation, Score, pairs
from mtl.statistics.bootstrap import mean_of_defined
from mtl.statistics.bounded import AUC


def learning_curves(history: pd.DataFrame, best_epoch: int | None = None) -> Figure:
    """Losses and validation AUC of every task over the epochs.

    Parameters
    ----------
    history : DataFrame
        One row per epoch, the epoch as index; columns ``train_loss/<task>``,
        ``val_loss/<task>``, ``val_auc/<task>``, ``val_auc_video_weighted/<task>``, others are not shown.
    best_epoch : int, optional
        Epoch whose weights were kept.
    """
    aucs = {"val_auc": "validation AUC", "val_auc_video_weighted": "validation AUC, each video counting alike"}
    kinds = {"train_loss": "training loss", "val_loss": "validation loss"} | {
        kind: label for kind, label in aucs.items() if any(str(column).startswith(f"{kind}/") for column in history)
    }
    named = [column.split("/", 1) for column in history.columns if "/" in column]
    tasks = list(dict.fromkeys(task for kind, task in named if kind in kinds))
    if not tasks or history.empty:
        return only_text("no epoch was recorded")
    looks = {kind: (label, style_of(i)) for i, (kind, label) in enumerate(kinds.items())}
    at_best: dict[str, Any] = {"color": "0.25", "linewidth": 1.4, "linestyle": ":"}
    key = [*looks.values(), *([(f"best epoch: {best_epoch}", at_best)] if best_epoch is not None else [])]
    figure, grid = sheet(2 * len(tasks), 2.2, 1.7, len(tasks), key, between=0.15)
    shown = [column for column in history if str(column).split("/")[0] in aucs]
    low, high = range_of(history[shown].to_numpy(), AUC)
    for j, task in enumerate(tasks):
        above, below = grid[j], grid[len(tasks) + j]
        for kind, (_, style) in looks.items():
            if f"{kind}/{task}" in history:
                axes = below if kind in aucs else above
                axes.plot(history.index, history[f"{kind}/{task}"], markersize=4, **style)
        below.set_ylim(low, high)
        for axes in (above, below):
            epoch_axis(axes, history.index)
            axes.yaxis.set_major_locator(MaxNLocator(4))
            if best_epoch is not None:
                axes.axvline(best_epoch, **at_best)
        above.set_xticks([])
        below.tick_params(axis="y", labelleft=j == 0)
        name_panel(above, wrapped(task, 26), "", "" if j else "loss")
        name_panel(below, "", "epoch", "" if j else "AUC")
    return figure


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
    looks = [(_labelled(task, scores.get(f"auc/{task}")), style_of(i)) for i, task in enumerate(tasks)]
    chance: dict[str, Any] = {"color": "0.55", "linewidth": 0.9}
    figure, (axes,) = sheet(1, 4.6, 4.6, 1, [*looks, ("chance: 0.500", chance)])
    for task, (_, style) in zip(tasks, looks, strict=True):
        axes.plot(*roc.get(task, ((), ())), markevery=0.12, markersize=5, **style)
    axes.plot([0, 1], [0, 1], **chance)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    name_panel(axes, "Frame-level ROC; AUC with 95 % interval over videos", "false positive rate", "true positive rate")
    set_ticks(axes, np.linspace(0, 1, 6), np.linspace(0, 1, 6))
    return figure


def _labelled(task: str, score: Score | None) -> str:
    """Task with its AUC and interval, or with the reason why there is none."""
    if score is None:
        return plain(task)
    if not np.isfinite(score.value):
        return plain(f"{task}: undefined, {wrapped(score.reason, 60)}")
    interval = f" [{score.low:.3f}, {score.high:.3f}]" if np.isfinite(score.low) else ""
    return plain(f"{task}: {score.value:.3f}{interval}")


def relation_trajectories(relations: Mapping[str, Relation], tasks: Sequence[str]) -> Figure:
    """Every measure of every pair at the end of every epoch, counted from 1, a panel per measure.

    Parameters
    ----------
    relations : mapping of str to Relation
        Those with a `trajectory` are shown, both directions of a pair where they differ,
        and the mean trajectory of their `baseline`.
    tasks : sequence of str
        In the order of the matrices.
    """
    shown = {name: one for name, one in relations.items() if one.trajectory is not None and len(one.trajectory)}
    if len(tasks) < 2 or not shown:
        return only_text("one task: no pair" if len(tasks) < 2 else "no trajectory was recorded")
    faint: dict[str, Any] = {"color": "0.45", "linewidth": 3, "alpha": 0.6}
    baselines = [
        name for name, one in shown.items() if one.baseline is not None and one.baseline.trajectory is not None
    ]
    more = [("permutation baseline, mean of all pairs", faint)] if baselines else []
    figure, grid = _panels_of_pairs(shown, tasks, more)
    for axes, (name, relation) in zip(grid, shown.items(), strict=True):
        trajectory = np.asarray(relation.trajectory)
        epochs = np.arange(1, len(trajectory) + 1) if relation.trajectory_epochs is None else relation.trajectory_epochs
        _lines_of_pairs(axes, epochs, trajectory, relation.directed, tasks)
        if name in baselines:
            of_baseline = np.asarray(relation.baseline.trajectory)[:, ~np.eye(len(tasks), dtype=bool)]  # type: ignore[union-attr]
            axes.plot(epochs, mean_of_defined(of_baseline, axis=1), **faint)
        end_at_one(axes)
        epoch_axis(axes, epochs)
        name_panel(axes, wrapped(name.replace("_", " "), 32), "epoch", "")
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
        return only_text("one task: no pair" if len(tasks) < 2 else "no layer groups were recorded")
    figure, grid = _panels_of_pairs(shown, tasks, [])
    for axes, (name, relation) in zip(grid, shown.items(), strict=True):
        values, groups = np.array(list(relation.by_layer.values())), list(relation.by_layer)
        _lines_of_pairs(axes, np.arange(len(values)), values, relation.directed, tasks)
        end_at_one(axes)
        axes.set_xticks(range(len(groups)), [plain(wrapped(group, 8)) for group in groups], fontsize=SMALL)
        name_panel(axes, wrapped(name.replace("_", " "), 32), "layers, from the input on", "")
    return figure


def _panels_of_pairs(
    relations: Mapping[str, Relation], tasks: Sequence[str], more: Sequence[Look]
) -> tuple[Figure, list[Axes]]:
    """A panel per measure, and one key of the pairs for all of them."""
    looks = [
        ("{} and {}".format(*sorted((tasks[a], tasks[b]))), style_of(i)) for i, (_, a, b) in enumerate(pairs(tasks))
    ]
    if any(relation.directed for relation in relations.values()):
        looks.append(("open mark: from the second task to the first", open_mark(style_of(0) | {"color": "0.3"})))
    return sheet(len(relations), 2.9, 2.1, min(PANELS_SIDE_BY_SIDE, len(relations)), [*looks, *more])


def _lines_of_pairs(axes: Axes, at: np.ndarray, values: np.ndarray, directed: bool, tasks: Sequence[str]) -> None:
    """A line per pair of matrices (n, n_tasks, n_tasks), or one each way; zero as a thin one."""
    for i, (_, a, b) in enumerate(pairs(tasks)):
        axes.plot(at, values[:, a, b], markersize=4, clip_on=False, **style_of(i))
        if directed:
            axes.plot(at, values[:, b, a], markersize=4, clip_on=False, **open_mark(style_of(i)))
    axes.axhline(0, color="0.55", linewidth=0.9)
    axes.yaxis.set_major_locator(MaxNLocator(4))
