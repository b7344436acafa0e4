"""Tables of one run and of a sweep, made from what was tracked and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mtl import plots
from mtl.trace import Relation, Result, Score, pairs

# Never axes of a comparison: seeds are averaged over, the others follow from the choices.
NO_AXIS = ("seed", "cut")
STATUSES = ("FINISHED", "FAILED", "KILLED", "RUNNING")
SCORES = ("auc", "average_precision", "balanced_accuracy", "f1")
LONGEST_DESCRIPTION = 7500  # MLflow cuts a description at 8,000 characters
NOTHING = "–"
INTERVAL = "95\N{NO-BREAK SPACE}% interval"
PAIRS_SIDE_BY_SIDE = 6  # all pairs of four tasks fit into 80 columns


class TrackedRun(Protocol):
    """What is needed of a tracked run."""

    @property
    def id(self) -> str:
        """Where it is tracked."""

    @property
    def name(self) -> str:
        """The task set, then what else was set by ``key=value``."""

    @property
    def status(self) -> str:
        """FINISHED, FAILED, KILLED or RUNNING."""

    @property
    def params(self) -> Mapping[str, str]:
        """Parameters as text."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Last values."""

    @property
    def tags(self) -> Mapping[str, str]:
        """`failure` says why it failed."""


# --- a sweep ----------------------------------------------------------------------------------------------------------


def axes(runs: Sequence[TrackedRun]) -> list[str]:
    """Parameters in which runs differ, `tasks` first: together they name a row of the summary.

    A parameter below a group (``weighting.temperature``) counts only where it is
    not a consequence of the group's choice and the task set.
    """
    settings = [_setting(run) for run in runs]
    keys = dict.fromkeys(key for setting in settings for key in setting)
    differing = [key for key in keys if len({setting[key] for setting in settings if key in setting}) > 1]
    groups = [key for key in differing if key not in NO_AXIS and not key.startswith("task.") and "." not in key]
    free = [
        key
        for key in differing
        if "." in key and not key.startswith("task.") and not _follows(settings, key, ("tasks", key.split(".")[0]))
    ]
    return ["tasks", *sorted({*groups, *free} - {"tasks"})]


def runs_table(runs: Sequence[TrackedRun]) -> pd.DataFrame:
    """One row per run, in the order given: what every summary is made from.

    Returns
    -------
    DataFrame
        `set` names the run's row in the summary: the task set, and the values of
        what else was swept. Then `seed`, `status`, `counts` (whether the summary
        counts it: the last finished run of its set and seed), `run_id`, `name`,
        `failure`, one column per axis, and every metric under its own name.
    """
    keys = axes(runs)
    rows = []
    for run in runs:
        setting = {key: _setting(run).get(key, "") for key in [*keys, "seed"]}
        row: dict[str, object] = {"set": _label(keys, setting), "seed": setting["seed"], "status": run.status}
        row |= {"counts": False, "run_id": run.id, "name": run.name, "failure": _failure(run)}
        rows.append(row | setting | dict(run.metrics))
    columns = ["set", "seed", "status", "counts", "run_id", "name", "failure", *keys]
    table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    finished = table[table["status"] == "FINISHED"]
    table.loc[finished.drop_duplicates(["set", "seed"], keep="last").index, "counts"] = True
    return table


def summarise(runs: Sequence[TrackedRun], main_task: str) -> pd.DataFrame:
    """AUCs by task set, in the order the sets were launched.

    Parameters
    ----------
    runs : sequence of TrackedRun
        Jobs of a sweep, first started first.
    main_task : str

    Returns
    -------
    DataFrame
        The index is the `set` of `runs_table`. `seeds` counts the runs that count
        and have the main task's AUC; ``auc/<main_task>`` is their mean, `sd` their
        standard deviation, NaN for one; `low` and `high` are the mean ends of the
        runs' own intervals over videos, which say nothing about seeds.
        ``auc/<task>`` of the other tasks, and one count per status follow.
    """
    table = runs_table(runs)
    main = f"auc/{main_task}"
    others = [str(name) for name in table.columns if str(name).startswith("auc/") and name != main]
    rows = []
    for name, group in table.groupby("set", sort=False):
        counting = group[group["counts"].astype(bool)]
        values = _column(counting, main)
        row: dict[str, object] = {
            "set": name,
            "seeds": int(values.notna().sum()),
            main: values.mean(),
            "sd": values.std(),
        }
        row |= {end: _column(counting, f"auc_{end}/{main_task}").mean() for end in ("low", "high")}
        row |= {other: _column(counting, other).mean() for other in others}
        rows.append(row | {status.lower(): int((group["status"] == status).sum()) for status in STATUSES})
    columns = ["set", "seeds", main, "sd", "low", "high", *others, *(status.lower() for status in STATUSES)]
    return pd.DataFrame(rows, columns=columns).set_index("set")


def failures(runs: Sequence[TrackedRun]) -> list[str]:
    """One line for every run that did not finish, with the reason."""
    return [f"{run.name}: {run.status.lower()}, {_failure(run)}" for run in runs if run.status != "FINISHED"]


def summary_table(summary: pd.DataFrame) -> Table:
    """The summary for a terminal."""
    return _rich("AUC by task set", _written(summary))


def markdown(summary: pd.DataFrame, runs: Sequence[TrackedRun]) -> str:
    """The summary as a sweep's description: headline, table, and what did not finish.

    It is cut between two lines where MLflow would cut it anywhere.
    """
    lines = [headline(summary), "", *_markdown(_written(summary)), ""]
    lines += [_footnote(summary)] if len(summary) else []
    unfinished = failures(runs)
    lines += ["", "**Not finished**", "", *(f"* {_escaped(line)}" for line in unfinished)] if unfinished else []
    kept: list[str] = []
    for line in lines:
        if sum(map(len, kept)) + len(kept) + len(line) > LONGEST_DESCRIPTION:
            kept.append("\n… the rest is in the artifact `summary.md`.")
            break
        kept.append(line)
    return "\n".join(kept)


def headline(summary: pd.DataFrame) -> str:
    """How many runs there are, and where the main task's AUC is highest."""
    counted = {status.lower(): int(summary[status.lower()].sum()) for status in STATUSES}
    parts = [f"{n} {status}" for status, n in counted.items() if n]
    line = f"{_plural(len(summary), 'setting')}, {_plural(sum(counted.values()), 'run')}"
    line += f": {', '.join(parts)}." if parts else "."
    main = _main(summary)
    if summary[main].notna().any():
        best = summary[main].astype(float).idxmax()
        line += f" Highest {main.replace('/', ' of ', 1).replace('auc', 'AUC', 1)}: {summary[main].max():.3f} ({best})."
    return line


def write_summary(folder: Path, summary: pd.DataFrame, runs: Sequence[TrackedRun], main_task: str) -> None:
    """Write ``summary.csv``, ``summary.md``, ``runs.csv`` and ``auc_by_set.png`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    summary.to_csv(folder / "summary.csv")
    table = runs_table(runs)
    table.to_csv(folder / "runs.csv", index=False)
    (folder / "summary.md").write_text(_whole_markdown(summary, runs), encoding="utf-8")
    if len(summary):
        intervals = {
            str(name): (row["low"], row["high"]) for name, row in summary.iterrows() if np.isfinite(row["low"])
        }
        table["value"] = _column(table, f"auc/{main_task}").where(table["counts"].astype(bool))
        values = {str(name): group["value"].tolist() for name, group in table.groupby("set", sort=False)}
        figure = plots.auc_by_set(values, intervals, f"AUC of {main_task}")
        figure.savefig(folder / "auc_by_set.png")


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
        two: ``<measure>`` from a to b, ``<measure> (back)`` from b to a.
    """
    named = pairs(tasks)
    columns: dict[str, list[float]] = {}
    for name, relation in relations.items():
        matrix = np.asarray(relation.values)
        columns[name] = [matrix[a, b] for _, a, b in named]
        if not np.allclose(matrix, matrix.T, equal_nan=True):
            columns[f"{name} (back)"] = [matrix[b, a] for _, a, b in named]
    return pd.DataFrame(columns, index=pd.Index([name for name, _, _ in named], name="pair"))


def run_tables(result: Result) -> list[RenderableType]:
    """What one run found, for a terminal: scores by task, relations by pair, and notes."""
    tasks = task_table(result.scores, result.tasks)
    written = pd.DataFrame(index=tasks.index)
    written["AUC"] = [_number(value) for value in tasks["auc"]]
    written[INTERVAL] = [_interval(low, high) for low, high in zip(tasks["low"], tasks["high"], strict=True)]
    for name in SCORES[1:]:
        written[name.replace("_", " ").replace("f1", "F1")] = [_number(value) for value in tasks[name]]
    shown: list[RenderableType] = [_rich("Test scores", written)]
    if len(result.tasks) > 1 and result.relations:
        written = _pairs_written(result.relations, result.tasks)
        for i in range(0, written.shape[1], PAIRS_SIDE_BY_SIDE):
            shown.append(_rich("Relations of pairs", written.iloc[:, i : i + PAIRS_SIDE_BY_SIDE]))
    notes = {f"auc of {task}": reason for task, reason in tasks["reason"].items() if reason}
    notes |= {name: each.reason for name, each in result.relations.items() if each.reason and len(result.tasks) > 1}
    return [*shown, *(Text(f"{name}: {reason}", style="dim") for name, reason in notes.items())]


# --- parts ------------------------------------------------------------------------------------------------------------


def _setting(run: TrackedRun) -> dict[str, str]:
    """Parameters of a run; of one that failed before it had any, what its name says."""
    first, *others = run.name.split(" ") if run.name else [""]
    named = dict(word.split("=", 1) for word in others if "=" in word)
    by_name = {key.lstrip("+"): value for key, value in named.items()} | ({} if "=" in first else {"tasks": first})
    tagged = {"tasks": run.tags["tasks"]} if "tasks" in run.tags else {}
    return {"tasks": "", **(by_name if not run.params else {}), **tagged, **run.params}


def _follows(settings: Sequence[Mapping[str, str]], key: str, given: Sequence[str]) -> bool:
    """Whether the key has one value for every combination of the given ones."""
    seen: dict[tuple, str] = {}
    for setting in settings:
        if key in setting and seen.setdefault(tuple(setting.get(each) for each in given), setting[key]) != setting[key]:
            return False
    return True


def _label(keys: Sequence[str], setting: Mapping[str, str]) -> str:
    """Name of a row: the task set, then what else differs."""
    return ", ".join([setting["tasks"], *(f"{key}={setting[key]}" for key in keys if key != "tasks")])


def _failure(run: TrackedRun) -> str:
    """Why a run did not finish, in one line."""
    silent = {"RUNNING": "still going on", "KILLED": "interrupted", "FINISHED": ""}
    return " ".join(run.tags.get("failure", "").split()) or silent.get(run.status, "no reason given")


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    """The column as numbers, NaN where no run has it."""
    return table[name].astype(float) if name in table else pd.Series(np.nan, table.index)


def _main(summary: pd.DataFrame) -> str:
    return next(str(name) for name in summary.columns if str(name).startswith("auc/"))


def _written(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary as words, without columns that say nothing."""
    main = _main(summary)
    words = pd.DataFrame(index=summary.index)
    words["seeds"] = summary["seeds"].astype(str)
    words[f"AUC {main.removeprefix('auc/')}"] = [_number(value) for value in summary[main]]
    if (summary["seeds"] > 1).any():
        words["sd"] = [_number(value) for value in summary["sd"]]
    if summary["low"].notna().any():
        words[INTERVAL] = [_interval(low, high) for low, high in zip(summary["low"], summary["high"], strict=True)]
    for name in summary.columns:
        if str(name).startswith("auc/") and name != main:
            words[f"AUC {str(name).removeprefix('auc/')}"] = [_number(value) for value in summary[name]]
    words["status"] = [
        ", ".join(f"{n} {status.lower()}" for n, status in zip(counts, STATUSES, strict=True) if n)
        for counts in summary[[status.lower() for status in STATUSES]].to_numpy(dtype=int)
    ]
    return words


def _pairs_written(relations: Mapping[str, Relation], tasks: Sequence[str]) -> pd.DataFrame:
    """Measures down, pairs across."""
    words = pair_table(relations, tasks).map(_number).T
    words.index = pd.Index([str(name).replace("_", " ") for name in words.index], name="measure")
    return words


def _whole_markdown(summary: pd.DataFrame, runs: Sequence[TrackedRun]) -> str:
    unfinished = [f"* {_escaped(line)}" for line in failures(runs)]
    lines = [headline(summary), "", *_markdown(_written(summary)), "", _footnote(summary)]
    return "\n".join([*lines, "", "**Not finished**", "", *unfinished] if unfinished else lines) + "\n"


def _footnote(summary: pd.DataFrame) -> str:
    several = bool((summary["seeds"] > 1).any())
    spread = "means over seeds, `sd` between them; " if several else ""
    return f"AUC of the test frames: {spread}the interval is the runs' own interval over videos."


def _markdown(words: pd.DataFrame) -> list[str]:
    names = [str(words.index.name), *map(str, words.columns)]
    rows = [[str(index), *map(str, row)] for index, row in zip(words.index, words.to_numpy(), strict=True)]
    head = [f"| {' | '.join(map(_escaped, names))} |", f"|{' --- |' * len(names)}"]
    return head + [f"| {' | '.join(map(_escaped, row))} |" for row in rows]


def _rich(title: str, words: pd.DataFrame) -> Table:
    """A table that fits into 80 columns where it can: heads stand in narrow lines, numbers are never broken."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    longest = max((len(word) for name in words.index for word in str(name).split()), default=1)
    table.add_column(Text(str(words.index.name)), overflow="fold", min_width=min(longest, 24))
    for name in words.columns:
        is_number = bool(words[name].map(lambda cell: " " not in cell).all())
        head = Text(str(name).replace("_vs_", "\N{NO-BREAK SPACE}/ ").replace("_", "_\n").replace(" ", "\n"))
        table.add_column(head, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for index, row in zip(words.index, words.to_numpy(), strict=True):
        table.add_row(*(Text(str(cell)) for cell in [index, *row]))
    return table


def _escaped(text: str) -> str:
    """Text that is no markup in a Markdown table."""
    return "".join(f"\\{sign}" if sign in r"\|*`<[" else sign for sign in text)


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else NOTHING


def _interval(low: float, high: float) -> str:
    return f"{low:.3f}–{high:.3f}" if np.isfinite(low) and np.isfinite(high) else NOTHING


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
