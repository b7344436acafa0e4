"""Task gradients measured on all batches at once, where only the shared dense layer is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mtl.model import gradients
from mtl.relations.gramians import cosines
from mtl.tasks import UNLABELLED
from mtl.training.measure_updates import dense_update_rates, dense_where_labelled
from mtl.training.measurement import Batches, Measure, Measurement, relative_gain, step_size

if TYPE_CHECKING:
    from mtl.model.multitask import MultiTaskModel, Targets


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
    n_tasks = len(model.tasks)

    @tf.function(autograph=False)
    def measure_all(
        features: tf.Tensor,
        label_sets: list[Targets],
        stepped: tuple[tf.Tensor, Targets] | None,
        scale: Sequence[tf.Tensor] | None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
        return _measure_all(model, affinity_step or 0.0, features, label_sets, stepped, scale)

    def measure(
        held: Batches,
        permuted: Mapping[str, np.ndarray] | None,
        stepped: Batches | None,
        number: int,
        scale: Sequence[tf.Tensor] | None = None,
    ) -> Measurement:
        step = None if stepped is None else (stepped.features, stepped.targets)
        sets = [held.targets, *([permuted] if permuted else [])]
        gramians, mean, gains, drops = measure_all(held.features, sets, step, scale)
        rates = None if drops is None else drops.numpy()
        if rates is not None and stepped is not None and model.is_partial:
            rates = dense_where_labelled(rates, held, stepped)
        baselines = None if permuted is None else cosines(gramians.numpy())[:, :n_tasks, n_tasks:]
        own = gramians.numpy()[:, None, :n_tasks, :n_tasks]
        return Measurement(own, mean.numpy(), baselines, None if gains is None else gains.numpy(), rates)

    return measure


def _measure_all(
    model: MultiTaskModel,
    affinity_step: float,
    features: tf.Tensor,
    label_sets: Sequence[Targets],
    stepped: tuple[tf.Tensor, Targets] | None,
    scale: Sequence[tf.Tensor] | None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
    """Gramians of the batches, of the mean gradients, and affinities and update rates where there are steps to try.

    The Gramians have the tasks of every label set, one set after the other.
    """
    n_tasks, (k, b) = len(model.tasks), features.shape[:2]
    inputs = _flat(features, model)
    outputs = model.shared_outputs(inputs)
    of_frames, of_labels = [outputs] * len(label_sets), list(label_sets)
    if stepped is not None:
        step_inputs = _flat(stepped[0], model)
        of_frames.append(model.shared_outputs(step_inputs))
        of_labels.append(stepped[1])
    labels = {name: tf.concat([tf.reshape(one[name], [-1]) for one in of_labels], 0) for name in model.tasks}
    losses, found = output_gradients(model, tf.concat(of_frames, 0), labels)  # of all sets' frames
    if model.is_partial:
        sizes = [b] * len(label_sets) + ([stepped[0].shape[1]] if stepped is not None else [])
        share = tf.concat([_frames_per_label(model, *each) for each in zip(of_labels, sizes, strict=True)], axis=1)
        losses, found = losses * share, found * share[:, :, None]
    n_held = k * b * len(label_sets)
    of_sets = tf.reshape(found[:, :n_held] / b, [n_tasks, len(label_sets), k, b, -1])
    by_batch = tf.reshape(tf.transpose(of_sets, [2, 1, 0, 3, 4]), [k, -1, b, found.shape[-1]])
    pieces = (tf.reshape(inputs, [k, b, -1]), by_batch)
    gramians = tf.map_fn(lambda one: gradients.dense_gramian(*one), pieces, fn_output_signature=tf.float32)
    mean = mean_gramian(inputs, found[:, : k * b] / (k * b))
    if stepped is None:
        return gramians, mean, None, None
    before = tf.reduce_mean(tf.reshape(losses[:, : k * b], [n_tasks, k, b]), axis=2)
    step = step_size(affinity_step, before, gramians[:, :n_tasks, :n_tasks])
    change = output_change(pieces[0], step_inputs, found[:, n_held:] / stepped[0].shape[1])
    after = mean_losses(model, outputs - step * tf.reshape(change, [n_tasks, k * b, -1]), label_sets[0])
    gains = tf.transpose(relative_gain(before[:, None], after), [2, 1, 0])
    if scale is None:
        return gramians, mean, gains, None
    source = (step_inputs, found[:, n_held:] / step_inputs.shape[0])
    return gramians, mean, gains, dense_update_rates((pieces[0], of_sets[:, 0]), source, scale)


def output_gradients(model: MultiTaskModel, outputs: tf.Tensor, labels: Targets) -> tuple[tf.Tensor, tf.Tensor]:
    """Every frame's losses (n_tasks, n_frames) and their gradients (n_tasks, n_frames, n_out).

    From one backward pass: each task has the outputs for itself, so that the sum of
    the losses keeps them apart.
    """
    own = [tf.identity(outputs) for _ in model.tasks]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(own)
        hidden = [model.shared.activation(one) for one in own]
        logits = {name: head(one) for (name, head), one in zip(model.heads.items(), hidden, strict=True)}
        losses = tf.stack(list(model.frame_losses(logits, labels).values()))
        total = tf.reduce_sum(losses)
    return losses, tf.stack(tape.gradient(total, own))


def mean_gramian(inputs: tf.Tensor, of_tasks: tf.Tensor) -> tf.Tensor:
    """Gramian of the gradients averaged over all frames, from output gradients (n_tasks, n_frames, n_out)."""
    if inputs.shape[0] <= inputs.shape[1]:
        return gradients.dense_gramian(inputs, of_tasks)
    # with more frames than inputs the gradients themselves are the smaller arrays
    return gradients.gramian([gradients.dense_gradients(inputs, one) for one in tf.unstack(of_tasks)])


def output_change(inputs: tf.Tensor, step_inputs: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    """What a step of size 1 up each task's gradient adds to the outputs for inputs (k, b, n_in)."""
    k, _, n_in = inputs.shape
    alike = tf.matmul(inputs, tf.reshape(step_inputs, [k, -1, n_in]), transpose_b=True)
    alike += 1  # for the bias, whose input is always 1
    return tf.matmul(alike, tf.reshape(found, [found.shape[0], k, -1, found.shape[-1]]))  # (n_tasks, k, b, n_out)


def mean_losses(model: MultiTaskModel, outputs: tf.Tensor, labels: Targets) -> tf.Tensor:
    """Mean losses (n_tasks, n_sources, n_batches) from outputs (n_sources, n_frames, n_out)."""
    n_sources, (k, b) = outputs.shape[0], next(iter(labels.values())).shape
    tiled = {name: tf.tile(tf.reshape(one, [-1]), [n_sources]) for name, one in labels.items()}
    logits = model.from_shared(tf.reshape(outputs, [-1, outputs.shape[-1]]), training=False)
    of_frames = tf.stack(list(model.frame_losses(logits, tiled).values()))
    if model.is_partial:
        of_frames *= _frames_per_label(model, tiled, b)
    return tf.reduce_mean(tf.reshape(of_frames, [len(model.tasks), n_sources, k, b]), axis=3)


def _frames_per_label(model: MultiTaskModel, labels: Targets, batch_size: int) -> tf.Tensor:
    """By task and frame (n_tasks, n_frames), frames of its batch over labelled ones.

    A mean over all frames of values times it is over the labelled ones. 1 where a batch has no
    labelled frame of the task.
    """
    known = [tf.reshape(labels[name] != UNLABELLED, [-1, batch_size]) for name in model.tasks]
    counts = tf.reduce_sum(tf.cast(tf.stack(known), tf.float32), axis=2)  # (n_tasks, n_batches)
    return tf.repeat(tf.where(counts > 0, batch_size / tf.maximum(counts, 1), 1.0), batch_size, axis=1)


def _flat(features: tf.Tensor, model: MultiTaskModel) -> tf.Tensor:
    """Inputs of the shared layer (n_frames, n_in) of features in batches."""
    return model.trained(tf.reshape(features, [-1, *features.shape[2:]]), training=False)
