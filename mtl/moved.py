"""Names that have moved: what was imported or written into a config before still resolves, and says its new name."""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

log = logging.getLogger(__name__)

# by the module they stood in before: where each name stands now, or where the whole module is
MOVED: dict[str, str | dict[str, str]] = {
    "mtl.backbone": {
        "Backbone": "mtl.model.backbone",
        "Freeze": "mtl.model.backbone",
        "NoBackbone": "mtl.model.backbone",
        "scale_to_one": "mtl.model.networks",
        "small_cnn": "mtl.model.networks",
    },
    "mtl.groups": "mtl.ablation.groups",
    "mtl.launcher": "mtl.sweep.processes",
    "mtl.probes": {"Probes": "mtl.training.probes"},
}


def current(name: str) -> str:
    """The full name of today for a full name of any day.

    Parameters
    ----------
    name : str
        Of a class or function, such as ``mtl.backbone.Backbone``.
    """
    module, _, own = name.rpartition(".")
    place = MOVED.get(module)
    if isinstance(place, dict):
        place = place.get(own)
    return f"{place}.{own}" if place else name


def first(name: str) -> str:
    """The name that something was known by first: for keys that are to stay as they are, wherever the code lies."""
    return next((old for old, new in _all().items() if new == name), name)


@functools.cache
def _all() -> dict[str, str]:
    """Full names of today by those of before, of the names that are listed one by one."""
    return {
        f"{module}.{own}": f"{place}.{own}"
        for module, names in MOVED.items()
        if isinstance(names, dict)
        for own, place in names.items()
    }


@functools.cache
def _say(old: str, new: str) -> None:
    """Once per process and name."""
    log.warning("%s is now %s.", old, new)


def _find(module: str, own: str) -> object:
    """A name of a module that is no more."""
    old = f"{module}.{own}"
    new = current(old)
    if new == old or own.startswith("__"):
        raise AttributeError(f"module '{module}' has no '{own}'")
    found = getattr(importlib.import_module(new.rpartition(".")[0]), own)
    _say(old, new)
    return found


class Finder(MetaPathFinder, Loader):
    """Finds modules that are no more; their names are looked up where they stand now."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Only what has moved as a module."""
        return ModuleSpec(name, self) if name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is in it until it is asked for."""
        module.__getattr__ = functools.partial(_find, module.__name__)  # type: ignore[method-assign]


def install() -> None:
    """Let old imports work; behind all other finders, so that a module that is there comes first."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
