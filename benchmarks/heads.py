"""Steps of heads on features: ours against Keras `fit` and against the lower bound of the machine.

    python benchmarks/heads.py

The same features, network, batch size and Adam both ways, in turns within one process, so
that what else the machine does falls on both; the quickest of several rounds counts. The bound
is what a step cannot do without, at rates measured in the same turns: its arithmetic
at the rate of a large matrix product, and the bytes of gradient and optimizer at
the rate of a copy of arrays of that size. So fit over bound is the most that any way could gain.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from drawn import take_turns
from rich.console import Console
from rich.table import Table

from mtl.features.vectors import MemoryVectors
from mtl.memory import aligned
from mtl.model.multitask import MultiTaskModel
from mtl.model.parts import TrainedPart
from mtl.tasks import BinaryTask, CategoricalTask, Task
from mtl.training.dataset import Dataset
from mtl.training.source import Source
from mtl.training.steps import compile_steps
from mtl.weighting.base import Weighting
from mtl.weighting.cagrad import CAGrad
from mtl.weighting.equal import Equal

CLASSES = tuple(f"class {i}" for i in range(14))
TASKS: dict[str, Task] = {
    "general_anomaly": BinaryTask(CLASSES[:13], ()),
    "violence": BinaryTask(CLASSES[:3], []),
    "property_crime": BinaryTask(CLASSES[3:7], ()),
    "anomaly_type": CategoricalTask(CLASSES, []),
}
LEARNING_RATE = 1e-3
WIDTHS = (16, 32, 64, 128)  # of conf/backbone/small_cnn.yaml
SIDE = 2048  # of the matrices whose product gives the peak rate


@dataclass(frozen=True)
class Size:
    """What is trained."""

    features: int
    units: int
    batch: int
    steps: int

    @property
    def operations(self) -> float:
        """Of a step: the dense layer forward and for its gradient, the heads also for that of their inputs."""
        outputs = sum(task.units for task in TASKS.values())
        return 2.0 * self.batch * (2 * self.features * self.units + 3 * self.units * outputs)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        outputs = sum(task.units for task in TASKS.values())
        return (self.features + 1) * self.units + (self.units + 1) * outputs

    @property
    def bytes(self) -> float:
        """Of a step: gradient written; gradient, weights and both moments read; these three written; features read."""
        return 4.0 * (8 * self.parameters + self.batch * self.features)


def draw(size: Size) -> Dataset:
    """FeatureVectors and labels at random, as many as the steps use up."""
    rng = np.random.default_rng(0)
    n = size.batch * size.steps
    frames = pd.DataFrame({"class_name": pd.Categorical.from_codes(rng.integers(0, 14, n), CLASSES)})
    features = aligned((n, size.features), np.float32)
    features[:] = rng.normal(size=features.shape)
    return Dataset(MemoryVectors(features), {name: task.targets(frames) for name, task in TASKS.items()}, frames)


def by_fit(dataset: Dataset, size: Size) -> Callable[[], None]:
    """One epoch the usual way; on frames with the small network before the heads."""
    shape = dataset.features.shape[1:]
    x = inputs = keras.Input(shape)
    if len(shape) == 3:
        x = keras.layers.Rescaling(1 / 127.5, -1.0)(x)
        for width in WIDTHS:
            x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = keras.layers.BatchNormalization(momentum=0.9)(x)
            x = keras.layers.MaxPooling2D()(keras.layers.ReLU()(x))
        x = keras.layers.GlobalAveragePooling2D()(x)
    hidden = keras.layers.Dense(size.units, activation="relu")(x)
    outputs = {name: keras.layers.Dense(task.units, name=name)(hidden) for name, task in TASKS.items()}
    losses = {
        name: keras.losses.get({"class_name": task.loss, "config": {"from_logits": True}})
        for name, task in TASKS.items()
    }
    network = keras.Model(inputs, outputs)
    network.compile(keras.optimizers.Adam(LEARNING_RATE), loss=losses)
    features, targets = np.array(dataset.features.array), dict(dataset.targets)
    return lambda: network.fit(features, targets, batch_size=size.batch, verbose=0) and None


def by_us(dataset: Dataset, size: Size, weighting: Weighting) -> Callable[[], None]:
    """One epoch by the loop of `mtl.training`."""
    identity = TrainedPart(lambda features, training: features, [], [])
    model = MultiTaskModel(identity, size.features, TASKS, size.units, dropout=0.0, standardise=False, seed=0)
    steps = compile_steps(model, weighting, keras.optimizers.Adam(LEARNING_RATE))
    source, rng = Source(dataset, size.batch), np.random.default_rng(0)

    def epoch() -> None:
        order = rng.permutation(len(dataset.features)).reshape(size.steps, size.batch)
        for features, targets, at in source.runs(order):
            losses, _ = steps(features, targets, at)
            losses.numpy()

    return epoch


def product() -> Callable[[], None]:
    """A large matrix product."""
    a = tf.Variable(tf.random.stateless_normal((SIDE, SIDE), (0, 0)))
    compiled = tf.function(lambda: tf.matmul(a, a)[0, 0])
    return lambda: compiled().numpy()


def copies(parameters: int) -> Callable[[], None]:
    """Copies of arrays the size of gradient and optimizer, the bytes of one step."""
    variables = [tf.Variable(tf.ones(parameters)) for _ in range(4)]

    @tf.function
    def copy() -> None:
        for i, variable in enumerate(variables):
            variable.assign(variables[i - 1] + 1.0)

    return copy


def trajectories(size: Size) -> dict[str, Callable[[], None]]:
    """What takes turns."""
    dataset = draw(size)
    return {
        "fit": by_fit(dataset, size),
        "ours": by_us(dataset, size, Equal(tuple(TASKS))),
        "gramian": by_us(dataset, size, CAGrad(tuple(TASKS), c=0.5)),
        "product": product(),
        "copies": copies(size.parameters),
    }


def main() -> None:
    """Measure at both batch sizes, print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--frames", type=int, default=8192, help="of an epoch")
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 256], help="batch sizes")
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    sizes = [Size(asked.features, asked.units, batch, asked.frames // batch) for batch in asked.batches]
    seconds = {size: take_turns(trajectories(size), asked.rounds) for size in sizes}
    rate = 2.0 * SIDE**3 / min(found["product"] for found in seconds.values())
    speed = max(4.0 * 8 * size.parameters / found["copies"] for size, found in seconds.items())
    console = Console(width=120)
    console.print(f"peak rates: {rate / 1e9:.0f} GFLOP/s, {speed / 1e9:.0f} GB/s")
    table = Table(
        "batch", "fit", "ours", "ours, by task gradients", "bound", "fit / ours", "fit / bound", "ours / bound"
    )
    for size, found in seconds.items():
        fit, ours, by_task = (found[name] / size.steps for name in ("fit", "ours", "gramian"))
        bound = size.operations / rate + size.bytes / speed
        shown = (f"{one * 1e3:.2f} ms" for one in (fit, ours, by_task, bound))
        table.add_row(str(size.batch), *shown, *(f"{ratio:.2f}" for ratio in (fit / ours, fit / bound, ours / bound)))
    console.print(table)


if __name__ == "__main__":
    main()
