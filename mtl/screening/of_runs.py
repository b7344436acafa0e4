"""Compared runs in, what a screening found out: relevance, predictability, predicted sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd

from mtl.ablation.predictions import ComparedRun
from mtl.formatting import plural
from mtl.screening.afterwards import Afterwards, afterwards
from mtl.screening.asked import Asked
from mtl.screening.foretold import Foretold, foretold
from mtl.screening.measured import Measured, measured_of, names_of
from mtl.screening.predictors import Predictor, alone, tracked_predictors
from mtl.screening.relevance import Relevance, relevance
from mtl.screening.sets import all_sets, chosen, interval_of
from mtl.screening.surrogate import FEWEST_RUNS, LINEAR, fit, nested_left_out, r2, word_of

NAN = float("nan")
SETS = ("set", "size", "trained", "predicted", "low", "high", "measured", "by_validation", "best")
RUNS = ("set", "gain", "left_out", "low", "high")


@dataclass(frozen=True)
class Screening:
    """What a screening found, in one condition.

    Attributes
    ----------
    condition, main_task : str
    candidates : tuple of str
    fault : str
        Why there is nothing; else empty, and all below is there.
    n_runs, n_seeds : int
        Sets with a gain, and seeds that all of them have.
    alone : float
        AUC of the main task alone.
    relevance : Relevance or None
    foretold : Foretold or None
        On test videos; None with too few runs.
    by_validation : Foretold or None
        On validation videos, which choose.
    word : str
        Whether sets that nobody trained can be predicted.
    runs : DataFrame
        By set that was trained: its gain, and its prediction when left out with its interval.
    sets : DataFrame
        By set of the candidates, the one with the highest prediction by validation videos first: `predicted` AUC on
        test videos with its interval, the AUC that was `measured` where it was trained, the AUC predicted
        `by_validation` videos, and whether it is called `best`.
    chance : float
        Of the best set to be the best, over resamples.
    predictors : mapping of str to float
        Nested R2 of the ridge with each further predictor as the only one beside membership.
    by_membership : float
        Nested R2 of the ridge without any.
    afterwards : tuple of Afterwards
        Sets that were trained because they were predicted best and worst.
    warnings : tuple of str
    """

    condition: str
    main_task: str
    candidates: tuple[str, ...]
    fault: str = ""
    n_runs: int = 0
    n_seeds: int = 0
    alone: float = NAN
    relevance: Relevance | None = None
    foretold: Foretold | None = None
    by_validation: Foretold | None = None
    word: str = ""
    runs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=RUNS))
    sets: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SETS))
    chance: float = NAN
    predictors: Mapping[str, float] = field(default_factory=dict)
    by_membership: float = NAN
    afterwards: tuple[Afterwards, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def best(self) -> Mapping[str, object] | None:
        """The row of `sets` that is called best; None where no validation video chooses."""
        rows = self.sets[self.sets["best"].astype(bool)].to_dict("records")
        return {str(key): value for key, value in rows[0].items()} if rows else None


def screen(
    entries: Sequence[ComparedRun],
    validation: Sequence[ComparedRun],
    asked: Asked,
    resamples: int,
    seed: int,
    margin: float,
    further: Mapping[str, Mapping[str, Predictor]] | None = None,
) -> list[Screening]:
    """What a screening found, by condition.

    Parameters
    ----------
    entries : sequence of ComparedRun
        By test videos, at most one per row and seed.
    validation : sequence of ComparedRun
        The same runs by validation videos; empty where there are none.
    asked : Asked
    resamples, seed : int
        Of the bootstrap over videos, seeds and runs.
    margin : float
        In AUC, above 0.
    further : mapping of str to mapping of str to Predictor, optional
        Predictors by condition and name, beside the measures that the runs with all candidates tracked of each.
    """
    main_task, candidates = asked.main_task, asked.candidates
    by_condition = measured_of(entries, main_task, candidates, resamples, seed)
    chooses = {condition: one for condition, one, _ in measured_of(validation, main_task, candidates, resamples, seed)}
    found = []
    for condition, measured, warnings in by_condition:
        tracked = tracked_predictors(entries, condition, candidates, main_task)
        free: dict[str, Predictor] = {**tracked, **(further or {}).get(condition, {})}
        one = screen_measured(measured, chooses.get(condition), margin, seed, free)
        if not one.fault and asked.foretold:
            later = afterwards(measured, chooses.get(condition), asked.foretold, free, seed)
            one = replace(one, afterwards=tuple(later))
        found.append(replace(one, condition=condition, main_task=main_task, warnings=tuple(warnings)))
    return found


def screen_measured(
    measured: Measured,
    validation: Measured | None,
    margin: float,
    seed: int,
    predictors: Mapping[str, Predictor] | None = None,
) -> Screening:
    """As `screen`, of AUCs; the condition has no name."""
    if not np.isfinite(measured.values[0]).any():
        return Screening("", "", measured.candidates, "no run of the main task alone has an AUC to compare with")
    measured, free = measured.with_gain(), predictors or {}
    n, candidates = len(measured.sets) - 1, measured.candidates
    if n < FEWEST_RUNS:
        few = f"{plural(n, 'set')} with an AUC beside the main task alone: at least {FEWEST_RUNS} are needed"
        return Screening("", "", candidates, few)
    effects = relevance(measured, margin, seed)
    judged = foretold(measured, free)
    validation = validation.with_gain() if validation is not None else None
    if validation is not None and len(validation.sets) <= FEWEST_RUNS:
        validation = None
    chooses = foretold(validation, free) if validation is not None else None
    # of many candidates not all sets are listed, and which ones they are is a choice: test videos do not make it
    by_ridge = effects.ridge if chooses is None else fit(chooses.fitted.members, chooses.gains, [LINEAR]).coefficients
    sets = _with(all_sets(by_ridge), measured.members)
    predicted = measured.alone + judged.fitted.predict(sets)
    low, high = interval_of(predicted, judged.residuals)
    seen = dict(zip(measured.sets, measured.row_means(), strict=True))
    names = [names_of(one, candidates) for one in sets]
    rows = pd.DataFrame(
        {
            "set": [" + ".join(one) for one in names],
            "size": sets.sum(axis=1).astype(int),
            "trained": [one in seen for one in names],
            "predicted": predicted,
            "low": np.where(sets.any(axis=1), np.maximum(low, 0.0), NAN),
            "high": np.where(sets.any(axis=1), np.minimum(high, 1.0), NAN),
            "measured": [seen.get(one, NAN) for one in names],
            "by_validation": np.full(len(sets), NAN),
            "best": np.zeros(len(sets), bool),
        },
        columns=SETS,
    )
    chance = NAN
    if validation is not None and chooses is not None:
        rows["by_validation"] = validation.alone + chooses.fitted.predict(sets)
        best = chosen(validation, chooses.fitted, chooses.residuals, sets, seed)
        rows.loc[best.place, "best"], chance = True, best.chance
    by = "predicted" if chooses is None else "by_validation"
    ordered = rows.sort_values(["best", by, "size"], ascending=[False, False, True], kind="stable", ignore_index=True)
    of_runs = interval_of(judged.left_out, judged.residuals)
    runs = pd.DataFrame(
        {"set": [" + ".join(one) for one in measured.sets[1:]], "gain": judged.gains, "left_out": judged.left_out}
        | {"low": of_runs[0], "high": of_runs[1]},
        columns=RUNS,
    )
    each = alone(measured.members[1:], measured.gains, free)
    plain = r2(measured.gains, nested_left_out(measured.members[1:], measured.gains, partial(fit, models=[LINEAR])))
    found = Screening("", "", candidates, "", n, len(measured.complete), measured.alone, effects, judged, chooses)
    return replace(
        found, word=word_of(judged.r2), runs=runs, sets=ordered, chance=chance, predictors=each, by_membership=plain
    )


def _with(sets: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """The sets, and those that were trained and are not among them."""
    there = set(map(tuple, sets))
    return np.vstack([sets, *(one[None] for one in trained if tuple(one) not in there)])
