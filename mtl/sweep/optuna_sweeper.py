"""The sweeper that optimises: trials proposed by Optuna, run in waves with every seed, and told what came of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from mtl.config import schema
from mtl.config.objective import objective_of
from mtl.errors import UserError
from mtl.job import record
from mtl.job.context import stopped_line
from mtl.job.failure import one_line
from mtl.masking import has_secret, masked
from mtl.report.study import Study, Trial
from mtl.results import DIVERGED, JOB
from mtl.sweep.launchers import jobs_at_once
from mtl.sweep.own_sweeper import OwnSweeper
from mtl.sweep.search_space import check_space, compared_jobs, plain_job, search_space
from mtl.sweep.sweepers import Expected, parsed

OLDEST = (4, 9)  # version of Optuna
NOT_STARTED = "it was not begun, because the sweep stopped"
UNDEFINED = "the objective is undefined on the validation videos"


class Optuna(OwnSweeper):
    """Searches for the best value of `objective`.

    Parameters
    ----------
    n_trials : int
        Proposals in all.
    n_jobs : int or None
        Proposals that are run side by side; None: as many as the launcher has room for. The next ones are
        proposed when all of these have ended, so that a search depends on no job's time.
    seed : int
        Of the sampler.
    n_startup_trials : int
    storage, study_name : str
        See `Proposals`.
    params : mapping of str to str, optional
        What is searched, as Hydra's own sweeper has it: for recipes.
    compare : mapping of str to str, optional
        Settings, and seeds, that are run beside the best trial when the search is over: test frames judge
        them, and nothing is chosen by it.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int | None,
        seed: int,
        n_startup_trials: int,
        storage: str,
        study_name: str,
        params: Mapping[str, str] | None = None,
        compare: Mapping[str, str] | None = None,
    ) -> None:
        self.n_trials, self.n_jobs, self.seed, self.n_startup_trials = n_trials, n_jobs, seed, n_startup_trials
        self.storage, self.study_name, self.params, self.compare = storage, study_name, params, compare

    @classmethod
    def expected(cls, config: DictConfig, arguments: Sequence[str]) -> Expected:
        """Nothing but how many jobs there may be: Optuna is asked when the sweep has begun."""
        from hydra.core.global_hydra import GlobalHydra

        from mtl.formatting import plural  # with pandas, which `--help` does without

        _check_installed()
        _check_keys(config.hydra.sweeper)
        space, loader = search_space(parsed(arguments)), GlobalHydra.instance().config_loader()
        check_space(space, lambda words: loader.load_sweep_config(config, words))
        objective, n_seeds = objective_of(config), max(len(space.seeds), 1)
        each = f", each with {plural(n_seeds, 'seed')}" if n_seeds > 1 else ""
        lines = [
            f"{plural(config.hydra.sweeper.n_trials, 'trial')}{each}, to {objective.direction} {config.objective}."
        ]
        others = compared_jobs(space, config.hydra.sweeper.compare or {}, {})
        for words in others:
            schema.check_nodes(plain_job(loader.load_sweep_config(config, words)))
        if others:
            lines.append(
                f"Then {plural(len(others), 'job')} compare the best trial with other settings by test frames."
            )
        return Expected(common=space.fixed, lines=lines, judged=objective.metric)

    def waves(self, arguments: Sequence[str]) -> list[JobReturn]:
        """Propose, run and tell until there are trials enough."""
        from mtl.sweep.proposals import Proposals

        config: Any = self.config
        objective, self._space = objective_of(config), search_space(parsed(arguments))
        at_once = self.n_jobs or max(1, jobs_at_once(config) // max(len(self._space.seeds), 1))
        self._folder = Path(str(config.hydra.sweep.dir))
        self._proposals = Proposals(
            self._space,
            objective.direction,
            seed=self.seed,
            n_startup_trials=self.n_startup_trials,
            storage=self.storage,
            name=self.study_name,
            at_once=at_once,
        )
        sampler = f"TPE of Optuna, seed {self.seed}"
        study = Study(objective.metric, objective.direction, self.n_trials, self._space.seeds, sampler)
        results: list[JobReturn] = []
        while len(study.trials) < self.n_trials and not study.ended:
            wave = self._wave(study, min(at_once, self.n_trials - len(study.trials)))
            study = replace(study, trials=(*study.trials, *self._run(wave, study, results)))
            study = replace(study, ended=self._ended(study))
            study.write(self._folder)
            self._check_worth_it(len(results))
        shares, unknown = self._proposals.importance()
        study = replace(study, importance=shares, unknown=unknown)
        study.write(self._folder)
        if study.best is None:
            raise UserError(_none_has_a_value(study))
        others = compared_jobs(self._space, self.compare or {}, study.best.proposal)
        if others:
            replace(study, compared=tuple(range(len(results), len(results) + len(others)))).write(self._folder)
            results += self.launch(others)
        return results

    def _wave(self, study: Study, n: int) -> list[Trial]:
        """The next trials, without values; one that was proposed before has its number."""
        first = {tuple(trial.proposal.items()): trial.number for trial in reversed(study.trials)}
        wave = []
        for _ in range(n):
            number, proposal = self._proposals.ask()
            known = first.setdefault(tuple(proposal.items()), number + 1)
            wave.append(Trial(number + 1, proposal, same_as=known if known != number + 1 else None))
        return wave

    def _run(self, wave: Sequence[Trial], study: Study, results: list[JobReturn]) -> list[Trial]:
        """The wave with what came of it, which Optuna is told."""
        jobs: dict[int, tuple[int, ...]] = {}
        words: list[list[str]] = []
        for trial in wave:
            if not trial.same_as:
                own = self._space.jobs(trial.proposal)
                jobs[trial.number] = tuple(range(len(results) + len(words), len(results) + len(words) + len(own)))
                words += own
        results += self.launch(words) if words else []
        records = {job.tags.get(JOB): job for job in record.read_jobs(self._folder)}
        done = {trial.number: trial for trial in study.trials}
        for trial in wave:
            if trial.same_as:
                former = done[trial.same_as]
                ended = replace(trial, jobs=former.jobs, values=former.values, reason=former.reason)
            else:
                numbers = jobs[trial.number]
                ended = self._ended_trial(trial, numbers, [_came(results[i], records.get(str(i))) for i in numbers])
            self._proposals.tell(ended.number - 1, ended.value)
            done[ended.number] = ended
        return [done[trial.number] for trial in wave]

    def _ended_trial(self, trial: Trial, jobs: tuple[int, ...], came: Sequence[tuple[float | None, str]]) -> Trial:
        """A trial with the objective of every seed, and the reason of the first that has none."""
        reasons = [self._of_seed(i, why) for i, (_, why) in enumerate(came) if why]
        return replace(trial, jobs=jobs, values=tuple(value for value, _ in came), reason=next(iter(reasons), ""))

    def _of_seed(self, i: int, reason: str) -> str:
        """A reason with the seed whose it is, where there are several."""
        return f"seed {self._space.seeds[i]}: {reason}" if len(self._space.seeds) > 1 else reason

    def _check_worth_it(self, n_launched: int) -> None:
        """Raise `UserError` where jobs were not begun any more, because the first ones all failed alike."""
        jobs, first = record.read_jobs(self._folder), self.config.stop_after  # type: ignore[union-attr]
        if len(jobs) < n_launched:
            reason = record.failed_alike(jobs, first) if first else ""
            raise UserError(f"{stopped_line(first)} {reason}" if reason else "The search stopped: a job was not begun.")

    def _ended(self, study: Study) -> str:
        """Why no more is proposed although fewer trials than were asked for are done; empty where more is."""
        from mtl.formatting import plural

        tried = {tuple(trial.proposal.items()) for trial in study.trials}
        if len(tried) >= self._space.size and len(study.trials) < self.n_trials:
            return f"everything that can be proposed is tried ({plural(len(tried), 'combination')})"
        return ""


def _check_installed() -> None:
    """Raise `UserError` where Optuna is not there, or is an old one, which other sweepers want."""
    try:
        found = version("optuna")
    except PackageNotFoundError:
        found = ""
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        what = f"{found} is installed, and {oldest} or newer is needed" if found else "is not installed"
        raise UserError(f'hydra/sweeper=optuna: Optuna {what}. Right would be `pip install -e ".[optuna]"`.')


def _check_keys(sweeper: DictConfig) -> None:
    """Raise `UserError` where a key of the sweeper is no number that it can be, or spells out a password."""
    storage = str(OmegaConf.to_container(sweeper, resolve=False)["storage"])  # type: ignore[index, call-overload]
    if has_secret(storage):
        raise UserError(
            f"hydra.sweeper.storage: '{masked(storage)}' holds a password, which would be written down with every job; "
            "right would be a variable: hydra.sweeper.storage='${oc.env:STORAGE}'."
        )
    for key, least, may_lack in (
        ("n_trials", 1, False),
        ("n_jobs", 1, True),
        ("n_startup_trials", 0, False),
        ("seed", 0, False),
    ):
        value = sweeper[key]
        if not (may_lack and value is None) and (
            not isinstance(value, int) or isinstance(value, bool) or value < least
        ):
            raise UserError(f"hydra.sweeper.{key}: should be a whole number from {least} on, found {value!r}.")


def _came(result: JobReturn, job: record.Job | None) -> tuple[float | None, str]:
    """The objective of a job, and why it has none."""
    value = result._return_value
    if result.status == JobStatus.COMPLETED and isinstance(value, int | float):
        return float(value), ""
    if isinstance(value, BaseException):
        return None, one_line(value) if job is not None else NOT_STARTED
    return None, (f"it diverged: {job.tags[DIVERGED]}" if job is not None and DIVERGED in job.tags else UNDEFINED)


def _none_has_a_value(study: Study) -> str:
    """Why a search found nothing, by the reason that comes first."""
    from mtl.formatting import plural

    reason = next(trial.reason for trial in study.trials if trial.reason)
    return f"None of {plural(len(study.trials), 'trial')} has a value of {study.objective}: {reason}."
