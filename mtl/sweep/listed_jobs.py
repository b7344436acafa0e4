"""The sweeper of listed jobs: sets, or whatever else, that are no product of values."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from hydra.core.utils import JobReturn
from omegaconf import DictConfig, ListConfig, OmegaConf

from mtl.errors import UserError
from mtl.sweep.own_sweeper import OwnSweeper
from mtl.sweep.sweepers import Expected, parsed

RIGHT = (
    "Right would be a list of jobs, each of its overrides: "
    """hydra.sweeper.jobs='["tasks=anomaly","tasks=all weighting=dwa"]'."""
)


def times(jobs: Sequence[Sequence[str]], arguments: Sequence[str], key: str) -> list[list[str]]:
    """Every job by every combination of what else is swept; all jobs of a combination first, so that seeds are whole.

    Parameters
    ----------
    jobs : sequence of sequence of str
        Overrides of each.
    arguments : sequence of str
        Overrides of the sweep.
    key : str
        Where the jobs are listed, for what is said of them.

    Raises
    ------
    UserError
        For a value that is no list, for several values within a job, and for what both a job and the sweep set.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    overrides = parsed(arguments)
    for override in overrides:
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(f"{override.input_line}: every value is run; right would be a list.")
    typed = {override.get_key_element().lstrip("+~"): override.input_line for override in overrides}
    for place, job in enumerate(jobs):
        for override in parsed(job):
            if override.is_sweep_override():
                raise UserError(f"{key}[{place}]: {override.input_line} has several values; right would be a job each.")
            name = override.get_key_element().lstrip("+~")
            if name in typed:
                raise UserError(
                    f"{key}[{place}]: sets {override.input_line}, and so does {typed[name]} for all jobs; right would "
                    "be one of them."
                )
    combinations = [list(other) for batch in BasicSweeper.split_arguments(overrides, None) for other in batch]
    return [[*job, *other] for other in combinations for job in jobs]


class Jobs(OwnSweeper):
    """Runs the jobs that are listed, times what else is swept: ``seed=0,1,2``.

    Parameters
    ----------
    jobs : sequence
        Each a list of overrides, or a text of overrides with blanks between them.
    params : mapping of str to str, optional
        What is swept beside, as Hydra's own sweeper has it: for recipes.
    """

    def __init__(self, jobs: Sequence[Sequence[str] | str], params: Mapping[str, str] | None = None) -> None:
        self.jobs, self.params = jobs, params

    @classmethod
    def expected(cls, config: DictConfig, arguments: Sequence[str]) -> Expected:
        """All jobs."""
        return Expected(_listed(config, arguments))

    def waves(self, arguments: Sequence[str]) -> list[JobReturn]:
        """One wave."""
        assert self.config is not None
        return self.launch(_listed(self.config, arguments))


def _listed(config: DictConfig, arguments: Sequence[str]) -> list[list[str]]:
    """The jobs of the config, times what else is swept."""
    key = "hydra.sweeper.jobs"
    given = OmegaConf.select(config, key)
    if not isinstance(given, ListConfig) or not given:
        raise UserError(f"{key}: found {given!r}. {RIGHT}")
    jobs = []
    for place, job in enumerate(given):
        words = shlex.split(job) if isinstance(job, str) else list(job) if isinstance(job, ListConfig) else []
        if not words or not all(isinstance(word, str) and "=" in word.lstrip("~") for word in words):
            raise UserError(f"{key}[{place}]: found {job!r}. {RIGHT}")
        jobs.append(words)
    return times(jobs, arguments, key)
