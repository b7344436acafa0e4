"""The Nash bargaining solution between the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from pydantic import PositiveFloat

from mtl.weighting.base import GramianWeighting, scale_and_cosines

# The method converges quadratically; hundreds of steps would be a fault of the program.
MOST_STEPS = 100
LEAST_DECREMENT = 1e-9

# What the problem keeps of a direction that dependent gradients lack: too little to move a solution that there is.
LEAST_CURVATURE = 1e-12

# A unit gradient's weight beyond this says that the gradients' hull holds zero, to float32's rounding.
MOST_WEIGHT = 1e3


class Nash(GramianWeighting):
    """Nash-MTL: weights a > 0 with K a = 1 / a.

    They maximise the product of d.g_i within a ball: scaling a task's loss changes
    nothing, and no task is harmed (d.g_i = 1 / a_i > 0). norm(d) is sqrt(T), however
    small the gradients, which is why the authors clip it.

    A zero gradient has weight 0 and the others are as without it (all zero: all 0).
    Identical gradients share alike; for opposite ones the direction is zero. One task: its
    unit gradient. The equation holds to 1e-6 for dependent gradients too, as long as every
    norm(g_i) a_i is below 1,000; beyond, their convex hull holds zero as far as float32 can
    tell, and norm(d) is a hundredth of their lengths or less.

    Length of the update: for T equal gradients, as for any, it is sqrt(T), shortened to `max_norm`.

    Parameters
    ----------
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
        return shortened(nash(gramian), gramian, self.max_norm)


def shortened(weights: tf.Tensor, gramian: tf.Tensor, max_norm: float | None) -> tf.Tensor:
    """Weights (n_tasks,) of a direction that is at most so long, by its Gramian; as they are where it is None."""
    if max_norm is None:
        return weights
    norm = tf.sqrt(tf.maximum(tf.reduce_sum(weights * tf.linalg.matvec(gramian, weights)), 0.0))
    return weights * tf.math.divide_no_nan(max_norm, tf.maximum(norm, max_norm))


def nash(gramian: tf.Tensor) -> tf.Tensor:
    """Weights a > 0 (n_tasks,) with K a = 1 / a; 0 where a gradient is zero.

    They minimise 1/2 a' K a - sum log a, which is strictly convex and self-concordant:
    Newton's method with the step 1 / (1 + decrement) converges from anywhere. The
    gradients are scaled to length one first, so their lengths do not matter. The
    logarithms make the solution unique, so dependent gradients are left almost as they
    are; they are made regular where without that no bounded solution is.
    """
    norms, cosines = scale_and_cosines(gramian, LEAST_CURVATURE)
    found = bargain(cosines, MOST_WEIGHT)
    agreed = tf.reduce_max(found) < MOST_WEIGHT
    scaled = tf.cond(agreed, lambda: found, lambda: bargain(scale_and_cosines(gramian)[1], float("inf")))
    return tf.where(tf.linalg.diag_part(gramian) > 0, scaled / norms, 0.0)


def bargain(cosines: tf.Tensor, most: float) -> tf.Tensor:
    """Solution for unit gradients of these cosines, shape (n_tasks,); left unfinished where a weight passes `most`."""

    def newton(scaled: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slope = tf.linalg.matvec(cosines, scaled) - 1 / scaled
        step = tf.linalg.solve(cosines + tf.linalg.diag(scaled**-2.0), slope[:, None])[:, 0]
        decrement = tf.sqrt(tf.reduce_sum(slope * step))
        damping = tf.where(decrement > 0.25, 1 / (1 + decrement), 1.0)
        return scaled - damping * step, decrement

    n_tasks = cosines.shape[0]
    start = tf.fill([n_tasks], tf.sqrt(n_tasks / tf.reduce_sum(cosines)))  # the best of equal ones
    scaled, _ = tf.while_loop(
        lambda scaled, decrement: (decrement > LEAST_DECREMENT) & (tf.reduce_max(scaled) < most),
        newton,
        (start, tf.constant(1.0, cosines.dtype)),
        maximum_iterations=MOST_STEPS,
    )
    return scaled
