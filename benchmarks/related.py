"""What each auxiliary of data=related_many really brings, and whether a screening by hand finds their order.

    python benchmarks/related.py

Trains by the loop of `mtl.training` with the numbers of experiment=related_many. First the main task alone and with
each auxiliary: the mean gain in test AUC, paired by seed, over draws of the data, with a 95 % interval of Student's t
over draws (of one draw: over its seeds). It is to be what the words and numbers of `data.relatedness` say. Then a
screening of every draw: random sets of which each auxiliary is in half, the main task alone and all together, by a few
seeds; least squares of the AUC on membership gives every auxiliary a relevance, and the rank correlation with
`data.relatedness` (random counts as 0, harmful as -1) says whether their order was found.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from mtl.config.build import build, hydra_options
from mtl.config.check import check
from mtl.config.switches import CONF
from mtl.data.related_tasks import HARMFUL, RANDOM
from mtl.features.vectors import MemoryVectors
from mtl.memory import aligned
from mtl.model.multitask import assemble, reused
from mtl.training.dataset import Dataset
from mtl.training.source import predict

TRUTH = {RANDOM: 0.0, HARMFUL: -1.0}
AUXILIARY = "related_{}"
QUICK = ("gradient_measurements.batches=0", "relations=[]", "training.checkpoint.epochs=null")
LEVEL = 0.95


@dataclass(frozen=True)
class Drawn:
    """One draw of the data.

    Attributes
    ----------
    config : DictConfig
    dataset : Dataset
        With targets of all tasks.
    """

    config: DictConfig
    dataset: Dataset


def drawn(seed: int, more: Sequence[str]) -> Drawn:
    """The data of one seed, with the config that trains on it."""
    config = compose("config", ["experiment=related_many", f"data.seed={seed}", *QUICK, *more])
    check(config)
    data = build(config.data)
    frames, given = data.frames(), data.features()
    features = aligned(given.shape, given.dtype)
    features[:] = given
    targets = {name: task.targets(frames) for name, task in build(config.tasks).items()}
    return Drawn(config, Dataset(MemoryVectors(features), targets, frames))


def auc(at: Drawn, members: Sequence[int], seed: int) -> float:
    """Test AUC of the main task once it was trained with these auxiliaries, numbered from 1."""
    config, main = at.config.copy(), at.config.main_task
    config.seed = seed
    names = [main, *(AUXILIARY.format(i) for i in members)]
    tasks = {name: task for name, task in build(config.tasks).items() if name in names}
    dataset = Dataset(at.dataset.features, {name: at.dataset.targets[name] for name in tasks}, at.dataset.frames)
    backbone = build(config.backbone).split(build(config.freeze))
    model = reused(assemble(build(config.model), backbone, tasks, dataset.features.shape[1:]))
    weighting, measurements = build(config.weighting, tasks=tuple(tasks)), build(config.gradient_measurements)
    build(config.training).train(model, dataset, weighting, measurements, main, lambda number, epoch: None)
    test = dataset.positions("test")
    return float(roc_auc_score(dataset.targets[main][test], predict(model, dataset.features, test)[main][:, 0]))


def trained(draws: Sequence[Drawn], sets: Sequence[Sequence[int]], seeds: int) -> np.ndarray:
    """AUCs of shape (n_draws, n_sets, n_seeds); a set goes through all draws, so that it is compiled once."""
    found = np.empty((len(draws), len(sets), seeds))
    for j, members in enumerate(sets):
        for i, at in enumerate(draws):
            found[i, j] = [auc(at, members, seed) for seed in range(seeds)]
    return found


def halves(k: int, n_sets: int, seed: int) -> np.ndarray:
    """Membership in random sets, bool of shape (n_sets, k), with every auxiliary in half of them."""
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(n_sets) < n_sets // 2 for _ in range(k)]).T


def relevance(member: np.ndarray, aucs: np.ndarray) -> tuple[np.ndarray, float]:
    """Least-squares coefficient per auxiliary, and the share of the spread between sets that they explain.

    Parameters
    ----------
    member : ndarray of bool, shape (n_sets, k)
    aucs : ndarray of shape (n_sets, n_seeds)
    """
    design, mean = np.column_stack([np.ones(len(member)), member]), aucs.mean(axis=1)
    coefficients = np.linalg.lstsq(design, mean, rcond=None)[0]
    left = mean - design @ coefficients
    return coefficients[1:], 1 - float(left @ left) / float(np.sum((mean - mean.mean()) ** 2))


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean with its interval by Student's t, of values of shape (n,); NaN bounds for a single one."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = student.ppf((1 + LEVEL) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return mean, mean - half, mean + half


def main() -> None:
    """Train, and print a row per auxiliary and a line per draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=4, help="of the data (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=6, help="of every single auxiliary (default %(default)s)")
    parser.add_argument("--sets", type=int, default=20, help="of the screening; 0: none (default %(default)s)")
    parser.add_argument("--screening-seeds", type=int, default=3, help="of every set (default %(default)s)")
    parser.add_argument("more", nargs="*", help="overrides of the config")
    asked = parser.parse_args()
    console, began = Console(width=120), time.perf_counter()
    base = {key: value for key, value in hydra_options().items() if key == "version_base"}
    with initialize_config_dir(str(CONF), **base):
        draws = [drawn(seed, asked.more) for seed in range(asked.draws)]
    relatedness = list(draws[0].config.data.relatedness)
    k = len(relatedness)
    aucs = trained(draws, [(), *((i,) for i in range(1, k + 1))], asked.seeds)
    gains = aucs[:, 1:] - aucs[:, :1]  # (n_draws, k, n_seeds), paired by draw and seed
    alone, over = aucs[:, 0].mean(), f"{asked.draws} draws" if asked.draws > 1 else f"{asked.seeds} seeds"
    table = Table(
        "auxiliary", "relatedness", title=f"gain over the main task alone ({alone:.3f}), interval over {over}"
    )
    for name in ("gain", "low", "high", "sd of seeds", "draws with a gain"):
        table.add_column(name, justify="right")
    for i, entry in enumerate(relatedness):
        by_draw = gains[:, i].mean(axis=1)
        shown = interval(by_draw if asked.draws > 1 else gains[0, i])
        spread = float(np.sqrt(gains[:, i].var(axis=1, ddof=1).mean())) if asked.seeds > 1 else np.nan
        cells = (*(f"{value:+.4f}" for value in shown), f"{spread:.4f}", f"{(by_draw > 0).sum()} of {asked.draws}")
        table.add_row(AUXILIARY.format(i + 1), str(entry), *cells)
    console.print(table)
    if asked.sets:
        member = np.vstack([np.zeros((1, k), bool), halves(k, asked.sets, 0), np.ones((1, k), bool)])
        screened = trained(draws, [1 + np.flatnonzero(row) for row in member], asked.screening_seeds)
        truth, found = [TRUTH.get(entry, entry) for entry in relatedness], []
        for seed, each in enumerate(screened):
            coefficients, explained = relevance(member, each)
            found.append(float(spearmanr(coefficients, truth).statistic))
            words = " ".join(f"{value:+.4f}" for value in coefficients)
            console.print(f"screening of draw {seed}: relevance {words}; R2 {explained:.2f}; rank {found[-1]:.3f}")
        ran = f"{len(member)} sets x {asked.screening_seeds} seeds"
        console.print(f"rank correlation with the truth, {ran}: mean {np.mean(found):.3f}, least {min(found):.3f}")
    console.print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
