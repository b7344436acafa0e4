"""The task sets of a sweep, as a job has to know them: what kinds of heads each has."""

from __future__ import annotations

from collections.abc import Iterable
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
