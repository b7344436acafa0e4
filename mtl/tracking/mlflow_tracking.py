"""Runs in MLflow: a local database, or a server."""

from __future__ import annotations

import functools
import logging
import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PositiveFloat

from mtl import results
from mtl.errors import UserError
from mtl.masking import masked
from mtl.results import FAILURE, HOST, PARENT, PROCESS, Killed, TrackedRun
from mtl.tracking import beside, journal, place, process, renamed, versions
from mtl.tracking.address import absolute_uri
from mtl.tracking.below import below
from mtl.tracking.database import create_database, logging_kept, schema_version
from mtl.tracking.links import links
from mtl.tracking.run import Run, begin_record
from mtl.tracking.store import UPLOAD_TIMEOUT_S, RefusedError, Store, T, UnreachableError, limits

if TYPE_CHECKING:
    import mlflow.entities

log = logging.getLogger(__name__)

SAID = "MTL_TRACKING_SAID"  # what the process that started this one has said of the store
DEFAULT_PAGE = "http://127.0.0.1:5000"


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
    model : bool
        Whether a run that ends is to have its model there, as `mlflow models serve` takes it.

    Raises
    ------
    UserError
        If MLflow takes no such address.
    """

    def __init__(
        self, uri: str, experiment: str, artifacts: str | None, timeout_s: PositiveFloat, model: bool = False
    ) -> None:
        self.model = model
        self.uri, self._database = absolute_uri(uri)
        asked = None if artifacts is None else place.absolute(artifacts)
        usual = None if self._is_server else _usual(self._database or Path.cwd() / "mlflow.db")
        artifacts = usual if asked is None else asked
        # a place that was chosen is meant; else artifacts lie beside the database, wherever that is now
        self._beside = self._database if self._database and artifacts == _usual(self._database) else None
        self._store = Store(self.uri, experiment, artifacts, timeout_s, asked)
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
        UserError
            If the store answers and will not have it: another schema, no permission, another place for artifacts.
        """
        if self._prepared:
            return
        try:
            self._store.ask(self._create)
        except RefusedError as error:
            raise UserError(f"MLflow at {masked(self.uri)} refuses: {error}.") from error
        except UnreachableError as error:
            self._down = str(error)
        else:
            self._prepared, self._down = True, ""

    def _create(self) -> None:
        try:
            if self._database:
                create_database(self._database, str(self._store.artifacts))
                before = schema_version(self._database)
            if self._beside:
                _say_once(*beside.settle(self._beside))
            elif self._database and self._store.asked and (chosen := beside.local_path(self._store.asked)):
                _say_once(*beside.follow(self._database, self.experiment, chosen))
            with logging_kept():  # a version of MLflow that opens an older store may migrate it unasked
                self._store.create_experiment()
            if self._database:
                _say_once(versions.migrated(self._database, before, schema_version(self._database)))
        except Exception as error:
            line = versions.unfit(error, masked(self.uri))
            if line is None:
                raise
            raise UserError(line) from error
        if line := self._store.other_place():
            raise UserError(line)
        if self._beside and not self._store.asked:
            _say_once(beside.elsewhere(self._beside, self.experiment))

    def start(
        self, name: str, folder: Path, parent: str | None, tags: Mapping[str, str], killed: Killed | None = None
    ) -> Run:
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
        killed : Killed, optional
            The run that this one goes on with: its record is moved here, so that both are one run.

        Raises
        ------
        UserError
            If a living process writes to this folder.
        """
        if not self._prepared and not self._down:
            self.prepare()
        where = {"uri": masked(self.uri), "experiment": self.experiment, "artifacts": self._store.artifacts}
        if self._database:
            where["database"] = Path(os.path.relpath(self._database, folder.absolute())).as_posix()
        return Run(begin_record(name, folder, parent, tags, where, killed), self._store, self._down)

    def reopened(self, record: journal.Journal) -> Run:
        """A run that has ended, to be added to."""
        return Run(record, self._store, self._down)

    def runs(
        self,
        parent: str | None = None,
        tags: Mapping[str, str] | None = None,
        status: str | None = None,
        last: int | None = None,
    ) -> list[TrackedRun]:
        """Runs of the experiment, first started first.

        Parameters
        ----------
        parent : str, optional
            Only the children of this run.
        tags : mapping of str to str, optional
            Only runs that carry all of these.
        status : str, optional
        last : int, optional
            At most so many, those last started: what it takes hardly depends on how many the store has.

        Raises
        ------
        UserError
            If the store does not answer.
        """
        wanted = dict(tags or {}) | ({PARENT: parent} if parent else {})
        return [self._tracked(run) for run in self._read(lambda: self._store.find(wanted, status, last=last))]

    def of_ids(self, run_ids: Sequence[str]) -> list[TrackedRun]:
        """Runs of the experiment with these ids, first started first; those that are not there are left out.

        Raises
        ------
        UserError
            If the store does not answer.
        """
        return [self._tracked(run) for run in self._read(lambda: self._store.find_ids(run_ids))] if run_ids else []

    def children(self, run_id: str) -> list[TrackedRun]:
        """The children of a run in its own experiment, whichever that is, first started first.

        Raises
        ------
        UserError
            If there is no such run, or the store does not answer.
        """

        def found() -> list[mlflow.entities.Run]:
            experiment = self._store.client.get_run(run_id).info.experiment_id
            return self._store.find({PARENT: run_id}, experiment=experiment)

        return [self._tracked(run) for run in self._read(found)]

    def without_deleted(self, runs: Sequence[TrackedRun]) -> list[TrackedRun]:
        """Those whose sweep was not deleted; MLflow deletes a sweep's own run and leaves those of its jobs.

        Raises
        ------
        UserError
            If the store does not answer.
        """
        parents = {run.tags[PARENT] for run in runs if PARENT in run.tags}
        deleted = self._read(lambda: self._store.deleted_among(parents)) if parents else set()
        return [run for run in runs if run.tags.get(PARENT) not in deleted]

    def run(self, run_id: str) -> TrackedRun:
        """The run of this id.

        Raises
        ------
        UserError
            If there is none, or the store does not answer.
        """
        return self._tracked(self._read(lambda: self._store.client.get_run(run_id)))

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
        UserError
            If there is no such run or artifact, or the store does not answer.
        """
        uri = self.run(run_id).artifact_uri
        folder = beside.local_path(uri) if uri.startswith("file:") else None
        if folder is not None and (folder / path).exists():
            below(folder, path)
            return folder / path if to is None else _copied(folder / path, to / path)
        if to is not None:
            to.mkdir(parents=True, exist_ok=True)
        question = functools.partial(self._store.client.download_artifacts, run_id, path, str(to) if to else None)
        with limits(UPLOAD_TIMEOUT_S):
            return Path(self._read(question))

    def upload(self, run_id: str, folder: Path, under: str) -> None:
        """Add the files of a folder to a run's artifacts, whether it has ended or not.

        Raises
        ------
        UserError
            If there is no such run, there is no room, or the store does not answer.
        """
        self._read(lambda: self._store._upload(run_id, folder, under))

    def tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag of a run, whether it has ended or not.

        Raises
        ------
        UserError
            If there is no such run, or the store does not answer.
        """
        self._read(lambda: self._store.client.set_tag(run_id, key, value))

    def has_artifact(self, run_id: str, name: str) -> bool:
        """Whether a run has an artifact of this name, not below a folder.

        Raises
        ------
        UserError
            If there is no such run, or the store does not answer.
        """
        found = self._read(lambda: self._store.client.list_artifacts(run_id))
        return any(each.path == name for each in found)

    def close_stale(self) -> list[TrackedRun]:
        """Close, as KILLED, the runs whose process died on this host without a word; return them."""
        stale = [run for run in self.runs(status="RUNNING") if process.is_dead(run.tags)]
        for run in stale:
            self._read(functools.partial(self._close, run.id))
        return stale

    def close(self, run_id: str) -> TrackedRun:
        """Close, as KILLED, a run whose process died where this one cannot see it, and return it as it was.

        Raises
        ------
        UserError
            If there is none, it has come to an end, or its process lives on this host.
        """
        run = self.run(run_id)
        if run.status != "RUNNING":
            raise UserError(f"Run {run_id} is {run.status} already.")
        if run.tags.get(HOST) == process.this_host() and not process.is_dead(run.tags):
            raise UserError(f"Run {run_id} is still going on (process {run.tags.get(PROCESS)}).")
        self._read(functools.partial(self._close, run_id))
        return run

    def _close(self, run_id: str) -> None:
        self._store.client.set_tag(run_id, FAILURE, results.NO_WORD)
        self._store.client.set_terminated(run_id, "KILLED")

    def _read(self, question: Callable[[], T]) -> T:
        if self._database and not self._database.exists():
            raise UserError(f"There is no MLflow store at {self._database}; tracking.uri says where to look.")
        try:
            return self._store.ask(question)
        except (RefusedError, UnreachableError) as error:
            raise UserError(f"MLflow at {masked(self.uri)}: {error}.") from error

    def where_to_look(
        self, run_ids: Sequence[str], metric: str, parent: str = "", one_per_set: Sequence[str] = ()
    ) -> list[str]:
        """Lines that tell a person where these runs are seen: the command, and links to compare and to chart them.

        Parameters
        ----------
        run_ids : sequence of str
            Those that the store has not taken are left out.
        metric : str
            What the chart view is sorted by, the best first.
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
        found = links(page, experiment, tracked, metric, parent, one_per_set)
        return found if self._is_server else [f"mlflow ui{self._ui_option()}", *found]

    def _tracked(self, run: mlflow.entities.Run) -> TrackedRun:
        return renamed.tracked_run(
            id=run.info.run_id,
            name=run.info.run_name,
            status=run.info.status,
            params=run.data.params,
            metrics=run.data.metrics,
            tags=run.data.tags,
            start=journal.moment(run.info.start_time),
            end=journal.moment(run.info.end_time),
            artifact_uri=beside.found_here(self._database, run.info.artifact_uri),
        )

    @property
    def _is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    def _ui_option(self) -> str:
        """What `mlflow ui`, typed in the working directory, needs to find this store."""
        is_default = self._database == Path.cwd() / "mlflow.db" and not os.environ.get("MLFLOW_TRACKING_URI")
        old_folder = any(Path("mlruns").glob("[0-9]*/meta.yaml"))  # MLflow then takes that folder instead
        return "" if is_default and not old_folder else f" --backend-store-uri {shlex.quote(masked(self.uri))}"


def _usual(database: Path) -> str:
    """Address of the folder beside a local database."""
    return beside.beside(database).as_uri()


def _copied(path: Path, to: Path) -> Path:
    """A file or folder in another place."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, to, dirs_exist_ok=True)
    else:
        shutil.copyfile(path, to)
    return to


def _say_once(*lines: str) -> None:
    """Warn, but not again in the processes that this one starts."""
    said = os.environ.get(SAID, "").split("\n")
    for line in lines:
        if line and line not in said:
            log.warning("%s", line)
            said.append(line)
            os.environ[SAID] = "\n".join(said)
