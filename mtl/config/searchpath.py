"""Where Hydra finds the yamls of this command line: `conf/`, and what --config-dir and hydra.searchpath add."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mtl.config.switches import CONF


def repository(config: DictConfig | None = None) -> Any | None:
    """Hydra's own repository of yamls with the whole search path; None where Hydra is not there.

    The one that its config loader holds lacks what `hydra.searchpath` adds.

    Parameters
    ----------
    config : DictConfig or None
        One that holds the node `hydra`; None takes the one of the job at work.
    """
    asked: Any = config if config is not None and "hydra" in config else HydraConfig.instance().cfg
    if asked is not None:
        hydra = asked.hydra
        return _repository(tuple((one.provider, f"{one.schema}://{one.path}") for one in hydra.runtime.config_sources))
    if GlobalHydra.instance().is_initialized():
        loader: Any = GlobalHydra.instance().config_loader()
        return loader.repository
    return None


def of_command_line() -> Any:
    """The repository of this process's command line, for where Hydra got no further than to read it."""
    places = [("typed", place if "://" in place else f"file://{place}") for place in typed()]
    own = [("main", f"file://{CONF}"), ("hydra", "pkg://hydra.conf"), ("schema", "structured://")]
    return _repository((*own, *places))


@functools.lru_cache(maxsize=10)
def _repository(sources: Sequence[tuple[str, str]]) -> Any:
    """The repository of so many folders and packages, the first that has a yaml first."""
    from hydra._internal.config_repository import ConfigRepository
    from hydra._internal.config_search_path_impl import ConfigSearchPathImpl

    path = ConfigSearchPathImpl()
    for provider, place in sources:
        path.append(provider, place)
    return ConfigRepository(path)


def folders(repository: Any) -> list[str]:
    """The folders of yamls beside our own, in their order; one that is not there is marked so."""
    found = [Path(one.path) for one in repository.get_sources() if one.scheme() == "file"]
    return _named(found)


def asked_folders() -> list[str]:
    """As `folders`, of this process's command line, for where Hydra got no further than that."""
    return _named(
        [Path(place.removeprefix("file://")) for place in typed() if "://" not in place.removeprefix("file://")]
    )


def typed() -> list[str]:
    """What --config-dir and hydra.searchpath of this process's command line name."""
    from hydra._internal.utils import get_args_parser
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    asked, _ = get_args_parser().parse_known_args(sys.argv[1:])
    found = [f"file://{Path(asked.config_dir).absolute()}"] if asked.config_dir else []
    for word in asked.overrides:
        if word.startswith("hydra.searchpath="):
            try:
                value = OverridesParser.create().parse_override(word).value()
            except HydraException:  # it is spoken of where all words are read
                continue
            found += [str(place) for place in value] if isinstance(value, list) else []
    return found


def _named(found: Sequence[Path]) -> list[str]:
    others = [path.absolute() for path in found if path.absolute() != CONF]
    return [f"{path}" if path.is_dir() else f"{path} (which is not there)" for path in others]
