"""What a screening says of auxiliaries of which the truth is known, over repeated draws of data=related_many.

    python benchmarks/verdicts.py

Every draw has its own data, design and seeds of training, so draws are independent: each is one screening, the main
task alone, all together and 20 sets, by three seeds, judged by `mtl.screening.relevance`. The table has how often each
auxiliary is told to help, to hurt, not to matter, or cannot be told, with exact 95 % intervals of Clopper and Pearson
over draws, and the mean of its least squares coefficient with an interval of Student's t over draws. Below it stands
the rank correlation of the relevance (ridge) with the truth: `data.relatedness`, a random one counting 0 and a harmful
one -1.

The runs of a draw are trained side by side (`together.py`); some of the first draw are trained by the loop of
`mtl.training` too, and the largest difference in AUC is told.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hydra import initialize_config_dir
from related import AUXILIARY, TRUTH, Drawn, auc, drawn, interval
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest, spearmanr
from together import main_logits

from mtl.ablation.judged import CANNOT_TELL, HELPS, HURTS, NO_MATTER
from mtl.config.build import hydra_options
from mtl.config.switches import CONF
from mtl.data.related_tasks import HARMFUL, RANDOM
from mtl.screening.design import design, members
from mtl.screening.measured import Measured
from mtl.screening.relevance import Relevance, relevance
from mtl.statistics.bootstrap import resampled_videos
from mtl.statistics.pairwise import macro_auc

WORDS = (HELPS, HURTS, NO_MATTER, CANNOT_TELL)
ENOUGH = 0.9  # of a rank correlation
LEVEL = 0.95


@dataclass(frozen=True)
class Size:
    """How large each screening is.

    Attributes
    ----------
    sets, seeds, resamples : int
    """

    sets: int
    seeds: int
    resamples: int


def resampled_aucs(scores: np.ndarray, positives: np.ndarray, often: np.ndarray) -> np.ndarray:
    """AUC in every resample of rows that are a video each, (n_resamples,).

    Parameters
    ----------
    scores : ndarray of shape (n,)
        A tie counts as the order of the rows has it: of logits there are hardly any.
    positives : ndarray of bool, shape (n,)
    often : ndarray of shape (n, n_resamples)
        How often each row is drawn.
    """
    order = np.argsort(scores, kind="stable")
    drawn, up = often[order], positives[order]
    below = np.cumsum(drawn * ~up[:, None], axis=0)
    won = np.einsum("nr,nr->r", drawn[up], below[up], dtype=float)
    return won / (drawn[up].sum(axis=0, dtype=float) * below[-1])


def screened(at: Drawn, number: int, size: Size) -> tuple[Measured, Sequence[int]]:
    """What the runs of a screening measured, and their seeds."""
    main = str(at.config.main_task)
    candidates = tuple(AUXILIARY.format(i + 1) for i in range(len(at.config.data.relatedness)))
    sets = design(candidates, size.sets, number)
    used = members(sets, candidates)
    seeds = range(number * size.seeds, (number + 1) * size.seeds)
    logits = main_logits(at.config, at.dataset, (main, *candidates), used, seeds)  # (n_sets, n_seeds, n_test)
    positives = at.dataset.targets[main][at.dataset.positions("test")] == 1
    anomalous = np.ones(len(positives), bool)  # no class is the normal one
    often = np.ascontiguousarray(resampled_videos(anomalous, size.resamples, number).T.astype(np.float32))
    values = np.array([[macro_auc(positives[:, None], run[:, None]) for run in of_set] for of_set in logits])
    draws = np.array([[resampled_aucs(run, positives, often) for run in of_set] for of_set in logits])
    return Measured(candidates, tuple(sets), used, values, draws), seeds


def differences(at: Drawn, measured: Measured, seeds: Sequence[int], n: int) -> list[float]:
    """AUC as measured less that by the loop of `mtl.training`, of the first n sets, each by another seed."""
    places = [(row, row % len(seeds)) for row in range(min(n, len(measured.sets)))]
    return [
        float(measured.values[row, i] - auc(at, (1 + np.flatnonzero(measured.members[row])).tolist(), seeds[i]))
        for row, i in places
    ]


def share(times: int, of: int) -> str:
    """A share with its interval of Clopper and Pearson."""
    found = binomtest(times, of).proportion_ci(LEVEL, "exact")
    return f"{times / of:.3f} [{found.low:.3f}, {found.high:.3f}]"


def verdicts(found: Sequence[Relevance], relatedness: Sequence[float | str], margin: float) -> Table:
    """One row per auxiliary."""
    table = Table("auxiliary", "relatedness", title=f"verdicts in {len(found)} draws, margin {margin}")
    for name in ("least squares", "low", "high", *WORDS):
        table.add_column(name, justify="right")
    for j, entry in enumerate(relatedness):
        effect = (f"{value:+.4f}" for value in interval(np.array([one.least_squares[j] for one in found])))
        times = (sum(one.words[j] == word for one in found) for word in WORDS)
        table.add_row(AUXILIARY.format(j + 1), str(entry), *effect, *(share(one, len(found)) for one in times))
    return table


def sentences(found: Sequence[Relevance], relatedness: Sequence[float | str]) -> list[str]:
    """Random ones that help, harmful ones that are found, and the order."""
    n, lines = len(found), []
    for kind, word in ((RANDOM, HELPS), (HARMFUL, HURTS), (HARMFUL, HELPS)):
        places = [j for j, entry in enumerate(relatedness) if entry == kind]
        if places:
            times = [[one.words[j] == word for j in places] for one in found]
            some, every = sum(map(any, times)), sum(map(all, times))
            lines.append(f"{kind}, told '{word}': any of {len(places)} in {share(some, n)}, all in {share(every, n)}")
    truth = [TRUTH.get(entry, entry) for entry in relatedness]
    ranks = np.array([float(spearmanr(one.ridge, truth).statistic) for one in found])
    mean, low, high = interval(ranks)
    lines.append(
        f"rank correlation with the truth: mean {mean:.3f} [{low:.3f}, {high:.3f}], median {np.median(ranks):.3f}, "
        f"least {ranks.min():.3f}, {ENOUGH} or more in {share(int((ranks >= ENOUGH).sum()), n)}"
    )
    return lines


def main() -> None:
    """Train and judge draw by draw, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=200, help="of data, design and seeds (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first draw (default %(default)s)")
    parser.add_argument("--minutes", type=float, help="after which no further draw is begun, whatever was found")
    parser.add_argument("--sets", type=int, default=20, help="of every screening (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="of every set (default %(default)s)")
    parser.add_argument("--resamples", type=int, default=300, help="of the test rows (default %(default)s)")
    parser.add_argument("--checked", type=int, default=6, help="runs trained by the loop too (default %(default)s)")
    parser.add_argument("more", nargs="*", help="overrides of the config")
    asked = parser.parse_args()
    console, began, cpu = Console(width=190), time.perf_counter(), time.process_time()
    size, found = Size(asked.sets, asked.seeds, asked.resamples), []
    base = {key: value for key, value in hydra_options().items() if key == "version_base"}
    with initialize_config_dir(str(CONF), **base):
        for number in range(asked.first, asked.first + asked.draws):
            if found and asked.minutes is not None and time.perf_counter() - began > 60 * asked.minutes:
                break
            at = drawn(number, asked.more)
            measured, seeds = screened(at, number, size)
            margin = float(at.config.decide.margin)
            if not found and asked.checked:
                apart = np.abs(differences(at, measured, seeds, asked.checked))
                console.print(f"{len(apart)} runs by the loop too: AUC at most {apart.max():.5f} apart")
            found.append(relevance(measured, margin, number))
    relatedness = list(at.config.data.relatedness)
    console.print(verdicts(found, relatedness, margin))
    for line in sentences(found, relatedness):
        console.print(line, highlight=False)
    console.print(f"{time.perf_counter() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU")


if __name__ == "__main__":
    main()
