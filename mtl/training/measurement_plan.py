"""After which epochs, and on how many batches, gradients are measured: a share of the passes of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BACKWARD = 2  # forward passes that a backward pass takes: gradients on inputs and on weights
LEFT_OUT = 1  # first epochs that relations leave out of their means, as conf/relations has it
SAID = 8  # epochs that are named one by one
TRIED = 3  # a step is tried after every so many measurements, where a share is kept


@dataclass(frozen=True)
class Course:
    """What a training is to take.

    Attributes
    ----------
    epochs : int
    frames : int
        That an epoch steps on, a frame as often as it comes.
    """

    epochs: int
    frames: int

    @property
    def passes(self) -> int:
        """Forward passes of one frame that its steps are worth, of a weighting that looks at no gradient."""
        return self.epochs * self.frames * (1 + BACKWARD)


@dataclass(frozen=True)
class Cost:
    """Forward passes of one frame that one held-out batch is worth.

    Attributes
    ----------
    compared : int
        To compare the tasks' gradients.
    tried : int
        To try a step for every task on a training batch.
    """

    compared: int
    tried: int

    @classmethod
    def of(cls, n_tasks: int, batch_size: int, permutes: bool, tries: bool) -> Cost:
        """One forward pass, a backward one per task and one with permuted labels; to try steps, that and a look each.

        Parameters
        ----------
        n_tasks, batch_size : int
        permutes : bool
            Whether labels are permuted.
        tries : bool
            Whether steps are tried.
        """
        compared = batch_size * (1 + BACKWARD * (n_tasks + permutes))
        return cls(compared, tries * (compared + batch_size * n_tasks))


@dataclass(frozen=True)
class Plan:
    """When gradients are measured, and on how much.

    Attributes
    ----------
    epochs : int or sequence of int
        After every so many epochs, or after these, counted from 1.
    batches : int
        Held-out batches of every measurement, of all that there are in turns.
    tried : int
        A step is tried after every so many measurements, the first one included.
    text : str
        What a share of the passes made of it; empty where none is kept.
    """

    epochs: int | Sequence[int]
    batches: int
    tried: int = 1
    text: str = ""

    def due(self, epoch: int) -> bool:
        """Whether to measure after this epoch, counted from 1."""
        return epoch % self.epochs == 0 if isinstance(self.epochs, int) else epoch in self.epochs

    def turn(self, number: int, n_batches: int) -> np.ndarray:
        """Which of the held-out batches it is the turn of at a measurement, counted from 0."""
        return (number * self.batches + np.arange(self.batches)) % max(n_batches, 1)


def within_share(
    share: float, course: Course, cost: Cost, n_batches: int, epochs: int | Sequence[int] | None, batches: int | None
) -> Plan:
    """What a share of a training's passes allows, of what is not given.

    Epochs first: gradients change more from epoch to epoch than from batch to batch, and batches take turns. So one
    batch after as many epochs as there are passes for: the first one that relations count, the last one and evenly
    between. More batches once all of these are measured. Counted in passes and not in seconds it is the same on every
    machine. At least one batch is measured, after the first such epoch and the last.

    Parameters
    ----------
    share : float
    course : Course
    cost : Cost
    n_batches : int
        That are held out.
    epochs : int, sequence of int or None
        Those of `Plan` that are given; None: by the share.
    batches : int or None
        Those of every measurement; None: by the share.
    """
    every = TRIED if epochs is None else 1

    def passes(n_epochs: int, n_batches: int) -> int:
        return n_batches * (n_epochs * cost.compared + -(-n_epochs // every) * cost.tried)

    allowed = share * course.passes
    if epochs is None:
        first = min(1 + LEFT_OUT, course.epochs)
        most = course.epochs - first + 1
        least = min(2, most)
        n = next((n for n in range(most, least, -1) if passes(n, batches or 1) <= allowed), least)
        epochs = [int(epoch) for epoch in np.linspace(first, course.epochs, n).round()] if n > 1 else [course.epochs]
    due = Plan(epochs, 0)
    measured = [epoch for epoch in range(1, course.epochs + 1) if due.due(epoch)]
    if batches is None:
        batches = next((n for n in range(n_batches, 1, -1) if passes(len(measured), n) <= allowed), 1)
    spent = passes(len(measured), batches) / course.passes
    return Plan(epochs, batches, every, _text(share, spent, measured, batches, n_batches))


def _text(share: float, spent: float, measured: Sequence[int], batches: int, n_batches: int) -> str:
    """What is measured and what it takes, in words."""
    turns = ", in turns" if batches < n_batches else ""
    first, last = measured[0] if measured else 0, measured[-1] if measured else 0
    if len(measured) == last - first + 1 > 2:
        after = f"epochs {first} to {last}"
    elif len(measured) > SAID:
        after = f"{len(measured)} epochs from {first} to {last}"
    else:
        after = f"{'epoch' if len(measured) == 1 else 'epochs'} {', '.join(map(str, measured)) or 'none'}"
    allowed = f"gradient_measurements.share={share:g}"
    kept = f"within {allowed}" if spent <= share else f"more than {allowed}, which is too little for any measurement"
    return (
        f"{batches} of {n_batches} held-out batches{turns}, after {after}; this takes {spent:.1%} of the passes of the "
        f"training steps, {kept}"
    )
