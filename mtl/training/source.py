"""Where steps and predictions take their features from: memory, or blocks read ahead of use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mtl.memory import ALIGNMENT
from mtl.model.multitask import MultiTaskModel
from mtl.stopwatch import BLOCKS, spent_on
from mtl.training.dataset import Dataset

if TYPE_CHECKING:
    from mtl.features.vectors import FeatureVectors

BLOCK_BYTES = 32 * 2**20  # of features handed to the graph at once, where not all of them are
BLOCK_FRAMES = 512  # of a prediction
STEPS_PER_CALL = 256  # at most, so that the progress bar moves and Ctrl-C is heard
COPIED_BYTES = 256 * 2**20  # features in memory are copied into a tensor up to this size where it cannot share them


class Source:
    """Where the steps take their features from: all of them in the graph, or blocks read ahead of use.

    Either way the batches are the same ones, in the same order, bit for bit: a
    shuffle of all training frames, not one within a block.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
    """

    def __init__(self, dataset: Dataset, batch_size: int) -> None:
        self._dataset = dataset
        self._features = resident(dataset.features)
        step_bytes = batch_size * _vector_bytes(dataset.features)
        self._steps = int(np.clip(BLOCK_BYTES // step_bytes, 1, STEPS_PER_CALL))
        if self._features is not None:
            self._targets = {name: tf.constant(one, tf.int32) for name, one in dataset.targets.items()}

    def runs(self, chosen: np.ndarray) -> Iterator[tuple[tf.Tensor, Mapping[str, tf.Tensor], np.ndarray]]:
        """Feature vectors, targets by task, and positions in them (k, b): a run of steps at a time.

        Parameters
        ----------
        chosen : ndarray of int, shape (n_steps, batch_size)
        """
        runs = [chosen[i : i + self._steps] for i in range(0, len(chosen), self._steps)]
        if self._features is not None:
            yield from ((self._features, self._targets, at) for at in runs)
            return
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._block, runs[0])
            for at, following in zip(runs, [*runs[1:], None], strict=True):
                with spent_on(BLOCKS, 1):
                    features, targets = coming.result()
                if following is not None:
                    coming = ahead.submit(self._block, following)
                yield features, targets, np.arange(at.size).reshape(at.shape)

    def _block(self, positions: np.ndarray) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Feature vectors and targets at positions, as tensors."""
        features, targets = self._dataset.gather(positions.ravel())
        return tf.constant(features), {name: tf.constant(one) for name, one in targets.items()}


def resident(features: FeatureVectors) -> tf.Tensor | None:
    """All features as one tensor where they are in memory; None where they are not, or would have to be there twice.

    The tensor shares the array's memory where that is aligned; on a GPU, and where the
    array is small, it is a copy.
    """
    array = features.array
    if array is None:
        return None
    if tf.config.list_physical_devices("GPU"):
        try:
            return tf.constant(array)
        except tf.errors.ResourceExhaustedError:
            return None
    if array.ctypes.data % ALIGNMENT == 0 and (shareable := _writable(array)) is not None:
        return tf.experimental.dlpack.from_dlpack(shareable.__dlpack__())
    return tf.constant(array) if array.nbytes <= COPIED_BYTES else None


def predict(model: MultiTaskModel, features: FeatureVectors, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Logits (n, units) by task name of the features at these positions, in blocks."""
    if not len(positions):
        return {name: np.empty((0, task.units), np.float32) for name, task in model.tasks.items()}
    size = int(np.clip(BLOCK_BYTES // _vector_bytes(features), 1, BLOCK_FRAMES))
    blocks = [model.inferred(features.take(positions[i : i + size])) for i in range(0, len(positions), size)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in model.tasks}


def _vector_bytes(features: FeatureVectors) -> int:
    return max(1, int(np.prod(features.shape[1:])) * features.dtype.itemsize)


def _writable(array: np.ndarray) -> np.ndarray | None:
    """A view that may be exported; None where the memory is nobody's to write to."""
    view = array.view()
    try:
        view.flags.writeable = True
    except ValueError:
        return None
    return view
