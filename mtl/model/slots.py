"""The heads of several task sets in one graph: a set takes the places that it needs, and the others cost nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mtl.tasks import Task

Kind = tuple[str, int]  # a head's loss and its units: heads of one kind can stand for each other


@dataclass(frozen=True)
class Slots:
    """Places for heads, by kind, so many that every one of some task sets finds those that it needs.

    Attributes
    ----------
    kinds : tuple of (str, int)
        Loss and units of each place, places of one kind side by side.
    sizes : tuple of int
        Numbers of tasks that the sets have, ascending.
    """

    kinds: tuple[Kind, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, sets: Iterable[Sequence[Kind]]) -> Slots:
        """Places for each of these sets, whatever their order."""
        sets = [tuple((str(loss), int(units)) for loss, units in each) for each in sets]
        most = {kind: max(each.count(kind) for each in sets) for each in sets for kind in each}
        kinds = tuple(kind for kind in sorted(most) for _ in range(most[kind]))
        return cls(kinds, tuple(sorted({len(each) for each in sets})))

    def places(self, kinds: Sequence[Kind]) -> tuple[int, ...]:
        """Place of each head of a set, in the set's order: of its kind the first that is free."""
        free = {kind: [i for i, one in enumerate(self.kinds) if one == kind] for kind in kinds}
        return tuple(free[kind].pop(0) for kind in kinds)


def kinds_of(tasks: Mapping[str, Task]) -> tuple[Kind, ...]:
    """Kind of each task's head, in the set's order."""
    return tuple((task.loss, task.units) for task in tasks.values())


def slots_for(tasks: Mapping[str, Task], sets: Iterable[Sequence[Kind]]) -> Slots | None:
    """Places that the sets of a sweep share; None where this set is not one of several.

    Parameters
    ----------
    tasks : mapping of str to Task
    sets : iterable of sequence of (str, int)
        Of the sweep's sets, each the kinds of its tasks in order; those of one kind of set may stand there twice.
    """
    known = {tuple((str(loss), int(units)) for loss, units in each) for each in sets}
    return Slots.of(known) if kinds_of(tasks) in known and len(known) > 1 else None
