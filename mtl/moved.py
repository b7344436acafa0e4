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

# full names of before: where each one stands now, and how it is called there
NAMES = {
    "mtl.backbone.Backbone": "mtl.model.backbone.Backbone",
    "mtl.backbone.Freeze": "mtl.model.backbone.Freeze",
    "mtl.backbone.NoBackbone": "mtl.model.backbone.NoBackbone",
    "mtl.backbone.scale_to_one": "mtl.model.networks.scale_to_one",
    "mtl.backbone.small_cnn": "mtl.model.networks.small_cnn",
    "mtl.mistakes.Mistake": "mtl.errors.UserError",
    "mtl.mistakes.nearest": "mtl.errors.nearest",
    "mtl.probes.Probes": "mtl.training.gradient_measurements.GradientMeasurements",
    "mtl.sweep.Sweep": "mtl.sweep.callback.SweepCallback",  # mtl.sweep is still there: it has an alias
    "mtl.sweep.callback.Sweep": "mtl.sweep.callback.SweepCallback",
}
# modules whose names all stand in another one now
MODULES = {
    "mtl.groups": "mtl.ablation.groups",
    "mtl.launcher": "mtl.sweep.process_launcher",
}
_GONE = {name.rpartition(".")[0] for name in NAMES} | set(MODULES)


def current(name: str) -> str:
    """The full name of today for a full name of any day.

    Parameters
    ----------
    name : str
        Of a class or function, such as ``mtl.backbone.Backbone``.
    """
    module, _, own = name.rpartition(".")
    return NAMES.get(name) or (f"{MODULES[module]}.{own}" if module in MODULES else name)


def first(name: str) -> str:
    """The name that something was known by first: for keys that are to stay as they are, wherever the code lies."""
    return next((old for old, new in NAMES.items() if new == name), name)


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
    place, _, name = new.rpartition(".")
    found = getattr(importlib.import_module(place), name)
    _say(old, new)
    return found


class Finder(MetaPathFinder, Loader):
    """Finds modules that are no more; their names are looked up where they stand now."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Only what has moved: modules that are still there are found before by the other finders."""
        return ModuleSpec(name, self) if name in _GONE else None

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is in it until it is asked for."""
        module.__getattr__ = functools.partial(_find, module.__name__)  # type: ignore[method-assign]


def install() -> None:
    """Let old imports work; behind all other finders, so that a module that is there comes first."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
