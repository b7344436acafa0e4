"""What the runs of a sweep were: which axes it turned, which tasks they trained, and what makes them comparable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mtl.groups import best_groups
from mtl.journal import CODE, DATA, TrackedRun
from mtl.trace import Relation, directions, pairs

# Never axes of a comparison: seeds are averaged over, the others follow from the choices.
NO_AXIS = ("seed", "cut")
# What may differ between the runs of a comparison: the sets themselves, and what changes no score.
MAY_DIFFER = ("tasks", "seed", "task.", "relations", "probes", "evaluation")
RESAMPLES, RESAMPLING_SEED = 2000, 0  # where the runs do not say with how many they were scored


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


def settled(runs: Sequence[TrackedRun]) -> list[TrackedRun]:
    """The runs without those that a later one of the same set and seed has made up for.

    Several sweeps of an experiment hold a set and seed more than once: as the run
    that was trained and as rows that reuse it, or killed first and finished later.
    The last finished one stays, and what came to no end after it; where none
    finished, the last.
    """
    places = list(zip(*(runs_table(runs)[key] for key in ("set", "seed")), strict=True))
    last: dict[tuple[str, str], int] = {}
    for i, (run, place) in enumerate(zip(runs, places, strict=True)):
        if run.status == "FINISHED" or place not in last or runs[last[place]].status != "FINISHED":
            last[place] = i
    return [run for i, (run, place) in enumerate(zip(runs, places, strict=True)) if i >= last[place]]


def one_per_set(runs: Sequence[TrackedRun]) -> list[str]:
    """Id of the first run of every set that the summary counts."""
    table = runs_table(runs)
    return table[table["counts"].astype(bool)].drop_duplicates("set")["run_id"].tolist()


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


def budget(runs: Sequence[TrackedRun], keys: Sequence[str], axis: str) -> str:
    """How long the runs were trained, and whether all alike."""
    names = ("training.epochs", "training.batch_size", "training.early_stopping")

    def budgets(settings: Iterable[Mapping[str, str]]) -> set[tuple[str, ...]]:
        return {tuple(each[name] for name in names) for each in settings if all(name in each for name in names)}

    found = budgets(run.params for run in runs)
    if len(found) != 1:
        places = [[each for arm in arms.values() for each in arm] for arms in _by_place(runs, keys, axis).values()]
        if not found:
            return ""
        if axis.split(".")[0] == "training":
            return "The training budgets differ: they are what is compared."
        if all(len(budgets(settings)) <= 1 for settings in places):
            return "The training budgets differ between settings, and are equal for all runs within one."
        return "The training budgets differ: see the warnings."
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


def unfair(runs: Sequence[TrackedRun], keys: Sequence[str], axis: str, base: str) -> list[str]:
    """What makes a comparison unfair or impossible, in lines that name the differences.

    Parameters
    ----------
    runs : sequence of TrackedRun
    keys : sequence of str
        See `axes`.
    axis : str
        The one of them that is compared.
    base : str
        Its value that the others are compared with.
    """
    places = _by_place(runs, keys, axis)
    said: dict[str, list[str]] = {}
    for arms in places.values():
        (first, reference), *others = arms.items()
        for arm, settings in others:
            for key, (there, here) in _differences(settings, reference, axis).items():
                said.setdefault(key, []).append(f"{there} in {arm} but {here} in {first}")
    return [
        f"The runs differ in {key} too, so a difference may come from there: {'; '.join(dict.fromkeys(which))}."
        for key, which in said.items()
    ] + _without_base(places, axis, base)


def _without_base(places: Mapping[str, Mapping[str, list[Mapping[str, str]]]], axis: str, base: str) -> list[str]:
    """A line per setting that has no run of the base: in what it differs from the nearest one that has."""
    bases = {place: arms[base] for place, arms in places.items() if base in arms}
    lines = []
    for place, arms in places.items():
        if base in arms or not bases:
            continue
        here = [each for settings in arms.values() for each in settings]
        apart = [(name, _differences(here, there, axis)) for name, there in bases.items()]
        nearest, differences = min(apart, key=lambda found: len(found[1]))
        which = ", ".join(f"{key} ({mine} instead of {its})" for key, (mine, its) in differences.items())
        what = "was" if len(arms) == 1 else "were"
        lines.append(
            f"{' and '.join(arms)} {what} not compared with {base}: there is no finished run of {base} with {place}. "
            f"Those with {nearest} differ in {which}, so a difference could come from there."
        )
    return lines


def _by_place(
    runs: Sequence[TrackedRun], keys: Sequence[str], axis: str
) -> dict[str, dict[str, list[Mapping[str, str]]]]:
    """Parameters of the runs by the setting they are compared in, then by what is compared."""
    places: dict[str, dict[str, list[Mapping[str, str]]]] = {}
    for run in runs:
        setting = setting_of(run)
        place = ", ".join(f"{key}={setting.get(key, '')}" for key in keys if key not in ("tasks", axis))
        places.setdefault(place, {}).setdefault(setting.get(axis, ""), []).append(setting)
    return places


def _differences(
    some: Sequence[Mapping[str, str]], others: Sequence[Mapping[str, str]], axis: str
) -> dict[str, tuple[str, str]]:
    """Values by parameter, other than what is compared, in which the two groups of runs differ."""
    found = {}
    for key in sorted(others[0], key=lambda name: "." in name):  # choices first
        if _may_differ(key, axis):
            continue
        mine, its = (
            list(dict.fromkeys(each[key] for each in group if key in each and not _follows_seed(each, key)))
            for group in (some, others)
        )
        if mine and its and set(mine) != set(its):
            found[key] = " and ".join(mine), " and ".join(its)
    return found


def _follows_seed(setting: Mapping[str, str], key: str) -> bool:
    """Whether the value is a part's seed that is the run's."""
    return key.endswith(".seed") and setting[key] == setting.get("seed")


def _may_differ(key: str, axis: str) -> bool:
    """Whether the parameter is what is compared, follows from it, or changes no score; a task's definition does."""
    if key.startswith("tasks."):
        return False
    return key.startswith(MAY_DIFFER) or key == axis or key.startswith(f"{axis}.")


def versions(runs: Sequence[TrackedRun]) -> list[str]:
    """A line where the runs come from several versions of the code that makes results."""
    found = list(dict.fromkeys(run.tags[CODE] for run in runs if CODE in run.tags))
    return [f"The runs come from {len(found)} versions of the code: {', '.join(found)}."] if len(found) > 1 else []


def data_apart(runs: Sequence[TrackedRun], keys: Sequence[str], axis: str) -> list[str]:
    """A line per setting whose runs of one seed read different frames, though their parameters agree.

    What differs in the test frames shows in the predictions; this finds out about
    the frames trained on as well.
    """
    if axis.split(".")[0] == "data":
        return []
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for run in runs:
        setting = setting_of(run)
        place = ", ".join(f"{key}={setting.get(key, '')}" for key in keys if key not in ("tasks", axis))
        if DATA in run.tags:
            by_data = found.setdefault(place, {}).setdefault(setting.get("seed", ""), {})
            by_data.setdefault(run.tags[DATA], []).append(setting.get(axis, ""))
    lines = []
    for place, seeds in found.items():
        apart = {seed: list(by_data.values()) for seed, by_data in seeds.items() if len(by_data) > 1}
        if apart:
            seed, groups = next(iter(apart.items()))
            which = " but not of ".join(" and ".join(dict.fromkeys(arms)) for arms in groups)
            lines.append(
                f"The frames of train, val or test differ between runs{f' ({place})' if place else ''}: with seed "
                f"{seed}, those of {which}. A difference may come from there."
            )
    return lines


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
