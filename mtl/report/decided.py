"""What a sweep that ends when it knows has decided: its runs in, the course of its looks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mtl.ablation.comparison import Comparison
from mtl.ablation.decision import Decision, decide
from mtl.ablation.design import Design, controls_of, design_of, resampling, settled
from mtl.ablation.predictions import ComparedRun
from mtl.ablation.rule import Rule
from mtl.formatting import NOTHING, SPACE, plural, signed, signed_interval
from mtl.plots.course import Course
from mtl.report.compared_runs import compared_runs, place_of
from mtl.report.judge import Judge
from mtl.report.stored import Downloads
from mtl.results import JOB, LOOKS, MARGIN, TrackedRun

DEFAULT_MARGIN = 0.01  # of runs that do not say theirs
CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Decided:
    """What the runs of a sweep decide.

    Attributes
    ----------
    decision : Decision
    places : mapping of str to (str, str)
        Condition and arm by the number of the job.
    """

    decision: Decision
    places: Mapping[str, tuple[str, str]]


def rule_of(runs: Sequence[TrackedRun], margin: float | None = None) -> Rule | None:
    """The rule that a sweep went by, as its last run says it; None for one that was to run all it was given.

    Parameters
    ----------
    runs : sequence of TrackedRun
        In the order of launch.
    margin : float, optional
        Another one than the sweep's.
    """
    last = next((run for run in reversed(runs) if LOOKS in run.tags), None)
    if last is None:
        return None
    first_seeds, most_seeds = map(int, last.tags[LOOKS].split("/"))
    return Rule(margin or float(last.tags.get(MARGIN, DEFAULT_MARGIN)), first_seeds, most_seeds, None)


def decided(
    runs: Sequence[TrackedRun], main_task: str, rule: Rule, tracking: Downloads | None, judge: Judge
) -> Decided:
    """What the runs that there are decide.

    Parameters
    ----------
    runs : sequence of TrackedRun
        Jobs of the sweep, in the order of launch.
    main_task : str
    rule : Rule
    tracking : Downloads, optional
        Asked for predictions that do not lie on this machine.
    judge : Judge
    """
    design = design_of(settled(runs))
    entries, _, _ = compared_runs(design, main_task, tracking, judge)
    places = {run.tags[JOB]: place_of(design, run) for run in design.runs if JOB in run.tags}
    return Decided(decision_of(design, entries, main_task, rule), places)


def decision_of(design: Design, entries: Sequence[ComparedRun], main_task: str, rule: Rule) -> Decision:
    """What compared runs decide.

    Parameters
    ----------
    design : Design
        Runs of it that gave nothing to compare are not asked for again.
    entries : sequence of ComparedRun
    main_task : str
    rule : Rule
    """
    controls = {name for run in design.runs for name in controls_of(run)}
    there = {(entry.condition, entry.arm, entry.seed) for entry in entries if not entry.predicted.fault}
    tried = {(*place_of(design, run), run.params.get("seed", "")) for run in design.runs}
    return decide(entries, main_task, controls, *resampling(design.counted), rule, tried - there)


def with_decision(compared: Comparison, decision: Decision) -> Comparison:
    """The comparison with verdicts and intervals of the last look, which hold although there were several."""
    if not decision.course:
        return compared
    last = {(each.condition, each.name): each for each in decision.course[-1].judged}
    auxiliaries = compared.auxiliaries.copy()
    for i, row in auxiliaries.iterrows():
        found = last.get((row["condition"], row["auxiliary"]))
        if found is not None:
            verdict = f"{found.word}: {found.reason}" if found.reason else found.word
            auxiliaries.loc[i, ["low", "high", "verdict"]] = [found.low, found.high, verdict]
    return replace(compared, auxiliaries=auxiliaries)


def decision_table(decision: Decision) -> pd.DataFrame:
    """What is asked down; effect, interval, verdict and shares of the last look across."""
    judged = decision.course[-1].judged if decision.course else ()
    table = pd.DataFrame(index=pd.Index([each.name for each in judged], name="auxiliary"))
    if len({each.condition for each in judged}) > 1:
        table["condition"] = [each.condition for each in judged]
    table["seeds"] = [str(each.seeds) for each in judged]
    table["effect"] = [signed(each.value) for each in judged]
    table[f"95{SPACE}% interval for all looks"] = [signed_interval(each.low, each.high) for each in judged]
    for k, name in enumerate(("hurts", "does not matter", "helps")):
        table[f"share of resamples: {name}"] = [
            f"{each.shares[k]:.0%}" if np.isfinite(each.shares[k]) else NOTHING for each in judged
        ]
    table["verdict"] = [each.word for each in judged]
    return table


def decision_sentences(decision: Decision, rule: Rule) -> list[str]:
    """Why the sweep ended, what it took, and what is left to say of every open question."""
    lines = [decision.ended or "It is not over: the same command goes on."]
    runs = decision.course[-1].runs if decision.course else 0
    fixed = (
        f"; a fixed design that decides an effect of one margin with probability 0.9 takes {decision.fixed_runs}"
        if decision.fixed_runs
        else ""
    )
    lines.append(f"{plural(runs, 'run')} were used{fixed}; the margin is {rule.margin:g} of AUC.")
    judged = decision.course[-1].judged if decision.course else ()
    lines += [f"{each.name}: {each.word}, {each.reason}." for each in judged if each.reason]
    return [*lines, *decision.notes]


def courses(decision: Decision) -> list[Course]:
    """Every effect from look to look, for the figure."""
    last = decision.course[-1].judged if decision.course else ()
    found = []
    for each in last:
        looks = [
            (look.runs, before)
            for look in decision.course
            for before in look.judged
            if (before.condition, before.name) == (each.condition, each.name)
        ]
        name = ", ".join(filter(None, [each.name, each.condition]))
        of_looks = ([before.value for _, before in looks], [before.low for _, before in looks])
        ends = ([before.high for _, before in looks], [before.word != CANNOT_TELL for _, before in looks])
        found.append(Course(name, each.word, [runs for runs, _ in looks], *of_looks, *ends))
    return found
