"""The configs of a sweep's jobs: those of jobs that differ in their seed alone are composed once."""

from __future__ import annotations

import copy
import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

SEED = re.compile(r"seed=(0|[1-9][0-9]*)")
KEPT = 64  # compositions, of half a MiB each


class ComposedOnce(ConfigLoaderImpl):
    """Hydra's own loader, which composes a sweep's jobs that differ in their seed alone once.

    Composing reads forty files and takes a sixth of a second, as long as fifty steps on features. A seed is a
    value that nothing is chosen by, so the config of another seed is the same one with that value in its three
    places: a copy takes a twentieth.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self._kept: OrderedDict[tuple[str, ...], DictConfig] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """What a launcher's worker gets: it composes what it is told to run, and no more."""
        return self.__dict__ | {"_kept": OrderedDict()}

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """As Hydra composes it; changes of the yamls while a sweep runs are of the next sweep."""
        seeds = [word for word in sweep_overrides if word.lstrip("+~").startswith(("seed=", "seed@"))]
        if len(seeds) != 1 or not SEED.fullmatch(seeds[0]):
            return super().load_sweep_config(master_config, sweep_overrides)
        rest = ["seed=" if word == seeds[0] else word for word in sweep_overrides]
        key = (str(self.get_search_path()), str(Path.cwd()), *master_config.hydra.overrides.hydra, "", *rest)
        if key in self._kept:
            self._kept.move_to_end(key)
            config = copy.deepcopy(self._kept[key])
            _set_seed(config, seeds[0])
            OmegaConf.copy_cache(from_config=master_config, to_config=config)  # what was resolved in the meantime
            return config
        config = super().load_sweep_config(master_config, sweep_overrides)
        if _has_seed_as_value(config):
            self._kept[key] = copy.deepcopy(config)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return config


def compose_once() -> None:
    """Have the sweep that is about to start, and its launcher, compose so."""
    hydra: Any = GlobalHydra.instance().hydra
    if hydra is not None and type(hydra.config_loader) is ConfigLoaderImpl:
        hydra.config_loader = ComposedOnce(hydra.config_loader.get_search_path())


def _has_seed_as_value(config: DictConfig) -> bool:
    """Whether the seed stands where `_set_seed` looks for it: it chooses no yaml, and names folders in Hydra's way."""
    job, task = config.hydra.job, config.hydra.overrides.task
    named = _dirname(task, config) == job.override_dirname and not job.config.override_dirname.exclude_keys
    return isinstance(config.get("seed"), int) and "seed" not in config.hydra.runtime.choices and named


def _set_seed(config: DictConfig, word: str) -> None:
    """Have it the config of this override in place of its own."""
    task = config.hydra.overrides.task
    with read_write(config), open_dict(config):
        config.seed = int(word.removeprefix("seed="))
        config.hydra.overrides.task = [word if SEED.fullmatch(each) else each for each in task]
        config.hydra.job.override_dirname = _dirname(config.hydra.overrides.task, config)


def _dirname(task: Sequence[str], config: DictConfig) -> str:
    """What Hydra makes of a job's overrides for names of folders."""
    signs = config.hydra.job.config.override_dirname
    return str(signs.item_sep.join(sorted(task)).replace("=", signs.kv_sep))
