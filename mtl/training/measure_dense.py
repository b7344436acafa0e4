"""Task gradients measured on all batches at once, where only the shared dense layer is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mtl.model import gradients
from mtl.model.stacked_heads import ByKind, Taken, side_by_side
from mtl.relations.gramians import cosines
from mtl.tasks import UNLABELLED
from mtl.training.measure_updates import dense_update_rates, dense_where_labelled
from mtl.training.measurement import Batches, Measure, Measurement, relative_gain, step_size

if TYPE_CHECKING:
    from mtl.model.multitask import MultiTaskModel


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
        As `mtl.training.measure_batchwise.compile_on_all`, to rounding, with every
        task's turn on every batch.
    """
    measure_all = tf.function(partial(_measure_all, model, affinity_step or 0.0), autograph=False)

    def measure(
        held: Batches,
        permuted: Mapping[str, np.ndarray] | None,
        stepped: Batches | None,
        number: int,
        scale: Sequence[tf.Tensor] | None = None,
    ) -> Measurement:
        n_tasks, by_kind = len(model.tasks), model.by_kind
        features, step_features = tf.convert_to_tensor(held.features), None
        label_sets = tf.stack([_by_task(model, one) for one in (held.targets, *([permuted] if permuted else []))])
        given = [features, label_sets, by_kind.tensors()[:2]]
        specs = [_spec(features), _spec(label_sets, 1), ByKind.specs()[:2]]
        if stepped is not None:
            step_features, step_labels = tf.convert_to_tensor(stepped.features), _by_task(model, stepped.targets)
            given += [step_features, step_labels, *(scale or [])]
            specs += [_spec(step_features), _spec(step_labels, 0), *map(_spec, scale or [])]
        numbers = (one.numpy() for one in measure_all.get_concrete_function(*specs)(*given))
        gramians, mean, gains, rates = (*(_in_set_order(one, by_kind.positions) for one in numbers), None, None)[:4]
        if rates is not None and stepped is not None and model.is_partial:
            rates = dense_where_labelled(rates, held, stepped)
        baselines = None if permuted is None else cosines(gramians)[:, :n_tasks, n_tasks:]
        own = gramians[:, None, :n_tasks, :n_tasks]
        return Measurement(own, mean, baselines, gains, rates)

    return measure


def _by_task(model: MultiTaskModel, targets: Mapping[str, np.ndarray]) -> tf.Tensor:
    """Targets (n_tasks, k, b) of batches, kind by kind of the tasks' heads."""
    names = list(model.tasks)
    return tf.stack([tf.cast(targets[names[i]], tf.int32) for i in model.by_kind.order])


def _in_set_order(found: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Numbers (..., n_rows, n_rows) with the tasks in the set's order; of several label sets each in turn."""
    n_sets = found.shape[-1] // len(positions)
    at = np.concatenate([positions + i * len(positions) for i in range(n_sets)])
    return found[..., at[:, None], at]


def _spec(tensor: tf.Tensor, of_tasks: int | None = None) -> tf.TensorSpec:
    """What a graph for any number of tasks knows of a tensor that has them along this axis."""
    shape = [None if axis == of_tasks else n for axis, n in enumerate(tensor.shape)]
    return tf.TensorSpec(shape, tensor.dtype)


def _measure_all(
    model: MultiTaskModel,
    affinity_step: float,
    features: tf.Tensor,
    label_sets: tf.Tensor,
    counts_and_rows: Sequence[tf.Tensor],
    step_features: tf.Tensor | None = None,
    step_labels: tf.Tensor | None = None,
    *scale: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Gramians of the batches, of the mean gradients, and affinities and update rates where there are steps to try.

    Labels are (n_sets, n_tasks, k, b) and (n_tasks, k, b); tasks go kind by kind of their heads, here and in what
    comes out. The Gramians have the tasks of every label set, one set after the other.
    """
    n_tasks, n_sets, (k, b) = tf.shape(label_sets)[1], label_sets.shape[0], features.shape[:2]
    inputs, heads = _flat(features, model), model.stacked.taken(*counts_and_rows)
    outputs = model.shared_outputs(inputs)
    of_frames, of_labels = [outputs] * n_sets, tf.unstack(label_sets)
    if step_labels is not None:
        step_inputs = _flat(step_features, model)
        of_frames.append(model.shared_outputs(step_inputs))
        of_labels.append(step_labels)
    labels = tf.concat([_in_a_row(one) for one in of_labels], 1)
    losses, found = output_gradients(model, tf.concat(of_frames, 0), labels, heads)  # of all sets' frames
    if model.is_partial:
        share = tf.concat([_frames_per_label(_in_a_row(one), one.shape[2]) for one in of_labels], axis=1)
        losses, found = losses * share, found * share[:, :, None]
    n_held, n_out = k * b * n_sets, outputs.shape[-1]
    of_sets = tf.reshape(found[:, :n_held] / b, [-1, n_sets, k, b, n_out])
    by_batch = tf.reshape(tf.transpose(of_sets, [2, 1, 0, 3, 4]), [k, -1, b, n_out])
    pieces = (tf.reshape(inputs, [k, b, -1]), by_batch)
    gramians = tf.map_fn(lambda one: gradients.dense_gramian(*one), pieces, fn_output_signature=tf.float32)
    mean = mean_gramian(inputs, found[:, : k * b] / (k * b))
    if step_labels is None:
        return gramians, mean
    before = tf.reduce_mean(tf.reshape(losses[:, : k * b], [-1, k, b]), axis=2)
    step = step_size(affinity_step, before, gramians[:, :n_tasks, :n_tasks])
    change = output_change(pieces[0], step_inputs, found[:, n_held:] / step_labels.shape[2])
    stepped = outputs - step * tf.reshape(change, [-1, k * b, n_out])
    after = mean_losses(model, stepped, label_sets[0], heads)
    gains = tf.transpose(relative_gain(before[:, None], after), [2, 1, 0])
    if not scale:
        return gramians, mean, gains
    source = (step_inputs, found[:, n_held:] / step_inputs.shape[0])
    return gramians, mean, gains, dense_update_rates((pieces[0], of_sets[:, 0]), source, scale)


def output_gradients(
    model: MultiTaskModel, outputs: tf.Tensor, labels: tf.Tensor, heads: Taken
) -> tuple[tf.Tensor, tf.Tensor]:
    """Every frame's losses (n_tasks, n_frames) and their gradients (n_tasks, n_frames, n_out).

    From one backward pass over the heads, which keeps tasks apart: an output reaches its own
    hidden unit alone, by the same factor for every task.
    """
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(outputs)
        hidden = model.shared.activation(outputs)
        logits = heads.logits(hidden)
        tape.watch(logits)
        by_kind = heads.losses(logits, tf.transpose(labels), model.is_partial)
        total, reached = tf.add_n([tf.reduce_sum(one) for one in by_kind]), tf.reduce_sum(hidden)
    of_hidden = heads.of_hidden(tape.gradient(total, logits))
    return _by_head(by_kind), of_hidden * tape.gradient(reached, outputs)


def _by_head(by_kind: Sequence[tf.Tensor]) -> tf.Tensor:
    """Values (n_tasks, n) of those of each kind, (n, k)."""
    return side_by_side([tf.transpose(one) for one in by_kind])


def mean_gramian(inputs: tf.Tensor, of_tasks: tf.Tensor) -> tf.Tensor:
    """Gramian of the gradients averaged over all frames, from output gradients (n_tasks, n_frames, n_out)."""
    if inputs.shape[0] <= inputs.shape[1]:
        return gradients.dense_gramian(inputs, of_tasks)
    # with more frames than inputs the gradients themselves are the smaller arrays
    kernels = tf.einsum("ni,tno->tio", inputs, of_tasks)
    flat = tf.reshape(kernels, [-1, kernels.shape[1] * kernels.shape[2]])
    of_biases = tf.reduce_sum(of_tasks, axis=1)
    return tf.matmul(flat, flat, transpose_b=True) + tf.matmul(of_biases, of_biases, transpose_b=True)


def output_change(inputs: tf.Tensor, step_inputs: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    """What a step of size 1 up each task's gradient adds to the outputs for inputs (k, b, n_in)."""
    k, _, n_in = inputs.shape
    alike = tf.matmul(inputs, tf.reshape(step_inputs, [k, -1, n_in]), transpose_b=True)
    alike += 1  # for the bias, whose input is always 1
    b = step_inputs.shape[0] // k
    return tf.matmul(alike, tf.reshape(found, [-1, k, b, found.shape[-1]]))  # (n_tasks, k, b, n_out)


def mean_losses(model: MultiTaskModel, outputs: tf.Tensor, labels: tf.Tensor, heads: Taken) -> tf.Tensor:
    """Mean losses (n_tasks, n_sources, k) from outputs (n_sources, n_frames, n_out) and labels (n_tasks, k, b)."""
    n_sources, (k, b) = tf.shape(outputs)[0], labels.shape[1:]
    tiled = tf.tile(_in_a_row(labels), [1, n_sources])
    hidden = model.shared.activation(tf.reshape(outputs, [-1, outputs.shape[-1]]))
    of_frames = _by_head(heads.losses(heads.logits(hidden), tf.transpose(tiled), model.is_partial))
    if model.is_partial:
        of_frames *= _frames_per_label(tiled, b)
    return tf.reduce_mean(tf.reshape(of_frames, [tf.shape(labels)[0], n_sources, k, b]), axis=3)


def _frames_per_label(labels: tf.Tensor, batch_size: int) -> tf.Tensor:
    """By task and frame (n_tasks, n_frames), frames of its batch over labelled ones.

    A mean over all frames of values times it is over the labelled ones. 1 where a batch has no
    labelled frame of the task.
    """
    n_tasks = tf.shape(labels)[0]
    known = tf.reshape(labels != UNLABELLED, [n_tasks, -1, batch_size])
    counts = tf.reduce_sum(tf.cast(known, tf.float32), axis=2)  # (n_tasks, n_batches)
    return tf.repeat(tf.where(counts > 0, batch_size / tf.maximum(counts, 1), 1.0), batch_size, axis=1)


def _in_a_row(labels: tf.Tensor) -> tf.Tensor:
    """Labels (n_tasks, k * b) of labels in batches (n_tasks, k, b)."""
    return tf.reshape(labels, [-1, labels.shape[1] * labels.shape[2]])


def _flat(features: tf.Tensor, model: MultiTaskModel) -> tf.Tensor:
    """Inputs of the shared layer (n_frames, n_in) of features in batches."""
    return model.trained(tf.reshape(features, [-1, *features.shape[2:]]), training=False)
