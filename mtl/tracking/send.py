"""What a store has not got yet, sent from the records on disk."""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

from mtl import files, results
from mtl.errors import UserError
from mtl.masking import masked
from mtl.results import FAILURE, HOST
from mtl.tracking import journal, process
from mtl.tracking.address import absolute_uri, is_near
from mtl.tracking.beside import beside
from mtl.tracking.database import one_process_at_a_time
from mtl.tracking.journal import Journal
from mtl.tracking.mlflow_tracking import MLflowTracking
from mtl.tracking.run import send_pending
from mtl.tracking.store import UnreachableError


def send(folder: Path, timeout_s: float, uri: str | None = None, artifacts: str | None = None) -> list[str]:
    """Bring over what the stores lack of the runs recorded below a folder; to do it twice changes nothing.

    A run whose process died without a word is closed as KILLED; one that is
    still going on is left alone.

    Parameters
    ----------
    folder : Path
    timeout_s : float
        Longest wait in seconds for a store.
    uri : str, optional
        The store. A record's own address is enough only where it is a database of the
        same work folder, `address.is_near`: whoever can write a record shall not choose
        where its files go.
    artifacts : str, optional
        Where the artifacts of a new experiment go, where that is not what is usual.

    Returns
    -------
    list of str
        One line per run.

    Raises
    ------
    UserError
        If nothing is recorded there, or a store does not answer.
    """
    found = journal.journals(folder)
    if not found:
        raise UserError(f"No run is recorded in {folder}: there is no {journal.JOURNAL} in it or below.")
    lines = []
    for path in found:
        name = f"mtl-send-{hashlib.sha256(bytes(path.resolve())).hexdigest()[:16]}.lock"
        with one_process_at_a_time(_lock(name)):
            lines.append(f"{path.parent}: {_send_one(Journal(path), timeout_s, uri, artifacts)}")
    return lines


def _lock(name: str) -> Path:
    """A lock file where only this user can have put it; a record's own folder may be one that cannot lock."""
    path = files.own_folder() / name
    os.close(files.open_own(path, os.O_RDWR | os.O_CREAT, 0o600))
    return path


def _send_one(record: Journal, timeout_s: float, uri: str | None, artifacts: str | None) -> str:
    """Send one record and say what came of it."""
    if not record.entries:
        return "its record is empty"
    uri = uri or _own_address(record)
    artifacts = artifacts or _own_artifacts(record)
    if not uri:
        return "was not to be tracked (tracking=none); --uri says where to send it all the same"
    if record.status == "RUNNING":
        tags = record.tags()
        if not process.is_dead(tags):
            where = "" if tags[HOST] == process.this_host() else f" as far as is known here; it runs on {tags[HOST]}"
            return f"left alone, it is still going on{where}"
        record.add("tags", tags={FAILURE: results.NO_WORD})
        record.add("end", status="KILLED")
    tracking = MLflowTracking(uri, record.first.get("experiment") or "mtl", artifacts, timeout_s)
    tracking.prepare()
    try:
        if tracking._down:
            raise UnreachableError(tracking._down)
        sent = send_pending(record, tracking._store)
    except UnreachableError as error:
        raise UserError(f"{record.path.parent}: MLflow at {masked(uri)}: {error}.") from error
    return f"{sent} calls sent to run {record.run_id}" if sent else "nothing was missing"


def _own_address(record: Journal) -> str:
    """The record's own store, where that may be written to unasked; empty where the run was not to be tracked."""
    uri = record.store_uri()
    if uri and not is_near(uri, record.path.parent):
        whole = ", with the password, which is not kept" if "***" in uri else ""
        raise UserError(
            f"{record.path.parent}: its record names the store {uri}, which is not in this work folder; "
            f"nothing was sent. If it is yours: --uri {shlex.quote(uri)}{whole}."
        )
    return uri


def _own_artifacts(record: Journal) -> str | None:
    """None, the usual place; a record that names another one is not followed."""
    place, uri = record.first.get("artifacts"), record.first.get("uri") or ""
    _, database = absolute_uri(uri) if uri.startswith("sqlite") else ("", None)
    if place is None or (database is not None and place == beside(database).as_uri()):
        return None
    raise UserError(
        f"{record.path.parent}: its record names the place {place} for artifacts; nothing was sent. "
        f"If it is yours: --artifacts {shlex.quote(place)}."
    )
