"""Task gradients measured batch by batch, whatever is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mtl.model import gradients
from mtl.relations.gramians import cosines
from mtl.training.measurement import Batches, Measure, Measurement, relative_gain, step_size

if TYPE_CHECKING:
    from mtl.model.multitask import MultiTaskModel, Targets


def compile_on_all(model: MultiTaskModel, affinity_step: float | None) -> Measure:
    """A compiled measurement, whatever is trained, batch by batch.

    Backward passes through a backbone are expensive, so on each batch one task has its
    turn to be permuted and to be stepped for. Another batch is another's turn, and the
    next time all turns move on by one: in as many measurements as there are tasks every
    batch has seen every task.

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
    shared, n_groups, n_tasks = model.shared_variables, len(model.layer_groups), len(model.tasks)
    compare, affect = _compile_comparison(model), _compile_affinity(model)

    def measure(
        held: Batches, permuted: Mapping[str, np.ndarray] | None, stepped: Batches | None, number: int
    ) -> Measurement:
        k = len(held)
        gramians = np.empty((k, n_groups, n_tasks, n_tasks), np.float32)
        losses = np.empty((k, n_tasks), np.float32)
        baselines, affinities = np.full((2, k, n_tasks, n_tasks), np.nan)
        turns = [tf.constant((number + i) % n_tasks) for i in range(k)]
        totals = [[tf.zeros_like(variable) for variable in shared] for _ in range(n_tasks)]
        for i, turn in enumerate(turns):
            wrong = None if permuted is None else {name: one[i] for name, one in permuted.items()}
            losses[i], found, totals = compare(*held[i], wrong, turn, totals)
            gramians[i] = found[:, :n_tasks, :n_tasks]
            if permuted is not None:
                baselines[i, :, int(turn)] = cosines(found.numpy().sum(axis=0))[:n_tasks, n_tasks]
        if stepped is not None and affinity_step is not None:
            step = step_size(affinity_step, losses, gramians.sum(axis=1))
            for i, turn in enumerate(turns):
                affinities[i, int(turn)] = affect(tf.constant(losses[i]), held[i], stepped[i], turn, step)
        mean = gradients.gramian(totals).numpy() / k**2
        return Measurement(
            gramians, mean, None if permuted is None else baselines, None if stepped is None else affinities
        )

    return measure


def _compile_comparison(model: MultiTaskModel) -> Callable:
    """What compares the tasks' gradients on one batch, in graph."""
    shared, groups, n_tasks = model.shared_variables, list(model.layer_groups.values()), len(model.tasks)

    @tf.function(autograph=False)
    def compare(
        features: tf.Tensor, labels: Targets, permuted: Targets | None, turn: tf.Tensor, totals: list[list[tf.Tensor]]
    ) -> tuple[tf.Tensor, tf.Tensor, list[list[tf.Tensor]]]:
        """Losses, Gramian by layer group with the permuted task last, and running sums of the tasks' gradients."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(shared)
            logits = model(features, training=False)
            losses = model.losses(logits, labels)
            wrong = [] if permuted is None else [tf.gather(model.losses(logits, permuted), turn)]
        found = gradients.task_gradients(tape, [*losses, *wrong], shared)
        by_group = [gradients.gramian([[one[i] for i in group] for one in found]) for group in groups]
        sums = [[a + b for a, b in zip(*both, strict=True)] for both in zip(totals, found[:n_tasks], strict=True)]
        return tf.stack(losses), tf.stack(by_group), sums

    return compare


def _compile_affinity(model: MultiTaskModel) -> Callable:
    """What steps for one task on one batch and looks at every task's loss on another, in graph."""
    shared = model.shared_variables

    def losses_of(features: tf.Tensor, labels: Targets) -> list[tf.Tensor]:
        return model.losses(model(features, training=False), labels)

    @tf.function(autograph=False)
    def affect(
        losses: tf.Tensor,
        batch: tuple[tf.Tensor, Targets],
        stepped: tuple[tf.Tensor, Targets],
        turn: tf.Tensor,
        step: tf.Tensor,
    ) -> tf.Tensor:
        return affinity(lambda: tf.gather(losses_of(*stepped), turn), lambda: losses_of(*batch), losses, shared, step)

    return affect


def affinity(
    step_loss: Callable[[], tf.Tensor],
    other_losses: Callable[[], Sequence[tf.Tensor]],
    before: tf.Tensor,
    shared: Sequence[tf.Variable],
    step: float | tf.Tensor,
) -> tf.Tensor:
    """Share of each task's loss that a plain step down one task's gradient takes away.

    Heads are not stepped, and the shared variables are put back as they were.

    Parameters
    ----------
    step_loss : callable
        Gives the source's loss on the batch that the gradient comes from.
    other_losses : callable
        Gives every task's loss on the batch that is judged by.
    before : tensor of shape (n_tasks,)
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
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(list(shared))
        loss = step_loss()
    (found,) = gradients.task_gradients(tape, [loss], shared)
    saved = [tf.identity(variable) for variable in shared]
    for variable, value, gradient in zip(shared, saved, found, strict=True):
        variable.assign(value - step * gradient)
    after = tf.stack(other_losses())
    for variable, value in zip(shared, saved, strict=True):
        variable.assign(value)
    return relative_gain(before, after)
