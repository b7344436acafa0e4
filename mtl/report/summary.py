"""A sweep's runs in, its report before it has a form out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from mtl.ablation import comparison, fairness, measured_groups
from mtl.ablation.comparison import Comparison
from mtl.ablation.decision import Decision
from mtl.ablation.design import controls_of, design_of, resampling, settled
from mtl.ablation.margin import margin_of
from mtl.ablation.mean_relations import mean_relations
from mtl.ablation.rule import Rule
from mtl.checks.base import Finding
from mtl.checks.evidence import Evidence
from mtl.checks.listing import findings
from mtl.plots.over_time import VideoScores
from mtl.report.compared_runs import compared_runs
from mtl.report.decided import decision_of, rule_of, with_decision
from mtl.report.evidence import kept_packages, kept_videos
from mtl.report.judge import VIDEO_LABELS, Judge
from mtl.report.over_time import compared_over_time
from mtl.report.screened import screenings_of
from mtl.report.stored import Downloads, with_all_metrics
from mtl.report.study import Study
from mtl.results import Relation, TrackedRun
from mtl.screening.of_runs import Screening

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
    findings : tuple of Finding
        What every check found.
    groups : DataFrame
        See `measured_groups`.
    judge : Judge
    judged : str
        See `Judge.sentence`.
    over_time : tuple of VideoScores
        See `compared_over_time`.
    unit : str
        Of their time.
    study : Study or None
        Of a sweep that searched; then all else is of the runs of its best trial alone.
    decision : Decision or None
        Of a sweep that ends when it knows.
    rule : Rule or None
        It went by.
    screenings : tuple of Screening
        By condition, of a sweep over few sets of many auxiliaries.
    """

    main_task: str
    runs: tuple[TrackedRun, ...]
    table: pd.DataFrame
    sets: pd.DataFrame
    compared: Comparison
    axis: str
    relations: Mapping[str, tuple[tuple[str, ...], Mapping[str, Relation]]]
    budget: str
    findings: tuple[Finding, ...]
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    judge: Judge = VIDEO_LABELS
    judged: str = ""
    over_time: tuple[VideoScores, ...] = ()
    unit: str = ""
    study: Study | None = None
    decision: Decision | None = None
    rule: Rule | None = None
    screenings: tuple[Screening, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the checks found to be issues."""
        return tuple(line for each in self.findings if each.severity == "issue" for line in each.lines)

    @property
    def main(self) -> str:
        """The column of the main task's AUC."""
        return f"{self.judge.metric}/{self.main_task}"

    @property
    def measure(self) -> str:
        """The main task's AUC in words."""
        return self.judge.auc_of(self.main_task)


def summarise_search(
    study: Study,
    runs: Sequence[TrackedRun],
    main_task: str,
    tracking: Downloads | None,
    judge: Judge,
    margin: float | None = None,
) -> Summary:
    """The report of a sweep that searched; test frames are looked at for its best trial alone.

    Parameters
    ----------
    study : Study
    runs : sequence of TrackedRun
        All jobs of the sweep, in the order of launch.
    main_task, tracking, judge, margin
        See `summarise`.
    """
    summary = summarise(study.chosen(runs), main_task, tracking, judge, margin)
    none = summary.compared.auxiliaries.iloc[:0]  # one setting alone says nothing of auxiliaries
    return replace(
        summary, study=study, compared=replace(summary.compared, auxiliaries=none), groups=summary.groups[:0]
    )


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
    design = design_of([with_all_metrics(run, tracking) for run in settled(runs)])
    entries, unreadable, scored = compared_runs(design, main_task, tracking, judge)
    if judge.truth is not None:
        design = design_of([_scored_again(run, scored.get(i, {})) for i, run in enumerate(design.runs)])
    resamples, seed = resampling(design.counted)
    controls = {name for run in design.runs for name in controls_of(run)}
    compared = comparison.compare(entries, main_task, controls, resamples, seed, margin)
    rule = rule_of(design.runs, margin)
    decision = decision_of(design, entries, main_task, rule) if rule is not None else None
    if decision is not None:
        compared = with_decision(compared, decision, entries, main_task)
    screenings = tuple(screenings_of(design, entries, main_task, tracking, margin))
    # one task set says nothing of its auxiliaries, and a screening says it itself
    if design.axis != "tasks" or any(each.relevance is not None for each in screenings):
        compared = replace(compared, auxiliaries=compared.auxiliaries.iloc[:0])
    read = {(entry.row, entry.seed) for entry in entries}
    rows = zip(design.table["set"], design.table["seed"], design.table["counts"], strict=True)
    table = design.table.assign(predictions=[(name, str(seed)) in read and counts for name, seed, counts in rows])
    read_runs = [
        (str(row["set"]), run)
        for run, row in zip(design.runs, table.to_dict("records"), strict=True)
        if row["predictions"]
    ]
    summary = Summary(
        main_task,
        design.runs,
        table,
        _sets(table, compared, f"{judge.metric}/", main_task),
        compared,
        design.axis,
        mean_relations(design),
        fairness.budget(design),
        findings(
            Evidence(
                *(main_task, design, compared, tuple(entries), judge.metric),
                left_out=(*unreadable, *judge.left_out(entries)),
                videos=kept_videos(design.counted, tracking),
                packages=kept_packages(design.counted, tracking),
            )
        ),
        measured_groups.measured_groups(design, judge.metric),
        judge,
        judge.sentence([entry.predicted for entry in entries]),
        *compared_over_time(read_runs, compared, main_task, judge.events, tracking),
    )
    return replace(summary, decision=decision, rule=rule, screenings=screenings)


def _scored_again(run: TrackedRun, scores: Mapping[str, float]) -> TrackedRun:
    """The run with these AUCs by events alone: those it tracked may be by other events."""
    kept = {name: value for name, value in run.metrics.items() if not name.startswith("auc_event")}
    return replace(run, metrics={**kept, **scores})


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
