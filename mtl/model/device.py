"""What this machine computes best: precision, batch size, devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mtl import numerics
from mtl.model.parts import FrozenPart

# of the frames of a call, in the frozen part's input: enough that a call's own cost is small, little enough that its
# feature maps (for ResNet50's first some 2 GiB on a GPU, 130 MiB on a CPU) fit into memory beside all else
GPU_PIXELS, CPU_PIXELS = 2**24, 2**20
MOST_AT_ONCE = 1024


def all_devices() -> tf.distribute.Strategy:
    """One that mirrors variables to all GPUs where there are several; else the one of a single device."""
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def cosine_to_float32(frozen: FrozenPart, images: np.ndarray, features: np.ndarray | None = None) -> float:
    """Mean cosine between features of frames and the same features computed in float32; 1 where they are.

    Parameters
    ----------
    frozen : FrozenPart
    images : ndarray of uint8, shape (b, h, w, 3)
    features : ndarray of shape (b, *feature_shape), optional
        What `frozen` made of them, where that is known.

    Returns
    -------
    float
        Over the features that are not zero; NaN where all are.
    """
    if frozen.in_float32 is None:
        return 1.0
    pair = (frozen(images) if features is None else features, frozen.in_float32()(images))
    found, exact = (one.reshape(len(images), -1).astype(np.float64) for one in pair)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(exact, axis=1)
    defined = lengths > 0
    return float(np.mean((found * exact).sum(axis=1)[defined] / lengths[defined])) if defined.any() else float("nan")


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers that are built meanwhile compute in this precision; their variables are float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def best_precision() -> str:
    """`bfloat16` where the processor or the GPU computes in it, else `float32`, as always with numerics=portable."""
    if numerics.is_portable():
        return "float32"
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return "bfloat16" if capability >= (8, 0) else "float32"
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return "float32"
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


def computing_on() -> str:
    """What features are computed on, as part of their key; those of portable numerics are their own."""
    if numerics.is_portable():
        return "CPU, portable"
    return "GPU without TF32" if tf.config.list_physical_devices("GPU") else "CPU"


def best_batch_size(image_size: int) -> int:
    """Frames per call of the frozen part: a power of two, by the device and the frames' pixels."""
    pixels = GPU_PIXELS if tf.config.list_physical_devices("GPU") else CPU_PIXELS
    return min(MOST_AT_ONCE, 2 ** max(0, (pixels // image_size**2).bit_length() - 1))
