"""Which tasks to train together, by the AUCs of the sets that were measured."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtl.ablation.design import Design, controls_of, tasks_of
from mtl.ablation.groups import best_groups
from mtl.results import TrackedRun


def measured_groups(design: Design, metric: str = "auc") -> pd.DataFrame:
    """The best groups of tasks, one network each, by the AUCs, ``<metric>/<task>``, that the runs' sets have.

    Groups may overlap: a task is taken from one network and may help in others. Sets
    with a control are left out, as its score is of no use.

    Returns
    -------
    DataFrame
        By `condition` and `at_most` so many networks, as long as one more gains: `groups`
        (lists of tasks), `taken_from` (by task the position of its group), `score` (mean
        AUC over tasks) and `scores` (by task); `sets`, how many were measured.
    """
    measured: dict[str, dict[frozenset[str], list[TrackedRun]]] = {}
    for condition, members in design.by_condition().items() if design.axis == "tasks" else ():
        for run in members:
            if tasks_of(run) and not controls_of(run):
                measured.setdefault(condition, {}).setdefault(tasks_of(run), []).append(run)
    rows = []
    for condition, sets in measured.items():
        tasks = sorted(frozenset().union(*sets), key=lambda task: (-sum(task in members for members in sets), task))
        scores = {
            members: {
                task: float(np.mean([run.metrics.get(f"{metric}/{task}", np.nan) for run in alike])) for task in members
            }
            for members, alike in sets.items()
        }
        before: tuple[tuple[str, ...], ...] = ()
        for at_most in range(1, len(tasks) + 1 if len(sets) > 1 else 1):
            try:
                best = best_groups(tasks, scores, at_most, overlap=True)
            except ValueError:  # so few networks do not hold all tasks, or the tasks are too many
                continue
            if best.groups == before:
                break
            before = best.groups
            groups = [list(group) for group in best.groups]
            found = (condition, at_most, groups, dict(best.served_by), best.score, dict(best.scores), len(sets))
            rows.append(found)
    return pd.DataFrame(rows, columns=["condition", "at_most", "groups", "taken_from", "score", "scores", "sets"])
