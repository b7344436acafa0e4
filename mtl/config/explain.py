"""A user's error on the command line, explained in one line with the nearest right word."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from mtl.config.build import hydra_options
from mtl.config.switches import CONF
from mtl.errors import UserError, nearest


def explain(error: BaseException) -> str | None:
    """The one line that tells a user what to change; None where the fault is not the user's."""
    if isinstance(error, UserError):
        return str(error)
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, MissingConfigException):
        return _missing_choice(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _bad_override(error)
    return None


def _missing_choice(error: Exception) -> str:
    """A group has no such choice."""
    wanted = str(getattr(error, "missing_cfg_file", "") or "")
    options = getattr(error, "options", None)
    group, _, choice = wanted.rpartition("/")
    if not options:
        options = sorted(path.stem for path in (CONF / group).glob("*.yaml")) if group else _groups()
    if not choice:
        return _flat(str(error))
    return f"{group}={choice}: there is no conf/{wanted}.yaml. {nearest(choice, options)}"


def _bad_override(error: BaseException) -> str:
    """An override that does not fit the config; the nearest key where a key was wrong."""
    text = _flat(str(error))
    cause = _flat(str(error.__cause__ or ""))
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
    base = {key: value for key, value in hydra_options().items() if key == "version_base"}
    with initialize_config_dir(str(CONF), **base):
        for words in (chosen, []):
            try:
                config = compose("config", words)
            except Exception:  # the choices themselves may be what is wrong
                continue
            node = OmegaConf.select(config, parent) if parent else config
            return [str(key) for key in node if not str(key).startswith("_")] if OmegaConf.is_dict(node) else []
    return []


def _flat(text: str) -> str:
    return " ".join(text.split())


def check_choices(words: Sequence[str]) -> None:
    """Raise `UserError` where an override of a sweep names a choice that no group has.

    Hydra itself would say so too, but after the sweep has been opened.

    Parameters
    ----------
    words : sequence of str
        Overrides, such as ``tasks=anomaly,all``.
    """
    from hydra.core.global_hydra import GlobalHydra

    loader = GlobalHydra.instance().config_loader()  # it knows the folders of --config-dir too
    for word in words:
        group, _, values = word.partition("=")
        if group not in _groups():
            continue
        known = loader.get_group_options(group)
        for choice in re.findall(r"[\w./-]+", values) if re.fullmatch(r"[\w./,-]+", values) else []:
            if choice not in ("null", *known):
                raise UserError(f"{group}={choice}: there is no conf/{group}/{choice}.yaml. {nearest(choice, known)}")
