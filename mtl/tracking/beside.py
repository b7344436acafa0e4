"""Artifacts lie beside a local database, also after its folder was moved or copied.

MLflow keeps the absolute place of every artifact. A work folder that gets another
name would be read from, and written to, under the old one.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtl.errors import UserError
from mtl.formatting import plural

NAME = "mlartifacts"
LOCK_TIMEOUT_S = 120.0


def beside(database: Path) -> Path:
    """Where a local database's artifacts lie."""
    return database.with_name(NAME)


def local_path(uri: str) -> Path | None:
    """The folder of an address on this machine; None of any other."""
    place = urllib.parse.urlparse(uri)
    if place.scheme not in ("", "file") or place.netloc not in ("", "localhost"):
        return None
    return Path(urllib.request.url2pathname(place.path))


def found_here(database: Path | None, uri: str) -> str:
    """A run's place as it is to be read: below the folder beside the database, where that has it.

    Parameters
    ----------
    database : Path or None
        None: the store is no local database, and the address stays as it is.
    uri : str
        The place as the store has it.
    """
    inner = _below(uri) if database else None
    if database is None or inner is None or not (beside(database) / inner[1]).exists():
        return uri
    return (beside(database) / inner[1]).as_uri()


def _below(uri: str) -> tuple[Path, Path] | None:
    """A place as the last folder of our name in it and what is below that; None where there is none."""
    path = local_path(uri)
    if path is None or NAME not in path.parts:
        return None
    depth = len(path.parts) - path.parts[::-1].index(NAME)
    return Path(*path.parts[:depth]), Path(*path.parts[depth:])


@dataclass(frozen=True)
class _Place:
    """Where an experiment, or one of its runs, has its artifacts."""

    table: str
    id: str
    uri: str

    @property
    def path(self) -> Path:
        found = local_path(self.uri)
        assert found is not None
        return found


COLUMNS = {"experiments": ("experiment_id", "artifact_location"), "runs": ("run_uuid", "artifact_uri")}


@contextmanager
def _connected(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database, timeout=LOCK_TIMEOUT_S, isolation_level=None)) as connection:
        yield connection


def _places(connection: sqlite3.Connection, but_below: Path | None = None) -> list[_Place]:
    """Every place on this machine that the store names; without those below a folder, by its name as it stands."""
    found = []
    below = f"{but_below.as_uri()}/" if but_below else ""  # compared by the database: thousands of runs lie there
    for table, (key, column) in COLUMNS.items():
        where = f" where substr({column}, 1, ?) != ?" if below else ""
        rows = connection.execute(f"select {key}, {column} from {table}{where}", (len(below), below) if below else ())
        found += [_Place(table, str(row[0]), row[1]) for row in rows if row[1] and local_path(row[1])]
    return found


def _write(connection: sqlite3.Connection, places: Sequence[tuple[_Place, Path]]) -> None:
    """Give all of these another place, or none of them."""
    connection.execute("begin immediate")
    for place, path in places:
        key, column = COLUMNS[place.table]
        statement = f"update {place.table} set {column} = ? where {key} = ?"
        connection.execute(statement, (path.as_uri(), place.id))
    connection.execute("commit")


def settle(database: Path) -> list[str]:
    """Let a store that was moved or copied have its artifacts beside it.

    The folder beside the database must hold artifacts of a run that the store has
    elsewhere: then that place is an old name of it. A place without such a sign is left.

    Returns
    -------
    list of str
        A line for every old name.
    """
    with _connected(database) as connection:
        by_root: dict[Path, list[tuple[_Place, Path]]] = {}
        for place in _places(connection, but_below=beside(database)):
            inner = _below(place.uri)
            if inner is not None and inner[0].resolve() != beside(database).resolve():
                by_root.setdefault(inner[0], []).append((place, inner[1]))
        lines = []
        for root, places in by_root.items():
            runs = [inner for place, inner in places if place.table == "runs"]
            came_along = any((beside(database) / inner).exists() for inner in runs)
            if not came_along and (runs or root.exists()):
                continue
            new = {place: beside(database) / inner for place, inner in places}
            left = {place for place in new if place.table == "runs" and not new[place].exists() and place.path.exists()}
            _write(connection, [(place, path) for place, path in new.items() if place not in left])
            more = (
                f"; of {plural(len(left), 'run')} they are there still: {_command(database)} copies them"
                if left
                else ""
            )
            lines.append(f"{database} was in {root.parent} before: its artifacts are now in {beside(database)}{more}.")
    return lines


def follow(database: Path, experiment: str, chosen: Path) -> list[str]:
    """Let an experiment whose chosen folder was moved or copied along with the store have its artifacts there.

    As in `settle`: the folder must hold artifacts of a run that the store has elsewhere.

    Returns
    -------
    list of str
        A line where this was so.
    """
    with _connected(database) as connection:
        statement = "select experiment_id, artifact_location from experiments where name = ?"
        row = connection.execute(statement, (experiment,)).fetchone()
        old = local_path(row[1]) if row else None
        if old is None or old.resolve() == chosen.resolve():
            return []
        own = _Place("experiments", str(row[0]), row[1])
        rows = connection.execute("select run_uuid, artifact_uri from runs where experiment_id = ?", (row[0],))
        places = [_Place("runs", *each) for each in rows if each[1] and local_path(each[1])]
        new = {place: chosen / place.path.relative_to(old) for place in places if place.path.is_relative_to(old)}
        if not any(path.exists() for path in new.values()):
            return []
        moved = [(place, path) for place, path in new.items() if path.exists() or not place.path.exists()]
        _write(connection, [*moved, (own, chosen)])
    return [f"Experiment '{experiment}' had its artifacts in {old} before: they are now in {chosen}."]


def elsewhere(database: Path, experiment: str) -> str:
    """One line on an experiment that writes to another folder than the one beside its database; else nothing."""
    with _connected(database) as connection:
        row = connection.execute("select artifact_location from experiments where name = ?", (experiment,)).fetchone()
    path = local_path(row[0]) if row else None
    if path is None or path.resolve() == beside(database).resolve():
        return ""
    return (
        f"Experiment '{experiment}' has its artifacts in {path}, not beside {database}: {_command(database)} copies "
        f"them, and new ones will be beside it; tracking.artifacts={path} says that the place is meant."
    )


def _command(database: Path) -> str:
    """What brings a store's artifacts beside it."""
    option = "" if database == Path.cwd() / "mlflow.db" else f" --uri sqlite:///{database.as_posix()}"
    return f"`python -m mtl.tracking move{option}`"


def move(database: Path) -> list[str]:
    """Copy the artifacts that a store has in other folders of this machine beside its database.

    Originals stay: another store may have them too.

    Returns
    -------
    list of str
        What was done.

    Raises
    ------
    UserError
        If there is no such store, or too little space.
    """
    if not database.is_file():
        raise UserError(f"There is no MLflow store at {database}; --uri says where it is.")
    lines = settle(database)
    here = beside(database)
    with _connected(database) as connection:
        away = [place for place in _places(connection) if not place.path.resolve().is_relative_to(here.resolve())]
        runs = {place: here / place.id / "artifacts" for place in away if place.table == "runs"}
        lost = {place for place, to in runs.items() if not place.path.parents[1].exists() and not to.exists()}
        found = {place: to for place, to in runs.items() if place.path.is_dir() and not to.exists()}
        _check_space(here, [place.path for place in found])
        for place, to in found.items():
            new = to.with_name("artifacts.new")
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(place.path, new, symlinks=True)  # a link stays a link: what it names is not ours to copy
            new.rename(to)
        experiments = [place for place in away if place.table == "experiments"]
        own = {place: here if place.id != "0" else here / "0" for place in experiments}
        _write(connection, [*((place, to) for place, to in runs.items() if place not in lost), *own.items()])
    if away:
        folders = ", ".join(sorted({str(place.path) for place in experiments} or {str(place.path) for place in found}))
        lines.append(
            f"The artifacts of {plural(len(found), 'run')} were copied to {here}, where new ones will be; "
            f"what this store used before stays as it is ({folders})."
        )
    if lost:  # a disk that is not mounted?
        lines.append(f"Of {plural(len(lost), 'run')} not even the folder is there: {sorted(lost, key=str)[0].path}.")
    return lines or [f"All artifacts of {database} are beside it already."]


def _check_space(folder: Path, sources: Sequence[Path]) -> None:
    """Refuse to begin what the disk cannot take."""
    needed = sum(
        (Path(path) / name).lstat().st_size
        for source in sources
        for path, _, names in os.walk(source)
        for name in names
    )
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(f"{folder} needs {needed:,} bytes for the artifacts, {free:,} are free.")
