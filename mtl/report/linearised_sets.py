"""Linearised estimates of the runs with all candidates, as a number that foretells the gain of every set."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from mtl.ablation.design import Design, tasks_of
from mtl.relations.linearised import gains_of
from mtl.report.compared_runs import place_of
from mtl.report.stored import Downloads, stored
from mtl.results import TrackedRun
from mtl.screening.asked import Asked
from mtl.screening.predictors import Predictor

log = logging.getLogger(__name__)

LINEARISED = "linearised_estimate"
TABLE = "tables/linearised.csv"
ASKED_FOR = "linearised.most_auxiliaries"


def linearised_predictors(design: Design, asked: Asked, tracking: Downloads | None) -> dict[str, dict[str, Predictor]]:
    """By condition and name what the runs with all candidates estimated for sets; nothing where one estimated none.

    Estimates on validation frames, the mean over seeds: they foretell test frames too, of which they know nothing.

    Parameters
    ----------
    design : Design
    asked : Asked
    tracking : Downloads, optional
        Asked for tables that do not lie on this machine.
    """
    every = {asked.main_task, *asked.candidates}
    by_condition: dict[str, list[Mapping[frozenset[str], float]]] = {}
    for run in [run for run in design.counted if tasks_of(run) == every]:
        try:
            found = _estimates(run, tracking)
        except (OSError, ValueError, KeyError) as error:
            log.warning("%s: its linearised estimates cannot be read, so none foretells a set (%s).", run.name, error)
            return {}
        if not found:
            return {}
        by_condition.setdefault(place_of(design, run)[0], []).append(found)
    predictors = {}
    for condition, of_seeds in by_condition.items():
        known = set.intersection(*(set(each) for each in of_seeds))
        means = {one: float(np.mean([each[one] for each in of_seeds])) for one in known}
        predictor = mean_of_subsets(means, asked.candidates)
        if predictor is not None:
            predictors[condition] = {LINEARISED: predictor}
    return predictors


def _estimates(run: TrackedRun, tracking: Downloads | None) -> Mapping[frozenset[str], float]:
    """Estimated gains of a run; nothing where it was not asked for any."""
    if run.params.get(ASKED_FOR, "0") == "0":
        return {}
    with stored(run, TABLE, tracking) as path:
        return gains_of(pd.read_csv(path), "val")


def mean_of_subsets(gains: Mapping[frozenset[str], float], candidates: Sequence[str]) -> Predictor | None:
    """The estimate of every set as the mean of those of its largest subsets of which all were estimated.

    With estimates of sets of up to two auxiliaries a set of one or two has its own, a larger one the mean over the
    pairs in it: not a sum over its members, so it can say that many together do less.

    Parameters
    ----------
    gains : mapping of frozenset of str to float
        Estimated gains; that of the set of all may be among them and is not used, as no set between is.
    candidates : sequence of str

    Returns
    -------
    callable or None
        Members (n_sets, k) -> (n_sets,), zero for the empty set; None where some candidate by itself has no estimate.

    References
    ----------
    Standley et al., Which tasks should be learned together in multi-task learning?, ICML 2020 (higher-order
    approximation: the mean over pairs).
    """
    k = len(candidates)
    tables = []
    for size in range(1, k):  # all of them together are one set, of which nothing is to be made up
        places = list(combinations(range(k), size))
        values = np.array([gains.get(frozenset(candidates[j] for j in chosen), np.nan) for chosen in places])
        if not np.isfinite(values).all():
            break
        tables.append((np.array(places), values))
    if not tables:
        return None

    def estimated(members: np.ndarray) -> np.ndarray:
        found = np.zeros(len(members))
        sizes = members.sum(axis=1)
        for size, (places, values) in enumerate(tables, start=1):
            inside = members[:, places].prod(axis=2)  # (n_sets, n_subsets)
            those = sizes == size if size < len(tables) else sizes >= size
            found[those] = (inside @ values)[those] / inside.sum(axis=1)[those]
        return found

    return estimated
