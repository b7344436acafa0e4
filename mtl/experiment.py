"""One run, from config to Result: the page to read first."""

from __future__ import annotations

import logging
import time
import traceback
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from mtl import memory, numerics, results
from mtl.config.build import build, plain_config
from mtl.config.check import check
from mtl.config.objective import objective_of
from mtl.config.request import RunRequest
from mtl.config.switches import check_switches
from mtl.export.exporting import add_model, check_served
from mtl.files import check_room
from mtl.job.context import StoppedError, SweepContext, UntrainedError, check_worth_it, current, turn
from mtl.job.failure import closing_run, one_line, track_failure
from mtl.job.fingerprint import code_digest, data_digest, fingerprint
from mtl.job.record import read_job
from mtl.job.resume import forget, killed_before
from mtl.job.reuse import done_before, reuse
from mtl.load_run import LoadedRun as LoadedRun
from mtl.load_run import load_run as load_run
from mtl.load_run import write_model
from mtl.results import CODE, DATA, JOB, LOOKS, MARGIN, NUMERICS, OBJECTIVE, SCREENING, Result
from mtl.stopwatch import FIGURES, MODEL, TRACKING, Stopwatch, count, running, spent_on
from mtl.terminal import quiet, report, show
from mtl.tracking.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mtl.data.events import Events
    from mtl.data.feature_files import FeatureFiles
    from mtl.data.related_tasks import RelatedTasks
    from mtl.data.ucf_crime import UCFCrime
    from mtl.data.ucf_crime_videos import UCFCrimeVideos
    from mtl.evaluation.evaluation import Evaluated
    from mtl.evaluation.temporal import EventEvaluated
    from mtl.features.feature_key import Stats
    from mtl.features.features import Features
    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import SplitBackbone
    from mtl.results import Relation
    from mtl.tasks import Task
    from mtl.trace import Trace
    from mtl.tracking.run import Run
    from mtl.training.dataset import Dataset
    from mtl.training.history import Epoch, History
    from mtl.weighting.base import Weighting

    Data = UCFCrime | UCFCrimeVideos | RelatedTasks | FeatureFiles

log = logging.getLogger(__name__)


def run(config: DictConfig) -> float | None:
    """One run, or one job of a sweep: checked, reused where it was done before, else trained and tracked.

    Parameters
    ----------
    config : DictConfig
        As composed from `conf/` by Hydra.

    Returns
    -------
    float or None
        What `objective` names, of validation frames at the kept epoch: what a sweeper that optimises
        may see. None where it is undefined. Test frames judge, they never choose.
    """
    began, asked, sweep = time.perf_counter(), RunRequest.of_hydra(config), current()
    name = asked.name(sweep.common if sweep else ())
    tags = asked.tags() | (_tags_in_sweep(asked, sweep) if sweep else {})
    with running(config.profile is True) as watch, _rows_of_refused_jobs(asked, sweep, name, tags):
        check_switches(config)
        if sweep is not None:
            check_worth_it(sweep, config.stop_after)
        with spent_on("start"):
            check(config)
            arithmetic = build(config.numerics)
        tags[NUMERICS] = arithmetic.text
        if sweep is None and config.dry_run:
            show(f"would run: {name}")
            return None
        with turn(sweep):
            tracking = build(config.tracking)
            if tracking.model:
                check_served()
            with spent_on(TRACKING):
                tracking.prepare()
            parent = sweep.parent or None if sweep else None
            with spent_on("start"):
                before = None if sweep is None or config.rerun else done_before(config, sweep, tracking)
            numbers = None if before is None else reuse(asked, before, tracking, parent, name, tags)
            if numbers is not None:
                if tracking.model:
                    add_model(asked.folder, tracking)
                return objective_of(config).of(numbers)
            if sweep is not None and not sweep.trains:
                raise UntrainedError("What was done before is gone: the job needs a process of its own.")
            with spent_on("start"):
                arithmetic.require()
            killed = killed_before(config, sweep)
            with spent_on(TRACKING):
                tracked = tracking.start(name, asked.folder, parent, tags, killed)
            with closing_run(tracked, asked.folder, config):
                result = train_and_judge(asked, tracked, watch)
                ended = watch.stopped if watch and watch.stopped else time.perf_counter()
                whole = ended - began + result.earlier_seconds
                tracked.metrics({"time/tracking_s": tracking.seconds, "time/run_s": whole}, step=0)
            if tracking.model:
                add_model(asked.folder, tracking)
            forget(config, tracked.fingerprint)
            memory.give_back()  # else fifty jobs of a process would each leave holes that the next cannot use
    for line in [] if sweep else tracking.where_to_look([tracked.id], f"auc/{config.main_task}"):
        show(line)
    return result.objective


def _tags_in_sweep(asked: RunRequest, sweep: SweepContext) -> dict[str, str]:
    """What a job says of the sweep that it belongs to."""
    looks = {LOOKS: sweep.looks} if sweep.looks else {}
    screening = {SCREENING: sweep.screening} if sweep.screening else {}
    config = asked.config
    return {JOB: asked.job, MARGIN: str(config.decide.margin), OBJECTIVE: str(config.objective), **looks, **screening}


@contextmanager
def _rows_of_refused_jobs(
    asked: RunRequest, sweep: SweepContext | None, name: str, tags: Mapping[str, str]
) -> Iterator[None]:
    """Make a job of a sweep that was refused before its run was opened a row with the reason."""
    try:
        yield
    except Exception as error:
        is_new = sweep is not None and not isinstance(error, StoppedError)
        if sweep is not None and is_new and read_job(asked.folder) is None:
            reason, details = one_line(error), traceback.format_exc()
            track_failure(asked.config, asked.folder, name, tags, sweep.parent, reason, details)
        raise


def train_and_judge(asked: RunRequest, tracked: Run, watch: Stopwatch | None = None) -> Result:
    """The run itself: every step leaves its numbers with the tracked run and its files in the folder.

    Parameters
    ----------
    asked : RunRequest
    tracked : Run
    watch : Stopwatch, optional
        Whose times are shown at the end.
    """
    config, artifacts, stages = asked.config, asked.artifacts, Stages()
    with spent_on("start"):
        memory.settle()
        data: Data = build(config.data)
        tasks: dict[str, Task] = build(config.tasks)
        tracked.params(asked.parameters())
        asked.write()

    with stages("start"), quiet():  # TensorFlow: seconds, and noise that is nobody's concern
        import keras
        import tensorflow as tf

        from mtl.data.labels import targets_of
        from mtl.data.making import how_made
        from mtl.data.splits import require_every_split
        from mtl.data.temporal_truth import of_test_videos
        from mtl.features.feature_key import stats
        from mtl.features.of_data import features_of
        from mtl.model.multitask import assemble, reused
        from mtl.relations.labels import as_text
        from mtl.report import run_tables
        from mtl.tracking import metrics
        from mtl.tracking.artifacts import ROOM, whole_artifacts
        from mtl.tracking.by_events import judge_by_events, write_events
        from mtl.tracking.epoch_metrics import best_metrics
        from mtl.training.dataset import Dataset
        from mtl.training.labelled import require_labelled, say_labelled
        from mtl.training.optimizer import check_optimizer
        from mtl.training.shared_steps import quick_sets, shared_sets

        if numerics.is_portable():
            tf.config.experimental.enable_op_determinism()
        check_optimizer(build(config.training).optimizer)  # before the data are read
        backbone = split_backbone(config)
        keras.utils.set_random_seed(config.seed)
        weighting = build(config.weighting, tasks=tuple(tasks))
    with stages("index"):
        frames = data.frames()
        count("index", len(frames))
        metrics.log_data(data, frames)
        events: Events | None = data.temporal_truth()
        events = None if events is None else of_test_videos(events, frames)
        found = stats(data.root, frames["path"])
        tracked.tags(_identity(config, data, frames, found))
        files = getattr(data, "labels", {})  # drawn features have none
        targets = targets_of(tasks, frames, files, _is_whole(data))
        require_labelled(frames, targets, config.main_task)
    with stages("features"):
        store = build(config.features)
        features = features_of(data, frames, backbone.frozen, store, found)
    require_every_split(features.frames, frames, features.bad)
    with spent_on("record"):
        made = how_made(data.root, features.frames)
        metrics.record_data(artifacts, data, features, tracked)
    _track_precision(backbone, data, features, tracked)

    if len(features.frames) < len(frames):  # some cannot be read
        readable = frames["path"].isin(features.frames["path"]).to_numpy()
        targets = {name: target[readable] for name, target in targets.items()}
    require_labelled(features.frames, targets, config.main_task)
    tracked.metrics(say_labelled(features.frames, targets), step=0)
    dataset = Dataset(features.vectors, targets, features.frames)
    with spent_on(MODEL):
        sweep, optimizer = current(), build(config.training).optimizer()
        quick = quick_sets(sweep.sets if sweep else (), weighting)
        sets = shared_sets(quick, weighting, optimizer, dataset.is_partial)
        model = reused(assemble(build(config.model), backbone, tasks, features.vectors.shape[1:]), sets)
    metrics.log_model(backbone, model, _report_spread(model, dataset), tracked)
    check_room(artifacts, model.n_bytes, ROOM)  # before the training, not after it
    log.info("labels before training: %s", as_text(tuple(tasks), *dataset.label_combinations("train")[:2]))
    with stages("training"):
        trace, history = _train(config, model, dataset, weighting, tracked)
    with stages("evaluation"):
        predictions = _predict(model, dataset, tasks, history)
        count("evaluation", len(predictions))
        trained, fault = dataset.trained_classes(tasks), "" if history.sound else history.diverged
        evaluated: Evaluated = build(config.evaluation).evaluate(predictions, tasks, fault, trained)
    by_events: EventEvaluated | None = None
    if events is not None:
        with stages("events"):
            judge, fps = build(config.evaluation), float(config.data.fps)
            by_events = judge_by_events(judge, predictions, tasks, events, fps, trained, fault)
            evaluated = replace(evaluated, scores=evaluated.scores | by_events.scores)
    with stages("relations"):
        related = {name: relation(trace) for name, relation in build(config.get("relations", {})).items()}
    log.info("relations: %s", metrics.cost_of_relations(history, stages.seconds["relations"]))
    with spent_on("subsets"):
        estimated = build(config.linearised).of(model, dataset, config.main_task) if history.sound else None
    with stages("record"):  # one after the other, so that a disk that fills has what went before
        with whole_artifacts(artifacts) as new:
            predictions.to_parquet(new / "predictions.parquet", index=False)
        with whole_artifacts(artifacts, model.n_bytes) as new:
            write_model(new, model, backbone, features.vectors.shape[1:], made)
        with whole_artifacts(artifacts) as new:
            _write_results(new, evaluated, related, trace, history)
            if estimated is not None:
                estimated.to_csv(new / "tables" / "linearised.csv", index=False)
            if by_events is not None and events is not None:
                write_events(new, events, by_events)
    scores, seconds = evaluated.scores, dict(stages.seconds)
    seconds["training"] += history.earlier_seconds
    objective = objective_of(config).of(best_metrics(history.best)) if history.best else None
    named = (tuple(tasks), config.main_task)
    result = Result(
        *named, scores, related, trace, predictions, objective, tracked.id, seconds, history.earlier_seconds
    )
    told = metrics.untrained_classes(tasks, trained)
    if sweep is not None:  # it draws them while its next job trains
        told |= {results.FIGURES: results.TO_BE_DRAWN}
    metrics.log_result(tracked, artifacts, result, history, features, len(predictions), told)
    if sweep is None:
        from mtl.report import run_figures

        with spent_on(FIGURES):
            count(FIGURES, run_figures.draw(artifacts))
    tracked.artifacts(artifacts)
    for table in run_tables.run_tables(result):
        report(table)
    if watch is not None:
        from mtl.profiling.of_run import profile_of_run, shown, write_profile
        from mtl.training.steps import compiled_steps

        watch.stop()
        training = build(config.training)
        profile = profile_of_run(
            watch, data.root, features, backbone.frozen, store.decode_threads, dataset,
            lambda: compiled_steps(model, weighting, training.optimizer(), training.gradients_of), training.batch_size,
            len(trace.measurement_steps),
        )  # fmt: skip
        write_profile(artifacts, profile)
        for under in ("figures", "tables"):
            tracked.artifacts(artifacts / under, under)
        for part in shown(profile):
            report(part)
    return result


def split_backbone(config: DictConfig) -> SplitBackbone:
    """The backbone at its split point; made once per process where nothing of it is trained."""
    from mtl.model.parts import split_once

    plain = plain_config(config)
    described = {key: value for key, value in plain["backbone"].items() if key != "seed"}
    if described.get("weights") == "random":
        described["seed"] = config.backbone.seed
    key = repr((described, plain["freeze"]))
    return split_once(key, lambda: build(config.backbone).split(build(config.freeze)))


def _is_whole(data: Data) -> bool:
    """Whether no frame that was found was thinned away."""
    return "frames_found" not in data.kept or bool((data.kept["frames_found"] == data.kept["frames_kept"]).all())


def _identity(config: DictConfig, data: Data, frames: Any, found: Stats) -> dict[str, str]:
    """Tags that say which run this is: who has these tags already has its numbers."""
    digest = data_digest(frames, found)
    return {"fingerprint": fingerprint(plain_config(config), digest), CODE: code_digest()[:8], DATA: digest}


def _track_precision(backbone: SplitBackbone, data: Data, features: Features, tracked: Run) -> None:
    """How near features in a lower precision are to float32 ones."""
    from mtl.features.of_data import cosine_to_float32

    tracked.tags({"features": "kept" if features.kept else "computed on every use"})
    if backbone.frozen.in_float32 is None or data.root is None:
        return
    cosine = cosine_to_float32(backbone.frozen, data.root, features)
    log.info("features in %s: cosine to float32 ones %.6f", backbone.frozen.spec["precision"], cosine)
    tracked.metrics({"features/cosine_to_float32": cosine}, step=0)


def _report_spread(model: MultiTaskModel, dataset: Dataset) -> dict[str, float]:
    """How far the training frames' features lie apart, to track; standardise them by it where that was asked for."""
    from mtl.features.spread import FITTED_ON, LOOKED_AT, spread_of

    if dataset.features.dtype == np.uint8:  # the frames themselves: the backbone has a preprocessing of its own
        return {}
    layer, train = model.standardisation, dataset.positions("train")
    spread = spread_of(dataset.features, train, FITTED_ON if layer else LOOKED_AT)
    if layer:
        layer.fit(spread.mean, spread.scale)
        constant = int(spread.is_constant.sum())
        log.info("features standardised by %d frames: %s; %d constant", spread.n_frames, spread, constant)
    if warning := spread.warning(is_standardised=layer is not None):
        log.warning(warning)
    return {"features/spread": spread.size}


def _train(
    config: DictConfig, model: MultiTaskModel, dataset: Dataset, weighting: Weighting, tracked: Run
) -> tuple[Trace, History]:
    """Train in place; every epoch is logged as it ends."""
    from mtl.tracking.metrics import log_epoch

    measurements, main_task = build(config.gradient_measurements), config.main_task

    def on_epoch(number: int, epoch: Epoch) -> None:
        log_epoch(tracked, main_task, config.training.epochs, number, epoch)

    training = build(config.training)
    with training.checkpoint.of(tracked.fingerprint, tracked.folder).held() as checkpoint:
        trained: tuple[Trace, History] = training.train(
            model, dataset, weighting, measurements, main_task, on_epoch, checkpoint
        )
    if checkpoint.n_written:
        log.info(checkpoint.text(trained[1].seconds))
    return trained


def _predict(model: MultiTaskModel, dataset: Dataset, tasks: Mapping[str, Task], history: History) -> Any:
    """The table of predictions of validation and test frames; NaN where training left nothing sound."""
    from mtl.evaluation.predictions import predictions_table
    from mtl.training import source

    chosen = np.concatenate([dataset.positions("val"), dataset.positions("test")])
    logits = source.predict(model, dataset.features, chosen)
    if not history.sound:
        logits = {name: np.full_like(each, np.nan) for name, each in logits.items()}
    targets = {name: target[chosen] for name, target in dataset.targets.items()}
    return predictions_table(dataset.frames.iloc[chosen], targets, logits, tasks)


def _write_results(
    artifacts: Path, evaluated: Evaluated, related: Mapping[str, Relation], trace: Trace, history: History
) -> None:
    """Trace, history and tables: what figures are drawn from."""
    from mtl.tracking.artifacts import write_tables, write_trace
    from mtl.tracking.metrics import history_table

    write_trace(artifacts / "trace.npz", trace)
    history_table(history).to_csv(artifacts / "history.csv")
    write_tables(artifacts / "tables", evaluated, related, trace)
