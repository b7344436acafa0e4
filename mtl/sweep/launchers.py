"""Launchers: whether one is installed, and how many jobs it runs side by side."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path

from omegaconf import DictConfig

from mtl.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
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


def import_as_here() -> None:
    """Have the processes that a launcher starts import from where this one does, not from the working folder.

    Notes
    -----
    Python knows `PYTHONSAFEPATH` from 3.11 on. With 3.10 the workers of joblib, submitit and ray,
    which are started as ``python -m``, look into the working folder first; those of
    `process_launcher` never do.
    """
    main = sys.modules["__main__"]
    beside = [str(Path(main.__file__).absolute().parent)] if main.__spec__ is None and main.__file__ else []
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, [*beside, str(ROOT), *given])))
    os.environ["PYTHONSAFEPATH"] = "1"


def jobs_at_once(config: DictConfig) -> int:
    """How many jobs the chosen launcher runs side by side on this machine."""
    launcher = config.hydra.launcher
    cores = os.cpu_count() or 1
    if "n_jobs" in launcher:
        return int(launcher.n_jobs) if int(launcher.n_jobs) > 0 else cores
    if launcher["_target_"] == ALL_AT_ONCE:
        return max(1, cores // int(launcher.cpus_per_task or 1))
    return 1
