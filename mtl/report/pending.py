"""Figures that runs have left to be drawn: by the sweep beside its next job, or when the report is asked for."""

from __future__ import annotations

import logging
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import UserError
from mtl.report.run_figures import FOLDER, NEEDED, draw
from mtl.report.stored import EVENTS
from mtl.results import DRAWN, FIGURES, REUSED_FROM, TO_BE_DRAWN
from mtl.tracking.journal import Journal, journals, stamp

if TYPE_CHECKING:
    from mtl.tracking.mlflow_tracking import MLflowTracking
    from mtl.tracking.no_tracking import NoTracking

log = logging.getLogger(__name__)

TABLES = "tables"
_drawn: dict[Path, tuple[int, int, int]] = {}  # records with nothing left to draw, when they were read last


def pending(folder: Path) -> list[Journal]:
    """Records below a folder of runs that have finished and whose figures are still to be drawn."""
    left = []
    for path in journals(folder):
        now = stamp(path)
        if now is None or _drawn.get(path) == now:
            continue
        record = Journal(path)
        status = record.status if record.entries else "RUNNING"
        if status == "FINISHED" and record.tags().get(FIGURES) == TO_BE_DRAWN:
            left.append(record)
        elif status != "RUNNING":
            _drawn[path] = now
    return left


def draw_recorded(record: Journal, tracking: MLflowTracking | NoTracking) -> None:
    """Draw the figures of a run and add them to it; of a row that copies a run, those of that run.

    Parameters
    ----------
    record : Journal
        Beside it lie the run's artifacts.
    tracking : MLflowTracking or NoTracking
        That the run was tracked by; without a store the figures lie in the run's folder alone.

    Raises
    ------
    OSError, UserError
        If they cannot be drawn.
    """
    run, copied = tracking.reopened(record), record.tags().get(REUSED_FROM)
    if copied:
        draw_stored(copied, tracking)
    else:
        artifacts = record.path.parent / "artifacts"
        draw(artifacts)
        run.artifacts(artifacts / FOLDER, FOLDER)
    run.tags({FIGURES: DRAWN})


def draw_stored(run_id: str, tracking: MLflowTracking | NoTracking) -> None:
    """Draw the figures of a run from its artifacts in the store and add them to it, where they lack.

    Parameters
    ----------
    run_id : str
    tracking : MLflowTracking or NoTracking

    Raises
    ------
    OSError, UserError
        If they cannot be drawn.
    """
    if tracking.run(run_id).tags.get(FIGURES) != TO_BE_DRAWN:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in (*(path for path in NEEDED if "/" not in path), TABLES):
            tracking.download(run_id, each, folder)
        with suppress(UserError):  # a run without annotated events
            tracking.download(run_id, EVENTS, folder)
        draw(folder)
        tracking.upload(run_id, folder / FOLDER, FOLDER)
    tracking.tag(run_id, FIGURES, DRAWN)
