"""Switches: how runs are done, never what comes of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from mtl.config.objective import DIRECTIONS, objective_of
from mtl.errors import UserError, nearest
from mtl.results import EVENT, JUDGES

CONF = Path(__file__).resolve().parents[2] / "conf"
WORDS = {"judge": JUDGES, "objective": tuple(DIRECTIONS)}  # what a switch that is a word may be
OF_TASKS = ("objective",)  # of these words which may name a task behind a slash
NO_SWITCHES = ("main_task", "seed")  # the scalars of conf/config.yaml that say what a run is


def primary() -> dict[str, Any]:
    """What `conf/config.yaml` itself sets, interpolations as they stand there."""
    return _read(CONF / "config.yaml")


@functools.cache
def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {key: value for key, value in found.items() if key not in ("defaults", "hydra")}


def switches() -> Mapping[str, bool | int | str]:
    """The switches and their defaults, as `conf/config.yaml` lists them: no other place knows their names.

    A switch is no parameter, no part of a fingerprint or of a run's name, and its
    default says what it may be: true or false; a whole number from 1 on, or null; one of `WORDS`.

    Raises
    ------
    TypeError
        If a default is none of these.
    """
    found = {
        key: value for key, value in primary().items() if key not in NO_SWITCHES and not isinstance(value, dict | list)
    }
    for key, value in found.items():
        if not isinstance(value, bool | int) and value not in WORDS.get(key, ()):
            raise TypeError(f"conf/config.yaml: the switch {key} should be true, false or a number, found {value!r}.")
    return found


def check_switches(config: DictConfig) -> None:
    """Raise `UserError` where a switch is set to what it cannot be."""
    for key, default in switches().items():
        value = config[key]
        if key in OF_TASKS:
            objective_of(config)
        elif key in WORDS:
            if value not in WORDS[key]:
                raise UserError(f"{key}: found {value!r}. {nearest(str(value), WORDS[key])}")
        elif isinstance(default, bool):
            if not isinstance(value, bool):
                raise UserError(f"{key}: should be true or false, found {value!r}.")
        elif value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise UserError(f"{key}: should be a whole number from 1 on or null, found {value!r}.")
    if config.judge == EVENT and not OmegaConf.select(config, "data.events") and not _knows_events(config):
        raise UserError("judge=event needs data.events=FILE, the annotation of the test videos, found none.")


def _knows_events(config: DictConfig) -> bool:
    """Whether the data set comes with annotated events; to ask is to import it, so this is asked last."""
    target = OmegaConf.select(config, "data._target_")
    return target is not None and bool(getattr(get_class(str(target)), "knows_events", False))
