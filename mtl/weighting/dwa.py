"""Weights from how fast each task's loss fell over the last epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from pydantic import PositiveFloat
from scipy.special import softmax

from mtl.weighting.base import Weighting


class DWA(Weighting):
    """Dynamic weight average: w = T softmax(r / tau), r_i = L_i(e - 1) / L_i(e - 2).

    L_i(e) is the mean of task i's unweighted loss over epoch e. In the first two
    epochs every weight is one. A task whose loss was zero counts as unchanged
    (r_i = 1); epochs with a loss that is not finite leave the weights as they were. One
    task: weight one.

    Length of the update: for T equal gradients g it is T g.

    Parameters
    ----------
    temperature : float
        tau; the larger, the more alike the weights.

    References
    ----------
    Liu, Johns, Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019, eq. 7.
    """

    def __init__(self, tasks: Sequence[str], temperature: PositiveFloat) -> None:
        super().__init__(tasks)
        self.temperature = temperature
        self.current = tf.Variable(tf.ones(self.n_tasks), trainable=False)
        self.variables = [self.current]

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """The weights of this epoch."""
        return tf.identity(self.current)

    def start_epoch(self, epoch: int, epoch_losses: np.ndarray) -> None:
        """New weights, from the last two epochs."""
        if len(epoch_losses) < 2:
            self.current.assign(np.ones(self.n_tasks))
            return
        before, last = np.asarray(epoch_losses, np.float64)[-2:]
        with np.errstate(invalid="ignore"):  # infinite losses: nothing is learned of them
            ratios = np.divide(last, before, out=np.ones(self.n_tasks), where=before != 0)
        if np.isfinite(ratios).all():
            self.current.assign(self.n_tasks * softmax(ratios / self.temperature))
