"""Fifty jobs in one process: what each costs, and what it leaves behind.

    python benchmarks/jobs.py

First a real sweep of the demo by the basic launcher, all in one process: whole warm
jobs, with index, digest, stored features, bootstrap, figures and MLflow. A job's wall time goes
from the end of the job before to its own; steps and peak memory are as it tracked them.

Then the middle of a job alone, between its features and its evaluation: a model, a
weighting and an optimizer of its own, training with measurements, predictions on the test
frames. Jobs go through four task sets and ever new seeds. Beside them, for the ratio, the
same jobs compiled anew each time.

    python benchmarks/jobs.py --beside ../before

runs the real sweep by another checkout of the project too, in turns, and prints the ratios.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from drawn import in_full
from heads import CLASSES, TASKS
from rich.console import Console

from mtl.features.vectors import MemoryVectors
from mtl.job import record as records
from mtl.memory import aligned
from mtl.model.multitask import MultiTaskModel, reused
from mtl.model.parts import TrainedPart
from mtl.training.checkpoint import Checkpoints
from mtl.training.dataset import Dataset
from mtl.training.loop import Training
from mtl.training.source import predict
from mtl.weighting.equal import Equal

SETS = (
    ("general_anomaly",),
    ("general_anomaly", "violence", "property_crime"),
    ("general_anomaly", "anomaly_type"),
    tuple(TASKS),
)
STAGES = ("start", "index", "features", "training", "evaluation", "relations", "record")
REAL_SETS = ("anomaly", "anomaly_violence", "anomaly_type", "all")
HERE = Path(__file__).resolve().parents[1]


def draw(n: int, features: int) -> Dataset:
    """FeatureVectors at random, ten to a video, seven tenths of them to train on."""
    rng = np.random.default_rng(0)
    vectors = aligned((n, features), np.float32)
    vectors[:] = rng.normal(size=vectors.shape)
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
    return Dataset(MemoryVectors(vectors), {name: task.targets(frames) for name, task in TASKS.items()}, frames)


def job(number: int, dataset: Dataset, units: int, anew: bool) -> tuple[float, float]:
    """Seconds of a job, and those of its training steps alone."""
    began = time.perf_counter()
    tasks = {name: TASKS[name] for name in SETS[number % len(SETS)]}
    identity = TrainedPart(lambda features, training: features, [], [], graph=None if anew else "identity")
    n_features = dataset.features.shape[1]
    model = reused(MultiTaskModel(identity, n_features, tasks, units, dropout=0.0, standardise=False, seed=number))
    training = Training(
        epochs=2, batch_size=32, optimizer=lambda: keras.optimizers.Adam(1e-3), sampling="natural",
        early_stopping=False, patience=1, gradients_of="parameters",
        checkpoint=Checkpoints(epochs=None, seconds=0, dir="unused"), seed=number,
    )  # fmt: skip
    measurements = in_full(seed=number)
    own = Dataset(dataset.features, {name: dataset.targets[name] for name in tasks}, dataset.frames)
    _, history = training.train(
        model, own, Equal(tuple(tasks)), measurements, "general_anomaly", lambda number, epoch: None
    )
    predict(model, own.features, own.positions("test"))
    return time.perf_counter() - began, history.seconds


def real_sweep(checkout: Path, seeds: int, epochs: int, more: list[str]) -> tuple[pd.DataFrame, float]:
    """Whole jobs of a sweep of the demo, in one process, from the records they left; and the command's wall time.

    Returns
    -------
    DataFrame
        One row a job in the order they ended: `seconds` since the one before ended,
        `beyond` its steps, `measurements` and the stages, `mib` of the process's peak memory.
    """
    words = [
        "-m", f"seed=range({seeds})", f"tasks={','.join(REAL_SETS)}", "freeze=all", "backbone=small_cnn",
        "backbone.seed=0", "training=fixed_epochs", f"training.epochs={epochs}", *more,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(checkout / "run.py"), *words]
        began = time.perf_counter()
        env = os.environ | {"PYTHONPATH": str(checkout)}
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
        wall = time.perf_counter() - began
        if done.returncode:
            sys.exit((done.stdout + done.stderr)[-4000:])
        left = records.read_jobs(Path(folder))
        found = sorted((job for job in left if job.number >= 0), key=lambda job: job.ended)  # not the sweep's own
    ended = np.array([job.ended for job in found])
    table = pd.DataFrame(
        {
            "seconds": np.diff(ended, prepend=ended[0] - found[0].seconds),
            "steps": [job.metrics["time/steps_s"] for job in found],
            "gradient_measurements": [job.metrics["time/gradient_measurements_s"] for job in found],
            **{name: [job.metrics[f"time/{name}_s"] for job in found] for name in STAGES},
            "mib": [job.metrics["memory/peak_mib"] for job in found],
        }
    )
    return table.assign(beyond=table["seconds"] - table["steps"]), wall


def warm_of(real: pd.DataFrame) -> pd.DataFrame:
    """The jobs once every set was there."""
    return real.iloc[len(SETS) :] if len(real) > len(SETS) else real


def beside(other: Path, rounds: int, seeds: int, epochs: int, more: list[str]) -> str:
    """Real sweeps of both checkouts in turns: medians of warm jobs over all rounds, and their ratios."""
    found: dict[Path, list[tuple[pd.DataFrame, float]]] = {HERE: [], other: []}
    for number in range(rounds):
        for checkout in (HERE, other) if number % 2 else (other, HERE):
            found[checkout].append(real_sweep(checkout, seeds, epochs, more))
    warm = {where: pd.concat([warm_of(table) for table, _ in each]).median() for where, each in found.items()}
    walls = {where: float(np.median([wall for _, wall in each])) for where, each in found.items()}
    lines = [f"{rounds} sweeps of each in turns; here beside {other}, and the ratio:"]
    for name in ("beyond", "steps", "gradient_measurements", *STAGES):
        ours, theirs = warm[HERE][name], warm[other][name]
        lines.append(f"  {name} {ours:.3f} s, {theirs:.3f} s: {ours / max(theirs, 1e-9):.2f}")
    lines.append(f"  whole command {walls[HERE]:.1f} s, {walls[other]:.1f} s: {walls[HERE] / walls[other]:.2f}")
    mib = {where: max(table["mib"].max() for table, _ in each) for where, each in found.items()}
    lines.append(f"  peak memory {mib[HERE]:.0f} MiB, {mib[other]:.0f} MiB: {mib[HERE] / mib[other]:.2f}")
    return "\n".join(lines)


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
    parser.add_argument("--seeds", type=int, default=13, help="of the real sweep, four jobs each; 0: no real sweep")
    parser.add_argument("--epochs", type=int, default=5, help="of a real job")
    parser.add_argument("--beside", type=Path, help="another checkout, whose real sweep runs in turns with this one's")
    parser.add_argument("--rounds", type=int, default=3, help="of the sweeps in turns")
    parser.add_argument("more", nargs="*", help="overrides of the real sweep")
    asked, console = parser.parse_args(), Console(width=120)
    if asked.beside:
        console.print(beside(asked.beside.resolve(), asked.rounds, asked.seeds, asked.epochs, asked.more))
        return
    dataset = draw(asked.frames, asked.features)
    if asked.seeds:
        real, _ = real_sweep(HERE, asked.seeds, asked.epochs, asked.more)
        warm, seconds, mib = warm_of(real), real["seconds"], real["mib"]
        stages = ", ".join(f"{name} {warm[name].median():.2f}" for name in ("gradient_measurements", *STAGES))
        console.print(
            f"{len(real)} real jobs: first {seconds.iloc[0]:.2f} s, warm ones {warm['seconds'].median():.2f} s, "
            f"{warm['beyond'].median():.2f} s of it beyond the steps (at most {warm['beyond'].max():.2f}, of 3): "
            f"{stages}; last / second {seconds.iloc[-1] / seconds.iloc[1]:.2f}; "
            f"peak memory {mib.iloc[-1] - mib.iloc[0]:+.0f} MiB of 200 from the first to the last, "
            f"{mib.iloc[-1] - warm['mib'].iloc[0]:+.0f} MiB of it once every set was there"
        )
    found = []
    for kind, count in (("reused", asked.jobs), ("compiled anew", asked.anew)):
        for number in range(count):
            seconds, steps = job(number, dataset, asked.units, anew=kind != "reused")
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
