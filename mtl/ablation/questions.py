"""What a condition is asked: the main effects of a factorial, or differences to the base, seed by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtl.ablation.factorial import contrast, main_effects, shapley_values
from mtl.ablation.judged import Effects
from mtl.ablation.rule import Rule
from mtl.ablation.samples import SampledGroup
from mtl.ablation.waves import Standing
from mtl.formatting import plural


@dataclass(frozen=True)
class Question:
    """All that is asked of one condition.

    Attributes
    ----------
    effects : Effects
    answers : tuple of str
        By effect what `Standing` calls it: the arm, in a factorial the empty name.
    standing : Standing
        Without what is open.
    notes : tuple of str
    """

    effects: Effects
    answers: tuple[str, ...]
    standing: Standing
    notes: tuple[str, ...] = ()

    def complete(self) -> list[list[int]]:
        """By effect the places of the seeds that all its sets have."""
        return [self.standing.complete(answer) for answer in self.answers]

    def runs(self, used: Sequence[Sequence[int]]) -> int:
        """How many runs it took to have the seeds used, by effect, those that gave nothing among them."""
        until: dict[str, int] = {}
        for answer, places in zip(self.answers, used, strict=True):
            for arm in self.standing.together(answer):
                until[arm] = max([until.get(arm, -1), *places])
        return sum(place <= last for arm, last in until.items() for place in self.standing.tried[arm])


def question_of(
    group: SampledGroup,
    arms: Mapping[str, frozenset[str]],
    order: Sequence[str],
    lost: Collection[tuple[str, int]],
    rule: Rule,
) -> Question:
    """What is asked of a condition whose runs are there.

    Where the sets are all combinations of some auxiliaries (or bundles of them), the main effect of each;
    elsewhere the difference of every set to the base, the main task alone or else the first.

    Parameters
    ----------
    group : SampledGroup
    arms : mapping of str to frozenset of str
        Auxiliaries of every arm, in the order of launch; of other conditions too.
    order : sequence of str
        Seeds in the order of launch.
    lost : collection of (str, int)
        Arm and place of the seed of runs that were tried and gave nothing.
    rule : Rule
    """
    values = np.full((len(arms), len(order)), np.nan)
    draws = np.full((*values.shape, len(group.sample.drawn)), np.nan)
    rows, columns = [list(arms).index(arm) for arm in group.arms], [order.index(each) for each in group.seeds]
    values[np.ix_(rows, columns)], draws[np.ix_(rows, columns)] = group.values, group.draws
    ran = {(entry.arm, order.index(entry.seed)) for entry in group.entries}
    silent = {(arm, place) for arm, place in ran if np.isnan(values[list(arms).index(arm), place])}
    failed = silent | {each for each in lost if each not in ran}
    return of_arrays(group.condition, arms, values, draws, ran, failed, group.n_videos, group.sample.seed, rule)


def of_arrays(
    condition: str,
    arms: Mapping[str, frozenset[str]],
    values: np.ndarray,
    draws: np.ndarray,
    ran: Collection[tuple[str, int]],
    failed: Collection[tuple[str, int]],
    n_videos: int,
    seed: int,
    rule: Rule,
) -> Question:
    """As `question_of`, from AUCs by arm and seed, shape (n_arms, n_seeds), and their draws in resamples of videos."""
    tries = Counter(arm for arm, _ in failed)
    dead = [arm for arm, n in tries.items() if n >= rule.first_seeds and not _any(values, arms, arm)]
    kept = [arm for arm in arms if arm not in dead]
    weights, names, base = _asked({arm: arms[arm] for arm in kept})
    rows = [list(arms).index(arm) for arm in kept]
    effects = Effects(
        condition,
        names,
        weights,
        np.array([contrast(each, values[rows]) for each in weights]).reshape(len(names), values.shape[1]),
        np.array([contrast(each, draws[rows]) for each in weights]).reshape(len(names), *draws.shape[1:]),
        n_videos,
        seed,
    )
    of_arm = {arm: frozenset(place for each, place in failed if each == arm) for arm in kept}
    tried = {arm: of_arm[arm] | {place for each, place in ran if each == arm} for arm in kept}
    standing = Standing(condition, tuple(kept), base, tried, of_arm, {}, rule.first_seeds, rule.most_seeds)
    where = f" ({condition})" if condition else ""
    notes = [f"{', '.join(dead)}{where}: left out, as none of its runs gave an AUC."] if dead else []
    n = sum(map(len, of_arm.values()))
    if n:
        are = "is" if n == 1 else "are"
        notes.append(f"{plural(n, 'run')}{where} gave no AUC and {are} not tried again; their seeds count for nothing.")
    return Question(effects, names if base else ("",) * len(names), standing, tuple(notes))


def _any(values: np.ndarray, arms: Mapping[str, frozenset[str]], arm: str) -> bool:
    """Whether an arm has an AUC."""
    return arm in arms and bool(np.isfinite(values[list(arms).index(arm)]).any())


def _asked(arms: Mapping[str, frozenset[str]]) -> tuple[np.ndarray, tuple[str, ...], str]:
    """Weights of every effect, its name, and the base, which a factorial has not."""
    sets = list(arms.values())
    if len(set(sets)) == len(sets) > 1 and len(sets) == 2 ** len(shapley_values(sets)):
        found = main_effects(sets)
        return np.array(list(found.values())), tuple(" + ".join(sorted(bundle)) for bundle in found), ""
    base = next((arm for arm, auxiliaries in arms.items() if not auxiliaries), next(iter(arms), ""))
    others = [arm for arm in arms if arm != base]
    weights = np.zeros((len(others), len(arms)))
    for row, arm in enumerate(others):
        weights[row, list(arms).index(arm)], weights[row, list(arms).index(base)] = 1, -1
    return weights, tuple(others), base
