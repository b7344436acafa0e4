"""Weights given by name. Neither importing nor building it loads TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING

from mtl.errors import UserError, nearest
from mtl.weighting.base import Weighting

if TYPE_CHECKING:
    import tensorflow as tf


class Fixed(Weighting):
    """Constant weights, by task name.

    Length of the update: for T equal gradients g it is the sum of the weights times g.

    Parameters
    ----------
    weights : mapping of str to float
        Weight by task name, each at least 0.
    default : float or None
        Weight of a task that `weights` does not name; None where there is none.
    strict : bool
        Whether every name in `weights` must be a task of the set. False makes
        `weights` one table for all sets of a sweep.

    Raises
    ------
    UserError
        As `fixed_weights`.
    """

    weighs_each_alone = True

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float], default: float | None, strict: bool) -> None:
        super().__init__(tasks)
        self.given = fixed_weights(self.tasks, weights, default, strict)

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """The weights as given."""
        import tensorflow as tf

        return tf.convert_to_tensor(self.given)

    def build(self, shapes: Sequence[Sequence[int]]) -> None:
        """Make the weights data of a step, so that jobs of other weights go through the same compiled one."""
        import tensorflow as tf

        if not self.variables:
            self.given = tf.Variable(self.given, trainable=False)
            self.variables = [self.given]


def fixed_weights(
    tasks: Sequence[str], weights: Mapping[str, float], default: float | None, strict: bool
) -> tuple[float, ...]:
    """Weight of every task in the order of `tasks`; parameters as of `Fixed`.

    Raises
    ------
    UserError
        If a task has no weight, a weight is no number, negative or not finite,
        all are zero, or `strict` and a name is not a task of the set.
    """
    for task in weights:
        if strict and task not in tasks:
            raise UserError(f"A weight is given for task '{task}', which is not in the set. {nearest(task, tasks)}")
    for task, weight in weights.items():
        _check(f"The weight of task '{task}'", weight)
    if default is not None:
        _check("The default weight", default)
    lacking = [task for task in tasks if task not in weights]
    if lacking and default is None:
        raise UserError(f"No weight is given for task '{lacking[0]}': name it in weighting.weights or set a default.")
    found = tuple(float(weights.get(task, default or 0.0)) for task in tasks)
    if not any(found):
        raise UserError(f"Every weight of the set is 0, so nothing would be trained: {', '.join(tasks)}.")
    return found


def _check(what: str, weight: object) -> None:
    """Raise `UserError` unless `weight` is a finite number of at least 0."""
    if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
        raise UserError(f"{what} must be a finite number of at least 0, found {weight!r}.")
