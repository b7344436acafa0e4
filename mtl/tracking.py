"""The one door to MLflow: every call is on disk first, then in the store.

A run's folder holds its record (`mtl.journal`): one line per call, and one line
for every call the store has taken. A store that does not answer therefore costs
a bounded wait and nothing else; ``python -m mtl.tracking send FOLDER`` brings the
rest over later.
"""

from __future__ import annotations

import argparse
import functools
import getpass
import hashlib
import json
import logging
import math
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import PositiveFloat

from mtl import journal
from mtl.journal import FAILURE, FINGERPRINT, HOST, KEY, PARENT, PROCESS, Journal, TrackedRun
from mtl.journal import recorded as recorded
from mtl.mistakes import Mistake, nearest

if TYPE_CHECKING:
    import mlflow
    import mlflow.entities

log = logging.getLogger(__name__)

Status = Literal["FINISHED", "FAILED", "KILLED"]
T = TypeVar("T")

NOTE = "mlflow.note.content"
UNDEFINED = "undefined.json"
BATCH_OF_PARAMS, BATCH_OF_METRICS = 100, 1000
SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")
RIGHT_URI = "sqlite:///mlflow.db or http://host:5000"
DEFAULT_PAGE = "http://127.0.0.1:5000"
MODEL_TRAINING = "workflowType=machine_learning"  # else the page opens with its menu for language models
MOST_COMPARED = 20  # links longer than that are no longer clicked

# An upload may be long in taking a large file in; that the store lives is asked before.
UPLOAD_TIMEOUT_S = 120.0
LOCK_TIMEOUT_S = 120.0

# Answers that stay the same however often one asks.
REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "INVALID_STATE",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "CUSTOMER_UNAUTHORIZED",
    "ENDPOINT_NOT_FOUND",
    "FEATURE_DISABLED",
}


class UnreachableError(ConnectionError):
    """The store does not answer, or cannot write, after the bounded wait."""


class RefusedError(ValueError):
    """The store answers, and will not take this call however often it is sent."""


# --- where a run comes from -------------------------------------------------------------------------------------------


@functools.cache
def git_state() -> tuple[str, bool]:
    """Commit of this code, empty outside a checkout, and whether files differ from it."""
    here = Path(__file__).resolve()

    def git(*words: str) -> str:
        command = ["git", "-C", str(here.parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return "", False


def _source_tags() -> dict[str, str]:
    """What MLflow's own start would have set, and whether the checkout was clean."""
    tags = {"mlflow.source.name": "run.py", "mlflow.source.type": "LOCAL"}  # a launcher's worker has another name
    with suppress(KeyError, OSError, ImportError):  # a user id without a name, as in many containers
        tags["mlflow.user"] = getpass.getuser()
    commit, dirty = git_state()
    if commit:
        tags |= {"mlflow.source.git.commit": commit, "git_dirty": str(dirty).lower()}
    return tags


# --- the store --------------------------------------------------------------------------------------------------------


class Store:
    """One experiment of one MLflow store, asked with a bounded wait.

    Parameters
    ----------
    uri : str
        Absolute.
    experiment : str
    artifacts : str or None
        Where a new experiment's artifacts go; None leaves it to the store.
    timeout_s : float
    """

    def __init__(self, uri: str, experiment: str, artifacts: str | None, timeout_s: float) -> None:
        self.uri = uri
        self.experiment = experiment
        self.artifacts = artifacts
        self.timeout_s = timeout_s
        self.seconds = 0.0  # spent waiting for it
        self._experiment_id: str | None = None

    @functools.cached_property
    def client(self) -> mlflow.MlflowClient:
        """MLflow's client; the import of MLflow waits until here."""
        _import_mlflow()
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def ask(self, question: Callable[[], T]) -> T:
        """The answer to a question, asked again until the wait is over.

        MLflow's own retries are off: they know no end in time, and would make a
        run twice where only the answer was lost.

        Raises
        ------
        UnreachableError, RefusedError
        """
        began = time.monotonic()
        try:
            return self._ask(question)
        finally:
            self.seconds += time.monotonic() - began

    def _ask(self, question: Callable[[], T]) -> T:
        _import_mlflow()  # takes seconds of its own, which are not the store's
        end, pause = time.monotonic() + self.timeout_s, 0.2
        while True:
            try:
                with _limits(end - time.monotonic()):
                    return question()
            except (RefusedError, Mistake):
                raise
            except Exception as error:  # MLflow's, the database's, the network's or the disk's own: the run must go on
                reason = _reason(error)
                if getattr(error, "error_code", "") in REFUSALS:
                    raise RefusedError(reason) from error
                if time.monotonic() + pause >= end:
                    raise UnreachableError(reason) from error
            time.sleep(pause)
            pause *= 2

    def experiment_id(self) -> str | None:
        """Id of the experiment; None where there is none."""
        if self._experiment_id is None:
            found = self.client.get_experiment_by_name(self.experiment)
            self._experiment_id = found.experiment_id if found else None
        return self._experiment_id

    def create_experiment(self) -> str:
        """Id of the experiment, which is made, or brought back from the deleted ones, where needed."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                self._experiment_id = self.client.create_experiment(self.experiment, artifact_location=self.artifacts)
            except MlflowException:
                found = self.client.get_experiment_by_name(self.experiment)
                if found is None:  # else another process was faster
                    raise
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
                log.warning("Experiment '%s' had been deleted: it is restored.", self.experiment)
            self._experiment_id = found.experiment_id
        return str(self._experiment_id)

    def find(self, tags: Mapping[str, str], status: str | None = None) -> list[mlflow.entities.Run]:
        """Runs of the experiment with these tags, first started first; deleted ones are left out."""
        experiment = self.experiment_id()
        words = [f"tags.`{key}` = '{value}'" for key, value in tags.items() if "'" not in value]
        words += [f"attributes.status = '{status}'"] if status else []
        runs: list[mlflow.entities.Run] = []
        token = None
        while experiment is not None:
            page = self.client.search_runs(
                [experiment], " and ".join(words), order_by=["attributes.start_time ASC"], page_token=token
            )
            runs += page
            token = page.token
            if not token:
                break
        return [run for run in runs if all(run.data.tags.get(key) == value for key, value in tags.items())]

    def play(self, entry: Mapping, run_id: str, folder: Path) -> str:
        """Bring one call of a record over and return the run's id; to do it twice changes nothing."""
        call = entry["call"]
        if call == "start":
            return self._start(entry)
        if call == "again":
            self._reopen(run_id, self._tags(entry))
        elif call == "params":
            self._log_params(run_id, entry["params"])
        elif call == "metrics":
            self._log_metrics(run_id, entry)
        elif call == "tags":
            self._log_tags(run_id, entry["tags"])
        elif call == "dataset":
            self._log_dataset(run_id, entry)
        elif call == "artifacts":
            self._upload(run_id, folder / entry["folder"], entry["under"])
        elif call == "file":
            self._upload(run_id, folder / entry["file"], "")
        elif call == "end":
            self.client.set_terminated(run_id, entry["status"], entry["time"])
        return run_id

    def _reopen(self, run_id: str, tags: Mapping[str, str]) -> None:
        run = self.client.get_run(run_id)
        if run.info.lifecycle_stage == "deleted":
            self.client.restore_run(run_id)
        self.client.update_run(run_id, status="RUNNING")
        if FAILURE in run.data.tags:
            self.client.delete_tag(run_id, FAILURE)
        self._log_tags(run_id, tags)

    def _start(self, entry: Mapping) -> str:
        found = self.find({KEY: entry["key"]})
        if found:
            return found[0].info.run_id
        tags = self._tags(entry) | {KEY: entry["key"]}
        run = self.client.create_run(
            self.experiment_id() or self.create_experiment(), entry["time"], tags, entry["name"]
        )
        return run.info.run_id

    def _tags(self, entry: Mapping) -> dict[str, str]:
        """The entry's tags, with the parent's id as the store knows it."""
        parent = entry["parent"]
        if parent and parent.startswith("local-"):
            found = self.find({KEY: parent.removeprefix("local-")})
            if not found:
                raise RefusedError("its parent run is not there yet: send the parent's folder first")
            parent = found[0].info.run_id
        return entry["tags"] | ({PARENT: parent} if parent else {})

    def _log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        for part in _parts([Param(key, value) for key, value in params.items()], BATCH_OF_PARAMS):
            self.client.log_batch(run_id, params=part)

    def _log_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for part in _parts([RunTag(key, value) for key, value in tags.items()], BATCH_OF_PARAMS):
            self.client.log_batch(run_id, tags=part)

    def _log_metrics(self, run_id: str, entry: Mapping) -> None:
        from mlflow.entities import Metric

        rows = [Metric(key, value, entry["time"], entry["step"]) for key, value in entry["metrics"].items()]
        for part in _parts(rows, BATCH_OF_METRICS):
            self.client.log_batch(run_id, metrics=part)

    def _log_dataset(self, run_id: str, entry: Mapping) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=entry["name"],
            digest=entry["digest"],
            source_type="local",
            source=json.dumps({"uri": entry["source"]}),
            profile=entry["profile"],
        )
        self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", entry["context"])])])

    def _upload(self, run_id: str, path: Path, under: str) -> None:
        if not path.exists():
            raise RefusedError(f"{path} is not there any more")
        self.client.get_run(run_id)  # a store that is gone is found out here, within the short wait
        with _limits(UPLOAD_TIMEOUT_S):
            if path.is_dir():
                self.client.log_artifacts(run_id, str(path), under or None)
            else:
                self.client.log_artifact(run_id, str(path), under or None)


def _parts(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (rows[i : i + size] for i in range(0, len(rows), size))


def _import_mlflow() -> None:
    """Import MLflow, its telemetry off: what is trained here is nobody else's business."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # noqa: F401


def _reason(error: Exception) -> str:
    """The first line of an error, without the noise around it."""
    line = next(iter(str(error).strip().splitlines()), "")
    root = re.search(r"Connection refused|timed out|Name or service not known|No route to host", str(error))
    return root.group() if root else (line[:200] or type(error).__name__)


@contextmanager
def _limits(seconds: float) -> Iterator[None]:
    """MLflow's settings while we ask it: no retries of its own, a request's time, nothing printed."""
    _import_mlflow()  # which sets the levels of its loggers
    wanted = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, math.ceil(seconds))),
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    loggers = {name: logging.getLogger(name).level for name in ("mlflow", "alembic")}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # every failed try would come with a traceback
    try:
        yield
    finally:
        for name, level in loggers.items():
            logging.getLogger(name).setLevel(level)
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


# --- a local database, made once --------------------------------------------------------------------------------------


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Only one process at a time; sqlite's own lock, so a dead owner's is gone with it, on every system."""
    with closing(sqlite3.connect(lock, timeout=LOCK_TIMEOUT_S, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


def _schema_version(database: Path) -> str | None:
    """The schema's version, empty where tables are without one, None where there is no database."""
    if not database.exists() or not database.stat().st_size:
        return None
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=LOCK_TIMEOUT_S)) as connection:
        try:
            row = connection.execute("select version_num from alembic_version").fetchone()
        except sqlite3.DatabaseError:
            row = None
    return row[0] if row else ""


def create_database(database: Path, artifacts: str) -> None:
    """Make the sqlite store where it is missing: once, whole or not at all, however many processes ask.

    Raises
    ------
    Mistake
        If there is a file that is no MLflow store, or nothing may be written there.
    """
    for path in (database, next(parent for parent in database.parents if parent.exists())):
        if path.exists() and not os.access(path, os.W_OK):
            raise Mistake(
                f"{path} cannot be written (permission): set tracking.uri to a store that can, or tracking=none."
            )
    version = _schema_version(database)
    if version is None:
        database.parent.mkdir(parents=True, exist_ok=True)
        with _alone(database.with_name(f"{database.name}.lock")):
            if _schema_version(database) is None:
                _create_whole(database, artifacts)
        version = _schema_version(database)
    if not version:
        raise Mistake(f"{database} is no whole MLflow store: move it away, or set tracking.uri to another one.")


def _create_whole(database: Path, artifacts: str) -> None:
    """The migrations run on a file of another name: a kill in their midst leaves no half store behind."""
    new = database.with_name(f"{database.name}.new")
    new.unlink(missing_ok=True)
    _import_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"sqlite:///{new.as_posix()}", artifacts).engine.dispose()
    new.replace(database)


# --- a run being written ----------------------------------------------------------------------------------------------


class Run:
    """One run being tracked: every call goes to disk, then to the store while that answers."""

    def __init__(self, record: Journal, store: Store | None, down: str = "") -> None:
        self._journal = record
        self._store = store
        self._down, self._warned = "", False
        self._seen = {
            (key, entry["step"]) for entry in record.entries if entry["call"] == "metrics" for key in entry["metrics"]
        }
        if down:
            self._go_on_alone(down)
        else:
            self._send()

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

    def params(self, params: Mapping[str, object]) -> None:
        """Parameters, nested ones flattened with dots; values as text."""
        flat = journal.legal_keys(journal.flatten(params))
        self._call("params", params={key: journal.text(value, journal.MAX_PARAM) for key, value in flat.items()})

    def metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Metrics of one step.

        The first value of a name and step stays: an epoch that is done again
        after a kill is not written twice. What is not finite is noted as
        undefined instead of written as a number.
        """
        numbers = {key: float(value) for key, value in journal.legal_keys(metrics).items()}
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
            self._call("tags", tags=_legal_tags({"undefined": names}), undefined=dict(reasons))

    def _undefined(self) -> dict[str, str]:
        return {key: why for entry in self._journal.entries for key, why in entry.get("undefined", {}).items()}

    def tags(self, tags: Mapping[str, object]) -> None:
        """Tags; a later value replaces an earlier one."""
        self._call("tags", tags=_legal_tags(tags))

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
        text = journal.text(json.dumps(dict(profile), default=str), journal.MAX_PROFILE)
        # MLflow keeps one context per name and digest: each part of the data needs a digest of its own
        digest = f"{digest[: journal.MAX_DIGEST - len(context) - 1]}-{context}"
        self._call("dataset", name=name, digest=digest, source=source, profile=text, context=context)

    def artifacts(self, folder: Path, under: str = "") -> None:
        """Upload what a folder holds, to the folder `under` of the run's artifacts."""
        path = os.path.relpath(folder.resolve(), self.folder.resolve())
        self._call("artifacts", folder=Path(path).as_posix(), under=under)

    def end(self, status: Status) -> None:
        """Close the run; a store that had gone is asked once more."""
        was_down, self._down = self._down, ""
        if self._undefined():
            (self.folder / UNDEFINED).write_text(json.dumps(self._undefined(), indent=2), encoding="utf-8")
            self._call("file", file=UNDEFINED)
        if not self._down:
            self._call("end", status=status)
        else:
            self._journal.add("end", status=status)
        if was_down and not self._down:
            log.info("MLflow answers again: everything was sent.")

    def _call(self, call: str, **details: object) -> None:
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
            self._go_on_alone(str(error))

    def _go_on_alone(self, reason: str) -> None:
        """Say once that the rest stays on disk."""
        self._down = reason
        if not self._warned and self._store is not None:
            self._warned = True
            log.warning(
                "MLflow at %s cannot be had (%s): the run goes on, and what is missing there can be sent later by "
                "`python -m mtl.tracking send %s`.",
                masked(self._store.uri),
                reason,
                shlex.quote(str(self.folder)),
            )


def send_pending(record: Journal, store: Store) -> int:
    """Bring over what the store lacks of a record, in order; return how many calls it took.

    Raises
    ------
    UnreachableError
        If the store does not answer, or the run was deleted there.
    """
    sent = 0
    for entry in record.pending:
        try:
            run_id = store.ask(functools.partial(store.play, entry, record.run_id, record.path.parent))
        except RefusedError as error:
            if entry["call"] in ("start", "again") or not _takes_calls(store, record.run_id):
                raise UnreachableError(str(error)) from error
            log.warning("MLflow refused %s of run %s: %s", entry["call"], record.run_id, error)
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


def _legal_tags(tags: Mapping[str, object]) -> dict[str, str]:
    return {key: journal.text(value, journal.MAX_TAG) for key, value in journal.legal_keys(tags).items()}


# --- the two ways to track --------------------------------------------------------------------------------------------


class MLflowTracking:
    """Runs in MLflow: a local database, or a server.

    Parameters
    ----------
    uri : str
        ``sqlite:///file``, made absolute against the working directory, or the
        address of a server or database.
    experiment : str
        Its name.
    artifacts : str or None
        Where artifacts of a new experiment go. None: the folder ``mlartifacts``
        beside a local database, or what the server says.
    timeout_s : float
        Longest wait in seconds for a store that does not answer.

    Raises
    ------
    Mistake
        If MLflow takes no such address.
    """

    def __init__(self, uri: str, experiment: str, artifacts: str | None, timeout_s: PositiveFloat) -> None:
        self.uri, self._database = absolute_uri(uri)
        if artifacts is None and not self._is_server:
            artifacts = str((self._database or Path.cwd() / "mlflow.db").with_name("mlartifacts"))
        if artifacts is not None and "://" not in artifacts:
            artifacts = Path(artifacts).absolute().as_uri()
        self._store = Store(self.uri, experiment, artifacts, timeout_s)
        self.experiment = experiment
        self._prepared = False
        self._down = ""

    @property
    def seconds(self) -> float:
        """What the store cost this process so far: its making, every call of its runs, and the import of MLflow."""
        return self._store.seconds

    def prepare(self) -> None:
        """Make store and experiment where they are missing; safe however many processes do it at once.

        Where the store does not answer, `start` says so and the run goes on.

        Raises
        ------
        Mistake
            If the store answers and will not have it: another schema, no permission.
        """
        if self._prepared:
            return
        try:
            self._store.ask(self._create)
        except RefusedError as error:
            raise Mistake(f"MLflow at {masked(self.uri)} refuses: {error}.") from error
        except UnreachableError as error:
            self._down = str(error)
        else:
            self._prepared, self._down = True, ""

    def _create(self) -> None:
        from mlflow.exceptions import MlflowException

        if self._database:
            create_database(self._database, str(self._store.artifacts))
        try:
            self._store.create_experiment()
        except MlflowException as error:
            if "out-of-date database schema" not in str(error):
                raise
            raise Mistake(
                f"The store {masked(self.uri)} was made by another version of MLflow: keep a copy, then run "
                f"`mlflow db upgrade {shlex.quote(self.uri)}`, or set tracking.uri to a new one."
            ) from error

    def start(self, name: str, folder: Path, parent: str | None, tags: Mapping[str, str]) -> Run:
        """A run, its record in the folder.

        A run of the same folder that was killed before its end is taken up
        again, unless its tag `fingerprint` says it was another one. Any other
        record that lies there is put aside.

        Parameters
        ----------
        name : str
        folder : Path
        parent : str or None
            Id of the run it belongs to.
        tags : mapping of str to str

        Raises
        ------
        Mistake
            If a living process writes to this folder.
        """
        if not self._prepared and not self._down:
            self.prepare()
        where = {"uri": masked(self.uri), "experiment": self.experiment, "artifacts": self._store.artifacts}
        return Run(_begin(name, folder, parent, tags, where), self._store, self._down)

    def runs(
        self, parent: str | None = None, tags: Mapping[str, str] | None = None, status: str | None = None
    ) -> list[TrackedRun]:
        """Runs of the experiment, first started first.

        Parameters
        ----------
        parent : str, optional
            Only the children of this run.
        tags : mapping of str to str, optional
            Only runs that carry all of these.
        status : str, optional

        Raises
        ------
        Mistake
            If the store does not answer.
        """
        wanted = dict(tags or {}) | ({PARENT: parent} if parent else {})
        return [_tracked(run) for run in self._read(lambda: self._store.find(wanted, status))]

    def run(self, run_id: str) -> TrackedRun:
        """The run of this id.

        Raises
        ------
        Mistake
            If there is none, or the store does not answer.
        """
        return _tracked(self._read(lambda: self._store.client.get_run(run_id)))

    def download(self, run_id: str, path: str, to: Path | None = None) -> Path:
        """A run's artifact as a local file or folder.

        Parameters
        ----------
        run_id, path : str
        to : Path, optional
            Folder to put it in. Without it an artifact that lies on this machine is
            not copied, and any other goes to a temporary folder.

        Raises
        ------
        Mistake
            If there is no such run or artifact, or the store does not answer.
        """
        if to is None:
            place = urllib.parse.urlparse(self.run(run_id).artifact_uri)
            local = Path(urllib.request.url2pathname(place.path)) / path
            if place.scheme == "file" and local.exists():
                return local
        else:
            to.mkdir(parents=True, exist_ok=True)
        question = functools.partial(self._store.client.download_artifacts, run_id, path, str(to) if to else None)
        with _limits(UPLOAD_TIMEOUT_S):
            return Path(self._read(question))

    def close_stale(self) -> list[TrackedRun]:
        """Close, as KILLED, the runs whose process died on this host without a word; return them."""
        stale = [run for run in self.runs(status="RUNNING") if journal.is_dead(run.tags)]
        for run in stale:
            self._read(functools.partial(self._close, run.id))
        return stale

    def close(self, run_id: str) -> TrackedRun:
        """Close, as KILLED, a run whose process died where this one cannot see it, and return it as it was.

        Raises
        ------
        Mistake
            If there is none, it has come to an end, or its process lives on this host.
        """
        run = self.run(run_id)
        if run.status != "RUNNING":
            raise Mistake(f"Run {run_id} is {run.status} already.")
        if run.tags.get(HOST) == journal.this_host() and not journal.is_dead(run.tags):
            raise Mistake(f"Run {run_id} is still going on (process {run.tags.get(PROCESS)}).")
        self._read(functools.partial(self._close, run_id))
        return run

    def _close(self, run_id: str) -> None:
        self._store.client.set_tag(run_id, FAILURE, journal.NO_WORD)
        self._store.client.set_terminated(run_id, "KILLED")

    def _read(self, question: Callable[[], T]) -> T:
        if self._database and not self._database.exists():
            raise Mistake(f"There is no MLflow store at {self._database}; tracking.uri says where to look.")
        try:
            return self._store.ask(question)
        except (RefusedError, UnreachableError) as error:
            raise Mistake(f"MLflow at {masked(self.uri)}: {error}.") from error

    def where_to_look(
        self, run_ids: Sequence[str], metric: str, parent: str = "", one_per_set: Sequence[str] = ()
    ) -> list[str]:
        """Lines that tell a person where these runs are seen: the command, and links to compare and to chart them.

        Parameters
        ----------
        run_ids : sequence of str
            Those that the store has not taken are left out.
        metric : str
            What the chart view is sorted by.
        parent : str, optional
            Sweep the charts are confined to.
        one_per_set : sequence of str, optional
            Those to compare where all of them are too many for one link.
        """
        experiment = None if self._down else self._store._experiment_id
        tracked = [run_id for run_id in run_ids if run_id and not run_id.startswith("local-")]
        if experiment is None or not tracked:
            return []
        page = f"{masked(self.uri).rstrip('/') if self._is_server else DEFAULT_PAGE}/#"
        lines = [] if self._is_server else [f"mlflow ui{self._ui_option()}"]
        if len(tracked) == 1:
            return [*lines, f"run      {page}/experiments/{experiment}/runs/{tracked[0]}?{MODEL_TRAINING}"]
        many = len(tracked) > MOST_COMPARED
        compared = [run_id for run_id in one_per_set if run_id in tracked][:MOST_COMPARED] if many else tracked
        if len(compared) > 1:
            link = f"{page}/compare-runs?runs={_in_link(compared)}&experiments={_in_link([experiment])}"
            lines.append(f"compare{', one run of each set' if many else ''}  {link}")
        view = {"orderByKey": f"metrics.`{metric}`", "orderByAsc": "false"}
        if parent and not parent.startswith("local-"):
            view["searchFilter"] = f"tags.`{PARENT}` = '{parent}'"
        query = urllib.parse.urlencode(view | {"compareRunsMode": "CHART"}, quote_via=urllib.parse.quote)
        return [*lines, f"charts   {page}/experiments/{experiment}/runs?{MODEL_TRAINING}&{query}"]

    @property
    def _is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    def _ui_option(self) -> str:
        """What `mlflow ui`, typed in the working directory, needs to find this store."""
        is_default = self._database == Path.cwd() / "mlflow.db" and not os.environ.get("MLFLOW_TRACKING_URI")
        old_folder = any(Path("mlruns").glob("[0-9]*/meta.yaml"))  # MLflow then takes that folder instead
        return "" if is_default and not old_folder else f" --backend-store-uri {shlex.quote(masked(self.uri))}"


class NoTracking:
    """The same interface without MLflow: only the record in the run's folder is written."""

    uri = ""
    experiment = ""
    seconds = 0.0

    def prepare(self) -> None:
        """Nothing to make."""

    def start(self, name: str, folder: Path, parent: str | None, tags: Mapping[str, str]) -> Run:
        """A run that is written down in its folder only; its id is empty."""
        return Run(_begin(name, folder, parent, tags, {"uri": ""}), None)

    def runs(
        self, parent: str | None = None, tags: Mapping[str, str] | None = None, status: str | None = None
    ) -> list[TrackedRun]:
        """No run; `mtl.journal.recorded` reads those of a folder."""
        return []

    def run(self, run_id: str) -> TrackedRun:
        """There is none to be had.

        Raises
        ------
        Mistake
        """
        raise Mistake(f"Run '{run_id}' cannot be read with tracking=none: choose tracking=mlflow or tracking=server.")

    def download(self, run_id: str, path: str, to: Path | None = None) -> Path:
        """There is nothing to be had.

        Raises
        ------
        Mistake
        """
        raise Mistake(f"Run '{run_id}' cannot be read with tracking=none: choose tracking=mlflow or tracking=server.")

    def close_stale(self) -> list[TrackedRun]:
        """Nothing to close."""
        return []

    def close(self, run_id: str) -> TrackedRun:
        """There is none to be had.

        Raises
        ------
        Mistake
        """
        return self.run(run_id)

    def where_to_look(
        self, run_ids: Sequence[str], metric: str, parent: str = "", one_per_set: Sequence[str] = ()
    ) -> list[str]:
        """No line."""
        return []


def _begin(
    name: str, folder: Path, parent: str | None, tags: Mapping[str, str], where: Mapping[str, str | None]
) -> Journal:
    """The record to write to: a killed run's is continued, any other is put aside."""
    record = Journal(folder / journal.JOURNAL)
    tags = _source_tags() | _legal_tags(tags) | journal.this_process()
    if record.entries:
        before = record.tags()
        is_ours = before[PROCESS] == tags[PROCESS] or before[HOST] != tags[HOST] or journal.is_dead(before)
        if record.status == "RUNNING" and not is_ours:
            raise Mistake(f"{folder} belongs to a run that is still going on (process {before[PROCESS]}).")
        same = all(record.first.get(key) == value for key, value in where.items())
        if same and before.get(FINGERPRINT) == tags.get(FINGERPRINT) and record.status in ("RUNNING", "KILLED"):
            record.add("again", parent=parent or None, tags=tags)
            return record
        record = record.put_aside()
    record.add("start", key=uuid.uuid4().hex, name=name, parent=parent or None, tags=tags, **where)
    return record


def absolute_uri(uri: str) -> tuple[str, Path | None]:
    """The address made absolute, and the file of a local database.

    Raises
    ------
    Mistake
        If MLflow keeps no runs there.
    """
    scheme, found, rest = uri.partition("://")
    kind = scheme.split("+")[0]
    if not found or kind == "file":
        raise Mistake(f"Tracking URI '{uri}': MLflow keeps no runs in plain folders; right would be {RIGHT_URI}.")
    if kind not in SCHEMES:
        hint = nearest(kind, SCHEMES)
        raise Mistake(f"Tracking URI '{masked(uri)}': there is no store '{scheme}'; right would be {RIGHT_URI}. {hint}")
    if kind != "sqlite":
        return uri, None
    name, mark, query = rest.removeprefix("/").partition("?")
    if not name or name == ":memory:":
        raise Mistake(f"Tracking URI '{uri}' names no file; right would be sqlite:///mlflow.db.")
    database = Path(name).absolute()
    return f"{scheme}:///{database.as_posix()}{mark}{query}", database


def masked(uri: str) -> str:
    """The address without its password."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", uri)


def _in_link(names: Sequence[str]) -> str:
    return urllib.parse.quote(json.dumps(list(names), separators=(",", ":")))


def _tracked(run: mlflow.entities.Run) -> TrackedRun:
    return TrackedRun(
        id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        params=run.data.params,
        metrics=run.data.metrics,
        tags=run.data.tags,
        start=journal.moment(run.info.start_time),
        end=journal.moment(run.info.end_time),
        artifact_uri=run.info.artifact_uri,
    )


# --- what a store has not got yet -------------------------------------------------------------------------------------


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
    Mistake
        If nothing is recorded there, or a store does not answer.
    """
    found = journal.journals(folder)
    if not found:
        raise Mistake(f"No run is recorded in {folder}: there is no {journal.JOURNAL} in it or below.")
    lines = []
    for path in found:
        name = f"mtl-send-{hashlib.sha256(bytes(path.resolve())).hexdigest()[:16]}.lock"
        with _alone(Path(tempfile.gettempdir()) / name):
            lines.append(f"{path.parent}: {_send_one(Journal(path), timeout_s, uri)}")
    return lines


def _send_one(record: Journal, timeout_s: float, uri: str | None) -> str:
    """Send one record and say what came of it."""
    if not record.entries:
        return "its record is empty"
    uri = uri or record.first["uri"]
    if not uri:
        return "was not to be tracked (tracking=none); --uri says where to send it all the same"
    if "***" in uri:
        raise Mistake(f"{record.path.parent}: the password of {uri} is not kept; --uri takes the whole address.")
    if record.status == "RUNNING":
        tags = record.tags()
        if not journal.is_dead(tags):
            where = "" if tags[HOST] == journal.this_host() else f" as far as is known here; it runs on {tags[HOST]}"
            return f"left alone, it is still going on{where}"
        record.add("tags", tags={FAILURE: journal.NO_WORD})
        record.add("end", status="KILLED")
    tracking = MLflowTracking(uri, record.first.get("experiment") or "mtl", record.first.get("artifacts"), timeout_s)
    tracking.prepare()
    try:
        if tracking._down:
            raise UnreachableError(tracking._down)
        sent = send_pending(record, tracking._store)
    except UnreachableError as error:
        raise Mistake(f"{record.path.parent}: MLflow at {masked(uri)}: {error}.") from error
    return f"{sent} calls sent to run {record.run_id}" if sent else "nothing was missing"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: ``python -m mtl.tracking send FOLDER...`` and ``close RUN_ID...``."""
    from rich.console import Console

    parser = argparse.ArgumentParser(prog="python -m mtl.tracking", description="Runs that MLflow has not got right.")
    commands = parser.add_subparsers(dest="command", required=True)
    sending = commands.add_parser("send", help="send what MLflow lacks of the runs recorded in these folders")
    sending.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a run's folder, or one above it")
    sending.add_argument("--uri", help="another store than the one in the record")
    ending = commands.add_parser("close", help="close, as KILLED, runs whose process died on another machine")
    ending.add_argument("runs", nargs="+", metavar="RUN_ID", help="a run that is shown as going on and is not")
    ending.add_argument("--uri", default="sqlite:///mlflow.db", help="their store (default %(default)s)")
    for command in (sending, ending):
        command.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for a store (default 10)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    console = Console(highlight=False, soft_wrap=True)
    status = 0
    for what in options.folders if options.command == "send" else options.runs:
        try:
            if options.command == "send":
                lines = send(what, options.timeout, options.uri)
            else:
                closed = MLflowTracking(options.uri, "mtl", None, options.timeout).close(what)
                lines = [f"{what}: {closed.name} is closed as KILLED"]
            for line in lines:
                console.print(line, markup=False)
        except Mistake as mistake:
            console.print(str(mistake), markup=False)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
