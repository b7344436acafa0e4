"""Auxiliary gradients brought to the length of the main task's, variable by variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import tensorflow as tf
from pydantic import Field

from mtl.errors import UserError, nearest
from mtl.weighting.base import Weighting


class MetaBalance(Weighting):
    """MetaBalance: on every shared variable g_i becomes r g_i m_main / m_i + (1 - r) g_i.

    m is the running mean of the gradient's norm on that variable, each task's apart. With r = 0
    nothing is scaled (`equal`), with r = 1 an auxiliary is as long as the main task's gradient, in the mean.
    The main task's own gradient stays as it is. Every head is trained by its own task's loss with weight one.

    The direction is the sum. Length of the update: for T equal gradients g it is T g.

    A gradient that is zero on a variable, as that of a batch without labels is, leaves its mean as it
    was. As long as a task or the main one has no mean there, its gradient is not scaled. The running means
    begin without a bias towards zero, which in the paper cancels since all tasks have been met equally often.

    What is given as a task's weight is the length of its scaled gradient on all shared variables, in lengths
    of its own. One task: weight one.

    Parameters
    ----------
    main_task : str
        The one that is served.
    relax_factor : float
        r, how much of the difference in length is taken away, in [0, 1].
    beta : float
        What of a running mean is kept at a step, in [0, 1).

    References
    ----------
    He et al., MetaBalance: Improving Multi-Task Recommendations via Adapting Gradient Magnitudes of
    Auxiliary Tasks, WWW 2022, algorithm 1 with the relax factor.
    """

    uses_gradients = True
    weighs_each_alone = True  # beside the main task's running mean, which a batch without it leaves as it was

    def __init__(
        self,
        tasks: Sequence[str],
        main_task: str,
        relax_factor: Annotated[float, Field(ge=0, le=1)],
        beta: Annotated[float, Field(ge=0, lt=1)],
    ) -> None:
        super().__init__(tasks)
        if main_task not in self.tasks:
            raise UserError(f"The main task '{main_task}' is not in the set. {nearest(main_task, self.tasks)}")
        self.main = self.tasks.index(main_task)
        self.relax_factor = relax_factor
        self.beta = beta

    def build(self, shapes: Sequence[Sequence[int]]) -> None:
        """Running sums of norms, the sums of their factors, and the norms of the step whose weights were asked."""
        if not self.variables:
            nothing = tf.zeros((self.n_tasks, len(shapes)))
            self.sums, self.factors, self.norms = (tf.Variable(nothing, trainable=False) for _ in range(3))
            self.variables = [self.sums, self.factors, self.norms]

    def observe(self, gradients: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
        """Norm of each task's gradient on each variable, (n_tasks, n_variables)."""
        return tf.stack([tf.stack([tf.norm(tf.cast(one, tf.float32)) for one in of_task]) for of_task in gradients])

    def formula(self, losses: tf.Tensor, observed: tf.Tensor) -> tf.Tensor:
        """Lengths of the scaled gradients in lengths of the gradients; the norms are kept for `learn`."""
        self.norms.assign(observed)
        scaled, own = (tf.norm(each, axis=1) for each in (observed * self._scales(observed), observed))
        return tf.where(own > 0, tf.math.divide_no_nan(scaled, own), 1.0)

    def by_variable(self, weights: tf.Tensor, observed: tf.Tensor) -> tf.Tensor:
        """The factor of each task's gradient on each variable, (n_tasks, n_variables)."""
        return self._scales(observed)

    def learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Move the running means on."""
        sums, factors = self._moved(self.norms)
        self.sums.assign(sums)
        self.factors.assign(factors)

    def head_weights(self, weights: tf.Tensor) -> tf.Tensor:
        """One for every head, shape (n_tasks,)."""
        return tf.ones_like(weights)

    def _moved(self, norms: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The running sums with these norms in them, and the sums of their factors: the mean is the quotient."""
        kept, new = self.beta, 1 - self.beta
        sums, factors = kept * self.sums + new * norms, kept * self.factors + new
        return tf.where(norms > 0, sums, self.sums), tf.where(norms > 0, factors, self.factors)

    def _scales(self, norms: tf.Tensor) -> tf.Tensor:
        """Factors (n_tasks, n_variables) of the gradients of these norms."""
        means = tf.math.divide_no_nan(*self._moved(norms))
        main = means[self.main]
        known = (means > 0) & (main > 0)
        ratios = tf.where(known, main / tf.where(known, means, 1.0), 1.0)
        return self.relax_factor * ratios + (1 - self.relax_factor)
