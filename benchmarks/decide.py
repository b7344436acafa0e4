"""How often a sweep that stops when it knows is wrong, and what it saves, by simulated sweeps.

    python benchmarks/decide.py

Every simulated sweep is a full factorial (or, where it says so, sets of one auxiliary each) with known effects, a
spread over seeds and a part that the test videos bring, about as measured on the demo (.006 to .01, and .003). It goes
through the very functions that decide, nothing is trained, and it ends when every auxiliary has a verdict, or by the
most seeds. Beside it the naive way: the plain interval of the report, as if each look were the only one. The fixed
designs are those without looks by which such an interval tells an effect of one margin with probability .9: one such
effect, or all of them at once, which is what a sweep does that ends with a verdict for every auxiliary.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from rich.console import Console
from rich.table import Table

from mtl.ablation.decision import Look, decide_questions, next_jobs
from mtl.ablation.effects import effect
from mtl.ablation.judged import CANNOT_TELL, HELPS, HURTS, NO_MATTER, Judged, word_of
from mtl.ablation.questions import Question, of_arrays
from mtl.ablation.rule import Rule
from mtl.statistics.bootstrap import LEVEL
from mtl.statistics.bounded import DIFFERENCE
from mtl.statistics.looks import POWER, fixed_seeds

MARGIN, FIRST = 0.01, 3
TRUE = (0.0, 0.5, 1.0, 2.0)  # effects, in margins; every other one is negative
OWN_VIDEO = 0.002  # spread over resamples of videos that a single run has for itself
LEVEL_AUC, N_VIDEOS = 0.7, 100


@dataclass(frozen=True)
class Spread:
    """What makes the effects of a simulated sweep uncertain.

    Attributes
    ----------
    seeds : tuple of float
        Standard deviation over seeds of every main effect, or difference to the base.
    videos : float
        Standard error of each from the choice of test videos.
    most_seeds : int
    factorial : bool
        Whether the sets are all combinations of the auxiliaries, or one auxiliary each.
    """

    seeds: tuple[float, ...]
    videos: float
    most_seeds: int
    factorial: bool = True

    @property
    def rule(self) -> Rule:
        """What decides."""
        return Rule(MARGIN, FIRST, self.most_seeds, None)

    @property
    def fixed(self) -> tuple[int, int]:
        """Seeds of the designs without looks that tell one effect, and all; 0 where no number does."""
        sd, m = float(np.sqrt(np.mean(np.square(self.seeds)))), len(self.seeds)
        one, every = (
            fixed_seeds(MARGIN, sd, self.videos, (1 - LEVEL) / m, power) for power in (POWER, POWER ** (1 / m))
        )
        return one, every


SPREADS = (
    Spread((0.006,) * 3, 0.002, 12),
    Spread((0.008,) * 3, 0.002, 12),
    Spread((0.008,) * 3, 0.001, 12),
    Spread((0.008,) * 3, 0.001, 16),
    Spread((0.006, 0.008, 0.010), 0.001, 12),
    Spread((0.008,) * 3, 0.003, 12),
    Spread((0.008,), 0.002, 12),
    Spread((0.008,) * 3, 0.001, 12, factorial=False),
)


@dataclass(frozen=True)
class Outcome:
    """What came of one simulated sweep, by the rule or by the naive way.

    Attributes
    ----------
    always, finally_ : bool
        Whether all intervals held the truth at every look, and at the last one.
    wrong, decided : bool
        Whether some verdict is wrong, and whether every auxiliary has one.
    seeds : float
        Runs that it took, in seeds of all sets.
    """

    always: bool
    finally_: bool
    wrong: bool
    decided: bool
    seeds: float


@dataclass(frozen=True)
class Simulated:
    """AUCs of all runs that a sweep may have: by set and seed, and in resamples of the videos."""

    arms: dict[str, frozenset[str]]
    values: np.ndarray  # (n_sets, n_seeds)
    draws: np.ndarray  # (n_sets, n_seeds, n_resamples)
    seed: int
    rule: Rule

    def all(self) -> set[tuple[str, int]]:
        """Every run."""
        return {(arm, place) for arm in self.arms for place in range(self.rule.most_seeds)}

    def question(self, ran: set[tuple[str, int]]) -> Question:
        """What is asked where these runs are there."""
        there = np.array([[(arm, place) in ran for place in range(self.rule.most_seeds)] for arm in self.arms])
        values, draws = np.where(there, self.values, np.nan), np.where(there[..., None], self.draws, np.nan)
        return of_arrays("", self.arms, values, draws, ran, (), N_VIDEOS, self.seed, self.rule)


def simulated(spread: Spread, truth: np.ndarray, resamples: int, random: np.random.Generator) -> Simulated:
    """A sweep whose effects have this spread.

    That over seeds is made of that of the sets, which alone gives the one of the calmest effect, and of what an
    auxiliary does differently by seed.
    """
    k, n = len(truth), spread.most_seeds
    of_auxiliaries = list(product((0, 1), repeat=k)) if spread.factorial else [(0,) * k, *np.eye(k, dtype=int)]
    member = np.array(of_auxiliaries, float)  # (n_sets, k)
    calm, two = min(spread.seeds), len(member) / 4 if spread.factorial else 1 / 2
    by_seed = random.normal(size=(k, n)) * np.sqrt(np.square(spread.seeds) - calm**2)[:, None]
    of_sets = random.normal(size=(len(member), n)) * calm * np.sqrt(two)
    found = truth + random.normal(size=k) * spread.videos
    values = LEVEL_AUC + (member @ found)[:, None] + member @ by_seed + of_sets
    shared = member @ (random.normal(size=(k, resamples)) * spread.videos)
    own = random.normal(size=(*values.shape, resamples)) * OWN_VIDEO
    sets = [[f"a{j}" for j in np.flatnonzero(row)] for row in member]
    arms = {"+".join(used) or "main": frozenset(used) for used in sets}
    return Simulated(arms, values, values[..., None] + shared[:, None] + own, int(random.integers(2**31)), spread.rule)


def by_rule(sweep: Simulated, spread: Spread, truth: dict[str, float]) -> Outcome:
    """The sweep as it is.

    In a factorial it ends at the first look with nothing open, and no look depends on later ones, so
    one course says all; elsewhere it is run wave by wave.
    """
    if not spread.factorial:
        return by_waves(sweep, truth)
    course = decide_questions([sweep.question(sweep.all())], spread.rule).course
    return outcome(course, truth, [any(each.open for each in look.judged) for look in course])


def by_waves(sweep: Simulated, truth: dict[str, float]) -> Outcome:
    """The sweep wave by wave: whatever is to be launched next is there at the next look."""
    ran: set[tuple[str, int]] = {(arm, place) for arm in sweep.arms for place in range(FIRST)}
    while True:
        decision = decide_questions([sweep.question(ran)], sweep.rule)
        jobs = next_jobs(decision)
        if not jobs:
            break
        ran |= {(arm, place) for _, arm, place in jobs}
    found = outcome(decision.course, truth, [True] * len(decision.course))
    return replace(found, seeds=len(ran) / len(sweep.arms))


def naively(sweep: Simulated, spread: Spread, truth: dict[str, float]) -> Outcome:
    """The plain interval of the report, as if each look were the only one."""
    effects, course = sweep.question(sweep.all()).effects, []
    m = len(effects.names)
    for n in range(FIRST, spread.most_seeds + 1):
        judged = []
        for name, values, draws in zip(effects.names, effects.values, effects.draws, strict=True):
            plain = effect(values[:n], draws[:n], effects.seed, DIFFERENCE, m)
            word = word_of(plain.low, plain.high, MARGIN)
            judged.append(Judged("", name, plain.value, plain.low, plain.high, n, word, "", (0.0, 0.0, 0.0)))
        course.append(Look(n, 0, tuple(judged)))
    return outcome(course, truth, [any(each.word == CANNOT_TELL for each in look.judged) for look in course])


def outcome(course: list[Look] | tuple[Look, ...], truth: dict[str, float], goes_on: list[bool]) -> Outcome:
    """What a course of looks comes to, where it ends with the first that leaves nothing open."""
    holds = [all(each.low <= truth[each.name] <= each.high for each in look.judged) for look in course]
    end = goes_on.index(False) if False in goes_on else len(course) - 1
    last = course[end].judged
    wrong = any(is_wrong(each.word, truth[each.name]) for each in last)
    return Outcome(all(holds), holds[end], wrong, all(each.word != CANNOT_TELL for each in last), course[end].seeds)


def is_wrong(word: str, true: float) -> bool:
    """Whether a verdict is not so; an effect of one margin matters."""
    return (word == HELPS and true <= 0) or (word == HURTS and true >= 0) or (word == NO_MATTER and abs(true) >= MARGIN)


def study(
    spread: Spread, margins: float, sweeps: int, resamples: int, seed: int
) -> tuple[list[Outcome], list[Outcome]]:
    """Outcomes of simulated sweeps whose effects are all so many margins large: by the rule, and naively."""
    random = np.random.default_rng([seed, round(10 * margins)])
    signs = np.where(np.arange(len(spread.seeds)) % 2, -1, 1)
    true = margins * MARGIN * signs
    truth = {f"a{j}": float(value) for j, value in enumerate(true)}
    simulations = (simulated(spread, true, resamples, random) for _ in range(sweeps))
    pairs = [(by_rule(sweep, spread, truth), naively(sweep, spread, truth)) for sweep in simulations]
    return [one for one, _ in pairs], [other for _, other in pairs]


def share(outcomes: list[Outcome], name: str) -> float:
    """Share of the sweeps of which something holds."""
    return float(np.mean([getattr(each, name) for each in outcomes]))


def main() -> None:
    """Simulate, and print one row per spread and true effect."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=500, help="of every row (default %(default)s)")
    parser.add_argument("--resamples", type=int, default=400, help="of the videos (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation (default %(default)s)")
    asked = parser.parse_args()
    title = f"margin {MARGIN}, {asked.sweeps:,} sweeps a row; sd and videos in thousandths, effect in margins"
    table = Table("sd", "videos", "looks", "effect", title=title)
    shown = ("held always", "at end", "wrong", "told", "seeds", "fixed: one", "all", "ratio: one", "all")
    for name in (*shown, "naive: held always", "at end", "wrong"):
        table.add_column(name, justify="right")
    console, began = Console(width=170), time.perf_counter()
    for spread in SPREADS:
        for margins in TRUE:
            rule, naive = study(spread, margins, asked.sweeps, asked.resamples, asked.seed)
            seeds = float(np.median([each.seeds for each in rule]))
            table.add_row(
                ("" if spread.factorial else "base ") + " ".join(f"{1000 * sd:g}" for sd in spread.seeds),
                f"{1000 * spread.videos:g}",
                f"{FIRST}-{spread.most_seeds}",
                f"{margins:g}",
                *(f"{share(rule, each):.3f}" for each in ("always", "finally_", "wrong")),
                f"{share(rule, 'decided'):.2f}",
                f"{seeds:g}",
                *(f"{fixed}" if fixed else "none" for fixed in spread.fixed),
                *(f"{seeds / fixed:.2f}" if fixed else "" for fixed in spread.fixed),
                *(f"{share(naive, each):.3f}" for each in ("always", "finally_", "wrong")),
                end_section=margins == TRUE[-1],
            )
    console.print(table)
    console.print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
