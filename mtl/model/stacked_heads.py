"""Heads as one layer with a row for each of their units: what it is asked is answered for the heads of one set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from mtl.model.slots import Kind
from mtl.tasks import UNLABELLED


@dataclass(frozen=True)
class ByKind:
    """The heads of a set, kind by kind, each kind's in the set's order.

    Attributes
    ----------
    order : int32 ndarray of shape (n_tasks,)
        Position in the set of each head.
    counts : int32 ndarray of shape (n_kinds,)
        Heads of each kind; 0 where the set has none.
    rows : int32 ndarray of shape (n_units,)
        Of the stack, those of all its heads.
    task_of_row : int32 ndarray of shape (n_units,)
        Position in the set of the task of each.
    """

    order: np.ndarray
    counts: np.ndarray
    rows: np.ndarray
    task_of_row: np.ndarray

    @property
    def positions(self) -> np.ndarray:
        """Where each task of the set is in this order, (n_tasks,)."""
        return np.argsort(self.order)

    def tensors(self) -> list[tf.Tensor]:
        """Counts and rows, as `StackedHeads.taken` is given them, and what a step needs besides."""
        return [tf.constant(one) for one in (self.counts, self.rows, self.order, self.task_of_row)]

    @staticmethod
    def specs() -> list[tf.TensorSpec]:
        """What a graph for every set knows of `tensors`."""
        return [tf.TensorSpec((None,), tf.int32)] * 4


class Taken:
    """Heads taken of a stack, kind by kind.

    Parameters
    ----------
    heads : StackedHeads
    kernel : tensor of shape (n_units, n_inputs)
    bias : tensor of shape (n_units,)
    counts : int tensor of shape (n_kinds,)
    """

    def __init__(self, heads: StackedHeads, kernel: tf.Tensor, bias: tf.Tensor, counts: tf.Tensor) -> None:
        self.kernel, self.bias = kernel, bias
        self._units = [units for _, units in heads.groups]
        self._losses = heads.own_losses
        self._counts = counts

    def logits(self, hidden: tf.Tensor) -> tf.Tensor:
        """Shape (n, n_units), from inputs (n, n_inputs)."""
        return tf.matmul(hidden, self.kernel, transpose_b=True) + self.bias

    def losses(self, logits: tf.Tensor, targets: tf.Tensor, is_partial: bool) -> list[tf.Tensor]:
        """By kind, unweighted losses of every frame, (n, k).

        Parameters
        ----------
        logits : tensor of shape (n, n_units)
        targets : int tensor of shape (n, n_tasks)
            Kind by kind. Where one is `UNLABELLED`, of a model that `is_partial`, the loss is 0.
        is_partial : bool
        """
        found, labels = [], self.split(targets, axis=1)
        for loss, of_kind, own in zip(self._losses, self.by_kind(logits), labels, strict=True):
            if not is_partial:
                found.append(loss(own[..., None], of_kind))
                continue
            known = own != UNLABELLED
            values = loss(tf.where(known, own, 0)[..., None], of_kind)
            found.append(tf.where(known, values, tf.zeros_like(values)))
        return found

    def by_kind(self, of_units: tf.Tensor) -> list[tf.Tensor]:
        """Values (n, n_units) as those of each kind, (n, k, units)."""
        n = of_units.shape[0] or tf.shape(of_units)[0]
        pieces = zip(self._split_units(of_units, axis=1), self._units, strict=True)
        return [tf.reshape(piece, [n, -1, units]) for piece, units in pieces]

    def split(self, of_heads: tf.Tensor, axis: int) -> list[tf.Tensor]:
        """Values of heads along an axis as those of each kind."""
        if len(self._units) == 1:
            return [of_heads]
        return tf.split(of_heads, self._counts, axis, num=len(self._units))

    def of_hidden(self, of_logits: tf.Tensor) -> tf.Tensor:
        """Gradients on the inputs by head, (n_tasks, n, n_inputs), from those on logits (n, n_units)."""
        found, n_inputs = [], self.kernel.shape[1]
        pieces = zip(self._split_units(self.kernel, axis=0), self.by_kind(of_logits), self._units, strict=True)
        for kernel, of_kind, units in pieces:
            if units == 1:  # a product of one term each
                found.append(tf.transpose(of_kind, [1, 0, 2]) * kernel[:, None])
            else:
                rows = tf.reshape(kernel, [-1, units, n_inputs])
                found.append(tf.matmul(tf.transpose(of_kind, [1, 0, 2]), rows))
        return side_by_side(found)

    def _split_units(self, of_units: tf.Tensor, axis: int) -> list[tf.Tensor]:
        """Values of units along an axis as those of each kind."""
        if len(self._units) == 1:
            return [of_units]
        return tf.split(of_units, self._counts * self._units, axis, num=len(self._units))


class StackedHeads:
    """Heads of any number of tasks in one graph, which knows their kinds alone.

    The units of all heads are rows of one kernel, and those of a set are taken of it. The losses of each kind
    are computed for the heads of that kind: filled up to the widest, three yes-or-no heads beside one of 14
    classes made a step 1.6 times as long.

    Parameters
    ----------
    layers : sequence of Dense
        Built, one per place.
    kinds : sequence of (str, int)
        Of the places.

    Attributes
    ----------
    groups : list of (str, int)
        The different kinds.
    own_losses : list of keras losses
        Of each kind.
    """

    def __init__(self, layers: Sequence[keras.layers.Dense], kinds: Sequence[Kind]) -> None:
        self._layers = list(layers)
        self.kinds = tuple(kinds)
        self.groups = sorted(set(kinds))
        self._first = np.cumsum([0, *(units for _, units in kinds)]).tolist()  # row of each place
        self.own_losses = [
            keras.losses.get({"class_name": loss, "config": {"from_logits": True, "reduction": None}})
            for loss, _ in self.groups
        ]

    @property
    def n_units(self) -> int:
        """Units of all heads, which is the number of rows."""
        return self._first[-1]

    def rows(self, place: int) -> slice:
        """Of the head in a place."""
        return slice(self._first[place], self._first[place + 1])

    def by_kind(self, at: Sequence[int]) -> ByKind:
        """The heads of a set in these places, given in the set's order."""
        groups = [self.groups.index(self.kinds[place]) for place in at]
        order = np.argsort(groups, kind="stable").astype(np.int32)
        rows = np.arange(self.n_units, dtype=np.int32)
        counts = np.bincount(groups, minlength=len(self.groups)).astype(np.int32)
        units = [self.kinds[at[i]][1] for i in order]
        return ByKind(order, counts, np.concatenate([rows[self.rows(at[i])] for i in order]), np.repeat(order, units))

    def taken(self, counts: tf.Tensor, rows: tf.Tensor) -> Taken:
        """Heads of these rows, as `ByKind` has them."""
        kernel, bias = self._stack()
        return Taken(self, tf.gather(kernel, rows), tf.gather(bias, rows), counts)

    def _stack(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernel (n_units, n_inputs) and bias (n_units,) of all places."""
        kernels = [tf.transpose(tf.convert_to_tensor(layer.kernel.value)) for layer in self._layers]
        return tf.concat(kernels, 0), tf.concat([layer.bias.value for layer in self._layers], 0)


def side_by_side(by_kind: Sequence[tf.Tensor]) -> tf.Tensor:
    """Values of heads (k, ...) of each kind as one tensor, kind by kind."""
    return by_kind[0] if len(by_kind) == 1 else tf.concat(by_kind, 0)
