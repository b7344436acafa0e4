"""A run as a model for other programs: written, loaded again, compared with the run, and only then given its name."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import UserError
from mtl.masking import masked
from mtl.terminal import quiet

if TYPE_CHECKING:
    from mtl.export.formats import Format
    from mtl.load_run import LoadedRun
    from mtl.tracking.mlflow_tracking import MLflowTracking

log = logging.getLogger(__name__)

SERVED = "model"  # artifact of the run that MLflow serves


def check_served() -> None:
    """Refuse a model for MLflow where what writes and runs it is not installed.

    Raises
    ------
    UserError
        With the extra that has it.
    """
    from mtl.export.formats import FORMATS

    FORMATS[".onnx"].check()


def add_model(folder: Path, tracking: MLflowTracking) -> None:
    """Add to a run that has just ended its model, in MLflow; a warning where that cannot be done.

    The run itself stays what it is. A job that was reused has its model at the run that was trained,
    which gets it only where it is not there yet.

    Parameters
    ----------
    folder : Path
        Of the run.
    tracking : MLflowTracking
    """
    from mtl.load_run import where_tracked

    try:
        run_id, store = where_tracked(folder, tracking)
        if store is not None and store.has_artifact(run_id, SERVED):
            return
        write_models(str(folder), [], True, tracking, log.info)
    except (UserError, OSError) as error:
        why = " ".join(str(error).split())
        log.warning("The run has no model in MLflow (%s). Later: python -m mtl.export %s --mlflow", why, folder)


def write_models(
    run: str,
    wanted: Sequence[tuple[Format, Path]],
    mlflow: bool,
    tracking: MLflowTracking | None,
    say: Callable[[str], None],
) -> None:
    """Write a run in every format that is wanted; each is said with its largest difference to the run.

    Parameters
    ----------
    run : str
        Id or folder.
    wanted : sequence of (Format, Path)
    mlflow : bool
        Whether the run is to have it too, as ONNX, for `mlflow models serve`.
    tracking : MLflowTracking or None
        Where the run is; None for the usual store.
    say : callable of str
        Given what a person is told.

    Raises
    ------
    UserError
        If there is no such model, or the exported one is not the run's.
    """
    from mtl.export.formats import FORMATS
    from mtl.load_run import load_run, where_tracked

    loaded = load_run(run, tracking)
    run_id, store = where_tracked(run, tracking)
    if mlflow and store is None:
        raise UserError(f"{run} was not tracked in MLflow, so there is no run to add the model to; leave out --mlflow.")
    with quiet():
        from mtl.export import checked, graph
        from mtl.export.described import description
    rows, are = checked.own_rows(loaded)
    near = wanted[0][1].absolute().parent if wanted else None
    with _nothing_of_sizes(), tempfile.TemporaryDirectory(dir=near, prefix=".exporting-") as folder:
        saved = Path(folder) / "graph"
        with quiet():
            graph.write_saved_model(loaded, saved)
        made: dict[str, Path] = {}
        for form in [form for form, _ in wanted] + ([FORMATS[".onnx"]] if mlflow else []):
            if form.title in made:
                continue
            made[form.title] = Path(folder) / f"model{next(end for end, one in FORMATS.items() if one is form)}"
            with quiet():
                form.write(saved, made[form.title], description(loaded, run_id))
                differences = checked.refuse_difference(loaded, form.load(made[form.title]), rows)
            say(f"{form.title}: largest difference of a probability to the run on {are}: {differences}")
        if mlflow and store is not None:
            say(_add_to_run(made[FORMATS[".onnx"].title], Path(folder) / SERVED, loaded, run_id, store))
        for form, file in wanted:
            _replace(made[form.title], file)
            say(f"{file}: {', '.join(loaded.tasks)}")


def _add_to_run(onnx: Path, folder: Path, loaded: LoadedRun, run_id: str, store: MLflowTracking) -> str:
    """Put an ONNX model among a run's artifacts as an MLflow model; the command that serves it."""
    from mtl.export.described import NAME, description, takes
    from mtl.export.formats import read_onnx
    from mtl.tracking.served import write_served

    with quiet():
        write_served(folder, read_onnx(onnx), run_id, takes(loaded), tuple(loaded.tasks))
    (folder / NAME).write_text(description(loaded, run_id), encoding="utf-8")
    store.upload(run_id, folder, folder.name)
    serve = f"mlflow models serve --env-manager local -m runs:/{run_id}/{SERVED}"
    return f"MLFLOW_TRACKING_URI={masked(store.uri)} {serve}"


@contextmanager
def _nothing_of_sizes() -> Iterator[None]:
    """Keep quiet that frames are resized, where it is us who ask for it."""
    heard = logging.getLogger("mtl.load_run")
    before = heard.level
    heard.setLevel(logging.ERROR)
    try:
        yield
    finally:
        heard.setLevel(before)


def _replace(new: Path, file: Path) -> None:
    """Give a finished file or folder its name; it lies on the same disk."""
    if file.is_dir():
        shutil.rmtree(file)
    new.replace(file)
