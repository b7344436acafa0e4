"""One experiment of one MLflow store, asked with a bounded wait."""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mtl import files
from mtl.errors import UserError
from mtl.masking import masked
from mtl.results import FAILURE, KEY, PARENT
from mtl.stopwatch import TRACKING, spent_on
from mtl.tracking import searches
from mtl.tracking.below import below
from mtl.tracking.beside import local_path
from mtl.tracking.denied import denial
from mtl.tracking.place import differing
from mtl.tracking.uninterrupted import uninterrupted

if TYPE_CHECKING:
    import mlflow.entities

log = logging.getLogger(__name__)

T = TypeVar("T")
BATCH_OF_PARAMS, BATCH_OF_METRICS = 100, 1000
# An upload may be long in taking a large file in; that the store lives is asked before.
UPLOAD_TIMEOUT_S = 120.0
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


class NoRoomError(OSError):
    """The place of the artifacts is a full disk; the store itself answers."""


class RefusedError(ValueError):
    """The store answers, and will not take this call however often it is sent."""


class DeniedError(RefusedError):
    """The store answers, and will not let this user; another one may send the same call."""


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
    asked : str or None
        The place that a person asked for; None where it is only what is usual.
    """

    def __init__(
        self, uri: str, experiment: str, artifacts: str | None, timeout_s: float, asked: str | None = None
    ) -> None:
        self.uri = uri
        self.experiment = experiment
        self.artifacts = artifacts
        self.asked = asked
        self.timeout_s = timeout_s
        self.seconds = 0.0  # spent waiting for it
        self._experiment_id: str | None = None

    @functools.cached_property
    def client(self) -> mlflow.MlflowClient:
        """MLflow's client; the import of MLflow waits until here."""
        import_mlflow()
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def ask(self, question: Callable[[], T]) -> T:
        """The answer to a question, asked again until the wait is over.

        MLflow's own retries are off: they know no end in time, and would make a
        run twice where only the answer was lost.

        Raises
        ------
        UnreachableError, RefusedError, DeniedError
        """
        began = time.monotonic()
        try:
            with spent_on(TRACKING):
                return self._ask(question)
        finally:
            self.seconds += time.monotonic() - began

    def _ask(self, question: Callable[[], T]) -> T:
        import_mlflow()  # takes seconds of its own, which are not the store's
        end, pause = time.monotonic() + self.timeout_s, 0.2
        while True:
            try:
                with limits(end - time.monotonic()), self._whole():
                    return question()
            except (RefusedError, UserError):
                raise
            except Exception as error:  # MLflow's, the database's, the network's or the disk's own: the run must go on
                reason = _reason(error)
                denied = denial(error, self.uri, self.experiment)
                if denied is not None:
                    raise DeniedError(denied) from error
                if getattr(error, "error_code", "") in REFUSALS:
                    raise RefusedError(reason) from error
                if time.monotonic() + pause >= end:
                    raise UnreachableError(reason) from error
            time.sleep(pause)
            pause *= 2

    def _whole(self) -> AbstractContextManager[None]:
        """What keeps a signal from cutting a call short; a server loses nothing by that."""
        return nullcontext() if self.uri.startswith(("http:", "https:")) else uninterrupted()

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
        if found is not None and found.lifecycle_stage == "deleted":
            return self._make_room(found)
        if found is not None:
            self._experiment_id = found.experiment_id
        return str(self._experiment_id)

    def other_place(self) -> str:
        """One line where the experiment has its artifacts elsewhere than a person asked for; else nothing."""
        found = self.client.get_experiment_by_name(self.experiment) if self.asked else None
        return differing(found, self.asked) if found and self.asked else ""

    def _make_room(self, deleted: mlflow.entities.Experiment) -> str:
        """Id of a new experiment; the deleted one stays so, with its runs, under another name.

        MLflow keeps the name of a deleted experiment, and renames none before it is restored.
        """
        name = f"{self.experiment} (deleted {deleted.experiment_id})"
        self.client.restore_experiment(deleted.experiment_id)
        self.client.rename_experiment(deleted.experiment_id, name)
        self.client.delete_experiment(deleted.experiment_id)
        log.warning(
            "Experiment '%s' had been deleted: it stays so, as '%s', and a new one is begun.", self.experiment, name
        )
        return self.create_experiment()

    def deleted_among(self, parents: set[str]) -> set[str]:
        """Those of these runs that were deleted, or are gone for good."""
        known = {run.info.run_id for run in self.find_ids(sorted(parents))}
        return {parent for parent in parents - known if not self._is_active(parent)}

    def _is_active(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def find(
        self,
        tags: Mapping[str, str],
        status: str | None = None,
        experiment: str | None = None,
        last: int | None = None,
    ) -> list[mlflow.entities.Run]:
        """Runs of an experiment, by id, else of this one, as `searches.with_tags` gives them."""
        experiment = experiment or self.experiment_id()
        return searches.with_tags(self.client, experiment, tags, status, last) if experiment is not None else []

    def find_ids(self, run_ids: Sequence[str]) -> list[mlflow.entities.Run]:
        """Runs of this experiment with these ids, as `searches.with_ids` gives them."""
        experiment = self.experiment_id()
        return searches.with_ids(self.client, experiment, run_ids) if experiment is not None else []

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
            self._upload(run_id, _sendable(folder, entry["folder"]), entry["under"])
        elif call == "file":
            self._upload(run_id, _sendable(folder, entry["file"]), "")
        elif call == "end":
            self._end(run_id, entry)
        return run_id

    def _end(self, run_id: str, entry: Mapping) -> None:
        if entry["status"] == "FINISHED" and FAILURE in self.client.get_run(run_id).data.tags:
            self.client.delete_tag(run_id, FAILURE)  # of when it was closed in between, not all being sent
        self.client.set_terminated(run_id, entry["status"], entry["time"])

    def close_unsent(self, run_id: str, reason: str) -> None:
        """Close a run as FAILED whose files are still to be sent, so that it neither runs for ever nor looks whole."""
        with suppress(Exception), limits(self.timeout_s):  # a store that is gone now closes it when all is sent
            self.client.set_tag(run_id, FAILURE, f"not all was sent: {reason}")
            self.client.set_terminated(run_id, "FAILED")

    def _reopen(self, run_id: str, tags: Mapping[str, str]) -> None:
        run = self.client.get_run(run_id)
        if run.info.lifecycle_stage == "deleted":
            self.client.restore_run(run_id)
        self.client.update_run(run_id, status="RUNNING")
        if FAILURE in run.data.tags:
            self.client.delete_tag(run_id, FAILURE)
        self._log_tags(run_id, tags)

    def _start(self, entry: Mapping) -> str:
        was_away = self._experiment_id is None  # when the run began: nothing was known of it then
        found = self.find({KEY: entry["key"]})
        if found:
            return found[0].info.run_id
        tags = self._tags(entry) | {KEY: entry["key"]}
        experiment = self.experiment_id() or self.create_experiment()
        if was_away and (line := self.other_place()):
            log.warning("%s", line)
        run = self.client.create_run(experiment, entry["time"], tags, entry["name"])
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
        run = self.client.get_run(run_id)  # a store that is gone is found out here, within the short wait
        place = local_path(run.info.artifact_uri)
        if place is not None:
            _check_room(path, place / under)
        with limits(UPLOAD_TIMEOUT_S):
            if path.is_dir():
                self.client.log_artifacts(run_id, str(path), under or None)
            else:
                self.client.log_artifact(run_id, str(path), under or None)


def _check_room(source: Path, to: Path) -> None:
    """Find a full disk before half a file stands there under its name; what is there already is written over."""
    if source.is_dir():
        pairs = [(path, to / path.relative_to(source)) for path in source.rglob("*") if path.is_file()]
    else:
        pairs = [(source, to / source.name)]
    there = sum(new.stat().st_size for _, new in pairs if new.is_file())
    needed = sum(path.stat().st_size for path, _ in pairs) - there
    free = files.free_bytes(to)
    if needed > free:
        raise NoRoomError(f"no room in {to}: {needed:,} bytes needed, {free:,} free")


def _sendable(folder: Path, name: str) -> Path:
    """What a record names below its folder; anything else is never sent."""
    try:
        return below(folder, name)
    except UserError as error:
        raise RefusedError(str(error)) from error


def _parts(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (rows[i : i + size] for i in range(0, len(rows), size))


def import_mlflow() -> None:
    """Import MLflow, its telemetry off: what is trained here is nobody else's business."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # noqa: F401


def _reason(error: Exception) -> str:
    """The first line of an error, without the noise around it."""
    line = next(iter(str(error).strip().splitlines()), "")
    root = re.search(r"Connection refused|timed out|Name or service not known|No route to host", str(error))
    return root.group() if root else (masked(line)[:200] or type(error).__name__)


@contextmanager
def limits(seconds: float) -> Iterator[None]:
    """MLflow's settings while we ask it: no retries of its own, a request's time, nothing printed."""
    import_mlflow()  # which sets the levels of its loggers
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
