"""The one door to MLflow: every call is on disk first, then in the store.

A run's folder holds its record, ``tracking.jsonl``: one line per call, and one
line for every call the store has taken. A store that does not answer therefore
costs a bounded wait and nothing else; ``python -m mtl.tracking send FOLDER``
brings the rest over later.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import getpass
import hashlib
import json
import logging
import math
import os
import platform
import posixpath
import re
import shlex
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import PositiveFloat

from mtl.mistakes import Mistake

if TYPE_CHECKING:
    import mlflow
    import mlflow.entities

logger = logging.getLogger(__name__)

Status = Literal["FINISHED", "FAILED", "KILLED"]
T = TypeVar("T")

JOURNAL = "tracking.jsonl"
UNDEFINED = "undefined.json"

# MLflow's own limits.
MAX_KEY, MAX_PARAM, MAX_TAG, MAX_DIGEST, MAX_PROFILE = 250, 6000, 8000, 36, 1_000_000
BATCH_OF_PARAMS, BATCH_OF_METRICS = 100, 1000

# Tags of ours that let a run be found again.
KEY, HOST, PROCESS, FINGERPRINT = "mtl.key", "mtl.host", "mtl.process", "fingerprint"
PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"

# An upload may be long in taking a large file in; that the store lives is asked before.
UPLOAD_TIMEOUT_S = 120
LOCK_TIMEOUT_S = 120


@dataclass(frozen=True)
class TrackedRun:
    """A run as it was tracked.

    Attributes
    ----------
    id, name : str
    status : str
        RUNNING, FINISHED, FAILED or KILLED.
    params, tags : mapping of str to str
    metrics : mapping of str to float
        The value of the last step.
    start, end : datetime or None
        In UTC.
    artifact_uri : str
    """

    id: str
    name: str
    status: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    artifact_uri: str = ""


class UnreachableError(ConnectionError):
    """The store does not answer, or cannot write, after the bounded wait."""


class RefusedError(ValueError):
    """The store answers, and will not take this call however often it is sent."""


# --- names and values as MLflow allows them ---------------------------------------------------------------------------


def legal_key(key: str) -> str:
    """The name as MLflow takes it: other characters become ``_``, a long one is cut and told apart by a hash."""
    legal = re.sub(r"[^\w\-./: ]" if os.name != "nt" else r"[^\w\-./ ]", "_", key)
    legal = re.sub(r"^(\.\.?(?=/|$)|/)", "_", legal)
    legal = posixpath.normpath(legal) if legal else "_"
    return legal if len(legal) <= MAX_KEY else f"{legal[: MAX_KEY - 9]}-{_short_hash(key)}"


def legal_keys(mapping: Mapping[str, T]) -> dict[str, T]:
    """The mapping under legal names; names that became equal are told apart by a hash."""
    legal: dict[str, T] = {}
    for key, value in mapping.items():
        name = legal_key(key)
        if name in legal or (name != key and name in mapping):
            name = f"{name[: MAX_KEY - 9]}-{_short_hash(key)}"
        legal[name] = value
    return legal


def flatten(mapping: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mappings as one, names joined by dots; an empty mapping stays as a value."""
    flat: dict[str, object] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def _text(value: object, limit: int) -> str:
    """The value as text that every store can hold, cut at the limit."""
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


# --- who runs: so that a dead run can be told from a living one -------------------------------------------------------


def this_host() -> str:
    """The machine, and the name space its process numbers belong to."""
    with suppress(OSError):
        return f"{platform.node()}/{Path('/proc/self/ns/pid').readlink()}"
    return platform.node()


def process_mark(pid: int) -> str:
    """A process by its number and start, empty where there is none; a number used again has another mark."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return _process_mark_by_ps(pid) if not Path("/proc/self/stat").exists() else ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{pid}@{boot}/{rest[18]}"


def _process_mark_by_ps(pid: int) -> str:
    """The same where there is no /proc."""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        started = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return f"{pid}@unknown"
    return f"{pid}@{started}" if started else ""


def is_dead(tags: Mapping[str, str]) -> bool:
    """Whether the process that wrote these tags ran on this host and is gone."""
    mark = tags.get(PROCESS, "")
    pid = mark.partition("@")[0]
    return tags.get(HOST) == this_host() and pid.isdigit() and process_mark(int(pid)) != mark


def _who() -> dict[str, str]:
    return {HOST: this_host(), PROCESS: process_mark(os.getpid())}


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
    tags = {"mlflow.source.name": Path(sys.argv[0]).name or "python", "mlflow.source.type": "LOCAL"}
    with suppress(KeyError, OSError, ImportError):  # a user id without a name, as in many containers
        tags["mlflow.user"] = getpass.getuser()
    commit, dirty = git_state()
    if commit:
        tags |= {"mlflow.source.git.commit": commit, "git_dirty": str(dirty).lower()}
    return tags


# --- the record on disk -----------------------------------------------------------------------------------------------


class Journal:
    """The record of one run: its calls in order, and which of them the store has taken.

    Parameters
    ----------
    path : Path
        Read where it exists. A line cut short by a kill is left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[dict] = []
        self.run_id = ""
        self._done: set[int] = set()
        if path.exists():
            self._read()

    def _read(self) -> None:
        for number, line in enumerate(self.path.read_bytes().splitlines(), start=1):
            try:
                entry = json.loads(line)
            except ValueError:
                logger.warning("%s: line %d is not whole and is left out.", self.path, number)
                continue
            if "done" in entry:
                self._done.add(entry["done"])
                self.run_id = entry.get("id", self.run_id)
            else:
                self.entries.append(entry)

    @property
    def first(self) -> dict:
        """The call that started the run."""
        return self.entries[0]

    @property
    def pending(self) -> list[dict]:
        """Calls the store has not taken yet, in order."""
        return [entry for entry in self.entries if entry["n"] not in self._done]

    @property
    def status(self) -> str:
        """Status after the last call."""
        for entry in reversed(self.entries):
            if entry["call"] == "end":
                return entry["status"]
            if entry["call"] == "again":
                break
        return "RUNNING"

    def tags(self) -> dict[str, str]:
        """Tags as the calls set them, one after the other."""
        return {key: value for entry in self.entries for key, value in entry.get("tags", {}).items()}

    def add(self, call: str, **details: object) -> None:
        """Write one call down."""
        n = self.entries[-1]["n"] + 1 if self.entries else 0
        entry = {"n": n, "call": call, "time": int(time.time() * 1000), **details}
        self._write(entry)
        self.entries.append(entry)

    def done(self, entry: Mapping[str, object], run_id: str, refused: str = "") -> None:
        """Write down that the store took a call, or refused it for good."""
        line = {"done": entry["n"]} | ({"id": run_id} if run_id != self.run_id else {})
        self._write(line | ({"refused": refused} if refused else {}))
        self._done.add(entry["n"])  # type: ignore[arg-type]
        self.run_id = run_id

    def _write(self, entry: Mapping[str, object]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(entry).encode("ascii") + b"\n"
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # the last writer was killed within a line
                    line = b"\n" + line
            file.write(line)


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
        self._experiment_id = ""

    @functools.cached_property
    def client(self) -> mlflow.MlflowClient:
        """MLflow's client; the import of MLflow waits until here."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what runs here is nobody else's business
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def ask(self, question: Callable[[], T], timeout_s: float | None = None) -> T:
        """The answer to a question, asked again until the wait is over.

        MLflow's own retries are off: they know no end in time, and would make a
        run twice where only the answer was lost.

        Raises
        ------
        UnreachableError, RefusedError
        """
        timeout_s = timeout_s or self.timeout_s
        end, pause = time.monotonic() + timeout_s, 0.2
        while True:
            try:
                with _limits(end - time.monotonic()):
                    return question()
            except (RefusedError, Mistake):
                raise
            except Exception as error:  # MLflow's, the database's, the network's or the disk's own: the run must go on
                reason = _reason(error)
                if _is_refusal(error):
                    raise RefusedError(reason) from error
                if time.monotonic() + pause >= end:
                    raise UnreachableError(reason) from error
            time.sleep(pause)
            pause *= 2

    def experiment_id(self) -> str:
        """Id of the experiment, which is made, or brought back from the deleted ones, where needed."""
        if not self._experiment_id:
            self._experiment_id = self._find_or_create_experiment()
        return self._experiment_id

    def _find_or_create_experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                return self.client.create_experiment(self.experiment, artifact_location=self.artifacts)
            except MlflowException as error:  # another process was faster
                found = self.client.get_experiment_by_name(self.experiment)
                if found is None:
                    raise error
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
            logger.warning("Experiment '%s' had been deleted; it is restored.", self.experiment)
        return found.experiment_id

    def find(self, tags: Mapping[str, str], status: str | None = None) -> list[mlflow.entities.Run]:
        """Runs of the experiment with these tags, first started first."""
        words = [f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items()]
        words += [f"attributes.status = '{status}'"] if status else []
        runs: list[mlflow.entities.Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id()], " and ".join(words), order_by=["attributes.start_time ASC"], page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def play(self, entry: Mapping, run_id: str, folder: Path) -> str:
        """Bring one call of a record over and return the run's id; to do it twice changes nothing."""
        call = entry["call"]
        if call == "start":
            return self._start(entry)
        if call == "again":
            self.client.update_run(run_id, status="RUNNING")
            self._log_tags(run_id, self._tags(entry))
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
        elif call == "end":
            self.client.set_terminated(run_id, entry["status"], entry["time"])
        return run_id

    def _start(self, entry: Mapping) -> str:
        found = self.find({KEY: entry["key"]})
        if found:
            return found[0].info.run_id
        tags = self._tags(entry) | {KEY: entry["key"]}
        run = self.client.create_run(self.experiment_id(), entry["time"], tags, entry["name"])
        return run.info.run_id

    def _tags(self, entry: Mapping) -> dict[str, str]:
        """The entry's tags, with the parent's id as the store knows it."""
        parent = entry["parent"]
        if parent and parent.startswith("local-"):
            found = self.find({KEY: parent.removeprefix("local-")})
            if not found:
                raise RefusedError("its parent run is not in the store yet: send the parent's folder first")
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

    def _upload(self, run_id: str, folder: Path, under: str) -> None:
        if not folder.is_dir():
            raise RefusedError(f"folder {folder} is not there any more")
        self.client.get_run(run_id)  # a store that is gone is found out here, within the short wait
        with _limits(UPLOAD_TIMEOUT_S):
            self.client.log_artifacts(run_id, str(folder), under or None)


def _parts(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (rows[i : i + size] for i in range(0, len(rows), size))


def _quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


def _reason(error: Exception) -> str:
    """The first line of an error, without the noise around it."""
    line = next(iter(str(error).strip().splitlines()), "")
    root = re.search(r"Connection refused|timed out|Name or service not known|No route to host", str(error))
    return root.group() if root else (line[:200] or type(error).__name__)


def _is_refusal(error: Exception) -> bool:
    """Whether asking again cannot help."""
    code = getattr(error, "error_code", "")
    return code in {
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


@contextmanager
def _limits(seconds: float) -> Iterator[None]:
    """MLflow's settings while we ask it: no retries of its own, a request's time, nothing printed."""
    wanted = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, math.ceil(seconds))),
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
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
        except sqlite3.OperationalError:
            row = None
    return row[0] if row else ""


def create_database(database: Path, artifacts: str) -> None:
    """Make the sqlite store where it is missing: once, whole or not at all, however many processes ask.

    Raises
    ------
    Mistake
        If there is a file that is no MLflow store.
    """
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
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    noisy = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic")]
    levels = [each.level for each in noisy]
    for each in noisy:
        each.setLevel(logging.WARNING)
    try:
        SqlAlchemyStore(f"sqlite:///{new.as_posix()}", artifacts).engine.dispose()
    finally:
        for each, level in zip(noisy, levels, strict=True):
            each.setLevel(level)
    new.replace(database)


# --- a run being written ----------------------------------------------------------------------------------------------


class Run:
    """One run being tracked: every call goes to disk, then to the store while that answers."""

    def __init__(self, journal: Journal, store: Store | None, down: str = "") -> None:
        self._journal = journal
        self._store = store
        self._down = ""
        self._seen = {
            (key, entry["step"]) for entry in journal.entries if entry["call"] == "metrics" for key in entry["metrics"]
        }
        self.seconds = 0.0
        if down:
            self._go_on_alone(down)

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
        texts = {key: _text(value, MAX_PARAM) for key, value in legal_keys(flatten(params)).items()}
        self._call("params", params=texts)

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
        """Names of numbers that could not be had, with the reason: a tag, and ``undefined.json`` in the folder."""
        if not reasons:
            return
        known = self._undefined() | dict(reasons)
        path = self.folder / UNDEFINED
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(known, indent=2), encoding="utf-8")
        self.tags({"undefined": ", ".join(known)})

    def _undefined(self) -> dict[str, str]:
        path = self.folder / UNDEFINED
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def tags(self, tags: Mapping[str, object]) -> None:
        """Tags; a later value replaces an earlier one."""
        self._call("tags", tags={key: _text(value, MAX_TAG) for key, value in legal_keys(tags).items()})

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
            Together they say which data; the digest is cut at 36 characters.
        source : str
            Where the data lies.
        profile : mapping
            Counts and the like, to be shown.
        context : {'train', 'test'}
        """
        text = _text(json.dumps(dict(profile), default=str), MAX_PROFILE)
        self._call("dataset", name=name, digest=digest[:MAX_DIGEST], source=source, profile=text, context=context)

    def artifacts(self, folder: Path, under: str = "") -> None:
        """Upload what a folder holds, to the folder `under` of the run's artifacts."""
        path = os.path.relpath(folder.resolve(), self.folder.resolve())
        self._call("artifacts", folder=Path(path).as_posix(), under=under)

    def end(self, status: Status) -> None:
        """Close the run; a store that had gone is asked once more."""
        if self._down:
            self._down = ""
            self._call("end", status=status)
            if not self._down:
                logger.info("MLflow answers again: everything was sent.")
        else:
            self._call("end", status=status)
        logger.info("Tracking took %.1f s.", self.seconds)

    def _call(self, call: str, **details: object) -> None:
        began = time.monotonic()
        self._journal.add(call, **details)
        if self._store and not self._down:
            self._send()
        self.seconds += time.monotonic() - began

    def _send(self) -> None:
        try:
            send_pending(self._journal, self._store)  # type: ignore[arg-type]
        except UnreachableError as error:
            self._go_on_alone(str(error))

    def _go_on_alone(self, reason: str) -> None:
        """Say once that the rest stays on disk."""
        if not self._down:
            where = shlex.quote(str(self.folder))
            logger.warning(
                "MLflow at %s does not answer (%s). The run goes on; what is missing there can be sent later: "
                "python -m mtl.tracking send %s",
                masked(self._store.uri if self._store else ""),
                reason,
                where,
            )
        self._down = reason


def send_pending(journal: Journal, store: Store) -> int:
    """Bring over what the store lacks of a record, in order; return how many calls it took.

    Raises
    ------
    UnreachableError
        If the store does not answer, or the run was deleted there.
    """
    sent = 0
    for entry in journal.pending:
        play = functools.partial(store.play, entry, journal.run_id, journal.path.parent)
        try:
            run_id = store.ask(play)
        except RefusedError as error:
            if entry["call"] in ("start", "again"):
                raise UnreachableError(str(error)) from error
            logger.warning("MLflow refused %s of run %s: %s", entry["call"], journal.run_id, error)
            journal.done(entry, journal.run_id, str(error))
            continue
        journal.done(entry, run_id)
        sent += 1
    return sent


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
        if self._database and artifacts is None:
            artifacts = str(self._database.with_name("mlartifacts"))
        if artifacts is not None and "://" not in artifacts:
            artifacts = Path(artifacts).absolute().as_uri()
        self._store = Store(self.uri, experiment, artifacts, timeout_s)
        self.experiment = experiment
        self._prepared = False
        self._down = ""

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
            self._store.experiment_id()
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
        run = Run(_begin(name, folder, parent, tags, where), self._store, self._down)
        if not self._down:
            run._send()
        return run

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
        """A run's artifact as a local file or folder; those of a local store are not copied unless `to` is given.

        Raises
        ------
        Mistake
            If there is no such run or artifact, or the store does not answer.
        """
        target = str(to) if to else None
        if to:
            to.mkdir(parents=True, exist_ok=True)
        return Path(self._read(lambda: self._store.client.download_artifacts(run_id, path, target)))

    def close_stale(self) -> list[TrackedRun]:
        """Close, as KILLED, the runs whose process died on this host without a word; return them."""
        stale = [run for run in self.runs(status="RUNNING") if is_dead(run.tags)]
        for run in stale:
            self._read(functools.partial(self._close, run.id))
        return stale

    def _close(self, run_id: str) -> None:
        self._store.client.set_tag(run_id, "failure", "its process died without a word")
        self._store.client.set_terminated(run_id, "KILLED")

    def _read(self, question: Callable[[], T]) -> T:
        self.prepare()
        if self._down:
            raise Mistake(f"MLflow at {masked(self.uri)} does not answer: {self._down}.")
        try:
            return self._store.ask(question)
        except (RefusedError, UnreachableError) as error:
            raise Mistake(f"MLflow at {masked(self.uri)}: {error}.") from error

    def where_to_look(self, run_ids: Sequence[str], metric: str) -> list[str]:
        """Lines that tell a person where these runs are seen: the command, and links to compare and to chart them.

        Parameters
        ----------
        run_ids : sequence of str
        metric : str
            What the chart view is sorted by.
        """
        if self._down or not self._store._experiment_id:
            return []
        is_server = self.uri.startswith("http")
        page = masked(self.uri).rstrip("/") if is_server else "http://127.0.0.1:5000"
        lines = [] if is_server else [f"mlflow ui{self._ui_option()}"]
        experiment = self._store.experiment_id()
        if len(run_ids) > 1:
            ids, experiments = (
                urllib.parse.quote(json.dumps(x, separators=(",", ":"))) for x in (run_ids, [experiment])
            )
            lines.append(f"compare  {page}/#/compare-runs?runs={ids}&experiments={experiments}")
        elif run_ids:
            lines.append(f"run      {page}/#/experiments/{experiment}/runs/{run_ids[0]}")
        order = urllib.parse.quote(f"metrics.`{metric}`", safe="")
        view = f"workflowType=machine_learning&orderByKey={order}&orderByAsc=false&compareRunsMode=CHART"
        lines.append(f"charts   {page}/#/experiments/{experiment}/runs?{view}")
        return lines

    def _ui_option(self) -> str:
        """What `mlflow ui`, typed in the working directory, needs to find this store."""
        is_default = self._database == Path.cwd() / "mlflow.db" and not os.environ.get("MLFLOW_TRACKING_URI")
        old_folder = any(Path("mlruns").glob("[0-9]*/meta.yaml"))  # MLflow then takes that folder instead
        return "" if is_default and not old_folder else f" --backend-store-uri {shlex.quote(masked(self.uri))}"


class NoTracking:
    """The same interface without MLflow: only the record in the run's folder is written."""

    uri = ""
    experiment = ""

    def prepare(self) -> None:
        """Nothing to make."""

    def start(self, name: str, folder: Path, parent: str | None, tags: Mapping[str, str]) -> Run:
        """A run that is written down in its folder only; its id is empty."""
        return Run(_begin(name, folder, parent, tags, {"uri": ""}), None)

    def runs(
        self, parent: str | None = None, tags: Mapping[str, str] | None = None, status: str | None = None
    ) -> list[TrackedRun]:
        """No run; `recorded` reads those of a folder."""
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

    def where_to_look(self, run_ids: Sequence[str], metric: str) -> list[str]:
        """No line."""
        return []


def _begin(
    name: str, folder: Path, parent: str | None, tags: Mapping[str, str], where: Mapping[str, str | None]
) -> Journal:
    """The record to write to: a killed run's is continued, any other is put aside."""
    path = folder / JOURNAL
    journal = Journal(path)
    tags = _source_tags() | {key: _text(value, MAX_TAG) for key, value in legal_keys(tags).items()} | _who()
    if journal.entries:
        before = journal.tags()
        is_ours = before[PROCESS] == tags[PROCESS] or before[HOST] != this_host() or is_dead(before)
        if journal.status == "RUNNING" and not is_ours:
            raise Mistake(f"Folder {folder} belongs to a run that is still going on ({before[PROCESS]}).")
        same = all(journal.first.get(key) == value for key, value in where.items())
        same = same and before.get(FINGERPRINT) == tags.get(FINGERPRINT)
        if same and journal.status in ("RUNNING", "KILLED"):
            journal.add("again", parent=parent or None, tags=tags)
            return journal
        path.rename(path.with_name(f"tracking-{journal.first['key'][:8]}.jsonl"))
        journal = Journal(path)
    journal.add("start", key=uuid.uuid4().hex, name=name, parent=parent or None, tags=tags, **where)
    return journal


def absolute_uri(uri: str) -> tuple[str, Path | None]:
    """The address made absolute, and the file of a local database.

    Raises
    ------
    Mistake
        If MLflow keeps no runs there.
    """
    scheme, found, rest = uri.partition("://")
    kind = scheme.split("+")[0]
    right = "sqlite:///mlflow.db or http://host:5000"
    if not found or kind in ("file", ""):
        raise Mistake(f"Tracking URI '{uri}': MLflow keeps no runs in plain folders any more; right would be {right}.")
    if kind not in ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks"):
        raise Mistake(f"Tracking URI '{masked(uri)}': '{scheme}' is no kind of store; right would be {right}.")
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


def _moment(milliseconds: int | None) -> datetime.datetime | None:
    if milliseconds is None:
        return None
    return datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.timezone.utc)


def _tracked(run: mlflow.entities.Run) -> TrackedRun:
    return TrackedRun(
        id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        params=run.data.params,
        metrics=run.data.metrics,
        tags=run.data.tags,
        start=_moment(run.info.start_time),
        end=_moment(run.info.end_time),
        artifact_uri=run.info.artifact_uri,
    )


# --- records of runs, without the store -------------------------------------------------------------------------------


def journals(folder: Path) -> list[Path]:
    """The records below a folder, those put aside included; outer folders first."""
    return sorted(folder.rglob("tracking*.jsonl"), key=lambda path: (len(path.parts), path))


def recorded(folder: Path) -> list[TrackedRun]:
    """The runs below a folder as their records say, first started first: a table needs no store."""
    found = [Journal(path) for path in journals(folder)]
    return sorted((_recorded(each) for each in found if each.entries), key=lambda run: run.start or _moment(0))  # type: ignore[arg-type, return-value]


def _recorded(journal: Journal) -> TrackedRun:
    params: dict[str, str] = {}
    metrics: dict[str, float] = {}
    steps: dict[str, int] = {}
    for entry in journal.entries:
        params |= entry.get("params", {})
        for key, value in entry.get("metrics", {}).items():
            if entry["step"] >= steps.get(key, entry["step"]):
                metrics[key], steps[key] = value, entry["step"]
    first, last = journal.first, journal.entries[-1]
    status = journal.status
    parents = [entry["parent"] for entry in journal.entries if entry.get("parent")]
    return TrackedRun(
        id=journal.run_id or f"local-{first['key']}",
        name=first["name"],
        status="KILLED" if status == "RUNNING" and is_dead(journal.tags()) else status,
        params=params,
        metrics=metrics,
        tags=journal.tags() | ({PARENT: parents[-1]} if parents else {}),
        start=_moment(first["time"]),
        end=_moment(last["time"]) if status != "RUNNING" else None,
        artifact_uri=journal.path.parent.as_uri() if journal.path.is_absolute() else str(journal.path.parent),
    )


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
    found = journals(folder)
    if not found:
        raise Mistake(f"No run is recorded in {folder}: there is no {JOURNAL} in it or below.")
    return [_send_one(Journal(path), timeout_s, uri) for path in found]


def _send_one(journal: Journal, timeout_s: float, uri: str | None) -> str:
    where = journal.path.parent
    if not journal.entries:
        return f"{where}: its record is empty"
    uri = uri or journal.first["uri"]
    if not uri:
        return f"{where}: was not to be tracked (tracking=none); --uri says where to send it all the same"
    if journal.status == "RUNNING":
        tags = journal.tags()
        if tags[HOST] != this_host():
            return f"{where}: left alone, it was started on another host and has no end yet"
        if not is_dead(tags):
            return f"{where}: left alone, it is still going on"
        journal.add("tags", tags={"failure": "its process died without a word"})
        journal.add("end", status="KILLED")
    first = journal.first
    tracking = MLflowTracking(uri, first.get("experiment") or "mtl", first.get("artifacts"), timeout_s)
    tracking.prepare()
    try:
        if tracking._down:
            raise UnreachableError(tracking._down)
        sent = send_pending(journal, tracking._store)
    except UnreachableError as error:
        raise Mistake(f"{where}: MLflow at {masked(uri)}: {error}.") from error
    return f"{where}: {sent} calls sent to run {journal.run_id}" if sent else f"{where}: nothing was missing"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: ``python -m mtl.tracking send FOLDER...``."""
    from rich.console import Console

    parser = argparse.ArgumentParser(prog="python -m mtl.tracking", description="Runs that MLflow did not get.")
    commands = parser.add_subparsers(dest="command", required=True)
    sending = commands.add_parser("send", help="send what MLflow lacks of the runs recorded in these folders")
    sending.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a run's folder, or one above it")
    sending.add_argument("--uri", help="another store than the one in the record")
    sending.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for a store (default 10)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    console = Console(highlight=False, soft_wrap=True)
    status = 0
    for folder in options.folders:
        try:
            for line in send(folder, options.timeout, options.uri):
                console.print(line, markup=False)
        except Mistake as mistake:
            console.print(str(mistake), markup=False)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
