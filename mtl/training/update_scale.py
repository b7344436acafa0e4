"""What an optimizer makes of a gradient: the factor of every parameter, by which tasks share in an update."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

CHANGED_BY = ("clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps", "use_ema")


def update_scale(optimizer: keras.Optimizer, n_variables: int) -> list[tf.Tensor] | None:
    """How far a gradient moves each parameter, once the optimizer's momentum has passed all of it on.

    An update of these optimizers is linear in the gradients, given what the optimizer has learned of their
    size. So the part of an update that comes from a task is its gradient, times the task's weight, times this.
    What momentum spreads over later steps is counted at the step that the gradient came from: over a training it is
    the same sum. Weight decay comes from no task and is left out.

    Parameters
    ----------
    optimizer : keras optimizer
        Built.
    n_variables : int
        Of its first so many variables.

    Returns
    -------
    list of float32 tensors, or None
        By variable, of its shape or a scalar. None for an optimizer whose steps are not of this form, or one
        that clips gradients, gathers them over steps or averages parameters.
    """
    scale_of = SCALES.get(type(optimizer))
    if scale_of is None or any(getattr(optimizer, name, None) for name in CHANGED_BY):
        return None
    rate = tf.cast(tf.convert_to_tensor(optimizer.learning_rate), tf.float32)
    return [rate * scale_of(optimizer, i) for i in range(n_variables)]


def _of_sgd(optimizer: keras.optimizers.SGD, i: int) -> tf.Tensor:
    """Momentum passes a gradient on 1 + m + m^2 + ... times, with or without Nesterov's look ahead."""
    return tf.constant(1 / (1 - optimizer.momentum), tf.float32)


def _of_adam(optimizer: keras.optimizers.Adam, i: int) -> tf.Tensor:
    """Its first moment is a running mean, which passes a gradient on once."""
    squares = optimizer._velocities[i]
    corrected = tf.sqrt(1 - optimizer.beta_2 ** _steps_done(optimizer))
    if getattr(optimizer, "amsgrad", False):
        squares = optimizer._velocity_hats[i]
    return corrected / (tf.sqrt(_value(squares)) + optimizer.epsilon)


def _of_nadam(optimizer: keras.optimizers.Nadam, i: int) -> tf.Tensor:
    """As Adam, but that epsilon is added once the squares are corrected for their start."""
    squares = _value(optimizer._velocities[i]) / (1 - optimizer.beta_2 ** _steps_done(optimizer))
    return 1 / (tf.sqrt(squares) + optimizer.epsilon)


def _of_rmsprop(optimizer: keras.optimizers.RMSprop, i: int) -> tf.Tensor:
    squares = _value(optimizer._velocities[i])
    if optimizer.centered:
        squares -= tf.square(_value(optimizer._average_gradients[i]))
    return 1 / tf.sqrt(squares + optimizer.epsilon) / (1 - optimizer.momentum)


def _of_adagrad(optimizer: keras.optimizers.Adagrad, i: int) -> tf.Tensor:
    return 1 / tf.sqrt(_value(optimizer._accumulators[i]) + optimizer.epsilon)


def _value(variable: keras.Variable) -> tf.Tensor:
    return tf.cast(variable.value, tf.float32)


def _steps_done(optimizer: keras.Optimizer) -> tf.Tensor:
    """At least one: before the first step the squares are zero whatever corrects them."""
    return tf.maximum(tf.cast(optimizer.iterations.value, tf.float32), 1)


SCALES: dict[type, Callable[..., tf.Tensor]] = {
    keras.optimizers.SGD: _of_sgd,
    keras.optimizers.Adam: _of_adam,
    keras.optimizers.AdamW: _of_adam,
    keras.optimizers.Nadam: _of_nadam,
    keras.optimizers.RMSprop: _of_rmsprop,
    keras.optimizers.Adagrad: _of_adagrad,
}
