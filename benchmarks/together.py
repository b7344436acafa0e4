"""All runs of a screening of data=related_many trained as one array of networks.

The arithmetic is that of `mtl.training` with `weighting=equal`, `training/optimizer=adamw` and no early stopping: the
same initial weights, order of rows, losses and steps. What makes it cheap is that every run sees the rows of its seed:
the shared layers of all sets of a seed stand side by side in one matrix, and no epoch is validated. `verdicts.py`
compares it with the loop itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from omegaconf import DictConfig
from scipy.special import expit

from mtl.config.build import build
from mtl.model.multitask import assemble
from mtl.seeds import seed_of
from mtl.training.dataset import Dataset

FIRST, SECOND, SHORT = 0.9, 0.999, 1e-7  # Adam's, as Keras has them


@dataclass
class Step:
    """A parameter of all runs with the moments of AdamW.

    Attributes
    ----------
    value : ndarray of float32
        Changed in place.
    rate, decay : float
    """

    value: np.ndarray
    rate: float
    decay: float

    def __post_init__(self) -> None:
        self._first, self._second, self._work = (np.zeros_like(self.value) for _ in range(3))

    def take(self, gradient: np.ndarray, number: int) -> None:
        """The step of this number, from 1 (Loshchilov, Hutter, ICLR 2019; Adam in the order of Keras).

        The gradient is overwritten.
        """
        work, length = self._work, self.rate * np.sqrt(1 - SECOND**number) / (1 - FIRST**number)
        self.value *= np.float32(1 - self.rate * self.decay)
        np.subtract(gradient, self._first, out=work)
        work *= np.float32(1 - FIRST)
        self._first += work
        np.square(gradient, out=gradient)
        gradient -= self._second
        gradient *= np.float32(1 - SECOND)
        self._second += gradient
        np.sqrt(self._second, out=gradient)
        gradient += np.float32(SHORT)
        np.divide(self._first, gradient, out=work)
        work *= np.float32(length)
        self.value -= work


def main_logits(
    config: DictConfig, dataset: Dataset, names: Sequence[str], members: np.ndarray, seeds: Sequence[int]
) -> np.ndarray:
    """Logits of the main task on test rows after training, (n_sets, n_seeds, n_test).

    Parameters
    ----------
    config : DictConfig
        Of experiment=related_many.
    dataset : Dataset
    names : sequence of str
        The main task, then the auxiliaries.
    members : ndarray of shape (n_sets, n_auxiliaries)
        Zeros and ones.
    seeds : sequence of int
        The runs' seeds.
    """
    training, n_sets = config.training, len(members)
    features = dataset.features.take(np.arange(len(dataset.frames)))
    train = dataset.positions("train")
    rows = features[train]
    labels = np.stack([dataset.targets[name][train] for name in names], axis=-1).astype(np.float32)  # (n, n_tasks)
    is_in = np.column_stack([np.ones(n_sets), members]).astype(np.float32)[None, :, None]  # (1, n_sets, 1, n_tasks)
    kernel, heads = (
        np.stack(one) for one in zip(*(_start(config, dataset, names, seed) for seed in seeds), strict=True)
    )
    units, n_seeds = kernel.shape[-1], len(seeds)

    def step(value: np.ndarray) -> Step:
        return Step(value, float(training.optimizer.learning_rate), float(training.optimizer.weight_decay))

    shared = step(np.tile(kernel, (1, 1, n_sets)))  # (n_seeds, n_features, n_sets * units)
    shared_bias = step(np.zeros((n_seeds, 1, n_sets * units), np.float32))
    head = step(np.tile(heads[:, None], (1, n_sets, 1, 1)))  # (n_seeds, n_sets, units, n_tasks)
    bias = step(np.zeros((n_seeds, n_sets, 1, len(names)), np.float32))

    def hidden(batch: np.ndarray) -> np.ndarray:
        """(n_seeds, b, n_features) -> (n_seeds, n_sets, b, units)."""
        outputs = np.maximum(batch @ shared.value + shared_bias.value, 0)
        return outputs.reshape(*batch.shape[:2], n_sets, units).transpose(0, 2, 1, 3)

    batch_size = int(training.batch_size)
    every = zip(*(_orders(len(train), batch_size, int(training.epochs), seed) for seed in seeds), strict=True)
    for number, at in enumerate(map(np.stack, every), 1):  # at: (n_seeds, b)
        batch, inner = rows[at], hidden(rows[at])
        wrong = (expit(inner @ head.value + bias.value) - labels[at][:, None]) * (is_in / np.float32(batch_size))
        back = (wrong @ head.value.swapaxes(-1, -2)) * (inner > 0)
        head.take(inner.swapaxes(-1, -2) @ wrong, number)
        bias.take(wrong.sum(axis=2, keepdims=True), number)
        outer = back.transpose(0, 2, 1, 3).reshape(*batch.shape[:2], -1)
        shared.take(batch.swapaxes(-1, -2) @ outer, number)
        shared_bias.take(outer.sum(axis=1, keepdims=True), number)
    test = np.broadcast_to(features[dataset.positions("test")], (n_seeds, *features[dataset.positions("test")].shape))
    logits = hidden(test) @ head.value[..., :1] + bias.value[..., :1]
    return logits[..., 0].swapaxes(0, 1)


def _start(config: DictConfig, dataset: Dataset, names: Sequence[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Initial kernels of the shared layer, (n_features, units), and of the heads, (units, n_tasks)."""
    config = config.copy()
    config.seed = seed
    backbone, tasks = build(config.backbone).split(build(config.freeze)), build(config.tasks)
    model = assemble(build(config.model), backbone, {name: tasks[name] for name in names}, dataset.features.shape[1:])
    heads = np.concatenate([keras.ops.convert_to_numpy(model.heads[name].kernel) for name in names], axis=1)
    return keras.ops.convert_to_numpy(model.shared.kernel), heads


def _orders(n: int, batch_size: int, epochs: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of every batch, (b,), in the order of `mtl.training.loop`."""
    random = np.random.default_rng(seed_of(seed, "order"))
    for _ in range(epochs):
        yield from np.resize(random.permutation(n), -(-n // batch_size) * batch_size).reshape(-1, batch_size)
