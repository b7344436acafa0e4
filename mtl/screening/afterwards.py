"""The sets predicted best and worst, and what they measured when they were trained afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtl.ablation.effects import Effect, effect
from mtl.errors import UserError
from mtl.formatting import plural
from mtl.screening.asked import BEST, WORST
from mtl.screening.design import members
from mtl.screening.foretold import foretold
from mtl.screening.measured import Measured, names_of
from mtl.screening.predictors import Predictor, fit_forward
from mtl.screening.sets import all_sets, best_of, interval_of
from mtl.screening.surrogate import FEWEST_RUNS, LINEAR, fit
from mtl.statistics.bounded import DIFFERENCE

TEST, VALIDATION = "test", "validation"


@dataclass(frozen=True)
class Afterwards:
    """A set that was predicted before anybody trained it, on one kind of videos.

    Attributes
    ----------
    which : str
        `BEST` or `WORST`, as it was predicted by validation videos.
    auxiliaries : tuple of str
    videos : str
        `TEST` or `VALIDATION`.
    predicted, low, high : float
        Gain in AUC over the main task alone and the interval of what a run would measure, from a fit without the sets
        that were trained afterwards.
    measured : Effect
        The gain that was measured then, its interval over videos and seeds.
    """

    which: str
    auxiliaries: tuple[str, ...]
    videos: str
    predicted: float
    low: float
    high: float
    measured: Effect

    @property
    def within(self) -> bool | None:
        """Whether the mean that was measured is in the predicted interval; None where one of them is missing."""
        known = np.isfinite([self.low, self.high, self.measured.value]).all()
        return bool(self.low <= self.measured.value <= self.high) if known else None


def best_and_worst(
    validation: Measured, done: Sequence[tuple[str, ...]], predictors: Mapping[str, Predictor]
) -> dict[str, tuple[str, ...]]:
    """Of the sets that nobody trained, the one predicted best and the one predicted worst.

    Parameters
    ----------
    validation : Measured
        Of the videos that choose.
    done : sequence of tuple of str
        Sets that were trained, or tried.
    predictors : mapping of str to Predictor

    Returns
    -------
    dict of str to tuple of str
        Auxiliaries by `BEST` and `WORST`, in the order of the candidates.

    Raises
    ------
    UserError
        If there are not two such sets, or too few that were trained have an AUC.
    """
    validation, candidates = validation.with_gain(), validation.candidates
    used, gains = validation.members[1:], validation.gains
    n_left = 2 ** len(candidates) - len({(), *done})
    if n_left < 2:
        raise UserError(
            f"screening.propose=best_and_worst needs 2 sets that nobody trained, found {n_left} of "
            f"{len(candidates)} candidates."
        )
    if len(gains) < FEWEST_RUNS:
        raise UserError(
            f"screening.propose=best_and_worst needs at least {FEWEST_RUNS} sets with a gain on validation videos over "
            f"the main task alone, found {plural(len(gains), 'set')}."
        )
    fitted = fit_forward(used, gains, predictors)
    relevance = fit(used, gains, [LINEAR]).coefficients
    taken = {(0.0,) * len(candidates), *map(tuple, members(done, candidates))}
    found: dict[str, tuple[str, ...]] = {}
    for which, sign in ((BEST, 1), (WORST, -1)):  # of many candidates not the same sets are listed for both
        sets = np.array([one for one in all_sets(sign * relevance) if tuple(one) not in taken])
        place = best_of(sign * fitted.predict(sets)[None], sets)[0]
        found[which] = names_of(sets[place], candidates)
        taken.add(tuple(sets[place]))
    return found


def afterwards(
    test: Measured,
    validation: Measured | None,
    sets: Mapping[str, tuple[str, ...]],
    predictors: Mapping[str, Predictor],
    seed: int,
) -> list[Afterwards]:
    """What was predicted of sets by all others, beside what they measured.

    Parameters
    ----------
    test : Measured
        Of test videos, which judge.
    validation : Measured or None
        The same of validation videos, by which the sets were chosen.
    sets : mapping of str to tuple of str
        Auxiliaries by `BEST` and `WORST`.
    predictors : mapping of str to Predictor
    seed : int
        Of the bootstrap over seeds.

    Returns
    -------
    list of Afterwards
        By set, then validation and test; nothing on videos where too few other sets have a gain.
    """
    by_videos = {VALIDATION: validation, TEST: test}
    kinds = {videos: one for videos, one in by_videos.items() if one is not None}
    before = {videos: one.without(set(sets.values())).with_gain() for videos, one in kinds.items()}
    told = {videos: foretold(one, predictors) for videos, one in before.items() if len(one.sets) > FEWEST_RUNS}
    found = []
    for which, auxiliaries in sets.items():
        for videos, by in told.items():
            predicted = by.fitted.predict(members([auxiliaries], test.candidates))
            low, high = interval_of(predicted, by.residuals)
            measured = _gain(kinds[videos], auxiliaries, seed)
            found.append(
                Afterwards(which, auxiliaries, videos, float(predicted[0]), float(low[0]), float(high[0]), measured)
            )
    return found


def _gain(measured: Measured, auxiliaries: tuple[str, ...], seed: int) -> Effect:
    """Gain of a set over the main task alone by the same seeds; NaN where no run of it has an AUC."""
    values, draws = np.empty(0), np.empty((0, measured.draws.shape[-1]))
    if auxiliaries in measured.sets:
        row = measured.sets.index(auxiliaries)
        values, draws = measured.values[row] - measured.values[0], measured.draws[row] - measured.draws[0]
        paired = np.isfinite(values)
        values, draws = values[paired], draws[paired]
    return effect(values, draws, seed, DIFFERENCE)
