"""What every weighting is: the weights of the tasks' losses, step by step.

TensorFlow is imported where it is used and not at the top, so that a weighting
that needs none to be built (`Equal`, `Fixed`) can be built, and its input
checked, before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mtl.mistakes import Mistake

if TYPE_CHECKING:
    import tensorflow as tf


class Weighting:
    """Weights of the tasks' losses on the shared parameters.

    A method says its formula in `formula`, what it learns from a step in `learn`
    and from an epoch in `start_epoch`. `weights` depends on its arguments and on
    the state only; the state changes in `update` and `start_epoch` only. So
    `update` belongs to every training step, once, whatever the method.

    **A loss or a Gramian that is not finite** has no weights: all of them are NaN,
    whatever the method, and the state stays as it was. The task is not dropped in
    silence; the loop sees at one place that the step is void.

    Parameters
    ----------
    tasks : sequence of str
        Task names in the order of the set.

    Attributes
    ----------
    uses_gramian : bool
        Whether `weights` looks at the Gramian of the task gradients.
    uses_losses_after : bool
        Whether `update` looks at the same batch's losses after the step.
    variables : list of tf.Variable
        The whole state, for checkpoints and for a reset.
    """

    uses_gramian = False
    uses_losses_after = False

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)
        self.variables: list[tf.Variable] = []
        if not self.tasks:
            raise Mistake("A weighting needs at least one task, found none.")

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    def weights(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """Weights of the losses on the shared parameters, in graph.

        Parameters
        ----------
        losses : tensor of shape (n_tasks,)
            Unweighted losses of the batch.
        gramian : tensor of shape (n_tasks, n_tasks)
            Inner products of the task gradients; zeros where `uses_gramian` is False.

        Returns
        -------
        float32 tensor of shape (n_tasks,)
            All NaN where a loss or the Gramian is not finite.
        """
        import tensorflow as tf

        losses = tf.cast(losses, tf.float32)
        sound = _all_finite(losses, gramian)
        weights = self.formula(
            tf.where(sound, losses, tf.ones_like(losses)),
            tf.where(sound, gramian, tf.eye(self.n_tasks, dtype=gramian.dtype)),
        )
        return tf.where(sound, tf.cast(weights, tf.float32), np.nan)

    def head_weights(self, weights: tf.Tensor) -> tf.Tensor:
        """Weight of each task's loss on its own head, shape (n_tasks,): the same number."""
        return weights

    def update(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Learn from a step, in graph, after the optimizer's.

        Parameters
        ----------
        losses, losses_after : tensor of shape (n_tasks,)
            Of the same batch before and after the step; the former twice where
            `uses_losses_after` is False.
        """
        import tensorflow as tf

        def learn() -> None:
            self.learn(tf.cast(losses, tf.float32), tf.cast(losses_after, tf.float32))

        if self.variables:
            tf.cond(_all_finite(losses, losses_after), learn, lambda: None)

    def start_epoch(self, epoch: int, epoch_losses: np.ndarray) -> None:
        """Learn from the epochs so far, in Python, before the next one.

        Parameters
        ----------
        epoch : int
            The one that starts, from 0.
        epoch_losses : ndarray of shape (epochs_done, n_tasks)
            Mean of the unweighted losses over each epoch that is done.
        """

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """Weights (n_tasks,) from finite losses and a finite Gramian: what a method is."""
        raise NotImplementedError

    def learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Change the state after a step with finite losses; nothing by default."""


class GramianWeighting(Weighting):
    """A method that is a function of the Gramian alone.

    Its weights act on the shared parameters; every head is trained by its own
    task's loss with weight one, so that gradient surgery silences no head.
    """

    uses_gramian = True

    def head_weights(self, weights: tf.Tensor) -> tf.Tensor:
        """One for every head, shape (n_tasks,)."""
        import tensorflow as tf

        return tf.ones_like(weights)

    def formula(self, losses: tf.Tensor, gramian: tf.Tensor) -> tf.Tensor:
        """`solve` in float64: a Gramian squares the condition of its gradients."""
        import tensorflow as tf

        return self.solve(tf.cast(gramian, tf.float64))

    def solve(self, gramian: tf.Tensor) -> tf.Tensor:
        """Weights (n_tasks,) from the float64 Gramian (n_tasks, n_tasks)."""
        raise NotImplementedError


class Adam:
    """The small optimizer that learned weights bring along (Kingma, Ba, ICLR 2015).

    Parameters
    ----------
    variable : tf.Variable
        What is learned.
    learning_rate : float

    Attributes
    ----------
    variables : list of tf.Variable
        Its own state: the two moments and the number of steps.
    """

    BETA_1 = 0.9
    BETA_2 = 0.999
    EPSILON = 1e-8

    def __init__(self, variable: tf.Variable, learning_rate: float) -> None:
        import tensorflow as tf

        self.variable = variable
        self.learning_rate = learning_rate
        self.first = tf.Variable(tf.zeros_like(variable), trainable=False)
        self.second = tf.Variable(tf.zeros_like(variable), trainable=False)
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.variables = [self.first, self.second, self.steps]

    def descend(self, gradient: tf.Tensor) -> None:
        """One step of `variable` against `gradient`, in graph."""
        import tensorflow as tf

        dtype = gradient.dtype
        steps = tf.cast(self.steps.assign_add(1), dtype)
        self.first.assign(self.BETA_1 * self.first + (1 - self.BETA_1) * gradient)
        self.second.assign(self.BETA_2 * self.second + (1 - self.BETA_2) * gradient**2)
        mean = self.first / (1 - tf.pow(tf.constant(self.BETA_1, dtype), steps))
        spread = tf.sqrt(self.second / (1 - tf.pow(tf.constant(self.BETA_2, dtype), steps)))
        self.variable.assign_sub(self.learning_rate * mean / (spread + self.EPSILON))


def _all_finite(*tensors: tf.Tensor) -> tf.Tensor:
    """Whether every number of every tensor is finite, a scalar."""
    import tensorflow as tf

    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])
