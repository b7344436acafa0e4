"""Compiled training steps: losses, task gradients, weights, one step of the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from mtl.model import gradients
from mtl.model.multitask import MultiTaskModel, Targets
from mtl.model.placed_heads import Part, PlacedHeads
from mtl.stopwatch import COMPILE, spent_on
from mtl.training.optimizer import Start, stepper
from mtl.training.shared_steps import PARAMETERS, SharedSteps
from mtl.training.sound import is_sound
from mtl.weighting.base import Weighting
from mtl.weighting.present import Present, WhereLabelled
from mtl.weighting.resized import resized

# features, targets by task, positions in them -> losses and weights of every step
Run = Callable[[tf.Tensor, Targets, np.ndarray], tuple[tf.Tensor, tf.Tensor]]


@dataclass(frozen=True)
class Steps:
    """Compiled steps with the state they change.

    Attributes
    ----------
    run : callable
        As `compile_steps` gives it.
    weighting : Weighting
    optimizer : keras optimizer
    state : sequence of keras variables
        The optimizer's, of what the set trains.
    """

    run: Run
    weighting: Weighting
    optimizer: keras.Optimizer
    state: Sequence[keras.Variable | Part]


@dataclass(frozen=True)
class _Compiled:
    """Steps as they were compiled, the method for each number of tasks, and how the optimizer began."""

    run: Run
    of_size: Mapping[int, Weighting]
    start: Start

    @classmethod
    def of(
        cls, model: MultiTaskModel, weighting: Weighting, optimizer: keras.Optimizer, gradients_of: str
    ) -> _Compiled:
        if model.slots is not None:
            shared = SharedSteps(model, weighting, optimizer, gradients_of)
            return cls(shared.run, shared.of_size, Start(optimizer))
        run = compile_steps(model, weighting, optimizer, gradients_of)
        return cls(run, {weighting.n_tasks: weighting}, Start(optimizer))


def compiled_steps(
    model: MultiTaskModel, weighting: Weighting, optimizer: keras.Optimizer, gradients_of: str = PARAMETERS
) -> Steps:
    """Steps that start from the given state; compiled once per model and settings, see `mtl.model.multitask.reused`.

    Parameters
    ----------
    model : MultiTaskModel
    weighting : Weighting
    optimizer : keras optimizer
        As it was made: no step was taken.
    gradients_of : {"parameters", "representation"}
        See `mtl.training.loop.Training`.
    """
    weighting.build([tuple(variable.shape) for variable in model.shared_variables])
    shared = model.slots is not None  # then the method for one task stands for that for any number
    of_set = ("any", settings_of(resized(weighting, 1))) if shared else (settings_of(weighting),)
    key = ("steps", gradients_of, *of_set, settings_of(optimizer))
    compiled = model.compiled(key, lambda: _Compiled.of(model, weighting, optimizer, gradients_of))
    compiled.start.again(optimizer)
    own = compiled.of_size[weighting.n_tasks]
    for variable, given in zip(own.variables, weighting.variables, strict=True):
        variable.assign(given)
    used, state = compiled.start.optimizer, compiled.start.optimizer.variables
    return Steps(
        compiled.run,
        own,
        used,
        model.stacked.of_places(state, model.at) if isinstance(model.stacked, PlacedHeads) else state,
    )


def settings_of(thing: object) -> Hashable:
    """What of a thing enters a graph: equal for things that differ in their variables' values alone.

    A thing that cannot be looked into is equal to nothing but itself.
    """
    if thing is None or isinstance(thing, str | int | float):
        return type(thing).__name__, repr(thing)
    if isinstance(thing, tf.Variable):
        return "variable", tuple(thing.shape), thing.dtype.name
    if isinstance(thing, tf.Tensor | np.ndarray):
        array = np.asarray(thing)
        return "array", array.shape, array.dtype.str, array.tobytes()
    if isinstance(thing, keras.Optimizer):
        config = thing.get_config()
        if isinstance(config["learning_rate"], float):  # else a schedule; a number is kept in a variable
            del config["learning_rate"]
        return type(thing), settings_of({key: value for key, value in config.items() if key != "name"})
    if isinstance(thing, Mapping):
        return "mapping", *((key, settings_of(value)) for key, value in thing.items())
    if isinstance(thing, list | tuple):
        return "sequence", *map(settings_of, thing)
    if type(thing).__module__.startswith("mtl."):
        return type(thing), settings_of(vars(thing))
    return thing if isinstance(thing, Hashable) else object()


@dataclass
class _Step:
    """What a step's passes gave: losses and weights (n_tasks,), shared outputs (b, units), gradients by variable.

    Of a weighting that uses gradients also those of each task, by task and shared variable.
    """

    losses: tf.Tensor
    weights: tf.Tensor
    outputs: tf.Tensor
    gradients: list[tf.Tensor]
    by_task: Sequence[Sequence[tf.Tensor]] = ()

    def is_sound(self) -> tf.Tensor:
        """Whether all of it is finite, as a scalar of bool."""
        return is_sound(self.losses, self.weights, self.outputs, self.gradients)


def forward(model: MultiTaskModel, features: tf.Tensor, targets: Targets) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Shared outputs before their activation, and each task's unweighted mean loss, on a training batch."""
    outputs = model.shared_outputs(model.trained(features, training=True))
    return outputs, model.losses(model.from_shared(outputs, training=True), targets)


def by_weighted_sum(
    model: MultiTaskModel, weighting: Weighting | Present, features: tf.Tensor, targets: Targets
) -> _Step:
    """One backward pass: the weight of a loss is the same on shared parameters and head."""
    variables, n_tasks = [*model.shared_variables, *model.head_variables], len(model.tasks)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        outputs, of_tasks = forward(model, features, targets)
        losses = tf.stack(of_tasks)
        weights = tf.stop_gradient(weighting.weights(losses, tf.zeros((n_tasks, n_tasks))))
        total = tf.reduce_sum(weights * losses)
    return _Step(losses, weights, outputs, tape.gradient(total, variables))


def by_task_gradients(
    model: MultiTaskModel, weighting: Weighting | Present, features: tf.Tensor, targets: Targets
) -> _Step:
    """One backward pass per task over the shared part: the weights come from the Gramian, or from all of it."""
    shared, heads = model.shared_variables, model.head_variables
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch([*shared, *heads])
        outputs, losses = forward(model, features, targets)
        total = tf.add_n(losses)
    by_task = gradients.task_gradients(tape, losses, shared)
    n_tasks = len(losses)
    gramian = gradients.gramian(by_task) if weighting.uses_gramian else tf.zeros((n_tasks, n_tasks))
    observed = weighting.observe(by_task) if weighting.uses_gradients else None
    weights = tf.stop_gradient(weighting.weights(tf.stack(losses), gramian, observed))
    of_heads = weigh_heads(model, weighting.head_weights(weights), tape.gradient(total, heads))
    of_shared = gradients.combine(by_task, weights if observed is None else weighting.by_variable(weights, observed))
    kept = by_task if weighting.uses_gradients else ()
    return _Step(tf.stack(losses), weights, outputs, [*of_shared, *of_heads], kept)


def by_closed_form(
    model: MultiTaskModel, weighting: Weighting | Present, gradients_of: str, features: tf.Tensor, targets: Targets
) -> _Step:
    """One backward pass per task over its head alone: the rest is the algebra of one dense layer."""
    inputs = model.trained(features, training=True)
    heads = _Heads.on(model, model.shared_outputs(inputs), targets)
    on_layer = gradients_of == PARAMETERS
    gramian = gradients.dense_gramian(inputs, heads.of_outputs) if on_layer else heads.gramian
    weights = tf.stop_gradient(weighting.weights(heads.losses, gramian))
    of_heads = weigh_heads(model, weighting.head_weights(weights), heads.of_heads)
    of_shared = gradients.dense_gradients(inputs, heads.combined(weights))
    return _Step(heads.losses, weights, heads.outputs, [*of_shared, *of_heads])


def by_representation(
    model: MultiTaskModel, weighting: Weighting | Present, features: tf.Tensor, targets: Targets
) -> _Step:
    """One backward pass per task over its head alone, and a single one through all that is shared.

    The weights come from the Gramian of the gradients on the shared layer's outputs. That on the parameters
    is found from them by the transposed Jacobian of the outputs, for their weighted sum at once.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(model.shared_variables)
        outputs = model.shared_outputs(model.trained(features, training=True))
    heads = _Heads.on(model, outputs, targets)
    weights = tf.stop_gradient(weighting.weights(heads.losses, heads.gramian))
    of_heads = weigh_heads(model, weighting.head_weights(weights), heads.of_heads)
    of_shared = tape.gradient(outputs, model.shared_variables, output_gradients=heads.combined(weights))
    return _Step(heads.losses, weights, outputs, [*of_shared, *of_heads])


@dataclass
class _Heads:
    """What heads give for shared outputs (b, n_outputs): losses (n_tasks,), and gradients on outputs and heads."""

    outputs: tf.Tensor
    losses: tf.Tensor
    of_outputs: tf.Tensor  # (n_tasks, b, n_outputs)
    of_heads: list[tf.Tensor]

    @classmethod
    def on(cls, model: MultiTaskModel, outputs: tf.Tensor, targets: Targets) -> _Heads:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([outputs, *model.head_variables])
            losses = model.losses(model.from_shared(outputs, training=True), targets)
            total = tf.add_n(losses)
        of_outputs = tf.stack([tape.gradient(loss, outputs) for loss in losses])
        return cls(outputs, tf.stack(losses), of_outputs, tape.gradient(total, model.head_variables))

    @property
    def gramian(self) -> tf.Tensor:
        """Of the gradients on the outputs."""
        return gradients.output_gramian(self.of_outputs)

    def combined(self, weights: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the gradients on the outputs, (b, n_outputs)."""
        return tf.einsum("t,tbn->bn", weights, self.of_outputs)


def weigh_heads(model: MultiTaskModel, weights: tf.Tensor, of_heads: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Gradients on the heads' variables, each times the weight of its head's task."""
    scale = [weights[i] for i, head in enumerate(model.heads.values()) for _ in head.trainable_variables]
    return [gradient * weight for gradient, weight in zip(of_heads, scale, strict=True)]


def differentiation(
    model: MultiTaskModel, weighting: Weighting | Present, gradients_of: str
) -> Callable[[tf.Tensor, Targets], _Step]:
    """The cheapest of the four ways to differentiate that gives the weighting what it uses."""
    if not (weighting.uses_gramian or weighting.uses_gradients):
        return partial(by_weighted_sum, model, weighting)
    if weighting.uses_gradients:
        return partial(by_task_gradients, model, weighting)
    if model.shares_dense_layer_only:
        return partial(by_closed_form, model, weighting, gradients_of)
    return partial(by_task_gradients if gradients_of == PARAMETERS else by_representation, model, weighting)


def apply_where_sound(
    apply: Callable[[list[tf.Tensor]], None], weighting: Weighting | Present, step: _Step
) -> tf.Tensor:
    """A void step leaves parameters, moments and the count of steps alone: one NaN would be in all of them."""

    def do() -> None:
        apply(step.gradients)
        if weighting.uses_gradients:
            weighting.remember(step.by_task)

    sound = step.is_sound()
    tf.cond(sound, do, lambda: None)
    return sound


def compile_steps(
    model: MultiTaskModel, weighting: Weighting, optimizer: keras.Optimizer, gradients_of: str = PARAMETERS
) -> Run:
    """A compiled function that does as many steps as it is handed batches.

    Parameters
    ----------
    model : MultiTaskModel
    weighting : Weighting
    optimizer : keras optimizer
    gradients_of : {"parameters", "representation"}
        What the gradients are taken on that the weighting compares.

    Returns
    -------
    callable
        (features (n, ...), targets by task (n,), positions in them (k, b)) ->
        unweighted losses and weights, both (k, n_tasks). Where something of a step is not
        finite the step is void: its weights are NaN, no parameter moved and no weighting learned.
        A task without a labelled frame in a batch has loss NaN and weight 0 there, whatever else.
    """
    weighting.build([tuple(variable.shape) for variable in model.shared_variables])
    weigh = WhereLabelled(weighting).on if model.is_partial else lambda _: weighting
    apply = stepper(optimizer, model.trained_variables)
    n_tasks = len(model.tasks)

    @tf.function(reduce_retracing=True, autograph=False)  # plain graph code: to convert it takes as long as to trace it
    def run_steps(features: tf.Tensor, targets: Targets, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        n_steps = tf.shape(positions)[0]
        kept = [tf.TensorArray(tf.float32, n_steps, element_shape=(n_tasks,)) for _ in range(2)]  # losses and weights

        def do_one(i: tf.Tensor, losses: tf.TensorArray, weights: tf.TensorArray) -> tuple:
            at = positions[i]
            batch, labels = tf.gather(features, at), {name: tf.gather(one, at) for name, one in targets.items()}
            those = weigh(labels)
            step = differentiation(model, those, gradients_of)(batch, labels)
            sound = apply_where_sound(apply, those, step)
            before = tf.where(sound, step.losses, np.nan)  # from which no weighting learns
            after = tf.stack(forward(model, batch, labels)[1]) if weighting.uses_losses_after else before
            those.update(before, after)
            step_losses, step_weights = step.losses, tf.where(sound, step.weights, np.nan)
            if isinstance(those, Present):
                step_losses, step_weights = those.mark(step_losses, np.nan), those.mark(step_weights, 0.0)
            return i + 1, losses.write(i, step_losses), weights.write(i, step_weights)

        _, losses, weights = tf.while_loop(lambda i, *_: i < n_steps, do_one, (tf.constant(0), *kept))
        return losses.stack(), weights.stack()

    def run(features: tf.Tensor, targets: Targets, positions: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        """Traced once, whatever the number of features and steps."""
        with spent_on(COMPILE):
            traced = run_steps.get_concrete_function(
                tf.TensorSpec((None, *features.shape[1:]), features.dtype),
                {name: tf.TensorSpec((None,), tf.int32) for name in targets},
                tf.TensorSpec((None, positions.shape[1]), tf.int32),
            )
        return traced(features, targets, tf.constant(positions, tf.int32))

    return run
