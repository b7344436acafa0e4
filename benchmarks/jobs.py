"""Fifty jobs in one process: what each costs, and what it leaves behind.

    python benchmarks/jobs.py

Each job is what a job of a sweep does between its features and its evaluation: a
model, a weighting and an optimizer of its own, training with probes, predictions
on the test frames. Jobs go through four task sets and ever new seeds. Beside them, for the ratio, the
same jobs compiled anew each time.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from heads import CLASSES, TASKS
from rich.console import Console

from mtl.backbone import Trained
from mtl.examples import Examples, aligned
from mtl.model import MultiTaskModel, reused
from mtl.probes import Probes
from mtl.store import MemoryRows
from mtl.training import Training, predict
from mtl.weighting.equal import Equal

SETS = (
    ("general_anomaly",),
    ("general_anomaly", "violence", "property_crime"),
    ("general_anomaly", "anomaly_type"),
    tuple(TASKS),
)


def draw(n: int, features: int) -> Examples:
    """Rows at random, ten to a video, seven tenths of them to train on."""
    rng = np.random.default_rng(0)
    rows = aligned((n, features), np.float32)
    rows[:] = rng.normal(size=rows.shape)
    videos = np.arange(n) // 10
    codes = rng.integers(0, len(CLASSES), videos[-1] + 1)[videos]
    split = np.select([np.arange(n) < 0.7 * n, np.arange(n) < 0.85 * n], ["train", "val"], "test")
    frames = pd.DataFrame(
        {
            "class_name": pd.Categorical.from_codes(codes, CLASSES),
            "video": pd.Categorical.from_codes(videos, [f"v{i}" for i in range(videos[-1] + 1)]),
            "split": pd.Categorical(split),
        }
    )
    return Examples(MemoryRows(rows), {name: task.targets(frames) for name, task in TASKS.items()}, frames)


def job(number: int, examples: Examples, units: int, anew: bool) -> tuple[float, float]:
    """Seconds of a job, and those of its training steps alone."""
    began = time.perf_counter()
    tasks = {name: TASKS[name] for name in SETS[number % len(SETS)]}
    identity = Trained(lambda rows, training: rows, [], [], graph=None if anew else "identity")
    n_features = examples.rows.shape[1]
    model = reused(MultiTaskModel(identity, n_features, tasks, units, dropout=0.0, seed=number))
    training = Training(
        epochs=2, batch_size=32, optimizer=lambda: keras.optimizers.Adam(1e-3), sampling="natural",
        early_stopping=False, patience=1, seed=number,
    )  # fmt: skip
    probes = Probes(epochs=1, batches=8, batch_size=64, permuted_labels=True, affinity_step=0.01, seed=number)
    own = Examples(examples.rows, {name: examples.targets[name] for name in tasks}, examples.frames)
    _, history = training.train(model, own, Equal(tuple(tasks)), probes, "general_anomaly", lambda epoch, row: None)
    predict(model, own.rows, own.positions("test"))
    return time.perf_counter() - began, history.seconds


def resident_mib() -> float:
    """Memory of this process now."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096 / 2**20


def main() -> None:
    """Run the jobs, print what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--anew", type=int, default=8, help="jobs compiled anew, after the others")
    parser.add_argument("--frames", type=int, default=4000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--units", type=int, default=512)
    asked = parser.parse_args()
    examples = draw(asked.frames, asked.features)
    console = Console(width=120)
    found = []
    for kind, count in (("reused", asked.jobs), ("compiled anew", asked.anew)):
        for number in range(count):
            seconds, steps = job(number, examples, asked.units, anew=kind != "reused")
            found.append((kind, seconds, seconds - steps, resident_mib()))
    table = pd.DataFrame(found, columns=["kind", "seconds", "beyond", "mib"])
    for kind, jobs in table.groupby("kind", sort=False):
        first, warm = jobs.iloc[0], jobs.iloc[len(SETS) :] if len(jobs) > len(SETS) else jobs
        last, early = (part[["seconds", "beyond"]].median() for part in (warm.iloc[-8:], warm.iloc[:8]))
        a_job = (jobs["mib"].iloc[-1] - warm["mib"].iloc[0]) / max(1, len(warm) - 1)
        console.print(
            f"{len(jobs)} jobs {kind}: first {first['seconds']:.2f} s, warm ones {warm['seconds'].median():.2f} s, "
            f"{warm['beyond'].median():.2f} s of it beyond the steps, last ones / first ones "
            f"{last['seconds'] / early['seconds']:.2f}; memory {jobs['mib'].iloc[-1] - first['mib']:+.0f} MiB "
            f"from the first to the last, {a_job:+.2f} MiB a warm job"
        )


if __name__ == "__main__":
    main()
