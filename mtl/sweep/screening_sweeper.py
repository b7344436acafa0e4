"""The sweeper that screens many auxiliaries: the sets of a design, or those proposed after an earlier one."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from omegaconf import DictConfig, read_write

from mtl.config.build import build
from mtl.config.searchpath import repository
from mtl.errors import UserError
from mtl.sweep.listed_jobs import times
from mtl.sweep.own_sweeper import OwnSweeper
from mtl.sweep.sweepers import Expected, parsed

if TYPE_CHECKING:
    from mtl.results import TrackedRun
    from mtl.screening.asked import Asked

MEMBERS = "+task@tasks"  # the override that adds auxiliaries to the main task
WIDTH = 80  # of a terminal
KEPT = "\N{NO-BREAK SPACE}"


class Screening(OwnSweeper):
    """Runs the main task alone, all candidates together, and the sets of a design, with the same seeds each.

    Parameters
    ----------
    params : mapping of str to str, optional
        What is swept beside the sets, as Hydra's own sweeper has it: for recipes.
    """

    def __init__(self, params: Mapping[str, str] | None = None) -> None:
        self.params = params

    @classmethod
    def expected(cls, config: DictConfig, arguments: Sequence[str]) -> Expected:
        """All jobs, and the design as a table."""
        _check_single(arguments)
        asked, sets, new = _sets(config)
        jobs = times([[_word(each)] for each in sets], arguments, "screening")
        _check_labels(config, [job for job in jobs if job[0] == _word(asked.candidates)])
        lines = design_table(asked.main_task, asked.candidates, sets, new)
        for which, auxiliaries in asked.foretold.items():
            lines += _wrapped(f"Predicted {which}: {' + '.join(auxiliaries)}.")
        return Expected(jobs, lines=[*lines, ""] if asked.foretold else lines, screening=asked.tag)

    def waves(self, arguments: Sequence[str]) -> list[JobReturn]:
        """One wave."""
        from mtl.screening.settings import BEST_AND_WORST

        assert self.config is not None
        _, sets, _ = _sets(self.config)
        results = self.launch(times([[_word(each)] for each in sets], arguments, "screening"))
        self.callback.ended = (
            f"Six sets more, those that teach most: the same command with screening.propose=6 "
            f"screening.after={self.callback.own_run}\n"
            f"The sets predicted best and worst, to see whether that holds: screening.propose={BEST_AND_WORST} instead"
        )
        return results


def _check_single(arguments: Sequence[str]) -> None:
    """Raise `UserError` where what a design is made of is swept: every job would have that of the first value."""
    for override in parsed(arguments):
        key = override.get_key_element().lstrip("+~")
        if override.is_sweep_override() and (key in ("tasks", "main_task") or key.startswith("screening.")):
            raise UserError(
                f"{override.input_line}: a screening has a single design, found several values. Right would be one of "
                "them, and a screening for each."
            )


def _check_labels(config: DictConfig, jobs: Sequence[Sequence[str]]) -> None:
    """Raise `UserError` where the data have no labels for a task of one of these jobs: half of all sets would fail."""
    from hydra.core.global_hydra import GlobalHydra

    from mtl.config.check import check_tasks

    loader = GlobalHydra.instance().config_loader()
    for words in dict.fromkeys(tuple(word for word in job if not word.startswith("seed=")) for job in jobs):
        job = loader.load_sweep_config(config, list(words)).copy()
        with read_write(job):
            try:
                check_tasks(job)
            except UserError as error:
                raise UserError(f"screening.candidates: {error}") from None


def _sets(config: DictConfig) -> tuple[Asked, list[tuple[str, ...]], int]:
    """What is asked for, the auxiliaries of every set to run, and how many of the last are new."""
    from mtl.report.afterwards import best_and_worst_after
    from mtl.screening.asked import Asked
    from mtl.screening.design import design
    from mtl.screening.earlier import earlier_of
    from mtl.screening.proposing import propose
    from mtl.screening.settings import BEST_AND_WORST, check_candidates

    asked, main_task = build(config.screening), str(config.main_task)
    if list(config.tasks) != [main_task]:
        raise UserError(
            f"tasks: a screening adds auxiliaries to the main task '{main_task}' alone, found "
            f"{', '.join(map(str, config.tasks))}. Right would be a set of this one task (tasks=anomaly for "
            "general_anomaly)."
        )
    runs = [] if asked.after is None else _runs_of(config, asked.after)
    earlier = None if asked.after is None else earlier_of(runs, asked.after)
    typed = any(str(word).lstrip("+").startswith("screening.candidates=") for word in config.hydra.overrides.task)
    if earlier is not None and typed and set(asked.candidates) != set(earlier.candidates):
        raise UserError(
            f"screening.candidates: found {', '.join(asked.candidates)}, and screening.after={asked.after} has "
            f"{', '.join(earlier.candidates)}. Right would be no screening.candidates: those of the earlier one stay."
        )
    candidates = asked.candidates if earlier is None else earlier.candidates
    if earlier is not None and earlier.main_task != main_task:
        raise UserError(
            f"screening.after={asked.after}: its main task is '{earlier.main_task}', found main_task={main_task}."
        )
    found = repository(config)
    check_candidates(candidates, main_task, found.get_group_options("task") if found else candidates)
    if earlier is None:
        return Asked(main_task, candidates), design(candidates, asked.sets, asked.seed), 0
    if asked.propose == BEST_AND_WORST:
        foretold = best_and_worst_after(runs, earlier, build(config.tracking))
        return Asked(main_task, candidates, foretold), [*earlier.sets, *foretold.values()], len(foretold)
    new = propose(earlier.sets, earlier.gains, candidates, asked.propose, asked.seed)
    return Asked(main_task, candidates), [*earlier.sets, *new], len(new)


def _runs_of(config: DictConfig, what: str) -> list[TrackedRun]:
    """The jobs of a sweep, by the id of its own run or by its folder."""
    from mtl.tracking import journal

    folder = Path(what)
    if folder.is_dir() and journal.journals(folder):
        found = journal.recorded(folder.absolute())
    else:
        try:
            found = build(config.tracking).children(what)
        except UserError as mistake:
            raise UserError(f"screening.after={what}: that is no screening. {mistake}") from None
    return [run for run in journal.in_order(found) if run.tags.get("sweep") != "parent"]


def _word(auxiliaries: Sequence[str]) -> str:
    """The override that makes a set of the main task alone."""
    return f"{MEMBERS}=[{','.join(auxiliaries)}]"


def design_table(main_task: str, candidates: Sequence[str], sets: Sequence[Sequence[str]], n_new: int = 0) -> list[str]:
    """The design in lines of at most 80 signs: sets down, candidates across, by number where names do not fit.

    Parameters
    ----------
    main_task : str
    candidates : sequence of str
    sets : sequence of sequence of str
        Auxiliaries of each.
    n_new : int
        How many of the last were proposed after an earlier screening.
    """
    by_name = len("sets    size") + sum(len(name) + 1 for name in candidates) <= WIDTH
    heads = list(candidates) if by_name else [str(number) for number in range(1, len(candidates) + 1)]
    widths = [max(len(head), 1 if by_name else 2) for head in heads]
    numbered = ", ".join(f"{i}{KEPT}{name}" for i, name in enumerate(candidates, start=1))
    numbers = "" if by_name else f" The auxiliaries: {numbered}."
    more = f", {n_new} of them new: the last" if n_new else ""
    lines = ["", *_wrapped(f"The design: {len(sets)} sets of auxiliaries beside {main_task}{more}.{numbers}")]

    def row(first: str, cells: Sequence[str], last: str) -> str:
        columns = [cell.center(width) for cell, width in zip(cells, widths, strict=True)]
        return f"{first:>4}  {' '.join(columns)}  {last}".rstrip()

    lines.append(row("set", heads, "size"))
    for number, used in enumerate(sets, start=1):
        lines.append(row(str(number), ["x" if name in used else "." for name in candidates], str(len(used))))
    counts = [str(sum(name in used for used in sets)) for name in candidates]
    return [*lines, row("sets", counts, ""), ""]


def _wrapped(text: str) -> list[str]:
    """Lines of a text; what `KEPT` joins stands in one."""
    return [line.replace(KEPT, " ") for line in textwrap.wrap(text, WIDTH, break_on_hyphens=False)]
