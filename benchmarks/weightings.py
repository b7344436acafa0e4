"""What a training step costs by each weighting, beside `equal`.

    python benchmarks/weightings.py

Every yaml of `conf/weighting`, for heads on features of a frozen backbone and for the
small network trained from its pixels on, in turns within one process: what else
the machine does falls on all alike, and the quickest of several rounds counts.
On features the Gramian comes from the closed form of one dense layer; beside it
stands the same method with a backward pass per task, which gives the same numbers. Below the table
stands what the convolutions of the small network need for that, by their arithmetic alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from drawn import take_turns
from heads import CLASSES, LEARNING_RATE, TASKS, Size, draw
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from mtl.features.vectors import MemoryVectors
from mtl.memory import aligned
from mtl.model.backbone import Freeze
from mtl.model.multitask import MultiTaskModel
from mtl.model.parts import TrainedPart
from mtl.training.dataset import Dataset
from mtl.training.source import Source
from mtl.training.steps import compile_steps
from mtl.weighting.base import Weighting

CONF = Path(__file__).resolve().parents[1] / "conf"
BY_PASSES = "cagrad"  # the method that is also tried with a backward pass per task
Epoch = Callable[[], None]
Build = Callable[[type[MultiTaskModel]], MultiTaskModel]


class ByPasses(MultiTaskModel):
    """The same model, its task gradients taken by the tape."""

    shares_dense_layer_only = False


def weighting(name: str) -> Weighting:
    """As a run would have it, of the four tasks."""
    config = OmegaConf.create({"seed": 0, "main_task": "general_anomaly"})
    config.weighting = OmegaConf.load(CONF / "weighting" / f"{name}.yaml")
    return instantiate(config.weighting, tasks=tuple(TASKS))


def epochs(dataset: Dataset, size: Size, names: Sequence[str], build: Build) -> dict[str, Epoch]:
    """By weighting one epoch of steps on a model of its own."""
    source = Source(dataset, size.batch)
    order = np.arange(size.batch * size.steps).reshape(size.steps, size.batch)

    def course(name: str, kind: type[MultiTaskModel], gradients_of: str = "parameters") -> Epoch:
        steps = compile_steps(build(kind), weighting(name), keras.optimizers.Adam(LEARNING_RATE), gradients_of)

        def epoch() -> None:
            for features, targets, at in source.runs(order):
                steps(features, targets, at)[0].numpy()

        return epoch

    found = {name: course(name, MultiTaskModel) for name in names}
    if BY_PASSES in names and build(MultiTaskModel).shares_dense_layer_only:
        found[f"{BY_PASSES}, by passes"] = course(BY_PASSES, ByPasses)
    if BY_PASSES in names:
        found[f"{BY_PASSES}, of the representation"] = course(BY_PASSES, MultiTaskModel, "representation")
    return found


def heads_alone(size: Size) -> Build:
    """What builds heads on features."""
    identity = TrainedPart(lambda features, training: features, [], [])
    return lambda kind: kind(identity, size.features, TASKS, size.units, dropout=0.0, standardise=False, seed=0)


def on_features(size: Size, names: Sequence[str]) -> dict[str, Epoch]:
    """Heads on features at random."""
    return epochs(draw(size), size, names, heads_alone(size))


def frames_at_random(size: Size, side: int) -> Dataset:
    """Frames and labels at random, as many as the steps use up."""
    rng = np.random.default_rng(0)
    n = size.batch * size.steps
    frames = pd.DataFrame({"class_name": pd.Categorical.from_codes(rng.integers(0, 14, n), CLASSES)})
    features = aligned((n, side, side, 3), np.uint8)
    features[:] = rng.integers(0, 256, features.shape)
    return Dataset(MemoryVectors(features), {name: task.targets(frames) for name, task in TASKS.items()}, frames)


def small_cnn_with_heads(size: Size, side: int) -> Build:
    """What builds the small network, all of it trained, with its heads."""
    config = OmegaConf.create({"seed": 0, "backbone": OmegaConf.load(CONF / "backbone" / "small_cnn.yaml")})
    config.backbone.image_size = side
    widths = config.backbone.network.widths

    def build(kind: type[MultiTaskModel]) -> MultiTaskModel:
        trained = instantiate(config.backbone).split(Freeze(0)).trained
        return kind(trained, widths[-1], TASKS, size.units, dropout=0.0, standardise=False, seed=0)

    return build


def backward_pass_per_task(side: int) -> float:
    """What a forward pass and a backward pass per task cost beside one of each, by multiplications of convolutions.

    In the small network, of frames with that side. The gradients on a convolution's kernel and on its
    input take as many as its outputs; the first convolution's input needs none.
    """
    config = OmegaConf.load(CONF / "backbone" / "small_cnn.yaml").network
    network = instantiate(config, input_shape=(side, side, 3), weights=None)()
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    forward = [int(np.prod(one.output.shape[1:3])) * int(np.prod(one.kernel.shape)) for one in convolutions]
    backward = sum(forward) + sum(forward[1:])
    return (sum(forward) + len(TASKS) * backward) / (sum(forward) + backward)


def on_pixels(size: Size, side: int, names: Sequence[str]) -> dict[str, Epoch]:
    """The small network, all of it trained, on frames at random."""
    return epochs(frames_at_random(size, side), size, names, small_cnn_with_heads(size, side))


def main() -> None:
    """Measure both, print a row per weighting."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 256], help="batch sizes on features")
    parser.add_argument("--batch", type=int, nargs="+", default=[32], help="batch sizes on pixels")
    parser.add_argument("--side", type=int, default=64, help="of a frame in pixels")
    parser.add_argument("--steps", type=int, nargs=2, default=[32, 4], help="of a round, on features and on pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="weightings beside equal; all of them where it is not given")
    parser.add_argument("--cpu", action="store_true", help="seconds computed on all cores, steady on a busy machine")
    asked = parser.parse_args()
    clock = time.process_time if asked.cpu else time.perf_counter
    every = sorted(path.stem for path in (CONF / "weighting").glob("*.yaml"))
    names = [name for name in every if name == "equal" or not asked.only or name in asked.only]
    tf.get_logger().setLevel("ERROR")  # one trace per method is meant
    measured = {}
    for batch in asked.batches:
        size = Size(asked.features, asked.units, batch, asked.steps[0])
        found = take_turns(on_features(size, names), asked.rounds, clock)
        measured[f"features, batch {batch}"] = {name: second / size.steps for name, second in found.items()}
    for batch in asked.batch:
        size = Size(asked.features, asked.units, batch, asked.steps[1])
        found = take_turns(on_pixels(size, asked.side, names), asked.rounds, clock)
        measured[f"small_cnn, batch {batch}"] = {name: second / size.steps for name, second in found.items()}
    arithmetic = f"small_cnn, a backward pass per task by arithmetic: {backward_pass_per_task(asked.side):.2f}"
    title = f"a training step{', CPU time' if asked.cpu else ''}, and its ratio to equal"
    table = Table("weighting", *measured, title=title, caption=arithmetic)
    for name in dict.fromkeys(name for found in measured.values() for name in found):
        cells = (
            f"{found[name] * 1e3:.2f} ms  {found[name] / found['equal']:.2f}" if name in found else ""
            for found in measured.values()
        )
        table.add_row(name, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
