"""The interface of tracking without MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mtl.errors import UserError
from mtl.results import Killed, TrackedRun
from mtl.tracking.journal import Journal
from mtl.tracking.run import Run, begin_record


class NoTracking:
    """The same interface without MLflow: only the record in the run's folder is written."""

    uri = ""
    experiment = ""
    model = False
    seconds = 0.0

    def prepare(self) -> None:
        """Nothing to make."""

    def start(
        self, name: str, folder: Path, parent: str | None, tags: Mapping[str, str], killed: Killed | None = None
    ) -> Run:
        """A run that is written down in its folder only; its id is empty."""
        return Run(begin_record(name, folder, parent, tags, {"uri": ""}, killed), None)

    def reopened(self, record: Journal) -> Run:
        """A run that has ended, to be added to; what is added is written down in its folder only."""
        return Run(record, None)

    def runs(
        self,
        parent: str | None = None,
        tags: Mapping[str, str] | None = None,
        status: str | None = None,
        last: int | None = None,
    ) -> list[TrackedRun]:
        """No run; `mtl.tracking.journal.recorded` reads those of a folder."""
        return []

    def of_ids(self, run_ids: Sequence[str]) -> list[TrackedRun]:
        """No run."""
        return []

    def children(self, run_id: str) -> list[TrackedRun]:
        """There are none to be had.

        Raises
        ------
        UserError
        """
        return [self.run(run_id)]

    def without_deleted(self, runs: Sequence[TrackedRun]) -> list[TrackedRun]:
        """All of them."""
        return list(runs)

    def run(self, run_id: str) -> TrackedRun:
        """There is none to be had.

        Raises
        ------
        UserError
        """
        raise UserError(f"Run '{run_id}' cannot be read with tracking=none: choose tracking=mlflow or tracking=server.")

    def download(self, run_id: str, path: str, to: Path | None = None) -> Path:
        """There is nothing to be had.

        Raises
        ------
        UserError
        """
        raise UserError(f"Run '{run_id}' cannot be read with tracking=none: choose tracking=mlflow or tracking=server.")

    def upload(self, run_id: str, folder: Path, under: str) -> None:
        """There is nothing to add to.

        Raises
        ------
        UserError
        """
        self.run(run_id)

    def tag(self, run_id: str, key: str, value: str) -> None:
        """There is nothing to add to.

        Raises
        ------
        UserError
        """
        self.run(run_id)

    def has_artifact(self, run_id: str, name: str) -> bool:
        """There is nothing to be had.

        Raises
        ------
        UserError
        """
        self.run(run_id)
        return False

    def close_stale(self) -> list[TrackedRun]:
        """Nothing to close."""
        return []

    def close(self, run_id: str) -> TrackedRun:
        """There is none to be had.

        Raises
        ------
        UserError
        """
        return self.run(run_id)

    def where_to_look(
        self, run_ids: Sequence[str], metric: str, parent: str = "", one_per_set: Sequence[str] = ()
    ) -> list[str]:
        """No line."""
        return []
