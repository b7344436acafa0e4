"""Resizing as two matrix products per axis: what every format can say, where a resize operation is not."""

from __future__ import annotations

import tensorflow as tf


def as_opencv(images: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Images as `cv2.resize` with INTER_AREA makes them of uint8 frames, whole numbers in [0, 255] as float32.

    Shrunk in both directions they are OpenCV's to the bit, but where a mean lies between two grey
    levels and OpenCV's own sum, made in another order, does not (.3 % of the values for 480x640 to
    64x64, one grey level). Where one direction is enlarged OpenCV interpolates instead, in fixed point:
    up to a tenth of the values are one grey level apart. Images of this size stay as they are.

    Parameters
    ----------
    images : float32 tensor of shape (b, h, w, 3)
    size : (int, int)
        Height and width.

    Returns
    -------
    float32 tensor of shape (b, *size, 3)

    References
    ----------
    OpenCV, modules/imgproc/src/resize.cpp, `computeResizeAreaTab` and `resize`.
    """
    shape = tf.shape(images)
    n, m = shape[1], shape[2]
    shrinks = tf.logical_and(n >= size[0], m >= size[1])
    rows = tf.where(shrinks, _area(n, size[0]), _between(n, size[0]))
    columns = tf.where(shrinks, _area(m, size[1]), _between(m, size[1]))
    cell = tf.cast(n, tf.float32) / size[0] * (tf.cast(m, tf.float32) / size[1])
    found = _products(images, rows, columns, size) * tf.where(shrinks, 1 / cell, 1.0)
    halved = tf.logical_and(tf.equal(n, 2 * size[0]), tf.equal(m, 2 * size[1]))  # a path of its own: half goes up
    return tf.where(halved, tf.floor(found + 0.5), tf.round(found))


def antialiased(images: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Images as `tf.image.resize(antialias=True)` makes them, within .003 grey levels; the identity at equal size.

    Parameters
    ----------
    images : float32 tensor of shape (b, h, w, 3)
    size : (int, int)
        Height and width.

    Returns
    -------
    float32 tensor of shape (b, *size, 3)
    """
    shape = tf.shape(images)
    return _products(images, _triangle(shape[1], size[0]), _triangle(shape[2], size[1]), size)


def _products(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Rows (size[0], h) and columns (size[1], w) times images (b, h, w, 3)."""
    shape = tf.shape(images)
    b, n, m = shape[0], shape[1], shape[2]
    flat = tf.matmul(rows, tf.reshape(images, (b, n, m * 3)))  # (b, size[0], w * 3)
    narrow = tf.matmul(columns, tf.reshape(flat, (b * size[0], m, 3)))  # (b * size[0], size[1], 3)
    return tf.ensure_shape(tf.reshape(narrow, (b, *size, 3)), (None, *size, 3))


def _area(n: tf.Tensor, size: int) -> tf.Tensor:
    """How much of each of n pixels lies in each of `size` cells, in pixels; (size, n)."""
    cell, pixel = tf.range(size)[:, None], tf.range(n)[None]
    end = tf.minimum((cell + 1) * n, (pixel + 1) * size)
    overlap = tf.maximum(end - tf.maximum(cell * n, pixel * size), 0)  # in whole numbers: no rounding
    return tf.cast(overlap, tf.float32) / size


def _between(n: tf.Tensor, size: int) -> tf.Tensor:
    """OpenCV's bilinear weights (size, n) of INTER_AREA where it enlarges."""
    cell = tf.range(size)
    left = cell * n // size
    past = (cell + 1) * n - (left + 1) * size
    right = tf.cast(tf.where(past > 0, past % n, 0), tf.float32) / tf.cast(n, tf.float32)
    right = tf.where(left >= n - 1, 0.0, right)[:, None]
    pixel = tf.range(n)[None]
    is_left = tf.cast(tf.equal(pixel, tf.minimum(left, n - 1)[:, None]), tf.float32)
    is_right = tf.cast(tf.equal(pixel, tf.minimum(left + 1, n - 1)[:, None]), tf.float32)
    return is_left * (1 - right) + is_right * right


def _triangle(n: tf.Tensor, size: int) -> tf.Tensor:
    """Weights (size, n) of a triangle around each cell's middle, as wide as a cell or a pixel, whichever is wider."""
    scale = tf.cast(n, tf.float32) / size
    middle = (tf.range(size, dtype=tf.float32)[:, None] + 0.5) * scale
    pixel = tf.cast(tf.range(n), tf.float32)[None] + 0.5
    weights = tf.nn.relu(1 - tf.abs(pixel - middle) / tf.maximum(scale, 1.0))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)
