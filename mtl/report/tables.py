"""The tables of a sweep's report as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd

from mtl.ablation.design import tasks_of
from mtl.ablation.tables import SHARES
from mtl.checks.base import PAGE, SEVERITIES, Finding
from mtl.formatting import SPACE, interval, number, p_value, percentage, signed, signed_interval
from mtl.report.summary import STATUSES, Summary, has_several
from mtl.results import TrackedRun

INTERVAL = f"95{SPACE}% interval"
SCORES = ("auc", "average_precision", "balanced_accuracy", "f1")


def intervals(table: pd.DataFrame, text: Callable[[float, float], str], prefix: str = "") -> list[str]:
    """The columns `low` and `high`, named with the prefix, as text."""
    return [text(low, high) for low, high in zip(table[f"{prefix}low"], table[f"{prefix}high"], strict=True)]


def groups_table(groups: pd.DataFrame) -> pd.DataFrame:
    """Networks down, what they hold and the AUC of every task across."""
    rows = groups.to_dict("records")
    table = pd.DataFrame(index=pd.Index([str(row["at_most"]) for row in rows], name="networks, at most"))
    if has_several(groups["condition"]):
        table["condition"] = groups["condition"].to_numpy()
    table["groups"] = [
        "; ".join(
            f"{' + '.join(group)} → {', '.join(task for task in group if row['taken_from'][task] == i)}"
            for i, group in enumerate(row["groups"])
        )
        for row in rows
    ]
    table["mean AUC"] = [number(row["score"]) for row in rows]
    for task in dict.fromkeys(task for row in rows for task in row["scores"]):
        table[f"AUC {task}"] = [number(row["scores"].get(task, float("nan"))) for row in rows]
    return table


def sets_table(summary: Summary) -> pd.DataFrame:
    """Sets down; AUCs, differences and statuses across, without columns that would be empty."""
    sets = summary.sets
    main, others = summary.main, f"{summary.judge.metric}/"
    auc = "event AUC" if summary.judge.by_events else "AUC"
    table = pd.DataFrame(index=sets.index)
    table["seeds"] = sets["seeds"].astype(str)
    table[f"{auc} {summary.main_task}"] = [number(value) for value in sets[main]]
    if (sets["seeds"] > 1).any():
        table["sd"] = [number(value) for value in sets["sd"]]
    table[INTERVAL] = intervals(sets, interval)
    if sets["difference"].notna().any():
        table[f"difference to {summary.compared.base}"] = _bases_marked(sets, summary.compared.base)
        table["difference interval"] = intervals(sets, signed_interval, "difference_")
        table["p"] = [p_value(value) for value in sets["p"]]
        table["Holm p"] = [p_value(value) for value in sets["p_holm"]]
    for name in sets.columns:
        if str(name).startswith(others) and name != main:
            table[f"{auc} {str(name).removeprefix(others)}"] = [number(value) for value in sets[name]]
    table["status"] = [
        ", ".join(
            [f"{row[status.lower()]} {status.lower()}" for status in STATUSES if row[status.lower()]]
            + ([f"{row['diverged']} diverged"] if row["diverged"] else [])
            + ([f"{row['unread']} without predictions"] if row["unread"] else [])
        )
        for row in sets.to_dict("records")
    ]
    return table


def _bases_marked(sets: pd.DataFrame, base: str) -> list[str]:
    """Differences; for the base itself `base`."""
    return [
        "base" if row["arm"] == base else signed(row["difference"])
        for row in sets[["arm", "difference"]].to_dict("records")
    ]


def job_table(run: TrackedRun) -> pd.DataFrame:
    """Tasks of one run down, its test scores across, from the metrics it tracked; no row for a run without any."""
    found = run.metrics
    tasks = sorted(task for task in tasks_of(run) if any(f"{name}/{task}" in found for name in SCORES))
    nan = float("nan")
    table = pd.DataFrame(index=pd.Index(tasks, name="task"))
    table["AUC"] = [number(found.get(f"auc/{task}", nan)) for task in tasks]
    table[INTERVAL] = [
        interval(found.get(f"auc_low/{task}", nan), found.get(f"auc_high/{task}", nan)) for task in tasks
    ]
    if any(f"auc_event/{task}" in found for task in tasks):
        table["AUC by events"] = [number(found.get(f"auc_event/{task}", nan)) for task in tasks]
    for name in SCORES[1:]:
        label = name.replace("_", " ").replace("f1", "F1")
        table[label] = [number(found.get(f"{name}/{task}", nan)) for task in tasks]
    return table


def auxiliaries_table(auxiliaries: pd.DataFrame) -> pd.DataFrame:
    """Auxiliaries down; effects with their intervals, what resamples come to, and verdicts across."""
    table = pd.DataFrame(index=pd.Index(auxiliary_names(auxiliaries), name="auxiliary"))
    if has_several(auxiliaries["condition"]):
        table["condition"] = auxiliaries["condition"].to_numpy()
    table["main effect"] = [signed(value) for value in auxiliaries["effect"]]
    table["effect interval"] = intervals(auxiliaries, signed_interval)
    table["pairs of sets"] = auxiliaries["pairs"].astype(str).to_numpy()
    table["Holm p"] = [p_value(value) for value in auxiliaries["p_holm"]]
    if auxiliaries["shapley"].notna().any():
        table["Shapley value"] = [signed(value) for value in auxiliaries["shapley"]]
        table["Shapley interval"] = intervals(auxiliaries, signed_interval, "shapley_")
    for name, verdict in zip(SHARES, ("hurts", "does not matter", "helps"), strict=True):
        table[f"share of resamples: {verdict}"] = [percentage(share) for share in auxiliaries[name]]
    table["verdict"] = [str(verdict).split(":")[0] for verdict in auxiliaries["verdict"]]
    return table


def auxiliary_names(auxiliaries: pd.DataFrame) -> list[str]:
    """Names that say which are controls."""
    return [f"{row['auxiliary']}{' (control)' if row['control'] else ''}" for row in auxiliaries.to_dict("records")]


def heads_table(summary: Summary) -> pd.DataFrame:
    """Sets with a type head down; the AUC of its 1 − p(Normal) across."""
    heads = summary.compared.heads
    table = pd.DataFrame(index=pd.Index(heads["row"], name="set"))
    table["head"] = heads["head"].to_numpy()
    table["seeds"] = heads["seeds"].astype(str).to_numpy()
    table[f"AUC of 1{SPACE}−{SPACE}p(Normal)"] = [number(value) for value in heads["auc"]]
    table[INTERVAL] = intervals(heads, interval)
    table[f"difference to head {summary.main_task}"] = [signed(value) for value in heads["difference"]]
    table["difference interval"] = intervals(heads, signed_interval, "difference_")
    return table


def gain_predictors_table(gain_predictors: pd.DataFrame) -> pd.DataFrame:
    """Measures down; their rank correlation with the gains across."""
    table = pd.DataFrame(index=pd.Index(gain_predictors["measure"].str.replace("_", " "), name="measure"))
    table["points"] = gain_predictors["points"].astype(str).to_numpy()
    table["rank correlation"] = [signed(value, 2) for value in gain_predictors["correlation"]]
    table[INTERVAL] = intervals(gain_predictors, partial(signed_interval, digits=2))
    table["p"] = [p_value(value) for value in gain_predictors["p"]]
    table["Holm p"] = [p_value(value) for value in gain_predictors["p_holm"]]
    return table


def checks_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Checks down, the graver ones first; what each found across."""
    rows = sorted(findings, key=lambda each: (SEVERITIES.index(each.severity), each.code))
    table = pd.DataFrame(index=pd.Index([each.code for each in rows], name="code"))
    table["severity"] = [each.severity for each in rows]
    table["check"] = [each.title for each in rows]
    table["found"] = [" ".join(each.lines) for each in rows]
    table["explained in"] = [each.anchor for each in rows]
    return table


def issue_lines(findings: Sequence[Finding]) -> list[str]:
    """A line for each thing that an issue found, with its code, and where the codes are explained."""
    lines = [f"{each.code} {line}" for each in findings if each.severity == "issue" for line in each.lines]
    return [*lines, f"{PAGE} explains the codes and says what to do."] if lines else []
