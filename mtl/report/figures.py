"""The figures of a sweep's report."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtl.ablation.comparison import Comparison
from mtl.formatting import p_value, signed, signed_interval
from mtl.plots import dots, matrices, screenings, studies
from mtl.plots.course import course_of_looks
from mtl.plots.estimation import Difference, estimation_plot
from mtl.plots.over_time import scores_over_time
from mtl.report.decided import courses
from mtl.report.screened import drawn_runs, drawn_sets, relevance_rows
from mtl.report.sections import MOST_CONDITIONS, compared_conditions, numbered
from mtl.report.study import Study
from mtl.report.summary import Summary, has_several
from mtl.report.tables import auxiliary_names


def draw(summary: Summary) -> dict[str, Figure]:
    """Figures by file name without suffix; those that would show nothing are missing."""
    compared, measure = summary.compared, summary.measure
    figures: dict[str, Figure] = _of_search(summary.study) if summary.study is not None else {}
    if not len(compared.seeds):
        return figures
    sets = summary.sets
    intervals = {str(name): (row["low"], row["high"]) for name, row in sets.iterrows() if np.isfinite(row["low"])}
    values: dict[str, list[float]] = {str(name): [] for name in sets.index}
    for row in compared.seeds.to_dict("records"):
        values[row["row"]].append(row["auc"])
    figures["auc_by_set"] = dots.auc_by_set(values, intervals, measure)
    figures |= _estimation_plots(compared, measure)
    if summary.over_time:
        figures["scores_over_time"] = scores_over_time(summary.over_time, summary.unit)
    differences = compared.sets[compared.sets["arm"] != compared.base].set_index("row")
    if len(differences) and differences["difference"].notna().any():
        table = differences.drop(columns=["low", "high"]).rename(
            columns={"difference_low": "low", "difference_high": "high"}
        )
        table["verdict"] = [
            f"{signed(row['difference'])}, Holm p {p_value(row['p_holm'])}" for row in table.to_dict("records")
        ]
        figures["differences"] = dots.forest_plot(table, f"{measure} relative to {compared.base}")
    auxiliaries = compared.auxiliaries[compared.auxiliaries["effect"].notna()]
    if len(auxiliaries):
        names = [
            ", ".join(filter(None, [name, condition]))
            for name, condition in zip(auxiliary_names(auxiliaries), auxiliaries["condition"], strict=True)
        ]
        table = auxiliaries.rename(columns={"effect": "difference"}).set_index(pd.Index(names))
        decided = [str(verdict).split(":")[0] for verdict in table["verdict"]]
        table["verdict"] = table["verdict"].where(~table["control"].astype(bool), decided)
        n = int(auxiliaries.groupby("condition").size().max())
        interval = f"interval: 95 % for all {n} at once" if n > 1 else "95 % interval"
        figures["auxiliaries"] = dots.forest_plot(
            table, f"{measure}: main effect of the auxiliary", interval, compared.margin
        )
    if summary.decision is not None and summary.rule is not None:
        figures["course"] = course_of_looks(courses(summary.decision), summary.rule.margin, measure)
    figures |= _of_screenings(summary)
    if has_several(sets["condition"]):
        figures["auc_heat_map"] = _auc_heat_map(compared, measure)
    for i, (condition, (tasks, relations)) in enumerate(list(summary.relations.items())[:MOST_CONDITIONS]):
        title = f"Relations in the largest set{f' ({condition})' if condition else ''}, mean ± sd over seeds"
        figures[f"relations{numbered(i)}"] = matrices.relation_table(relations, tasks, title)
    if len(compared.points):
        correlations = {
            row["measure"]: f"rank correlation {signed(row['correlation'], 2)}, "
            f"{signed_interval(row['low'], row['high'], 2)}"
            if np.isfinite(row["low"])
            else "no correlation can be given"
            for row in compared.gain_predictors.to_dict("records")
        }
        figures["predicted_and_observed_gain"] = dots.predicted_and_observed_gain(compared.points, correlations)
    return figures


def _of_search(study: Study) -> dict[str, Figure]:
    """The course of the objective, and what the parameters matter."""
    values = [float("nan") if trial.value is None else trial.value for trial in study.trials]
    if not np.isfinite(values).any():
        return {}
    figures = {"objective_by_trial": studies.objective_by_trial(values, study.best_so_far(), study.objective)}
    return figures | ({"importance": studies.importance(study.importance)} if study.importance else {})


def _of_screenings(summary: Summary) -> dict[str, Figure]:
    """Relevance, left-out runs and predicted sets, by condition."""
    figures: dict[str, Figure] = {}
    for i, found in enumerate(summary.screenings):
        if found.relevance is None:
            continue
        rows, margin = relevance_rows(found), summary.compared.margin
        drawn = {
            "relevance": screenings.relevance_plot(rows, summary.measure, margin),
            "left_out_runs": screenings.foretold_plot(drawn_runs(found), summary.measure),
            "predicted_sets": screenings.sets_plot(drawn_sets(found), list(rows.index), found.alone, summary.measure),
        }
        figures |= {f"{name}{numbered(i)}": figure for name, figure in drawn.items()}
    return figures


def _estimation_plots(compared: Comparison, measure: str) -> dict[str, Figure]:
    """One per condition whose sets can be compared with the base, which stands first."""
    figures = {}
    seeds: dict[str, dict[str, float]] = {}
    for row in compared.seeds.to_dict("records"):
        seeds.setdefault(row["row"], {})[row["seed"]] = row["auc"]
    for i, condition in enumerate(compared_conditions(compared)[:MOST_CONDITIONS]):
        rows = compared.sets[compared.sets["condition"] == condition].to_dict("records")
        rows.sort(key=lambda row: row["arm"] != compared.base)  # stable: the others keep their order
        differences = {
            row["arm"]: Difference(
                row["difference"], row["difference_low"], row["difference_high"], compared.differences[row["row"]]
            )
            for row in rows
            if np.isfinite(row["difference"])
        }
        by_arm = {row["arm"]: seeds[row["row"]] for row in rows}
        figures[f"estimation{numbered(i)}"] = estimation_plot(
            by_arm, differences, compared.base, measure, compared.margin, condition
        )
    return figures


def _auc_heat_map(compared: Comparison, measure: str) -> Figure:
    """Arms down, conditions across."""
    order = {name: list(dict.fromkeys(compared.sets[name])) for name in ("arm", "condition")}

    def laid_out(name: str) -> pd.DataFrame:
        return compared.sets.pivot_table(
            index="arm", columns="condition", values=name, aggfunc="first", dropna=False
        ).reindex(index=order["arm"], columns=order["condition"])

    small = laid_out("difference").map(lambda value: signed(value) if np.isfinite(value) else "")
    title = f"{measure}, mean over seeds; below it the difference relative to {compared.base}"
    return matrices.heat_map(laid_out("auc"), small, title)
