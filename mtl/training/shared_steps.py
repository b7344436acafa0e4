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
from mtl.model.slots import Kind, stacked_logits
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


class SharedSteps:
    """A compiled function of steps, and for each number of tasks the method and its state.

    Tasks of a set come in its order, as many as it has: what other sets have more is in no
    operation of a step but the optimizer's, which takes a gradient of zero there. A method is traced once
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
        self.of_size = {k: resized(weighting, k) for k in model.slots.sizes if k <= most}
        self.optimizer = optimizer
        self._gradients_of = gradients_of
        self._model = model
        self._heads = model.stacked
        self._variables = [*model.shared.trainable_variables, *model.stacked.variables]
        self._apply = stepper(optimizer, self._variables)
        self._compiled = tf.function(self._run_steps, autograph=False)

    def run(self, features: tf.Tensor, targets: Targets, positions: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        """As what `mtl.training.steps.compile_steps` gives, for the set that the model has now."""
        of_steps = [tf.cast(tf.gather(targets[name], positions), tf.int32) for name in self._model.tasks]
        labels = tf.stack(of_steps, axis=1)  # (n_steps, n_tasks, b)
        with spent_on(COMPILE):
            traced = self._compiled.get_concrete_function(
                tf.TensorSpec((None, *features.shape[1:]), features.dtype),
                tf.TensorSpec((None, None, positions.shape[1]), tf.int32),
                tf.TensorSpec((None, positions.shape[1]), tf.int32),
                tf.TensorSpec((None,), tf.int32),
            )
        return traced(features, labels, tf.constant(positions, tf.int32), tf.constant(self._model.at, tf.int32))

    def _run_steps(
        self, features: tf.Tensor, labels: tf.Tensor, positions: tf.Tensor, at: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Losses and weights (n_steps, k) of the steps at positions (n_steps, b), of the heads in k places."""
        n_steps = tf.shape(positions)[0]
        kept = [tf.TensorArray(tf.float32, n_steps, element_shape=(None,)) for _ in range(2)]  # losses and weights
        differentiate = self._closed_form if self._weighting.uses_gramian else self._weighted_sum

        def do_one(i: tf.Tensor, losses: tf.TensorArray, weights: tf.TensorArray) -> tuple:
            batch, of_batch = tf.gather(features, positions[i]), labels[i]
            step = differentiate(batch, of_batch, at)
            sound = step.is_sound()
            tf.cond(sound, lambda: self._take(step, at), lambda: None)
            before = tf.where(sound, step.losses, np.nan)  # from which no weighting learns
            after = before
            if self._weighting.uses_losses_after:
                after = self._losses(self._hidden(self._outputs(batch)), of_batch, at, *self._heads.taken(at))
            self._learn(before, after)
            return i + 1, losses.write(i, step.losses), weights.write(i, tf.where(sound, step.weights, np.nan))

        _, losses, weights = tf.while_loop(lambda i, *_: i < n_steps, do_one, (tf.constant(0), *kept))
        return losses.stack(), weights.stack()

    @property
    def _weighting(self) -> Weighting:
        """One of them all, for what they have in common."""
        return next(iter(self.of_size.values()))

    def _outputs(self, batch: tf.Tensor) -> tf.Tensor:
        """Shared outputs before their activation, (b, n_outputs)."""
        return self._model.shared_outputs(self._model.trained(batch, training=True))

    def _hidden(self, outputs: tf.Tensor) -> tf.Tensor:
        """What heads are given."""
        return self._model.hidden(outputs, training=True)

    def _losses(
        self, hidden: tf.Tensor, labels: tf.Tensor, at: tf.Tensor, kernels: tf.Tensor, biases: tf.Tensor
    ) -> tf.Tensor:
        """Mean loss of each task, (k,)."""
        logits = stacked_logits(hidden, kernels, biases)
        return tf.reduce_mean(self._heads.losses(logits, labels, at, is_partial=False), axis=1)

    def _weighted_sum(self, batch: tf.Tensor, labels: tf.Tensor, at: tf.Tensor) -> _Step:
        """One backward pass: the weight of a loss is the same on shared parameters and head."""
        shared, (kernels, biases) = self._model.shared_variables, self._heads.taken(at)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*shared, kernels, biases])
            outputs = self._outputs(batch)
            losses = self._losses(self._hidden(outputs), labels, at, kernels, biases)
            weights = tf.stop_gradient(self._weights(losses, None))
            total = tf.reduce_sum(weights * losses)
        *of_shared, of_kernels, of_biases = tape.gradient(total, [*shared, kernels, biases])
        return _Step(losses, weights, outputs, of_shared, (of_kernels, of_biases))

    def _closed_form(self, batch: tf.Tensor, labels: tf.Tensor, at: tf.Tensor) -> _Step:
        """One backward pass over the heads: the rest is the algebra of one dense layer."""
        kernels, biases = self._heads.taken(at)
        inputs = self._model.trained(batch, training=True)
        outputs = self._model.shared_outputs(inputs)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([outputs, kernels, biases])
            hidden = self._hidden(outputs)
            logits = stacked_logits(hidden, kernels, biases)
            losses = tf.reduce_mean(self._heads.losses(logits, labels, at, is_partial=False), axis=1)
            total = tf.reduce_sum(losses)
            reached = tf.reduce_sum(hidden)
        of_logits, of_kernels, of_biases = tape.gradient(total, [logits, kernels, biases])
        # an output reaches its own hidden unit alone, by the same factor for every task
        of_outputs = tf.einsum("kbu,khu->kbh", of_logits, kernels) * tape.gradient(reached, outputs)
        on_layer = self._gradients_of == PARAMETERS
        gramian = gradients.dense_gramian(inputs, of_outputs) if on_layer else gradients.output_gramian(of_outputs)
        weights = tf.stop_gradient(self._weights(losses, gramian))
        of_heads = self._by_number(tf.shape(at)[0], lambda method: method.head_weights(_sized(weights, method)))
        combined = tf.einsum("t,tbn->bn", weights, of_outputs)
        of_heads = (of_heads[:, None, None] * of_kernels, of_heads[:, None] * of_biases)
        return _Step(losses, weights, outputs, gradients.dense_gradients(inputs, combined), of_heads)

    def _weights(self, losses: tf.Tensor, gramian: tf.Tensor | None) -> tf.Tensor:
        """Weights (k,) by the method for k tasks."""

        def branch(method: Weighting) -> tf.Tensor:
            n = method.n_tasks
            seen = tf.zeros((n, n)) if gramian is None else tf.ensure_shape(gramian, (n, n))
            return method.weights(_sized(losses, method), seen)

        return self._by_number(tf.shape(losses)[0], branch)

    def _learn(self, losses: tf.Tensor, losses_after: tf.Tensor) -> None:
        """Have the method for as many tasks learn from a step."""

        def branch(method: Weighting) -> tf.Tensor:
            method.update(_sized(losses, method), _sized(losses_after, method))
            return tf.constant(0)

        if self._weighting.variables:
            self._by_number(tf.shape(losses)[0], branch)

    def _by_number(self, n_tasks: tf.Tensor, branch: Callable[[Weighting], tf.Tensor]) -> tf.Tensor:
        """What the method for as many tasks as the set has gives."""
        methods = list(self.of_size.values())
        if len(methods) == 1:
            return branch(methods[0])
        number = tf.argmax(tf.equal(list(self.of_size), n_tasks), output_type=tf.int32)
        return tf.switch_case(number, [partial(branch, method) for method in methods])

    def _take(self, step: _Step, at: tf.Tensor) -> None:
        """The optimizer's step."""
        found = [*step.of_shared, *self._heads.put_back(at, *step.of_heads)]
        self._apply(
            [tf.ensure_shape(one, variable.shape) for one, variable in zip(found, self._variables, strict=True)]
        )


@dataclass
class _Step:
    """What a step's passes gave: losses and weights (k,), shared outputs (b, n_outputs), gradients.

    Those on the heads are on what is taken of their stack: kernels and biases.
    """

    losses: tf.Tensor
    weights: tf.Tensor
    outputs: tf.Tensor
    of_shared: list[tf.Tensor]
    of_heads: tuple[tf.Tensor, tf.Tensor]

    def is_sound(self) -> tf.Tensor:
        """Whether all of it is finite, as a scalar of bool."""
        return is_sound(self.losses, self.weights, self.outputs, [*self.of_shared, *self.of_heads])


def _sized(values: tf.Tensor, method: Weighting) -> tf.Tensor:
    """Values (k,) of a shape that the method for k tasks can know."""
    return tf.ensure_shape(values, (method.n_tasks,))
