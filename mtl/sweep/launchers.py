"""Launchers: whether one is installed, and how many jobs it runs side by side."""

from __future__ import annotations

import importlib
import os
import re

from omegaconf import DictConfig

from mtl.errors import UserError

ALL_AT_ONCE = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"


def check_launcher(target: str) -> None:
    """Raise `UserError` where the launcher is not installed: Hydra would say so after the sweep has been opened.

    Parameters
    ----------
    target : str
        Full name of its class.
    """
    try:
        importlib.import_module(target.rpartition(".")[0])
    except ImportError as error:
        extra = re.match(r"hydra_plugins\.hydra_(\w+)_launcher\.", target)
        right = f'; right would be `pip install -e ".[{extra[1]}]"`' if extra else ""
        raise UserError(f"hydra/launcher: {target} cannot be imported ({error}){right}.") from error


def jobs_at_once(config: DictConfig) -> int:
    """How many jobs the chosen launcher runs side by side on this machine."""
    launcher = config.hydra.launcher
    cores = os.cpu_count() or 1
    if "n_jobs" in launcher:
        return int(launcher.n_jobs) if int(launcher.n_jobs) > 0 else cores
    if launcher["_target_"] == ALL_AT_ONCE:
        return max(1, cores // int(launcher.cpus_per_task or 1))
    return 1
