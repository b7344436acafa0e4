"""The heads of several task sets in one graph: a set takes the places that it needs, and the others cost nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from mtl.tasks import UNLABELLED, Task

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


class StackedHeads:
    """Heads as one layer: what is asked of it is answered for the places of one set, whose number no graph knows.

    Kernels and biases are stacked, a head of fewer units than the widest filled up with zeros; of the
    stack a set's own are taken.

    Parameters
    ----------
    layers : sequence of Dense
        Built, one per place.
    kinds : sequence of (str, int)
        Of the places.
    """

    def __init__(self, layers: Sequence[keras.layers.Dense], kinds: Sequence[Kind]) -> None:
        self._layers = list(layers)
        self.kinds = tuple(kinds)
        self.units = max(units for _, units in kinds)
        self._groups = sorted(set(kinds))
        self._group = [self._groups.index(kind) for kind in kinds]  # by place
        self._losses = [
            keras.losses.get({"class_name": loss, "config": {"from_logits": True, "reduction": None}})
            for loss, _ in self._groups
        ]

    def taken(self, at: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernels (k, n_inputs, units) and biases (k, units) of the heads in k places, in their order."""
        kernels, biases = self._all()
        return tf.gather(kernels, at), tf.gather(biases, at)

    def _all(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernels and biases of all places."""
        kernels = tf.stack([self._wide(layer.kernel.value) for layer in self._layers])
        return kernels, tf.stack([self._wide(layer.bias.value) for layer in self._layers])

    def losses(self, logits: tf.Tensor, targets: tf.Tensor, at: tf.Tensor, is_partial: bool) -> tf.Tensor:
        """Unweighted loss of every frame, (k, n).

        Parameters
        ----------
        logits : tensor of shape (k, n, units)
        targets : int tensor of shape (k, n)
            Where one is `UNLABELLED`, of a model that `is_partial`, the loss is 0.
        at : int tensor of shape (k,)
            The places.
        is_partial : bool
        """
        known = targets != UNLABELLED
        labels = tf.where(known, targets, 0) if is_partial else targets
        found = self._own_losses(logits, labels, at)
        return tf.where(known, found, tf.zeros_like(found)) if is_partial else found

    def _own_losses(self, logits: tf.Tensor, labels: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        """The losses (k, n), each task's by its own formula."""
        if len(self._groups) == 1:
            return self._losses[0](labels[..., None], logits)
        group = tf.gather(tf.constant(self._group), at)[:, None]
        found = tf.zeros_like(logits[..., 0])
        for i, ((_, units), loss) in enumerate(zip(self._groups, self._losses, strict=True)):
            is_own = group == i
            usable = tf.where(is_own, labels, 0)  # another task's class may be none of this one's
            found = tf.where(is_own, loss(usable[..., None], logits[..., :units]), found)
        return found

    def _wide(self, values: tf.Tensor) -> tf.Tensor:
        """Values (..., units of a head) with zeros up to the widest."""
        values = tf.convert_to_tensor(values)
        lacking = self.units - values.shape[-1]
        return tf.pad(values, [*[[0, 0]] * (values.shape.rank - 1), [0, lacking]]) if lacking else values


def stacked_logits(hidden: tf.Tensor, kernels: tf.Tensor, biases: tf.Tensor) -> tf.Tensor:
    """Logits (k, n, units) of heads with kernels (k, n_inputs, units) and biases (k, units) on inputs (n, n_inputs)."""
    return tf.einsum("nh,khu->knu", hidden, kernels) + biases[:, None]
