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
from mtl.tracking.journal import Journal, journals

if TYPE_CHECKING:
    from mtl.tracking.mlflow_tracking import MLflowTracking
    from mtl.tracking.no_tracking import NoTracking

log = logging.getLogger(__name__)

TABLES = "tables"


def pending(folder: Path) -> list[Journal]:
    """Records below a folder of runs that have finished and whose figures are still to be drawn."""
    found = [record for record in map(Journal, journals(folder)) if record.entries]
    return [record for record in found if record.status == "FINISHED" and record.tags().get(FIGURES) == TO_BE_DRAWN]


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
