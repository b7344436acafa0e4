"""A local database, made once, whole or not at all."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mtl.errors import UserError
from mtl.tracking.store import import_mlflow

LOCK_TIMEOUT_S = 120.0


@contextmanager
def one_process_at_a_time(lock: Path) -> Iterator[None]:
    """Only one process at a time; sqlite's own lock, so a dead owner's is gone with it, on every system."""
    with closing(sqlite3.connect(lock, timeout=LOCK_TIMEOUT_S, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


def schema_version(database: Path) -> str | None:
    """The schema's version, empty where tables are without one, None where there is no database."""
    if not database.exists() or not database.stat().st_size:
        return None
    # to write, though only to read: what a killed writer began must be rolled back before the file can be read
    mode = "rw" if os.access(database, os.W_OK) else "ro"
    with closing(sqlite3.connect(f"{database.as_uri()}?mode={mode}", uri=True, timeout=LOCK_TIMEOUT_S)) as connection:
        try:
            row = connection.execute("select version_num from alembic_version").fetchone()
        except sqlite3.DatabaseError:
            row = None
    return row[0] if row else ""


def create_database(database: Path, artifacts: str) -> None:
    """Make the sqlite store where it is missing: once, whole or not at all, however many processes ask.

    Raises
    ------
    UserError
        If there is a file that is no MLflow store, or nothing may be written there.
    """
    for path in (database, next(parent for parent in database.parents if parent.exists())):
        if path.exists() and not os.access(path, os.W_OK):
            raise UserError(
                f"{path} cannot be written (permission): set tracking.uri to a store that can, or tracking=none."
            )
    version = schema_version(database)
    if version is None:
        database.parent.mkdir(parents=True, exist_ok=True)
        with one_process_at_a_time(database.with_name(f"{database.name}.lock")):
            if schema_version(database) is None:
                _create_whole(database, artifacts)
        version = schema_version(database)
    if not version:
        raise UserError(f"{database} is no whole MLflow store: move it away, or set tracking.uri to another one.")


def _create_whole(database: Path, artifacts: str) -> None:
    """The migrations run on a file of another name: a kill in their midst leaves no half store behind."""
    new = database.with_name(f"{database.name}.new")
    new.unlink(missing_ok=True)
    import_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with logging_kept():
        SqlAlchemyStore(f"sqlite:///{new.as_posix()}", artifacts).engine.dispose()
    new.replace(database)


@contextmanager
def logging_kept() -> Iterator[None]:
    """Handlers and level of the root logger as they were: migrations of older versions of MLflow replace them."""
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    logging.disable(logging.INFO)  # a line per migration
    try:
        yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)
