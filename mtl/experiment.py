"""One run, from config to Result: the page to read first."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mtl import memory
from mtl.config.build import build, plain_config
from mtl.config.check import check
from mtl.config.parameters import parameters, run_name
from mtl.config.renamed import of_today
from mtl.config.switches import check_switches
from mtl.errors import UserError
from mtl.job.context import StoppedError, UntrainedError, check_worth_it, current, turn
from mtl.job.failure import closing_run, one_line, track_failure
from mtl.job.fingerprint import code_digest, data_digest, fingerprint
from mtl.job.record import REUSED_FROM, read_job
from mtl.job.reuse import done_before, reuse
from mtl.results import CODE, DATA, JOB
from mtl.terminal import progress, quiet, show
from mtl.tracking.metrics import (
    cost_of_relations,
    history_table,
    log_data,
    log_epoch,
    log_model,
    log_result,
    record_data,
)

if TYPE_CHECKING:
    from mtl.data.related_tasks import RelatedTasks
    from mtl.data.ucf_crime import UCFCrime
    from mtl.evaluation.evaluation import Evaluated
    from mtl.features.features import Features
    from mtl.features.identity import Stats
    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import FrozenPart, SplitBackbone
    from mtl.results import Result
    from mtl.tasks import Task
    from mtl.tracking.mlflow_tracking import MLflowTracking
    from mtl.tracking.run import Run

    Data = UCFCrime | RelatedTasks

log = logging.getLogger(__name__)

COSINE, COMPARED = "cosine_to_float32", 32  # frames whose features are computed in float32 too


def run(config: DictConfig) -> float:
    """One run: train on one task set, evaluate, relate, track.

    Parameters
    ----------
    config : DictConfig
        As composed from `conf/` by Hydra.

    Returns
    -------
    float
        Test AUC of the main task.
    """
    began, hydra = time.perf_counter(), HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    choices, words = dict(hydra.runtime.choices), list(hydra.overrides.task)
    sweep = current()
    name, tags = run_name(choices, words, sweep.common if sweep else ()), {"tasks": str(choices.get("tasks"))}
    if sweep is not None:
        tags |= {JOB: str(hydra.job.num)}
    try:
        check_switches(config)
        if sweep is not None:
            check_worth_it(sweep, config.stop_after)
        check(config)
        if sweep is None and config.dry_run:
            show(f"would run: {name}")
            return float("nan")
        with turn(sweep):
            tracking = build(config.tracking)
            tracking.prepare()
            parent = sweep.parent or None if sweep else None
            before = None if sweep is None or config.rerun else done_before(config, sweep, tracking)
            if before is not None:
                reused = reuse(config, choices, before, tracking, parent, folder, name, tags)
                if reused is not None:
                    return reused
            if sweep is not None and not sweep.trains:
                raise UntrainedError("What was done before is gone: the job needs a process of its own.")
            tracked = tracking.start(name, folder, parent, tags)
            with closing_run(tracked, folder):
                result = _experiment(config, choices, words, tracked, folder / "artifacts")
                spent = {"time/tracking_s": tracking.seconds, "time/run_s": time.perf_counter() - began}
                tracked.metrics(spent, step=0)
            memory.give_back()  # else fifty jobs of a process would each leave holes that the next cannot use
    except Exception as error:
        is_new = sweep is not None and not isinstance(error, StoppedError)
        if sweep is not None and is_new and read_job(folder) is None:  # found before the run was opened
            track_failure(config, folder, name, tags, sweep.parent, one_line(error), traceback.format_exc())
        raise
    for line in [] if sweep else tracking.where_to_look([tracked.id], f"auc/{config.main_task}"):
        show(line)
    return result.scores[f"auc/{config.main_task}"].value


def _experiment(
    config: DictConfig, choices: Mapping[str, Any], words: list[str], tracked: Run, artifacts: Path
) -> Result:
    """The run itself: every step leaves its numbers with the tracked run and its files in the folder."""
    memory.settle()
    stages = Stages()
    data: Data = build(config.data)
    tasks: dict[str, Task] = build(config.tasks)
    tracked.params(parameters(config, choices))
    artifacts.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, artifacts / "config.yaml", resolve=True)
    (artifacts / "overrides.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")

    with stages("start"), quiet():
        import keras

        from mtl.evaluation.predictions import predictions_table
        from mtl.features.identity import stats
        from mtl.model.multitask import reused
        from mtl.plots import rendering
        from mtl.relations.labels import as_text
        from mtl.report import run_tables
        from mtl.results import Result
        from mtl.tracking import provenance
        from mtl.tracking.artifacts import write_json, write_tables, write_trace, write_weights
        from mtl.tracking.figures import figures
        from mtl.training import source
        from mtl.training.dataset import Dataset

        backbone = frozen_once(config)
        keras.utils.set_random_seed(config.seed)
        weighting = build(config.weighting, tasks=tuple(tasks))
    with stages("index"):
        frames = data.frames()
        log_data(data, frames)
        found = stats(data.root, frames["path"])
        digest = data_digest(frames, found)
        own_fingerprint = fingerprint(plain_config(config), digest)
        tracked.tags({"fingerprint": own_fingerprint, CODE: code_digest()[:8], DATA: digest})
    with stages("features"):
        features = _features(config, data, frames, backbone, found)
    frames = features.frames
    tracked.tags({"features": "kept" if features.kept else "computed on every use"})
    _check_splits(frames)
    write_json(artifacts / "packages.json", provenance.package_versions())
    record_data(artifacts, data, features, tracked)
    if backbone.frozen.in_float32 is not None and data.root is not None:
        cosine = _cosine_to_float32(backbone.frozen, data.root, features)
        log.info("features in %s: cosine to float32 ones %.6f", backbone.frozen.spec["precision"], cosine)
        tracked.metrics({"features/cosine_to_float32": cosine}, step=0)

    targets = {name: task.targets(frames) for name, task in tasks.items()}
    dataset = Dataset(features.vectors, targets, frames)
    model = reused(build_model(config, backbone, tasks, features.vectors.shape[1:]))
    log_model(backbone, model, tracked)
    log.info("labels before training: %s", as_text(tuple(tasks), *dataset.label_combinations("train")[:2]))
    with stages("training"):
        trace, history = build(config.training).train(
            model,
            dataset,
            weighting,
            build(config.gradient_measurements),
            config.main_task,
            lambda epoch, row: log_epoch(tracked, config.main_task, config.training.epochs, epoch, row),
        )
    with stages("evaluation"):
        test = dataset.positions("test")
        logits = source.predict(model, features.vectors, test)
        at_test = {name: target[test] for name, target in targets.items()}
        predictions = predictions_table(frames.iloc[test], at_test, logits, tasks)
        evaluated: Evaluated = build(config.evaluation).evaluate(predictions, tasks)
    with stages("relations"):
        related = {name: relation(trace) for name, relation in build(config.get("relations", {})).items()}
    log.info("relations: %s", cost_of_relations(history, stages.seconds["relations"]))

    with stages("record"):
        predictions.to_parquet(artifacts / "predictions.parquet", index=False)
        write_weights(artifacts / "weights.npz", model.get_weights())
        described = {
            "features": features.vectors.shape[1:],
            "frozen": backbone.frozen.spec,
            "precision": backbone.precision,
        }
        write_json(artifacts / "model.json", described)
        write_trace(artifacts / "trace.npz", trace)
        table = history_table(history)
        table.to_csv(artifacts / "history.csv")
        write_tables(artifacts / "tables", evaluated, related, trace)
        drawn = figures(evaluated, related, trace, table, history.best_epoch + 1)
        rendering.write_pngs(artifacts / "figures", drawn)
    result = Result(
        tuple(tasks), config.main_task, evaluated.scores, related, trace, predictions, tracked.id, dict(stages.seconds)
    )
    log_result(tracked, result, history, features, len(test))
    tracked.artifacts(artifacts)
    for shown in run_tables.run_tables(result):
        show(shown)
    return result


class Stages:
    """Wall time of each stage of a run.

    Attributes
    ----------
    seconds : dict of str to float
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def _features(config: DictConfig, data: Data, frames: Any, backbone: SplitBackbone, found: Stats) -> Features:
    """Rows of the frozen part for every frame; what is on disk already is not computed again."""
    from contextlib import ExitStack

    given_features = data.features()
    if backbone.frozen.takes == "features" and given_features is None:
        raise UserError(f"data={data.name} gives frames, the backbone takes features; right would be another backbone.")
    if backbone.frozen.takes == "frames" and given_features is not None:
        raise UserError(f"data={data.name} gives features, the backbone takes frames; right would be backbone=none.")
    if given_features is not None:
        from mtl.features.features import given

        return given(frames, given_features)
    with ExitStack() as stack:
        bar: list[Any] = []

        def start(total: int) -> None:
            bar.append(stack.enter_context(progress("frames -> features", total, "frames")))

        def advance(n: int) -> None:
            bar[0](n)

        return build(config.features).of(
            frames, data.root, backbone.frozen, progress=advance, on_start=start, found=found
        )


_frozen: dict[str, SplitBackbone] = {}


def frozen_once(config: DictConfig) -> SplitBackbone:
    """The backbone, taken apart; one of which nothing is trained is kept for the next job of the process."""
    plain = plain_config(config)
    described = {key: value for key, value in plain["backbone"].items() if key != "seed"}
    if described.get("weights") == "random":
        described["seed"] = config.backbone.seed
    key = repr((described, plain["freeze"]))
    if key in _frozen:
        return _frozen[key]
    backbone: SplitBackbone = build(config.backbone).split(build(config.freeze))
    if not backbone.n_trained:
        _frozen.clear()  # one at a time: it may be large
        _frozen[key] = backbone
    return backbone


def _cosine_to_float32(frozen: FrozenPart, root: Path, features: Features) -> float:
    """Mean cosine to float32 features of frames from all over the table, of one size; measured once per archive."""
    from mtl.data.frames import read_frame
    from mtl.model.device import cosine_to_float32

    assert features.archive is not None  # what is computed has a place
    known = features.archive.noted(COSINE)
    if known is not None:
        return known
    at = np.unique(np.linspace(0, len(features.frames) - 1, min(COMPARED, frozen.batch_size)).astype(int))
    images = [read_frame(root, path) for path in features.frames["path"].iloc[at]]
    same = [i for i, image in enumerate(images) if image.shape == images[0].shape]
    cosine = cosine_to_float32(frozen, np.stack([images[i] for i in same]), features.vectors.take(at[same]))
    features.archive.note(COSINE, cosine)
    return cosine


def build_model(
    config: DictConfig, backbone: SplitBackbone, tasks: Mapping[str, Task], feature_shape: tuple[int, ...]
) -> MultiTaskModel:
    """The model on features of this shape."""
    import tensorflow as tf

    n_features = int(backbone.trained(tf.zeros((1, *feature_shape)), training=False).shape[-1])
    return build(config.model)(trained=backbone.trained, n_features=n_features, tasks=tasks)


def _check_splits(frames: Any) -> None:
    """Training needs frames to train on, and to judge by."""
    counts = frames["split"].value_counts()
    for split in ("train", "val", "test"):
        if not counts.get(split, 0):
            raise UserError(
                f"Split '{split}' has no frame left; right would be a lower data.every or higher data.max_*."
            )


@dataclass(frozen=True)
class LoadedRun:
    """A finished run, to be used on new frames.

    Attributes
    ----------
    config : DictConfig
    tasks : mapping of str to Task
    backbone : SplitBackbone
    model : MultiTaskModel
    """

    config: DictConfig
    tasks: Mapping[str, Task]
    backbone: SplitBackbone
    model: MultiTaskModel

    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities by task name.

        Parameters
        ----------
        frames : ndarray of uint8, shape (n, height, width, 3)
            RGB, as `mtl.data.frames.read_frame` gives them; features (n, d)
            where the run had no backbone.

        Returns
        -------
        dict of str to ndarray of shape (n, n_columns)
            Columns in the order of the task's `columns`.
        """
        if self.backbone.frozen.takes == "features":
            if frames.ndim != 2 or frames.shape[1] != self.model.n_features:
                raise UserError(f"features must be (n, {self.model.n_features}), found {frames.shape}.")
        elif frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise UserError(f"frames must be uint8 (n, height, width, 3), found {frames.dtype} {frames.shape}.")
        size = self.backbone.frozen.batch_size
        blocks = [
            self.model(self.backbone.frozen(frames[i : i + size]), training=False) for i in range(0, len(frames), size)
        ]
        logits = {name: np.concatenate([block[name].numpy() for block in blocks]) for name in self.tasks}
        return {name: task.probabilities(logits[name]) for name, task in self.tasks.items()}


def load_run(run_id: str, tracking: MLflowTracking | None = None) -> LoadedRun:
    """The model of a finished run, equal to the one that made its tracked predictions.

    Parameters
    ----------
    run_id : str
    tracking : MLflowTracking, optional
        Where the run was tracked; else `mlflow.db` of the working directory.

    Raises
    ------
    UserError
        If there is no such run, or the backbone's weights are no longer the ones it had.
    """
    from mtl.tracking.mlflow_tracking import MLflowTracking

    tracking = tracking or MLflowTracking("sqlite:///mlflow.db", "mtl", None, timeout_s=10.0)
    run_id = tracking.run(run_id).tags.get(REUSED_FROM, run_id)
    with quiet():
        import json

        from mtl.tracking.artifacts import read_weights

        config = of_today(OmegaConf.load(tracking.download(run_id, "config.yaml")))
        stored = json.loads(tracking.download(run_id, "model.json").read_text(encoding="utf-8"))
        if stored["frozen"]["backbone"] is None:
            config.backbone.weights = "random"  # nothing of it is frozen: all of it was tracked
        if "precision" in stored and "precision" in config.backbone:  # "auto" may be another one here
            config.backbone.precision = stored["precision"]
        backbone: SplitBackbone = build(config.backbone).split(build(config.freeze))
    for key in ("architecture", "weights"):
        if stored["frozen"].get(key) != backbone.frozen.spec.get(key):
            raise UserError(
                f"Run {run_id} was made with another backbone: its {key} has digest {stored['frozen'].get(key)}, "
                f"found {backbone.frozen.spec.get(key)}; right would be the weights file it was made with."
            )
    tasks = build(config.tasks)
    model = build_model(config, backbone, tasks, tuple(stored["features"]))
    model.set_weights(read_weights(tracking.download(run_id, "weights.npz")))
    return LoadedRun(config, tasks, backbone, model)
