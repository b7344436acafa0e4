"""What a GPU takes: extraction with ResNet50, steps on features, the notebook's whole job.

    python benchmarks/gpu.py

Absolute numbers with the device's name, as Markdown for `benchmarks/README.md`. Frames and features lie
on the device before the clock starts, and one number comes back at the end of a round, so that
what is measured is the device. Without a GPU it says so and ends with exit code 2; `--cpu`
does all of it there, at sizes that are given.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from drawn import take_turns
from heads import TASKS, Size, by_us, draw
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console

from mtl.model.networks import pooled, resized
from mtl.weighting.cagrad import CAGrad
from mtl.weighting.equal import Equal

CONF = Path(__file__).resolve().parents[1] / "conf"
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
WITHOUT_GPU = 2  # exit code
say = partial(Console(soft_wrap=True).print, markup=False, highlight=False)


def device_name() -> str | None:
    """Of the first GPU; None where there is none."""
    gpus = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")) if gpus else None


def extraction(name: str, policy: str, side: int, batch: int, calls: int) -> Callable[[], None]:
    """A round of forward passes up to pooled features, on frames that are on the device."""
    described = OmegaConf.load(CONF / "backbone" / f"{name}.yaml")
    preprocess = instantiate(described.preprocess)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = instantiate(described.network)(weights=None, input_shape=(side, side, 3))
    finally:
        keras.config.set_dtype_policy(before)
    frames = tf.constant(np.random.default_rng(0).integers(0, 256, (batch, side, side, 3)).astype(np.uint8))

    @tf.function(autograph=False)
    def forward(images: tf.Tensor) -> tf.Tensor:
        x = preprocess(resized(tf.cast(images, tf.float32), (side, side)))
        return tf.reduce_sum(pooled(network(x, training=False)))

    def work() -> None:
        tf.stack([forward(frames) for _ in range(calls)]).numpy()

    return work


def extraction_rows(asked: argparse.Namespace) -> list[str]:
    """A line by image size: frames a second in each precision."""
    lines = []
    for side in asked.image_sizes:
        ways = {policy: extraction(asked.network, policy, side, asked.frames, asked.calls) for policy in POLICIES}
        found = take_turns(ways, asked.rounds)
        rates = (f"{asked.frames * asked.calls / found[policy]:,.0f}" for policy in POLICIES)
        lines.append(f"| {side} px | {' | '.join(rates)} |")
    return lines


def step_rows(asked: argparse.Namespace) -> list[str]:
    """A line by batch size: milliseconds of a step by the sum of losses and by a Gramian method."""
    lines = []
    for batch in asked.batches:
        size = Size(asked.features, asked.units, batch, asked.steps)
        data = draw(size)
        ways = {"equal": by_us(data, size, Equal(tuple(TASKS)))}
        ways["cagrad"] = by_us(data, size, CAGrad(tuple(TASKS), c=0.5))
        found = take_turns(ways, asked.rounds)
        times = (f"{found[name] / size.steps * 1e3:.2f} ms" for name in ways)
        lines.append(f"| {batch} | {' | '.join(times)} |")
    return lines


def notebook_job(more: list[str]) -> str:
    """What `notebook_job.py` prints."""
    command = [sys.executable, str(Path(__file__).with_name("notebook_job.py")), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit((done.stdout + done.stderr)[-4000:])
    return done.stdout


def main() -> None:
    """Measure all, print Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cpu", action="store_true", help="on the processor, where there is no GPU")
    parser.add_argument("--network", default="resnet50", help="one of conf/backbone, with random weights")
    parser.add_argument("--image-sizes", type=int, nargs="+", default=[64, 224])
    parser.add_argument("--frames", type=int, default=256, help="of a call of the network")
    parser.add_argument("--calls", type=int, default=16, help="of a round")
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 256, 1024, 4096])
    parser.add_argument("--steps", type=int, default=32, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-job", action="store_true", help="leave the notebook's job out")
    parser.add_argument("job", nargs="*", help="arguments of notebook_job.py, after --")
    asked = parser.parse_args()
    name = device_name()
    if name is None and not asked.cpu:
        say("TensorFlow finds no GPU here; --cpu measures the processor instead.")
        sys.exit(WITHOUT_GPU)
    tf.config.experimental.enable_tensor_float_32_execution(False)  # as a run has it
    say(f"Device: {name or 'CPU'}; TensorFlow {tf.__version__}; float32 is not TF32.\n")
    say(f"| {asked.network}, frames/s | {' | '.join(POLICIES)} |\n|---|---|---|---|")
    say("\n".join(extraction_rows(asked)))
    say("\n| a step on features, batch | equal | cagrad |\n|---|---|---|")
    say("\n".join(step_rows(asked)))
    if not asked.no_job:
        say(f"\nThe notebook's job:\n\n```\n{notebook_job(asked.job)}```")


if __name__ == "__main__":
    main()
