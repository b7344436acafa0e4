"""A finished run, to be used on new frames."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from omegaconf import DictConfig

from mtl.config.build import build
from mtl.config.stored import read_stored
from mtl.errors import UserError
from mtl.formatting import plural
from mtl.job.record import Job, read_job, read_jobs
from mtl.results import FAILURE, REUSED_FROM
from mtl.terminal import quiet
from mtl.tracking.journal import JOURNAL, Journal

if TYPE_CHECKING:
    from mtl.data.making import Making
    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import SplitBackbone
    from mtl.results import TrackedRun
    from mtl.tasks import Task
    from mtl.tracking.mlflow_tracking import MLflowTracking

log = logging.getLogger(__name__)

NEEDED = ("config.yaml", "model.json", "weights.npz")
BUILT = ("backbone", "freeze", "model", "tasks")  # of the stored config
SHOWN = 10  # runs of a sweep that are named; the others are counted
LONGEST = 60  # characters of a name in such a list; what all runs of a sweep have in common comes last in it
TIMEOUT_S = 10.0

Frames = np.ndarray | Sequence[np.ndarray]


@dataclass(frozen=True)
class LoadedRun:
    """A finished run, to be used on new frames.

    Attributes
    ----------
    config : DictConfig
    tasks : mapping of str to Task
    backbone : SplitBackbone
    model : MultiTaskModel
    training_frames : Making or None
        How the frames were made that it was trained on; None where that is not known, or it had features.
    """

    config: DictConfig
    tasks: Mapping[str, Task]
    backbone: SplitBackbone
    model: MultiTaskModel
    training_frames: Making | None
    _said: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __call__(self, frames: Frames) -> dict[str, np.ndarray]:
        """Probabilities by task name.

        Parameters
        ----------
        frames : ndarray of uint8, shape (n, height, width, 3), or sequence of (height, width, 3)
            RGB, as `mtl.data.frames.read_frame` gives them; those of a sequence may be of
            several sizes. What is not of the training frames' size is resized as they were,
            which is said once. Features (n, d) where the run had no backbone.

        Returns
        -------
        dict of str to ndarray of shape (n, n_classes)
            In the order of the task's `classes`; without a row where there is no frame.

        Raises
        ------
        UserError
            If these are no such frames or features.
        """
        takes_features = self.backbone.frozen.takes == "features"
        given = _features(frames, self.model.n_features) if takes_features else _frames(frames)
        if not len(given):
            return {name: np.empty((0, len(task.classes))) for name, task in self.tasks.items()}
        size = self.backbone.frozen.batch_size
        blocks = (given[i : i + size] for i in range(0, len(given), size))
        alike = (np.stack(list(rows)) for block in blocks for _, rows in groupby(self._made(block), key=np.shape))
        logits = [self.model.inferred(self.backbone.frozen(inputs)) for inputs in alike]
        joined = {name: np.concatenate([each[name] for each in logits]) for name in self.tasks}
        return {name: task.probabilities(joined[name]) for name, task in self.tasks.items()}

    def _made(self, given: Frames) -> Iterator[np.ndarray]:
        """Frames made as the training frames were, one by one; features as they are."""
        from mtl.data.making import made_alike

        for frame in given:
            if self.training_frames is not None:
                self._say_resized(frame.shape[0], frame.shape[1], self.training_frames)
            yield frame if self.training_frames is None else made_alike(frame, self.training_frames)

    def _say_resized(self, height: int, width: int, made: Making) -> None:
        """Say, once each, that frames are made smaller or larger."""
        if made.height is None or made.width is None or (height, width) == (made.height, made.width):
            return
        if height < made.height or width < made.width:
            said, more = "enlarged", "; they show less than the training frames did"
        else:
            said, more = "resized", ""
        if said not in self._said:
            self._said.add(said)
            log.warning(
                "Frames such as one of %dx%d are %s to the training frames' %s%s.", width, height, said, made, more
            )


def _frames(given: Any) -> Frames:
    """Frames (height, width, 3) of uint8, one by one, or one line on what was found instead."""
    if isinstance(given, (list, tuple)) or (isinstance(given, np.ndarray) and given.dtype == object and given.ndim):
        frames = [_array(frame, f"frame {i}") for i, frame in enumerate(given)]
        for i, frame in enumerate(frames):
            _check_frames(frame, ("height", "width", "3"), f"frame {i}")
        return frames
    array = _array(given, "frames")
    if array.ndim and not len(array):
        return array
    if array.ndim == 3 and array.shape[-1] == 3:
        raise UserError(f"frames must be (n, height, width, 3), found one frame {array.shape}; right would be [frame].")
    _check_frames(array, ("n", "height", "width", "3"), "frames")
    return array


def _array(given: Any, what: str) -> np.ndarray:
    """As an array."""
    try:
        return np.asarray(given)
    except (ValueError, TypeError) as error:  # nested lists that are no box; a tensor on another device
        raise UserError(f"{what} cannot be made an array: {' '.join(str(error).split())}") from error


def _check_frames(array: np.ndarray, right: tuple[str, ...], what: str) -> None:
    """Refuse an array that is not uint8 RGB of this many dimensions."""
    wanted = f"{what} must be uint8 RGB in 0..255 of shape ({', '.join(right)})"
    if array.dtype.kind not in "biuf":
        raise UserError(f"{wanted}, found {array.dtype if array.ndim else type(array.item()).__name__}.")
    if array.ndim != len(right) or array.shape[-1] != 3 or 0 in array.shape:
        raise UserError(f"{wanted}, found {array.dtype} {array.shape}.")
    if array.dtype != np.uint8:
        low, high = array.min(), array.max()
        hint = ""
        if array.dtype.kind == "f" and low >= 0 and high <= 1:
            hint = "; right would be (255 * frames).round().astype('uint8')"
        elif array.dtype.kind != "b" and low >= 0 and high <= 255:
            hint = "; right would be frames.round().astype('uint8')"
        raise UserError(f"{wanted}, found {array.dtype} in {low:.4g}..{high:.4g}{hint}.")


def _features(given: Any, n_features: int) -> np.ndarray:
    """Features (n, d) as float32, or one line on what was found instead."""
    array = _array(given, "features")
    if array.ndim and not len(array):
        return array
    if array.ndim != 2 or array.shape[1] != n_features or array.dtype.kind not in "iuf":
        raise UserError(f"features must be numbers (n, {n_features}), found {array.dtype} {array.shape}.")
    if not np.isfinite(array).all():
        raise UserError(f"features must be finite, found NaN or infinity in {(~np.isfinite(array)).sum()} places.")
    return array.astype(np.float32, copy=False)


def load_run(run: str | Path, tracking: MLflowTracking | None = None) -> LoadedRun:
    """The model of a finished run, equal to the one that made its tracked predictions.

    Parameters
    ----------
    run : str or Path
        Its id, or its folder below `outputs` or `multirun`, which a run with `tracking=none` has too.
    tracking : MLflowTracking, optional
        Where the run was tracked; else `mlflow.db` of the working directory.

    Raises
    ------
    UserError
        If there is no such run, it is a sweep, it left no model, or the backbone's
        weights are no longer the ones it had.
    """
    folder = _folder(run)
    name, files = _tracked_files(str(run), tracking) if folder is None else _files_of(folder, tracking)
    with quiet():
        from mtl.model.multitask import assemble
        from mtl.tracking.artifacts import read_weights

        config = read_stored(files["config.yaml"], name, BUILT)
        stored = _described(files["model.json"], name)
        if stored["frozen"]["backbone"] is None:
            config.backbone.weights = "random"  # nothing of it is frozen: all of it was tracked
        if "precision" in stored and "precision" in config.backbone:  # "auto" may be another one here
            config.backbone.precision = stored["precision"]
        backbone: SplitBackbone = build(config.backbone).split(build(config.freeze))
    for key in ("architecture", "weights"):
        if stored["frozen"].get(key) != backbone.frozen.spec.get(key):
            raise UserError(
                f"{name} was made with another backbone: its {key} has digest {stored['frozen'].get(key)}, "
                f"found {backbone.frozen.spec.get(key)}; right would be the weights file it was made with."
            )
    tasks = build(config.tasks)
    model = assemble(build(config.model), backbone, tasks, tuple(stored["features"]))
    try:
        model.set_weights(read_weights(files["weights.npz"]))
    except (OSError, ValueError, EOFError, BadZipFile) as error:  # pickled arrays are a ValueError
        raise UserError(f"{name}: its weights.npz is damaged: {' '.join(str(error).split())[:200]}") from None
    made = None if backbone.frozen.takes == "features" else _training_frames(stored, name)
    return LoadedRun(config, tasks, backbone, model, made)


def file_of_run(run: str | Path, name: str, tracking: MLflowTracking | None = None) -> Path:
    """A file that a finished run left beside its model, such as ``predictions.parquet``.

    Raises
    ------
    UserError
        If there is no such run, or it left no such file.
    """
    folder = _folder(run)
    found = _tracked_files(str(run), tracking, (name,)) if folder is None else _files_of(folder, tracking, (name,))
    return found[1][name]


def where_tracked(run: str | Path, tracking: MLflowTracking | None = None) -> tuple[str, MLflowTracking | None]:
    """Id of a run that `load_run` loads, and its store; of a run without tracking its own mark, and None.

    Of a job that was reused these are of the run that made its model. A folder without a record has the id ''.
    """
    from mtl.tracking.mlflow_tracking import MLflowTracking

    folder = _folder(run)
    if folder is None:
        tracking = tracking or MLflowTracking("sqlite:///mlflow.db", "mtl", None, TIMEOUT_S)
        return tracking.run(str(run)).tags.get(REUSED_FROM, str(run)), tracking
    folder = folder.parent if folder.name == "artifacts" and (folder.parent / JOURNAL).is_file() else folder
    record = Journal(folder / JOURNAL)
    if not record.entries:
        return "", None
    run_id = record.tags().get(REUSED_FROM) or record.run_id or f"local-{record.first['key']}"
    is_tracked = bool(record.store_uri()) and not run_id.startswith("local-")
    return run_id, (tracking or _store_of(folder)) if is_tracked else None


def _described(path: Path, name: str) -> dict[str, Any]:
    """What a run wrote of its model beside the weights."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        frozen, shape, frames = found["frozen"], found["features"], found.get("frames")
        sound = isinstance(frozen, dict) and "backbone" in frozen and all(isinstance(n, int) and n > 0 for n in shape)
        if not sound or not isinstance(frames, dict | None) or not shape:
            raise ValueError("it does not describe a model")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{name}: its model.json is damaged: {' '.join(str(error).split())[:200]}.") from None
    return found


def _training_frames(stored: Mapping[str, Any], name: str) -> Making | None:
    """How the frames were made that a run was trained on; said where frames will be taken as they come."""
    from mtl.data.making import ASSUMED, INTERPOLATION, Making

    if stored.get("frames") is not None:
        made = Making(**stored["frames"])
        if made.height is None:
            log.warning("%s was trained on frames of several sizes: frames are taken as they come.", name)
        return made
    if stored["frozen"]["backbone"] is None:  # the features of an older run, of which nothing is frozen, are its frames
        height, width, _ = stored["features"]
        return Making(height, width, INTERPOLATION, ASSUMED)
    log.warning(
        "%s is of an older version, which did not keep the size of its training frames: frames are taken as they "
        "come, and those of another size get other probabilities.", name,
    )  # fmt: skip
    return None


def _folder(run: str | Path) -> Path | None:
    """The folder that is meant; None where it is an id."""
    if not str(run).strip():
        raise UserError("The run's id is empty; a run with tracking=none is loaded by its folder, such as outputs/....")
    path = Path(run).expanduser()
    if path.is_dir():
        return path
    if isinstance(run, Path) or len(path.parts) > 1 or path.exists():
        raise UserError(f"There is no folder {path}; right would be a run's id, or its folder below outputs.")
    return None


def _files_of(
    folder: Path, tracking: MLflowTracking | None, needed: Sequence[str] = NEEDED
) -> tuple[str, dict[str, Path]]:
    """What a run's folder is called, and its files; those of the run it was reused from."""
    if folder.name == "artifacts" and (folder.parent / JOURNAL).is_file():
        folder = folder.parent
    job = read_job(folder)
    if job is not None and job.reused:
        return _tracked_files(job.tags[REUSED_FROM], tracking or _store_of(folder), needed)
    below = sorted(read_jobs(folder), key=lambda job: (job.number, job.folder))
    if (job is not None and job.tags.get("sweep") == "parent") or (job is None and below):
        raise UserError(_many(f"{folder}", "folders", [(str(each.folder.relative_to(folder)), each) for each in below]))
    artifacts = folder if job is None and (folder / "model.json").is_file() else folder / "artifacts"
    files = {name: artifacts / name for name in needed}
    missing = [name for name, path in files.items() if not path.is_file()]
    if missing and job is None:
        raise UserError(f"{folder} is no run's folder: it has no record ({JOURNAL}) and no {missing[0]}.")
    if missing and job is not None:
        raise UserError(f"The run in {folder} {_without_model(job.status, job.failure, missing[0])}")
    if job is not None and job.status != "FINISHED":
        log.warning("The run in %s is %s, but left its model.", folder, job.status)
    return f"The run in {folder}", files


def _without_model(status: str, failure: str, missing: str) -> str:
    """Why a run cannot be loaded."""
    if status == "RUNNING":
        return "has not come to its end yet."
    reason = f" ({failure})" if failure else ""
    return f"left no model: it is {status}{reason}, and there is no {missing}."


def _store_of(folder: Path) -> MLflowTracking:
    """The store that a run's record names."""
    from mtl.tracking.mlflow_tracking import MLflowTracking

    record = Journal(folder / JOURNAL)
    uri = record.store_uri()
    if "***" in uri:
        raise UserError(f"{folder}: the password of {uri} is not kept; load_run(folder, tracking) takes a store.")
    return MLflowTracking(uri, record.first.get("experiment") or "mtl", record.first.get("artifacts"), TIMEOUT_S)


def _tracked_files(
    run_id: str, tracking: MLflowTracking | None, needed: Sequence[str] = NEEDED
) -> tuple[str, dict[str, Path]]:
    """What a tracked run is called, and its files; those of the run it was reused from."""
    from mtl.tracking.mlflow_tracking import MLflowTracking

    if run_id.startswith("local-"):
        raise UserError(f"Run {run_id} has not reached the store; right would be its folder, such as outputs/....")
    tracking = tracking or MLflowTracking("sqlite:///mlflow.db", "mtl", None, TIMEOUT_S)
    found = tracking.run(run_id)
    if found.tags.get("sweep") == "parent":
        raise UserError(_many(f"Run {run_id}", "ids", [(each.id, each) for each in tracking.children(run_id)]))
    if REUSED_FROM in found.tags:
        found = tracking.run(found.tags[REUSED_FROM])
    if found.status != "FINISHED":
        said = _without_model(found.status, found.tags.get(FAILURE, ""), "model.json")
        raise UserError(f"Run {found.id} ({found.name}) {said}")
    return f"Run {found.id}", {name: tracking.download(found.id, name) for name in needed}


def _many(what: str, words: str, runs: Sequence[tuple[str, Job | TrackedRun]]) -> str:
    """That this is not one run but several, and by which word each is loaded."""
    if not runs:
        return f"{what} is a sweep without a run: there is none to load."
    first = []
    for word, run in runs[:SHOWN]:
        name = shorten(run.name, LONGEST, placeholder=" ...")
        first.append(f"{word} ({name})" if run.status == "FINISHED" else f"{word} ({name}, {run.status})")
    more = [f"and {len(runs) - SHOWN} more"] if len(runs) > SHOWN else []
    count, named = plural(len(runs), "run"), ", ".join(first + more)
    return f"{what} is no single run, it has {count}; right would be one of these {words}: {named}."


def write_model(
    artifacts: Path,
    model: MultiTaskModel,
    backbone: SplitBackbone,
    feature_shape: tuple[int, ...],
    training_frames: Making | None,
) -> None:
    """Write what `load_run` needs beside the config: weights, what the frozen part was made of, and the frames."""
    from mtl.tracking.artifacts import write_json, write_weights

    write_weights(artifacts / "weights.npz", model.get_weights())
    described = {
        "features": feature_shape,
        "frozen": backbone.frozen.spec,
        "precision": backbone.precision,
        "frames": None if training_frames is None else asdict(training_frames),
    }
    write_json(artifacts / "model.json", described)
