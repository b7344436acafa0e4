"""A password in an address is taken out of the command line before anything is written down."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from urllib.parse import unquote

from omegaconf import DictConfig, OmegaConf

from mtl.errors import UserError
from mtl.masking import FROM_VARIABLE, URI_VARIABLE, has_secret, masked

ADDRESS = re.compile(r"(\+{0,2}tracking\.(uri|artifacts)=)(['\"]?)(.*)\3", re.DOTALL)
SERVER = re.compile(r"(https?://)(.*)@([^@]*)", re.DOTALL)  # up to the last @: a password may hold one, and a slash
RIGHT = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


def taken_out(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides without passwords, which go to this process's environment, and a line for each.

    Hydra writes overrides down before our code is called.

    Raises
    ------
    UserError
        If a password stands where neither MLflow nor a variable of ours can take it from.
    """
    kept, lines = [], []
    for word in words:
        found = ADDRESS.fullmatch(word)
        if found is None or not has_secret(found[4]):
            kept.append(word)
            continue
        key, name, _, value = found.groups()
        if name == "artifacts" or "," in value:
            raise UserError(f"{masked(word)}: holds a password; right would be the variables that its store reads.")
        rest, line = _server(value) if value.startswith("http") else _database(value)
        kept.append(f"{key}{rest}")
        lines.append(line)
    return kept, lines


def _server(uri: str) -> tuple[str, str]:
    """A server's address without its user, whom MLflow finds in the environment."""
    found = SERVER.fullmatch(uri)
    rest = f"{found[1]}{found[3]}" if found else uri
    if has_secret(rest):
        raise UserError(f"tracking.uri='{masked(uri)}': a server takes no password there; right would be {RIGHT}.")
    user, colon, password = (found[2] if found else "").partition(":")
    given = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}
    os.environ.update(
        {name: unquote(value) for name, value in (given if colon else {"MLFLOW_TRACKING_TOKEN": user}).items()}
    )
    return rest, (
        f"tracking.uri='{masked(uri)}': the password is kept for this process alone, in its environment; "
        f"the way to give it is {RIGHT}."
    )


def _database(uri: str) -> tuple[str, str]:
    """A name: a database's address needs its password, so the whole of it goes to a variable."""
    os.environ[URI_VARIABLE] = uri
    return FROM_VARIABLE, (
        f"tracking.uri='{masked(uri)}': the password is kept for this process alone; "
        f"the way to give it is the variable {URI_VARIABLE} and tracking.uri={FROM_VARIABLE}."
    )


def check_credentials(config: DictConfig) -> None:
    """Refuse a password that a file of the config spells out, before the config is written down.

    Raises
    ------
    UserError
    """
    tracking = OmegaConf.to_container(config.tracking, resolve=False) if "tracking" in config else {}
    for key in ("uri", "artifacts"):
        value = tracking.get(key) if isinstance(tracking, dict) else None
        if isinstance(value, str) and has_secret(value):
            right = RIGHT if value.startswith("http") else f"the variable {URI_VARIABLE} and {key}: {FROM_VARIABLE}"
            raise UserError(f"tracking.{key}: '{masked(value)}' holds a password; right would be {right}.")
