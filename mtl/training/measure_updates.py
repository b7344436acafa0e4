"""What the part of an update that comes from one task takes, per step, from every task's held-out loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mtl.training.measurement import Batches


def dense_update_rates(
    held: tuple[tf.Tensor, tf.Tensor], source: tuple[tf.Tensor, tf.Tensor], scale: Sequence[tf.Tensor]
) -> tf.Tensor:
    """First-order drop of held-out losses by one step of weight 1, where only a dense layer is trained and shared.

    A gradient on the layer is the product of its inputs and the gradient on its outputs. The scaled one of
    each source changes the outputs for the held-out inputs; what that does to a loss is a product again.

    Parameters
    ----------
    held : (tensor (k, b, n_in), tensor (n_tasks, k, b, n_out))
        Inputs of k held-out batches, and the gradients of every task's batch-mean loss on the layer's outputs.
    source : (tensor (n, n_in), tensor (n_tasks, n, n_out))
        The same of training frames, of every task's mean loss over all of them.
    scale : sequence of tensors
        See `mtl.training.update_scale.update_scale`, of kernel and bias.

    Returns
    -------
    float32 tensor of shape (k, n_tasks, n_tasks)
        Row = source, column = recipient; positive where the loss falls.
    """
    (inputs, found), (source_inputs, of_source) = held, source
    (k, b, n_in), n_tasks, n_out = inputs.shape, tf.shape(of_source)[0], of_source.shape[2]
    side_by_side = tf.reshape(tf.transpose(of_source, [1, 0, 2]), [-1, n_tasks * n_out])
    kernels = tf.reshape(tf.matmul(source_inputs, side_by_side, transpose_a=True), [n_in, n_tasks, n_out])
    kernels *= tf.broadcast_to(scale[0], [n_in, n_out])[:, None]
    biases = tf.reduce_sum(of_source, axis=1) * scale[1]  # (n_tasks, n_out)
    moved = tf.matmul(tf.reshape(inputs, [-1, n_in]), tf.reshape(kernels, [n_in, n_tasks * n_out]))
    moved = tf.reshape(moved, [k, b, n_tasks, n_out]) + biases
    return tf.einsum("kbsn,rkbn->ksr", moved, found)


def dense_where_labelled(rates: np.ndarray, held: Batches, stepped: Batches) -> np.ndarray:
    """Rates (k, n_tasks, n_tasks) of `dense_update_rates`; NaN where a batch has no labelled frame of the recipient.

    A source's gradient is the mean over the training batches that have labelled frames of it.
    """
    share = np.where(stepped.present.any(axis=0), stepped.present.mean(axis=0), np.nan)
    return np.where(held.present[:, None, :], rates / share[:, None], np.nan)
