"""What every weighting is: the weights of the tasks' losses, step by step.

TensorFlow is imported where it is used and not at the top, so that a weighting
that needs none to be built (`Equal`, `Fixed`) can be built, and its input
checked, before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mtl.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf


class Weighting:
    """Weights of the tasks' losses on the shared parameters.

    A method says its formula in `formula`, what it learns from a step in `learn`
    and from an epoch in `start_epoch`. Asking for `weights` twice gives the same
    twice: a method moves on in `update` and `start_epoch` only. So `update` belongs
    to every training step, once, whatever the method.

    **A method that needs more of the task gradients than their Gramian** says `uses_gradients`. Before the first
    step `build` tells it the shapes of the shared variables; at every step `observe` sees the gradients and
    gives a few numbers per task, which `formula` gets in place of the Gramian; `by_variable` may weigh
    each variable apart; after a step that was taken `remember` sees the gradients once more. No other method is
    asked any of this.

    **A loss or a Gramian that is not finite** has no weights: all of them are NaN,
    whatever the method, and what was learned stays as it was. The task is not
    dropped in silence; the loop sees at one place that the step is void, moves no
    parameter by it, and says that the run diverged.

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
    uses_gradients : bool
        Whether it looks at the gradients of every task by shared variable.
    weighs_each_alone : bool
        Whether a task's weight, and what is learned of it, is the same whichever others are there, and a zero
        gradient teaches nothing: what `mtl.weighting.present` asks for before it leaves a task without labelled
        frames out.
    least_tasks : int
        Sets of fewer tasks cannot have this method with these settings.
    variables : list of tf.Variable
        The whole state, for checkpoints and for a reset.
    of_parameters : list of tf.Variable
        The part of it that has a number per shared parameter: only `observe` and `remember` look at it, and there
        each task's part depends on its own gradients alone.
    """

    uses_gramian = False
    uses_gradients = False
    uses_losses_after = False
    weighs_each_alone = False
    least_tasks = 1

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)
        self.variables: list[tf.Variable] = []
        self.of_parameters: list[tf.Variable] = []
        if not self.tasks:
            raise UserError("A weighting needs at least one task, found none.")

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    def build(self, shapes: Sequence[Sequence[int]]) -> None:
        """Make the state that follows the shared variables of these shapes, once; nothing by default."""

    def observe(self, gradients: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
        """What a method that `uses_gradients` takes from a step's gradients, in graph; nothing is learned.

        Parameters
        ----------
        gradients : sequence of sequence of tensors
            By task, then by shared variable; zeros where a task has no labelled frame.

        Returns
        -------
        float32 tensor of shape (n_tasks, n_numbers)
            Of a task what follows from its own gradients; finite only where they are.
        """
        raise NotImplementedError

    def weights(self, losses: tf.Tensor, gramian: tf.Tensor, observed: tf.Tensor | None = None) -> tf.Tensor:
        """Weights of the losses on the shared parameters, in graph.

        Parameters
        ----------
        losses : tensor of shape (n_tasks,)
            Unweighted losses of the batch.
        gramian : tensor of shape (n_tasks, n_tasks)
            Inner products of the task gradients; zeros where `uses_gramian` is False.
        observed : tensor of shape (n_tasks, n_numbers), optional
            What `observe` gave, where `uses_gradients` is True.

        Returns
        -------
        float32 tensor of shape (n_tasks,)
            All NaN where a loss, the Gramian or what was observed is not finite.
        """
        import tensorflow as tf

        losses = tf.cast(losses, tf.float32)
        seen = gramian if observed is None else observed
        sound = _all_finite(losses, gramian) if observed is None else _all_finite(losses, gramian, observed)
        weights = self.formula(
            tf.where(sound, losses, tf.ones_like(losses)),
            tf.where(sound, seen, tf.zeros_like(seen)),
        )
        return tf.where(sound, tf.cast(weights, tf.float32), np.nan)

    def by_variable(self, weights: tf.Tensor, observed: tf.Tensor) -> tf.Tensor:
        """Weights of the losses on each shared variable: one number per task, or a row of them.

        Parameters
        ----------
        weights, observed : tensors
            As `weights` and `observe` gave them.

        Returns
        -------
        tensor of shape (n_tasks,) or (n_tasks, n_variables)
            The weights, unless a method says otherwise.
        """
        return weights

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

    def remember(self, gradients: Sequence[Sequence[tf.Tensor]]) -> None:
        """Take the gradients of a step that was taken into `of_parameters`, in graph; nothing by default."""

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
        """Weights (n_tasks,) from finite losses and a finite Gramian, or what was observed: what a method is."""
        raise NotImplementedError

    def learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Change the state after a step with finite losses; nothing by default."""


class GramianWeighting(Weighting):
    """A method that is a function of the Gramian alone.

    The function of the method's own name takes the float64 Gramian K of shape
    (n_tasks, n_tasks) and gives the weights, of shape (n_tasks,).

    The weights act on the shared parameters; every head is trained by its own
    task's loss with weight one, so that gradient surgery silences no head.

    The direction keeps the scale of its paper, which each method says as the length of the update
    for T equal gradients g: some sum them (pcgrad), some average them (mgda, imtl_g, aligned, upgrad).
    An optimizer that divides by the gradient's size, as Adam, does not see the difference.

    Lengths a thousandfold apart cost no accuracy but that of the Gramian, which is float32:
    methods solve in the cosines.

    Attributes
    ----------
    most_tasks : int
        More tasks than this are refused: some methods look at every subset of the tasks.
    """

    uses_gramian = True
    most_tasks = 64

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        if self.n_tasks > self.most_tasks:
            name = type(self).__name__
            raise UserError(
                f"{name} takes at most {self.most_tasks} tasks, found {self.n_tasks}: take another weighting."
            )

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


# What 2 ** 10 small linear systems cost is still little beside a training step.
MOST_TASKS_BY_SUBSETS = 10

# A Gramian comes in float32, whose rounding moves the eigenvalues of the cosines by about this much.
LEAST_EIGENVALUE = 1e-6

# In place of a smaller one, where weights stay bounded anyway: what is left of a direction that should be zero
# is then below float32's rounding. (An optimizer that divides by the gradient's size would follow it.)
NEARLY_ZERO = 1e-8

# A gradient smaller than this, beside the largest, is told from zero no more.
LEAST_NORM = 1e-8


def scale_and_cosines(gramian: tf.Tensor, dependent: float = LEAST_EIGENVALUE) -> tuple[tf.Tensor, tf.Tensor]:
    """Norms of the gradients, and their cosines made positive definite.

    Dependent gradients (identical, opposite, zero) leave a method's problem without
    a solution or with many. Eigenvalues of the cosines below `LEAST_EIGENVALUE`, which
    float32 cannot tell from zero, become `dependent`, as if each such gradient had a
    small part of its length in a direction of its own. The solution is then unique, so
    it follows a permutation of the tasks. A regular Gramian stays as it is. A dependent one
    is met only so far: what a method finds is exact for gradients of which each is moved
    by the root of `dependent` times its length, at right angles to all of them.

    Parameters
    ----------
    gramian : float64 tensor of shape (n_tasks, n_tasks)
    dependent : float
        Smallest eigenvalue of the result. The weights of a method without bounds on
        them grow as its inverse root: `NEARLY_ZERO` is for the others.

    Returns
    -------
    norms : tensor of shape (n_tasks,)
        Positive, at least `LEAST_NORM` of the largest; ones where all are zero.
    cosines : tensor of shape (n_tasks, n_tasks)
        Each eigenvalue is either above `LEAST_EIGENVALUE` or is `dependent`.
    """
    import tensorflow as tf

    norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gramian), 0.0))
    largest = tf.reduce_max(norms)
    norms = tf.where(largest > 0, tf.maximum(norms, LEAST_NORM * largest), tf.ones_like(norms))
    values, vectors = tf.linalg.eigh(gramian / (norms[:, None] * norms[None, :]))
    lifted = vectors * tf.where(values > LEAST_EIGENVALUE, values, dependent)
    return norms, tf.matmul(lifted, vectors, transpose_b=True)


def subsets(n_tasks: int) -> np.ndarray:
    """Every subset of the tasks but the empty one, as rows of zeros and ones.

    Returns
    -------
    ndarray of shape (2 ** n_tasks - 1, n_tasks)
    """
    codes = np.arange(1, 2**n_tasks)
    return ((codes[:, None] >> np.arange(n_tasks)) & 1).astype(np.float64)


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


class StepSeeds:
    """Seeds of random draws, which depend on one seed and on the number of the training step only.

    Parameters
    ----------
    seed : int

    Attributes
    ----------
    variables : list of tf.Variable
        Its state: the seed, so that jobs of other seeds go through the same compiled step, and the step's number.
    """

    def __init__(self, seed: int) -> None:
        import tensorflow as tf

        self.seed = tf.Variable(seed, dtype=tf.int64, trainable=False)
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.variables = [self.seed, self.steps]

    def current(self) -> tf.Tensor:
        """Seed of this step's draw, for TensorFlow's stateless random numbers."""
        import tensorflow as tf

        return tf.stack([self.seed, self.steps])

    def advance(self) -> None:
        """Count the step, in graph."""
        self.steps.assign_add(1)


def _all_finite(*tensors: tf.Tensor) -> tf.Tensor:
    """Whether every number of every tensor is finite, a scalar."""
    import tensorflow as tf

    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])
