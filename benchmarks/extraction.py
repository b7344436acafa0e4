"""Our extraction, from PNG files to features on disk, against the bare forward pass of the same network.

    python benchmarks/extraction.py [--image-sizes 224 --frames 128]

At the size that the frames have, where no resize is needed, and at another, where it is.
Bare is the compiled network alone, on preprocessed float images that are in memory
already. Both in turns within one process, both precisions; the quickest round counts.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from drawn import SIDE, take_turns, write_tree
from rich.console import Console

from mtl.data.class_names import CLASSES
from mtl.data.frames import read_frame
from mtl.data.ucf_crime import UCFCrime
from mtl.features.store import FeatureStore
from mtl.model.backbone import Backbone, Freeze
from mtl.model.device import cosine_to_float32
from mtl.model.networks import pooled
from mtl.model.parts import FrozenPart

NETWORKS = {
    "resnet50": (keras.applications.ResNet50, keras.applications.resnet.preprocess_input),
    "mobilenet_v2": (keras.applications.MobileNetV2, keras.applications.mobilenet_v2.preprocess_input),
}


def backbone(name: str, image_size: int, precision: str, batch: int) -> Backbone:
    """The network without its top, with random weights: they do not change the work."""
    network, preprocess = NETWORKS[name]
    return Backbone(
        name, lambda **given: network(include_top=False, **given), preprocess, image_size, "random",
        {"all": "last"}, precision, batch, seed=0,
    )  # fmt: skip


def bare(network: keras.Model, images: np.ndarray, batch: int) -> Callable[[], None]:
    """The forward pass alone."""
    compiled = tf.function(lambda x: pooled(network(x, training=False)))
    batches = [tf.constant(images[i : i + batch]) for i in range(0, len(images), batch)]

    def forward() -> None:
        for one in batches:
            compiled(one).numpy()

    return forward


def ours(data: UCFCrime, frozen: FrozenPart, folder: Path) -> Callable[[], None]:
    """The store's way, into an empty one each time."""
    frames, number = data.frames(), itertools.count()

    def extract() -> None:
        store = FeatureStore(
            str(folder / str(next(number))), max_gib=10, memory_gib=1, part_mib=32, decode_threads=None, max_bad_share=0
        )
        assert store.of(frames, data.root, frozen).computed == len(frames)

    return extract


def main() -> None:
    """Measure every image size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="resnet50")
    parser.add_argument("--image-sizes", type=int, nargs="+", default=[SIDE, 96])
    parser.add_argument("--frames", type=int, default=896, help="at least")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "frames"
        write_tree(root, 3, 1, -(-asked.frames // (4 * len(CLASSES))))
        data = UCFCrime(
            str(root), {}, {"train": None, "val": None, "test": None}, 0.3, 0, 1, None, None, None, None, 30
        )
        frames = data.frames()
        images = np.stack([read_frame(root, path) for path in frames["path"]])
        for size in asked.image_sizes:
            compare(console, asked, data, images, size, Path(folder) / str(size))


def compare(
    console: Console, asked: argparse.Namespace, data: UCFCrime, images: np.ndarray, size: int, folder: Path
) -> None:
    """Measure both precisions at an image size, print the ratios."""
    small = tf.image.resize(tf.constant(images, tf.float32), (size, size), antialias=True)
    ready = NETWORKS[asked.network][1](small.numpy())
    trajectories: dict[str, Callable[[], None]] = {}
    for precision in ("float32", "bfloat16"):
        whole = backbone(asked.network, size, precision, asked.batch)
        cut = whole.split(Freeze("all"))
        trajectories[f"bare {precision}"] = bare(whole.network, ready, asked.batch)
        trajectories[f"ours {precision}"] = ours(data, cut.frozen, folder / precision)
    seconds = take_turns(trajectories, asked.rounds)
    rates = {name: len(images) / one for name, one in seconds.items()}
    alike = cosine_to_float32(cut.frozen, images[: asked.batch])
    for name, rate in rates.items():
        console.print(f"{name}: {rate:,.1f} frames/s")
    console.print(
        f"{asked.network} at {size} px, ours / bare: "
        f"float32 {rates['ours float32'] / rates['bare float32']:.2f}, "
        f"bfloat16 {rates['ours bfloat16'] / rates['bare bfloat16']:.2f}; "
        f"ours bfloat16 / bare float32 {rates['ours bfloat16'] / rates['bare float32']:.2f}, "
        f"cosine of features {alike:.5f}"
    )


if __name__ == "__main__":
    main()
