"""From ten thousand frames to the whole of UCF-Crime: time and peak memory of a run, stage by stage.

    python benchmarks/scale.py

A tree with as many videos and frames of each class as the real one has, lengths of
videos drawn with the real spread, files empty: only names are read. Every size is a
process of its own. Feature vectors of the epoch are drawn, too many to hold, so they come in
blocks as they would from disk; what a run may grow by with the number of frames
is then the run's own. Stages are those of a run: index, split and labels; who the frames
are (identities, digests, annotation files); an epoch with its measurements; predictions of
the test frames with their intervals. Only decoding, the forward pass, figures and MLflow are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from mtl.memory import peak_mib

if TYPE_CHECKING:
    import pandas as pd

    from mtl.tasks import Task
    from mtl.training.dataset import Dataset

COUNTS = {  # class: videos and frames to train on, and to test
    "Abuse": (48, 19076, 2, 297),
    "Arrest": (45, 26397, 5, 3365),
    "Arson": (41, 24421, 9, 2793),
    "Assault": (47, 10360, 3, 2657),
    "Burglary": (87, 39504, 13, 7657),
    "Explosion": (29, 18753, 21, 6510),
    "Fighting": (45, 24684, 5, 1231),
    "NormalVideos": (800, 947768, 150, 64952),
    "RoadAccidents": (127, 23486, 23, 2663),
    "Robbery": (145, 41493, 5, 835),
    "Shooting": (27, 7140, 23, 7630),
    "Shoplifting": (29, 24835, 21, 7623),
    "Stealing": (95, 44802, 5, 1984),
    "Vandalism": (45, 13626, 5, 1111),
}
ALL = sum(train + test for _, train, _, test in COUNTS.values())
SPREAD = 1.1  # standard deviation of the logarithm of a video's length
DRAWN = 4096  # distinct feature vectors
STAGES = ("index", "labels", "known", "epoch", "steps", "judged")


def write_names(root: Path, frames: int) -> int:
    """Empty files in the real layout and proportions; how many."""
    rng = np.random.default_rng(0)
    written = 0
    for name, (train_videos, train, test_videos, test) in COUNTS.items():
        for split, videos, total in (("Train", train_videos, train), ("Test", test_videos, test)):
            folder = root / split / name
            folder.mkdir(parents=True)
            share = rng.lognormal(sigma=SPREAD, size=videos)
            ends = np.round(np.cumsum(share) / share.sum() * total * frames / ALL).astype(int)
            stem = "Normal_Videos" if name == "NormalVideos" else name
            first = 0 if split == "Train" else train_videos
            within = os.open(folder, os.O_RDONLY)
            for video, length in enumerate(np.diff(ends, prepend=0), start=first):
                for i in range(max(1, length)):
                    os.close(os.open(f"{stem}{video:03d}_x264_{10 * i}.png", os.O_CREAT | os.O_WRONLY, dir_fd=within))
                    written += 1
            os.close(within)
    return written


class RepeatedFeatures:
    """Few distinct feature vectors, over and over.

    Parameters
    ----------
    n_frames, n_features : int
    """

    array = None
    dtype = np.dtype(np.float32)

    def __init__(self, n_frames: int, n_features: int) -> None:
        self.shape = (n_frames, n_features)
        self.distinct = np.random.default_rng(0).normal(size=(DRAWN, n_features)).astype(np.float32)

    def __len__(self) -> int:
        """Number of frames."""
        return self.shape[0]

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Feature vectors at these positions."""
        return self.distinct[positions % DRAWN]


def measure(root: Path, features: int, units: int, batch: int) -> dict[str, float]:
    """Seconds and peak memory, stage by stage."""
    from real import real_data, real_tasks

    found = {"before_mib": peak_mib()}
    began = time.perf_counter()
    frames = real_data(root).frames()
    found["index_s"] = time.perf_counter() - began
    tasks = real_tasks()
    began = time.perf_counter()
    targets = {name: task.targets(frames) for name, task in tasks.items()}
    found |= {"labels_s": time.perf_counter() - began, "labels_mib": peak_mib(), "frames": float(len(frames))}
    found |= identify(root, frames)

    from mtl.training.dataset import Dataset

    dataset = Dataset(RepeatedFeatures(len(frames), features), targets, frames)
    return found | train_and_judge(dataset, tasks, units, batch)


def identify(root: Path, frames: pd.DataFrame) -> dict[str, float]:
    """What it costs to say who the frames are."""
    from mtl.features.feature_key import identities, stats
    from mtl.job.fingerprint import data_digest
    from mtl.tracking import artifacts

    began = time.perf_counter()
    on_disk = stats(root, frames["path"])
    data_digest(frames, on_disk)
    identities(frames["path"], on_disk)
    at_test = (frames["split"] == "test").to_numpy()
    for part in (at_test, ~at_test):
        artifacts.table_digest(frames[part])
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "val", "test"):
            artifacts.write_annotations(Path(folder) / f"{split}.txt", frames, split)
    return {"known_s": time.perf_counter() - began, "known_mib": peak_mib()}


def train_and_judge(dataset: Dataset, tasks: dict[str, Task], units: int, batch: int) -> dict[str, float]:
    """What an epoch and the scores of the test frames cost."""
    import keras
    from drawn import in_full

    from mtl.evaluation.evaluation import Evaluation
    from mtl.evaluation.predictions import predictions_table
    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import nothing_trained
    from mtl.training.checkpoint import Checkpoints
    from mtl.training.loop import Training
    from mtl.training.source import predict
    from mtl.weighting.equal import Equal

    model = MultiTaskModel(
        nothing_trained(), dataset.features.shape[1], tasks, units, dropout=0.0, standardise=False, seed=0
    )
    training = Training(
        epochs=1, batch_size=batch, optimizer=lambda: keras.optimizers.Adam(1e-3), sampling="natural",
        early_stopping=False, patience=1, gradients_of="parameters",
        checkpoint=Checkpoints(epochs=None, seconds=0, dir="unused"), seed=0,
    )  # fmt: skip
    measurements = in_full(seed=0)
    began = time.perf_counter()
    _, history = training.train(
        model, dataset, Equal(tuple(tasks)), measurements, "general_anomaly", lambda number, epoch: None
    )
    found = {"epoch_s": time.perf_counter() - began, "steps_s": history.seconds, "epoch_mib": peak_mib()}
    began = time.perf_counter()
    test = dataset.positions("test")
    logits = predict(model, dataset.features, test)
    of_test = {name: target[test] for name, target in dataset.targets.items()}
    predictions = predictions_table(dataset.frames.iloc[test], of_test, logits, tasks)
    Evaluation(resamples=2000, seed=0, threshold=0.5, alarm_gap_s=1.0).evaluate(predictions, tasks)
    return found | {"judged_s": time.perf_counter() - began, "peak_mib": peak_mib()}


def main() -> None:
    """Measure every size, print a table and what grows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, help="for the processes that this one starts")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, ALL], help="frames")
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--batch", type=int, default=256)
    asked = parser.parse_args()
    if asked.root:
        found = measure(asked.root, asked.features, asked.units, asked.batch)
        print(json.dumps(found))  # noqa: T201  read by the process that started this one
        return
    console = Console(width=120)
    columns = ("frames", "index", "labels", "peak", "identities", "peak", "epoch", "steps", "peak", "test", "peak")
    table = Table(*columns)
    peaks = []
    for size in asked.sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_names(Path(folder), size)
            words = ["--root", folder, "--features", asked.features, "--units", asked.units, "--batch", asked.batch]
            command = [sys.executable, str(Path(__file__).resolve()), *map(str, words)]
            done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr[-4000:])
        one = json.loads(done.stdout.splitlines()[-1])
        peaks.append(one)
        seconds = {name: f"{one[f'{name}_s']:.1f} s" for name in STAGES}
        memory = {name: f"{one[f'{name}_mib']:,.0f} MiB" for name in ("labels", "known", "epoch", "peak")}
        table.add_row(
            f"{one['frames']:,.0f}", seconds["index"], seconds["labels"], memory["labels"], seconds["known"],
            memory["known"], seconds["epoch"], seconds["steps"], memory["epoch"], seconds["judged"], memory["peak"],
        )  # fmt: skip
    console.print(table)
    small, large = peaks[0], peaks[-1]
    slower = (large["steps_s"] / large["frames"]) / (small["steps_s"] / small["frames"])
    console.print(
        f"{large['frames']:,.0f} frames: index, split and labels {large['index_s'] + large['labels_s']:.1f} s of 15, "
        f"{large['labels_mib']:,.0f} MiB of 1,536; peak of the run {large['peak_mib'] - small['peak_mib']:+,.0f} MiB "
        f"of 300 beside {small['frames']:,.0f} frames; a frame takes {slower:.2f} times as long to train on"
    )


if __name__ == "__main__":
    main()
