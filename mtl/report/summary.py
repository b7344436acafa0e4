"""A sweep's runs in, its report before it has a form out."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pandas as pd

from mtl.ablation import comparison, fairness, measured_groups, predictions
from mtl.ablation.comparison import Comparison
from mtl.ablation.design import Design, controls_of, design_of, measures_of, resampling, settled, tasks_of
from mtl.ablation.mean_relations import mean_relations
from mtl.ablation.predictions import ComparedRun, Predicted
from mtl.formatting import plural
from mtl.results import DIVERGED, UNTRAINED, Relation, TrackedRun

STATUSES = ("FINISHED", "FAILED", "KILLED", "RUNNING")
PREDICTIONS = "predictions.parquet"


class Downloads(Protocol):
    """What is needed of a tracking: it brings a run's artifact here."""

    def download(self, run_id: str, path: str, to: Path | None = None) -> Path:
        """The artifact as a local file."""


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
        By set: the columns of `Comparison.sets` with ``auc/<main_task>`` for `auc`,
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


def summarise(runs: Sequence[TrackedRun], main_task: str, tracking: Downloads | None = None) -> Summary:
    """Compare the runs of a sweep by their predictions.

    Parameters
    ----------
    runs : sequence of TrackedRun
        Jobs of a sweep, or of several, in the order of launch.
    main_task : str
    tracking : Downloads, optional
        Asked for predictions that do not lie on this machine.
    """
    design = design_of(settled(runs))
    entries, unreadable = _entries(design, main_task, tracking)
    resamples, seed = resampling(design.counted)
    controls = {name for run in design.runs for name in controls_of(run)}
    compared = comparison.compare(entries, main_task, controls, resamples, seed)
    if design.axis != "tasks":  # one task set: nothing is known of its auxiliaries
        compared = replace(compared, auxiliaries=compared.auxiliaries.iloc[:0])
    read = {(entry.row, entry.seed) for entry in entries}
    rows = zip(design.table["set"], design.table["seed"], design.table["counts"], strict=True)
    table = design.table.assign(predictions=[(name, str(seed)) in read and counts for name, seed, counts in rows])
    return Summary(
        main_task,
        design.runs,
        table,
        _sets(table, compared, main_task),
        compared,
        design.axis,
        mean_relations(design),
        fairness.budget(design),
        (
            *(*unreadable, *compared.warnings),
            *fairness.unfair(design, compared.base.removeprefix(f"{design.axis}=")),
            *fairness.arithmetics(design, main_task, compared.base.removeprefix(f"{design.axis}=")),
            *(*fairness.data_apart(design), *fairness.versions(design.counted)),
        ),
        measured_groups.measured_groups(design),
    )


def _entries(design: Design, main_task: str, tracking: Downloads | None) -> tuple[list[ComparedRun], list[str]]:
    """The runs that count and have predictions, and a warning for each that has none."""
    entries, warnings = [], []
    for run, row in zip(design.runs, design.table.to_dict("records"), strict=True):
        if not row["counts"]:
            continue
        try:
            predicted = _predicted(run, main_task, tracking)
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
    return entries, [*warnings, *_tied(entries)]


def _tied(entries: Sequence[ComparedRun]) -> list[str]:
    """A line where runs of former versions are ranked by probabilities, some of which tie."""
    ties = [entry.predicted.ties for entry in entries if entry.predicted.ties > 0]
    if not ties:
        return []
    return [
        f"{plural(len(ties), 'run')} of a former version kept no logits and {'is' if len(ties) == 1 else 'are'} ranked "
        f"by probabilities, which saturate: up to {max(ties):.2%} of the comparisons of two frames are ties."
    ]


def _predicted(run: TrackedRun, main_task: str, tracking: Downloads | None) -> Predicted:
    """A run's predictions, from its folder or from the tracking."""
    place = urllib.parse.urlparse(run.artifact_uri)
    if place.scheme in ("", "file"):
        folder = Path(urllib.request.url2pathname(place.path))
        for path in (folder / PREDICTIONS, folder / "artifacts" / PREDICTIONS):
            if path.is_file():
                return _reduced(path, run, main_task)
    if tracking is None or not run.id:
        raise FileNotFoundError(f"there is no {PREDICTIONS}")
    with tempfile.TemporaryDirectory() as to:
        return _reduced(tracking.download(run.id, PREDICTIONS, Path(to)), run, main_task)


def _reduced(path: Path, run: TrackedRun, main_task: str) -> Predicted:
    from pyarrow import parquet

    columns = predictions.needed(parquet.read_schema(path).names, main_task)
    untrained = json.loads(run.tags.get(UNTRAINED, "{}")).get(main_task, ())
    return predictions.reduced(pd.read_parquet(path, columns=columns), main_task, untrained)


def _sets(table: pd.DataFrame, compared: Comparison, main_task: str) -> pd.DataFrame:
    """The comparison by set, with AUCs of the other tasks and counts; sets without a result are rows too."""
    main = f"auc/{main_task}"
    sets = compared.sets.rename(columns={"row": "set", "auc": main}).set_index("set")
    sets = sets.reindex(pd.Index(table["set"].drop_duplicates(), name="set"))
    sets["seeds"] = sets["seeds"].fillna(0).astype(int)
    sets["reason"] = sets["reason"].astype(object).fillna("")
    counting = table[table["predictions"].astype(bool)]
    for name in sorted(str(each) for each in table.columns if str(each).startswith("auc/") and each != main):
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
