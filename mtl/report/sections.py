"""The parts of a sweep's report, the same in every form, and its headline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtl.ablation import design
from mtl.ablation.comparison import Comparison
from mtl.formatting import interval, number, plural, signed, signed_interval
from mtl.numbers import sentences, sweep_numbers
from mtl.report.afterwards import afterwards_sentences, afterwards_table
from mtl.report.decided import decision_sentences, decision_table
from mtl.report.screened import (
    headline_of,
    predicted_sentences,
    predicted_table,
    relevance_sentences,
    relevance_table,
)
from mtl.report.sentences import caveats, footnotes, predicted_gain_sentences, verdict_sentences
from mtl.report.study import Study
from mtl.report.study_tables import (
    best_sentences,
    course_sentences,
    importance_sentences,
    importance_table,
    study_headline,
    trials_table,
)
from mtl.report.summary import STATUSES, Summary
from mtl.report.tables import (
    auxiliaries_table,
    checks_table,
    gain_predictors_table,
    groups_table,
    heads_table,
    issue_lines,
    sets_table,
)
from mtl.screening.of_runs import Screening

MOST_CONDITIONS = 4  # whose relations and differences are drawn
MOST_ARMS = 3  # that a headline names
OF_SEVERAL = {"helps": "help", "hurts": "hurt", "does not matter": "do not matter"}


@dataclass(frozen=True)
class Section:
    """A part of the report, the same in every form.

    Attributes
    ----------
    title : str
    table : DataFrame or None
        A table of formatted numbers and text.
    lines : tuple of str
        Sentences below it.
    figures : tuple of str
        Names of figures that belong here.
    brief : tuple of str or None
        Those of the lines that the terminal shows; None: all.
    on_terminal : bool
        Whether the terminal shows the table.
    """

    title: str
    table: pd.DataFrame | None = None
    lines: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    brief: tuple[str, ...] | None = None
    on_terminal: bool = True


def headline(summary: Summary) -> str:
    """What the sweep found, in a line or two."""
    if summary.study is not None:
        compared = [f"{each}." for each in _axis_summary(summary)] if summary.study.compared else []
        return " ".join([study_headline(summary.study, _on_test_frames(summary)), *compared])
    findings: list[str] = []
    auxiliaries = summary.compared.auxiliaries
    for condition in dict.fromkeys(auxiliaries["condition"]):
        group = auxiliaries[auxiliaries["condition"] == condition]
        by_verdict: dict[str, list[str]] = {}
        for row in group[~group["control"].astype(bool)].to_dict("records"):
            verdict = str(row["verdict"]).split(":")[0]
            number = f" ({signed(row['effect'])})" if np.isfinite(row["effect"]) else ""
            by_verdict.setdefault(verdict, []).append(f"{row['auxiliary']}{number}")
        parts = [
            f"{', '.join(by_verdict[word])} {word if len(by_verdict[word]) == 1 else of_several}"
            for word, of_several in OF_SEVERAL.items()
            if word in by_verdict
        ]
        parts += [f"cannot tell for {', '.join(by_verdict['cannot tell'])}"] if "cannot tell" in by_verdict else []
        parts += [f"the control {row['auxiliary']} helps too" for row in _helping_controls(group)]
        if parts:
            findings.append((f"{condition}: " if condition else "") + "; ".join(parts))
    findings += [headline_of(each) for each in summary.screenings]
    findings += _axis_summary(summary)
    main = summary.main
    counted = {status.lower(): int(summary.sets[status.lower()].sum()) for status in STATUSES}
    parts = [f"{n} {status}" for status, n in counted.items() if n]
    line = f"{plural(len(summary.sets), 'condition')}, {plural(sum(counted.values()), 'run')}"
    line += f": {', '.join(parts)}." if parts else "."
    if summary.sets[main].notna().any():
        best = summary.sets[main].astype(float).idxmax()
        line += f" Highest {summary.measure}: {summary.sets[main].max():.3f} ({best})."
    return " ".join([*(f"For {summary.main_task}: {each}." for each in ["; ".join(findings)] if each), line])


def _on_test_frames(summary: Summary) -> str:
    """What the best trial of a search is worth on test frames; empty where it has no number."""
    if not len(summary.sets) or not np.isfinite(summary.sets[summary.main].iloc[-1]):
        return ""
    row = summary.sets.iloc[-1]  # where it was compared with others, it was run behind them
    between = f" ({interval(row['low'], row['high'])})" if np.isfinite(row["low"]) else ""
    return f"on test frames {summary.measure} {number(row[summary.main])}{between}"


def _axis_summary(summary: Summary) -> list[str]:
    """Effects of an axis other than the task sets, the largest difference first."""
    sets = summary.sets[summary.sets["difference"].notna()]
    if summary.axis == "tasks" or not len(sets):
        return []
    rows = sets.assign(size=sets["difference"].abs()).sort_values("size", ascending=False, kind="stable")
    parts = [
        f"{row['arm']} {signed(row['difference'])} ({signed_interval(row['difference_low'], row['difference_high'])})"
        + (f" with {row['condition']}" if row["condition"] else "")
        for row in rows[:MOST_ARMS].to_dict("records")
    ]
    more = f", and {len(rows) - MOST_ARMS} smaller differences" if len(rows) > MOST_ARMS else ""
    auc = "AUC by annotated events" if summary.judge.by_events else "AUC"
    return [f"{auc} compared with {summary.compared.base}: {', '.join(parts)}{more}"]


def _helping_controls(group: pd.DataFrame) -> list[dict]:
    return [row for row in group.to_dict("records") if row["control"] and row["verdict"] == "helps"]


def sections(summary: Summary) -> list[Section]:
    """The whole report but for its headline."""
    by = "task set" if summary.axis == "tasks" else summary.axis
    title = f"{summary.measure}, by {by}" if summary.judge.by_events else f"{summary.measure} by {by}"
    parts = []
    limits = [each for each in summary.findings if each.severity in LIMITS]
    if limits:
        parts.append(Section(CHECKS, checks_table(limits), (), (), tuple(issue_lines(limits)), on_terminal=False))
    if summary.study is not None:
        parts += _of_search(summary.study)
        whose = "of the best trial beside other settings" if summary.study.compared else "of the best trial alone"
        title = f"Test frames, {whose}: {summary.measure}"
    for i, screening in enumerate(summary.screenings):
        parts += _of_screening(screening, i)
    parts.append(
        Section(
            title,
            sets_table(summary),
            (*footnotes(summary), *caveats(summary), *_not_drawn(summary)),
            ("auc_by_set", *_estimations(summary), "differences", "auc_heat_map"),
            brief=tuple(caveats(summary)),
        )
    )
    if summary.over_time:
        parts.append(Section("Scores over time", lines=_OVER_TIME, figures=("scores_over_time",), brief=()))
    unfinished = design.failures(summary.runs)
    if unfinished:
        parts.append(Section("Runs that did not finish", lines=tuple(unfinished)))
    if len(summary.compared.auxiliaries):
        parts.append(
            Section(
                "Effect of each auxiliary",
                auxiliaries_table(summary.compared.auxiliaries),
                tuple(verdict_sentences(summary)),
                ("auxiliaries",),
            )
        )
    if summary.decision is not None and summary.rule is not None:
        lines = tuple(decision_sentences(summary.decision, summary.rule))
        parts.append(Section("Asked until it was decided", decision_table(summary.decision), lines, ("course",)))
    if len(summary.compared.heads):
        parts.append(Section("Anomaly score from a type head alone", heads_table(summary), _HEADS_NOTE))
    if len(summary.groups):
        parts.append(Section("Which tasks to train together", groups_table(summary.groups), _GROUPS_NOTE))
    screened = any(each.relevance is not None for each in summary.screenings)  # and says itself what foretells
    by_sets = summary.study is None and summary.axis == "tasks" and not screened
    relations = tuple(f"relations{numbered(i)}" for i in range(min(len(summary.relations), MOST_CONDITIONS)))
    if len(summary.compared.points):
        parts.append(
            Section(
                _PREDICTED_GAINS,
                gain_predictors_table(summary.compared.gain_predictors),
                tuple(predicted_gain_sentences(summary.compared)),
                ("predicted_and_observed_gain", *relations),
            )
        )
    elif by_sets and len(summary.sets) > 1 and len(summary.compared.seeds):
        none = "No two task sets differ only in auxiliaries that have a measure, so there is nothing to correlate."
        parts.append(
            Section(
                _PREDICTED_GAINS,
                lines=(f"{none} More task sets are needed (experiment=all_subsets).",),
                figures=relations,
            )
        )
    elif relations:
        parts.append(Section("Relations between tasks", figures=relations))
    rest = [each for each in summary.findings if each.severity not in LIMITS]
    if rest:
        parts.append(Section("Checks that passed or do not apply", checks_table(rest), brief=(), on_terminal=False))
    return [*parts, Section("What the numbers are", lines=tuple(_definitions(summary)), brief=())]


def _of_search(study: Study) -> list[Section]:
    """The best trial, the course of the objective, and what the parameters matter."""
    course = f"{study.objective} by trial"
    shares = importance_table(study) if study.importance else None
    return [
        Section("Best trial", lines=tuple(best_sentences(study))),
        Section(course, trials_table(study), tuple(course_sentences(study)), ("objective_by_trial",)),
        Section("Importance of what is searched", shares, tuple(importance_sentences(study)), ("importance",)),
    ]


def _of_screening(found: Screening, i: int) -> list[Section]:
    """What each auxiliary does, and the sets that nobody trained."""
    where = f" ({found.condition})" if found.condition else ""
    if found.relevance is None:
        return [
            Section(f"Relevance of each auxiliary{where}", lines=(f"There is none: {found.fault}.", *found.warnings))
        ]
    relevant, predicted = tuple(relevance_sentences(found)), tuple(predicted_sentences(found))
    names = [f"{name}{numbered(i)}" for name in ("relevance", "left_out_runs", "predicted_sets")]
    later = f"Predicted best and worst, trained afterwards{where}"
    lines = tuple(afterwards_sentences(found)) if found.afterwards else ()
    return [
        Section(f"Relevance of each auxiliary{where}", relevance_table(found), relevant, (names[0],)),
        Section(f"Predicted sets{where}", predicted_table(found), predicted, (names[2], names[1])),
        *([Section(later, afterwards_table(found), lines)] if found.afterwards else []),
    ]


def compared_conditions(compared: Comparison) -> list[str]:
    """Conditions in which a set could be compared with the base, in order."""
    return list(dict.fromkeys(compared.sets.loc[compared.sets["difference"].notna(), "condition"]))


def _estimations(summary: Summary) -> list[str]:
    """Names of the estimation plots."""
    return [f"estimation{numbered(i)}" for i in range(min(len(compared_conditions(summary.compared)), MOST_CONDITIONS))]


def _not_drawn(summary: Summary) -> list[str]:
    """What estimation plots there are not."""
    conditions = compared_conditions(summary.compared)
    if len(conditions) <= MOST_CONDITIONS:
        return []
    return [
        f"Estimation plots (estimation.png) are drawn for the first {MOST_CONDITIONS} of {len(conditions)} conditions; "
        f"not for {'; '.join(conditions[MOST_CONDITIONS:])}."
    ]


def _definitions(summary: Summary) -> list[str]:
    """What each number of the report is, and when it is missing."""
    compared = summary.compared
    tables = (compared.sets, compared.auxiliaries, compared.gain_predictors)
    return sentences(sweep_numbers([str(name) for table in tables for name in table if table[name].notna().any()]))


CHECKS, LIMITS = "Checks", ("issue", "tip")
_PREDICTED_GAINS = "Did gradients and losses predict the gains?"
_OVER_TIME = (
    "Of the base and of the best other row the first run, in test videos chosen by rule: the first by name of each of "
    "the first four anomalous classes with an event, and the first two normal ones. Annotated events are shaded.",
)
_HEADS_NOTE = (
    "1 − p(Normal) of the head is used as the score of the main task; the difference is relative to the main task's "
    "own head in the same runs. Where it is about zero, the type head alone detects anomalies equally well.",
)
_GROUPS_NOTE = (
    "The groups with the highest mean test AUC over tasks, among all that the measured sets allow; each group is one "
    "network. The prediction of a task comes from the group that lists it after the arrow; in other groups it is only "
    "an auxiliary.",
    "Each row is the best of many, chosen by the numbers that are shown: expect lower AUCs on other videos, and add a "
    "network only if it gains more than the intervals above are wide.",
)


def numbered(i: int) -> str:
    """What is put behind the name of the i-th of several files: nothing behind the first."""
    return f"_{i + 1}" if i else ""
