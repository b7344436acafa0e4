"""Auxiliary tasks that count only where they point the main task's way."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from mtl.errors import UserError, nearest
from mtl.weighting.base import GramianWeighting


class GradCosine(GramianWeighting):
    """Weight one for the main task, and for an auxiliary whose cosine with it is positive.

    Every other auxiliary has weight 0 on the shared parameters at this step; its head
    is trained on. An auxiliary whose gradient is zero, or orthogonal to the main
    task's, has weight 0; where the main task's gradient is zero, all have. Identical
    gradients count one each, an opposite one 0. One task: weight one.

    Length of the update: for T equal gradients g it is T g.

    Parameters
    ----------
    main_task : str
        The one that is served.

    References
    ----------
    Du et al., Adapting Auxiliary Losses Using Gradient Similarity, 2018, the unweighted version.
    """

    weighs_each_alone = True  # beside the main task's; of a batch without it no auxiliary points its way

    def __init__(self, tasks: Sequence[str], main_task: str) -> None:
        super().__init__(tasks)
        if main_task not in self.tasks:
            raise UserError(f"The main task '{main_task}' is not in the set. {nearest(main_task, self.tasks)}")
        self.main = self.tasks.index(main_task)
        self.least_tasks = self.main + 1

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """As `grad_cosine`."""
        return grad_cosine(gramian, self.main)


def grad_cosine(gramian: tf.Tensor, main: int) -> tf.Tensor:
    """One for position `main` and wherever g_i.g_main > 0, else zero, shape (n_tasks,)."""
    is_main = tf.equal(tf.range(gramian.shape[0]), main)
    return tf.cast(tf.logical_or(is_main, gramian[main] > 0), gramian.dtype)
