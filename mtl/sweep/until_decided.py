"""The sweeper that asks in waves: it ends when every question has an answer, or none can be had."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from mtl.config.build import build
from mtl.errors import UserError
from mtl.job import progress, record
from mtl.sweep.launchers import jobs_at_once
from mtl.sweep.own_sweeper import OwnSweeper
from mtl.sweep.sweepers import Expected, parsed
from mtl.terminal import show

if TYPE_CHECKING:
    from mtl.ablation.decision import Decision
    from mtl.ablation.rule import Rule

SECONDS_PER_HOUR = 3600.0
Cell = tuple[int, int]  # a setting, and the place of its seed


@dataclass(frozen=True)
class Asked:
    """What a sweep until it is decided may run.

    Attributes
    ----------
    settings : tuple of tuple of str
        Overrides of every set, and of what else is swept, without the seed.
    seeds : tuple of int
        In the order in which they are run, as many as there may be.
    """

    settings: tuple[tuple[str, ...], ...]
    seeds: tuple[int, ...]

    def job(self, setting: int, seed: int) -> list[str]:
        """Overrides of a setting with the seed of that place."""
        return [*self.settings[setting], f"seed={self.seeds[seed]}"]


def asked_of(config: DictConfig, arguments: Sequence[str], most_seeds: int) -> Asked:
    """What the sweep of these overrides may run.

    Parameters
    ----------
    config : DictConfig
        As Hydra composes it for a multirun.
    arguments : sequence of str
        Overrides of the sweep; the seeds that they name come first, then the whole numbers above them.
    most_seeds : int

    Raises
    ------
    UserError
        For an interval, for a rule that is itself swept, and for a seed that is no whole number.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    overrides = parsed(arguments)
    named: list[str] = [str(config.seed)]
    for override in overrides:
        key = override.get_key_element()
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(
                f"{override.input_line}: hydra/sweeper=until_decided runs every value; right would be a list."
            )
        if override.is_sweep_override() and key.startswith("decide."):
            raise UserError(f"{override.input_line}: what decides cannot be swept; right would be one value.")
        if key == "seed":
            swept = override.is_sweep_override()
            named = list(override.sweep_string_iterator()) if swept else [override.get_value_element_as_str()]
    for word in named:
        if not word.isdecimal():
            raise UserError(f"seed: should be a whole number from 0 on, found {word!r}.")
    seeds = list(dict.fromkeys(map(int, named)))
    seeds += range(max(seeds) + 1, max(seeds) + 1 + most_seeds)
    others = [override for override in overrides if override.get_key_element() != "seed"]
    settings = [tuple(job) for batch in BasicSweeper.split_arguments(others, None) for job in batch]
    return Asked(tuple(settings), tuple(seeds[:most_seeds]))


class UntilDecided(OwnSweeper):
    """Runs every set by a few seeds, looks, and goes on only where the answer is open.

    Which runs come next, and when it is over, is said by `mtl.ablation.decision`, from the runs that there are and
    nothing else: the same command after a kill asks the same, and what is done already is reused.

    Parameters
    ----------
    params : mapping of str to str, optional
        What is swept, as Hydra's own sweeper has it: for recipes.
    """

    def __init__(self, params: Mapping[str, str] | None = None) -> None:
        self.params = params

    @classmethod
    def expected(cls, config: DictConfig, arguments: Sequence[str]) -> Expected:
        """The first wave, and how much more there may be."""
        rule = build(config.decide)
        asked = asked_of(config, arguments, rule.most_seeds)
        limit = "" if rule.hours is None else f" No wave is begun that would end after {rule.hours:g} hours."
        more = (
            f"This is the first wave. Then only what is open is run, {rule.most_seeds} seeds of a set at most.{limit}"
        )
        return Expected(
            [asked.job(*each) for each in _first_wave(asked, rule)],
            lines=[more],
            most=len(asked.settings) * rule.most_seeds,
            looks=f"{rule.first_seeds}/{rule.most_seeds}",
        )

    def waves(self, arguments: Sequence[str]) -> list[JobReturn]:
        """Ask until nothing is open any more."""
        rule, began = build(self._composed.decide), time.monotonic()
        asked = asked_of(self._composed, arguments, rule.most_seeds)
        launched: list[Cell] = []
        results: list[JobReturn] = []
        wave = _first_wave(asked, rule)
        while wave:
            launched += wave
            results += self.launch([asked.job(*each) for each in wave])
            if len(self._jobs()) < len(launched):
                break  # the sweep stopped, because its first jobs all failed alike
            wave = self._next(rule, asked, launched, time.monotonic() - began)
        return results

    def _next(self, rule: Rule, asked: Asked, launched: Sequence[Cell], seconds: float) -> list[Cell]:
        """What is to be run now; nothing when it is over."""
        from mtl.ablation.decision import next_jobs
        from mtl.report.decided import decided

        main_task = str(self._composed.main_task)
        looked = decided(self.callback.runs(), main_task, rule, asked.seeds, *self.callback.judged())
        setting = {looked.places[str(i)]: each for i, (each, _) in enumerate(launched) if str(i) in looked.places}
        left = math.inf
        if rule.hours is not None:
            left = (rule.hours * SECONDS_PER_HOUR - seconds) * jobs_at_once(self._composed)
        proposed = next_jobs(looked.decision, self._seconds(looked.places), left)
        wave = [(setting[condition, arm], seed) for condition, arm, seed in proposed]
        if not wave and not looked.decision.ended:
            self.callback.ended = (
                f"decide.hours={rule.hours:g} is not enough for another seed of what is open: "
                f"{progress.duration(seconds)} are over."
            )
        if wave:
            show(_look_line(looked.decision, len(wave)))
        return wave

    def _seconds(self, places: Mapping[str, tuple[str, str]]) -> dict[str, float]:
        """Mean time of the jobs that were trained, by arm."""
        found: dict[str, list[float]] = {}
        for job in self._jobs():
            if job.status == "FINISHED" and not job.reused and str(job.number) in places:
                found.setdefault(places[str(job.number)][1], []).append(job.seconds)
        return {arm: sum(each) / len(each) for arm, each in found.items()}

    def _jobs(self) -> list[record.Job]:
        """The jobs that have begun."""
        return record.read_jobs(Path(str(self._composed.hydra.sweep.dir)))

    @property
    def _composed(self) -> DictConfig:
        """The sweep's config."""
        assert self.config is not None
        return self.config


def _look_line(decision: Decision, n_jobs: int) -> str:
    """What a look has found, and what comes next."""
    from mtl.formatting import plural

    look = decision.course[-1] if decision.course else None
    words: dict[str, list[str]] = {}
    for each in look.judged if look else ():
        words.setdefault(each.word, []).append(f"{each.name} ({each.condition})" if each.condition else each.name)
    found = "; ".join(f"{', '.join(names)}: {word}" for word, names in words.items()) or "nothing to look at yet"
    return f"look at {plural(look.seeds if look else 0, 'seed')}: {found}. Next: {plural(n_jobs, 'job')}."


def _first_wave(asked: Asked, rule: Rule) -> list[Cell]:
    """Every setting by the first seeds, seed by seed, so that a sweep that ends early has whole seeds."""
    return [(setting, seed) for seed in range(rule.first_seeds) for setting in range(len(asked.settings))]
