"""Optuna behind a search space: what it proposes, what it is told, and what it says the parameters matter."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from mtl.config.objective import Direction
from mtl.sweep.search_space import Choice, Dimension, Range, SearchSpace

log = logging.getLogger(__name__)

FEWEST_FOR_IMPORTANCE = 4  # trials with a value, below which a forest of trees says nothing


class Proposals:
    """A study of Optuna.

    Parameters
    ----------
    space : SearchSpace
    direction : {"minimize", "maximize"}
        Of `mtl.config.objective`.
    seed : int
        Of the sampler.
    n_startup_trials : int
        How many are drawn at random first.
    storage : str
        A file, which Optuna only adds lines to, or the URL of a database.
    name : str
        Of the study. Where the storage has one of that name, its trials are proposed again, in their order, before
        anything new is: those that are done are reused by their jobs, the one that a kill cut short is run.
    at_once : int
        The most proposals that are asked for before any of them is told.

    Attributes
    ----------
    n_before : int
        Trials that are proposed again.
    """

    def __init__(
        self,
        space: SearchSpace,
        direction: Direction,
        *,
        seed: int,
        n_startup_trials: int,
        storage: str,
        name: str,
        at_once: int,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._seed = space, seed
        self._distributions = {key: _distribution(each) for key, each in space.dimensions.items()}
        kept = _storage(storage)
        earlier, name = _names(optuna.get_all_study_names(kept), name)
        before = [
            trial.params for trial in (optuna.load_study(study_name=earlier, storage=kept).trials if earlier else [])
        ]
        again = [params for params in before if self._is_of_space(params)]
        self.n_before = len(again)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=_seed_after(seed, len(again)),
                n_startup_trials=n_startup_trials,
                constant_liar=at_once > 1,  # else several at once would be alike
            )
        self._study = optuna.create_study(study_name=name, storage=kept, sampler=sampler, direction=direction)
        for params in again:
            self._study.enqueue_trial(params)

    def ask(self) -> tuple[int, dict[str, str]]:
        """Number of a new trial, and a word for every key that is searched."""
        trial = self._study.ask(self._distributions)
        dimensions = self._space.dimensions
        return trial.number, {key: _word(dimensions[key], trial.params[key]) for key in dimensions}

    def tell(self, number: int, value: float | None) -> None:
        """Say what came of a trial; None: it failed."""
        if value is None:
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, value)

    def importance(self) -> tuple[dict[str, float], str]:
        """By key the share of the objective's variance that it explains, and why that is not known.

        References
        ----------
        Hutter, Hoos, Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014 (fANOVA).
        """
        done = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(done) < FEWEST_FOR_IMPORTANCE:
            return {}, f"{len(done)} of the trials have a value, and {FEWEST_FOR_IMPORTANCE} are needed"
        if len({trial.value for trial in done}) == 1:
            return {}, "all trials have the same value"
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        if not all(math.isfinite(value) for value in found.values()):
            return {}, "the trials are too much alike"
        return {key: float(found.get(key, 0.0)) for key in self._space.dimensions}, ""

    def _is_of_space(self, params: Mapping[str, Any]) -> bool:
        """Whether a trial of an earlier study is one that could be proposed now."""
        dimensions = self._space.dimensions
        return set(params) == set(dimensions) and all(_has(each, params[key]) for key, each in dimensions.items())


def _distribution(dimension: Dimension) -> BaseDistribution:
    """As Optuna has it; of a range the place in it, because steps of fractions do not add up exactly."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.words)
    if isinstance(dimension, Range):
        return IntDistribution(0, len(dimension.words) - 1)
    if dimension.is_whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _word(dimension: Dimension, value: Any) -> str:
    """What stands behind the ``=``."""
    if isinstance(dimension, Range):
        return dimension.words[int(value)]
    return str(value) if isinstance(dimension, Choice) or dimension.is_whole else repr(float(value))


def _has(dimension: Dimension, value: Any) -> bool:
    """Whether a value of Optuna's is one of a dimension."""
    if isinstance(dimension, Choice):
        return value in dimension.words
    if isinstance(value, str):
        return False
    if isinstance(dimension, Range):
        return 0 <= value < len(dimension.words)
    return dimension.low <= value <= dimension.high and (not dimension.is_whole or value == int(value))


def _storage(place: str) -> BaseStorage:
    """A database by its URL, else a file that survives a kill: a line that was cut short is left out."""
    if "://" in place:
        return RDBStorage(place)
    return JournalStorage(JournalFileBackend(place))


def _names(known: list[str], name: str) -> tuple[str, str]:
    """The last study of that name, and the name of the next one: every sweep has its own."""
    earlier, number, free = "", 1, name
    while free in known:
        earlier, number = free, number + 1
        free = f"{name}-{number}"
    return earlier, free


def _seed_after(seed: int, n_before: int) -> int:
    """The sampler's seed: another one where trials are there already, else it would draw them again."""
    return int(np.random.SeedSequence([seed, n_before]).generate_state(1)[0]) if n_before else seed
