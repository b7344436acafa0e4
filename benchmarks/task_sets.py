"""What the first job of a sweep's second task set costs, beside another checkout; and that absent heads cost nothing.

    python benchmarks/task_sets.py [--baseline PATH]

Jobs of features and heads, each a set of its own: a model, a weighting and an optimizer, one epoch of
steps, a measurement of the task gradients, predictions. Their time over that of the same job again is tracing:
what is compiled, and what its first run costs. In the other checkout, in a process of its own, the same jobs one
after the other; its jobs of a sweep know nothing of its sets.

Then, turn by turn, a job of each set by the shared step beside the same by a step of its own, both compiled
already; and a job of the first set among few heads and among many.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from omegaconf import OmegaConf
from rich.console import Console

from mtl.config.build import build
from mtl.model.multitask import MultiTaskModel, reused
from mtl.model.parts import TrainedPart
from mtl.tasks import BinaryTask, CategoricalTask, Task
from mtl.training.measure_dense import compile_on_dense
from mtl.training.measurement import Batches
from mtl.training.steps import compiled_steps

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ["Normal", *(f"class{i}" for i in range(13))]
TASKS: dict[str, Task] = {
    "main": BinaryTask(CLASSES[1:]),
    **{name: BinaryTask([name]) for name in CLASSES[1:]},
    "type": CategoricalTask(CLASSES),
}
DEMO = (
    ("main",), ("main", "class1"), ("main", "class1", "class2"), ("main", "type"), ("main", "class1", "class2", "type"),
)  # fmt: skip
SCREENING = tuple(("main", *CLASSES[1 : 1 + n]) for n in (6, 7, 5, 8, 0, 13))
FAMILIES = {"demo": DEMO, "one per class": SCREENING}


def job(names: Sequence[str], sets: Sequence[Sequence[str]], name: str, shared: bool) -> Callable[[], float]:
    """A job's steps, measurement and predictions, to be run as often as one likes; it gives the seconds it took."""
    tasks = {each: TASKS[each] for each in names}
    node = OmegaConf.load(ROOT / "conf" / "weighting" / f"{name}.yaml")
    config = OmegaConf.create({"seed": 0, "main_task": "main", "w": node})
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1024, 512)).astype(np.float32)
    targets = {each: rng.integers(0, task.units if task.units > 1 else 2, 1024) for each, task in tasks.items()}
    targets = {each: tf.constant(one, tf.int32) for each, one in targets.items()}
    at = rng.permutation(1024)[:960].reshape(30, 32)

    def once() -> float:
        began = time.perf_counter()
        weighting, optimizer = build(config.w, tasks=tuple(names)), keras.optimizers.Adam(1e-3)
        part = TrainedPart(lambda features, training: tf.cast(features, tf.float32), [], [], graph="identity")
        model = MultiTaskModel(part, 512, tasks, 512, dropout=0.3, standardise=False, seed=0)
        if shared:
            from mtl.model.slots import kinds_of
            from mtl.training.shared_steps import shared_sets

            known = [kinds_of({each: TASKS[each] for each in one}) for one in sets]
            model = reused(model, shared_sets(known, weighting, optimizer, is_partial=False))
        else:
            model = reused(model)
        steps = compiled_steps(model, weighting, optimizer)
        steps.run(tf.constant(features), targets, at)[0].numpy()
        measure = model.compiled(("measured",), lambda: compile_on_dense(model, 0.01))
        labels = {each: one[:256].numpy().reshape(8, 32) for each, one in targets.items()}
        held = Batches(tf.constant(features[:256].reshape(8, 32, 512)), labels)
        measure(held, held.permuted(np.random.default_rng(0)), held, 0)
        for rows in (512, 100):
            model.inferred(features[:rows])
        return time.perf_counter() - began

    return once


def tracing(shared: bool, weightings: Sequence[str]) -> dict[str, list[float]]:
    """By family and weighting, seconds of tracing of the first job of every set."""
    found = {}
    for name in weightings:
        for family, sets in FAMILIES.items():
            rows = []
            for names in sets:
                once = job(names, sets, name, shared)
                first = once()
                rows.append(max(first - min(once() for _ in range(3)), 0.0))
            found[f"{family}, {name}"] = rows
    return found


def beside_own_steps(name: str, repeats: int) -> dict[str, float]:
    """By set of mixed heads, a job's seconds by the shared step over those by a step of its own."""
    found = {}
    for names in DEMO:
        runs = [job(names, DEMO, name, shared) for shared in (True, False)]
        times: list[list[float]] = [[], []]
        for _ in range(repeats):
            for each, once in zip(times, runs, strict=True):
                each.append(once())
        shared, own = (float(np.median(sorted(each)[: max(1, repeats // 4)])) for each in times)
        found[f"{len(names)} heads" if "type" not in names else f"{len(names)} heads, one of 14 classes"] = shared / own
    return found


def step_times(repeats: int) -> dict[str, float]:
    """Least seconds of the main task's steps among 2, 4, 8 and 14 heads."""
    arms = {n: (("main",), ("main", *CLASSES[1:n])) for n in (2, 4, 8, 14)}
    runs = {n: job(("main",), sets, "equal", shared=True) for n, sets in arms.items()}
    times: dict[int, list[float]] = {n: [] for n in arms}
    for _ in range(repeats):
        for n, once in runs.items():
            times[n].append(once())
    return {str(n): float(np.median(sorted(each)[: max(1, repeats // 4)])) for n, each in times.items()}


def main() -> None:
    """Measure, and print ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--baseline", type=Path, help="another checkout")
    parser.add_argument("--weightings", nargs="+", default=["equal", "pcgrad"])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--alone", action="store_true", help="the baseline's part: print numbers as JSON")
    asked = parser.parse_args()
    if asked.alone:
        sys.stdout.write(f"{json.dumps(tracing(False, asked.weightings))}\n")
        return
    console = Console(width=120)
    before = {}
    if asked.baseline:
        words = [sys.executable, __file__, "--alone", "--weightings", *asked.weightings]
        env = os.environ | {"PYTHONPATH": str(asked.baseline)}
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
        before = json.loads(done.stdout.splitlines()[-1])
    for name, rows in tracing(True, asked.weightings).items():
        text = f"{name}: tracing of the first job by set {', '.join(f'{each:.2f}' for each in rows)} s"
        if before:
            old = before[name]
            text += (
                f"; in the baseline {', '.join(f'{each:.2f}' for each in old)} s; second set {rows[1] / old[1]:.2f} of "
                f"it, later ones {np.sum(rows[2:]) / np.sum(old[2:]):.2f}, all {np.sum(rows) / np.sum(old):.2f}"
            )
        console.print(text)
    for name in asked.weightings:
        ratios = ", ".join(f"{each} {one:.2f}" for each, one in beside_own_steps(name, asked.repeats).items())
        console.print(f"{name}: a job by the shared step, as a ratio to one by a step of its own: {ratios}")
    times = step_times(asked.repeats)
    ratios = ", ".join(f"{n} heads {one / times['2']:.3f}" for n, one in times.items())
    console.print(f"a job of the main task alone, among so many heads, as a ratio to 2 heads: {ratios}")


if __name__ == "__main__":
    main()
