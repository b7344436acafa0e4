"""A weighting for another number of tasks, as jobs of one sweep need it that differ in the task set alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import tensorflow as tf

from mtl.weighting.base import Adam, StepSeeds, Weighting


def resized(weighting: Weighting, n_tasks: int) -> Weighting:
    """A copy for as many tasks, with a state of its own; its tasks have no names.

    Parameters
    ----------
    weighting : Weighting
        One that `can_be_resized`.
    n_tasks : int
    """
    memo: dict[int, object] = {}
    for variable in _variables(weighting):
        by_task = bool(variable.shape.rank) and variable.shape[0] == weighting.n_tasks
        shape = (n_tasks, *variable.shape[1:]) if by_task else tuple(variable.shape)
        memo[id(variable)] = tf.Variable(tf.zeros(shape, variable.dtype), trainable=False)
    found = copy.deepcopy(weighting, memo)
    found.tasks = tuple(f"task {i}" for i in range(n_tasks))
    return found


def can_be_resized(weighting: Weighting) -> bool:
    """Whether all that depends on the number of its tasks is its variables: what else it holds are numbers and words.

    A method that uses gradients has a state by parameter and is not among them.
    """
    own = {name: value for name, value in vars(weighting).items() if name not in ("tasks", *_STATE)}
    return not weighting.uses_gradients and all(_is_plain(value) for value in own.values())


_STATE = ("variables", "of_parameters")


def _is_plain(value: object) -> bool:
    if isinstance(value, Adam | StepSeeds):
        return True
    return value is None or isinstance(value, str | int | float | tf.Variable)


def _variables(weighting: Weighting) -> Sequence[tf.Variable]:
    """Those that are its state, each once."""
    return list({id(one): one for one in weighting.variables}.values())
