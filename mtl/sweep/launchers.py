"""Launchers: whether one is installed, and how many jobs it runs side by side."""

from __future__ import annotations

import importlib
import os
import re
import socket
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mtl.errors import UserError

SECONDS_TO_ANSWER = 5.0  # that the head of a cluster has; Ray itself would ask for minutes
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


def check_cluster(launcher: DictConfig) -> None:
    """Raise `UserError` where nobody answers at the address of the Ray cluster that is to run the jobs.

    Parameters
    ----------
    launcher : DictConfig
        The node ``hydra.launcher``; of other launchers, and where Ray finds the cluster by itself, nothing is asked.
    """
    address = str(OmegaConf.select(launcher, "ray.init.address") or "")
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host.rpartition("/")[2].strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"hydra.launcher.ray.init.address={address}: nobody answers there ({error}); right would be what "
            "`ray start --head` says, or `auto` on a machine of the cluster."
        ) from error


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
