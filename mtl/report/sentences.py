"""The sentences below the tables of a sweep's report."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtl.ablation.comparison import Comparison
from mtl.formatting import MINUS, plural, signed, signed_interval
from mtl.report.summary import Summary, has_several
from mtl.statistics.correlation import FEWEST_POINTS
from mtl.statistics.significance import SIGNIFICANT, least_holm_p


def footnotes(summary: Summary) -> list[str]:
    """How the numbers of the table are to be read."""
    sets, compared = summary.sets, summary.compared
    if not len(compared.seeds):
        return []
    several = bool((sets["seeds"] > 1).any())
    over = "videos and seeds" if several else "videos"
    # percentiles over videos alone need no other scale: every resample is an AUC
    scale = (
        ", computed on the scale of Fisher's z (of an AUC: its logit), which keeps them in bounds" if several else ""
    )
    auc = "Frame-level AUC by annotated events" if summary.judge.by_events else "Frame-level AUC"
    lines = [f"{plural(compared.n_videos, 'test video')}. {auc}{', mean over seeds' if several else ''}; "
             f"95 % intervals over {over} (all runs use the same resampled videos){scale}."]  # fmt: skip
    if sets["difference"].notna().any():
        lines.append(
            f"Differences are relative to '{compared.base}', paired by seed and by video"
            + (", between runs of the same condition" if has_several(sets["condition"]) else "")
            + "; p values are from sign flips over seeds, with Holm's correction over all differences of the table."
        )
    return lines


def caveats(summary: Summary) -> list[str]:
    """What limits the numbers of the table: shown wherever the table is."""
    sets = summary.sets
    if not len(summary.compared.seeds):
        return ["No run has predictions, so there is nothing to compare."]
    lines = [line for line in (summary.judged, summary.budget) if line]
    notes: dict[str, list[str]] = {}
    for name, reason in sets["reason"].items():
        said = "; ".join(part for part in str(reason).split("; ") if part and not part.startswith("one seed"))
        if said:
            notes.setdefault(said, []).append(str(name))
    return [*lines, *(f"{'; '.join(names)}: {reason}." for reason, names in notes.items())]


def verdict_sentences(summary: Summary) -> list[str]:
    """Per auxiliary a sentence: its effect, how certain it is, and what would be needed to decide."""
    auxiliaries = summary.compared.auxiliaries
    lines = []
    for row in auxiliaries.to_dict("records"):
        name = row["auxiliary"] + (f" ({row['condition']})" if row["condition"] else "")
        word, _, ways = str(row["verdict"]).partition(": ")
        if not np.isfinite(row["effect"]):
            lines.append(f"{name}: {word}, {row['reason'] or 'no value'}.")
            continue
        sure = f"{signed(row['effect'])}, {signed_interval(row['low'], row['high'])}, {plural(row['seeds'], 'seed')}"
        line = f"{name}: {word} ({sure})" + (f"; {ways}" if ways and not row["control"] else "")
        if row["control"]:
            line += ". It is a control, its labels are random: " + {
                "helps": "see MTL002",
                "hurts": "see MTL002",
                "does not matter": "as expected, it makes no difference that matters",
            }.get(word, "as expected, it shows no clear effect")
        lines.append(line + (f" ({row['reason']})" if "missing in some" in row["reason"] else "") + ".")
    n = int(auxiliaries.groupby("condition")["effect"].count().max())
    together = f" The intervals hold for all {n} auxiliaries at once." if n > 1 else ""
    bundled = (
        " Auxiliaries that are always used together are reported together."
        if auxiliaries["auxiliary"].str.contains(" + ", regex=False).any()
        else ""
    )
    within = [
        f" Shapley values are computed over the full factorial of {each}."
        for each in dict.fromkeys(auxiliaries["within"])
        if each
    ]
    seeds = int(auxiliaries["seeds"].max())
    by_interval = (
        " The verdict follows from the interval, not from p, which is from sign flips over seeds: with "
        f"{plural(seeds, 'seed')}, no Holm p of {n} can be below {least_holm_p(n, seeds):.2g}."
        if n and seeds
        else ""
    )
    return [
        *lines,
        "The main effect is the mean difference over all pairs of task sets that differ only in this auxiliary."
        f"{together}{bundled}" + "".join(within) + by_interval,
        *(_margin_sentences(summary.compared.margin) if n else []),
    ]


def _margin_sentences(margin: float) -> list[str]:
    """What the margin is, and what the shares of resamples are not."""
    return [
        f"An auxiliary does not matter where its whole interval lies between {MINUS}{margin:g} and +{margin:g} (the "
        "margin: decide.margin of the sweep, or --margin of python -m mtl.report), whether zero lies in it or not.",
        "A share of resamples (of videos and seeds) counts those in which the effect is the margin or more (helps), "
        "its negative or less (hurts), or between the two (does not matter). It is not a posterior probability.",
    ]


def predicted_gain_sentences(compared: Comparison) -> list[str]:
    """Whether any measure predicts the gains, without more certainty than the points give."""
    gain_predictors, points = compared.gain_predictors, compared.points
    what = (
        "Each point is one auxiliary in one task set: its measure with the main task, mean over seeds, and the gain of "
        "the main task when it is added to the set."
    )
    if points["auxiliary"].str.contains(" + ", regex=False).any():
        what += " Auxiliaries that are always used together are one point, with the mean of their measures."
    correlated = gain_predictors[gain_predictors["low"].notna()]
    most = int(gain_predictors["points"].max())
    if not len(correlated):
        if most >= FEWEST_POINTS:
            return ["No measure can be correlated with the gains: all points have the same gain or value.", what]
        few = (
            f"{plural(most, 'point')} per measure cannot show whether any measure predicts the gains: even a perfect "
            "order of so few points can be due to chance. More task sets are needed (experiment=all_subsets)."
        )
        return [few, what]
    sure = correlated[(correlated["low"] > 0) | (correlated["high"] < 0)]
    held = sure[sure["p_holm"] < SIGNIFICANT]["measure"]
    tested = plural(len(gain_predictors), "measure")
    line = f"With up to {most} points, "
    if len(sure):
        which = {0: "none remains", len(sure): "all remain"}.get(len(held), f"only {_listed(held)} remains")
        line += f"the order of the gains is predicted by {_listed(sure['measure'])}; "
        line += f"after Holm's correction over {tested}, {which} significant."
    else:
        line += f"no measure predicts the order of the gains ({tested} tested): every interval includes zero."
    return [line, f"{what} Points share runs, so they are not independent and the intervals are rather too narrow."]


def _listed(names: pd.Series) -> str:
    return ", ".join(str(name).replace("_", " ") for name in names)
