"""What is said below the tables of a sweep's report."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from mtl.ablation.comparison import Comparison
from mtl.formatting import plural, signed, signed_interval
from mtl.report.summary import Summary, has_several

SIGNIFICANT = 0.05


def footnotes(summary: Summary) -> list[str]:
    """How the numbers of the table are to be read."""
    sets, compared = summary.sets, summary.compared
    if not len(compared.seeds):
        return []
    several = bool((sets["seeds"] > 1).any())
    over = "videos and seeds" if several else "videos"
    lines = [f"{plural(compared.n_videos, 'test video')}. AUC by frame{', mean over seeds' if several else ''}; "
             f"each interval holds 95 % over {over} (the same resampled videos for all runs)."]  # fmt: skip
    if sets["difference"].notna().any():
        lines.append(
            f"Differences are to '{compared.base}', paired by seed and by video"
            + (", within equal conditions of all else" if has_several(sets["condition"]) else "")
            + "; p by sign flips over seeds, Holm over all differences of the table."
        )
    return lines


def caveats(summary: Summary) -> list[str]:
    """What makes the numbers of the table worth less, or equal at all: said wherever the table is."""
    sets = summary.sets
    if not len(summary.compared.seeds):
        return ["No run has predictions: there is nothing to compare."]
    lines = [summary.budget] if summary.budget else []
    if sets["difference"].notna().any():
        n, seeds = int(sets["p"].notna().sum()), int(sets["paired_seeds"].max())
        if _least_p(n, seeds) >= SIGNIFICANT:
            enough = math.floor(math.log2(2 * n / SIGNIFICANT)) + 1
            lines.append(
                f"With {plural(seeds, 'seed')} no Holm p of {plural(n, 'difference')} can fall below "
                f"{_least_p(n, seeds):.2g}: {enough} seeds are the fewest that can tell by it."
            )
    notes: dict[str, list[str]] = {}
    for name, reason in sets["reason"].items():
        if reason and "one seed" not in reason:
            notes.setdefault(reason, []).append(str(name))
    return [*lines, *(f"{'; '.join(names)}: {reason}." for reason, names in notes.items())]


def _least_p(n: int, seeds: int) -> float:
    """What no Holm p of n sign-flip tests over so many seeds can fall below."""
    return min(1.0, n * 2 / 2**seeds)


def verdict_sentences(summary: Summary) -> list[str]:
    """Per auxiliary a sentence: what it does, how sure that is, and what would tell."""
    auxiliaries = summary.compared.auxiliaries
    lines = []
    for row in auxiliaries.to_dict("records"):
        name = row["auxiliary"] + (f" ({row['condition']})" if row["condition"] else "")
        word, _, ways = str(row["verdict"]).partition(": ")
        if not np.isfinite(row["effect"]):
            lines.append(f"{name}: {word}, {row['reason'] or 'no number'}.")
            continue
        sure = f"{signed(row['effect'])}, {signed_interval(row['low'], row['high'])}, {plural(row['seeds'], 'seed')}"
        line = f"{name}: {word} ({sure})" + (f"; {ways} tell" if ways and not row["control"] else "")
        if row["control"]:
            line += {
                "helps": ". It is a control, its labels are coins: what helps there may help the others too",
                "hurts": ". It is a control: a head of coins costs the main task something",
            }.get(word, ". It is a control, and as it must be no gain of it can be told from none")
        lines.append(line + (f" ({row['reason']})" if "partner" in row["reason"] else "") + ".")
    n = int(auxiliaries.groupby("condition")["effect"].count().max())
    together = f" The intervals hold for the {n} auxiliaries at once." if n > 1 else ""
    bundled = (
        " Auxiliaries that are always used together come as one."
        if auxiliaries["auxiliary"].str.contains(" + ", regex=False).any()
        else ""
    )
    within = [
        f" Shapley values are of the full factorial over {each}."
        for each in dict.fromkeys(auxiliaries["within"])
        if each
    ]
    seeds = int(auxiliaries["seeds"].max())
    by_interval = (
        " The verdict goes by the interval, not by p, which is of sign flips over seeds: with "
        f"{plural(seeds, 'seed')} no Holm p of {n} can fall below {_least_p(n, seeds):.2g}."
        if n and seeds
        else ""
    )
    return [
        *lines,
        f"The main effect is the mean over pairs of sets that differ in this auxiliary alone.{together}{bundled}"
        + "".join(within)
        + by_interval,
    ]


def predicted_gain_sentences(compared: Comparison) -> list[str]:
    """Whether any measure gain_predictors the gains, said honestly."""
    gain_predictors, points = compared.gain_predictors, compared.points
    what = (
        "A point is an auxiliary in a set: the measure between it and the main task, mean over seeds, beside what the "
        "set gains by it."
    )
    if points["auxiliary"].str.contains(" + ", regex=False).any():
        what += " Auxiliaries that are always used together are one point, at the mean of their measures."
    told = gain_predictors[gain_predictors["low"].notna()]
    most = int(gain_predictors["points"].max())
    if not len(told):
        few = (
            f"With {plural(most, 'point')} per measure one cannot tell whether any of them predicts the gains: even a "
            "perfect order of so few points comes by chance. More task sets would be needed (experiment=all_subsets)."
        )
        return [few, what]
    sure = told[(told["low"] > 0) | (told["high"] < 0)]
    held = sure[sure["p_holm"] < SIGNIFICANT]["measure"]
    line = f"Over up to {most} points, "
    if len(sure):
        which = {0: "none of them holds", len(sure): "all of them hold"}.get(len(held), f"{_listed(held)} holds")
        line += f"the gains go by the order of {_listed(sure['measure'])}; "
        line += f"after Holm over {len(gain_predictors)} measures {which}."
    else:
        line += (
            f"no measure of {len(gain_predictors)} gain_predictors the order of the gains: every interval covers zero."
        )
    return [line, f"{what} Points share runs and are not independent: the intervals are too sure rather than too wide."]


def _listed(names: pd.Series) -> str:
    return ", ".join(str(name).replace("_", " ") for name in names)
