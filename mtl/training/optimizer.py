"""One step of an optimizer, in graph."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from mtl.errors import UserError


def stepper(optimizer: keras.Optimizer, variables: Sequence[keras.Variable]) -> Callable[[list[tf.Tensor]], None]:
    """What takes an optimizer's step along gradients of variables, in graph.

    Plain Adam goes through TensorFlow's fused kernel, one pass over memory where
    Keras takes ten; that is a third of a step of heads on features. Same formula, same
    state, in the optimizer's own variables. Any other optimizer steps itself.
    """
    if not optimizer.built:
        optimizer.build(variables)
    if not _is_plain_adam(optimizer, variables):
        return lambda gradients: optimizer.apply(gradients, variables)
    moments = list(zip(optimizer._momentums, optimizer._velocities, strict=True))

    def apply(gradients: list[tf.Tensor]) -> None:
        beta_1, beta_2 = tf.constant(optimizer.beta_1, tf.float32), tf.constant(optimizer.beta_2, tf.float32)
        rate = tf.convert_to_tensor(optimizer.learning_rate, tf.float32)
        step = tf.cast(optimizer.iterations.value + 1, tf.float32)
        for variable, (first, second), gradient in zip(variables, moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.value.handle,
                m=first.value.handle,
                v=second.value.handle,
                beta1_power=beta_1**step,
                beta2_power=beta_2**step,
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=optimizer.epsilon,
                grad=gradient,
            )
        optimizer.iterations.assign_add(1)

    return apply


class Start:
    """How an optimizer's state was when no step had been taken, so that a compiled step's can begin again.

    To make an optimizer's variables takes longer than to set them.

    Parameters
    ----------
    optimizer : keras optimizer
        Built, no step taken.
    """

    def __init__(self, optimizer: keras.Optimizer) -> None:
        self.optimizer = optimizer
        self._values = [_short(np.asarray(variable.numpy())) for variable in optimizer.variables]

    def again(self, like: keras.Optimizer) -> None:
        """Begin again, with the numbers of another of the same settings: what it has before it is built.

        Parameters
        ----------
        like : keras optimizer
            The optimizer itself, or one that was not built: it has the count of steps and the learning rate.
        """
        for variable, value in zip(self.optimizer.variables, self._values, strict=True):
            variable.assign(tf.broadcast_to(tf.constant(value), variable.shape))
        if like is not self.optimizer:
            for variable, given in zip(self.optimizer.variables, like.variables, strict=False):
                variable.assign(given)


BY_NUMBER = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lion")


def steps_by_number(optimizer: keras.Optimizer) -> bool:
    """Whether a parameter's step depends on its own gradients alone, so that several may lie in one variable.

    Not where the length of a whole variable's gradient counts, as for `clipnorm` or Lamb.
    """
    plain = type(optimizer) in [getattr(keras.optimizers, name) for name in BY_NUMBER]
    return plain and not (optimizer.clipnorm or optimizer.global_clipnorm)


_taken: set[tuple[object, ...]] = set()  # optimizers that have stepped: the jobs of a sweep share theirs


def check_optimizer(make: Callable[[], keras.Optimizer]) -> None:
    """Build the optimizer and let it take a step of one weight; once a process for one of the same numbers.

    Raises
    ------
    UserError
        If Keras refuses a value, or needs one: found here instead of after the data have been read.
    """
    key = _numbers(make)
    if key is not None and key in _taken:
        return
    try:
        optimizer = make()
        weight = keras.Variable(np.ones(1, np.float32), name="tried")
        optimizer.build([weight])
        tf.function(stepper(optimizer, [weight]), autograph=False)([tf.ones(1)])
    except (TypeError, ValueError, AttributeError, KeyError, NotImplementedError, tf.errors.OpError) as error:
        raise UserError(f"training.optimizer: {' '.join(str(error).split())[:300]}") from error
    if key is not None:
        _taken.add(key)


def _numbers(make: Callable[[], keras.Optimizer]) -> tuple[object, ...] | None:
    """What determines an optimizer of a class and plain values; None of one that has a schedule or the like."""
    if not isinstance(make, functools.partial) or make.args:
        return None
    plain = all(isinstance(value, str | int | float | bool | None) for value in make.keywords.values())
    return (make.func, *sorted((key, repr(value)) for key, value in make.keywords.items())) if plain else None


def _short(values: np.ndarray) -> np.ndarray:
    """Values, or the one number that all of them are."""
    return values.ravel()[0].copy() if values.size and (values == values.ravel()[0]).all() else values.copy()


def _is_plain_adam(optimizer: keras.Optimizer, variables: Sequence[keras.Variable]) -> bool:
    """Whether Adam is all that a step does."""
    more = ("amsgrad", "clipnorm", "clipvalue", "global_clipnorm", "weight_decay", "use_ema")
    return (
        type(optimizer) is keras.optimizers.Adam
        and not any(getattr(optimizer, name) for name in (*more, "gradient_accumulation_steps"))
        and all(v.constraint is None and v.dtype == "float32" for v in variables)
    )
