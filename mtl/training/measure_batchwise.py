"""Task gradients measured batch by batch, whatever is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mtl.relations.gramians import cosines
from mtl.training.measurement import Batches, Measure, Measurement, relative_gain, step_size

if TYPE_CHECKING:
    from mtl.model.multitask import MultiTaskModel, Targets


def compile_on_all(model: MultiTaskModel, affinity_step: float | None) -> Measure:
    """A compiled measurement, whatever is trained, batch by batch.

    Backward passes through a backbone are expensive, so on each batch one task has its
    turn to be permuted. Another batch is another's turn, and the next time all turns move on by one: in as many
    measurements as there are tasks every batch has seen every task. Gradients of training batches come from the
    function that gives those of held-out ones, and losses after a step from the one that validates: little is traced.

    Parameters
    ----------
    model : MultiTaskModel
    affinity_step : float or None

    Returns
    -------
    callable
        (held-out batches, their permuted targets or None, training batches or None,
        number of the measurement, from 0) -> Measurement.
    """
    groups, n_tasks = list(model.layer_groups.values()), len(model.tasks)
    differentiate = _compile_gradients(model, groups)

    def measure(
        held: Batches, permuted: Mapping[str, np.ndarray] | None, stepped: Batches | None, number: int
    ) -> Measurement:
        k = len(held)
        gramians = np.empty((k, len(groups), n_tasks, n_tasks), np.float32)
        losses, baselines = np.empty((k, n_tasks), np.float32), np.full((k, n_tasks, n_tasks), np.nan)
        totals: list[tf.Tensor] = []
        for i in range(k):
            turn = (number + i) % n_tasks
            wrong = None if permuted is None else {name: one[i] for name, one in permuted.items()}
            losses[i], found = differentiate(*held[i], wrong, turn)
            of_groups = np.stack([tf.matmul(rows, rows, transpose_b=True) for rows in found])
            gramians[i] = of_groups[:, :n_tasks, :n_tasks]
            if permuted is not None:
                baselines[i, :, turn] = cosines(of_groups.sum(axis=0))[:n_tasks, n_tasks]
            own = [rows[:n_tasks] for rows in found]
            totals = [a + b for a, b in zip(totals, own, strict=True)] if totals else own
        mean = sum(tf.matmul(rows, rows, transpose_b=True).numpy() for rows in totals) / k**2
        gains = None
        if stepped is not None and affinity_step is not None:
            step = step_size(affinity_step, losses, gramians.sum(axis=1))
            gains = np.empty((k, n_tasks, n_tasks))
            for i in range(k):
                features, labels = stepped[i]
                _, found = differentiate(features, labels, None if permuted is None else labels, 0)
                gains[i] = _affinities(model, groups, found, held[i], losses[i], step)
        return Measurement(gramians, mean, None if permuted is None else baselines, gains)

    return measure


def _compile_gradients(model: MultiTaskModel, groups: Sequence[Sequence[int]]) -> Callable:
    """What gives losses (n_tasks,) of a batch of any size and, by layer group, the tasks' gradients as rows.

    Where there are permuted labels the last row is of the task whose turn it is.
    """
    shared = model.shared_variables

    def differentiate(
        features: tf.Tensor, labels: Targets, wrong: Targets | None, turn: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(shared)
            outputs = model.shared_outputs(model.trained(features, training=False))
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as of_heads:
            of_heads.watch(outputs)
            logits = model.from_shared(outputs, training=False)
            losses = model.losses(logits, labels)
            permuted = [] if wrong is None else [tf.gather(model.losses(logits, wrong), turn)]

        @tf.function(autograph=False)  # traced once for all tasks: a trace takes as long as several batches
        def backward(of_outputs: tf.Tensor) -> list[tf.Tensor]:
            zero = tf.UnconnectedGradients.ZERO
            found = tape.gradient(outputs, shared, output_gradients=of_outputs, unconnected_gradients=zero)
            flat = [tf.reshape(tf.cast(one, tf.float32), [-1]) for one in found]
            return [tf.concat([flat[i] for i in group], axis=0) for group in groups]

        rows = [backward(of_heads.gradient(loss, outputs)) for loss in [*losses, *permuted]]
        return tf.stack(losses), [tf.stack(of_group) for of_group in zip(*rows, strict=True)]

    compiled = tf.function(differentiate, autograph=False)

    def run(
        features: tf.Tensor, labels: Targets, wrong: Targets | None, turn: int
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Traced once, whatever the number of frames."""
        spec = {name: tf.TensorSpec((None,), tf.int32) for name in labels}
        of_frames = tf.TensorSpec((None, *features.shape[1:]), features.dtype)
        traced = compiled.get_concrete_function(
            of_frames, spec, None if wrong is None else spec, tf.TensorSpec((), tf.int32)
        )
        permuted = None if wrong is None else _tensors(wrong)
        losses, rows = traced(tf.convert_to_tensor(features), _tensors(labels), permuted, tf.constant(turn))
        return losses, rows

    return run


def _tensors(labels: Targets) -> dict[str, tf.Tensor]:
    return {name: tf.cast(one, tf.int32) for name, one in labels.items()}


def _affinities(
    model: MultiTaskModel,
    groups: Sequence[Sequence[int]],
    found: Sequence[tf.Tensor],
    held: tuple[tf.Tensor, Targets],
    before: np.ndarray,
    step: tf.Tensor,
) -> np.ndarray:
    """What a step for each task does to all tasks' losses on a held-out batch, (n_tasks, n_tasks), by source."""
    shared, (features, labels) = model.shared_variables, held

    def losses() -> list[tf.Tensor]:
        return model.losses(model.inferred(np.asarray(features)), labels)

    gains = np.empty((len(before), len(before)))
    for source in range(len(before)):
        gradient: list[tf.Tensor] = [None] * len(shared)
        for group, rows in zip(groups, found, strict=True):
            sizes = [int(np.prod(shared[i].shape)) for i in group]
            for i, part in zip(group, tf.split(rows[source], sizes), strict=True):
                gradient[i] = tf.reshape(part, shared[i].shape)
        gains[source] = affinity(gradient, losses, before, shared, step)
    return gains


def affinity(
    gradient: Sequence[tf.Tensor],
    losses: Callable[[], Sequence[tf.Tensor]],
    before: tf.Tensor | np.ndarray,
    shared: Sequence[tf.Variable],
    step: float | tf.Tensor,
) -> tf.Tensor:
    """Share of each task's loss that a plain step down one task's gradient takes away.

    Heads are not stepped, and the shared variables are put back as they were.

    Parameters
    ----------
    gradient : sequence of tensors
        The source's, by variable.
    losses : callable
        Gives every task's loss on the batch that is judged by.
    before : array of shape (n_tasks,)
        Those losses as they are.
    shared : sequence of tf.Variable
    step : float

    Returns
    -------
    float32 tensor of shape (n_tasks,)
        1 - L_j(theta - step g) / L_j(theta). NaN where a loss is zero to begin with.

    References
    ----------
    Fifty et al., Efficiently identifying task groupings for multi-task learning, NeurIPS 2021, eq. 1.
    """
    saved = [tf.identity(variable) for variable in shared]
    try:
        for variable, value, one in zip(shared, saved, gradient, strict=True):
            variable.assign(value - tf.cast(step * one, value.dtype))
        after = tf.stack(losses())
    finally:
        for variable, value in zip(shared, saved, strict=True):
            variable.assign(value)
    return relative_gain(tf.convert_to_tensor(before), after)
