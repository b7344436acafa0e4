"""The config of a finished run, read as what it is: a file that somebody else may have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl.config import schema
from mtl.config.renamed import of_today
from mtl.errors import UserError

REFERENCE = "${"


def read_stored(path: Path, name: str, parts: Sequence[str]) -> DictConfig:
    """A stored config under the names of today, in which the parts that will be built are checked.

    A run writes its config with every interpolation resolved, so one that stands there
    was put there by somebody: it would read the environment of whoever loads the run.

    Parameters
    ----------
    path : Path
    name : str
        What the run is called, for messages.
    parts : sequence of str
        Top-level keys that will be built. What else stands there is data: `build`
        checks whatever it is given.

    Raises
    ------
    UserError
        If the file is no config, holds an interpolation, lacks a part, or a part does
        not pass as one of a command line would.
    """
    try:
        stored = OmegaConf.load(path)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException, RecursionError) as error:
        raise UserError(f"{name}: its {path.name} is damaged: {' '.join(str(error).split())[:200]}") from None
    plain = OmegaConf.to_container(stored)
    if not isinstance(stored, DictConfig) or not isinstance(plain, Mapping):
        raise UserError(f"{name}: its {path.name} is damaged: it should hold keys, found {type(plain).__name__}.")
    for place, text in _texts("", plain):
        if REFERENCE in text:
            raise UserError(
                f"{name}: its {path.name} refers to something else at {place}, found {text[:80]!r}. "
                "A run writes values; right would be the config as the run wrote it."
            )
    today = of_today(stored)
    built: Any = {
        part: OmegaConf.to_container(today[part]) for part in parts if isinstance(today.get(part), DictConfig)
    }
    for part in parts:
        if not built.get(part):
            raise UserError(f"{name}: its {path.name} is damaged: it has no {part}.")
    try:
        schema.check_nodes(built)
    except UserError as error:
        raise UserError(f"{name}: its {path.name} is not built: {error}") from None
    for part in parts:
        members = built[part].values() if part == "tasks" else [built[part]]
        if not all(isinstance(each, Mapping) and schema.TARGET in each for each in members):
            raise UserError(f"{name}: its {path.name} is damaged: {part} has no {schema.TARGET}.")
    return today


def _texts(place: str, value: Any) -> list[tuple[str, str]]:
    """Every string of a value with its dotted place, keys included."""
    if isinstance(value, Mapping):
        found = [(f"{place}.{key}".lstrip("."), key) for key in value if isinstance(key, str)]
        return found + [each for key, inner in value.items() for each in _texts(f"{place}.{key}".lstrip("."), inner)]
    if isinstance(value, list):
        return [each for i, inner in enumerate(value) for each in _texts(f"{place}[{i}]", inner)]
    return [(place, value)] if isinstance(value, str) else []
