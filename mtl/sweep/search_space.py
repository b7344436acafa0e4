"""The search space of a sweep that optimises: which words are searched, which stay, which seeds every proposal gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from omegaconf import DictConfig, open_dict, read_write

from mtl.config import schema
from mtl.config.build import plain_config
from mtl.config.swept import check_keys
from mtl.errors import UserError
from mtl.sweep.sweepers import parsed

SEED = "seed"
INCOMPARABLE = ("main_task", "objective", "judge")  # what decides how trials are compared
LOG = "log"  # the tag of an interval that is searched on a logarithmic scale


@dataclass(frozen=True)
class Listed:
    """Some values.

    Attributes
    ----------
    words : tuple of str
        As they stand behind the ``=``.
    """

    words: tuple[str, ...]

    @property
    def first(self) -> str:
        """A value for a trial composition."""
        return self.words[0]

    @property
    def size(self) -> float:
        """How many values there are."""
        return len(self.words)


class Choice(Listed):
    """Any of several values, without an order."""


class Range(Listed):
    """Numbers of one distance, in rising order: ``range(8,33,8)``."""


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both of which are among them: ``interval(0,0.5)``, ``int(interval(8,32))``."""

    low: float
    high: float
    is_whole: bool
    log: bool

    @property
    def first(self) -> str:
        """A value for a trial composition: a whole one where there is one, which every number's key takes."""
        whole = math.ceil(self.low)
        return str(whole) if whole <= self.high else repr(self.low)

    @property
    def size(self) -> float:
        """How many values there are."""
        return self.high - self.low + 1 if self.is_whole else math.inf


Dimension = Choice | Range | Interval


@dataclass(frozen=True)
class SearchSpace:
    """What a sweep searches.

    Attributes
    ----------
    dimensions : mapping of str to Dimension
        By the key of the override.
    fixed : tuple of str
        Overrides that all jobs have.
    seeds : tuple of str
        With each of which every proposal is run; empty where none was swept.
    """

    dimensions: Mapping[str, Dimension]
    fixed: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()

    @property
    def size(self) -> float:
        """How many proposals there are that differ."""
        return math.prod(each.size for each in self.dimensions.values())

    def jobs(self, proposal: Mapping[str, str]) -> list[list[str]]:
        """Overrides of the jobs of a proposal, one per seed.

        Parameters
        ----------
        proposal : mapping of str to str
            A value for every dimension.
        """
        words = [*self.fixed, *(f"{key}={value}" for key, value in proposal.items())]
        return [[*words, f"{SEED}={seed}"] for seed in self.seeds] if self.seeds else [words]

    @property
    def first(self) -> dict[str, str]:
        """A proposal for a trial composition."""
        return {key: each.first for key, each in self.dimensions.items()}

    def probes(self) -> list[list[str]]:
        """Overrides of a few jobs in which every choice stands once."""
        first = self.first
        chosen = [
            (key, word) for key, each in self.dimensions.items() if isinstance(each, Choice) for word in each.words
        ]
        return [self.jobs(first | {key: word})[0] for key, word in chosen] or [self.jobs(first)[0]]


def search_space(overrides: Sequence[Any]) -> SearchSpace:
    """What overrides search and what they leave as it is.

    Parameters
    ----------
    overrides : sequence of hydra.core.override_parser.types.Override
        One per key.

    Raises
    ------
    UserError
        If nothing is searched, the seed would be, or an interval or a range cannot be.
    """
    dimensions: dict[str, Dimension] = {}
    fixed: list[str] = []
    seeds: tuple[str, ...] = ()
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            fixed.append(str(override.input_line))
        elif key == SEED:
            seeds = _seeds(override)
        elif key in INCOMPARABLE:
            raise UserError(
                f"{override.input_line}: trials are compared by it, so it cannot be searched. Right: {key}=ONE."
            )
        else:
            dimensions[key] = _dimension(key, override)
    if not dimensions:
        raise UserError(
            "hydra/sweeper=optuna: there is nothing to search"
            f"{', a seed is repeated and averaged' if seeds else ''}. Right would be a choice or an interval, such as "
            "'training.optimizer.learning_rate=tag(log,interval(1e-4,1e-2))'."
        )
    return SearchSpace(dimensions, tuple(fixed), seeds)


def _seeds(override: Any) -> tuple[str, ...]:
    """The seeds of an override, each once."""
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}: a seed is never optimised, every proposal is run with each of them and averaged. "
            f"Right would be {SEED}=0,1,2."
        )
    return tuple(dict.fromkeys(override.sweep_string_iterator()))


def _dimension(key: str, override: Any) -> Dimension:
    """What one override searches."""
    found = override.value()
    tags: set[str] = getattr(found, "tags", set())
    said = override.input_line
    if unknown := tags - {LOG}:
        raise UserError(f"{said}: a tag should be {LOG}, found {', '.join(sorted(map(str, unknown)))}.")
    if override.is_interval_sweep():
        low, high, is_whole = found.start, found.end, isinstance(found.start, int)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise UserError(f"{said}: the first end of an interval should be less than the second one.")
        if tags and low <= 0:
            raise UserError(f"{said}: on a logarithmic scale both ends should be greater than 0, found {low}.")
        return Interval(low, high, is_whole, bool(tags))
    if tags:
        raise UserError(f"{said}: the tag {LOG} is for an interval. Right would be tag({LOG},interval(LOW,HIGH)).")
    words = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if not words:
        raise UserError(f"{said}: has no value.")
    if override.is_range_sweep() and len(words) > 1:
        return Range(words if found.step > 0 else words[::-1])
    return Choice(words)


def compared_jobs(space: SearchSpace, compare: Mapping[str, str], best: Mapping[str, str]) -> list[list[str]]:
    """Overrides of the jobs that compare other settings with the best trial: setting by setting, seed by seed.

    Parameters
    ----------
    space : SearchSpace
    compare : mapping of str to str
        Values of each key, with commas; those of the seed are for all, without them the search's own.
    best : mapping of str to str
        What the best trial proposed; it comes last.

    Raises
    ------
    UserError
        For what is no list of values.
    """
    if not compare:
        return []
    overrides = {each.get_key_element(): each for each in parsed([f"{key}={value}" for key, value in compare.items()])}
    for key, override in overrides.items():
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(f"hydra.sweeper.compare.{key}: should be a list of values, found {compare[key]!r}.")
    values = {
        key: list(each.sweep_string_iterator()) if each.is_sweep_override() else [each.get_value_element_as_str()]
        for key, each in overrides.items()
    }
    seeds = values.pop(SEED, list(space.seeds)) or [""]
    fixed = [word for word in space.fixed if word.partition("=")[0] not in (SEED, *values)]
    own = [word for word in space.fixed if word.partition("=")[0] == SEED]
    settings = [[f"{key}={value}" for key, value in zip(values, one, strict=True)] for one in product(*values.values())]
    settings = [[*fixed, *each] for each in settings] if values else []
    tuned = [word for word in space.fixed if word not in own]
    settings.append([*tuned, *(f"{key}={value}" for key, value in (best or space.first).items())])
    return [[*each, *([f"{SEED}={seed}"] if seed else own)] for each in settings for seed in seeds]


def check_space(space: SearchSpace, compose: Callable[[list[str]], DictConfig]) -> None:
    """Find before the first trial what would make every proposal of a kind fail.

    Parameters
    ----------
    space : SearchSpace
    compose : callable
        The config of a job's overrides.

    Raises
    ------
    UserError
        For a key that not all choices know, and for an interval of fractions where whole numbers belong.
    """
    probes = space.probes()
    check_keys(probes, compose)
    for words in probes:
        schema.check_nodes(plain_job(compose(words)))
    first = space.first
    for key, each in space.dimensions.items():
        if isinstance(each, Interval) and not each.is_whole:
            _check_fractions(key, each, lambda word, key=key: compose(space.jobs(first | {key: word})[0]))  # type: ignore[misc]


def _check_fractions(key: str, interval: Interval, compose: Callable[[str], DictConfig]) -> None:
    """Raise `UserError` where the key takes whole numbers alone."""
    inner = interval.low + (interval.high - interval.low) / math.e  # never whole
    try:
        schema.check_nodes(plain_job(compose(repr(inner))))
    except UserError as error:
        try:
            schema.check_nodes(plain_job(compose(interval.first)))
        except UserError:
            raise error from None
        ends = f"{interval.low:g},{interval.high:g}"
        right = f"int(interval({ends}))"
        right = f"tag({LOG},{right})" if interval.log else right
        raise UserError(
            f"{key}: takes whole numbers, and interval({ends}) gives fractions. Right would be '{key}={right}'."
        ) from None


def plain_job(config: DictConfig) -> Mapping[str, Any]:
    """Plain values of a composed job, without Hydra's part."""
    job = config.copy()
    with read_write(job), open_dict(job):
        job.pop("hydra", None)
    return plain_config(job)
