"""Sweepers: which there are, and what each can say of its jobs before it begins."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mtl.config.switches import CONF
from mtl.errors import UserError

BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
OURS = "hydra_plugins.mtl_"
OF_SCREENINGS = "screening."
SCREENS = "hydra_plugins.mtl_screening.Screening"


@dataclass(frozen=True)
class Expected:
    """What a sweeper can say of its jobs before it begins.

    Attributes
    ----------
    jobs : sequence of sequence of str
        Overrides of those that it launches first; none where the first one is not known yet.
    common : sequence of str
        Overrides that all jobs will have, where no job is known.
    lines : sequence of str
        What else is said of the whole by ``dry_run=true``.
    judged : str
        Tracked name of what is said of every job that ends; empty: the main task's test AUC.
    most : int
        How many jobs there may be in the end; 0: those that are known.
    looks : str
        See `SweepContext.looks`.
    screening : str
        See `SweepContext.screening`.
    """

    jobs: Sequence[Sequence[str]] = ()
    common: Sequence[str] = ()
    lines: Sequence[str] = ()
    judged: str = ""
    most: int = 0
    looks: str = ""
    screening: str = ""


def of_recipe(config: DictConfig) -> list[str]:
    """Overrides of a sweep that a recipe has; those that are typed stand behind them, and win."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    return [f"{key}={value}" for key, value in params.items()]


def arguments_of(config: DictConfig) -> list[str]:
    """Overrides of a sweep: those of a recipe, then those that were typed, which win."""
    return of_recipe(config) + [str(word) for word in config.hydra.overrides.task]


def expected(config: DictConfig) -> Expected:
    """What the chosen sweeper can say of its jobs before it begins.

    Raises
    ------
    UserError
        Where it is neither Hydra's own nor one of ours: what it would optimise, and what becomes of jobs that fail
        or are done already, nobody could say.
    """
    target = str(config.hydra.sweeper["_target_"])
    if target == BASIC:
        return Expected(_product(config))
    module, _, name = target.rpartition(".")
    if not module.startswith(OURS):
        known = ["basic", *sorted(path.stem for path in (CONF / "hydra" / "sweeper").glob("*.yaml"))]
        raise UserError(f"hydra/sweeper: {target} is not supported. Known: {', '.join(known)}.")
    found: Expected = getattr(importlib.import_module(module), name).expected(config, arguments_of(config))
    return found


def check_heeded(config: DictConfig) -> None:
    """Raise `UserError` for words about a screening that are typed where none is run.

    Parameters
    ----------
    config : DictConfig
        As Hydra composes it for a multirun, or for a single run.
    """
    if config.hydra.mode == RunMode.MULTIRUN and config.hydra.sweeper["_target_"] == SCREENS:
        return
    word = next(
        (str(each) for each in config.hydra.overrides.task if str(each).lstrip("+~").startswith(OF_SCREENINGS)), ""
    )
    if word:
        raise UserError(f"{word}: no screening is run. Right would be experiment=screening, or no such word.")


def _product(config: DictConfig) -> list[list[str]]:
    """Overrides of every job of Hydra's own sweeper: all values by all others."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    return [list(job) for batch in BasicSweeper.split_arguments(parsed(arguments_of(config)), None) for job in batch]


def parsed(words: Sequence[str]) -> list[Any]:
    """Overrides as Hydra's grammar reads them, one per key: the last word wins."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    found = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader()).parse_overrides(list(words))
    last = {override.get_key_element(): override for override in found}
    return list(last.values())
