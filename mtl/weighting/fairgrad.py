"""Alpha-fair shares of the step between the tasks: one dial from the sum over Nash to max-min."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import tensorflow as tf
from pydantic import Field, PositiveFloat

from mtl.weighting.base import LEAST_EIGENVALUE, GramianWeighting, scale_and_cosines
from mtl.weighting.nash import LEAST_CURVATURE, MOST_WEIGHT, shortened

# Newton's method takes five to twenty steps; at the ends of alpha's range, with lengths far apart, over a hundred.
MOST_STEPS = 200
PRECISION = 1e-12  # of the equation, beside what its sums are made of

# Shares of Newton's step that are tried, beside each other: the best of them is taken.
SHARES = [2.0**-k for k in range(16)]
MOST_GROWTH = 30.0  # of a logarithm in one step


class FairGrad(GramianWeighting):
    """FairGrad: weights w > 0 with K w = w ** (-1 / alpha).

    The direction d maximises the sum of (d.g_i) ** (1 - alpha) / (1 - alpha) within a ball, so no task
    is harmed: d.g_i = w_i ** (-1 / alpha) > 0. With alpha = 1 it is `nash`. Towards 0 it becomes the
    sum of the gradients, where that harms no task, and else the sum's projection to where it harms none;
    for large alpha the direction that serves the worst-served task best, as `mgda`'s does.

    Length of the update: for T equal gradients g of length n it is T ** (1 / (1 + alpha)) times
    n ** ((1 - alpha) / (1 + alpha)), before it is shortened: with alpha above 1 the longer, the smaller
    the gradients. A plain optimizer wants `max_norm` therefore.

    A zero gradient has weight 0 and the others are as without it (all zero: all 0). Identical gradients
    share alike; for opposite ones the direction is zero. The equation holds to 1e-6 as long as no
    task's part of d is a thousand times as long as d; beyond, the gradients' convex hull holds zero as
    far as float32 can tell, and the weights stay bounded.

    Parameters
    ----------
    alpha : float
        How much the ill-served task counts, from .001 to 100.
    max_norm : float or None
        The direction is shortened to this norm; None leaves it.

    References
    ----------
    Ban, Ji, Fair Resource Allocation in Multi-Task Learning, ICML 2024.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        alpha: Annotated[float, Field(ge=0.001, le=100)],
        max_norm: PositiveFloat | None,
    ) -> None:
        super().__init__(tasks)
        self.alpha = alpha
        self.max_norm = max_norm

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """As `fairgrad`, shortened."""
        return shortened(fairgrad(gramian, self.alpha), gramian, self.max_norm)


def fairgrad(gramian: tf.Tensor, alpha: float) -> tf.Tensor:
    """Weights w > 0 (n_tasks,) with K w = w ** (-1 / alpha); 0 where a gradient is zero.

    With u_i = norm(g_i) w_i and cosines C the equation reads C u = y, where
    u_i y_i ** alpha = norm(g_i) ** (1 - alpha). The longest gradient is brought to length one before
    and the weights back after: a common factor c of all gradients is one of c ** (-2 alpha / (1 + alpha))
    of the weights.
    """
    there = tf.linalg.diag_part(gramian) > 0
    norms, cosines = scale_and_cosines(gramian, LEAST_CURVATURE)
    longest = tf.reduce_max(norms)
    lengths = tf.where(there, norms / longest, 1.0)

    def found_with(cosines: tf.Tensor) -> tf.Tensor:
        alone = tf.linalg.set_diag(cosines, tf.where(there, tf.linalg.diag_part(cosines), 1.0))
        return tf.where(there, share(alone, tf.math.log(lengths), alpha), 0.0)

    # a regular part that bounds the weights of opposite gradients by MOST_WEIGHT
    bounded = max(LEAST_EIGENVALUE, MOST_WEIGHT ** -(1 + 1 / alpha))
    found = found_with(cosines)
    gain = tf.reduce_sum(found * tf.linalg.matvec(cosines, found)) / gramian.shape[0]
    agreed = tf.reduce_max(found) <= MOST_WEIGHT * tf.sqrt(tf.maximum(gain, 0.0))
    scaled = tf.cond(agreed, lambda: found, lambda: found_with(scale_and_cosines(gramian, bounded)[1]))
    return scaled / lengths * longest ** (-2 * alpha / (1 + alpha))


def share(cosines: tf.Tensor, log_lengths: tf.Tensor, alpha: float) -> tf.Tensor:
    """Weights u (n_tasks,) of unit gradients with C u = y and log u + alpha log y = (1 - alpha) log lengths.

    All points with the second equation are one number per task, the `place`: u rises with it
    exponentially, y falls. From where orthogonal gradients would be, Newton's method solves the first
    equation. Its derivative is never singular and a shorter step always betters the equation, so it
    converges from anywhere.
    """
    start = log_lengths * (1 - alpha) / (1 + alpha)
    rise, fall = min(alpha, 1.0), min(1.0, 1 / alpha)
    shares = tf.constant(SHARES, cosines.dtype)[:, None]

    def at(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        weights, gains = tf.exp(start + rise * place), tf.exp(start - fall * place)
        return weights, gains, tf.linalg.matvec(cosines, weights) - gains

    def is_open(place: tf.Tensor, moved: tf.Tensor) -> tf.Tensor:
        weights, gains, error = at(place)
        size = tf.linalg.matvec(tf.abs(cosines), weights) + gains
        return moved & (tf.reduce_max(tf.abs(error) / size) > PRECISION)

    def newton(place: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        weights, gains, error = at(place)
        slope = cosines * (rise * weights)[None, :] + tf.linalg.diag(fall * gains)
        step = -tf.linalg.solve(slope, error[:, None])[:, 0]
        step *= tf.minimum(MOST_GROWTH / (min(rise, fall) * tf.reduce_max(tf.abs(step))), 1.0)
        tried = place + shares * step  # (n_shares, n_tasks)
        errors = tf.reduce_sum(at(tried)[2] ** 2, axis=1)
        errors = tf.where(tf.math.is_finite(errors), errors, float("inf"))
        best = tf.argmin(errors)
        better = errors[best] < tf.reduce_sum(error**2)
        return tf.where(better, tried[best], place), better

    place, _ = tf.while_loop(is_open, newton, (tf.zeros_like(start), tf.constant(True)), maximum_iterations=MOST_STEPS)
    return tf.exp(start + rise * place)
