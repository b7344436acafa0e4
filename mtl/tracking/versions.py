"""What a person can do where MLflow and a store, or MLflow and what is installed beside it, do not fit."""

from __future__ import annotations

import shlex
from pathlib import Path


def unfit(error: BaseException, uri: str) -> str | None:
    """The one line on versions that do not fit; None where the error is another one.

    Parameters
    ----------
    error : BaseException
        What came of making or opening the store.
    uri : str
        The store's address, without a password.
    """
    text = " ".join(str(error).split())
    if isinstance(error, ImportError):
        return (
            f"MLflow {_version()} cannot open {uri} with what is installed beside it ({text}); right would be "
            "`pip install -c requirements.lock -e .`, what the address needs, or tracking=none."
        )
    if "Can't locate revision" in text:
        return (
            f"The store {uri} was written by a newer MLflow than {_version()}: `pip install -U mlflow`, or set "
            "tracking.uri to a new one. Nothing was changed in it."
        )
    if "out-of-date database schema" in text:
        return (
            f"The store {uri} was made by another version of MLflow than {_version()}: keep a copy, then run "
            f"`mlflow db upgrade {shlex.quote(uri)}`, or set tracking.uri to a new one."
        )
    return None


def migrated(database: Path, before: str | None, after: str | None) -> str:
    """The one line on a store that MLflow itself has migrated; empty where it has not."""
    if before == after:
        return ""
    return f"MLflow {_version()} has migrated {database} to its own schema: older versions cannot open it any more."


def _version() -> str:
    import mlflow

    return str(mlflow.__version__)
