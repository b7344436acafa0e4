"""Every task counts one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtl.weighting.base import Weighting

if TYPE_CHECKING:
    import tensorflow as tf


class Equal(Weighting):
    """Weight one for every task: the sum of the losses.

    The baseline. No adaptive method is known to beat well-tuned constant weights
    (Kurin et al.; Xin et al., both NeurIPS 2022).

    Length of the update: for T equal gradients g it is T g, the sum.
    """

    weighs_each_alone = True

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """Ones."""
        import tensorflow as tf

        return tf.ones(self.n_tasks)
