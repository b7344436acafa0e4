"""Random weights, the litmus test."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from mtl.weighting.base import Weighting


class RLW(Weighting):
    """Random loss weighting: w = T softmax(N(0, I)), drawn anew at every step.

    A method that does not beat it has shown nothing. One task: weight one.

    Parameters
    ----------
    tasks : sequence of str
        Task names in the order of the set.
    seed : int
        Of the draws. A step's draw depends on the seed and on the number of the
        step only.

    References
    ----------
    Lin et al., Reasonable Effectiveness of Random Weighting, TMLR 2022.
    """

    def __init__(self, tasks: Sequence[str], seed: int) -> None:
        super().__init__(tasks)
        self.seed = seed
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.variables = [self.steps]

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """Draw of the step; it sums to n_tasks."""
        normal = tf.random.stateless_normal(
            (self.n_tasks,), tf.stack([tf.constant(self.seed, tf.int64), self.steps]), alg="philox"
        )
        return self.n_tasks * tf.nn.softmax(normal)

    def learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Count the step."""
        self.steps.assign_add(1)
