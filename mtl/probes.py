"""What is measured of the tasks' gradients on fixed held-out batches, between epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mtl import gradients
from mtl.examples import Examples
from mtl.seeds import seed_of

if TYPE_CHECKING:
    from mtl.model import MultiTaskModel


class Probes:
    """Gramians of the task gradients on the same validation batches, time after time.

    Parameters
    ----------
    model : MultiTaskModel
    examples : Examples
    n_batches, batch_size : int
        Disjoint batches of validation frames, fewer where there are not enough frames.
    seed : int
        Of which frames they are.
    """

    def __init__(self, model: MultiTaskModel, examples: Examples, n_batches: int, batch_size: int, seed: int) -> None:
        self._model = model
        self._examples = examples
        self._batches = probe_batches(examples.positions("val"), n_batches, batch_size, seed)
        self._probe = compile_probe(model)
        self._steps: list[int] = []
        self._gramians: list[np.ndarray] = []

    def measure(self, step: int) -> None:
        """Take one probe per batch after so many steps of training."""
        for batch in self._batches:
            self._gramians.append(self._probe(*self._examples.gather(batch)).numpy())
            self._steps.append(step)

    def arrays(self) -> dict[str, np.ndarray]:
        """`gramians` and `probe_steps` for the Trace."""
        n_tasks = len(self._model.tasks)
        return {
            "gramians": np.reshape(self._gramians, (-1, n_tasks, n_tasks)),
            "probe_steps": np.array(self._steps, dtype=int),
        }


def compile_probe(model: MultiTaskModel) -> Callable[[tf.Tensor, Mapping[str, tf.Tensor]], tf.Tensor]:
    """A compiled function: rows (b, ...), targets by task (b,) -> Gramian (n_tasks, n_tasks), in inference mode."""
    shared = model.shared_variables

    @tf.function(reduce_retracing=True)
    def probe(rows: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> tf.Tensor:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(shared)
            losses = model.frame_losses(model(rows, training=False), targets)
            separate = [tf.reduce_mean(loss) for loss in losses.values()]
        return gradients.gramian(gradients.task_gradients(tape, separate, shared))

    return probe


def probe_batches(val: np.ndarray, n_batches: int, batch_size: int, seed: int) -> list[np.ndarray]:
    """Fixed batches of validation frames, disjoint; as many as there are frames for."""
    shuffled = np.random.default_rng(seed_of(seed, "probes")).permutation(val)
    size = min(batch_size, len(val))
    n_batches = min(n_batches, len(val) // size) if size else 0
    return [shuffled[i * size : (i + 1) * size] for i in range(n_batches)]
