"""A sweep's runs in, its report before it has a form out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from mtl.ablation import comparison, fairness, measured_groups, predictions
from mtl.ablation.comparison import Comparison
from mtl.ablation.design import Design, controls_of, design_of, measures_of, resampling, settled, tasks_of
from mtl.ablation.event_truth import event_aucs
from mtl.ablation.margin import margin_of
from mtl.ablation.mean_relations import mean_relations
from mtl.ablation.predictions import ComparedRun, Predicted
from mtl.formatting import plural
from mtl.plots.over_time import VideoScores
from mtl.report.judge import VIDEO_LABELS, Judge
from mtl.report.over_time import compared_over_time
from mtl.report.stored import PREDICTIONS, Downloads, stored
from mtl.results import DIVERGED, UNTRAINED, Relation, TrackedRun

STATUSES = ("FINISHED", "FAILED", "KILLED", "RUNNING")


@dataclass(frozen=True)
class Summary:
    """A sweep's report before it has a form.

    Attributes
    ----------
    main_task : str
    runs : tuple of TrackedRun
        Jobs of the sweep in the order of launch, each set and seed once.
    table : DataFrame
        See `runs_table`.
    sets : DataFrame
        By set: the columns of `Comparison.sets` with ``auc/<main_task>`` for `auc`, where events
        judge ``auc_event/<main_task>``,
        AUCs of the other tasks, one count per status, and how many `diverged` of those that count.
    compared : Comparison
    axis : str
        What is compared, see `Design`.
    relations : mapping of str to (tuple of str, mapping of str to Relation)
        By condition: the tasks of its largest set, and every measure as its mean over seeds.
    budget : str
        How long all were trained.
    warnings : tuple of str
    groups : DataFrame
        See `measured_groups`.
    judge : Judge
    judged : str
        See `Judge.sentence`.
    over_time : tuple of VideoScores
        See `compared_over_time`.
    unit : str
        Of their time.
    """

    main_task: str
    runs: tuple[TrackedRun, ...]
    table: pd.DataFrame
    sets: pd.DataFrame
    compared: Comparison
    axis: str
    relations: Mapping[str, tuple[tuple[str, ...], Mapping[str, Relation]]]
    budget: str
    warnings: tuple[str, ...]
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    judge: Judge = VIDEO_LABELS
    judged: str = ""
    over_time: tuple[VideoScores, ...] = ()
    unit: str = ""

    @property
    def main(self) -> str:
        """The column of the main task's AUC."""
        return f"{self.judge.metric}/{self.main_task}"

    @property
    def measure(self) -> str:
        """The main task's AUC in words."""
        return self.judge.auc_of(self.main_task)


def summarise(
    runs: Sequence[TrackedRun],
    main_task: str,
    tracking: Downloads | None = None,
    judge: Judge = VIDEO_LABELS,
    margin: float | None = None,
) -> Summary:
    """Compare the runs of a sweep by their predictions.

    Parameters
    ----------
    runs : sequence of TrackedRun
        Jobs of a sweep, or of several, in the order of launch.
    main_task : str
    tracking : Downloads, optional
        Asked for predictions that do not lie on this machine.
    judge : Judge
        Where events judge, the stored predictions are scored again, for every task.
    margin : float, optional
        See `verdict`; without one that of the runs.
    """
    margin = margin_of(runs) if margin is None else margin
    design = design_of(settled(runs))
    entries, unreadable, scored = _entries(design, main_task, tracking, judge)
    if judge.truth is not None:
        design = design_of([_scored_again(run, scored.get(i, {})) for i, run in enumerate(design.runs)])
    resamples, seed = resampling(design.counted)
    controls = {name for run in design.runs for name in controls_of(run)}
    compared = comparison.compare(entries, main_task, controls, resamples, seed, margin)
    if design.axis != "tasks":  # one task set: nothing is known of its auxiliaries
        compared = replace(compared, auxiliaries=compared.auxiliaries.iloc[:0])
    read = {(entry.row, entry.seed) for entry in entries}
    rows = zip(design.table["set"], design.table["seed"], design.table["counts"], strict=True)
    table = design.table.assign(predictions=[(name, str(seed)) in read and counts for name, seed, counts in rows])
    read_runs = [
        (str(row["set"]), run)
        for run, row in zip(design.runs, table.to_dict("records"), strict=True)
        if row["predictions"]
    ]
    return Summary(
        main_task,
        design.runs,
        table,
        _sets(table, compared, f"{judge.metric}/", main_task),
        compared,
        design.axis,
        mean_relations(design),
        fairness.budget(design),
        (
            *(*unreadable, *judge.left_out(entries), *compared.warnings),
            *fairness.unfair(design, compared.base.removeprefix(f"{design.axis}=")),
            *fairness.arithmetics(design, main_task, compared.base.removeprefix(f"{design.axis}="), judge.metric),
            *(*fairness.data_apart(design), *fairness.versions(design.counted)),
        ),
        measured_groups.measured_groups(design, judge.metric),
        judge,
        judge.sentence([entry.predicted for entry in entries]),
        *compared_over_time(read_runs, compared, main_task, judge.events, tracking),
    )


def _scored_again(run: TrackedRun, scores: Mapping[str, float]) -> TrackedRun:
    """The run with these AUCs by events alone: those it tracked may be by other events."""
    kept = {name: value for name, value in run.metrics.items() if not name.startswith("auc_event")}
    return replace(run, metrics={**kept, **scores})


def _entries(
    design: Design, main_task: str, tracking: Downloads | None, judge: Judge
) -> tuple[list[ComparedRun], list[str], dict[int, dict[str, float]]]:
    """The runs that count and have predictions, a warning for each that has none, and AUCs by events of the i-th."""
    entries, warnings, scored = [], [], {}
    for i, (run, row) in enumerate(zip(design.runs, design.table.to_dict("records"), strict=True)):
        if not row["counts"]:
            continue
        try:
            predicted, scored[i] = _predicted(run, main_task, tracking, judge)
        except (OSError, ValueError) as error:
            warnings.append(f"{run.name}: its predictions cannot be read, so it is left out ({_one_line(error)}).")
            continue
        if run.tags.get(DIVERGED):
            reason = f"it diverged ({run.tags[DIVERGED]})"
            if predicted.fault:
                predicted = replace(predicted, fault=reason)
            else:
                warnings.append(f"{run.name}: {reason}.")
        arm = design.arm(run) if design.axis == "tasks" else f"{design.axis}={design.arm(run)}"
        tasks = tasks_of(run) or frozenset({main_task})
        measures = measures_of(run, main_task, tasks)
        place = (str(row["set"]), arm, design.condition(run), str(row["seed"]))
        entries.append(ComparedRun(*place, tasks, predicted, measures))
    return entries, [*warnings, *_tied(entries)], scored


def _tied(entries: Sequence[ComparedRun]) -> list[str]:
    """A line where runs of former versions are ranked by probabilities, some of which tie."""
    ties = [entry.predicted.ties for entry in entries if entry.predicted.ties > 0]
    if not ties:
        return []
    return [
        f"{plural(len(ties), 'run')} of a former version kept no logits and {'is' if len(ties) == 1 else 'are'} ranked "
        f"by probabilities, which saturate: up to {max(ties):.2%} of the comparisons of two frames are ties."
    ]


def _predicted(
    run: TrackedRun, main_task: str, tracking: Downloads | None, judge: Judge
) -> tuple[Predicted, dict[str, float]]:
    """A run's predictions, from its folder or from the tracking; where events judge, every task's AUC by them."""
    from pyarrow import parquet

    untrained = json.loads(run.tags.get(UNTRAINED, "{}"))
    with stored(run, PREDICTIONS, tracking) as path:
        columns = predictions.needed(parquet.read_schema(path).names, main_task) if judge.truth is None else None
        table = pd.read_parquet(path, columns=columns)
    predicted = predictions.reduced(table, main_task, untrained.get(main_task, ()), judge.truth)
    return predicted, event_aucs(table, judge.truth, untrained) if judge.truth is not None else {}


def _sets(table: pd.DataFrame, compared: Comparison, metric: str, main_task: str) -> pd.DataFrame:
    """The comparison by set, with AUCs of the other tasks and counts; sets without a result are rows too."""
    main = f"{metric}{main_task}"
    sets = compared.sets.rename(columns={"row": "set", "auc": main}).set_index("set")
    sets = sets.reindex(pd.Index(table["set"].drop_duplicates(), name="set"))
    sets["seeds"] = sets["seeds"].fillna(0).astype(int)
    sets["reason"] = sets["reason"].astype(object).fillna("")
    counting = table[table["predictions"].astype(bool)]
    for name in sorted(str(each) for each in table.columns if str(each).startswith(metric) and each != main):
        sets[name] = counting[name].astype(float).groupby(counting["set"]).mean()
    for status in STATUSES:
        sets[status.lower()] = (table["status"] == status).groupby(table["set"]).sum()
    sets["diverged"] = (table["counts"].astype(bool) & (table["diverged"] != "")).groupby(table["set"]).sum()
    unread = table["counts"].astype(bool) & ~table["predictions"].astype(bool)
    sets["unread"] = unread.groupby(table["set"]).sum()
    return sets


def has_several(column: pd.Series) -> bool:
    """Whether the column has more than one value."""
    return len(set(column.dropna())) > 1


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")
