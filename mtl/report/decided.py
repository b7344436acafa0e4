"""What a sweep that ends when it knows has decided: its runs in, the course of its looks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import pandas as pd

from mtl.ablation.comparison import Comparison
from mtl.ablation.decision import Decision, decide
from mtl.ablation.design import Design, controls_of, design_of, resampling, settled
from mtl.ablation.judged import CANNOT_TELL
from mtl.ablation.margin import margin_of
from mtl.ablation.predictions import ComparedRun
from mtl.ablation.rule import Rule
from mtl.ablation.tables import SHARES
from mtl.formatting import SPACE, plural, signed, signed_interval
from mtl.plots.course import Course
from mtl.report.compared_runs import compared_runs, place_of
from mtl.report.judge import Judge
from mtl.report.stored import Downloads
from mtl.results import JOB, LOOKS, TrackedRun


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
    return Rule(margin or margin_of(runs), first_seeds, most_seeds, None)


def decided(
    runs: Sequence[TrackedRun],
    main_task: str,
    rule: Rule,
    seeds: Sequence[int],
    tracking: Downloads | None,
    judge: Judge,
) -> Decided:
    """What the runs that there are decide.

    Parameters
    ----------
    runs : sequence of TrackedRun
        Jobs of the sweep, in the order of launch.
    main_task : str
    rule : Rule
    seeds : sequence of int
        In the order in which they are launched.
    tracking : Downloads, optional
        Asked for predictions that do not lie on this machine.
    judge : Judge
    """
    design = design_of(settled(runs))
    entries, _, _ = compared_runs(design, main_task, tracking, judge)
    places = {run.tags[JOB]: place_of(design, run) for run in design.runs if JOB in run.tags}
    return Decided(decision_of(design, entries, main_task, rule, seeds), places)


def decision_of(
    design: Design, entries: Sequence[ComparedRun], main_task: str, rule: Rule, seeds: Sequence[int] = ()
) -> Decision:
    """What compared runs decide.

    Parameters
    ----------
    design : Design
        Runs of it that gave nothing to compare are not asked for again.
    entries : sequence of ComparedRun
    main_task : str
    rule : Rule
    seeds : sequence of int
        In the order in which they are launched; where that is not known, that of the jobs' numbers.
    """
    by_job = sorted(design.runs, key=lambda run: int(run.tags.get(JOB, "0")))
    order = [str(seed) for seed in seeds] or list(dict.fromkeys(run.params.get("seed", "") for run in by_job))
    controls = {name for run in design.runs for name in controls_of(run)}
    there = {(entry.condition, entry.arm, entry.seed) for entry in entries if not entry.predicted.fault}
    tried = {(*place_of(design, run), run.params.get("seed", "")) for run in design.runs}
    return decide(entries, main_task, controls, *resampling(design.counted), rule, tried - there, order)


def with_decision(
    compared: Comparison, decision: Decision, entries: Sequence[ComparedRun], main_task: str
) -> Comparison:
    """The comparison with verdicts and intervals of the last look, which hold although there were several.

    Where sets were compared with the base, a set's verdict is that of the auxiliaries that it adds, if no
    other two sets differ in these.
    """
    if not decision.course:
        return compared
    added = {entry.arm: " + ".join(sorted(entry.tasks - {main_task})) for entry in entries}
    with_base = {standing.condition for standing in decision.standings if standing.base}
    last = {
        (each.condition, added.get(each.name, each.name) if each.condition in with_base else each.name): each
        for each in decision.course[-1].judged
    }
    rows = []
    for row in compared.auxiliaries.to_dict("records"):
        found = last.get((row["condition"], row["auxiliary"]))
        if found is not None and (row["condition"] not in with_base or row["pairs"] == 1):
            row |= {"low": found.low, "high": found.high, "verdict": found.word}  # the reason is said with the looks
            row |= zip(SHARES, found.shares, strict=True)
        rows.append(row)
    return replace(compared, auxiliaries=pd.DataFrame(rows, columns=compared.auxiliaries.columns))


def decision_table(decision: Decision) -> pd.DataFrame:
    """What is asked down; effect, interval and verdict of the last look across."""
    judged = decision.course[-1].judged if decision.course else ()
    table = pd.DataFrame(index=pd.Index([each.name for each in judged], name="auxiliary"))
    if len({each.condition for each in judged}) > 1:
        table["condition"] = [each.condition for each in judged]
    table["seeds"] = [str(each.seeds) for each in judged]
    table["effect"] = [signed(each.value) for each in judged]
    table[f"95{SPACE}% interval for all looks"] = [signed_interval(each.low, each.high) for each in judged]
    table["verdict"] = [each.word for each in judged]
    return table


def decision_sentences(decision: Decision, rule: Rule) -> list[str]:
    """Why the sweep ended, what it took, and what is left to say of every open question."""
    lines = [decision.ended or "It is not over: the same command goes on."]
    runs = decision.course[-1].runs if decision.course else 0
    fixed = (
        f"A design of one fixed number of seeds that decides an effect of one margin with probability 0.9 takes "
        f"{decision.fixed_runs}."
        if decision.fixed_runs
        else f"There is no fixed design to compare with: {decision.fixed_reason}."
    )
    lines.append(f"{plural(runs, 'run')} used; the margin is {rule.margin:g} of AUC. {fixed}")
    judged = decision.course[-1].judged if decision.course else ()
    lines += [f"{each.name}: {each.word}, {each.reason}." for each in judged if each.reason]
    lines.append(
        "These intervals hold for all effects and all looks at once. Intervals and p of the other tables do not count "
        "the looks: where they disagree, these are right."
    )
    return [*lines, *decision.notes]


def as_plain(decision: Decision, rule: Rule) -> dict[str, object]:
    """The decision for machines."""
    looks = [
        {"seeds": look.seeds, "runs": look.runs, "judged": [asdict(each) for each in look.judged]}
        for look in decision.course
    ]
    said = {"ended": decision.ended, "notes": list(decision.notes), "needed_videos": decision.needed_videos}
    fixed = {"fixed_runs": decision.fixed_runs, "fixed_reason": decision.fixed_reason}
    seeds = {"first_seeds": rule.first_seeds, "most_seeds": rule.most_seeds}
    return {"margin": rule.margin, **seeds, **said, **fixed, "looks": looks}


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
