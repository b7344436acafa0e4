"""The tables of a sweep's report as text."""

from __future__ import annotations

import pandas as pd

from mtl.formatting import SPACE, interval, number, p_value, signed, signed_interval
from mtl.report.summary import STATUSES, Summary, has_several

INTERVAL = f"95{SPACE}% interval"


def groups_table(groups: pd.DataFrame) -> pd.DataFrame:
    """Networks down, what they hold and the AUC of every task across."""
    rows = groups.to_dict("records")
    words = pd.DataFrame(index=pd.Index([str(row["at_most"]) for row in rows], name="networks, at most"))
    if has_several(groups["condition"]):
        words["condition"] = groups["condition"].to_numpy()
    words["groups"] = [
        "; ".join(
            f"{' + '.join(group)} → {', '.join(task for task in group if row['taken_from'][task] == i)}"
            for i, group in enumerate(row["groups"])
        )
        for row in rows
    ]
    words["mean AUC"] = [number(row["score"]) for row in rows]
    for task in dict.fromkeys(task for row in rows for task in row["scores"]):
        words[f"AUC {task}"] = [number(row["scores"].get(task, float("nan"))) for row in rows]
    return words


def sets_table(summary: Summary) -> pd.DataFrame:
    """The table as words, without columns that say nothing."""
    sets = summary.sets
    main = f"auc/{summary.main_task}"
    words = pd.DataFrame(index=sets.index)
    words["seeds"] = sets["seeds"].astype(str)
    words[f"AUC {summary.main_task}"] = [number(value) for value in sets[main]]
    if (sets["seeds"] > 1).any():
        words["sd"] = [number(value) for value in sets["sd"]]
    words[INTERVAL] = [interval(low, high) for low, high in zip(sets["low"], sets["high"], strict=True)]
    if sets["difference"].notna().any():
        words[f"difference to {summary.compared.base}"] = _bases_marked(sets, summary.compared.base)
        ends = zip(sets["difference_low"], sets["difference_high"], strict=True)
        words["difference interval"] = [signed_interval(low, high) for low, high in ends]
        words["p"] = [p_value(value) for value in sets["p"]]
        words["Holm p"] = [p_value(value) for value in sets["p_holm"]]
    for name in sets.columns:
        if str(name).startswith("auc/") and name != main:
            words[f"AUC {str(name).removeprefix('auc/')}"] = [number(value) for value in sets[name]]
    words["status"] = [
        ", ".join(
            [f"{row[status.lower()]} {status.lower()}" for status in STATUSES if row[status.lower()]]
            + ([f"{row['unread']} without predictions"] if row["unread"] else [])
        )
        for row in sets.to_dict("records")
    ]
    return words


def _bases_marked(sets: pd.DataFrame, base: str) -> list[str]:
    """Differences; of the base itself the word."""
    return [
        "base" if row["arm"] == base else signed(row["difference"])
        for row in sets[["arm", "difference"]].to_dict("records")
    ]


def auxiliaries_table(auxiliaries: pd.DataFrame) -> pd.DataFrame:
    """Auxiliaries down; effects with their intervals and verdicts across."""
    words = pd.DataFrame(index=pd.Index(auxiliary_names(auxiliaries), name="auxiliary"))
    if has_several(auxiliaries["condition"]):
        words["condition"] = auxiliaries["condition"].to_numpy()
    words["main effect"] = [signed(value) for value in auxiliaries["effect"]]
    words["effect interval"] = [
        signed_interval(low, high) for low, high in zip(auxiliaries["low"], auxiliaries["high"], strict=True)
    ]
    words["pairs of sets"] = auxiliaries["pairs"].astype(str).to_numpy()
    words["Holm p"] = [p_value(value) for value in auxiliaries["p_holm"]]
    if auxiliaries["shapley"].notna().any():
        words["Shapley value"] = [signed(value) for value in auxiliaries["shapley"]]
        ends = zip(auxiliaries["shapley_low"], auxiliaries["shapley_high"], strict=True)
        words["Shapley interval"] = [signed_interval(low, high) for low, high in ends]
    words["verdict"] = [str(verdict).split(":")[0] for verdict in auxiliaries["verdict"]]
    return words


def auxiliary_names(auxiliaries: pd.DataFrame) -> list[str]:
    """Names that say which are controls."""
    return [f"{row['auxiliary']}{' (control)' if row['control'] else ''}" for row in auxiliaries.to_dict("records")]


def heads_table(summary: Summary) -> pd.DataFrame:
    """Sets with a type head down; what 1 − p(Normal) of it is worth across."""
    heads = summary.compared.heads
    words = pd.DataFrame(index=pd.Index(heads["row"], name="set"))
    words["head"] = heads["head"].to_numpy()
    words["seeds"] = heads["seeds"].astype(str).to_numpy()
    words[f"AUC of 1{SPACE}−{SPACE}p(Normal)"] = [number(value) for value in heads["auc"]]
    words[INTERVAL] = [interval(low, high) for low, high in zip(heads["low"], heads["high"], strict=True)]
    words[f"difference to head {summary.main_task}"] = [signed(value) for value in heads["difference"]]
    ends = zip(heads["difference_low"], heads["difference_high"], strict=True)
    words["difference interval"] = [signed_interval(low, high) for low, high in ends]
    return words


def gain_predictors_table(gain_predictors: pd.DataFrame) -> pd.DataFrame:
    """Measures down; their rank correlation with the gains across."""
    words = pd.DataFrame(index=pd.Index(gain_predictors["measure"].str.replace("_", " "), name="measure"))
    words["points"] = gain_predictors["points"].astype(str).to_numpy()
    words["rank correlation"] = [signed(value, 2) for value in gain_predictors["correlation"]]
    words[INTERVAL] = [
        signed_interval(low, high, 2) for low, high in zip(gain_predictors["low"], gain_predictors["high"], strict=True)
    ]
    words["p"] = [p_value(value) for value in gain_predictors["p"]]
    words["Holm p"] = [p_value(value) for value in gain_predictors["p_holm"]]
    return words
