"""The task sets of a sweep, as a job has to know them: what kinds of heads each has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from omegaconf import DictConfig

from mtl.config.build import build
from mtl.errors import UserError

Heads = list[tuple[str, int]]  # loss and units of each task's head, in the set's order


def sets_of(jobs: Iterable[DictConfig]) -> list[Heads]:
    """The different kinds of sets that jobs have, in order; those left out of which a job itself will find what is in.

    Parameters
    ----------
    jobs : iterable of DictConfig
        As they are composed. One whose tasks cannot be built will say so itself.

    Returns
    -------
    list of list of (str, int)
        Loss and units of each task. Two sets of as many yes-or-no questions are one.
    """
    found: dict[str, Heads] = {}
    for job in jobs:
        tasks = job.get("tasks")
        if str(tasks) in found:
            continue
        with suppress(UserError, AttributeError):  # of what is no task
            found[str(tasks)] = [(task.loss, int(task.units)) for task in build(tasks).values()]
    known = [heads for heads in found.values() if heads and all(units for _, units in heads)]
    return [list(heads) for heads in sorted({tuple(each) for each in known})]


def of_one_kind(sets: Iterable[Sequence[tuple[str, int]]]) -> list[Sequence[tuple[str, int]]]:
    """The sets, where all their heads are of one kind; else none.

    Heads of unlike kinds in one graph are filled up to the widest, and each loss is computed for all: on the demo's
    features, with three yes-or-no heads and one of 14 classes, that made a step 1.6 times as long.
    """
    known = list(sets)
    return known if len({tuple(kind) for heads in known for kind in heads}) == 1 else []
