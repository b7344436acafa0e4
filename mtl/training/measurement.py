"""Compiled measurements of task gradients on batches: Gramians, permuted labels, tried steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mtl.model import gradients

if TYPE_CHECKING:
    from mtl.model.multitask import MultiTaskModel

Targets = Mapping[str, tf.Tensor]


@dataclass(frozen=True)
class Batches:
    """Frames in batches of one size.

    Attributes
    ----------
    features : array of shape (n_batches, batch_size, ...)
    targets : mapping of str to array of shape (n_batches, batch_size)
    """

    features: np.ndarray | tf.Tensor
    targets: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.features)

    def __getitem__(self, i: int) -> tuple[tf.Tensor, Targets]:
        """Feature vectors and targets of one batch."""
        return self.features[i], {name: one[i] for name, one in self.targets.items()}

    def permuted(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The targets, those of every task permuted on their own within each batch."""
        return {name: rng.permuted(one, axis=1) for name, one in self.targets.items()}


@dataclass(frozen=True)
class Measurement:
    """What one epoch's end showed.

    Attributes
    ----------
    gramians : ndarray of shape (n_batches, n_groups, n_tasks, n_tasks)
        Inner products of the task gradients.
    mean_gramian : ndarray of shape (n_tasks, n_tasks)
        Of the gradients averaged over the batches.
    permuted_cosines : ndarray of shape (n_batches, n_tasks, n_tasks), or None
        With gradients of permuted labels; the column's task is the permuted one.
    affinities : ndarray of shape (n_batches, n_tasks, n_tasks), or None
        Feature vectors are sources. Both are NaN in columns, or rows, whose turn it was not.
    """

    gramians: np.ndarray
    mean_gramian: np.ndarray
    permuted_cosines: np.ndarray | None
    affinities: np.ndarray | None


# held-out batches, their permuted targets or None, training batches or None, number of the measurement
Measure = Callable[[Batches, Mapping[str, np.ndarray] | None, Batches | None, int], Measurement]


def compile_on_all(model: MultiTaskModel, affinity_step: float | None) -> Measure:
    """A compiled measurement, whatever is trained, batch by batch.

    Backward passes through a backbone are dear, so on each batch one task has its
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
    shared, groups = model.shared_variables, list(model.layer_groups.values())
    n_tasks = len(model.tasks)

    def losses_of(features: tf.Tensor, labels: Targets) -> list[tf.Tensor]:
        return model.losses(model(features, training=False), labels)

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

    @tf.function(autograph=False)
    def affect(
        losses: tf.Tensor,
        batch: tuple[tf.Tensor, Targets],
        stepped: tuple[tf.Tensor, Targets],
        turn: tf.Tensor,
        step: tf.Tensor,
    ) -> tf.Tensor:
        return affinity(lambda: tf.gather(losses_of(*stepped), turn), lambda: losses_of(*batch), losses, shared, step)

    def measure(
        held: Batches, permuted: Mapping[str, np.ndarray] | None, stepped: Batches | None, number: int
    ) -> Measurement:
        k = len(held)
        gramians = np.empty((k, len(groups), n_tasks, n_tasks), np.float32)
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


def compile_on_dense(model: MultiTaskModel, affinity_step: float | None) -> Measure:
    """A compiled measurement where only the shared dense layer is trained, all batches at once.

    A gradient on that layer is the product of its inputs and the gradient on its
    outputs. So inner products of gradients, and the outputs after a step down one,
    come from inner products of inputs: no gradient on the layer is written out.

    Parameters
    ----------
    model : MultiTaskModel
    affinity_step : float or None

    Returns
    -------
    callable
        As `compile_on_all`, to rounding, with every task's turn on every batch.
    """
    n_tasks = len(model.tasks)

    def output_gradients(outputs: tf.Tensor, labels: Targets) -> tuple[tf.Tensor, tf.Tensor]:
        """Every frame's losses (n_tasks, n_frames) and their gradients (n_tasks, n_frames, n_out).

        From one backward pass: each task has the outputs for itself, so that the sum of
        the losses keeps them apart.
        """
        own = [tf.identity(outputs) for _ in range(n_tasks)]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(own)
            hidden = [model.shared.activation(one) for one in own]
            logits = {name: head(one) for (name, head), one in zip(model.heads.items(), hidden, strict=True)}
            losses = tf.stack(list(model.frame_losses(logits, labels).values()))
            total = tf.reduce_sum(losses)
        return losses, tf.stack(tape.gradient(total, own))

    @tf.function(autograph=False)
    def measure_all(
        features: tf.Tensor, label_sets: list[Targets], stepped: tuple[tf.Tensor, Targets] | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        k, b = features.shape[:2]
        inputs = _flat(features, model)
        outputs = model.shared_outputs(inputs)
        of_frames, of_labels = [outputs] * len(label_sets), list(label_sets)
        if stepped is not None:
            step_inputs = _flat(stepped[0], model)
            of_frames.append(model.shared_outputs(step_inputs))
            of_labels.append(stepped[1])
        labels = {name: tf.concat([tf.reshape(one[name], [-1]) for one in of_labels], 0) for name in model.tasks}
        losses, found = output_gradients(tf.concat(of_frames, 0), labels)  # of all sets' frames
        n_held = k * b * len(label_sets)
        of_sets = tf.reshape(found[:, :n_held] / b, [n_tasks, len(label_sets), k, b, -1])
        by_batch = tf.reshape(tf.transpose(of_sets, [2, 1, 0, 3, 4]), [k, -1, b, found.shape[-1]])
        pieces = (tf.reshape(inputs, [k, b, -1]), by_batch)
        gramians = tf.map_fn(lambda one: gradients.dense_gramian(*one), pieces, fn_output_signature=tf.float32)
        mean = mean_gramian(inputs, found[:, : k * b] / (k * b))
        if stepped is None:
            return gramians, mean, None
        before = tf.reduce_mean(tf.reshape(losses[:, : k * b], [n_tasks, k, b]), axis=2)
        step = step_size(affinity_step or 0.0, before, gramians[:, :n_tasks, :n_tasks])
        change = output_change(pieces[0], step_inputs, found[:, n_held:] / stepped[0].shape[1])
        after = losses_of(outputs - step * tf.reshape(change, [n_tasks, k * b, -1]), label_sets[0])
        return gramians, mean, tf.transpose(_relative_gain(before[:, None], after), [2, 1, 0])

    def mean_gramian(inputs: tf.Tensor, of_tasks: tf.Tensor) -> tf.Tensor:
        if inputs.shape[0] <= inputs.shape[1]:
            return gradients.dense_gramian(inputs, of_tasks)
        # with more frames than inputs the gradients themselves are the smaller arrays
        return gradients.gramian([gradients.dense_gradients(inputs, one) for one in tf.unstack(of_tasks)])

    def output_change(inputs: tf.Tensor, step_inputs: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        """What a step of size 1 up each task's gradient adds to the outputs for inputs (k, b, n_in)."""
        k, _, n_in = inputs.shape
        alike = tf.matmul(inputs, tf.reshape(step_inputs, [k, -1, n_in]), transpose_b=True)
        alike += 1  # for the bias, whose input is always 1
        return tf.matmul(alike, tf.reshape(found, [n_tasks, k, -1, found.shape[-1]]))  # (n_tasks, k, b, n_out)

    def losses_of(outputs: tf.Tensor, labels: Targets) -> tf.Tensor:
        """Mean losses (n_tasks, n_sources, n_batches) from outputs (n_sources, n_frames, n_out)."""
        n_sources, (k, b) = outputs.shape[0], next(iter(labels.values())).shape
        tiled = {name: tf.tile(tf.reshape(one, [-1]), [n_sources]) for name, one in labels.items()}
        logits = model.from_shared(tf.reshape(outputs, [-1, outputs.shape[-1]]), training=False)
        of_frames = tf.stack(list(model.frame_losses(logits, tiled).values()))
        return tf.reduce_mean(tf.reshape(of_frames, [n_tasks, n_sources, k, b]), axis=3)

    def measure(
        held: Batches, permuted: Mapping[str, np.ndarray] | None, stepped: Batches | None, number: int
    ) -> Measurement:
        step = None if stepped is None else (stepped.features, stepped.targets)
        gramians, mean, gains = measure_all(held.features, [held.targets, *([permuted] if permuted else [])], step)
        baselines = None if permuted is None else cosines(gramians.numpy())[:, :n_tasks, n_tasks:]
        own = gramians.numpy()[:, None, :n_tasks, :n_tasks]
        return Measurement(own, mean.numpy(), baselines, None if gains is None else gains.numpy())

    return measure


def _flat(features: tf.Tensor, model: MultiTaskModel) -> tf.Tensor:
    """Inputs of the shared layer (n_frames, n_in) of features in batches."""
    return model.trained(tf.reshape(features, [-1, *features.shape[2:]]), training=False)


def step_size(share: float, losses: tf.Tensor, gramians: tf.Tensor) -> tf.Tensor:
    """Size of a plain gradient step by which tasks lose about a share of their losses.

    To first order a step for itself takes eta |g_i|^2 from L_i, so eta is the share of
    all losses over all squared lengths. One size for all tasks and batches: long
    gradients stay long steps. A fixed size would be lost in rounding for one backbone
    and overshoot for another, whose gradients are a hundred times as long.

    Parameters
    ----------
    share : float
    losses : array of shape (n_batches, n_tasks)
    gramians : array of shape (n_batches, n_tasks, n_tasks)

    Returns
    -------
    float32 scalar tensor
        0 where all gradients are zero.
    """
    squares = tf.reduce_sum(tf.linalg.trace(gramians))
    return share * tf.math.divide_no_nan(tf.reduce_sum(losses), squares)


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
    return _relative_gain(before, after)


def _relative_gain(before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """1 - after / before; NaN where there was nothing to gain."""
    return tf.where(before == 0, np.float32(np.nan), 1 - after / tf.where(before == 0, 1.0, before))


def cosines(gramians: np.ndarray) -> np.ndarray:
    """Cosines (..., n, n) of inner products (..., n, n); NaN where a gradient is zero."""
    length = np.sqrt(np.diagonal(gramians, axis1=-2, axis2=-1).astype(np.float64))
    product = length[..., :, None] * length[..., None, :]
    with np.errstate(invalid="ignore"):  # of infinite lengths
        return np.divide(gramians, product, out=np.full(product.shape, np.nan), where=product > 0)
