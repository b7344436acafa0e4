"""What a sweep would run, what of it is done, and how long it takes."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, open_dict, read_write

from mtl.config.renamed import renamed
from mtl.config.swept import check_keys
from mtl.errors import UserError
from mtl.job import progress
from mtl.results import REUSED_FROM

if TYPE_CHECKING:
    from mtl.job.reuse import FinishedRuns
    from mtl.job.task_sets import Heads
    from mtl.results import TrackedRun

# parameters that say how long a run takes, the most telling last
COSTLY = ("data", "backbone", "freeze", "training.epochs", "weighting", "tasks")
LATEST = 20  # finished runs that times are told by


@dataclass(frozen=True)
class Planned:
    """A job that a sweep would run.

    Attributes
    ----------
    name : str
    params : mapping of str to str
        As they would be tracked.
    before : TrackedRun or None
        The finished run that has its result already.
    seconds : float or None
        How long it would take, by the latest runs of the store.
    """

    name: str
    params: Mapping[str, str]
    before: TrackedRun | None
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """What a sweep consists of.

    Attributes
    ----------
    jobs : sequence of Planned
    digests : mapping of str to str
        Of the jobs' data by `fingerprint.data_key`.
    common : sequence of str
        The overrides that all jobs have, as typed and as the jobs' names have them.
    alike : sequence of str
        Lines about jobs of one configuration, see `same_settings`.
    sets : sequence of list of (str, int)
        Kinds of heads of the jobs' task sets, see `mtl.job.task_sets`.
    """

    jobs: Sequence[Planned]
    digests: Mapping[str, str]
    common: Sequence[str]
    alike: Sequence[str] = ()
    sets: Sequence[Heads] = ()


@dataclass(frozen=True)
class Setting:
    """A job's configuration, the overrides that ask for it, and its choices as `choices.told` names them."""

    configuration: str
    words: Sequence[str]
    choices: Mapping[str, Any]


def planned(config: DictConfig, finished: FinishedRuns, jobs: Sequence[Sequence[str]]) -> Plan:
    """What jobs of a sweep consist of, and what of them is done.

    Parameters
    ----------
    config : DictConfig
        As Hydra composes it for a multirun.
    finished : FinishedRuns
        Of the store: asked for the jobs' fingerprints and for the latest, never for all.
    jobs : sequence of sequence of str
        Overrides of each.

    Notes
    -----
    The data are looked at only where the store has a finished run at all.
    """
    from mtl.config.build import plain_config
    from mtl.config.choices import told
    from mtl.config.parameters import as_told, parameters, run_name
    from mtl.job.fingerprint import data_key, fingerprint
    from mtl.job.task_sets import sets_of

    latest = finished.latest(LATEST)
    digests: dict[str, str] = {}
    fingerprints, found, settings = [], [], []
    composed = list(_composed(config, jobs))
    common = set.intersection(*(set(words) for words, _, _ in composed)) if len(composed) > 1 else set()
    for words, choices, job in composed:
        named = told(job, choices, config)
        plain = plain_config(job)
        key = data_key(plain)
        if latest and not config.rerun:
            if key not in digests:
                digests[key] = _digest(job)
            if digests[key]:
                plain["tasks"] = _tasks_named(job)
        fingerprints.append(fingerprint(plain, digests[key]) if digests.get(key) else "")
        params = {name: str(value) for name, value in parameters(job, named).items()}
        own = [word for word in words if word not in common]
        found.append(Planned(run_name(named, own), params, None, _seconds(params, latest)))
        settings.append(Setting(f"{key} {fingerprint(plain, '')}", words, named))
    before = finished.of([each for each in fingerprints if each])
    found = [replace(job, before=before.get(each)) for job, each in zip(found, fingerprints, strict=True)]
    known = {key: digest for key, digest in digests.items() if digest}
    common |= {as_told(word, each.choices) for word in common for each in settings}
    return Plan(found, known, sorted(common), same_settings(settings), sets_of(job for _, _, job in composed))


def same_settings(settings: Sequence[Setting]) -> list[str]:
    """What is said of jobs that were asked for in different words and have one configuration.

    Parameters
    ----------
    settings : sequence of Setting
        One per job.

    Returns
    -------
    list of str
        One line for every two or more wordings of one configuration; jobs that
        differ from those of another line in the seed or in what all of them share say no more.
    """
    alike: dict[str, list[Setting]] = {}
    for each in settings:
        alike.setdefault(each.configuration, []).append(each)
    lines = []
    for members in alike.values():
        if len(members) < 2:
            continue
        shared = set.intersection(*(set(each.words) for each in members))
        own = [[word for word in each.words if word not in shared] for each in members]
        wordings = list(dict.fromkeys(" ".join(words) for words in own))
        if len(wordings) == 1:
            name = " ".join(members[0].words) or "The configuration as it stands"
            lines.append(f"{name}: asked for {len(members)} times, counts once.")
            continue
        groups = dict.fromkeys(word.partition("=")[0] for words in own for word in words)
        below = tuple(f"{group}." for group in groups)
        why = [word for word in members[0].words if word in shared and word.lstrip("+~").startswith(below)]
        named = " ".join(f"{group}={members[0].choices[group]}" for group in groups if group in members[0].choices)
        here, name = f" ({' '.join(why)})" if why else "", f", named {named}" if named else ""
        lines.append(
            f"{', '.join(wordings[:-1])} and {wordings[-1]} are the same configuration here"
            f"{here}: they are one setting{name}; a seed counts once."
        )
    return list(dict.fromkeys(lines))


def _composed(
    config: DictConfig, jobs: Sequence[Sequence[str]]
) -> Iterator[tuple[list[str], dict[str, Any], DictConfig]]:
    """Overrides, choices and config of every job, as the launcher will make them."""
    from hydra.core.global_hydra import GlobalHydra

    loader = GlobalHydra.instance().config_loader()  # one of `composed`: a seed more is no composition more
    check_keys(jobs, lambda words: loader.load_sweep_config(config, words))
    for words in jobs:
        _check_seed(words)
        job = loader.load_sweep_config(config, list(words))
        choices = dict(job.hydra.runtime.choices)
        task = [word for word in words if not word.startswith(("hydra.", "hydra/", "+hydra.", "++hydra."))]
        with read_write(job), open_dict(job):
            del job["hydra"]
        yield task, choices, renamed(job, task)


def _check_seed(words: Sequence[str]) -> None:
    """Refuse an override that gives another seed than a whole number."""
    for word in words:
        if word.startswith("seed=") and not word[5:].isdecimal():
            raise UserError(f"seed: should be a whole number from 0 on, found {word[5:]!r}.")


def _digest(job: DictConfig) -> str:
    """Digest of a job's data; empty where they cannot be read, which the job itself will say."""
    from mtl.config.build import build
    from mtl.data.frames import only_what_is_decoded
    from mtl.features.feature_key import stats
    from mtl.job.fingerprint import data_digest

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # the jobs will say it all
    try:
        data = build(job.data)
        data.check()
        with only_what_is_decoded():  # a plan does not decode videos for hours
            frames = data.frames()
        return data_digest(frames, stats(data.root, frames["path"]))
    except Exception:  # whatever it is, the job meets it too, and has a row for it
        return ""
    finally:
        logging.disable(before)


def _tasks_named(job: DictConfig) -> Any:
    """A job's tasks with the classes that it will name itself; as they stand where it will be refused."""
    from mtl.config.build import build, plain_config
    from mtl.config.check import name_classes

    job = job.copy()
    with suppress(UserError):
        name_classes(job.tasks, build(job.data))
    return plain_config(job)["tasks"]


def _seconds(params: Mapping[str, str], finished: Sequence[TrackedRun]) -> float | None:
    """Median time of those finished runs that are most like this one; None where none is like it."""
    for known in range(len(COSTLY), 2, -1):
        keys = COSTLY[:known]
        wanted = [params.get(key) for key in keys]
        alike = [run for run in finished if [run.params.get(key) for key in keys] == wanted]
        times = [seconds for run in alike if (seconds := _took(run)) is not None]
        if times:
            return statistics.median(times)
    return None


def _took(run: TrackedRun) -> float | None:
    """Seconds from a run's start to its end; of a row that reuses a run, those of that run, where it tracked them."""
    tracked = run.metrics.get("time/run_s")
    if tracked is not None or REUSED_FROM in run.tags or run.start is None or run.end is None:
        return tracked
    return (run.end - run.start).total_seconds()


def dry_run(plan: Plan, at_once: int, more: Sequence[str] = (), most: int = 0) -> list[str]:
    """Lines that say what a sweep would run and what is done already.

    Parameters
    ----------
    plan : Plan
    at_once : int
        How many jobs run side by side.
    more : sequence of str
        What a sweeper that chooses jobs as it goes says of the whole.
    most : int
        How many jobs it may come to; 0: those of the plan.
    """
    if not plan.jobs:
        return ["This sweeper chooses its jobs as it goes: none is known in advance.", *more]
    lines = []
    for number, job in enumerate(plan.jobs, start=1):
        about = "" if job.seconds is None else f", about {progress.duration(job.seconds)}"
        what = f"done already (run {job.before.id})" if job.before else f"would run{about}"
        lines.append(f"[{number}/{len(plan.jobs)}] {job.name}: {what}")
    todo = [job for job in plan.jobs if job.before is None]
    done = len(plan.jobs) - len(todo)
    known = [job.seconds for job in todo if job.seconds is not None]
    lines.append(f"{len(plan.jobs)} jobs: {done} done already, {len(todo)} would run.")
    if todo and known:
        rough = statistics.mean(known) * len(todo) / min(at_once, len(todo))
        side = f", {at_once} at once" if at_once > 1 else ""
        lines.append(f"About {progress.duration(rough)}{side}, by the times of like runs in this store.")
    elif todo:
        lines.append("How long it takes is not known: the store has no like run yet.")
    lines += more
    if most and known:
        rough = statistics.mean(known) * max(most - done, 0) / min(at_once, most)
        lines.append(f"At most {most} jobs in all, about {progress.duration(rough)} of them to wait for.")
    elif most:
        lines.append(f"At most {most} jobs in all.")
    return lines


def never_reused(config: DictConfig, uri: str) -> list[str]:
    """Why nothing that is done already can be found, where that is so."""
    if config.rerun or uri:
        return []
    return ["tracking=none keeps no store, so what was done before is not known: every job is trained."]
