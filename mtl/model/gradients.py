"""Gradients of each task on the shared variables, and their Gramian."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def task_gradients(
    tape: tf.GradientTape, losses: Sequence[tf.Tensor], shared: Sequence[tf.Variable]
) -> list[list[tf.Tensor]]:
    """Gradient of every loss with respect to every shared variable.

    One forward pass was taped; each loss takes one backward pass over its head
    and the shared part, and no other head.

    Parameters
    ----------
    tape : tf.GradientTape
        Persistent, where there is more than one loss.
    losses : sequence of scalar tensors
        Unweighted, one per task.
    shared : sequence of tf.Variable

    Returns
    -------
    list of list of tensors
        By task, then by variable; zeros where a loss does not reach a variable.
    """
    zero = tf.UnconnectedGradients.ZERO
    gradients = [tape.gradient(loss, list(shared), unconnected_gradients=zero) for loss in losses]
    return [[tf.convert_to_tensor(gradient) for gradient in of_task] for of_task in gradients]


def gramian(gradients: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
    """Inner products of the tasks' gradients.

    Parameters
    ----------
    gradients : sequence of sequence of tensors
        By task, then by variable, of any float type.

    Returns
    -------
    float32 tensor of shape (n_tasks, n_tasks)
        Symmetric; summed in float32 whatever the gradients' type, products included as
        long as nobody lets a GPU round those of float32 matrices to TensorFloat-32.
    """
    total = tf.zeros((len(gradients), len(gradients)))
    for of_variable in zip(*gradients, strict=True):
        rows = tf.stack([tf.reshape(tf.cast(gradient, tf.float32), [-1]) for gradient in of_variable])
        total += tf.matmul(rows, rows, transpose_b=True)  # (n_tasks, n_tasks)
    return total


def combine(gradients: Sequence[Sequence[tf.Tensor]], weights: tf.Tensor) -> list[tf.Tensor]:
    """Weighted sum of the tasks' gradients, by variable.

    Parameters
    ----------
    gradients : sequence of sequence of tensors
        By task, then by variable.
    weights : tensor of shape (n_tasks,) or (n_tasks, n_variables)
        One for all variables, or one for each.

    Returns
    -------
    list of tensors
        In the gradients' own type and shapes.
    """
    n_variables = len(gradients[0])
    by_variable = [weights] * n_variables if weights.shape.rank == 1 else tf.unstack(weights, n_variables, axis=1)
    return [
        tf.add_n([tf.cast(part, gradient.dtype) * gradient for part, gradient in zip(parts, of_variable, strict=True)])
        for parts, of_variable in zip(
            [tf.unstack(each, len(gradients)) for each in by_variable], zip(*gradients, strict=True), strict=True
        )
    ]


def output_gramian(of_outputs: tf.Tensor) -> tf.Tensor:
    """Inner products of the tasks' gradients on the shared representation, all frames of a batch in a row.

    Parameters
    ----------
    of_outputs : tensor of shape (n_tasks, b, n_outputs)
        Gradients of the tasks' losses on the shared layer's outputs.

    Returns
    -------
    float32 tensor of shape (n_tasks, n_tasks)

    References
    ----------
    Sener, Koltun, Multi-task learning as multi-objective optimization, NeurIPS 2018, section 3.3 (MGDA-UB).
    """
    rows = tf.cast(tf.reshape(of_outputs, [tf.shape(of_outputs)[0], -1]), tf.float32)
    return tf.matmul(rows, rows, transpose_b=True)


def dense_gramian(inputs: tf.Tensor, output_gradients: tf.Tensor) -> tf.Tensor:
    """Inner products of the tasks' gradients on one dense layer, without those gradients.

    Kernel gradient i is X' D_i, so the inner products are those of X X' and D_i D_j',
    taken entry by entry; the bias adds those of the column sums of D_i and D_j.

    Parameters
    ----------
    inputs : tensor of shape (batch, n_in)
        The layer's inputs X.
    output_gradients : tensor of shape (n_tasks, batch, n_out)
        Gradients D_i of each task's loss with respect to the layer's outputs before
        the activation.

    Returns
    -------
    float32 tensor of shape (n_tasks, n_tasks)
        As `gramian` of the gradients on kernel and bias.
    """
    inputs, of_tasks = tf.cast(inputs, tf.float32), tf.cast(output_gradients, tf.float32)
    similarity = tf.matmul(inputs, inputs, transpose_b=True)  # (batch, batch)
    spread = tf.einsum("bc,tcn->tbn", similarity, of_tasks)
    n_tasks = tf.shape(of_tasks)[0]  # which a graph for any number of tasks does not know
    flat = tf.reshape(of_tasks, [n_tasks, -1])
    biases = tf.reduce_sum(of_tasks, axis=1)  # (n_tasks, n_out)
    kernels = tf.matmul(flat, tf.reshape(spread, [n_tasks, -1]), transpose_b=True)
    return kernels + tf.matmul(biases, biases, transpose_b=True)


def dense_gradients(inputs: tf.Tensor, output_gradient: tf.Tensor) -> list[tf.Tensor]:
    """Gradients on a dense layer's kernel and bias from the one on its outputs.

    Parameters
    ----------
    inputs : tensor of shape (batch, n_in)
    output_gradient : tensor of shape (batch, n_out)
        With respect to the outputs before the activation; a weighted sum over tasks
        gives what `combine` would.

    Returns
    -------
    list of tensors
        Shapes (n_in, n_out) and (n_out,).
    """
    return [tf.matmul(inputs, output_gradient, transpose_a=True), tf.reduce_sum(output_gradient, axis=0)]
