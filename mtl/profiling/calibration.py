"""What this machine can do at best of what a run does: measured after it, in a few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mtl.data.decoding import Decoder, n_cores, usual_size
from mtl.profiling.profile import Machine
from mtl.stopwatch import DECODE, FORWARD, STEPS, Stopwatch

if TYPE_CHECKING:
    import pandas as pd

    from mtl.data.frames import FrameRoot
    from mtl.model.parts import FrozenPart
    from mtl.training.dataset import Dataset
    from mtl.training.steps import Steps

SECONDS = 0.4  # of each measurement, about
AT_LEAST = 2  # calls of each, so that one that was disturbed does not count alone
FIRST_FRAMES = 16  # a core, from which it is told how many frames take a measurement
MOST_STEPS = 256  # in a call, as in a training
CPU_SIDE, GPU_SIDE = 1024, 4096  # of the matrices that are multiplied
SPANS = 1000  # timed in a row
COPIED = 2**26  # bytes, more than the caches hold


def quickest(act: Callable[[], object], seconds: float = SECONDS) -> float:
    """Seconds of the quickest of several calls: a busy machine makes calls slower, never faster.

    Parameters
    ----------
    act : callable
        Returns when its work is done.
    seconds : float
        No call is begun after so many, but for the first `AT_LEAST`.
    """
    taken: list[float] = []
    while len(taken) < AT_LEAST or sum(taken) < seconds:
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return max(min(taken), 1e-9)


def decode_rate(threads: int, root: FrameRoot, paths: pd.Series, batch_size: int) -> float:
    """Frames per second of the decoder alone, on frames from all over the table that the system may hold in memory.

    Parameters
    ----------
    threads : int
    root : Path or FrameReader
    paths : Series of str
        Of frames that can be read.
    batch_size : int
    """
    decoder, shape = Decoder(threads), usual_size(root, paths, np.arange(len(paths)))

    def decode(n: int) -> float:
        chosen = paths.iloc[np.unique(np.linspace(0, len(paths) - 1, n).astype(int))]
        start = time.perf_counter()
        with closing(decoder.batches(root, chosen, shape, batch_size)) as batches:
            for _ in batches:
                pass
        return len(chosen) / (time.perf_counter() - start)

    first = decode(min(len(paths), FIRST_FRAMES * threads))
    n = int(np.clip(first * SECONDS / AT_LEAST, 1, len(paths)))
    rates = [first, *(decode(n) for _ in range(AT_LEAST))]
    decoder.close()
    return max(rates)


def forward_rate(frozen: FrozenPart, images: np.ndarray) -> float:
    """Frames per second of the compiled frozen part on a batch that lies where it is computed already.

    Parameters
    ----------
    frozen : FrozenPart
        Not the identity.
    images : ndarray of uint8, shape (b, h, w, 3)
    """
    forward = frozen.on_resident(images)
    return len(images) / quickest(forward)


def step_rate(steps: Steps, dataset: Dataset, batch_size: int) -> float:
    """Steps per second of a run's own compiled step, on one batch that lies where it is computed already.

    It trains the model on, so a run's results must have been taken from it before.

    Parameters
    ----------
    steps : Steps
    dataset : Dataset
    batch_size : int
    """
    features, targets = dataset.gather(np.resize(dataset.positions("train"), batch_size))
    resident = tf.constant(features), {name: tf.constant(one, tf.int32) for name, one in targets.items()}

    def run(n: int) -> None:
        losses, _ = steps.run(*resident, np.tile(np.arange(batch_size), (n, 1)))
        losses.numpy()

    run(1)
    start = time.perf_counter()
    run(1)
    one = max(time.perf_counter() - start, 1e-9)
    n = int(np.clip(SECONDS / AT_LEAST / one, 1, MOST_STEPS))
    return n / quickest(lambda: run(n))


def gflops() -> float:
    """Billions of operations per second in a product of two large float32 matrices."""
    side = GPU_SIDE if tf.config.list_physical_devices("GPU") else CPU_SIDE
    matrix = tf.ones((side, side))
    product = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0], autograph=False)
    product().numpy()
    return 2e-9 * side**3 / quickest(lambda: product().numpy(), SECONDS / 2)


def copy_gb_s() -> float:
    """Billions of bytes per second, read and written, of one core that copies what no cache holds."""
    source, target = np.ones(COPIED, np.uint8), np.zeros(COPIED, np.uint8)
    return 2e-9 * COPIED / quickest(lambda: np.copyto(target, source), SECONDS / 4)


def span_seconds() -> float:
    """Seconds that a watch takes to begin and end a stage."""
    watch = Stopwatch()

    def begin_and_end() -> None:
        for _ in range(SPANS):
            watch.begin(STEPS)
            watch.end()

    return quickest(begin_and_end, 0.0) / SPANS


def calibrate(rates: Mapping[str, Callable[[], float]]) -> Machine:
    """What the machine does at best.

    Parameters
    ----------
    rates : mapping of str to callable
        By stage, how its rate is measured.
    """
    assert set(rates) <= {DECODE, FORWARD, STEPS}
    start = time.perf_counter()
    found = {stage: measure() for stage, measure in rates.items()}
    product, copy = gflops(), copy_gb_s()
    each = span_seconds()
    return Machine(n_cores(), product, copy, found, time.perf_counter() - start, each)
