"""Heads that lie side by side in a few variables, so that those no set has at the moment are in no operation."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from mtl.model.slots import Slots, StackedHeads


class Part:
    """A place of a variable that has several along its first axis, as if it were a variable.

    Parameters
    ----------
    whole : keras variable
    place : int
    name : str
    """

    def __init__(self, whole: keras.Variable, place: int, name: str) -> None:
        self.name, self.shape = name, tuple(whole.shape[1:])
        self._whole, self._place = whole, place

    @property
    def value(self) -> tf.Tensor:
        """What is there, as a tensor."""
        return self._whole.value[self._place]

    def numpy(self) -> np.ndarray:
        """What is there, as an array of its own."""
        return np.array(self.value.numpy())

    def assign(self, value: object) -> None:
        """Put a value of this shape there."""
        given = tf.convert_to_tensor(value, self._whole.dtype)
        self._whole.value.scatter_nd_update([[self._place]], [tf.ensure_shape(given, self.shape)])


class PlacedHead:
    """One of them, as a dense layer.

    Parameters
    ----------
    kernel, bias : Part
    """

    def __init__(self, kernel: Part, bias: Part) -> None:
        self.kernel, self.bias = kernel, bias
        self.variables = self.trainable_variables = [kernel, bias]

    def __call__(self, hidden: tf.Tensor) -> tf.Tensor:
        """Logits (b, units)."""
        return tf.matmul(hidden, self.kernel.value) + self.bias.value


class PlacedHeads(StackedHeads):
    """Heads of all places that the sets of a sweep share, a kernel and a bias for each kind; zeros to begin with.

    Parameters
    ----------
    slots : Slots
    n_inputs : int

    Attributes
    ----------
    variables : list of keras variables
        Kind by kind a kernel (n_places, n_inputs, units) and a bias (n_places, units).
    """

    def __init__(self, slots: Slots, n_inputs: int) -> None:
        super().__init__([], slots.kinds)
        self._sizes = [slots.kinds.count(kind) for kind in self._groups]
        shapes = [((n, n_inputs, units), (n, units)) for n, (_, units) in zip(self._sizes, self._groups, strict=True)]
        self.variables = [
            keras.Variable(np.zeros(shape, np.float32), name=f"heads{i}_{name}")
            for i, each in enumerate(shapes)
            for shape, name in zip(each, ("kernel", "bias"), strict=True)
        ]

    def head(self, place: int) -> PlacedHead:
        """The head in a place."""
        group, within = self._group[place], self._within(place)
        kernel, bias = self.variables[2 * group : 2 * group + 2]
        return PlacedHead(Part(kernel, within, "kernel"), Part(bias, within, "bias"))

    def empty(self) -> None:
        """Put zeros everywhere."""
        for variable in self.variables:
            variable.assign(tf.zeros(variable.shape))

    def put_back(self, at: tf.Tensor, of_kernels: tf.Tensor, of_biases: tf.Tensor) -> list[tf.Tensor]:
        """Gradients by `variables`, from those on what was `taken`; zero in other places."""
        n = len(self.kinds)
        spread = [tf.scatter_nd(at[:, None], each, [n, *each.shape[1:]]) for each in (of_kernels, of_biases)]
        if len(self._groups) == 1:
            return spread
        kernels, biases = (tf.split(each, self._sizes) for each in spread)
        both = zip(kernels, biases, self._groups, strict=True)
        return [each[..., :units] for kernel, bias, (_, units) in both for each in (kernel, bias)]

    def of_places(self, state: Sequence[keras.Variable], at: Sequence[int]) -> list[keras.Variable | Part]:
        """An optimizer's variables, of those that it keeps for heads the parts in these places alone.

        In the order of an optimizer of layers in these places: the others, then place by place what belongs to
        the kernel, what belongs to the bias. So a state goes on wherever the set is trained.
        """
        kept: list[list[keras.Variable]] = [[] for _ in self.variables]
        found: list[keras.Variable | Part] = []
        for variable in state:
            name = variable.path.rpartition("/")[2]
            of = next((i for i, one in enumerate(self.variables) if name.startswith(f"{one.path}_")), None)
            (found if of is None else kept[of]).append(variable)
        for place in at:
            first = 2 * self._group[place]
            found += [Part(one, self._within(place), one.name) for one in (*kept[first], *kept[first + 1])]
        return found

    def _all(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernels and biases of all places."""
        kernels, biases = ([variable.value for variable in self.variables[i::2]] for i in (0, 1))
        if len(kernels) == 1:
            return kernels[0], biases[0]
        return tf.concat([self._wide(each) for each in kernels], 0), tf.concat([self._wide(each) for each in biases], 0)

    def _within(self, place: int) -> int:
        """Which of its kind a place is."""
        return place - self._group.index(self._group[place])
