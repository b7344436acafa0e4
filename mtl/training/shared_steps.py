"""Compiled training steps for all task sets of a sweep: heads, losses and the method's weights go by number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from mtl.model import gradients
from mtl.model.multitask import MultiTaskModel, Targets
from mtl.model.placed_heads import PlacedHeads
from mtl.model.slots import Kind
from mtl.model.stacked_heads import ByKind, Taken, side_by_side
from mtl.stopwatch import COMPILE, spent_on
from mtl.training.optimizer import stepper, steps_by_number
from mtl.training.sound import is_sound
from mtl.weighting.base import GramianWeighting, Weighting
from mtl.weighting.resized import can_be_resized, resized

PARAMETERS = "parameters"  # what a method compares the tasks' gradients on: else it is the shared representation


def shared_sets(
    sets: Iterable[Sequence[Kind]], weighting: Weighting, optimizer: keras.Optimizer, is_partial: bool
) -> Iterable[Sequence[Kind]]:
    """The sets of a sweep whose jobs can share a compiled step with this one; none where they cannot.

    Parameters
    ----------
    sets : iterable of sequence of (str, int)
        As `mtl.model.multitask.reused` takes them.
    weighting : Weighting
    optimizer : keras optimizer
    is_partial : bool
        Whether there are frames about which a task says nothing: which tasks a batch has is then another matter.
    """
    return () if is_partial or not can_be_resized(weighting) or not steps_by_number(optimizer) else sets


def quick_sets(sets: Iterable[Sequence[Kind]], weighting: Weighting) -> list[Sequence[Kind]]:
    """The sets, where a step that they share is about as quick as one of their own; else none.

    Where some heads have one output and others a class each, a shared step of `equal` took .89 to 1.14 times its
    own on features, 1.0 over the demo's four sets, and one of `pcgrad` 1.10 to 1.25 times: more than the tracing that
    is saved once a job trains for some seconds.

    Parameters
    ----------
    sets : iterable of sequence of (str, int)
        As `mtl.model.multitask.reused` takes them.
    weighting : Weighting
    """
    known = list(sets)
    return known if not weighting.uses_gramian or len({kind for each in known for kind in each}) <= 1 else []


class SharedSteps:
    """A compiled function of steps, and for each number of tasks the method and its state.

    Tasks of a set come in its order, as many as it has: what other sets have more is in no
    operation of a step but the optimizer's, which takes a gradient of zero there. The losses of a kind of which a
    set has no head are computed for none: that costs some fifteen operations on nothing. A method is traced once
    for every number of tasks that a set of the sweep has; a step goes through the one for its own.

    Parameters
    ----------
    model : MultiTaskModel
        With `slots`, of which nothing but the shared dense layer and the heads is trained.
    weighting : Weighting
        Of any of the sets.
    optimizer : keras optimizer
    gradients_of : {"parameters", "representation"}
        See `mtl.training.loop.Training`.
    """

    def __init__(
        self, model: MultiTaskModel, weighting: Weighting, optimizer: keras.Optimizer, gradients_of: str = PARAMETERS
    ) -> None:
        if model.slots is None or not isinstance(model.stacked, PlacedHeads):
            raise ValueError("The heads of this model are in no shared places.")
        most = weighting.most_tasks if isinstance(weighting, GramianWeighting) else max(model.slots.sizes)
        self.of_size = {k: resized(weighting, k) for k in model.slots.sizes if weighting.least_tasks <= k <= most}
        self.optimizer = optimizer
        self._gradients_of = gradients_of
        self._model = model
        self._heads = model.stacked
        self._variables = [*model.shared.trainable_variables, *model.stacked.variables]
        self._apply = stepper(optimizer, self._variables)
        self._compiled = tf.function(self._run_steps, autograph=False)

    def run(self, features: tf.Tensor, targets: Targets, positions: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        """As what `mtl.training.steps.compile_steps` gives, for the set that the model has now."""
        by_kind, names = self._model.by_kind, list(self._model.tasks)
        of_steps = [tf.cast(tf.gather(targets[names[i]], positions), tf.int32) for i in by_kind.order]
        labels = tf.stack(of_steps, axis=2)  # (n_steps, b, n_tasks)
        with spent_on(COMPILE):
            traced = self._compiled.get_concrete_function(
                tf.TensorSpec((None, *features.shape[1:]), features.dtype),
                tf.TensorSpec((None, positions.shape[1], None), tf.int32),
                tf.TensorSpec((None, positions.shape[1]), tf.int32),
                *ByKind.specs(),
            )
        return traced(features, labels, tf.constant(positions, tf.int32), *by_kind.tensors())

    def _run_steps(
        self,
        features: tf.Tensor,
        labels: tf.Tensor,
        positions: tf.Tensor,
        *by_kind: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Losses and weights (n_steps, k) of the steps at positions (n_steps, b), in the set's order.

        Labels (n_steps, b, k) go kind by kind of the heads; where these are is told as by `ByKind.tensors`.
        """
        n_steps, places = tf.shape(positions)[0], _Places(len(self._heads.groups), *by_kind)
        kept = [tf.TensorArray(tf.float32, n_steps, element_shape=(None,)) for _ in range(2)]  # losses and weights
        differentiate = self._closed_form if self._weighting.uses_gramian else self._weighted_sum

        def do_one(i: tf.Tensor, losses: tf.TensorArray, weights: tf.TensorArray) -> tuple:
            batch, of_batch = tf.gather(features, positions[i]), labels[i]
            step = differentiate(batch, of_batch, places)
            sound = step.is_sound()
            tf.cond(sound, lambda: self._take(step, places.rows), lambda: None)
            before = tf.where(sound, step.losses, np.nan)  # from which no weighting learns
            after = before
            if self._weighting.uses_losses_after:
                after = self._losses_after(batch, of_batch, places)
            self._learn(before, after)
            return i + 1, losses.write(i, step.losses), weights.write(i, tf.where(sound, step.weights, np.nan))

        _, losses, weights = tf.while_loop(lambda i, *_: i < n_steps, do_one, (tf.constant(0), *kept))
        return losses.stack(), weights.stack()

    @property
    def _weighting(self) -> Weighting:
        """One of them all, for what they have in common."""
        return next(iter(self.of_size.values()))

    def _losses_after(self, batch: tf.Tensor, labels: tf.Tensor, places: _Places) -> tf.Tensor:
        """Mean loss of each task, (k,), as parameters are now."""
        heads = self._heads.taken(places.counts, places.rows)
        outputs = self._model.shared_outputs(self._model.trained(batch, training=True))
        logits = heads.logits(self._model.hidden(outputs, training=True))
        by_kind = heads.losses(logits, labels, is_partial=False)
        return places.in_set_order([tf.reduce_mean(one, axis=0) for one in by_kind])

    def _weighted_sum(self, batch: tf.Tensor, labels: tf.Tensor, places: _Places) -> _Step:
        """One backward pass: the weight of a loss is the same on shared parameters and head."""
        step = _Pass.of(self._model, self._heads.taken(places.counts, places.rows), batch, labels, places)
        weights, _ = self._weights(step.losses, None)
        of_logits = step.of_logits * tf.gather(weights, places.task_of_row)
        of_outputs = step.of_outputs(tf.matmul(of_logits, step.heads.kernel))
        return step.with_gradients(weights, of_outputs, of_logits)

    def _closed_form(self, batch: tf.Tensor, labels: tf.Tensor, places: _Places) -> _Step:
        """One backward pass over the heads: the rest is the algebra of one dense layer."""
        step = _Pass.of(self._model, self._heads.taken(places.counts, places.rows), batch, labels, places)
        # an output reaches its own hidden unit alone, by the same factor for every task
        by_task = step.heads.of_hidden(step.of_logits) * step.of_outputs(tf.ones_like(step.hidden))
        on_layer = self._gradients_of == PARAMETERS
        gramian = gradients.dense_gramian(step.inputs, by_task) if on_layer else gradients.output_gramian(by_task)
        weights, of_heads = self._weights(step.losses, places.matrix_in_set_order(gramian))
        combined = tf.einsum("t,tbn->bn", places.kind_by_kind(weights), by_task)
        return step.with_gradients(weights, combined, step.of_logits * tf.gather(of_heads, places.task_of_row))

    def _weights(self, losses: tf.Tensor, gramian: tf.Tensor | None) -> list[tf.Tensor]:
        """Weights (k,) by the method for k tasks, and those of the heads."""

        def branch(method: Weighting) -> list[tf.Tensor]:
            n = method.n_tasks
            seen = tf.zeros((n, n)) if gramian is None else tf.ensure_shape(gramian, (n, n))
            weights = method.weights(_sized(losses, method), seen)
            return [weights, method.head_weights(weights)]

        return self._by_number(tf.shape(losses)[0], branch)

    def _learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Have the method for as many tasks learn from a step."""

        def branch(method: Weighting) -> list[tf.Tensor]:
            method.update(_sized(losses, method), _sized(losses_after, method))
            return [tf.constant(0)]

        if self._weighting.variables:
            self._by_number(tf.shape(losses)[0], branch)

    def _by_number(self, n_tasks: tf.Tensor, branch: Callable[[Weighting], list[tf.Tensor]]) -> list[tf.Tensor]:
        """What the method for as many tasks as the set has gives."""
        methods = list(self.of_size.values())
        if len(methods) == 1:
            return branch(methods[0])
        number = tf.argmax(tf.equal(list(self.of_size), n_tasks), output_type=tf.int32)
        return tf.switch_case(number, [partial(branch, method) for method in methods])

    def _take(self, step: _Step, rows: tf.Tensor) -> None:
        """The optimizer's step."""
        found = [*step.of_shared, *self._heads.put_back(rows, step.of_heads)]
        self._apply(
            [tf.ensure_shape(one, variable.shape) for one, variable in zip(found, self._variables, strict=True)]
        )


class _Places:
    """Where the set's heads are, see `mtl.model.stacked_heads.ByKind`; from the set's order to that by kind and back.

    Parameters
    ----------
    n_kinds : int
        Of one kind both orders are the same.
    counts, rows, order, task_of_row : int tensors
    """

    def __init__(
        self, n_kinds: int, counts: tf.Tensor, rows: tf.Tensor, order: tf.Tensor, task_of_row: tf.Tensor
    ) -> None:
        self.counts, self.rows, self.task_of_row = counts, rows, task_of_row
        self._order = order if n_kinds > 1 else None
        self._positions = tf.math.invert_permutation(order) if n_kinds > 1 else None

    def in_set_order(self, by_kind: Sequence[tf.Tensor]) -> tf.Tensor:
        """Values (k,) of tasks in the set's order, from those of each kind."""
        found = side_by_side(by_kind)
        return found if self._positions is None else tf.gather(found, self._positions)

    def matrix_in_set_order(self, found: tf.Tensor) -> tf.Tensor:
        """A matrix (k, k) of tasks in the set's order, from one that has them kind by kind."""
        if self._positions is None:
            return found
        return tf.gather(tf.gather(found, self._positions), self._positions, axis=1)

    def kind_by_kind(self, values: tf.Tensor) -> tf.Tensor:
        """Values (k,) of tasks kind by kind, from the set's order."""
        return values if self._order is None else tf.gather(values, self._order)


@dataclass
class _Step:
    """What a step's passes gave: losses and weights (k,), shared outputs (b, n_outputs), gradients.

    Those on the heads are on what is taken of their stack: kernel and bias.
    """

    losses: tf.Tensor
    weights: tf.Tensor
    outputs: tf.Tensor
    of_shared: list[tf.Tensor]
    of_heads: list[tf.Tensor]

    def is_sound(self) -> tf.Tensor:
        """Whether all of it is finite, as a scalar of bool."""
        return is_sound(self.losses, self.weights, self.outputs, [*self.of_shared, *self.of_heads])


@dataclass
class _Pass:
    """A batch's way forward, and back to the logits: of the heads' own losses, not weighted yet.

    Losses are in the set's order; logits (b, n_units) go kind by kind of the heads.
    """

    inputs: tf.Tensor
    outputs: tf.Tensor
    hidden: tf.Tensor
    heads: Taken
    losses: tf.Tensor
    of_logits: tf.Tensor
    _tape: tf.GradientTape

    @classmethod
    def of(cls, model: MultiTaskModel, heads: Taken, batch: tf.Tensor, labels: tf.Tensor, places: _Places) -> _Pass:
        inputs = model.trained(batch, training=True)
        outputs = model.shared_outputs(inputs)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(outputs)
            hidden = model.hidden(outputs, training=True)
        logits = heads.logits(hidden)
        with tf.GradientTape(watch_accessed_variables=False) as of_losses:
            of_losses.watch(logits)
            by_kind = heads.losses(logits, labels, is_partial=False)  # (b, k)
        of_logits = of_losses.gradient(by_kind, logits) / batch.shape[0]  # of the sum of all, over frames: of means
        losses = places.in_set_order([tf.reduce_mean(one, axis=0) for one in by_kind])
        return cls(inputs, outputs, hidden, heads, losses, of_logits, tape)

    def of_outputs(self, of_hidden: tf.Tensor) -> tf.Tensor:
        """Gradients on the shared outputs, from those on what heads are given, both (b, n_outputs)."""
        return self._tape.gradient(self.hidden, self.outputs, output_gradients=of_hidden)

    def with_gradients(self, weights: tf.Tensor, of_outputs: tf.Tensor, of_logits: tf.Tensor) -> _Step:
        """The step, by weighted gradients on shared outputs and logits."""
        of_kernel = tf.matmul(of_logits, self.hidden, transpose_a=True)  # (n_units, n_outputs)
        of_heads = [of_kernel, tf.reduce_sum(of_logits, axis=0)]
        of_shared = gradients.dense_gradients(self.inputs, of_outputs)
        return _Step(self.losses, weights, self.outputs, of_shared, of_heads)


def _sized(values: tf.Tensor, method: Weighting) -> tf.Tensor:
    """Values (k,) of a shape that the method for k tasks can know."""
    return tf.ensure_shape(values, (method.n_tasks,))
