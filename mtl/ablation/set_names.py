"""What the task sets of runs are called in tables: by their tasks, whatever was typed to get them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mtl.results import JOINT, MEMBERS, TrackedRun

FEWEST_TO_COUNT = 4  # auxiliaries in all, from which on a set may be said by what it lacks


def with_set_names(runs: Sequence[TrackedRun]) -> list[TrackedRun]:
    """The runs with their task set under the name that tables give it, as tag and parameter `tasks`.

    Runs of the same tasks in the same order have one name. It is the name that a choice of `conf/tasks/` has, where
    it has one; else the tasks that not all sets share, as ``+ violence + robbery``, or what is lacking, as
    ``all 13 auxiliaries but robbery``, whichever is shorter. A name that stands for several sets, as its yaml was
    changed between runs, is replaced by the tasks. Runs of before `MEMBERS` was tracked keep the name that they have.
    """
    keys = _keys(runs)
    names = _names(keys, runs)
    return [_renamed(run, names[key]) if key in names else run for run, key in zip(runs, keys, strict=True)]


def name_of(run: TrackedRun) -> str:
    """The name of a run's task set, as it was tracked; empty where there is none."""
    return run.params.get("tasks", run.tags.get("tasks", ""))


def members_of(run: TrackedRun) -> tuple[str, ...]:
    """Tasks of a run in their order; nothing of one of before this was tracked whose set has a name of its own."""
    told = run.tags.get(MEMBERS, "") or (name_of(run) if JOINT in name_of(run) else "")
    return tuple(told.split(JOINT)) if told else ()


def _keys(runs: Sequence[TrackedRun]) -> list[tuple[str, ...]]:
    """By run the tasks in order; of those that do not tell, those of a run of that name with the same flags."""
    told: dict[str, list[tuple[str, ...]]] = {}
    for run in runs:
        if members := members_of(run):
            told.setdefault(name_of(run), []).append(members)

    def alike(run: TrackedRun) -> tuple[str, ...]:
        flagged = {key.removeprefix("task.") for key, on in run.params.items() if key.startswith("task.") and on == "1"}
        known = told.get(name_of(run), ())
        return next((members for members in known if not flagged or flagged == set(members)), ())

    return [members_of(run) or alike(run) for run in runs]


def _names(keys: Sequence[tuple[str, ...]], runs: Sequence[TrackedRun]) -> dict[tuple[str, ...], str]:
    """By tasks in order the name of the set."""
    own: dict[tuple[str, ...], str] = {}
    for key, run in zip(keys, runs, strict=True):
        if key and JOINT not in name_of(run):
            own.setdefault(key, name_of(run))
    untold = {name_of(run) for key, run in zip(keys, runs, strict=True) if not key}
    clear = {
        key: name for key, name in own.items() if name not in untold and list(own.values()).count(name) == 1 and name
    }
    members = list(dict.fromkeys(key for key in keys if key))
    short = _short(members)
    taken = [*clear.values(), *(short[key] for key in members if key not in clear)]
    return {key: clear.get(key) or (short[key] if taken.count(short[key]) == 1 else " + ".join(key)) for key in members}


def _short(members: Sequence[tuple[str, ...]]) -> Mapping[tuple[str, ...], str]:
    """By tasks in order the set in words, without what all sets share."""
    shared = set.intersection(*map(set, members)) if members else set()
    others = list(dict.fromkeys(task for key in members for task in key if task not in shared))
    found = {}
    for key in members:
        own = [task for task in key if task not in shared]
        words = " ".join(f"+ {task}" for task in own) if own and shared else " + ".join(key)
        lacking = [task for task in others if task not in key]
        but = f"all {len(others)} auxiliaries" + (f" but {', '.join(lacking)}" if lacking else "")
        may = shared and len(others) >= FEWEST_TO_COUNT and len(own) > len(lacking)
        found[key] = but if may and len(but) < len(words) else words
    return found


def _renamed(run: TrackedRun, name: str) -> TrackedRun:
    """The run with its set under this name; as it is where it has it."""
    params = {**run.params, "tasks": name} if "tasks" in run.params else run.params
    if run.tags.get("tasks", name) == name and params == run.params:
        return run
    return replace(run, params=params, tags={**run.tags, "tasks": name})
