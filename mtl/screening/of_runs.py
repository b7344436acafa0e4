"""Compared runs in, what a screening found out: relevance, predictability, predicted sets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from mtl.ablation.predictions import ComparedRun
from mtl.ablation.samples import Sample, SampledGroup
from mtl.errors import UserError
from mtl.formatting import plural
from mtl.results import SCREENING, TrackedRun
from mtl.screening.design import members
from mtl.screening.measured import Measured, names_of
from mtl.screening.predictors import Predictor, alone, fit_forward
from mtl.screening.relevance import Relevance, relevance
from mtl.screening.sets import all_sets, chosen, interval_of
from mtl.screening.surrogate import FEWEST_RUNS, Fitted, left_out_means, nested_left_out, r2, word_of

NAN = float("nan")
SETS = ("set", "size", "trained", "predicted", "low", "high", "measured", "by_validation", "best")
RUNS = ("set", "gain", "left_out", "low", "high")


@dataclass(frozen=True)
class Foretold:
    """How well runs that were left out are foretold, on one kind of videos.

    Attributes
    ----------
    fitted : Fitted
    gains, left_out : ndarray of shape (n_runs,)
        Measured, and predicted by what was chosen without the run.
    """

    fitted: Fitted
    gains: np.ndarray
    left_out: np.ndarray

    @property
    def residuals(self) -> np.ndarray:
        """Errors of the predictions, (n_runs,)."""
        return self.gains - self.left_out

    @property
    def r2(self) -> float:
        """Against a gain of zero for every set."""
        return r2(self.gains, self.left_out)

    @property
    def r2_of_mean(self) -> float:
        """Against the mean gain of the other runs for every set."""
        return r2(self.gains, self.left_out, left_out_means(self.gains))


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
        Sets with a gain, and the seeds that are compared, see `Measured.paired`.
    n_partial : int
        Sets that lack some of these seeds.
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
        Nested R2 of the ridge with each further predictor alone.
    warnings : tuple of str
    """

    condition: str
    main_task: str
    candidates: tuple[str, ...]
    fault: str = ""
    n_runs: int = 0
    n_seeds: int = 0
    n_partial: int = 0
    alone: float = NAN
    relevance: Relevance | None = None
    foretold: Foretold | None = None
    by_validation: Foretold | None = None
    word: str = ""
    runs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=RUNS))
    sets: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SETS))
    chance: float = NAN
    predictors: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def best(self) -> Mapping[str, object] | None:
        """The row of `sets` that is called best; None where no validation video chooses."""
        rows = self.sets[self.sets["best"].astype(bool)].to_dict("records")
        return {str(key): value for key, value in rows[0].items()} if rows else None


def asked_of(runs: Sequence[TrackedRun]) -> tuple[str, tuple[str, ...]] | None:
    """Main task and candidates of a screening, as its last run says them; None of other sweeps.

    Raises
    ------
    UserError
        If the tag cannot be read.
    """
    tagged = next((run for run in reversed(runs) if SCREENING in run.tags), None)
    if tagged is None:
        return None
    try:
        said = json.loads(tagged.tags[SCREENING])
        return str(said["main"]), tuple(map(str, said["candidates"]))
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"The tag {SCREENING} of the run '{tagged.name}' should be JSON with main and candidates, found "
            f"'{tagged.tags[SCREENING]}'."
        ) from None


def screen(
    entries: Sequence[ComparedRun],
    validation: Sequence[ComparedRun],
    main_task: str,
    candidates: Sequence[str],
    resamples: int,
    seed: int,
    margin: float,
    predictors: Mapping[str, Predictor] | None = None,
) -> list[Screening]:
    """What a screening found, by condition.

    Parameters
    ----------
    entries : sequence of ComparedRun
        By test videos, at most one per row and seed.
    validation : sequence of ComparedRun
        The same runs by validation videos; empty where there are none.
    main_task : str
    candidates : sequence of str
    resamples, seed : int
        Of the bootstrap over videos, seeds and runs.
    margin : float
        In AUC, above 0.
    predictors : mapping of str to Predictor, optional
        Further ones; by default the measures that the runs with all candidates tracked of each.
    """
    by_condition = _measured(entries, main_task, candidates, resamples, seed)
    chooses = {condition: one for condition, one, _ in _measured(validation, main_task, candidates, resamples, seed)}
    found = []
    for condition, measured, warnings in by_condition:
        free = _tracked(entries, condition, candidates, main_task) if predictors is None else predictors
        one = screen_measured(measured, chooses.get(condition), margin, seed, free)
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
    judged = _foretold(measured, free)
    sets = _with(all_sets(effects.ridge), measured.members)
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
    chooses, chance = None, NAN
    validation = validation.with_gain() if validation is not None else None
    if validation is not None and len(validation.sets) > FEWEST_RUNS:
        chooses = _foretold(validation, free)
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
    paired = measured.paired()
    seeds, partial = paired.values.shape[1], len(measured.sets) - len(paired.sets)
    found = Screening("", "", candidates, "", n, seeds, partial, measured.alone, effects, judged, chooses)
    return replace(found, word=word_of(judged.r2), runs=runs, sets=ordered, chance=chance, predictors=each)


def _with(sets: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """The sets, and those that were trained and are not among them."""
    there = set(map(tuple, sets))
    return np.vstack([sets, *(one[None] for one in trained if tuple(one) not in there)])


def _foretold(measured: Measured, predictors: Mapping[str, Predictor]) -> Foretold:
    """The surrogate, and every run as it is predicted without it."""
    used, gains = measured.members[1:], measured.gains

    def procedure(of: np.ndarray, values: np.ndarray) -> Fitted:
        return fit_forward(of, values, predictors)

    return Foretold(procedure(used, gains), gains, nested_left_out(used, gains, procedure))


def _measured(
    entries: Sequence[ComparedRun], main_task: str, candidates: Sequence[str], resamples: int, seed: int
) -> list[tuple[str, Measured, list[str]]]:
    """By condition the AUCs of every set over the videos that all of its runs scored, and what was left out."""
    if not entries:
        return []
    sample, found = Sample(entries, resamples, seed), []
    for condition in dict.fromkeys(entry.condition for entry in entries):
        group = SampledGroup(condition, [i for i, one in enumerate(entries) if one.condition == condition], sample)
        places: dict[tuple[str, ...], int] = {}
        warnings = []
        for a, arm in enumerate(group.arms):
            used = group.first[arm].tasks - {main_task}
            others = sorted(used - set(candidates))
            name = tuple(each for each in candidates if each in used)
            if others or name in places:
                why = f"it has {', '.join(others)}, which is no candidate" if others else "its set is there already"
                warnings.append(f"{arm} is left out of the screening: {why}.")
                continue
            places[name] = a
        sets = [(), *sorted(filter(None, places), key=lambda one: places[one])]
        order = [places.get(one, -1) for one in sets]
        values, draws = group.values[order], group.draws[order]
        if () not in places:
            values, draws = values.copy(), draws.copy()
            values[0], draws[0] = np.nan, np.nan
        table = Measured(tuple(candidates), tuple(sets), members(sets, candidates), values, draws)
        found.append((condition, table, warnings))
    return found


def _tracked(
    entries: Sequence[ComparedRun], condition: str, candidates: Sequence[str], main_task: str
) -> dict[str, np.ndarray]:
    """Measures of every candidate with the main task from the runs that have all of them, the mean over seeds."""
    whole = [one for one in entries if one.condition == condition and one.tasks == {main_task, *candidates}]
    measures = dict.fromkeys(measure for one in whole for measure, _ in one.measures)
    found = {}
    for measure in measures:
        values = np.array([[one.measures.get((measure, name), NAN) for name in candidates] for one in whole])
        if np.isfinite(values).all() and np.ptp(values) > 0:
            found[measure] = values.mean(axis=0)
    return found
