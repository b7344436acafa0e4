"""Random weights, the baseline of adaptive methods."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from mtl.weighting.base import StepSeeds, Weighting


class RLW(Weighting):
    """Random loss weighting: w = T softmax(N(0, I)), drawn anew at every step.

    A method that does not beat it has shown nothing. One task: weight one.

    Length of the update: for T equal gradients g it is T g.

    Parameters
    ----------
    seed : int
        Of the draws, see `StepSeeds`.

    References
    ----------
    Lin et al., Reasonable Effectiveness of Random Weighting, TMLR 2022.
    """

    def __init__(self, tasks: Sequence[str], seed: int) -> None:
        super().__init__(tasks)
        self.seeds = StepSeeds(seed)
        self.variables = self.seeds.variables

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """Draw of the step; it sums to n_tasks."""
        normal = tf.random.stateless_normal((self.n_tasks,), self.seeds.current(), alg="philox")
        return self.n_tasks * tf.nn.softmax(normal)

    def learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Count the step."""
        self.seeds.advance()
