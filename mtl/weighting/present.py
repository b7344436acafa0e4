"""A weighting where a batch may have no labelled frame of a task: the method sees the tasks that are there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from mtl.tasks import UNLABELLED
from mtl.weighting.base import Weighting


class WhereLabelled:
    """A weighting for batches that may lack labelled frames of some tasks.

    For every number k of tasks there is the method for k tasks. A batch's present tasks, in
    their order, go through the method for as many: it is handed their losses, their part of
    the Gramian and their part of the state, and what it learns is put back in their places.
    So a method weighs as if the set had only these tasks, an absent one has weight 0, and its
    state stays as it was. What the state has once for all tasks, such as a number of steps,
    the methods share, and what it has per parameter: a zero gradient leaves that as it was.

    Parameters
    ----------
    weighting : Weighting
        Whose variables are the state, as without absent tasks.
    """

    def __init__(self, weighting: Weighting) -> None:
        self.weighting = weighting
        few = [] if weighting.weighs_each_alone else range(1, weighting.n_tasks)
        self.of_size = {k: _Part.of(weighting, k) for k in few}

    def on(self, targets: Mapping[str, tf.Tensor]) -> Present:
        """For a batch, by which of its targets (b,) are labels, in graph.

        Parameters
        ----------
        targets : mapping of str to int tensor (b,)
            By task, `UNLABELLED` where there is no label.
        """
        present = [tf.reduce_any(targets[name] != UNLABELLED) for name in self.weighting.tasks]
        return Present(self, tf.stack(present))


class Present:
    """The weighting of one batch, in graph.

    Parameters
    ----------
    where_labelled : WhereLabelled
    present : tensor of bool, shape (n_tasks,)
        Which tasks have a labelled frame in the batch.
    """

    def __init__(self, where_labelled: WhereLabelled, present: tf.Tensor) -> None:
        self._weighting, self._of_size = where_labelled.weighting, where_labelled.of_size
        self._present = present
        self.uses_gramian, self.uses_gradients = self._weighting.uses_gramian, self._weighting.uses_gradients

    def mark(self, values: tf.Tensor, absent: float) -> tf.Tensor:
        """Values (n_tasks,) with a number in the places of absent tasks."""
        return tf.where(self._present, values, tf.constant(absent, values.dtype))

    def observe(self, gradients: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
        """What the method takes from the gradients, of absent tasks too; see `Weighting.observe`."""
        return self._weighting.observe(gradients)

    def weights(self, losses: tf.Tensor, gramian: tf.Tensor, observed: tf.Tensor | None = None) -> tf.Tensor:
        """Weights (n_tasks,) of a batch's losses, 0 for absent tasks; see `Weighting.weights`."""

        def whole() -> tf.Tensor:
            return self.mark(self._weighting.weights(losses, gramian, observed), 0.0)

        def part(of: _Part, at: tf.Tensor) -> tf.Tensor:
            seen = None if observed is None else of.take(observed, at)
            found = of.weighting.weights(of.take(losses, at), of.take(tf.transpose(of.take(gramian, at)), at), seen)
            return tf.scatter_nd(at[:, None], found, [self._weighting.n_tasks])

        return self._by_number(whole, part, lambda: tf.zeros(self._weighting.n_tasks))

    def by_variable(self, weights: tf.Tensor, observed: tf.Tensor) -> tf.Tensor:
        """Weights of the losses on each shared variable, 0 for absent tasks; see `Weighting.by_variable`."""
        found = self._weighting.by_variable(weights, observed)
        return self.mark(found, 0.0) if found.shape.rank == 1 else tf.where(self._present[:, None], found, 0.0)

    def head_weights(self, weights: tf.Tensor) -> tf.Tensor:
        """Weight (n_tasks,) of each task's loss on its own head, 0 for absent tasks."""
        return self.mark(self._weighting.head_weights(weights), 0.0)

    def update(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Learn from a step what it shows of the present tasks; see `Weighting.update`."""
        none = tf.constant(0)

        def whole() -> tf.Tensor:
            self._weighting.update(losses, losses_after)
            return none

        def part(of: _Part, at: tf.Tensor) -> tf.Tensor:
            of.weighting.update(of.take(losses, at), of.take(losses_after, at))
            return none

        if self._weighting.variables:
            self._by_number(whole, part, lambda: none)

    def remember(self, gradients: Sequence[Sequence[tf.Tensor]]) -> None:
        """Take the gradients of a step that was taken into the state; see `Weighting.remember`."""
        self._weighting.remember(gradients)

    def _by_number(
        self,
        whole: Callable[[], tf.Tensor],
        part: Callable[[_Part, tf.Tensor], tf.Tensor],
        nothing: Callable[[], tf.Tensor],
    ) -> tf.Tensor:
        """What the method for as many tasks as are present gives."""
        if not self._of_size:
            return tf.cond(tf.reduce_any(self._present), whole, nothing)
        n_tasks = self._weighting.n_tasks
        order = tf.argsort(tf.cast(self._present, tf.int32), direction="DESCENDING", stable=True)
        by_size = {k: _bound(part, of, order[:k]) for k, of in self._of_size.items()}
        branches = [by_size.get(k, nothing if k == 0 else whole) for k in range(n_tasks + 1)]
        return tf.switch_case(tf.math.count_nonzero(self._present, dtype=tf.int32), branches)


class _Part:
    """The method for k of the tasks, with variables of its own for what the state has by task.

    Parameters
    ----------
    weighting : Weighting
        For k tasks.
    by_task : list of (tf.Variable, tf.Variable)
        The whole state's variable of n_tasks, and this method's of k.
    k : int
    """

    def __init__(self, weighting: Weighting, by_task: list[tuple[tf.Variable, tf.Variable]], k: int) -> None:
        self.weighting = weighting
        self._by_task = by_task
        self._k = k

    @classmethod
    def of(cls, weighting: Weighting, k: int) -> _Part:
        """A copy of the method for k tasks; variables without an axis over tasks are the very same."""
        by_task, memo = [], {}
        of_parameters = {id(variable) for variable in weighting.of_parameters}
        for variable in weighting.variables:
            memo[id(variable)] = variable
            of_task = bool(variable.shape.rank) and variable.shape[0] == weighting.n_tasks
            if of_task and id(variable) not in of_parameters:
                own = tf.Variable(tf.zeros((k, *variable.shape[1:]), variable.dtype), trainable=False)
                memo[id(variable)] = own
                by_task.append((variable, own))
        part = copy.deepcopy(weighting, memo)
        part.tasks = weighting.tasks[:k]  # their number counts alone
        return cls(part, by_task, k)

    def take(self, values: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        """The values of the present tasks, (k, ...), of a shape that is known."""
        found = tf.gather(values, at)
        return tf.ensure_shape(found, (self._k, *values.shape[1:]))

    def bring(self, at: tf.Tensor) -> None:
        """Take over the state of the tasks at these places."""
        for whole, own in self._by_task:
            own.assign(self.take(whole, at))

    def put_back(self, at: tf.Tensor) -> None:
        """Leave the state in the tasks' places."""
        for whole, own in self._by_task:
            whole.assign(tf.tensor_scatter_nd_update(whole, at[:, None], own))


def _bound(part: Callable[[_Part, tf.Tensor], tf.Tensor], of: _Part, at: tf.Tensor) -> Callable[[], tf.Tensor]:
    """A branch of the switch: the state is brought, used, and put back."""

    def branch() -> tf.Tensor:
        of.bring(at)
        found = part(of, at)
        of.put_back(at)
        return found

    return branch
