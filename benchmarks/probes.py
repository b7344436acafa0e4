"""What the gradient measurements of a default run cost, and whether they tell what all that could be measured tells.

    python benchmarks/probes.py [-- OVERRIDE ...]

The same job twice by the real command: with the share of the passes that `conf/config.yaml` allows, and with every
held-out batch after every epoch. Measuring changes no number of a training, so both have the same losses, which is
checked. By measure: the rank correlation of the two over pairs of tasks and their mean absolute difference. The
yardstick is the same between two halves of the batches of the full job: noise of sampling.
The seconds are of two processes, one after the other: read each beside its own training steps.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from mtl.relations.gradient import (
    affinity,
    conflict_rate,
    gradient_similarity,
    gradient_similarity_mean,
    magnitude_similarity,
)
from mtl.relations.scales import condition_number
from mtl.trace import Trace
from mtl.tracking.artifacts import read_trace

ROOT = Path(__file__).resolve().parents[1]
WAYS = {
    "by share": ("gradient_measurements.epochs=null", "gradient_measurements.batches=null"),
    "all": ("gradient_measurements.epochs=1", "gradient_measurements.batches=null", "gradient_measurements.share=null"),
}
MEASURES = {
    measure.__name__: partial(measure, warmup_epochs=1)
    for measure in (
        gradient_similarity,
        gradient_similarity_mean,
        conflict_rate,
        magnitude_similarity,
        condition_number,
        affinity,
    )
}
OF_BATCHES = ("gramians", "group_gramians", "permuted_cosines", "affinities", "update_rates", "measurement_batches")
COST = re.compile(
    r"relations: [\d.]+ s, \d+% of the (?P<steps>[\d.]+) s of training steps: the first measurement, which compiles, "
    r"(?P<first>[\d.]+) s, the other measurements (?P<others>[\d.]+) s"
)


@dataclass(frozen=True)
class Job:
    """A job's trace, and seconds of its steps, of the first measurement and of the others."""

    trace: Trace
    steps: float
    first: float
    others: float


def job(folder: Path, overrides: Sequence[str]) -> Job:
    """The job by the real command, in a process of its own."""
    words = [sys.executable, str(ROOT / "run.py"), "tracking=none", *overrides, f"hydra.run.dir={folder}"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path})
    found = COST.search((folder / "run.log").read_text(encoding="utf-8"))
    if found is None:
        raise RuntimeError(f"{folder / 'run.log'} does not say what the relations took.")
    return Job(
        read_trace(next(folder.rglob("trace.npz"))), *(float(found[name]) for name in ("steps", "first", "others"))
    )


def of_batches(trace: Trace, chosen: np.ndarray) -> Trace:
    """The trace with some of its measurements; nothing of the means over an epoch's batches."""
    kept = {name: getattr(trace, name)[chosen] for name in OF_BATCHES if len(getattr(trace, name))}
    return replace(trace, measurement_steps=trace.measurement_steps[chosen], mean_gramians=np.empty(0), **kept)


def pairs(measure: Callable[[Trace], object], trace: Trace) -> np.ndarray:
    """A measure's values of all pairs of tasks; of a measure without direction once each."""
    found = measure(trace)
    n = len(trace.tasks)
    values: np.ndarray = found.values  # type: ignore[attr-defined]
    return values[~np.eye(n, dtype=bool) if found.directed else np.triu_indices(n, 1)]  # type: ignore[attr-defined]


def apart(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Rank correlation and mean absolute difference over the pairs that both have; NaN where there are too few."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 2:
        return np.nan, np.nan
    constant = min(np.ptp(one[both]), np.ptp(other[both])) == 0
    rank = np.nan if constant else stats.spearmanr(one[both], other[both]).statistic
    return float(rank), float(np.abs(one - other)[both].mean())


def row(name: str, by_share: Trace, full: Trace) -> list[str]:
    """A measure's name, and its numbers in words."""
    measure = MEASURES[name]
    rank, difference = apart(pairs(measure, by_share), pairs(measure, full))
    noise_rank = noise = np.nan
    if name != "gradient_similarity_mean":  # the mean over half of the batches is not kept
        half = full.measurement_batches % 2 == 0
        noise_rank, noise = apart(*(pairs(measure, of_batches(full, chosen)) for chosen in (half, ~half)))
    return [name, *(f"{one:.2f}" for one in (rank, noise_rank)), *(f"{one:.4f}" for one in (difference, noise))]


def main() -> None:
    """Run both, print what they cost and what they tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("overrides", nargs="*", default=["tasks=all"], help="of both jobs (default: tasks=all)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        jobs = {
            name: job(Path(folder) / str(i), [*asked.overrides, *words]) for i, (name, words) in enumerate(WAYS.items())
        }
    same = np.array_equal(jobs["by share"].trace.losses, jobs["all"].trace.losses)
    console = Console(width=120)
    cost = Table("measured", "batches", "steps", "first measurement", "others", "all / steps", title="what it costs")
    for name, one in jobs.items():
        ratio = (one.first + one.others) / one.steps if one.steps else np.nan
        seconds = (f"{second:.1f} s" for second in (one.steps, one.first, one.others))
        cost.add_row(name, str(len(one.trace.measurement_steps)), *seconds, f"{ratio:.3f}")
    console.print(cost)
    told = Table(
        "measure", "rank: by share, all", "of two halves", "difference: by share, all", "of two halves",
        title="what it tells, over pairs of tasks",
    )  # fmt: skip
    for name in MEASURES:
        told.add_row(*row(name, jobs["by share"].trace, jobs["all"].trace))
    console.print(told)
    console.print(f"The losses of all training steps are {'equal to the bit' if same else 'NOT equal'}.")
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
