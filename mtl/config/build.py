"""Objects from config nodes."""

from __future__ import annotations

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl import moved
from mtl.config.targets import check_targets, of_conf, of_hydra, of_keras
from mtl.errors import UserError

# what Hydra builds where nothing else is asked for, and what `conf/hydra` has the logging made of
HYDRAS_OWN = (
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "mtl.terminal.ConsoleHandler",
    "logging.FileHandler",
)


def hydra_options() -> dict[str, Any]:
    """What `hydra.main` is to be told: its defaults of 1.3, and from 1.4 on the targets a config may name."""
    import hydra

    if hydra.__version__.startswith("1.3"):
        return {"version_base": "1.3"}
    return {"execution_whitelist": [*sorted({*of_conf(), *of_hydra(), *of_keras(), *moved.NAMES}), *HYDRAS_OWN]}


def build(node: DictConfig, **given: Any) -> Any:
    """The object a config node describes; a user's error its constructor finds comes out as it is.

    Whoever calls, nothing is built but what `mtl.config.targets` lists.

    Parameters
    ----------
    node : DictConfig
        With a `_target_`, or holding nodes that have one.
    **given
        What the code hands to the constructor beside the config.

    Raises
    ------
    UserError
        For a target that is not on the list, or for what a constructor finds.
    """
    if OmegaConf.is_config(node):
        check_targets(str(node._key() or ""), OmegaConf.to_container(node, resolve=True))
    try:
        return instantiate(node, **given)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise


def plain_config(config: DictConfig) -> dict[str, Any]:
    """The config as plain containers, interpolations resolved; what cannot be resolved is a user's error."""
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from error
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}
