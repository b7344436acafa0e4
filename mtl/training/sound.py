"""Whether a training step may be taken."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

SMALL = 2**16  # numbers of a gradient that is summed to judge a step


def is_sound(losses: tf.Tensor, weights: tf.Tensor, outputs: tf.Tensor, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Whether all that a step's passes gave is finite, as a scalar of bool.

    Losses alone do not tell: in a graph oneDNN computes product, bias and relu as one
    operation, which turns NaN into 0. So the outputs are looked at before their relu. A sum
    is finite where all summands are. A large kernel's gradient is not summed, that would cost
    3 % of a step: it is the product of inputs, whose NaN is in the outputs, and of what the
    bias's gradient is the sum of. What might still pass is found in the parameters
    at the epoch's end.

    Parameters
    ----------
    losses, weights : tensors of shape (n_tasks,)
    outputs : tensor of shape (b, n_outputs)
        Of the shared layer before its activation.
    gradients : sequence of tensors
        By variable. One whose number of tasks no graph knows is of heads, and small.
    """
    small = [one for one in gradients if (one.shape.num_elements() or 0) <= SMALL]
    sums = tf.stack([tf.reduce_sum(one) for one in [outputs, *small]])
    return tf.reduce_all(tf.math.is_finite(tf.concat([losses, weights, sums], 0)))
