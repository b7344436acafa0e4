"""Weights by how much of each task's risk is still to be learned, not by how large its loss is."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from pydantic import PositiveFloat

from mtl.weighting.base import Weighting


class ExcessMTL(Weighting):
    """ExcessMTL: w_i is multiplied by exp(eta E_i) at every step, and the weights then scaled to the sum T.

    E_i estimates the excess risk of task i, its loss less the least that can be reached. Noisy labels raise
    both alike, so a task does not count more because its labels are noise, as it does by its loss. Over
    the shared parameters k, E_i = sum_k g_ik ** 2 / sqrt(sum of g_ik ** 2 over the steps so far, this one
    included): the second-order estimate with the curvature of Adagrad. It is divided by the first E_i that is
    not zero, so that a task's unit does not count: scaling a loss changes no weight.

    The weights of a step have that step's E in them. A step with nothing but zeros changes nothing. Heads are
    weighted like their losses. Length of the update: for T equal gradients g it is T g.
    One task: weight one.

    It keeps a number per task and shared parameter, as much as two moments of Adam for two tasks.

    Parameters
    ----------
    step_size : float
        eta, how fast the weights move.

    References
    ----------
    He et al., Robust Multi-Task Learning with Excess Risks, ICML 2024, algorithm 1 with relative excess risks.
    """

    uses_gradients = True

    def __init__(self, tasks: Sequence[str], step_size: PositiveFloat) -> None:
        super().__init__(tasks)
        self.step_size = step_size

    def build(self, shapes: Sequence[Sequence[int]]) -> None:
        """Sums of squares by task and parameter; by task the logarithm of its weight, first and last excess risk."""
        if not self.variables:
            self.squares = [[tf.Variable(tf.zeros(one), trainable=False) for one in shapes] for _ in self.tasks]
            nothing = tf.zeros(self.n_tasks)
            self.logits, self.first, self.last = (tf.Variable(nothing, trainable=False) for _ in range(3))
            self.of_parameters = [one for of_task in self.squares for one in of_task]
            self.variables = [self.logits, self.first, self.last, *self.of_parameters]

    def observe(self, gradients: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
        """Excess risks (n_tasks, 1)."""
        return tf.stack([[self._excess(*each)] for each in zip(gradients, self.squares, strict=True)])

    def formula(self, losses: tf.Tensor, observed: tf.Tensor) -> tf.Tensor:
        """Softmax of the logits as they will be, of the sum n_tasks; the excess risks are kept for `learn`."""
        self.last.assign(observed[:, 0])
        return self.n_tasks * tf.nn.softmax(self._moved()[0])

    def learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Move the logits on by the relative excess risks."""
        logits, first = self._moved()
        self.logits.assign(logits)
        self.first.assign(first)

    def remember(self, gradients: Sequence[Sequence[tf.Tensor]]) -> None:
        """Add the squares of the gradients to their sums."""
        for of_task, squares in zip(gradients, self.squares, strict=True):
            for gradient, sums in zip(of_task, squares, strict=True):
                sums.assign_add(tf.cast(gradient, tf.float32) ** 2)

    def _moved(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits and first excess risks with the last step in them."""
        first = tf.where(self.first > 0, self.first, self.last)
        return self.logits + self.step_size * tf.math.divide_no_nan(self.last, first), first

    def _excess(self, gradients: Sequence[tf.Tensor], sums: Sequence[tf.Variable]) -> tf.Tensor:
        """Excess risk of one task: over the parameters of all variables, a scalar."""
        squares = [tf.cast(gradient, tf.float32) ** 2 for gradient in gradients]
        parts = [tf.math.divide_no_nan(one, tf.sqrt(so_far + one)) for one, so_far in zip(squares, sums, strict=True)]
        return tf.add_n([tf.reduce_sum(part) for part in parts])
