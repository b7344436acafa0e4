"""The direction near the mean gradient that serves the worst-served task best."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from pydantic import NonNegativeFloat

from mtl.weighting.base import MOST_TASKS_BY_SUBSETS, NEARLY_ZERO, GramianWeighting, scale_and_cosines, subsets

# Of a shift's length, the least that has to be the gradients' own for it to be brought to the radius.
OWN_SHARE = 0.5


class CAGrad(GramianWeighting):
    """Conflict-averse gradient: d maximises min_i d.g_i within norm(d - g0) <= c norm(g0).

    g0 is the mean gradient, and norm(d - g0) = c norm(g0) unless the gradients'
    convex hull holds zero. c = 0 is the mean gradient, c >= 1 never conflicts, c < 1
    ends where the mean of the losses does. Identical gradients: d = (1 + c) g. Opposite
    ones of one length, or all zero: d = 0. One task: weight 1 + c. A zero gradient is
    served equally ill by every d: where g0 harms no other task, d = g0. Dependent gradients:
    the radius is exact, and min d.g_i within 1e-5 of the longest squared, unless the hull
    holds zero to rounding; there norm(d - g0) is at most the radius.

    Length of the update: for T equal gradients g it is (1 + c) g.

    Parameters
    ----------
    c : float
        Radius around the mean gradient, in its norms.

    References
    ----------
    Liu et al., Conflict-Averse Gradient Descent for Multi-task Learning, NeurIPS 2021.
    """

    most_tasks = MOST_TASKS_BY_SUBSETS

    def __init__(self, tasks: Sequence[str], c: NonNegativeFloat) -> None:
        super().__init__(tasks)
        self.c = c

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """As `cagrad`."""
        return cagrad(gramian, self.c)


def cagrad(gramian: tf.Tensor, c: float) -> tf.Tensor:
    """Weights (n_tasks,) of CAGrad's direction: 1 / T plus the coefficients of d - g0.

    Exact, from the problem the paper starts with, whose dual it solves by iteration.
    Where the worst-served tasks are S, d - g0 is a combination of their gradients,
    d.g_j is one number for all of S, and norm(d - g0) is the radius: a linear system
    and a quadratic equation. All 2 ** T - 1 sets are tried at once; each gives a
    direction within the radius, and the best of them is the answer.
    """
    n_tasks = gramian.shape[0]
    norms, cosines = scale_and_cosines(gramian, NEARLY_ZERO)
    norms /= tf.reduce_max(norms)
    mean = norms / n_tasks  # g0, in coefficients of the unit gradients
    along_mean = tf.linalg.matvec(cosines, mean)
    radius = c * tf.sqrt(tf.reduce_sum(mean * along_mean))
    members = tf.constant(subsets(n_tasks))  # (n_sets, n_tasks)
    systems = members[:, :, None] * members[:, None, :] * cosines + tf.linalg.diag(1 - members)
    # shift = level * rise - fall makes d.g_j equal to `level` for j in S
    inverse_norms = members * tf.reduce_min(norms) / norms
    rise, fall = tf.unstack(tf.linalg.solve(systems, tf.stack([inverse_norms, members * along_mean], axis=2)), axis=2)
    a = tf.reduce_sum(inverse_norms * rise, axis=1)
    b = tf.reduce_sum(inverse_norms * fall, axis=1)
    discriminant = tf.maximum(b**2 - a * (tf.reduce_sum(members * along_mean * fall, axis=1) - radius**2), 0.0)
    shifts = ((b + tf.sqrt(discriminant)) / a)[:, None] * rise - fall
    lengths = tf.sqrt(tf.reduce_sum(shifts * tf.matmul(shifts, cosines), axis=1))
    shifts *= tf.math.divide_no_nan(radius, lengths)[:, None]
    worst = tf.reduce_min((along_mean + tf.matmul(shifts, cosines)) * norms, axis=1)
    shift = tf.where(tf.linalg.diag_part(gramian) > 0, shifts[tf.argmax(worst)], 0.0)
    weights = shift / norms
    return mean / norms + weights * stretch(gramian, weights, c, radius)


def stretch(gramian: tf.Tensor, shift: tf.Tensor, c: float, radius: tf.Tensor) -> tf.Tensor:
    """Factor that brings a shift to the radius of the Gramian as it is, not as it was made regular.

    Where most of the shift's length is not the gradients' own, their hull holds zero to
    rounding: there is no direction to go the radius in, and it is not scaled up.

    Parameters
    ----------
    gramian : float64 tensor of shape (n_tasks, n_tasks)
    shift : tensor of shape (n_tasks,)
        Coefficients of d - g0.
    c : float
    radius : tensor
        Its length in the Gramian made regular, in lengths of the longest gradient.

    Returns
    -------
    scalar tensor
    """
    mean = tf.fill(tf.shape(shift), tf.constant(1 / shift.shape[0], shift.dtype))
    squares = [tf.reduce_sum(one * tf.linalg.matvec(gramian, one)) for one in (mean, shift)]
    of_mean, of_shift = (tf.sqrt(tf.maximum(square, 0.0)) for square in squares)
    longest = tf.sqrt(tf.reduce_max(tf.linalg.diag_part(gramian)))
    return tf.math.divide_no_nan(c * of_mean, tf.maximum(of_shift, OWN_SHARE * radius * longest))
