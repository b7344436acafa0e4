"""A sweep's runs in, its report before it has a form out."""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pandas as pd

from mtl.ablation import comparison, design, fairness, groupings, predictions
from mtl.ablation.comparison import Comparison
from mtl.ablation.predictions import ComparedRun, Predicted
from mtl.ablation.relations import mean_relations
from mtl.results import DIVERGED, Relation, TrackedRun

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
        What is compared: `tasks`, or the first other axis where there is one set only.
    relations : mapping of str to (tuple of str, mapping of str to Relation)
        By condition: the tasks of its largest set, and every measure as its mean over seeds.
    budget : str
        How long all were trained.
    warnings : tuple of str
    groups : DataFrame
        See `design.groupings`.
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
    runs = design.settled(runs)
    table = design.runs_table(runs)
    keys = design.axes(runs)
    axis = "tasks" if has_several(table["tasks"]) or len(keys) == 1 else keys[1]
    by_id = {id(run): run for run in runs}
    counted = [run for run, counts in zip(by_id.values(), table["counts"], strict=True) if counts]
    entries, warnings = [], []
    for run, row in zip(by_id.values(), table.to_dict("records"), strict=True):
        if not row["counts"]:
            continue
        try:
            predicted = _predicted(run, main_task, tracking)
        except (OSError, ValueError) as error:
            warnings.append(f"{run.name}: its predictions cannot be read, so it is left out ({_one_line(error)}).")
            continue
        if run.tags.get(DIVERGED):
            said = f"diverged, {run.tags[DIVERGED]}"
            if predicted.fault:
                predicted = replace(predicted, fault=said)
            else:
                warnings.append(f"{run.name}: {said}.")
        arm = str(row[axis]) if axis == "tasks" else f"{axis}={row[axis]}"
        condition = ", ".join(f"{key}={row[key]}" for key in keys if key not in ("tasks", axis))
        tasks = design.tasks_of(run) or frozenset({main_task})
        measures = design.measures_of(run, main_task, tasks)
        entries.append(ComparedRun(str(row["set"]), arm, condition, str(row["seed"]), tasks, predicted, measures))
    resamples, seed = design.resampling(counted)
    controls = {name for run in runs for name in design.controls_of(run)}
    compared = comparison.compare(entries, main_task, controls, resamples, seed)
    if axis != "tasks":  # one task set: it says nothing of its auxiliaries
        compared = replace(compared, auxiliaries=compared.auxiliaries.iloc[:0])
    read = {(entry.row, entry.seed) for entry in entries}
    table["predictions"] = [
        (row["set"], str(row["seed"])) in read and row["counts"] for row in table.to_dict("records")
    ]
    return Summary(
        main_task,
        tuple(runs),
        table,
        _sets(table, compared, main_task),
        compared,
        axis,
        mean_relations(counted, table[table["counts"].astype(bool)], keys, axis),
        fairness.budget(counted, keys, axis),
        (
            *(*warnings, *compared.warnings),
            *fairness.unfair(counted, keys, axis, compared.base.removeprefix(f"{axis}=")),
            *(*fairness.data_apart(counted, keys, axis), *fairness.versions(counted)),
        ),
        groupings.groupings(counted, table[table["counts"].astype(bool)], keys, axis),
    )


def _predicted(run: TrackedRun, main_task: str, tracking: Downloads | None) -> Predicted:
    """A run's predictions, from its folder or from the tracking."""
    place = urllib.parse.urlparse(run.artifact_uri)
    if place.scheme in ("", "file"):
        folder = Path(urllib.request.url2pathname(place.path))
        for path in (folder / PREDICTIONS, folder / "artifacts" / PREDICTIONS):
            if path.is_file():
                return _reduced(path, main_task)
    if tracking is None or not run.id:
        raise FileNotFoundError(f"there is no {PREDICTIONS}")
    with tempfile.TemporaryDirectory() as to:
        return _reduced(tracking.download(run.id, PREDICTIONS, Path(to)), main_task)


def _reduced(path: Path, main_task: str) -> Predicted:
    from pyarrow import parquet

    columns = predictions.needed(parquet.read_schema(path).names, main_task)
    return predictions.reduced(pd.read_parquet(path, columns=columns), main_task)


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
