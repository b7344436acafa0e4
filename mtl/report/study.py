"""A search as it went: its trials, which of them is best, and what the parameters matter. Test numbers are no part."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.config.objective import MAXIMIZE
from mtl.errors import UserError
from mtl.results import BEST, JOB, TrackedRun

if TYPE_CHECKING:
    from mtl.report.stored import Downloads

STUDY = "study.json"


@dataclass(frozen=True)
class Trial:
    """A proposal and what came of it.

    Attributes
    ----------
    number : int
        Counted from 1.
    proposal : mapping of str to str
        A value for every key that is searched.
    jobs : tuple of int
        Numbers of its jobs in the sweep, one per seed.
    values : tuple of float or None
        The objective of each; None where it is undefined.
    reason : str
        Why it has no value; empty where it has one.
    same_as : int or None
        Number of the earlier trial that proposed the same, whose jobs and values these are.
    """

    number: int
    proposal: Mapping[str, str]
    jobs: tuple[int, ...] = ()
    values: tuple[float | None, ...] = ()
    reason: str = ""
    same_as: int | None = None

    @property
    def value(self) -> float | None:
        """Mean of the objective over seeds; None where a seed has none, as a mean of fewer is no match for others."""
        defined = [value for value in self.values if value is not None]
        return math.fsum(defined) / len(defined) if defined and len(defined) == len(self.values) else None

    def words(self) -> str:
        """The proposal as overrides."""
        return " ".join(f"{key}={value}" for key, value in self.proposal.items())


@dataclass(frozen=True)
class Study:
    """A search as it went.

    Attributes
    ----------
    metric : str
        Tracked name of the objective.
    direction : str
        Of `mtl.config.objective`.
    n_trials : int
        How many were asked for.
    seeds : tuple of str
        With which every proposal was run; empty where none was swept.
    sampler : str
        What proposed, in words.
    trials : tuple of Trial
    importance : mapping of str to float
        By key the share of the objective's variance over the trials that it explains; empty where that is unknown.
    unknown : str
        Why it is.
    ended : str
        Why there are fewer trials than were asked for; empty where there are not.
    compared : tuple of int
        Numbers of the jobs that compare the best trial with other settings, launched when it was chosen.
    """

    metric: str
    direction: str
    n_trials: int
    seeds: tuple[str, ...] = ()
    sampler: str = ""
    trials: tuple[Trial, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    unknown: str = ""
    ended: str = ""
    compared: tuple[int, ...] = ()

    @property
    def objective(self) -> str:
        """The objective in words."""
        quantity, _, task = self.metric.partition("/")
        return f"{quantity.removesuffix(BEST)} of {task}"

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to try: until then no test frame is looked at."""
        return len(self.trials) >= self.n_trials or bool(self.ended)

    @property
    def best(self) -> Trial | None:
        """The trial with the best value, the first of several; None where none has any."""
        return next(iter(self.ranked), None)

    @property
    def ranked(self) -> list[Trial]:
        """Trials with a value, the best first."""
        sign = -1.0 if self.direction == MAXIMIZE else 1.0
        own = [trial for trial in self.trials if trial.value is not None]
        return sorted(own, key=lambda trial: sign * (trial.value or 0.0))

    def best_so_far(self) -> list[float]:
        """The best value after each trial; NaN before the first."""
        better, found, values = max if self.direction == MAXIMIZE else min, math.nan, []
        for trial in self.trials:
            if trial.value is not None:
                found = trial.value if math.isnan(found) else better(found, trial.value)
            values.append(found)
        return values

    def chosen(self, runs: Sequence[TrackedRun]) -> list[TrackedRun]:
        """The runs of the best trial among those of the sweep, the only ones whose test frames are looked at.

        None before the search is over: a look on the way would be one of several. Where the best trial was
        compared with other settings, these runs instead, its own among them.
        """
        jobs = self.compared or (self.best.jobs if self.best is not None and self.is_over else ())
        return [run for run in runs if run.tags.get(JOB, "") in map(str, jobs)]

    def write(self, folder: Path) -> None:
        """Write it where `read_study` finds it; a kill leaves the former one or this one."""
        new = folder / f".{STUDY}"
        new.write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        new.replace(folder / STUDY)


def read_study(folder: Path) -> Study | None:
    """The search whose sweep lies in a folder; None where it was none.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    path = folder / STUDY
    if not path.is_file():
        return None
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Study).validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path} is damaged: {' '.join(str(error.errors()[0]['msg']).split())}.") from None


def study_of(parent: str, tracking: Downloads) -> Study | None:
    """The search whose sweep is a run of the store; None where it was none."""
    try:
        path = tracking.download(parent, STUDY)
    except (OSError, UserError):
        return None
    return read_study(path.parent)
