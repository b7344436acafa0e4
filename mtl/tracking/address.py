"""Addresses of stores: made absolute, checked, without their password."""

from __future__ import annotations

import os
from pathlib import Path

from mtl.errors import UserError, nearest
from mtl.masking import FROM_VARIABLE, URI_VARIABLE, masked

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")
RIGHT_URI = "sqlite:///mlflow.db or http://host:5000"


def absolute_uri(uri: str) -> tuple[str, Path | None]:
    """The address made absolute, and the file of a local database.

    Raises
    ------
    UserError
        If MLflow keeps no runs there.
    """
    if uri == FROM_VARIABLE:  # looked up here, so that no config ever holds it
        uri = os.environ.get(URI_VARIABLE, "")
        if not uri:
            raise UserError(f"tracking.uri={FROM_VARIABLE}: the variable is not set; right would be {RIGHT_URI}.")
    scheme, found, rest = uri.partition("://")
    kind = scheme.split("+")[0]
    if not found or kind == "file":
        raise UserError(
            f"Tracking URI '{masked(uri)}': MLflow keeps no runs in plain folders; right would be {RIGHT_URI}."
        )
    if kind not in SCHEMES:
        hint = nearest(kind, SCHEMES)
        raise UserError(
            f"Tracking URI '{masked(uri)}': there is no store '{scheme}'; right would be {RIGHT_URI}. {hint}"
        )
    if kind != "sqlite":
        return uri, None
    name, mark, query = rest.removeprefix("/").partition("?")
    if not name or name == ":memory:":
        raise UserError(f"Tracking URI '{masked(uri)}' names no file; right would be sqlite:///mlflow.db.")
    database = Path(name).absolute()
    return f"{scheme}:///{database.as_posix()}{mark}{query}", database


def is_near(uri: str, folder: Path) -> bool:
    """Whether an address is a local database of the work folder that a run's folder is in, or of the working directory.

    Such a store may be written to because a record names it; any other is asked for.
    """
    try:
        _, database = absolute_uri(uri)
    except UserError:
        return False
    return database is not None and database.parent in (Path.cwd(), *folder.absolute().parents)
