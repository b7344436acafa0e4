"""The parts of a sweep's report, the same in every form, and its headline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtl.ablation import design
from mtl.formatting import plural, signed, signed_interval
from mtl.report.sentences import caveats, footnotes, predicted_gain_sentences, verdict_sentences
from mtl.report.summary import STATUSES, Summary
from mtl.report.word_tables import (
    auxiliaries_table,
    gain_predictors_table,
    groups_table,
    heads_table,
    sets_table,
)

MOST_CONDITIONS = 4  # whose relations are drawn
MOST_ARMS = 3  # that a headline names


@dataclass(frozen=True)
class Section:
    """A part of the report, the same in every form.

    Attributes
    ----------
    title : str
    words : DataFrame or None
        A table of words.
    lines : tuple of str
        Said below it.
    figures : tuple of str
        Names of figures that belong here.
    brief : tuple of str or None
        Those of the lines that the terminal shows; None: all.
    """

    title: str
    words: pd.DataFrame | None = None
    lines: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    brief: tuple[str, ...] | None = None


def headline(summary: Summary) -> str:
    """What the sweep found, in a line or two."""
    said = []
    auxiliaries = summary.compared.auxiliaries
    for condition in dict.fromkeys(auxiliaries["condition"]):
        group = auxiliaries[auxiliaries["condition"] == condition]
        words: dict[str, list[str]] = {}
        for row in group[~group["control"].astype(bool)].to_dict("records"):
            verdict = str(row["verdict"]).split(":")[0]
            number = f" ({signed(row['effect'])})" if np.isfinite(row["effect"]) else ""
            words.setdefault(verdict, []).append(f"{row['auxiliary']}{number}")
        parts = [
            f"{', '.join(words[verb])} {verb if len(words[verb]) == 1 else verb[:-1]}"
            for verb in ("helps", "hurts")
            if verb in words
        ]
        parts += [f"cannot tell for {', '.join(words['cannot tell'])}"] if "cannot tell" in words else []
        parts += [f"the control {row['auxiliary']} helps too" for row in _helping_controls(group)]
        if parts:
            said.append((f"{condition}: " if condition else "") + "; ".join(parts))
    said += _axis_summary(summary)
    main = f"auc/{summary.main_task}"
    counted = {status.lower(): int(summary.sets[status.lower()].sum()) for status in STATUSES}
    parts = [f"{n} {status}" for status, n in counted.items() if n]
    line = f"{plural(len(summary.sets), 'condition')}, {plural(sum(counted.values()), 'run')}"
    line += f": {', '.join(parts)}." if parts else "."
    if summary.sets[main].notna().any():
        best = summary.sets[main].astype(float).idxmax()
        line += f" Highest AUC of {summary.main_task}: {summary.sets[main].max():.3f} ({best})."
    return " ".join([*(f"For {summary.main_task}: {each}." for each in ["; ".join(said)] if each), line])


def _axis_summary(summary: Summary) -> list[str]:
    """What the values of another axis than the task sets do, the largest difference first."""
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
    return [f"to {summary.compared.base}, {', '.join(parts)}{more}"]


def _helping_controls(group: pd.DataFrame) -> list[dict]:
    return [row for row in group.to_dict("records") if row["control"] and row["verdict"] == "helps"]


def sections(summary: Summary) -> list[Section]:
    """The whole report but for its headline."""
    parts = []
    if summary.warnings:
        parts.append(Section("Warnings", lines=summary.warnings))
    parts.append(
        Section(
            f"AUC of {summary.main_task} by {'task set' if summary.axis == 'tasks' else summary.axis}",
            sets_table(summary),
            (*footnotes(summary), *caveats(summary)),
            ("auc_by_set", "differences", "auc_heat_map"),
            brief=tuple(caveats(summary)),
        )
    )
    unfinished = design.failures(summary.runs)
    if unfinished:
        parts.append(Section("Not finished", lines=tuple(unfinished)))
    if len(summary.compared.auxiliaries):
        parts.append(
            Section(
                "What each auxiliary does",
                auxiliaries_table(summary.compared.auxiliaries),
                tuple(verdict_sentences(summary)),
                ("auxiliaries",),
            )
        )
    if len(summary.compared.heads):
        parts.append(Section("The anomaly score a type head gives by itself", heads_table(summary), _HEADS_NOTE))
    if len(summary.groups):
        parts.append(Section("Which tasks to train together", groups_table(summary.groups), _GROUPS_NOTE))
    relations = tuple(f"relations{numbered(i)}" for i in range(min(len(summary.relations), MOST_CONDITIONS)))
    if len(summary.compared.points):
        lines = tuple(predicted_gain_sentences(summary.compared))
        written = gain_predictors_table(summary.compared.gain_predictors)
        parts.append(
            Section(
                "Did gradients and losses predict the gains?",
                written,
                lines,
                ("predicted_and_observed_gain", *relations),
            )
        )
    elif summary.axis == "tasks" and len(summary.sets) > 1 and len(summary.compared.seeds):
        none = "No two sets of the sweep differ in auxiliaries that have a measure: there is nothing to correlate."
        parts.append(
            Section(
                "Did gradients and losses predict the gains?",
                lines=(f"{none} More sets would tell (experiment=all_subsets).",),
                figures=relations,
            )
        )
    elif relations:
        parts.append(Section("Relations", figures=relations))
    return parts


_HEADS_NOTE = (
    "1 − p(Normal) of the head, taken as an answer to the main task; the difference is to the main task's own head "
    "in the same runs. Where that is about zero, the type head alone detects anomalies as well.",
)
_GROUPS_NOTE = (
    "The best groups by mean test AUC over tasks, of all that the measured sets allow; one network each. A task is "
    "taken from the group that names it behind the arrow, and helps only in others.",
    "Each is the best of many, chosen by the numbers it is shown with: expect less on other videos, and take "
    "another network only for more than the intervals above.",
)


def numbered(i: int) -> str:
    """What is put behind the name of the i-th of several files: nothing behind the first."""
    return f"_{i + 1}" if i else ""
