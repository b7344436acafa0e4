"""Relations of the largest task set as means over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mtl.ablation.design import Design, tasks_of
from mtl.results import Relation, directions, pairs


def mean_relations(design: Design) -> dict[str, tuple[tuple[str, ...], dict[str, Relation]]]:
    """By condition: tasks of the largest set, and its relations as means over seeds, their deviation as spread."""
    found = {}
    for condition, members in design.by_condition().items():
        largest = max((tasks_of(run) for run in members), key=len)
        tasks = tuple(sorted(largest))
        alike = [run for run in members if tasks_of(run) == largest]
        if design.axis != "tasks":
            alike = [run for run in alike if design.arm(run) == design.arm(alike[0])]
        relations = _relation_means([run.metrics for run in alike], tasks)
        if relations and len(tasks) > 1:
            found[condition] = (tasks, relations)
    return found


def _relation_means(metrics: Sequence[Mapping[str, float]], tasks: Sequence[str]) -> dict[str, Relation]:
    """Every measure that was tracked for pairs of the tasks, with its permutation baseline."""
    symmetric = {name: [(a, b), (b, a)] for name, a, b in pairs(tasks)}
    directed = {name: [(a, b)] for name, a, b in directions(tasks)}
    cells: dict[str, dict[tuple[int, int], list[float]]] = {}
    has_direction = set()
    for row in metrics:
        for key, value in row.items():
            measure, _, pair = key.partition("/")
            for place in [*symmetric.get(pair, []), *directed.get(pair, [])]:
                cells.setdefault(measure, {}).setdefault(place, []).append(value)
                has_direction |= {measure} if pair in directed else set()
    found = {}
    for measure, values in cells.items():
        mean, spread = np.full((2, len(tasks), len(tasks)), np.nan)
        for place, numbers in values.items():
            mean[place] = np.mean(numbers)
            spread[place] = np.std(numbers, ddof=1) if len(numbers) > 1 else np.nan
        found[measure] = Relation(mean, spread=spread, directed=measure in has_direction)
    baselines = {name: found.pop(name) for name in list(found) if name.endswith("_baseline")}
    return {name: replace(one, baseline=baselines.get(f"{name}_baseline")) for name, one in found.items()}
