"""Heads that lie side by side in two variables, so that those no set has at the moment are in no operation."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from mtl.model.slots import Slots
from mtl.model.stacked_heads import StackedHeads


class Part:
    """Some rows of a variable, as if they were a variable of their own: a kernel (n_inputs, units), a bias (units,).

    Parameters
    ----------
    whole : keras variable
        Of shape (n_rows, n_inputs) or (n_rows,).
    rows : slice
    name : str
    """

    def __init__(self, whole: keras.Variable, rows: slice, name: str) -> None:
        self.name = name
        self.shape = (*whole.shape[1:], rows.stop - rows.start)
        self._whole, self._rows = whole, rows

    @property
    def value(self) -> tf.Tensor:
        """What is there, as a tensor."""
        return tf.transpose(self._whole.value[self._rows])

    def numpy(self) -> np.ndarray:
        """What is there, as an array of its own."""
        return np.array(self.value.numpy())

    def assign(self, value: object) -> None:
        """Put a value of this shape there."""
        given = tf.ensure_shape(tf.convert_to_tensor(value, self._whole.dtype), self.shape)
        at = np.arange(self._rows.start, self._rows.stop)[:, None]
        self._whole.value.scatter_nd_update(at, tf.transpose(given))


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
    """Heads of all places that the sets of a sweep share, a kernel and a bias for all; zeros to begin with.

    Parameters
    ----------
    slots : Slots
    n_inputs : int

    Attributes
    ----------
    variables : list of keras variables
        A kernel (n_units, n_inputs) and a bias (n_units,), place by place.
    """

    def __init__(self, slots: Slots, n_inputs: int) -> None:
        super().__init__([], slots.kinds)
        self.variables = [
            keras.Variable(np.zeros(shape, np.float32), name=f"heads_{name}")
            for name, shape in (("kernel", (self.n_units, n_inputs)), ("bias", (self.n_units,)))
        ]

    def head(self, place: int) -> PlacedHead:
        """The head in a place."""
        kernel, bias = (Part(whole, self.rows(place), whole.name.removeprefix("heads_")) for whole in self.variables)
        return PlacedHead(kernel, bias)

    def empty(self) -> None:
        """Put zeros everywhere."""
        for variable in self.variables:
            variable.assign(tf.zeros(variable.shape))

    def put_back(self, rows: tf.Tensor, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Gradients by `variables`, from those on the kernel and bias of rows that were `taken`; zero elsewhere."""
        both = zip(gradients, self.variables, strict=True)
        return [tf.scatter_nd(rows[:, None], gradient, variable.shape) for gradient, variable in both]

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
            found += [Part(one, self.rows(place), one.name) for each in kept for one in each]
        return found

    def _stack(self) -> tuple[tf.Variable, tf.Variable]:
        """The variables, of which a set's rows are read alone."""
        kernel, bias = self.variables
        return kernel.value, bias.value
