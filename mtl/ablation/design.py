"""What the runs of a sweep were: the axes they turn, the tasks they train, the run that counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from mtl.ablation.set_names import with_set_names
from mtl.results import ASKED, BEST, DIVERGED, NUMERICS, TrackedRun, pairs

# Never axes of a comparison: seeds are averaged over, the others follow from the choices.
NO_AXIS = ("seed", "split_point", "cut")
RESAMPLES, RESAMPLING_SEED = 2000, 0  # where the runs do not say with how many they were scored


@dataclass(frozen=True)
class Design:
    """What the runs of a sweep vary, and what of it is compared.

    Attributes
    ----------
    runs : tuple of TrackedRun
        In the order of launch, their sets named by `with_set_names`.
    table : DataFrame
        One row per run, see `runs_table`.
    keys : tuple of str
        See `axes`.
    axis : str
        The one of them that is compared: `tasks`, or the first other axis where there is one set only.
    """

    runs: tuple[TrackedRun, ...]
    table: pd.DataFrame
    keys: tuple[str, ...]
    axis: str

    @property
    def counted(self) -> list[TrackedRun]:
        """The runs that the summary counts."""
        return [run for run, counts in zip(self.runs, self.table["counts"], strict=True) if counts]

    def arm(self, run: TrackedRun) -> str:
        """The run's value on the axis that is compared."""
        return parameters_of(run).get(self.axis, "")

    def condition(self, run: TrackedRun) -> str:
        """The run's values on all other axes; only runs of one condition are compared."""
        parameters = parameters_of(run)
        return ", ".join(f"{key}={parameters.get(key, '')}" for key in self.keys if key not in ("tasks", self.axis))

    def by_condition(self) -> dict[str, list[TrackedRun]]:
        """The runs that count by the condition they are compared in."""
        groups: dict[str, list[TrackedRun]] = {}
        for run in self.counted:
            groups.setdefault(self.condition(run), []).append(run)
        return groups


def design_of(runs: Sequence[TrackedRun]) -> Design:
    """The design of runs that are settled."""
    runs = with_set_names(runs)
    keys, table = axes(runs), runs_table(runs)
    others = sorted(keys[1:], key=lambda key: key == NUMERICS)  # what computed is compared where nothing else differs
    axis = "tasks" if len(set(table["tasks"])) > 1 or not others else others[0]
    return Design(tuple(runs), table, tuple(keys), axis)


def axes(runs: Sequence[TrackedRun]) -> list[str]:
    """Parameters in which runs differ, `tasks` first: together they name a row of the summary.

    A parameter below a group (``weighting.temperature``) counts only where it is
    not a consequence of the group's choice, as asked for or as tracked, and the task set. A choice
    that overrides have made another one's (tag `ASKED`) does not count where it is
    itself a consequence of such parameters: ``freeze.stages=0,2`` is an axis of
    its own, although with 0 the choice is `none`.
    """
    parameters = [parameters_of(run) for run in runs]
    asked = [each | _asked(run) for each, run in zip(parameters, runs, strict=True)]
    keys = dict.fromkeys(key for each in parameters for key in each if not _is_seed(parameters, key))
    differing = [key for key in keys if len({each[key] for each in parameters if key in each}) > 1]
    groups = [key for key in differing if key not in NO_AXIS and not key.startswith("task.") and "." not in key]
    free = [
        key
        for key in differing
        if "." in key
        and not key.startswith("task.")
        and not all(_follows(each, key, ("tasks", *_groups_above(each, key))) for each in (parameters, asked))
    ]
    departed = {group for run in runs for group in _asked(run)}
    told = {group for group in departed.intersection(groups) if _made_by(parameters, group, differing, free)}
    return ["tasks", *sorted({*groups, *free} - {"tasks"} - told)]


def runs_table(runs: Sequence[TrackedRun]) -> pd.DataFrame:
    """One row per run, in the order given: what every summary is made from.

    Returns
    -------
    DataFrame
        `set` names the run's row in the summary: the task set, and the values of
        what else was swept. Then `seed`, `status`, `counts` (whether the summary
        counts it: the last finished run of its set and seed), `run_id`, `name`,
        `failure`, `diverged` (what ceased to be finite and what was kept, else
        empty), one column per axis, and every metric under its own name; of a curve over
        epochs, ``val_auc/<task>``, the value at the kept epoch, ``val_auc_best/<task>``, alone.
    """
    runs = with_set_names(runs)
    keys = axes(runs)
    rows = []
    for run in runs:
        values = {key: parameters_of(run).get(key, "") for key in [*keys, "seed"]}
        row: dict[str, object] = {"set": _label(keys, values), "seed": values["seed"], "status": run.status}
        row |= {"counts": False, "run_id": run.id, "name": run.name, "failure": _failure(run)}
        row |= {"diverged": run.tags.get(DIVERGED, "")}
        rows.append(row | values | _without_curves(run.metrics))
    columns = ["set", "seed", "status", "counts", "run_id", "name", "failure", "diverged", *keys]
    table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    finished = table[table["status"] == "FINISHED"]
    table.loc[finished.drop_duplicates(["set", "seed"], keep="last").index, "counts"] = True
    return table


def _without_curves(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics without the last values of curves over epochs, where the kept epoch's are there instead."""
    replaced = {name.replace(f"{BEST}/", "/", 1) for name in metrics if f"{BEST}/" in name}
    return {name: value for name, value in metrics.items() if name not in replaced}


def settled(runs: Sequence[TrackedRun]) -> list[TrackedRun]:
    """The runs without those that a later one of the same set and seed has made up for.

    Several sweeps of an experiment hold a set and seed more than once: as the run
    that was trained and as rows that reuse it, or killed first and finished later.
    The last finished one stays, and what came to no end after it; where none
    finished, the last.
    """
    table = runs_table(runs)
    cells = list(zip(table["set"], table["seed"], strict=True))
    last: dict[tuple[str, str], int] = {}
    for i, (run, cell) in enumerate(zip(runs, cells, strict=True)):
        if run.status == "FINISHED" or cell not in last or runs[last[cell]].status != "FINISHED":
            last[cell] = i
    return [run for i, (run, cell) in enumerate(zip(runs, cells, strict=True)) if i >= last[cell]]


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
            if pair in names and not measure.endswith("_baseline"):
                found[measure, auxiliary] = value
    return found


def resampling(runs: Sequence[TrackedRun]) -> tuple[int, int]:
    """Resamples and their seed, as the runs were scored themselves."""
    params = runs[0].params if runs else {}
    return (
        int(params.get("evaluation.resamples", RESAMPLES)),
        int(params.get("evaluation.seed", RESAMPLING_SEED)),
    )


def parameters_of(run: TrackedRun) -> dict[str, str]:
    """Parameters of a run; of one that failed before it had any, what its name says.

    Under `numerics` stands what did the arithmetic, where the run says so: runs of unlike
    arithmetic are of unlike conditions, whatever was asked for.
    """
    first, *others = run.name.split(" ") if run.name else [""]
    named = dict(word.split("=", 1) for word in others if "=" in word)
    by_name = {key.lstrip("+"): value for key, value in named.items()} | ({} if "=" in first else {"tasks": first})
    tagged = {"tasks": run.tags["tasks"]} if "tasks" in run.tags else {}
    computed = {NUMERICS: run.tags[NUMERICS]} if NUMERICS in run.tags else {}
    return {"tasks": "", **(by_name if not run.params else {}), **tagged, **run.params, **computed}


def _asked(run: TrackedRun) -> dict[str, str]:
    """By group the choice that was asked for, where overrides made it another one's configuration."""
    return dict(word.split("=", 1) for word in run.tags.get(ASKED, "").split(" ") if "=" in word)


def _made_by(
    parameters: Sequence[Mapping[str, str]], group: str, differing: Sequence[str], free: Sequence[str]
) -> bool:
    """Whether the axes below a group say all of it, in every run."""
    below = [key for key in differing if key.startswith(f"{group}.")]
    everywhere = all(key in each and key in free for key in below for each in parameters)
    return everywhere and _follows(parameters, group, ("tasks", *below))


def _follows(parameters: Sequence[Mapping[str, str]], key: str, given: Sequence[str]) -> bool:
    """Whether the key has one value for every combination of the given ones."""
    values: dict[tuple, set[str]] = {}
    for each in parameters:
        if key in each:
            values.setdefault(tuple(each.get(name) for name in given), set()).add(each[key])
    return all(len(found) == 1 for found in values.values())


def _groups_above(parameters: Sequence[Mapping[str, str]], key: str) -> list[str]:
    """The key's group, and the groups within it that the key stands below: `training`, `training.optimizer`."""
    parts = key.split(".")
    above = [".".join(parts[:i]) for i in range(2, len(parts))]
    return [parts[0], *(name for name in above if all(name in each for each in parameters if key in each))]


def _label(keys: Sequence[str], values: Mapping[str, str]) -> str:
    """Name of a row: the task set, then what else differs."""
    return ", ".join([values["tasks"], *(f"{key}={values[key]}" for key in keys if key != "tasks")])


def _failure(run: TrackedRun) -> str:
    """Why a run did not finish, in one line."""
    silent = {"RUNNING": "not finished yet", "KILLED": "interrupted", "FINISHED": ""}
    return " ".join(run.tags.get("failure", "").split()) or silent.get(run.status, "no reason given")


def follows_seed(parameters: Mapping[str, str], key: str) -> bool:
    """Whether the value is a part's seed that is the run's."""
    return key.endswith(".seed") and parameters[key] == parameters.get("seed")


def _is_seed(parameters: Sequence[Mapping[str, str]], key: str) -> bool:
    """Whether a part's seed is the run's seed in every run."""
    return all(follows_seed(each, key) for each in parameters if key in each)
