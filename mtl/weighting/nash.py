"""The Nash bargaining solution between the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from pydantic import PositiveFloat

from mtl.weighting.base import GramianWeighting, scale_and_cosines

# The method converges quadratically; hundreds of steps would be a fault of the program.
MOST_STEPS = 100
LEAST_DECREMENT = 1e-9


class Nash(GramianWeighting):
    """Nash-MTL: weights a > 0 with K a = 1 / a.

    They maximise the product of d.g_i within a ball: scaling a task's loss changes
    nothing, and no task is harmed (d.g_i = 1 / a_i > 0). norm(d) is sqrt(T), however
    small the gradients, which is why the authors clip it.

    A zero gradient bargains for nothing: its weight is 0 and the others are as without
    it (all zero: all 0). Identical gradients share alike; opposite ones have nothing to
    agree on, and the direction is zero. One task: its unit gradient.

    Parameters
    ----------
    tasks : sequence of str
        Task names in the order of the set.
    max_norm : float or None
        The direction is shortened to this norm; None leaves it.

    References
    ----------
    Navon et al., Multi-Task Learning as a Bargaining Game, ICML 2022.
    """

    def __init__(self, tasks: Sequence[str], max_norm: PositiveFloat | None) -> None:
        super().__init__(tasks)
        self.max_norm = max_norm

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """As `nash`, shortened."""
        weights = nash(gramian)
        if self.max_norm is None:
            return weights
        norm = tf.sqrt(tf.maximum(tf.reduce_sum(weights * tf.linalg.matvec(gramian, weights)), 0.0))
        return weights * tf.math.divide_no_nan(self.max_norm, tf.maximum(norm, self.max_norm))


def nash(gramian: tf.Tensor) -> tf.Tensor:
    """Weights a > 0 with K a = 1 / a.

    They minimise 1/2 a' K a - sum log a, which is strictly convex and self-concordant:
    Newton's method with the step 1 / (1 + decrement) converges from anywhere. The
    gradients are scaled to length one first, so their lengths do not matter.

    Parameters
    ----------
    gramian : float64 tensor of shape (n_tasks, n_tasks)

    Returns
    -------
    tensor of shape (n_tasks,)
        0 where a gradient is zero.
    """
    norms, cosines = scale_and_cosines(gramian)

    def newton(scaled: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slope = tf.linalg.matvec(cosines, scaled) - 1 / scaled
        step = tf.linalg.solve(cosines + tf.linalg.diag(scaled**-2.0), slope[:, None])[:, 0]
        decrement = tf.sqrt(tf.reduce_sum(slope * step))
        damping = tf.where(decrement > 0.25, 1 / (1 + decrement), 1.0)
        return scaled - damping * step, decrement

    start = tf.ones_like(norms) * tf.sqrt(gramian.shape[0] / tf.reduce_sum(cosines))  # the best of equal ones
    scaled, _ = tf.while_loop(
        lambda _, decrement: decrement > LEAST_DECREMENT,
        newton,
        (start, tf.constant(1.0, gramian.dtype)),
        maximum_iterations=MOST_STEPS,
    )
    return tf.where(tf.linalg.diag_part(gramian) > 0, scaled / norms, 0.0)
