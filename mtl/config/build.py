"""Objects from config nodes."""

from __future__ import annotations

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl.errors import UserError


def hydra_options() -> dict[str, Any]:
    """What `hydra.main` is to be told: its defaults of 1.3, and from 1.4 on the targets a config may name."""
    import hydra

    if hydra.__version__.startswith("1.3"):
        return {"version_base": "1.3"}
    return {"execution_whitelist": ["mtl.*", "keras.*", "hydra.*", "hydra_plugins.*", "logging.*"]}


def build(node: DictConfig, **given: Any) -> Any:
    """The object a config node describes; a user's error its constructor finds comes out as it is.

    Parameters
    ----------
    node : DictConfig
        With a `_target_`, or holding nodes that have one.
    **given
        What the code hands to the constructor beside the config.
    """
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
