"""Tables of one run, and the report of a sweep, made from what was tracked and from nothing else.

``python -m mtl.report WHAT`` makes a sweep's report again.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import logging
import math
import re
import shutil
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.console import RenderableType
from rich.text import Text

from mtl import ablation, design, journal
from mtl.ablation import Comparison, Entry, Predicted
from mtl.forms import (
    SPACE,
    escaped,
    fitting,
    html_table,
    interval,
    markdown_table,
    number,
    p_value,
    plural,
    signed,
    signed_interval,
    terminal_table,
)
from mtl.journal import TrackedRun
from mtl.mistakes import Mistake
from mtl.plots import dots, matrices
from mtl.plots.rendering import png
from mtl.terminal import show
from mtl.trace import Relation, Result, Score, pairs

log = logging.getLogger(__name__)

STATUSES = ("FINISHED", "FAILED", "KILLED", "RUNNING")
SCORES = ("auc", "average_precision", "balanced_accuracy", "f1")
LONGEST_DESCRIPTION = 7500  # MLflow cuts a description at 8,000 characters
INTERVAL = f"95{SPACE}% interval"
PAIRS_SIDE_BY_SIDE = 6  # all pairs of four tasks fit into 80 columns
SIGNIFICANT = 0.05
SHOWN_SIZE = 0.66  # pixels of the page per pixel of a figure
MOST_SETTINGS = 4  # whose relations are drawn
MOST_ARMS = 3  # that a headline names
PREDICTIONS = "predictions.parquet"
STORE_TIMEOUT_S = 10.0


class Downloads(Protocol):
    """What is needed of a tracking: it brings a run's artifact here."""

    def download(self, run_id: str, path: str, to: Path | None = None) -> Path:
        """The artifact as a local file."""


# --- a sweep: what its runs say ---------------------------------------------------------------------------------------


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
        AUCs of the other tasks, and one count per status.
    compared : Comparison
    axis : str
        What is compared: `tasks`, or the first other axis where there is one set only.
    relations : mapping of str to (tuple of str, mapping of str to Relation)
        By setting: the tasks of its largest set, and every measure as its mean over seeds.
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
    axis = "tasks" if _several(table["tasks"]) or len(keys) == 1 else keys[1]
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
        arm = str(row[axis]) if axis == "tasks" else f"{axis}={row[axis]}"
        setting = ", ".join(f"{key}={row[key]}" for key in keys if key not in ("tasks", axis))
        tasks = design.tasks_of(run) or frozenset({main_task})
        measures = design.measures_of(run, main_task, tasks)
        entries.append(Entry(str(row["set"]), arm, setting, str(row["seed"]), tasks, predicted, measures))
    resamples, seed = design.resampling(counted)
    controls = {name for run in runs for name in design.controls_of(run)}
    compared = ablation.compare(entries, main_task, controls, resamples, seed)
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
        design.mean_relations(counted, table[table["counts"].astype(bool)], keys, axis),
        design.budget(counted, keys, axis),
        (
            *(*warnings, *compared.warnings),
            *design.unfair(counted, keys, axis, compared.base.removeprefix(f"{axis}=")),
            *(*design.data_apart(counted, keys, axis), *design.versions(counted)),
        ),
        design.groupings(counted, table[table["counts"].astype(bool)], keys, axis),
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

    columns = ablation.needed(parquet.read_schema(path).names, main_task)
    return ablation.reduced(pd.read_parquet(path, columns=columns), main_task)


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
    unread = table["counts"].astype(bool) & ~table["predictions"].astype(bool)
    sets["unread"] = unread.groupby(table["set"]).sum()
    return sets


# --- a sweep: its report in words, figures and forms ------------------------------------------------------------------


@dataclass(frozen=True)
class Section:
    """A part of the report, the same in every form.

    Attributes
    ----------
    title : str
    words : DataFrame or None
        A table of words.
    lines : tuple of str
        Said below it.
    figures : tuple of str
        Names of figures that belong here.
    brief : tuple of str or None
        Those of the lines that the terminal shows; None: all.
    """

    title: str
    words: pd.DataFrame | None = None
    lines: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    brief: tuple[str, ...] | None = None


def headline(summary: Summary) -> str:
    """What the sweep found, in a line or two."""
    said = []
    auxiliaries = summary.compared.auxiliaries
    for setting in dict.fromkeys(auxiliaries["setting"]):
        group = auxiliaries[auxiliaries["setting"] == setting]
        words: dict[str, list[str]] = {}
        for row in group[~group["control"].astype(bool)].to_dict("records"):
            verdict = str(row["verdict"]).split(":")[0]
            number = f" ({signed(row['effect'])})" if np.isfinite(row["effect"]) else ""
            words.setdefault(verdict, []).append(f"{row['auxiliary']}{number}")
        parts = [
            f"{', '.join(words[verb])} {verb if len(words[verb]) == 1 else verb[:-1]}"
            for verb in ("helps", "hurts")
            if verb in words
        ]
        parts += [f"cannot tell for {', '.join(words['cannot tell'])}"] if "cannot tell" in words else []
        parts += [f"the control {row['auxiliary']} helps too" for row in _helping_controls(group)]
        if parts:
            said.append((f"{setting}: " if setting else "") + "; ".join(parts))
    said += _axis_said(summary)
    main = f"auc/{summary.main_task}"
    counted = {status.lower(): int(summary.sets[status.lower()].sum()) for status in STATUSES}
    parts = [f"{n} {status}" for status, n in counted.items() if n]
    line = f"{plural(len(summary.sets), 'setting')}, {plural(sum(counted.values()), 'run')}"
    line += f": {', '.join(parts)}." if parts else "."
    if summary.sets[main].notna().any():
        best = summary.sets[main].astype(float).idxmax()
        line += f" Highest AUC of {summary.main_task}: {summary.sets[main].max():.3f} ({best})."
    return " ".join([*(f"For {summary.main_task}: {each}." for each in ["; ".join(said)] if each), line])


def _axis_said(summary: Summary) -> list[str]:
    """What the values of another axis than the task sets do, the largest difference first."""
    sets = summary.sets[summary.sets["difference"].notna()]
    if summary.axis == "tasks" or not len(sets):
        return []
    rows = sets.assign(size=sets["difference"].abs()).sort_values("size", ascending=False, kind="stable")
    parts = [
        f"{row['arm']} {signed(row['difference'])} ({signed_interval(row['difference_low'], row['difference_high'])})"
        + (f" with {row['setting']}" if row["setting"] else "")
        for row in rows[:MOST_ARMS].to_dict("records")
    ]
    more = f", and {len(rows) - MOST_ARMS} smaller differences" if len(rows) > MOST_ARMS else ""
    return [f"to {summary.compared.base}, {', '.join(parts)}{more}"]


def _helping_controls(group: pd.DataFrame) -> list[dict]:
    return [row for row in group.to_dict("records") if row["control"] and row["verdict"] == "helps"]


def sections(summary: Summary) -> list[Section]:
    """The whole report but for its headline."""
    parts = []
    if summary.warnings:
        parts.append(Section("Warnings", lines=summary.warnings))
    parts.append(
        Section(
            f"AUC of {summary.main_task} by {'task set' if summary.axis == 'tasks' else summary.axis}",
            _sets_written(summary),
            (*_footnotes(summary), *_caveats(summary)),
            ("auc_by_set", "differences", "auc_heat_map"),
            brief=tuple(_caveats(summary)),
        )
    )
    unfinished = design.failures(summary.runs)
    if unfinished:
        parts.append(Section("Not finished", lines=tuple(unfinished)))
    if len(summary.compared.auxiliaries):
        parts.append(
            Section(
                "What each auxiliary does",
                _auxiliaries_written(summary.compared.auxiliaries),
                tuple(_verdicts(summary)),
                ("auxiliaries",),
            )
        )
    if len(summary.compared.heads):
        parts.append(Section("The anomaly score a type head gives by itself", _heads_written(summary), _HEADS_NOTE))
    if len(summary.groups):
        parts.append(Section("Which tasks to train together", _groups_written(summary.groups), _GROUPS_NOTE))
    relations = tuple(f"relations{_suffix(i)}" for i in range(min(len(summary.relations), MOST_SETTINGS)))
    if len(summary.compared.points):
        lines = tuple(_foretold_lines(summary.compared))
        written = _foretold_written(summary.compared.foretold)
        parts.append(Section("Foretold?", written, lines, ("foretold", *relations)))
    elif summary.axis == "tasks" and len(summary.sets) > 1 and len(summary.compared.seeds):
        none = "No two sets of the sweep differ in auxiliaries that have a measure: there is nothing to correlate."
        parts.append(
            Section("Foretold?", lines=(f"{none} More sets would tell (experiment=all_subsets).",), figures=relations)
        )
    elif relations:
        parts.append(Section("Relations", figures=relations))
    return parts


_HEADS_NOTE = (
    "1 − p(Normal) of the head, taken as an answer to the main task; the difference is to the main task's own head "
    "in the same runs. Where that is about zero, the type head alone detects anomalies as well.",
)


_GROUPS_NOTE = (
    "The best groups by mean test AUC over tasks, of all that the measured sets allow; one network each. A task is "
    "taken from the group that names it behind the arrow, and helps only in others.",
    "Each is the best of many, chosen by the numbers it is shown with: expect less on other videos, and take "
    "another network only for more than the intervals above.",
)


def _groups_written(groups: pd.DataFrame) -> pd.DataFrame:
    """Networks down, what they hold and the AUC of every task across."""
    rows = groups.to_dict("records")
    words = pd.DataFrame(index=pd.Index([str(row["at_most"]) for row in rows], name="networks, at most"))
    if _several(groups["setting"]):
        words["within"] = groups["setting"].to_numpy()
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


def _sets_written(summary: Summary) -> pd.DataFrame:
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
        words["its interval"] = [signed_interval(low, high) for low, high in ends]
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


def _footnotes(summary: Summary) -> list[str]:
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
            + (", within equal settings of all else" if _several(sets["setting"]) else "")
            + "; p by sign flips over seeds, Holm over all differences of the table."
        )
    return lines


def _caveats(summary: Summary) -> list[str]:
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


def _auxiliaries_written(auxiliaries: pd.DataFrame) -> pd.DataFrame:
    words = pd.DataFrame(index=pd.Index(_auxiliary_names(auxiliaries), name="auxiliary"))
    if _several(auxiliaries["setting"]):
        words["within"] = auxiliaries["setting"].to_numpy()
    words["main effect"] = [signed(value) for value in auxiliaries["effect"]]
    words["its interval"] = [
        signed_interval(low, high) for low, high in zip(auxiliaries["low"], auxiliaries["high"], strict=True)
    ]
    words["pairs of sets"] = auxiliaries["pairs"].astype(str).to_numpy()
    words["Holm p"] = [p_value(value) for value in auxiliaries["p_holm"]]
    if auxiliaries["shapley"].notna().any():
        words["Shapley value"] = [signed(value) for value in auxiliaries["shapley"]]
        ends = zip(auxiliaries["shapley_low"], auxiliaries["shapley_high"], strict=True)
        words["interval of it"] = [signed_interval(low, high) for low, high in ends]
    words["verdict"] = [str(verdict).split(":")[0] for verdict in auxiliaries["verdict"]]
    return words


def _auxiliary_names(auxiliaries: pd.DataFrame) -> list[str]:
    """Names that say which are controls."""
    return [f"{row['auxiliary']}{' (control)' if row['control'] else ''}" for row in auxiliaries.to_dict("records")]


def _several(column: pd.Series) -> bool:
    """Whether the column has more than one value."""
    return len(set(column.dropna())) > 1


def _verdicts(summary: Summary) -> list[str]:
    """Per auxiliary a sentence: what it does, how sure that is, and what would tell."""
    auxiliaries = summary.compared.auxiliaries
    lines = []
    for row in auxiliaries.to_dict("records"):
        name = row["auxiliary"] + (f" ({row['setting']})" if row["setting"] else "")
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
    n = int(auxiliaries.groupby("setting")["effect"].count().max())
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


def _heads_written(summary: Summary) -> pd.DataFrame:
    heads = summary.compared.heads
    words = pd.DataFrame(index=pd.Index(heads["row"], name="set"))
    words["head"] = heads["head"].to_numpy()
    words["seeds"] = heads["seeds"].astype(str).to_numpy()
    words[f"AUC of 1{SPACE}−{SPACE}p(Normal)"] = [number(value) for value in heads["auc"]]
    words[INTERVAL] = [interval(low, high) for low, high in zip(heads["low"], heads["high"], strict=True)]
    words[f"difference to head {summary.main_task}"] = [signed(value) for value in heads["difference"]]
    ends = zip(heads["difference_low"], heads["difference_high"], strict=True)
    words["its interval"] = [signed_interval(low, high) for low, high in ends]
    return words


def _foretold_written(foretold: pd.DataFrame) -> pd.DataFrame:
    words = pd.DataFrame(index=pd.Index(foretold["measure"].str.replace("_", " "), name="measure"))
    words["points"] = foretold["points"].astype(str).to_numpy()
    words["rank correlation"] = [signed(value, 2) for value in foretold["correlation"]]
    words[INTERVAL] = [
        signed_interval(low, high, 2) for low, high in zip(foretold["low"], foretold["high"], strict=True)
    ]
    words["p"] = [p_value(value) for value in foretold["p"]]
    words["Holm p"] = [p_value(value) for value in foretold["p_holm"]]
    return words


def _foretold_lines(compared: Comparison) -> list[str]:
    """Whether any measure foretold the gains, said honestly."""
    foretold, points = compared.foretold, compared.points
    what = (
        "A point is an auxiliary in a set: the measure between it and the main task, mean over seeds, beside what the "
        "set gains by it."
    )
    if points["auxiliary"].str.contains(" + ", regex=False).any():
        what += " Auxiliaries that are always used together are one point, at the mean of their measures."
    told = foretold[foretold["low"].notna()]
    most = int(foretold["points"].max())
    if not len(told):
        few = (
            f"With {plural(most, 'point')} per measure one cannot tell whether any foretold the gains: even a perfect "
            "order of so few comes by chance. More sets would tell (experiment=all_subsets)."
        )
        return [few, what]
    sure = told[(told["low"] > 0) | (told["high"] < 0)]
    held = sure[sure["p_holm"] < SIGNIFICANT]["measure"]
    line = f"Over up to {most} points, "
    if len(sure):
        which = {0: "none of them holds", len(sure): "all of them hold"}.get(len(held), f"{_listed(held)} holds")
        line += f"the gains go by the order of {_listed(sure['measure'])}; "
        line += f"after Holm over {len(foretold)} measures {which}."
    else:
        line += f"no measure of {len(foretold)} foretold the order of the gains: every interval covers zero."
    return [line, f"{what} Points share runs and are not independent: the intervals are too sure rather than too wide."]


def _listed(names: pd.Series) -> str:
    return ", ".join(str(name).replace("_", " ") for name in names)


def _suffix(i: int) -> str:
    return f"_{i + 1}" if i else ""


def sweep_tables(summary: Summary) -> list[RenderableType]:
    """The report for a terminal."""
    width = shutil.get_terminal_size().columns
    shown: list[RenderableType] = []
    for section in sections(summary):
        if section.words is not None:
            for i, part in enumerate(fitting(section.words, width)):
                shown.append(terminal_table(section.title if i == 0 else "", part))
        elif section.lines:
            shown.append(Text(section.title, style="bold"))
        lines = section.lines if section.brief is None else section.brief
        shown += [Text(line) for line in lines]
        shown += [Text("")] if lines else []
    return [*shown, Text(headline(summary), style="bold")]


def markdown(summary: Summary) -> str:
    """The report as a sweep's description: cut between two lines where MLflow would cut it anywhere."""
    kept: list[str] = []
    for line in _markdown_lines(summary):
        if sum(map(len, kept)) + len(kept) + len(line) > LONGEST_DESCRIPTION:
            kept.append("\n… the rest is in the artifact `summary.md`.")
            break
        kept.append(line)
    return "\n".join(kept)


def _markdown_lines(summary: Summary, figures: Mapping[str, Figure] | None = None) -> list[str]:
    lines = [f"**{escaped(headline(summary))}**"]
    for section in sections(summary):
        lines += ["", f"**{escaped(section.title)}**", ""]
        lines += [*markdown_table(section.words), ""] if section.words is not None else []
        lines += [f"* {escaped(line)}" for line in section.lines]
        for name in section.figures:
            lines += ["", f"![{name}]({name}.png)"] if figures and name in figures else []
    return lines


def draw(summary: Summary) -> dict[str, Figure]:
    """Figures by file name without suffix; those that would show nothing are missing."""
    main, compared = summary.main_task, summary.compared
    measure = f"AUC of {main}"
    figures: dict[str, Figure] = {}
    if not len(compared.seeds):
        return figures
    sets = summary.sets
    intervals = {str(name): (row["low"], row["high"]) for name, row in sets.iterrows() if np.isfinite(row["low"])}
    values: dict[str, list[float]] = {str(name): [] for name in sets.index}
    for row in compared.seeds.to_dict("records"):
        values[row["row"]].append(row["auc"])
    figures["auc_by_set"] = dots.auc_by_set(values, intervals, measure)
    differences = compared.sets[compared.sets["arm"] != compared.base].set_index("row")
    if len(differences) and differences["difference"].notna().any():
        table = differences.drop(columns=["low", "high"]).rename(
            columns={"difference_low": "low", "difference_high": "high"}
        )
        table["verdict"] = [
            f"{signed(row['difference'])}, Holm p {p_value(row['p_holm'])}" for row in table.to_dict("records")
        ]
        figures["differences"] = dots.forest_plot(table, f"{measure} to {compared.base}")
    auxiliaries = compared.auxiliaries[compared.auxiliaries["effect"].notna()]
    if len(auxiliaries):
        names = [
            ", ".join(filter(None, [name, setting]))
            for name, setting in zip(_auxiliary_names(auxiliaries), auxiliaries["setting"], strict=True)
        ]
        table = auxiliaries.rename(columns={"effect": "difference"}).set_index(pd.Index(names))
        words_alone = [str(word).split(":")[0] for word in table["verdict"]]
        table["verdict"] = table["verdict"].where(~table["control"].astype(bool), words_alone)
        n = int(auxiliaries.groupby("setting").size().max())
        interval = f"interval: 95 % for all {n} at once" if n > 1 else "95 % interval"
        figures["auxiliaries"] = dots.forest_plot(table, f"{measure} by an auxiliary: main effect", interval)
    if _several(sets["setting"]):
        figures["auc_heat_map"] = _auc_heat_map(compared, measure)
    for i, (setting, (tasks, relations)) in enumerate(list(summary.relations.items())[:MOST_SETTINGS]):
        title = f"Relations in the largest set{f' ({setting})' if setting else ''}, mean ± sd over seeds"
        figures[f"relations{_suffix(i)}"] = matrices.relation_table(relations, tasks, title)
    if len(compared.points):
        words = {
            row["measure"]: f"rank correlation {signed(row['correlation'], 2)}, "
            f"{signed_interval(row['low'], row['high'], 2)}"
            if np.isfinite(row["low"])
            else "too few points to correlate"
            for row in compared.foretold.to_dict("records")
        }
        figures["foretold"] = dots.foretold(compared.points, words)
    return figures


def _auc_heat_map(compared: Comparison, measure: str) -> Figure:
    """Arms down, settings across."""
    order = {name: list(dict.fromkeys(compared.sets[name])) for name in ("arm", "setting")}

    def laid_out(name: str) -> pd.DataFrame:
        return compared.sets.pivot_table(
            index="arm", columns="setting", values=name, aggfunc="first", dropna=False
        ).reindex(index=order["arm"], columns=order["setting"])

    small = laid_out("difference").map(lambda value: signed(value) if np.isfinite(value) else "")
    title = f"{measure}, mean over seeds; below it the difference to {compared.base}"
    return matrices.heat_map(laid_out("auc"), small, title)


def write_summary(folder: Path, summary: Summary) -> None:
    """Write the report: ``summary.html`` (all of it, self-contained), ``.md``, ``.json``, ``.csv`` and figures."""
    folder.mkdir(parents=True, exist_ok=True)
    compared = summary.compared
    summary.sets.to_csv(folder / "summary.csv")
    summary.table.to_csv(folder / "runs.csv", index=False)
    tables = {"auxiliaries": compared.auxiliaries, "type_heads": compared.heads, "foretold": compared.foretold}
    for name, table in (tables | {"foretold_points": compared.points}).items():
        if len(table):
            table.to_csv(folder / f"{name}.csv", index=False)
    figures = draw(summary)
    pictures = {name: png(figure) for name, figure in figures.items()}
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(picture)
    text = "\n".join(_markdown_lines(summary, figures)) + "\n"
    (folder / "summary.md").write_text(text, encoding="utf-8")
    (folder / "summary.html").write_text(page(summary, pictures), encoding="utf-8")
    (folder / "summary.json").write_text(
        json.dumps(_plain(summary), indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )


def _plain(summary: Summary) -> dict[str, object]:
    """The report for machines."""
    compared = summary.compared
    tables = {"sets": summary.sets.reset_index(), "auxiliaries": compared.auxiliaries, "type_heads": compared.heads}
    tables |= {"foretold": compared.foretold, "foretold_points": compared.points, "seeds": compared.seeds}
    tables |= {"groups": summary.groups}
    return {
        "headline": headline(summary),
        "main_task": summary.main_task,
        "compared": summary.axis,
        "base": compared.base,
        "test_videos": compared.n_videos,
        "budget": summary.budget,
        "warnings": list(summary.warnings),
        "not_finished": design.failures(summary.runs),
        **{name: json.loads(table.to_json(orient="records", double_precision=15)) for name, table in tables.items()},
    }


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
.headline { font-weight: 600; } .warning { background: #f2f2f2; border-left: 4px solid #555; padding: .4rem .8rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: .25rem .45rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th:first-child, td:first-child, td.word { text-align: left; } th { border-bottom: 2px solid #666; }
td { white-space: nowrap; } td.sentence { white-space: normal; min-width: 22rem; }
img { max-width: 100%; display: block; margin: 1rem 0; }
"""


def page(summary: Summary, pictures: Mapping[str, bytes]) -> str:
    """The report as one HTML page that needs nothing else.

    Parameters
    ----------
    summary : Summary
    pictures : mapping of str to bytes
        PNGs by name; they stand in the page itself.
    """
    title = f"Which auxiliary tasks help {summary.main_task}?"
    if summary.axis != "tasks":
        title = f"What {summary.axis} does to {summary.main_task}"
    body = [f"<h1>{html.escape(title)}</h1>", f'<p class="headline">{html.escape(headline(summary))}</p>']
    for section in sections(summary):
        body.append(f"<h2>{html.escape(section.title)}</h2>")
        body += [html_table(section.words)] if section.words is not None else []
        if section.title == "Warnings":
            body += [f'<p class="warning">{html.escape(line)}</p>' for line in section.lines]
        elif section.lines:
            body.append(f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in section.lines)}</ul>")
        for name in section.figures:
            if name in pictures:
                data = base64.b64encode(pictures[name]).decode("ascii")
                width = int.from_bytes(pictures[name][16:20], "big") * SHOWN_SIZE
                label = html.escape(name.replace("_", " "))
                body.append(f'<img width="{width:.0f}" alt="{label}" src="data:image/png;base64,{data}">')
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


# --- one run ----------------------------------------------------------------------------------------------------------


def task_table(scores: Mapping[str, Score], tasks: Sequence[str]) -> pd.DataFrame:
    """Scores by task.

    Returns
    -------
    DataFrame
        Tasks as index; `auc`, `low`, `high`, `average_precision`,
        `balanced_accuracy`, `f1`, and `reason` where the AUC is undefined or
        leaves something out.
    """
    rows = []
    for task in tasks:
        auc = scores.get(f"auc/{task}", Score(float("nan")))
        row: dict[str, object] = {"task": task, "auc": auc.value, "low": auc.low, "high": auc.high}
        row |= {name: scores[f"{name}/{task}"].value for name in SCORES[1:] if f"{name}/{task}" in scores}
        rows.append(row | {"reason": auc.reason})
    return pd.DataFrame(rows, columns=["task", "auc", "low", "high", *SCORES[1:], "reason"]).set_index("task")


def pair_table(relations: Mapping[str, Relation], tasks: Sequence[str]) -> pd.DataFrame:
    """Relations by pair of tasks.

    Returns
    -------
    DataFrame
        ``<a>_vs_<b>`` as index, one column per measure. A directed measure has
        two: ``<measure>`` from a to b, ``<measure> (back)`` from b to a. A symmetric
        one with a null has ``<measure> (null)`` beside it.
    """
    named = pairs(tasks)
    columns: dict[str, list[float]] = {}
    for name, relation in relations.items():
        matrix = np.asarray(relation.values)
        columns[name] = [matrix[a, b] for _, a, b in named]
        if not np.allclose(matrix, matrix.T, equal_nan=True):
            columns[f"{name} (back)"] = [matrix[b, a] for _, a, b in named]
        if relation.null is not None and not relation.directed:
            columns[f"{name} (null)"] = [relation.null.values[a, b] for _, a, b in named]
    return pd.DataFrame(columns, index=pd.Index([name for name, _, _ in named], name="pair"))


def run_tables(result: Result) -> list[RenderableType]:
    """What one run found, for a terminal: scores by task, relations by pair, and notes."""
    tasks = task_table(result.scores, result.tasks)
    written = pd.DataFrame(index=tasks.index)
    written["AUC"] = [number(value) for value in tasks["auc"]]
    written[INTERVAL] = [interval(low, high) for low, high in zip(tasks["low"], tasks["high"], strict=True)]
    for name in SCORES[1:]:
        written[name.replace("_", " ").replace("f1", "F1")] = [number(value) for value in tasks[name]]
    shown: list[RenderableType] = [terminal_table("Test scores", written)]
    if len(result.tasks) > 1 and result.relations:
        written = _pairs_written(result.relations, result.tasks)
        for i in range(0, written.shape[1], PAIRS_SIDE_BY_SIDE):
            shown.append(terminal_table("Relations of pairs", written.iloc[:, i : i + PAIRS_SIDE_BY_SIDE]))
    notes = {f"auc of {task}": reason for task, reason in tasks["reason"].items() if reason}
    notes |= {name: each.reason for name, each in result.relations.items() if each.reason and len(result.tasks) > 1}
    return [*shown, *(Text(f"{name}: {reason}", style="dim") for name, reason in notes.items())]


def _pairs_written(relations: Mapping[str, Relation], tasks: Sequence[str]) -> pd.DataFrame:
    """Measures down, pairs across."""
    words = pair_table(relations, tasks).map(number).T
    words.index = pd.Index([str(name).replace("_", " ") for name in words.index], name="measure")
    return words


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")


# --- the command ------------------------------------------------------------------------------------------------------


def tracked_runs(what: str, uri: str, experiment: str) -> tuple[list[TrackedRun], Downloads | None]:
    """The runs that are meant, in the order of launch, and where their artifacts are to be had.

    Parameters
    ----------
    what : str
        Folder of a sweep, id of its own run, or name of an experiment.
    uri : str
        Of the MLflow store.
    experiment : str
        That holds the sweep, where an id is given.

    Raises
    ------
    Mistake
        If there is nothing of the kind.
    """
    from mtl.tracking import MLflowTracking

    folder = Path(what).absolute()
    if folder.is_dir() and journal.journals(folder):  # else a folder that is called as an experiment is
        found = journal.recorded(folder)
        where, tracking = f"recorded in {what}", None
    elif re.fullmatch("[0-9a-f]{32}", what):
        tracking = MLflowTracking(uri, experiment, None, timeout_s=STORE_TIMEOUT_S)
        found = tracking.runs(parent=what)
        where = f"below run {what} in experiment '{experiment}' of {uri}; --experiment and --uri say where to look"
    else:
        tracking = MLflowTracking(uri, what, None, timeout_s=STORE_TIMEOUT_S)
        found = tracking.runs()
        where = f"recorded in a folder '{what}' or in an experiment of that name in {uri}; --uri says where to look"
    jobs = [_told(run) for run in journal.in_order(found) if run.tags.get("sweep") != "parent"]
    if not jobs:
        raise Mistake(f"No run is {where}.")
    return jobs, tracking


def _told(run: TrackedRun) -> TrackedRun:
    """The run, KILLED where its process died without a word."""
    dead = run.status == "RUNNING" and journal.is_dead(run.tags)
    return replace(run, status="KILLED", tags={**run.tags, journal.FAILURE: journal.NO_WORD}) if dead else run


def _main_task(runs: Sequence[TrackedRun]) -> str:
    """What the runs are judged by."""
    found = list(dict.fromkeys(run.params["main_task"] for run in runs if "main_task" in run.params))
    if len(found) != 1:
        raise Mistake(f"The runs' main tasks are {found}: --main-task says which one is meant.")
    return found[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: ``python -m mtl.report WHAT``."""
    parser = argparse.ArgumentParser(
        prog="python -m mtl.report", description="A sweep's table and figures again, from what was tracked."
    )
    parser.add_argument("what", help="id of the sweep's own run, its folder, or the name of an experiment")
    parser.add_argument("--uri", default="sqlite:///mlflow.db", help="MLflow store (default %(default)s)")
    parser.add_argument("--experiment", default="mtl", help="that holds the sweep of that id (default %(default)s)")
    parser.add_argument("--main-task", help="what is compared, where runs differ in it")
    parser.add_argument("--to", type=Path, help="folder to write to (default report/WHAT)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        runs, tracking = tracked_runs(options.what, options.uri, options.experiment)
        summary = summarise(runs, options.main_task or _main_task(runs), tracking)
    except Mistake as mistake:
        show(str(mistake))
        return 1
    for shown in sweep_tables(summary):
        show(shown)
    folder = options.to or Path("report") / Path(options.what).name
    write_summary(folder, summary)
    show(str(folder / "summary.html"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
