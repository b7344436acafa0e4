"""A run as one graph: raw frames or features in, probabilities by task name out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from mtl.errors import UserError
from mtl.export.described import takes
from mtl.export.resizing import antialiased, as_opencv
from mtl.load_run import LoadedRun
from mtl.tasks import Task

ACTIVATIONS: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "BinaryCrossentropy": tf.sigmoid,
    "SparseCategoricalCrossentropy": tf.nn.softmax,
}


def write_saved_model(run: LoadedRun, folder: Path) -> None:
    """Write a run's graph as a SavedModel, with one signature, `serving_default`.

    Raises
    ------
    UserError
        If the weights are not finite, or a task's probabilities are of a kind that is not known here.
    """
    if broken := run.model.broken():
        raise UserError(
            f"The run's weights hold NaN or infinity, the first in {broken[0]}: there is no model to leave."
        )
    for name, task in run.tasks.items():
        if task.loss not in ACTIVATIONS:
            raise UserError(f"Task '{name}' has loss {task.loss}; known are {', '.join(ACTIVATIONS)}.")
    name, shape, kind = takes(run)

    def serve(given: tf.Tensor) -> dict[str, tf.Tensor]:
        features = given if name == "features" else _features(run, given)
        shared = run.model.shared_outputs(run.model.trained(features, training=False))
        return _probabilities(run.model.from_shared(shared, training=False), run.tasks)

    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec(shape, kind, name=name)], autograph=False)
    module.kept = list(module.serve.get_concrete_function().graph.variables)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def _features(run: LoadedRun, frames: tf.Tensor) -> tf.Tensor:
    """What the trained part is given: of frames made as the training frames, in the backbone's own size."""
    frozen, made = run.backbone.frozen, run.training_frames
    images = tf.cast(frames, tf.float32)
    if made is not None and made.height is not None and made.width is not None and frames.shape[1] is None:
        images = as_opencv(images, (made.height, made.width))
    size = (frozen.image_size, frozen.image_size)
    if tuple(images.shape[1:3]) != size:
        images = antialiased(images, size)  # of this size the backbone's own resize is the identity, and left out
    return images if frozen.in_graph is None else frozen.in_graph(images)


def _probabilities(logits: Mapping[str, tf.Tensor], tasks: Mapping[str, Task]) -> dict[str, tf.Tensor]:
    """Probabilities (b, n_classes) by task name."""
    return {name: ACTIVATIONS[task.loss](tf.cast(logits[name], tf.float32)) for name, task in tasks.items()}
