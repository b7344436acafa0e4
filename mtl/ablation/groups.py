"""Which tasks to train together, where several networks may share the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

MOST_TASKS = 12  # the search takes 3^n steps: a second or two at 12


@dataclass(frozen=True)
class Grouping:
    """Groups of tasks, one network each.

    Attributes
    ----------
    groups : tuple of tuple of str
        Tasks in their own order; the largest group first.
    served_by : mapping of str to int
        The group that each task is taken from; in other groups it helps only.
    scores : mapping of str to float
        Of each task in that group.
    """

    groups: tuple[tuple[str, ...], ...]
    served_by: Mapping[str, int]
    scores: Mapping[str, float]

    @property
    def score(self) -> float:
        """Mean over tasks."""
        return float(np.mean(list(self.scores.values())))


def pairwise_scores(
    tasks: Sequence[str], gains: np.ndarray, alone: np.ndarray
) -> dict[frozenset[str], dict[str, float]]:
    """Predicted score of every task in every set, from what pairs of tasks do to each other.

    In a group a task scores the mean of what the others give it; alone it scores its
    own real value.

    Parameters
    ----------
    tasks : sequence of str
    gains : ndarray of shape (n_tasks, n_tasks)
        Row = source, column = recipient, higher is better: affinities, or gains of
        pairs over the task alone. The diagonal is not used.
    alone : ndarray of shape (n_tasks,)
        Score of a task alone, in the same unit: zeros for gains over the task
        alone; the diagonal of an affinity is what a step for itself gives.

    Returns
    -------
    dict of frozenset to dict of str to float
        As `best_groups` takes it. NaN gains make NaN scores.

    References
    ----------
    Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning, NeurIPS 2021, section 3.2.
    """
    scores = {}
    for size in range(1, len(tasks) + 1):
        for members in combinations(range(len(tasks)), size):
            inside = np.where(np.eye(size, dtype=bool), 0.0, gains[np.ix_(members, members)])
            given = inside.sum(axis=0) / (size - 1) if size > 1 else alone[list(members)]
            scores[frozenset(tasks[i] for i in members)] = {
                tasks[i]: float(value) for i, value in zip(members, given, strict=True)
            }
    return scores


def best_groups(
    tasks: Sequence[str], scores: Mapping[frozenset[str], Mapping[str, float]], most_groups: int, overlap: bool
) -> Grouping:
    """The groups of tasks, so many at most, with the best mean score.

    Exhaustive. Every task is taken from one group, so the tasks fall into parts by
    that group, and the best group for a part depends on nothing else: with overlap any
    set that contains the part, without it the part itself. So the search goes over
    partitions, not over sets of sets.

    Parameters
    ----------
    tasks : sequence of str
        At most twelve.
    scores : mapping of frozenset of str to mapping of str to float
        By set the score of each of its tasks, higher is better: measured (AUCs of a
        sweep over sets) or from `pairwise_scores`. Sets that were not measured may be
        missing; a task that is NaN in a set cannot be taken from that set.
    most_groups : int
    overlap : bool
        Whether a task may be in several groups, to help where it is not taken from.

    Returns
    -------
    Grouping
        Of equally good ones that with the fewest groups, then the fewest places in them.

    Raises
    ------
    ValueError
        If there are too many tasks, or the sets do not allow so few groups.
    """
    n = len(tasks)
    if n > MOST_TASKS:
        raise ValueError(f"{n} tasks are too many to try all groups; at most {MOST_TASKS}.")
    known = {
        sum(1 << i for i, task in enumerate(tasks) if task in members): members
        for members in scores
        if members and members <= set(tasks)
    }
    hosts = {part: _host(part, known, scores, tasks, overlap) for part in range(1, 1 << n)}

    parts = _best_partition(n, hosts, most_groups)
    if not parts:
        raise ValueError(f"the known sets do not cover {', '.join(tasks)} with at most {most_groups} groups.")
    return _grouping(parts, [hosts[part][1] for part in parts], scores, tasks)


def _best_partition(n: int, hosts: Mapping[int, tuple[float, int]], most_groups: int) -> tuple[int, ...]:
    """Parts of n tasks, as bits, with the best score in all; empty where the hosts do not allow so few groups."""

    @cache
    def best(left: int, groups: int) -> tuple[float, float, float, tuple[int, ...]]:
        """Score, less groups, less places, and the parts, of the tasks that are left."""
        if not left:
            return 0.0, 0.0, 0.0, ()
        found: tuple[float, float, float, tuple[int, ...]] = (-np.inf, 0.0, 0.0, ())
        first = left & -left
        rest = part = left ^ first
        while groups:  # every part of the tasks left that has the first of them
            score, host = hosts[part | first]
            if host:
                others = best(rest ^ part, groups - 1)
                places = others[2] - host.bit_count()
                total = (round(score + others[0], 12), others[1] - 1, places, (part | first, *others[3]))
                found = max(found, total, key=lambda one: one[:3])
            if not part:
                break
            part = (part - 1) & rest
        return found

    return best((1 << n) - 1, most_groups)[3]


def _host(
    part: int,
    known: Mapping[int, frozenset[str]],
    scores: Mapping[frozenset[str], Mapping[str, float]],
    tasks: Sequence[str],
    overlap: bool,
) -> tuple[float, int]:
    """Summed score of the tasks in a part, and the set that gives it to them; (-inf, 0) where none does."""
    names = [task for i, task in enumerate(tasks) if part >> i & 1]
    best, host = -np.inf, 0
    for code in sorted(known, key=int.bit_count) if overlap else ([part] if part in known else []):
        if code & part == part:
            score = sum(scores[known[code]][name] for name in names)
            if score > best + 1e-12:  # not so where it is NaN
                best, host = score, code
    return best, host


def _grouping(
    parts: Sequence[int],
    codes: Sequence[int],
    scores: Mapping[frozenset[str], Mapping[str, float]],
    tasks: Sequence[str],
) -> Grouping:
    """Parts and their hosts by the names of their tasks."""
    order = sorted(range(len(parts)), key=lambda i: (-codes[i].bit_count(), codes[i]))
    groups = [tuple(task for t, task in enumerate(tasks) if codes[i] >> t & 1) for i in order]
    served_by = {task: g for t, task in enumerate(tasks) for g, i in enumerate(order) if parts[i] >> t & 1}
    of = {task: float(scores[frozenset(groups[g])][task]) for task, g in served_by.items()}
    return Grouping(tuple(groups), served_by, of)
