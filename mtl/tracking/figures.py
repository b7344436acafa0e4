"""Every curve, matrix and comparison of a run as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from mtl.plots import curves, dots, matrices
from mtl.results import Relation
from mtl.trace import Trace

if TYPE_CHECKING:
    from mtl.evaluation.evaluation import Evaluated


def figures(
    evaluated: Evaluated,
    relations: Mapping[str, Relation],
    trace: Trace,
    history: pd.DataFrame,
    best_epoch: int | None,
) -> dict[str, Figure]:
    """Every curve, matrix and comparison of a run as a figure, by file name without suffix."""
    drawn = {"learning_curves": curves.learning_curves(history, best_epoch)}
    if evaluated.roc:
        drawn["roc_curves"] = curves.roc_curves(evaluated.roc, evaluated.scores)
    if evaluated.confusions:
        drawn["confusion_matrices"] = matrices.confusion_matrices(evaluated.confusions)
    if len(evaluated.classes):
        drawn["class_auc"] = dots.class_auc(evaluated.classes)
    if len(trace.tasks) > 1 and relations:
        drawn["relations"] = matrices.relation_table(relations, trace.tasks, "Relations of every two tasks")
        if any(relation.trajectory is not None for relation in relations.values()):
            drawn["relation_trajectories"] = curves.relation_trajectories(relations, trace.tasks)
        if any(relation.by_layer for relation in relations.values()):
            drawn["relations_by_layer"] = curves.relations_by_layer(relations, trace.tasks)
    return drawn
