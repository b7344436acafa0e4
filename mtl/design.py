"""What the runs of a sweep were: which axes it turned, which tasks they trained, and what makes them comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mtl.groups import best_groups
from mtl.journal import TrackedRun
from mtl.trace import Relation, directions, pairs

# Never axes of a comparison: seeds are averaged over, the others follow from the choices.
NO_AXIS = ("seed", "cut")
# What may differ between the runs of a comparison: the sets themselves, and what changes no score.
MAY_DIFFER = ("tasks", "seed", "task.", "relations", "probes", "evaluation")
RESAMPLES, RESAMPLING_SEED = 2000, 0  # where the runs do not say with how many they were scored
COMMIT = "mlflow.source.git.commit"


def axes(runs: Sequence[TrackedRun]) -> list[str]:
    """Parameters in which runs differ, `tasks` first: together they name a row of the summary.

    A parameter below a group (``weighting.temperature``) counts only where it is
    not a consequence of the group's choice and the task set.
    """
    settings = [setting_of(run) for run in runs]
    keys = dict.fromkeys(key for setting in settings for key in setting if not _is_seed(settings, key))
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
        setting = {key: setting_of(run).get(key, "") for key in [*keys, "seed"]}
        row: dict[str, object] = {"set": _label(keys, setting), "seed": setting["seed"], "status": run.status}
        row |= {"counts": False, "run_id": run.id, "name": run.name, "failure": _failure(run)}
        rows.append(row | setting | dict(run.metrics))
    columns = ["set", "seed", "status", "counts", "run_id", "name", "failure", *keys]
    table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    finished = table[table["status"] == "FINISHED"]
    table.loc[finished.drop_duplicates(["set", "seed"], keep="last").index, "counts"] = True
    return table


def failures(runs: Sequence[TrackedRun]) -> list[str]:
    """One line for every run that did not finish, with the reason."""
    return [f"{run.name}: {run.status.lower()}, {_failure(run)}" for run in runs if run.status != "FINISHED"]


def tasks_of(run: TrackedRun) -> frozenset[str]:
    """Tasks that the run trained."""
    return frozenset(
        key.removeprefix("task.") for key, on in run.params.items() if key.startswith("task.") and on == "1"
    )


def controls_of(run: TrackedRun) -> set[str]:
    """Tasks of random labels: those that have a chance of a yes and no classes."""
    parts = [key.split(".") for key in run.params if key.startswith("tasks.")]
    return {part[1] for part in parts if part[2:] == ["probability"]} - {part[1] for part in parts if "classes" in part}


def measures_of(run: TrackedRun, main_task: str, tasks: frozenset[str]) -> dict[tuple[str, str], float]:
    """Tracked relations of every auxiliary with the main task; of a directed measure what the auxiliary does to it."""
    found = {}
    for auxiliary in sorted(tasks - {main_task}):
        names = {pairs([auxiliary, main_task])[0][0], f"{auxiliary}_to_{main_task}"}
        for key, value in run.metrics.items():
            measure, _, pair = key.partition("/")
            if pair in names and not measure.endswith("_null"):
                found[measure, auxiliary] = value
    return found


def mean_relations(
    runs: Sequence[TrackedRun], table: pd.DataFrame, keys: Sequence[str], axis: str
) -> dict[str, tuple[tuple[str, ...], dict[str, Relation]]]:
    """By setting: tasks of the largest set, and its relations as means over seeds, their deviation as spread."""
    groups: dict[str, list[TrackedRun]] = {}
    for run, row in zip(runs, table.to_dict("records"), strict=True):
        setting = ", ".join(f"{key}={row[key]}" for key in keys if key not in ("tasks", axis))
        groups.setdefault(setting, []).append(run)
    found = {}
    for setting, members in groups.items():
        largest = max((tasks_of(run) for run in members), key=len)
        tasks = tuple(sorted(largest))
        alike = [run for run in members if tasks_of(run) == largest]
        if axis != "tasks":
            alike = [run for run in alike if setting_of(run).get(axis) == setting_of(alike[0]).get(axis)]
        relations = _relation_means([run.metrics for run in alike], tasks)
        if relations and len(tasks) > 1:
            found[setting] = (tasks, relations)
    return found


def _relation_means(metrics: Sequence[Mapping[str, float]], tasks: Sequence[str]) -> dict[str, Relation]:
    """Every measure that was tracked for pairs of the tasks, with its null."""
    symmetric = {name: [(a, b), (b, a)] for name, a, b in pairs(tasks)}
    directed = {name: [(a, b)] for name, a, b in directions(tasks)}
    cells: dict[str, dict[tuple[int, int], list[float]]] = {}
    has_direction = set()
    for row in metrics:
        for key, value in row.items():
            measure, _, pair = key.partition("/")
            for place in [*symmetric.get(pair, []), *directed.get(pair, [])]:
                cells.setdefault(measure, {}).setdefault(place, []).append(value)
                has_direction |= {measure} if pair in directed else set()
    found = {}
    for measure, values in cells.items():
        mean, spread = np.full((2, len(tasks), len(tasks)), np.nan)
        for place, numbers in values.items():
            mean[place] = np.mean(numbers)
            spread[place] = np.std(numbers, ddof=1) if len(numbers) > 1 else np.nan
        found[measure] = Relation(mean, spread=spread, directed=measure in has_direction)
    nulls = {name: found.pop(name) for name in list(found) if name.endswith("_null")}
    return {name: replace(one, null=nulls.get(f"{name}_null")) for name, one in found.items()}


def groupings(runs: Sequence[TrackedRun], table: pd.DataFrame, keys: Sequence[str], axis: str) -> pd.DataFrame:
    """The best groups of tasks, one network each, by the AUCs that the runs' sets have.

    Groups may overlap: a task is taken from one network and may help in others. Sets
    with a control are left out, as nobody wants its score.

    Parameters
    ----------
    runs : sequence of TrackedRun
        Those that count.
    table : DataFrame
        Their rows of `runs_table`.
    keys : sequence of str
        See `axes`.
    axis : str
        What is compared.

    Returns
    -------
    DataFrame
        By `setting` and `at_most` so many networks, as long as one more gains: `groups`
        (lists of tasks), `taken_from` (by task the position of its group), `score` (mean
        AUC over tasks) and `scores` (by task); `sets`, how many were measured.
    """
    measured: dict[str, dict[frozenset[str], list[TrackedRun]]] = {}
    for run, row in zip(runs, table.to_dict("records"), strict=True):
        setting = ", ".join(f"{key}={row[key]}" for key in keys if key not in ("tasks", axis))
        if tasks_of(run) and not controls_of(run) and axis == "tasks":
            measured.setdefault(setting, {}).setdefault(tasks_of(run), []).append(run)
    rows = []
    for setting, sets in measured.items():
        tasks = sorted(frozenset().union(*sets), key=lambda task: (-sum(task in members for members in sets), task))
        scores = {
            members: {
                task: float(np.mean([run.metrics.get(f"auc/{task}", np.nan) for run in alike])) for task in members
            }
            for members, alike in sets.items()
        }
        before: tuple[tuple[str, ...], ...] = ()
        for at_most in range(1, len(tasks) + 1 if len(sets) > 1 else 1):
            try:
                best = best_groups(tasks, scores, at_most, overlap=True)
            except ValueError:  # so few networks do not hold all tasks, or the tasks are too many
                continue
            if best.groups == before:
                break
            before = best.groups
            groups = [list(group) for group in best.groups]
            found = (setting, at_most, groups, dict(best.served_by), best.score, dict(best.scores), len(sets))
            rows.append(found)
    return pd.DataFrame(rows, columns=["setting", "at_most", "groups", "taken_from", "score", "scores", "sets"])


def resampling(runs: Sequence[TrackedRun]) -> tuple[int, int]:
    """Resamples and their seed, as the runs were scored themselves."""
    params = runs[0].params if runs else {}
    return (
        int(params.get("evaluation.resamples", RESAMPLES)),
        int(params.get("evaluation.seed", RESAMPLING_SEED)),
    )


def budget(runs: Sequence[TrackedRun]) -> str:
    """How long the runs were trained, and whether all alike."""
    names = ("training.epochs", "training.batch_size", "training.early_stopping")
    found = {tuple(run.params[name] for name in names) for run in runs if all(name in run.params for name in names)}
    if len(found) != 1:
        return "The training budgets differ: see the warnings." if found else ""
    epochs, size, stops = found.pop()
    same = f"{epochs} epochs at batch size {size}"
    if stops.lower() == "false":
        return f"Equal training budget: every run had {same}, and its last epoch counts."
    chosen = sorted(int(run.metrics["epoch/chosen"]) for run in runs if "epoch/chosen" in run.metrics)
    which = f" (epochs {chosen[0]} to {chosen[-1]})" if chosen and chosen[0] < chosen[-1] else ""
    return (
        f"Equal upper limit of the training budget: {same}; every run keeps its best epoch on validation{which}. "
        "training=fixed_epochs gives all of them the same number of steps."
    )


def unfair(runs: Sequence[TrackedRun], keys: Sequence[str], axis: str) -> list[str]:
    """Parameters, other than what is compared, in which a set differs from the first one of its setting."""
    groups: dict[tuple[str, ...], dict[str, list[Mapping[str, str]]]] = {}
    for run in runs:
        setting = setting_of(run)
        place = tuple(setting.get(key, "") for key in keys if key not in ("tasks", axis))
        groups.setdefault(place, {}).setdefault(setting.get(axis, ""), []).append(setting)
    said: dict[str, list[str]] = {}
    for arms in groups.values():
        (first, reference), *others = arms.items()
        for arm, settings in others:
            for key in reference[0]:
                if _may_differ(key, axis):
                    continue
                values = [
                    list(dict.fromkeys(each[key] for each in some if key in each and each[key] != each.get("seed")))
                    for some in (settings, reference)
                ]
                if all(values) and set(values[0]) != set(values[1]):
                    there, here = (" and ".join(each) for each in values)
                    said.setdefault(key, []).append(f"{there} in {arm} but {here} in {first}")
    return [
        f"The runs differ in {key} too, so a difference may come from there: {'; '.join(dict.fromkeys(which))}."
        for key, which in said.items()
    ]


def _may_differ(key: str, axis: str) -> bool:
    """Whether the parameter is what is compared, follows from it, or changes no score; a task's definition does."""
    if key.startswith("tasks."):
        return False
    return key.startswith(MAY_DIFFER) or key == axis or key.startswith(f"{axis}.")


def versions(runs: Sequence[TrackedRun]) -> list[str]:
    """A line where the runs come from several versions of the code."""
    commits = list(dict.fromkeys(run.tags[COMMIT][:8] for run in runs if COMMIT in run.tags))
    return (
        [f"The runs come from {len(commits)} versions of the code: {', '.join(commits)}."] if len(commits) > 1 else []
    )


def setting_of(run: TrackedRun) -> dict[str, str]:
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


def _is_seed(settings: Sequence[Mapping[str, str]], key: str) -> bool:
    """Whether a part's seed is the run's seed in every run."""
    return key.endswith(".seed") and all(each.get(key, each.get("seed")) == each.get("seed") for each in settings)
