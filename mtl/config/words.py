"""Words of a command line: what Hydra's grammar makes of a path, and how it is typed so that it stays one."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl.errors import UserError

# keys whose values are paths, or hold one
PATHS = (
    "data.root",
    *(f"data.annotations.{split}" for split in ("train", "val", "test")),
    "data.split_file",
    *(f"data.lists.{split}" for split in ("train", "test")),
    "data.frames_dir",
    "data.events",
    "features.dir",
    "training.checkpoint.dir",
    "backbone.weights",
    "tracking.uri",
    "tracking.artifacts",
    "hydra.run.dir",
    "hydra.sweep.dir",
)
_HOME = re.compile(r"(^|[,\[\"'])~(?=[/,\]\"']|$)")
_PLAIN = re.compile(r"[\w./-]*", re.ASCII)  # what Hydra's grammar reads as it stands


def quoted(key: str, value: str) -> str:
    """The override to type in a shell so that the key gets this very text.

    Parameters
    ----------
    key : str
        As typed, with its sign.
    value : str

    Returns
    -------
    str
        Such as ``'data.root="/data/my videos (1)"'``, quotes of the shell included.
    """
    return shlex.quote(f"{key}={in_quotes(value)}")


def in_quotes(value: str) -> str:
    """The text as Hydra's grammar quotes it: backslashes count where a quote follows, `${` would be a reference."""
    inner = re.sub(r'(\\*)"', lambda found: f'{found[1] * 2}\\"', value)
    inner = re.sub(r"\\+$", lambda found: found[0] * 2, inner)
    return '"' + inner.replace("${", r"\${") + '"'


def at_home(word: str) -> str:
    """The word with a leading ``~`` of its value, or of the values of its list, as the person's own folder.

    Hydra's grammar has no ``~``, and no shell replaces it behind an ``=``.
    """
    key, equals, value = word.partition("=")
    if not equals or "~" not in value:
        return word
    home = str(Path("~").expanduser())
    if _PLAIN.fullmatch(home):
        return f"{key}={_HOME.sub(lambda found: found[1] + home, value)}"
    return f"{key}={in_quotes(home + value[1:])}" if re.fullmatch(r"~(/[^,\[\]\"']*)?", value) else word


def unreadable(word: str, words: Sequence[str]) -> str:
    """What is wrong with a word that Hydra's grammar refuses, and what to type instead.

    Parameters
    ----------
    word : str
        As typed.
    words : sequence of str
        The whole command line: a blank that was not quoted cuts a path in parts.
    """
    key, equals, value = word.partition("=")
    if not equals:
        return _part(word, words)
    form = quoted(key, value)
    if is_path(key, value):
        return f"{key}: characters of {value} have a meaning of their own on a command line. Right would be: {form}"
    return f"{key}: cannot be read, found {value}. A list is [a,b], a mapping {{a:1}}; where it is text: {form}"


def _part(word: str, words: Sequence[str]) -> str:
    """What is said of a word without ``=``: often the rest of a path with blanks."""
    at = words.index(word) if word in words else 0
    first = next((number for number in range(at, -1, -1) if "=" in words[number]), None)
    if first is not None:
        key, _, value = words[first].partition("=")
        rest = list(itertools.takewhile(lambda each: "=" not in each and not each.startswith("-"), words[first + 1 :]))
        if is_path(key, value) and word in rest:
            return f"'{word}' sets nothing. As a part of {key}, right would be: {quoted(key, ' '.join([value, *rest]))}"
    return f"'{word}' sets nothing; right would be key=value."


def ambiguous(word: str) -> str:
    """What is said of a comma outside of a sweep."""
    key, _, value = word.partition("=")
    line = f"{word}: a comma stands between the values of a sweep: add --multirun for one."
    return f"{line} Where it belongs to the path, right would be: {quoted(key, value)}" if is_path(key, value) else line


def is_path(key: str, value: str) -> bool:
    """Whether a value is meant to be a path: by its key, or because it looks like one."""
    return key.lstrip("+") in PATHS or "/" in value


def check_paths(config: DictConfig, words: Sequence[str]) -> None:
    """Raise `UserError` where Hydra made of a path something else than text.

    Parameters
    ----------
    config : DictConfig
        Of a run.
    words : sequence of str
        Its overrides.
    """
    typed = {key.lstrip("+"): value for key, equals, value in (word.partition("=") for word in words) if equals}
    for key in PATHS:
        if key not in typed:
            continue
        try:
            value = OmegaConf.select(config, key)
        except OmegaConfBaseException as error:
            raise UserError(
                f"{key}: {' '.join(str(error.args[0]).split())}, found {typed[key]}. Where it is text, "
                f"right would be: {quoted(key, typed[key])}"
            ) from error
        kind = "brackets make a list" if OmegaConf.is_list(value) else "braces make a mapping"
        if isinstance(value, bool | int | float):
            kind = "a word like this is a number, or true or false"
        if isinstance(value, bool | int | float) or OmegaConf.is_config(value):
            form = quoted(key, typed[key])
            raise UserError(f"{key}: should be a path, found {typed[key]}: {kind}. Right would be: {form}")


def check_commas(words: Sequence[str]) -> None:
    """Raise `UserError` where a sweep's comma stands within the name of a folder or file that is there.

    Parameters
    ----------
    words : sequence of str
        Overrides of a sweep, as typed.
    """
    for word in words:
        key, _, value = word.partition("=")
        if key.lstrip("+") in PATHS and "," in value and Path(value).exists():
            values = " and ".join(value.split(","))
            raise UserError(
                f"{key}: a comma stands between the values of a sweep, found {values}. For the one that is there, "
                f"right would be: {quoted(key, value)}"
            )
