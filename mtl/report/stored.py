"""What a run left, wherever it lies: in its folder or in the store."""

from __future__ import annotations

import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mtl.results import TrackedRun

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
