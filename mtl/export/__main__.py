"""Leave: ``python -m mtl.export RUN FILE``."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import UserError
from mtl.masking import masked
from mtl.terminal import ConsoleHandler, quiet, show

if TYPE_CHECKING:
    from mtl.export.formats import Format
    from mtl.load_run import LoadedRun
    from mtl.tracking.mlflow_tracking import MLflowTracking

log = logging.getLogger(__name__)

INTERRUPTED = 130
STORE_TIMEOUT_S = 10.0
SERVED = "model"  # artifact of the run that MLflow serves


def main(words: Sequence[str] | None = None) -> int:
    """Export a run; the exit status, 1 where that was refused."""
    asked = _parser().parse_args(words)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[ConsoleHandler()], force=True)
    try:
        export(asked.run, asked.file, asked.force, asked.mlflow, asked.uri)
    except UserError as error:
        log.error("%s", error)
        return 1
    except OSError as error:
        log.error("%s: %s", error.filename or asked.file, os.strerror(error.errno or 0))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


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
    from mtl.export.formats import FORMATS, format_of

    wanted = [] if file is None else [(format_of(file), file)]
    if not wanted and not mlflow:
        raise UserError("Say where to: a FILE, --mlflow, or both.")
    for form in [form for form, _ in wanted] + ([FORMATS[".onnx"]] if mlflow else []):
        form.check()
    if file is not None:
        _check_free(file, force)
    tracking = None
    if uri is not None:
        from mtl.tracking.mlflow_tracking import MLflowTracking

        tracking = MLflowTracking(uri, "mtl", None, STORE_TIMEOUT_S)
    _export(run, wanted, mlflow, tracking)


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


def _export(run: str, wanted: list[tuple[Format, Path]], mlflow: bool, tracking: MLflowTracking | None) -> None:
    """All of it, where the command line was sound."""
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
    logging.getLogger("mtl.load_run").setLevel(logging.ERROR)  # that frames are resized, where it is us who ask for it
    near = wanted[0][1].absolute().parent if wanted else None
    with tempfile.TemporaryDirectory(dir=near, prefix=".exporting-") as folder:
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
            show(f"{form.title}: largest difference of a probability to the run on {are}: {differences}")
        if mlflow and store is not None:
            _add_to_run(made[FORMATS[".onnx"].title], Path(folder) / SERVED, loaded, run_id, store)
        for form, file in wanted:
            _replace(made[form.title], file)
            show(f"{file}: {', '.join(loaded.tasks)}")


def _add_to_run(onnx: Path, folder: Path, loaded: LoadedRun, run_id: str, store: MLflowTracking) -> None:
    """Put an ONNX model among a run's artifacts as an MLflow model, and say how it is served."""
    from mtl.export.described import NAME, description, takes
    from mtl.export.formats import read_onnx
    from mtl.tracking.served import write_served

    with quiet():
        write_served(folder, read_onnx(onnx), run_id, takes(loaded), tuple(loaded.tasks))
    (folder / NAME).write_text(description(loaded, run_id), encoding="utf-8")
    store.upload(run_id, folder, folder.name)
    show(f"MLFLOW_TRACKING_URI={masked(store.uri)} mlflow models serve --env-manager local -m runs:/{run_id}/{SERVED}")


def _replace(new: Path, file: Path) -> None:
    """Give a finished file or folder its name; it lies on the same disk."""
    if file.is_dir():
        shutil.rmtree(file)
    new.replace(file)


if __name__ == "__main__":
    sys.exit(main())
