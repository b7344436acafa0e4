"""A user's error on the command line, explained in one line with the nearest right word."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mtl import out_of_memory
from mtl.config import searchpath
from mtl.config.build import hydra_options
from mtl.config.switches import CONF
from mtl.config.words import ambiguous, check_commas, in_quotes, unreadable
from mtl.errors import UserError, nearest
from mtl.files import NO_ROOM, NOT_ALLOWED, free_bytes

RAY_TOKEN = (
    "RAY_AUTH_MODE must say the same (token, or disabled) on every node of a Ray cluster and where the sweep is typed; "
    "with token all need the same one (~/.ray/auth_token, or RAY_AUTH_TOKEN)."
)


def explain(error: BaseException) -> str | None:
    """The one line that tells a user what to change; None where the fault is not the user's."""
    if isinstance(error, UserError):
        return str(error)
    if (line := out_of_memory.told(error)) is not None:
        return line
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, OverrideParseException):
        return unreadable(error.override, sys.argv[1:])
    if isinstance(error, MissingConfigException):
        return _missing_choice(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _bad_override(error)
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be a string or a list"):
        return _no_word_for_a_group()
    return (_refused_path(error) or _no_entry(error)) if isinstance(error, OSError) else _no_entry(error)


def _no_word_for_a_group() -> str | None:
    """A number, a mapping or null where a choice's name should stand; Hydra does not say which word it was."""
    for word in sys.argv[1:]:
        group, sign, value = word.lstrip("+").partition("=")
        if sign and group in _groups() and not re.match(r"[\w./-]*[A-Za-z_]|\[", value.replace("null", "")):
            known = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
            return f"{group}={value}: no choice of {group}. Known: {', '.join(known)}."
    return None


def _refused_path(error: OSError) -> str | None:
    """A path that the system will not have written, or read; None where something else is wrong."""
    if error.errno in NO_ROOM:
        where = Path(str(error.filename)).absolute().parent if error.filename else None
        free = "" if where is None else f" in {where}: {free_bytes(where):,} bytes are free"
        return (
            f"No room{free} ({error.strerror}). Make room, or set hydra.run.dir, of a sweep hydra.sweep.dir, to "
            "another disk; then the same command again."
        )
    if error.filename is None or error.errno not in NOT_ALLOWED:
        return None
    path = Path(str(error.filename)).absolute()
    if traceback.extract_tb(error.__traceback__)[-1].name != "mkdir":
        return f"{path}: {error.strerror}."
    return (
        f"{path} cannot be made ({error.strerror}): type the command in a folder that can be written, or set "
        "hydra.run.dir, of a sweep hydra.sweep.dir, to one."
    )


def _no_entry(error: BaseException) -> str | None:
    """A Ray cluster that lets nobody in; it does not always say that it was for the token."""
    text = _flat(str(error))
    kind = type(error)
    if not (kind.__module__ == "ray.exceptions" and kind.__name__ == "AuthenticationError"):
        if not (isinstance(error, ConnectionError) and text.startswith("Failed to connect to Ray cluster")):
            return None
        return f"{text}: if it runs, it asks for a token. {RAY_TOKEN}"
    return f"{text.partition('. ')[0]}. {RAY_TOKEN}"


def _missing_choice(error: Exception) -> str:
    """A group has no such choice."""
    wanted = str(getattr(error, "missing_cfg_file", "") or "")
    options = getattr(error, "options", None)
    group, _, choice = wanted.rpartition("/")
    if not options:
        options = sorted(path.stem for path in (CONF / group).glob("*.yaml")) if group else _groups()
    if not choice:
        return _flat(str(error))
    return _no_choice(group, choice, options, searchpath.asked_folders())


def _wrong_choice(words: Sequence[str]) -> str:
    """What is said of the first word that names a choice no group has; nothing where all are there."""
    known: Any = searchpath.repository() or searchpath.of_command_line()
    for word in words:
        group, _, choice = word.partition("=")
        options = known.get_group_options(group) if re.fullmatch(r"[\w/]+", group) else []
        if options and re.fullmatch(r"[\w./-]+", choice) and choice not in ("null", *options):
            return _no_choice(group, choice, options, searchpath.asked_folders())
    return ""


def _no_choice(group: str, choice: str, options: Iterable[str], others: Sequence[str]) -> str:
    """What is said of a choice that neither `conf/` nor the other folders of the search path have."""
    elsewhere = f", nor {group}/{choice}.yaml in {' or '.join(others)}" if others else ""
    return f"{group}={choice}: there is no conf/{group}/{choice}.yaml{elsewhere}. {nearest(choice, options)}"


def _bad_override(error: BaseException) -> str:
    """An override that does not fit the config; the nearest key where a key was wrong."""
    text = _flat(str(error))
    cause = _flat(str(error.__cause__ or ""))
    doubtful = re.search(r"Ambiguous value for argument '(.+)' 1\. To use it as a list", text)
    if doubtful:  # of a recipe that makes a sweep Hydra sees no more than that where another word is wrong
        return _wrong_choice(sys.argv[1:]) or ambiguous(doubtful[1])
    key = re.search(r"full_key: (\S+)", cause)
    if key and ("not in struct" in cause or "is not in" in cause):
        parent, _, name = key[1].rpartition(".")
        return f"{key[1]}: there is no such key. {nearest(name, _keys(parent))}"
    group = re.search(r"Could not override '([^']+)'\. No match in the defaults list", text)
    if group and "/" in group[1] and group[1] in _groups():
        outer, _, inner = group[1].rpartition("/")
        return (
            f"{group[1]}: the chosen {outer} does not choose one. Right would be `defaults: [{inner}: NAME, _self_]` "
            f"in its yaml, as conf/{outer}/default.yaml has it."
        )
    if group:
        return f"{group[1]}: there is no such group. {nearest(group[1].split('@')[0], _groups())}"
    key = re.search(r"Could not override '([^']+)'", text)
    if key and not cause:
        return f"{key[1]}: there is no such key. {nearest(key[1], [*_groups(), *_keys('')])}"
    return f"{text} {cause}".strip()


def _groups() -> list[str]:
    """Names of the config groups, those within a group too: `training/optimizer`."""
    folders = [folder.relative_to(CONF).as_posix() for folder in CONF.rglob("*") if folder.is_dir()]
    return sorted(folder for folder in folders if not folder.startswith("hydra/"))


def _keys(parent: str) -> list[str]:
    """Keys below a dotted path, as this command line's own choices compose them."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    GlobalHydra.instance().clear()
    groups = set(_groups())
    chosen = [word for word in sys.argv[1:] if "," not in word and word.split("=")[0] in groups]
    places = ",".join(in_quotes(place) for place in searchpath.typed())
    path = [f"hydra.searchpath=[{places}]"] if places else []
    base = {key: value for key, value in hydra_options().items() if key == "version_base"}
    with initialize_config_dir(str(CONF), **base):
        for words in (chosen, []):
            try:
                config = compose("config", [*path, *words])
            except Exception:  # the choices themselves may be what is wrong
                continue
            node = OmegaConf.select(config, parent) if parent else config
            return [str(key) for key in node if not str(key).startswith("_")] if OmegaConf.is_dict(node) else []
    return []


def _flat(text: str) -> str:
    return " ".join(text.split())


def check_choices(config: DictConfig) -> None:
    """Raise `UserError` where an override of a sweep names a choice that no group has, or cuts a path at a comma.

    Hydra itself would say so too, but after the sweep has been opened.

    Parameters
    ----------
    config : DictConfig
        As Hydra composes it for a multirun.
    """
    words = [str(word) for word in config.hydra.overrides.task]
    check_commas(words)
    known: Any = searchpath.repository(config)
    for word in words:
        group, _, values = word.partition("=")
        options = known.get_group_options(group) if re.fullmatch(r"[\w/]+", group) else []
        if not options or not re.fullmatch(r"[\w./,-]+", values):
            continue
        for choice in re.findall(r"[\w./-]+", values):
            if choice not in ("null", *options):
                raise UserError(_no_choice(group, choice, options, searchpath.folders(known)))
