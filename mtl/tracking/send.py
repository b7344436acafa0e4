"""What a store has not got yet, sent from the records on disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mtl import files, results
from mtl.errors import UserError
from mtl.results import FAILURE, HOST
from mtl.tracking import journal, process
from mtl.tracking.address import masked
from mtl.tracking.database import one_process_at_a_time
from mtl.tracking.journal import Journal
from mtl.tracking.mlflow_tracking import MLflowTracking
from mtl.tracking.run import send_pending
from mtl.tracking.store import UnreachableError


def send(folder: Path, timeout_s: float, uri: str | None = None) -> list[str]:
    """Bring over what the stores lack of the runs recorded below a folder; to do it twice changes nothing.

    A run whose process died without a word is closed as KILLED; one that is
    still going on is left alone.

    Parameters
    ----------
    folder : Path
    timeout_s : float
        Longest wait in seconds for a store.
    uri : str, optional
        Instead of the address in the record, where a password is not kept.

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
            lines.append(f"{path.parent}: {_send_one(Journal(path), timeout_s, uri)}")
    return lines


def _lock(name: str) -> Path:
    """A lock file where only this user can have put it; a record's own folder may be one that cannot lock."""
    path = files.own_folder() / name
    os.close(files.open_own(path, os.O_RDWR | os.O_CREAT, 0o600))
    return path


def _send_one(record: Journal, timeout_s: float, uri: str | None) -> str:
    """Send one record and say what came of it."""
    if not record.entries:
        return "its record is empty"
    uri = uri or record.first["uri"]
    if not uri:
        return "was not to be tracked (tracking=none); --uri says where to send it all the same"
    if "***" in uri:
        raise UserError(f"{record.path.parent}: the password of {uri} is not kept; --uri takes the whole address.")
    if record.status == "RUNNING":
        tags = record.tags()
        if not process.is_dead(tags):
            where = "" if tags[HOST] == process.this_host() else f" as far as is known here; it runs on {tags[HOST]}"
            return f"left alone, it is still going on{where}"
        record.add("tags", tags={FAILURE: results.NO_WORD})
        record.add("end", status="KILLED")
    tracking = MLflowTracking(uri, record.first.get("experiment") or "mtl", record.first.get("artifacts"), timeout_s)
    tracking.prepare()
    try:
        if tracking._down:
            raise UnreachableError(tracking._down)
        sent = send_pending(record, tracking._store)
    except UnreachableError as error:
        raise UserError(f"{record.path.parent}: MLflow at {masked(uri)}: {error}.") from error
    return f"{sent} calls sent to run {record.run_id}" if sent else "nothing was missing"
