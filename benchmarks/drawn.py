"""What several benchmarks need: drawn frames in the layout of the real tree, turns, and measurements in full."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from omegaconf import OmegaConf

from mtl.config.build import build
from mtl.config.switches import CONF
from mtl.data.class_names import CLASSES
from mtl.training.gradient_measurements import GradientMeasurements

SIDE = 64  # pixels, as the frames of the usual tree
BLOBS = 8  # random patches along a side, smoothed: such a frame takes about as long to decode as a real one


def write_tree(root: Path, train_videos: int, test_videos: int, frames: int) -> None:
    """Frames of every class below Train and Test, with so many videos a class and frames a video."""
    rng = np.random.default_rng(0)
    for split, videos in (("Train", train_videos), ("Test", test_videos)):
        for name in CLASSES:
            folder = root / split / ("NormalVideos" if name == "Normal" else name)
            folder.mkdir(parents=True)
            stem = "Normal_Videos" if name == "Normal" else name
            first = 0 if split == "Train" else train_videos
            for video in range(first, first + videos):
                small = rng.uniform(0, 255, (frames, BLOBS, BLOBS, 3))
                images = tf.cast(tf.image.resize(small, (SIDE, SIDE), "bicubic"), tf.uint8)
                for i, image in enumerate(images):
                    path = folder / f"{stem}{video:03d}_x264_{10 * i}.png"
                    path.write_bytes(tf.io.encode_png(image).numpy())


def take_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Least seconds of every way over rounds in which they take turns; the first round does not count.

    So what else the machine does falls on all of them alike. By the clock `time.process_time` they are those that the
    process computes, on all cores together, which other work hardly changes.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            began = clock()
            way()
            seconds[name].append(clock() - began)
    return {name: min(found[1:]) for name, found in seconds.items()}


def in_full(seed: int) -> GradientMeasurements:
    """The gradient measurements of `conf/config.yaml` for heads on features: eight batches of 64 after every epoch."""
    asked = OmegaConf.load(CONF / "config.yaml").gradient_measurements
    wanted = {"epochs": 1, "batches": 8, "share": None, "batch_size": 64, "seed": seed}
    return build(OmegaConf.merge(asked, wanted))
