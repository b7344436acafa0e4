"""A run being written: to disk, then to the store while that answers."""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import shlex
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mtl import files
from mtl.errors import UserError
from mtl.masking import masked
from mtl.results import FINGERPRINT, HOST, PROCESS, Killed
from mtl.stopwatch import TRACKING, spent_on
from mtl.tracking import journal, process
from mtl.tracking.address import absolute_uri, is_near
from mtl.tracking.beside import beside
from mtl.tracking.journal import Journal
from mtl.tracking.names import MAX_DIGEST, MAX_PARAM, MAX_PROFILE, MAX_TAG, as_text, flatten, legal_keys
from mtl.tracking.provenance import source_tags
from mtl.tracking.store import DeniedError, NoRoomError, RefusedError, Store, UnreachableError

log = logging.getLogger(__name__)

Status = Literal["FINISHED", "FAILED", "KILLED"]
NOTE = "mlflow.note.content"
UNDEFINED = "undefined.json"


class Run:
    """One run being tracked: every call goes to disk, then to the store while that answers.

    Raises
    ------
    UserError
        If the store does not let this user begin: said before there is anything to lose.
    """

    def __init__(self, record: Journal, store: Store | None, down: str = "") -> None:
        self._journal = record
        self._store = store
        self._down, self._began = "", False
        self._warned, self._denied = False, False  # what was said already
        self._no_room = False  # the store answers, but the files found no room
        self._seen = {
            (key, entry["step"]) for entry in record.entries if entry["call"] == "metrics" for key in entry["metrics"]
        }
        if down:
            self._go_on_alone(down)
        else:
            self._send()
        self._began = True

    @property
    def folder(self) -> Path:
        """Where the record lies."""
        return self._journal.path.parent

    @property
    def id(self) -> str:
        """MLflow's id; ``local-...`` while the store has not taken the run, empty without tracking."""
        if self._store is None:
            return ""
        return self._journal.run_id or f"local-{self._journal.first['key']}"

    @property
    def fingerprint(self) -> str:
        """What determines the run's numbers, as its tag says; empty as long as that is not known."""
        return self._journal.tags().get(FINGERPRINT, "")

    def params(self, params: Mapping[str, object]) -> None:
        """Parameters, nested ones flattened with dots; values as text."""
        flat = legal_keys(flatten(params))
        self._call("params", params={key: as_text(value, MAX_PARAM) for key, value in flat.items()})

    def metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Metrics of one step.

        The first value of a name and step stays: an epoch that is done again
        after a kill is not written twice. What is not finite is noted as
        undefined instead of written as a number.
        """
        numbers = {key: float(value) for key, value in legal_keys(metrics).items()}
        new = {key: value for key, value in numbers.items() if (key, step) not in self._seen}
        finite = {key: value for key, value in new.items() if math.isfinite(value)}
        self._seen |= {(key, step) for key in finite}
        if finite:
            self._call("metrics", metrics=finite, step=step)
        known = self._undefined()
        reasons = {key: f"{value} at step {step}" for key, value in new.items() if not math.isfinite(value)}
        self.undefined({key: reason for key, reason in reasons.items() if key not in known})

    def undefined(self, reasons: Mapping[str, str]) -> None:
        """Names of numbers that could not be had, with the reason: a tag, and at the end ``undefined.json``."""
        if reasons:
            names = ", ".join(self._undefined() | dict(reasons))
            self._call("tags", tags=legal_tags({"undefined": names}), undefined=dict(reasons))

    def _undefined(self) -> dict[str, str]:
        return {key: why for entry in self._journal.entries for key, why in entry.get("undefined", {}).items()}

    def tags(self, tags: Mapping[str, object]) -> None:
        """Tags; a later value replaces an earlier one."""
        self._call("tags", tags=legal_tags(tags))

    def text(self, markdown: str) -> None:
        """The run's description, shown as Markdown on its page."""
        self.tags({NOTE: markdown})

    def dataset(
        self, name: str, digest: str, source: str, profile: Mapping[str, object], context: Literal["train", "test"]
    ) -> None:
        """What the run read, as one of its inputs.

        Parameters
        ----------
        name, digest : str
            Together they say which data; the digest is cut to leave room for the context.
        source : str
            Where the data lies.
        profile : mapping
            Counts and the like, to be shown.
        context : {'train', 'test'}
        """
        text = as_text(json.dumps(dict(profile), default=str), MAX_PROFILE)
        # MLflow keeps one context per name and digest: each part of the data needs a digest of its own
        digest = f"{digest[: MAX_DIGEST - len(context) - 1]}-{context}"
        self._call("dataset", name=name, digest=digest, source=source, profile=text, context=context)

    def artifacts(self, folder: Path, under: str = "") -> None:
        """Upload what a folder holds, to the folder `under` of the run's artifacts."""
        path = os.path.relpath(folder.resolve(), self.folder.resolve())
        self._call("artifacts", folder=Path(path).as_posix(), under=under)

    def closing(self) -> None:
        """From now on a full disk is no reason to stop: the store is to know how the run ended."""
        self._journal.is_closing = True

    def end(self, status: Status) -> None:
        """Close the run; a store that had gone is asked once more.

        Raises
        ------
        UserError
            If the disk is full; not after `closing`.
        """
        was_down, self._down = self._down, ""
        if self._undefined():
            self._publish_undefined()
        if not self._down:
            self._call("end", status=status)
        else:
            self._journal.add("end", status=status)
        if was_down and not self._down:
            log.info("MLflow answers again: everything was sent.")
        if self._no_room and self._store is not None and self._journal.run_id:
            self._store.close_unsent(self._journal.run_id, self._down)

    def _publish_undefined(self) -> None:
        try:
            files.publish(self.folder / UNDEFINED, json.dumps(self._undefined(), indent=2).encode())
        except OSError as error:
            if not self._journal.is_closing:
                raise files.disk_error(error, self.folder, 0, journal.ROOM) from error
        else:
            self._call("file", file=UNDEFINED)

    def _call(self, call: str, **details: object) -> None:
        with spent_on(TRACKING, 1):
            self._journal.add(call, **details)
            if not self._down:
                self._send()

    def _send(self) -> None:
        """Bring over what is missing; where that fails, go on with the disk."""
        if self._store is None:
            return
        try:
            send_pending(self._journal, self._store)
        except UnreachableError as error:
            self._no_room = isinstance(error.__cause__, NoRoomError)
            is_denied = isinstance(error.__cause__, DeniedError)
            if is_denied and not self._began:
                self._journal.withdraw()
                raise UserError(f"MLflow at {masked(self._store.uri)} refuses: {error}.") from error
            self._go_on_alone(str(error), is_denied)
        else:
            self._no_room = False

    def _go_on_alone(self, reason: str, is_denied: bool = False) -> None:
        """Say once that the rest stays on disk, and, where that was not known before, that the user is to blame."""
        self._down = reason
        if not (self._denied if is_denied else self._warned) and self._store is not None:
            self._warned, self._denied = True, is_denied
            log.warning(
                "MLflow at %s cannot be had (%s): the run goes on, and what is missing there can be sent later by "
                "`python -m mtl.tracking send %s%s`.",
                masked(self._store.uri),
                reason,
                shlex.quote(str(self.folder)),
                self._what_is_asked_for(),
            )

    def _what_is_asked_for(self) -> str:
        """The options of `send` without which it does not follow this record."""
        store = self._store
        assert store is not None
        near, database = is_near(store.uri, self.folder), absolute_uri(store.uri)[1]
        usual = None if database is None else beside(database).as_uri()
        asked = {} if near else {"--uri": masked(store.uri)}
        asked |= {} if store.artifacts in (None, usual) else {"--artifacts": masked(store.artifacts)}
        return "".join(f" {key} {shlex.quote(value)}" for key, value in asked.items())


def send_pending(record: Journal, store: Store) -> int:
    """Bring over what the store lacks of a record, in order; return how many calls it took.

    Raises
    ------
    UnreachableError
        If the store does not answer, does not let this user, or the run was deleted there.
    """
    sent = 0
    for entry in record.pending:
        try:
            run_id = store.ask(functools.partial(store.play, entry, record.run_id, record.path.parent))
        except RefusedError as error:
            is_for_another_user = isinstance(error, DeniedError)  # who may send what this one may not
            begins = entry["call"] in ("start", "again")
            if is_for_another_user or begins or not _takes_calls(store, record.run_id):
                raise UnreachableError(str(error)) from error
            log.warning("Not sent: %s of run %s: %s", entry["call"], record.run_id, error)
            record.done(entry, record.run_id, str(error))
        else:
            record.done(entry, run_id)
            sent += 1
    return sent


def _takes_calls(store: Store, run_id: str) -> bool:
    """Whether only the call was at fault: the run is there and open to calls."""
    try:
        return store.ask(lambda: store.client.get_run(run_id).info.lifecycle_stage == "active")
    except RefusedError:
        return False


def legal_tags(tags: Mapping[str, object]) -> dict[str, str]:
    """Tags under names, and cut to lengths, that MLflow takes."""
    return {key: as_text(value, MAX_TAG) for key, value in legal_keys(tags).items()}


def begin_record(
    name: str,
    folder: Path,
    parent: str | None,
    tags: Mapping[str, str],
    where: Mapping[str, str | None],
    killed: Killed | None = None,
) -> Journal:
    """The record to write to: a killed run's is continued, any other is put aside."""
    if killed is not None:
        _take_over(killed, folder, where)
        tags = {**tags, FINGERPRINT: killed.fingerprint}
    record = Journal(folder / journal.JOURNAL)
    tags = source_tags() | legal_tags(tags) | process.this_process()
    if record.entries:
        before = record.tags()
        is_ours = before[PROCESS] == tags[PROCESS] or before[HOST] != tags[HOST] or process.is_dead(before)
        if record.status == "RUNNING" and not is_ours:
            raise UserError(f"{folder} belongs to a run that is still going on (process {before[PROCESS]}).")
        same = _same_store(record.first, where) and before.get(FINGERPRINT) == tags.get(FINGERPRINT)
        if same and record.status in ("RUNNING", "KILLED"):
            record.add("again", parent=parent or None, tags=tags)
            return record
        record = record.put_aside()
    record.add("start", key=uuid.uuid4().hex, name=name, parent=parent or None, tags=tags, **where)
    return record


def _take_over(killed: Killed, folder: Path, where: Mapping[str, str | None]) -> None:
    """Move a killed run's record into the folder of the run that goes on with it: it stays one run."""
    if killed.record is None or (folder / journal.JOURNAL).exists():
        return
    path = killed.record / journal.JOURNAL
    if path.is_symlink() or not path.is_file():
        return
    left = Journal(path)
    same = bool(left.entries) and _same_store(left.first, where)
    if not same or left.tags().get(FINGERPRINT) != killed.fingerprint:
        return
    if left.status == "KILLED" or (left.status == "RUNNING" and process.is_dead(left.tags())):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(path, folder / journal.JOURNAL)
        log.info("The run of %s goes on here.", killed.record)


def _same_store(first: Mapping[str, str | None], where: Mapping[str, str | None]) -> bool:
    """Whether a record was begun for this store; a local one is known by its place as seen from the record."""
    near = bool(first.get("database") and where.get("database"))
    keys = ("database", "experiment") if near else ("uri", "experiment", "artifacts")
    return all(first.get(key) == where.get(key) for key in keys)
