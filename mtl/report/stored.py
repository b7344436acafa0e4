"""What a run left, wherever it lies: in its folder or in the store."""

from __future__ import annotations

import logging
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from mtl.errors import UserError
from mtl.results import TrackedRun
from mtl.tracking.metrics_table import METRICS_TABLE, TABLED, read_metrics

log = logging.getLogger(__name__)

PREDICTIONS, EVENTS, CONFIG = "predictions.parquet", "events.csv", "config.yaml"
VIDEOS, PACKAGES = "videos.csv", "packages.json"


class Downloads(Protocol):
    """What is needed of a tracking: it brings a run's artifact here."""

    def download(self, run_id: str, path: str, to: Path | None = None) -> Path:
        """The artifact as a local file."""


@contextmanager
def stored(run: TrackedRun, name: str, tracking: Downloads | None) -> Iterator[Path]:
    """A run's artifact as a local file, from its folder or else from the tracking.

    Raises
    ------
    OSError, UserError
        If it cannot be had.
    """
    place = urllib.parse.urlparse(run.artifact_uri)
    if place.scheme in ("", "file"):
        folder = Path(urllib.request.url2pathname(place.path))
        for path in (folder / name, folder / "artifacts" / name):
            if path.is_file():
                yield path
                return
    if tracking is None or not run.id:
        raise FileNotFoundError(f"there is no {name}")
    with tempfile.TemporaryDirectory() as to:
        yield tracking.download(run.id, name, Path(to))


def with_all_metrics(run: TrackedRun, tracking: Downloads | None) -> TrackedRun:
    """The run with every number it found, of which it tracked a choice; one of a former version as it is."""
    if TABLED not in run.tags:
        return run
    try:
        with stored(run, METRICS_TABLE, tracking) as path:
            return replace(run, metrics={**read_metrics(path), **run.metrics})
    except (OSError, UserError) as error:
        log.warning("%s: only what it tracked in MLflow is reported (%s).", run.name, " ".join(str(error).split()))
        return run
