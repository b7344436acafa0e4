"""What a config may have built: an exact list of names, never a path through modules.

A prefix would not do: below ``keras.`` stand the modules that Keras imports, and what those import. So a target is
one that a yaml of `conf/` names, or a public class of Keras, as the files of the installed package list them; nothing
is imported to find out. What stands under `hydra` (launcher, sweeper, callbacks, logging) is built by Hydra itself
before any code of ours runs: it comes from `conf/`, the command line and a `--config-dir`, which are the user's own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import yaml

from mtl import moved
from mtl.config.switches import CONF
from mtl.errors import UserError, nearest

TARGET = "_target_"
REFUSED = frozenset({"_args_", "_convert_", "_recursive_"})  # of the keys that have a meaning for `instantiate`
_CLASS = re.compile(r"[A-Z]\w*")
# chapters of Keras whose public names may be built, and which of their names
KERAS = {
    "keras.optimizers": _CLASS,
    "keras.optimizers.schedules": _CLASS,
    "keras.losses": _CLASS,
    "keras.applications": re.compile(r"[A-Z]\w*|preprocess_input"),
}


@cache
def of_conf() -> frozenset[str]:
    """Every target that a yaml of `conf/` names, but for those that Hydra builds itself."""
    return frozenset(target for is_hydras, target in _named() if not is_hydras)


@cache
def of_hydra() -> frozenset[str]:
    """Every target that a yaml of `conf/` names for Hydra itself: launchers and callbacks."""
    return frozenset(target for is_hydras, target in _named() if is_hydras)


@cache
def _named() -> frozenset[tuple[bool, str]]:
    """Targets of the yamls of `conf/`, and of each whether it stands under `hydra`."""

    def walk(value: object, is_hydras: bool) -> Iterator[tuple[bool, str]]:
        if isinstance(value, Mapping):
            if isinstance(value.get(TARGET), str):
                yield is_hydras, value[TARGET]
            for key, inner in value.items():
                yield from walk(inner, is_hydras or key == "hydra")
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner, is_hydras)

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built
    found: set[tuple[bool, str]] = set()
    for file in CONF.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        if TARGET in text:
            found.update(walk(yaml.load(text, loader), file.relative_to(CONF).parts[0] == "hydra"))
    return frozenset(found)


@cache
def of_keras() -> Mapping[str, str]:
    """Where the public classes of Keras stand: by the public name the full name in its sources.

    Functions that make a network (`keras.applications.ResNet50`) count as classes, and
    so does an architecture's `preprocess_input`. Nothing where Keras is not installed.
    """
    found: dict[str, str] = {}
    for chapter, wanted in KERAS.items():
        file = keras_file(chapter)
        modules = [] if file is None else [(chapter, file)]
        if file is not None and chapter == "keras.applications":  # `keras.applications.resnet` and its likes
            modules += [(f"{chapter}.{each.parent.name}", each) for each in sorted(file.parent.glob("*/__init__.py"))]
        for name, each in modules:
            for node in ast.parse(each.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras.src."):
                    public = [alias for alias in node.names if wanted.fullmatch(alias.asname or alias.name)]
                    found |= {f"{name}.{alias.asname or alias.name}": f"{node.module}.{alias.name}" for alias in public}
    return found


def keras_file(module: str) -> Path | None:
    """Where a module of Keras stands; None where there is none. Only looked for, not imported."""
    spec = find_spec("keras")
    for root in [] if spec is None else map(Path, spec.submodule_search_locations or []):
        for base in (root, root / "api"):  # until 3.10 the public names stood in a folder of their own
            place = base.joinpath(*module.split(".")[1:])
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if file.is_file():
                    return file
    return None


def check_target(path: str, target: object) -> None:
    """Refuse a target that is not on the list.

    Parameters
    ----------
    path : str
        Where it stands, for the message.
    target : object
        A full name of today or of before.

    Raises
    ------
    UserError
        With the nearest name that may be built.
    """
    if isinstance(target, str) and (moved.current(target) in of_conf() or target in of_keras()):
        return
    own = str(target).rpartition(".")[2]
    known = {*of_conf(), *of_keras()}
    likely = {name for name in known if name.rpartition(".")[2].casefold() == own.casefold()} or known
    near = nearest(str(target), likely)
    right = near if near.startswith("Did you mean") else "Right would be one that conf/ names, or a class of Keras."
    raise UserError(f"{path}: {target!r} is not trusted: it is nothing that a config may name. {right}")


def check_targets(path: str, node: object) -> None:
    """Refuse what is not on the list anywhere in a node, mappings in lists included.

    Parameters
    ----------
    path : str
        Where the node stands, for the message.
    node : object
        Plain values, interpolations resolved.

    Raises
    ------
    UserError
        For a target that is not on the list, a `_partial_` that is neither true nor
        false, or a key of Hydra's that changes how a thing is called.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            where = f"{path}.{key}" if path else str(key)
            if key == TARGET:
                check_target(where, value)
            elif key in REFUSED:
                raise UserError(f"{where}: is not taken, found {value!r}. Right would be the arguments by their names.")
            elif key == "_partial_" and not isinstance(value, bool):
                raise UserError(f"{where}: should be true or false, found {value!r}.")
            check_targets(where, value)
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            check_targets(f"{path}[{i}]", value)
