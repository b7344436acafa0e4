"""Leave: ``python -m mtl.export RUN FILE``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mtl.errors import UserError
from mtl.terminal import exit_status, show

log = logging.getLogger(__name__)

STORE_TIMEOUT_S = 10.0


def main(words: Sequence[str] | None = None) -> int:
    """Export a run; the exit status, 1 where that was refused."""
    asked = _parser().parse_args(words)

    def act() -> int:
        export(asked.run, asked.file, asked.force, asked.mlflow, asked.uri)
        return 0

    return exit_status(act, logging.WARNING)


def _parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mtl.export",
        description="Make a model for other programs of a finished run: raw frames in, probabilities by task name out.",
    )
    parser.add_argument("run", metavar="RUN", help="id of a run, or its folder below outputs or multirun")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=Path,
        help="NAME.onnx, NAME.tflite, or NAME for the folder of a SavedModel",
    )
    parser.add_argument("--force", action="store_true", help="replace what stands there")
    parser.add_argument(
        "--mlflow", action="store_true", help="add it to the run, so that `mlflow models serve` takes it"
    )
    parser.add_argument("--uri", help="MLflow store (else mlflow.db of this folder, or the one the run's folder names)")
    return parser


def export(run: str, file: Path | None, force: bool, mlflow: bool, uri: str | None) -> None:
    """Write a run as a model, load it again, compare it with the run, and only then give it its name.

    Parameters
    ----------
    run : str
        Id or folder.
    file : Path or None
        Its ending says the format; None where only MLflow is to have it.
    force : bool
        Whether what stands at `file` may be replaced.
    mlflow : bool
        Whether the run is to have it, as ONNX, for `mlflow models serve`.
    uri : str or None
        Of the store, where it is not the usual one.

    Raises
    ------
    UserError
        If a runtime is not installed, `file` is there, there is no such model, or the exported one is not the run's.
    """
    from mtl.export.exporting import check_served, write_models
    from mtl.export.formats import format_of

    wanted = [] if file is None else [(format_of(file), file)]
    if not wanted and not mlflow:
        raise UserError("Say where to: a FILE, --mlflow, or both.")
    for form, _ in wanted:
        form.check()
    if mlflow:
        check_served()
    if file is not None:
        _check_free(file, force)
    tracking = None
    if uri is not None:
        from mtl.tracking.mlflow_tracking import MLflowTracking

        tracking = MLflowTracking(uri, "mtl", None, STORE_TIMEOUT_S)
    write_models(run, wanted, mlflow, tracking, show)


def _check_free(file: Path, force: bool) -> None:
    """Refuse a name that is taken, but for what may be replaced."""
    if not file.absolute().parent.is_dir():
        raise UserError(f"There is no folder {file.parent} to write {file.name} to.")
    if not os.path.lexists(file):
        return
    if not force:
        raise UserError(f"{file} is there already; right would be another name, or --force to replace it.")
    is_model = (file / "saved_model.pb").is_file() if not file.suffix else file.is_file()
    if not is_model or file.is_symlink():
        raise UserError(f"{file} is no model that --force would replace; right would be another name.")


if __name__ == "__main__":
    sys.exit(main())
