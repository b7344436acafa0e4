"""Rows of the comparison's tables: sets, auxiliaries, type heads, predicted gains."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mtl.ablation.effects import Effect, at_bound, effect
from mtl.ablation.factorial import bundles, main_effects, shapley_values
from mtl.ablation.judged import shares_of
from mtl.ablation.predictions import ComparedRun
from mtl.ablation.samples import SampledGroup
from mtl.ablation.verdicts import verdict
from mtl.statistics import bounded
from mtl.statistics.bootstrap import mean_of_defined
from mtl.statistics.correlation import rank_correlation
from mtl.statistics.significance import holm

SETS = ("row", "arm", "condition", "base", "seeds", "auc", "sd", "low", "high", "reason")
DIFFERENCE = ("difference", "difference_sd", "difference_low", "difference_high", "paired_seeds", "p", "p_holm")
SEEDS = ("row", "seed", "auc")
AUXILIARIES = ("condition", "auxiliary", "control", "pairs", "seeds", "effect", "low", "high", "p", "p_holm")
SHARES = ("share_below", "share_within", "share_above")  # of resamples; no posterior probabilities
SHAPLEY = ("shapley", "shapley_low", "shapley_high", "within", "verdict", "reason")
HEADS = ("row", "condition", "head", "seeds", "auc", "sd", "low", "high")
OVER_HEAD = ("difference", "difference_low", "difference_high", "p", "reason")
GAIN_POINTS = ("condition", "arm", "auxiliary", "control", "measure", "value", "gain", "low", "high")
GAIN_PREDICTORS = ("measure", "points", "correlation", "low", "high", "p", "p_holm", "reason")


def _set_rows(group: SampledGroup, base: str) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """One row per arm of the condition, and by row the resamples of its difference to the base."""
    rows = []
    resampled: dict[str, np.ndarray] = {}
    own_values, own_draws = group.own
    reference = group.arms.index(base) if base in group.arms else None
    for a, arm in enumerate(group.arms):
        there = np.isfinite(own_values[a])
        auc = effect(own_values[a][there], own_draws[a][there], group.sample.seed, bounded.AUC)
        row: dict[str, Any] = {"row": group.first[arm].row, "arm": arm, "condition": group.condition, "base": base}
        row |= _score(auc)
        fault = next((e.predicted.fault for e in group.entries if e.arm == arm and e.predicted.fault), "")
        row |= {"reason": fault or (f"AUC of {edge}" if (edge := at_bound(auc.value, bounded.AUC)) else "")}
        if reference is None:
            rows.append(row | {"reason": f"'{base}' has no finished run to compare with"})
        elif a == reference:
            rows.append(row)
        else:
            weights = np.zeros(len(group.arms))
            weights[a], weights[reference] = 1, -1
            found = group.effect(weights)
            rows.append(row | _difference(found, row["reason"]))
            if found.n_seeds:
                resampled[row["row"]] = found.draws.astype(np.float32)  # they are only drawn
    return rows, resampled


def _score(auc: Effect) -> dict[str, Any]:
    """Mean AUC with its interval."""
    return {"seeds": auc.n_seeds, "auc": auc.value, "sd": auc.seed_sd, "low": auc.low, "high": auc.high}


def _difference(found: Effect, reason: str) -> dict[str, Any]:
    """A difference of AUCs, its reason after that of the row; tables keep the columns that they have."""
    return {
        "difference": found.value,
        "difference_sd": found.seed_sd,
        "difference_low": found.low,
        "difference_high": found.high,
        "paired_seeds": found.n_seeds,
        "p": found.p,
        "reason": "; ".join(filter(None, [reason, found.reason if found.n_seeds or not reason else ""])),
    }


def _in_order(sets: pd.DataFrame, entries: Sequence[ComparedRun]) -> pd.DataFrame:
    """Rows in the order of launch."""
    order = {row: i for i, row in enumerate(dict.fromkeys(entry.row for entry in entries))}
    return sets.sort_values("row", key=lambda rows: rows.map(order), ignore_index=True)


def _design(group: SampledGroup, main_task: str) -> tuple[list[int], list[frozenset[str]]]:
    """Arms that differ in their auxiliaries, and those auxiliaries."""
    by_set: dict[frozenset[str], int] = {}
    for a, arm in enumerate(group.arms):
        if np.isfinite(group.values[a]).any():
            by_set.setdefault(group.first[arm].tasks - {main_task}, a)
    return list(by_set.values()), list(by_set)


def _auxiliary_rows(
    group: SampledGroup, main_task: str, controls: Collection[str], margin: float
) -> list[dict[str, Any]]:
    """One row per auxiliary of the condition, those that no two sets isolate included."""
    arms, sets = _design(group, main_task)
    effects, shapley = main_effects(sets), shapley_values(sets)
    whole = len(sets) == 2 ** len(shapley)

    def spread(weights: np.ndarray) -> np.ndarray:
        """Weights of the design's sets as weights of all arms."""
        of_arms = np.zeros(len(group.arms))
        of_arms[arms] = weights
        return of_arms

    rows = []
    for bundle in bundles(sets):
        row: dict[str, Any] = {"condition": group.condition, "auxiliary": " + ".join(sorted(bundle))}
        row |= {"control": set(bundle) <= set(controls), "pairs": 0, "seeds": 0, "within": "", "reason": ""}
        if bundle not in effects:
            rows.append(row | {"verdict": "cannot tell", "reason": "no two task sets differ only in this auxiliary"})
            continue
        found = group.effect(spread(effects[bundle]), len(effects))
        row |= {"pairs": sum(1 for s in sets if not s & set(bundle) and s | set(bundle) in sets)}
        row |= {"seeds": found.n_seeds, "effect": found.value, "low": found.low, "high": found.high, "p": found.p}
        row |= {"verdict": str(verdict(found, group.n_videos, margin)) if found.n_seeds else "cannot tell"}
        row |= {"reason": found.reason} | dict(zip(SHARES, shares_of(found.draws, margin), strict=True))
        if bundle in shapley and len(shapley) > 1:  # of a single one it is the main effect
            share = group.effect(spread(shapley[bundle]), len(effects))
            row |= {"shapley": share.value, "shapley_low": share.low, "shapley_high": share.high}
        if not whole and len(shapley) > 1 and bundle in shapley:
            within = ", ".join(" + ".join(sorted(each)) for each in shapley)
            row["within"] = within
        rows.append(row)
    return rows


def _head_rows(group: SampledGroup) -> list[dict[str, Any]]:
    """One row per arm and head that gives an anomaly score by itself."""
    rows = []
    every = np.ones(len(group.sample.videos), bool)
    for head in dict.fromkeys(head for entry in group.entries for head in entry.predicted.by_head):
        found = {
            i: group.sample.aucs(i, (group.sample.entries[i].predicted.by_head[head],), every)
            for i in group.members
            if head in group.sample.entries[i].predicted.by_head
        }
        values, draws = group._matrix(found)
        own_values, own_draws = group.own
        for a, arm in enumerate(group.arms):
            there = np.isfinite(values[a])
            if not there.any():
                continue
            auc = effect(values[a][there], draws[a][there], group.sample.seed, bounded.AUC)
            gains, drawn = values[a][there] - own_values[a][there], draws[a][there] - own_draws[a][there]
            over = effect(gains, drawn, group.sample.seed, bounded.DIFFERENCE)
            row = {"row": group.first[arm].row, "condition": group.condition, "head": head}
            rows.append(row | _score(auc) | _difference(over, ""))
    return rows


def _points(group: SampledGroup, main_task: str, controls: Collection[str]) -> list[dict[str, Any]]:
    """Every measure of an auxiliary in a set beside what the auxiliary brought to that set."""
    arms, sets = _design(group, main_task)
    rows = []
    for bundle in bundles(sets):
        for s, with_it in zip(sets, arms, strict=True):
            if not set(bundle) <= s or s - set(bundle) not in sets:
                continue
            weights = np.zeros(len(group.arms))
            weights[with_it], weights[arms[sets.index(s - set(bundle))]] = 1, -1
            gain = group.effect(weights)
            place = {"condition": group.condition, "arm": group.arms[with_it], "auxiliary": " + ".join(sorted(bundle))}
            place |= {"control": set(bundle) <= set(controls)}  # type: ignore[dict-item]
            runs = [entry for entry in group.entries if entry.arm == group.arms[with_it]]
            for measure in dict.fromkeys(name for run in runs for name, _ in run.measures):
                values = [run.measures.get((measure, each), np.nan) for run in runs for each in bundle]
                value = float(mean_of_defined(np.array(values)))
                if np.isfinite(value) and np.isfinite(gain.value):
                    point = {"measure": measure, "value": value, "gain": gain.value}
                    rows.append(place | point | {"low": gain.low, "high": gain.high})
    return rows


def gain_predictors(points: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of every measure with the gain, over the points."""
    rows = []
    for measure, group in points.groupby("measure", sort=False):
        found = rank_correlation(group["value"].to_numpy(float), group["gain"].to_numpy(float))
        row = {"measure": measure, "points": found.n, "correlation": found.value, "low": found.low, "high": found.high}
        rows.append(row | {"p": found.p, "reason": found.reason})
    table = pd.DataFrame(rows, columns=GAIN_PREDICTORS)
    table["p_holm"] = holm(table["p"].to_numpy(float))
    return table
