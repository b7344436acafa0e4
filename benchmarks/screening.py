"""How well few sets foretell the others, on published tables, and whether intervals of relevance hold, by simulation.

    python benchmarks/screening.py

Tables: losses of five tasks in all 31 sets, of four settings (`standley.csv`, with its source). The gain of a task in
a set is 1 - loss / loss alone. From the five tasks alone and ten sets drawn at random the gains in all other sets are
predicted: by ridge on membership with the penalty .5, and with the penalty by leave-one-run-out. Medians over designs
of R2 on what was not seen, against predicting zero and against the mean, and of the rank correlation; the share of
designs whose leave-one-run-out R2 (nested where the penalty is chosen) says that predictions are usable; and how much
of what was not seen lies in the interval of 90 %. Beside it, on sets of three tasks and more and against the mean, the
higher-order approximation of the tables' authors, the mean over the pairs in a set: it takes the five tasks alone and
all ten pairs, the same number of runs.

Simulation: designs with known effects, and what makes them uncertain: sets that are not the sum of their members,
seeds, what an auxiliary does differently by seed, test videos. The share of designs in which the intervals of all
auxiliaries hold the truth, their mean half width, and the share of auxiliaries with a verdict, and with a wrong one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from mtl.ablation.judged import CANNOT_TELL, HELPS, HURTS, NO_MATTER
from mtl.screening.design import design, members
from mtl.screening.measured import Measured
from mtl.screening.relevance import relevance
from mtl.screening.surrogate import PENALTIES, USABLE, left_out, linear_kernel, r2, reach

FIXED, LEVEL, N_SEEN, MARGIN = 0.5, 0.9, 10, 0.01
EFFECTS = (-0.02, -0.01, 0.0, 0.0, 0.005, 0.01, 0.03)  # of which those of a simulated design are drawn


class Setting:
    """Gains of every task in every set of a published table."""

    def __init__(self, losses: np.ndarray) -> None:
        self.used = np.isfinite(losses)  # (n_sets, n_tasks)
        size = self.used.sum(axis=1)
        alone = np.array([losses[(size == 1) & self.used[:, t], t][0] for t in range(losses.shape[1])])
        self.gains = 1 - losses / alone
        self.several, self.pairs, self.larger = (np.flatnonzero(of) for of in (size > 1, size == 2, size > 2))

    def cells(self, sets: Sequence[int] | np.ndarray, task: int) -> tuple[np.ndarray, np.ndarray]:
        """Members beside the task, and its gain, of those of the sets that have it."""
        rows = [s for s in sets if self.used[s, task]]
        return np.delete(self.used[rows], task, axis=1).astype(float), self.gains[rows, task]

    def predicted(self, seen: np.ndarray, asked: np.ndarray, penalty: float | None) -> tuple[np.ndarray, np.ndarray]:
        """Gain and prediction of every cell of the sets that are asked for; one penalty for all tasks."""
        tasks = range(self.used.shape[1])
        given = [self.cells(seen, t) for t in tasks]
        if penalty is None:
            errors = np.zeros(len(PENALTIES))
            for used, gains in given:
                if len(gains):
                    errors += ((gains - left_out(linear_kernel(used, used), gains)) ** 2).sum(axis=1)
            penalty = PENALTIES[len(PENALTIES) - 1 - int(errors[::-1].argmin())]
        found, predicted = [np.empty(0)], [np.empty(0)]
        for t, (used, gains) in enumerate(given):
            wanted, true = self.cells(asked, t)
            weights = np.linalg.solve(linear_kernel(used, used) + penalty * np.eye(len(used)), gains)
            found.append(true)
            predicted.append(linear_kernel(wanted, used) @ weights)
        return np.concatenate(found), np.concatenate(predicted)

    def of_pairs(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gain of every cell, and the mean gain of its task in the pairs with each other member."""
        found, predicted = [], []
        for t in range(self.used.shape[1]):
            used, gains = self.cells(self.pairs, t)
            by_partner = used.T @ gains  # one pair each
            wanted, true = self.cells(asked, t)
            found.append(true)
            predicted.append(wanted @ by_partner / wanted.sum(axis=1))
        return np.concatenate(found), np.concatenate(predicted)


def of_setting(setting: Setting, penalty: float | None, designs: int, seed: int) -> np.ndarray:
    """One row per design: R2 against zero and the mean, rank correlation, left-out R2, coverage, R2 of larger sets."""
    rows = []
    for number in range(designs):
        random = np.random.default_rng([seed, number])
        seen = random.choice(setting.several, N_SEEN, replace=False)
        others = np.setdiff1d(setting.several, seen)
        gains, predicted = setting.predicted(seen, others, penalty)
        parts = [setting.predicted(seen[seen != one], np.array([one]), penalty) for one in seen]
        known, foretold = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        inside = np.abs(gains - predicted) <= reach(known - foretold, LEVEL)
        of_larger, larger = setting.predicted(seen, np.intersect1d(others, setting.larger), penalty)
        quality = (r2(gains, predicted), r2(gains, predicted, gains.mean()), spearmanr(gains, predicted).statistic)
        rows.append((*quality, r2(known, foretold), inside.mean(), r2(of_larger, larger, of_larger.mean())))
    return np.array(rows)


def tables(designs: int, seed: int) -> Table:
    """Every published table by both penalties."""
    shown = Table(
        "setting", "penalty", title=f"published tables, {designs} designs of {N_SEEN} sets and five tasks alone"
    )
    names = (
        "R2",
        "R2 of mean",
        "rank corr.",
        "usable",
        "coverage",
        "left-out R2",
        "3 and more: of mean",
        "mean of pairs",
    )
    for name in names:
        shown.add_column(name, justify="right")
    every = pd.read_csv(Path(__file__).parent / "standley.csv", comment="#")
    for name, rows in every.groupby("setting", sort=False):
        setting = Setting(rows.drop(columns="setting").to_numpy(float))
        true, of_pairs = setting.of_pairs(setting.larger)
        for penalty in (FIXED, None):
            found = of_setting(setting, penalty, designs, seed)
            middle = np.median(found, axis=0)
            shares = (np.mean(found[:, 3] > USABLE), found[:, 4].mean())
            values = (*middle[:3], *shares, middle[3], middle[5], r2(true, of_pairs, true.mean()))
            how = f"{penalty:g}" if penalty else "left-out runs"
            shown.add_row(str(name), how, *(f"{value:.2f}" for value in values), end_section=penalty is None)
    return shown


@dataclass(frozen=True)
class Noise:
    """What makes the effects of a simulated design uncertain, as standard deviations in AUC.

    Attributes
    ----------
    sets : float
        Of a set from the sum of its members.
    run : float
        Of a run from its set.
    by_seed : float
        Of what an auxiliary does in a seed from what it does on average.
    videos : float
        Of what an auxiliary does on these test videos from what it does on others.
    run_videos : float
        Of what a run does on these test videos alone.
    """

    sets: float
    run: float
    by_seed: float
    videos: float
    run_videos: float


NOISES = (
    Noise(0.0, 0.010, 0.0, 0.002, 0.001),
    Noise(0.005, 0.006, 0.0, 0.002, 0.002),
    Noise(0.0, 0.006, 0.004, 0.002, 0.001),
    Noise(0.0, 0.003, 0.0, 0.005, 0.005),
)
SIZES = ((13, 20, 3), (13, 20, 6), (4, 10, 3))  # candidates, sets, seeds


def simulated(
    k: int, n_sets: int, n_seeds: int, effects: np.ndarray, noise: Noise, resamples: int, random: np.random.Generator
) -> Measured:
    """AUCs of a design as its runs would have them, also in resamples of the videos."""
    candidates = tuple(f"a{j}" for j in range(k))
    sets = design(candidates, n_sets, int(random.integers(10)))
    used = members(sets, candidates)  # (n_rows, k)
    here = (len(used), n_seeds)
    by_seed = used @ random.normal(0, noise.by_seed, (k, n_seeds))
    values = 0.7 + random.normal(0, 0.02, n_seeds) + by_seed + random.normal(0, noise.run, here)
    values += (used @ (effects + random.normal(0, noise.videos, k)) + random.normal(0, noise.sets, len(used)))[:, None]
    values += random.normal(0, noise.run_videos, here)
    shared = used @ random.normal(0, noise.videos, (k, resamples))
    draws = values[..., None] + shared[:, None] + random.normal(0, noise.run_videos, (*here, resamples))
    return Measured(candidates, tuple(sets), used, values, draws)


def covered(
    size: tuple[int, int, int], noise: Noise, sweeps: int, resamples: int, seed: int
) -> tuple[float, float, float, float]:
    """Share of designs whose intervals all hold, mean half width, shares of auxiliaries told, and told wrongly."""
    held, half, told, wrong = [], [], [], []
    for number in range(sweeps):
        random = np.random.default_rng([seed, number])
        effects = random.choice(EFFECTS, size[0])
        found = relevance(simulated(*size, effects, noise, resamples, random), MARGIN, number)
        held.append(bool(((found.low <= effects) & (effects <= found.high)).all()))
        half.append(float((found.high - found.low).mean()) / 2)
        told.append(np.mean([word != CANNOT_TELL for word in found.words]))
        wrong.append(np.mean([is_wrong(word, one) for word, one in zip(found.words, effects, strict=True)]))
    return float(np.mean(held)), float(np.mean(half)), float(np.mean(told)), float(np.mean(wrong))


def is_wrong(word: str, true: float) -> bool:
    """Whether a verdict is not so; an effect of one margin matters."""
    return (word == HELPS and true <= 0) or (word == HURTS and true >= 0) or (word == NO_MATTER and abs(true) >= MARGIN)


def simulation(sweeps: int, resamples: int, seed: int) -> Table:
    """One row per size and noise."""
    title = f"relevance, {sweeps} designs a row, margin {MARGIN}; noise in thousandths"
    shown = Table("candidates, sets, seeds", "sets", "run", "by seed", "videos", "of a run", title=title)
    for name in ("all held", "half width", "told", "told wrongly"):
        shown.add_column(name, justify="right")
    for size in SIZES:
        for noise in NOISES:
            words = [f"{1000 * value:g}" for value in vars(noise).values()]
            held, half, told, wrong = covered(size, noise, sweeps, resamples, seed)
            last = noise == NOISES[-1]
            of = f"{size[0]}, {size[1]}, {size[2]}"
            shown.add_row(of, *words, f"{held:.3f}", f"{half:.4f}", f"{told:.2f}", f"{wrong:.4f}", end_section=last)
    return shown


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--designs", type=int, default=200, help="of every published table (default %(default)s)")
    parser.add_argument("--sweeps", type=int, default=1000, help="simulated, of every row (default %(default)s)")
    parser.add_argument("--resamples", type=int, default=500, help="of the videos (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of designs and simulation (default %(default)s)")
    asked = parser.parse_args()
    console, began = Console(width=150), time.perf_counter()
    console.print(tables(asked.designs, asked.seed))
    console.print(simulation(asked.sweeps, asked.resamples, asked.seed))
    console.print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
