"""What is tracked of a config: parameters, and the run's name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from mtl.config.build import plain_config
from mtl.config.searchpath import repository
from mtl.config.switches import CONF, switches
from mtl.results import ASKED, JOINT, MEMBERS

# what a person varies is a parameter; where things lie and how they are named is not
NOT_PARAMETERS = (
    *("tracking", "features", "hydra", "decide", "screening"),
    *("training.checkpoint", "data.events", "data.fps"),
)


def parameters(config: DictConfig, choices: Mapping[str, Any]) -> dict[str, Any]:
    """What a person would vary, flattened; the choice of each group; one flag per task."""

    def flatten(prefix: str, value: object) -> Iterator[tuple[str, object]]:
        if isinstance(value, Mapping) and value:
            for key, inner in value.items():
                name = f"{prefix}.{key}" if prefix else str(key)
                if not str(key).startswith("_") and name not in NOT_PARAMETERS:
                    yield from flatten(name, inner)
        else:
            yield prefix, value

    plain = {key: value for key, value in plain_config(config).items() if key not in (*NOT_PARAMETERS, *switches())}
    chosen = {group: choices[group] for group in plain if isinstance(choices.get(group), str)}
    chosen |= {  # of a group within a group: `training.optimizer`
        group.replace("/", "."): choice
        for group, choice in choices.items()
        if "/" in group and group.split("/")[0] in plain and isinstance(choice, str)
    }
    flags = {f"task.{name}": int(name in plain["tasks"]) for name in sorted({*_task_names(), *plain["tasks"]})}
    return dict(flatten("", plain)) | chosen | flags


def _task_names() -> list[str]:
    """Every task that `conf/task/` has, and what else Hydra's search path has there."""
    found = repository()
    others = found.get_group_options("task") if found else []
    return sorted({*(path.stem for path in (CONF / "task").glob("*.yaml")), *others})


def run_name(choices: Mapping[str, Any], words: Sequence[str], common: Sequence[str] = ()) -> str:
    """The task set, then what else the command line set, what tells this run from its neighbours first.

    Parameters
    ----------
    choices : mapping
        By group, as `choices.told` names them; a word that names another one is told so too.
    words : sequence of str
        Overrides.
    common : sequence of str
        Those that all jobs of the sweep have.
    """
    of_switches = (f"{switch}=" for switch in switches())
    of_set = ("tasks=", "+task@tasks=", "~tasks.")  # the name of the set says it
    silent = (*of_set, "data.root=", "data.events=", "data.fps=", "tracking", "decide.", "screening.", *of_switches)
    others = [word for word in words if not word.startswith(silent)]
    ordered = sorted(others, key=lambda word: (word in common, word))
    return " ".join([str(choices.get("tasks")), *(as_told(word, choices) for word in ordered)])[:250]


def tags_of(choices: Mapping[str, Any], departed: str, tasks: Iterable[object] = ()) -> dict[str, str]:
    """Tags that tell a run from others beside its parameters: the task set, its tasks, and `choices.departed`."""
    members = JOINT.join(map(str, tasks))
    told = {ASKED: departed} if departed else {}
    return {"tasks": str(choices.get("tasks"))} | ({MEMBERS: members} if members else {}) | told


def as_told(word: str, choices: Mapping[str, Any]) -> str:
    """An override of a group with the choice that the config bears out."""
    group, equals, _ = word.partition("=")
    return f"{group}={choices[group]}" if equals and isinstance(choices.get(group), str) else word
