"""Which choice of a group a resolved configuration is, whatever was typed to get there."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl.config.searchpath import repository
from mtl.results import JOINT


def told(config: DictConfig, choices: Mapping[str, Any], sweep: DictConfig | None = None) -> dict[str, Any]:
    """The choices with every group under the name that its resolved node bears out.

    Overrides can turn a choice into another one: ``freeze=all freeze.stages=2``
    freezes two stages, as ``freeze=stages freeze.stages=2`` does. The name is a
    function of the node alone, so that one setting has one name.

    Parameters
    ----------
    config : DictConfig
        Of a job.
    choices : mapping
        By group the choice as it was asked for.
    sweep : DictConfig or None
        Of the sweep, which knows Hydra's search path, where neither the job's config
        nor a job at work does.

    Returns
    -------
    dict
        By group the choice with the same `_target_` from whose yaml the node departs
        least: first in what a choice stands for (words, zeros, keys), then in
        quantities, then by the alphabet. A set of tasks that no choice has is named by its
        tasks, joined by ``+``. As asked for, where Hydra is not there to say which
        choices a group has, or where a choice is not in the group's folder.
    """
    known = repository(config if sweep is None else sweep)
    if known is None:
        return dict(choices)
    return {group: _told(known, config, str(group), asked) for group, asked in choices.items()}


def departed(named: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """The choices asked for whose name the configuration denies, as typed; nothing where there is none.

    Not of the task set, which goes by its tasks: what tasks are added to (``tasks=anomaly +task@tasks=[violence]``)
    is denied nothing.
    """
    others = (group for group, choice in asked.items() if named[group] != choice and group != "tasks")
    return " ".join(f"{group}={asked[group]}" for group in others)


def _told(known: Any, config: DictConfig, group: str, asked: object) -> object:
    """The name of a group's node."""
    own_node = None if group.startswith("hydra/") else OmegaConf.select(config, group.replace("/", "."))
    if not isinstance(asked, str) or not isinstance(own_node, DictConfig):
        return asked
    try:
        node = OmegaConf.to_container(own_node, resolve=True)
    except (OmegaConfBaseException, ValueError):  # what cannot be resolved is spoken of by the check
        return asked
    own = _own(known, group, asked)
    if own is None or not isinstance(node, Mapping):
        return asked
    others = {choice: _own(known, group, choice) for choice in _options(known, group)}
    alike = {choice: other for choice, other in others.items() if other and _kind(other) == _kind(node)}
    if not alike:
        return JOINT.join(map(str, node)) if "_target_" not in node else asked
    return min(alike, key=lambda choice: (_apart(alike[choice], node), choice))


def _kind(node: Mapping[Any, Any]) -> object:
    """What two nodes must share to be one choice: the target; of a group of named members, their names in order."""
    return node["_target_"] if "_target_" in node else list(node)


def _apart(own: Mapping[Any, Any], node: Mapping[Any, Any]) -> tuple[int, int]:
    """In how much of what it stands for, and in how many quantities, a node departs from a choice's yaml.

    A number other than zero is a quantity, and an empty mapping a form to fill in:
    another value there leaves the choice what it is.
    """
    mine, its = _leaves(own), _leaves(node)
    forms = [key for key, value in mine.items() if value == {}]
    filled = {form for form in forms if any(key.startswith(f"{form}.") for key in its)}
    inside = {key for key in its if any(key.startswith(f"{form}.") for form in filled)}
    stands_for, quantities = 0, len(filled)
    for key in (mine.keys() | its.keys()) - filled - inside:
        value = mine.get(key)
        if key in mine and key in its and (value == its[key] or _is_reference(value)):
            continue
        is_quantity = isinstance(value, int | float) and not isinstance(value, bool) and value != 0 and key in its
        stands_for, quantities = stands_for + (not is_quantity), quantities + is_quantity
    return stands_for, quantities


def _is_reference(value: object) -> bool:
    """Whether a value of a yaml stands elsewhere in the config."""
    return isinstance(value, str) and "${" in value


def _leaves(node: Mapping[Any, Any], prefix: str = "") -> dict[str, object]:
    """Values by dotted key."""

    def walk() -> Iterator[tuple[str, object]]:
        for key, value in node.items():
            if isinstance(value, Mapping) and value:
                yield from _leaves(value, f"{prefix}{key}.").items()
            else:
                yield f"{prefix}{key}", value

    return dict(walk())


@functools.lru_cache(maxsize=100)
def _options(known: Any, group: str) -> Sequence[str]:
    """The names of a group's choices."""
    return tuple(known.get_group_options(group))


@functools.lru_cache(maxsize=1000)  # a sweep asks the same of every job
def _own(known: Any, group: str, choice: str) -> dict[str, Any] | None:
    """What a choice's yaml gives with nothing overridden; None where it is none, or is made in another way."""
    found = known.load_config(f"{group}/{choice}")
    if found is None or not isinstance(found.config, DictConfig):
        return None
    own: Any = OmegaConf.to_container(found.config)
    parts: list[Any] = []
    for default in found.defaults_list or []:
        inner = _names(default)
        if inner == ["_self_"]:
            parts.append(own)
            own = {}
            continue
        if below := _below(default):  # a group within the group: its choice stands under a key of its own
            part = _own(known, f"{group}/{below}", str(default.value))
            if part is None:
                return None
            parts.append({below: part})
            continue
        for name in inner or [""]:
            where, _, last = name.removeprefix("/").rpartition("/")
            part = _own(known, where or group, last) if name else None
            if part is None:
                return None
            parts.append(part)
    merged = OmegaConf.to_container(OmegaConf.merge(*parts, own))
    return {str(key): value for key, value in merged.items()} if isinstance(merged, dict) else None


def _below(default: Any) -> str:
    """The group within the group that an entry of a defaults list chooses from; empty where it does not."""
    name = str(getattr(default, "group", None) or "/")
    is_one = isinstance(getattr(default, "value", None), str) and getattr(default, "package", None) is None
    return name if is_one and "/" not in name and not getattr(default, "override", False) else ""


def _names(default: Any) -> list[str]:
    """What an entry of a defaults list includes in place: paths; nothing where it goes elsewhere."""
    if getattr(default, "package", None) not in (None, "", "_here_"):
        return []
    if hasattr(default, "path"):
        return [str(default.path)]
    values = default.value if isinstance(default.value, list) else [default.value]
    return [f"{default.group}/{value}" for value in values if value is not None]
