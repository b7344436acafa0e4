"""Keys of a group whose choices a sweep turns: a key need not be known to all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl.config import schema
from mtl.errors import UserError, nearest

_KEY = re.compile(r"(?P<sign>\+{0,2})(?P<group>\w+)\.(?P<rest>[\w.]+)=(?P<value>.+)", re.DOTALL)


def deferred(words: Sequence[str]) -> list[str]:
    """The command line with such keys as sweeps of one value.

    Hydra composes a sweep once without its sweeping words, and would refuse there
    a key that the default choice lacks, whatever the sweep's choices know.

    Parameters
    ----------
    words : sequence of str
        Of a sweep; a word whose value would not come out the same stays as it is.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()

    def one(word: str) -> str:
        found = _KEY.fullmatch(word)
        if found is None or found["group"] not in swept:
            return word
        key = word.removesuffix(f"={found['value']}")
        try:
            before, after = parser.parse_override(word), parser.parse_override(f"{key}=choice({found['value']})")
            same = [parser.parse_override(f"{key}={value}").value() for value in after.sweep_string_iterator()]
        except HydraException:
            return word
        return word if before.is_sweep_override() or same != [before.value()] else f"{key}=choice({found['value']})"

    swept = {word.partition("=")[0] for word in words if re.match(r"\w+=.*[,(]", word)}
    return [one(word) for word in words] if swept else list(words)


def check_keys(jobs: Sequence[Sequence[str]], compose: Callable[[list[str]], DictConfig]) -> None:
    """Raise `UserError` where a key is one of some choices of the sweep and not of the others.

    Parameters
    ----------
    jobs : sequence of sequence of str
        Overrides of every job.
    compose : callable
        The config of a job's overrides.
    """
    words = dict.fromkeys(word for job in jobs for word in job)
    keys = dict.fromkeys(found.group("sign", "group", "rest") for word in words if (found := _KEY.fullmatch(word)))
    for sign, group, rest in keys:
        choices: dict[str, list[str]] = {}
        for job in jobs:
            mine = [each for each in job if each.startswith(f"{group}=")]
            if mine:
                others = [each for each in job if not each.lstrip("+~").startswith(f"{group}.")]
                choices.setdefault(mine[-1], others)
        if len(choices) < 2:
            continue
        configs = {choice: compose(others) for choice, others in choices.items()}
        path = f"{group}.{rest}"
        known = [choice for choice, config in configs.items() if _knows(config, path, is_added=False)]
        if sign and not known:
            known = [choice for choice, config in configs.items() if _knows(config, path, is_added=True)]
        unknown = [choice for choice in choices if choice not in known]
        if known and unknown:
            key = f"{group}.{rest}="
            values = [each.lstrip("+").removeprefix(key) for each in words if each.lstrip("+").startswith(key)]
            apart = (
                f"-m {_together(group, known)} {key}{','.join(values)}, and -m {_together(group, unknown)} without it"
            )
            raise UserError(
                f"{group}.{rest} is a key of {', '.join(known)}, not of {', '.join(unknown)}. Right would be two "
                f"sweeps: {apart}."
            )
        if unknown and not sign:
            parent, _, name = f"{group}.{rest}".rpartition(".")
            near = {key for config in configs.values() for key in _names(config, parent)}
            raise UserError(f"{parent}.{name}: no choice of the sweep has such a key. {nearest(name, near)}")


def _together(group: str, choices: Sequence[str]) -> str:
    """The choices as one word of a sweep."""
    return f"{group}={','.join(choice.partition('=')[2] for choice in choices)}"


def _names(config: DictConfig, path: str) -> list[str]:
    """Keys of a node; none where there is no such node."""
    node = OmegaConf.select(config, path)
    return [str(key) for key in node if not str(key).startswith("_")] if OmegaConf.is_dict(node) else []


def _knows(config: DictConfig, path: str, is_added: bool) -> bool:
    """Whether a choice has the key; where it is added, whether it could have it."""
    parent, _, name = path.rpartition(".")
    try:
        node = OmegaConf.select(config, parent)
    except OmegaConfBaseException:
        return False
    if not OmegaConf.is_dict(node) or name in node or not is_added:
        return OmegaConf.is_dict(node) and name in node
    target = str(node.get("_target_") or "")
    if not target.startswith(schema.OWN):  # a form to fill in, or a class that is not ours to judge
        return True
    found = schema.signature(target)
    return found.open_ended or name in found.annotations
