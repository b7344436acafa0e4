"""One run, from config to Result: the page to read first."""

from __future__ import annotations

import logging
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl import jobs, memory, schema
from mtl.fingerprint import code_digest, data_key, fingerprint
from mtl.journal import CODE, DATA, JOB
from mtl.mistakes import Mistake, nearest
from mtl.terminal import progress, quiet, show

if TYPE_CHECKING:
    from mtl.backbone import Cut, Frozen
    from mtl.data.related_tasks import RelatedTasks
    from mtl.data.ucf_crime import UCFCrime
    from mtl.evaluation import Evaluated
    from mtl.features import Features, Stats
    from mtl.model import MultiTaskModel
    from mtl.tasks import Task
    from mtl.trace import Result
    from mtl.tracking import MLflowTracking, Run, TrackedRun
    from mtl.training import History

    Data = UCFCrime | RelatedTasks

log = logging.getLogger(__name__)

GIVEN = {  # what the code hands to a constructor beside its config
    "model": frozenset({"trained", "n_features", "tasks"}),
    "weighting": frozenset({"tasks"}),
    "relations": frozenset({"trace"}),
}
# what a person varies is a parameter; where things lie and how they are named is not
NOT_PARAMETERS = ("tracking", "features", "hydra", "rerun", "dry_run", "stop_after")
# of a reused run: what tables are made from; its weights stay with the run that made them
REUSED_ARTIFACTS = ("predictions.parquet", "history.csv", "trace.npz", "model.json")

COSINE, COMPARED = "cosine_to_float32", 32  # frames whose rows are computed in float32 too


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
    sweep = jobs.current()
    name, tags = run_name(choices, words, sweep.common if sweep else ()), {"tasks": str(choices.get("tasks"))}
    if sweep is not None:
        tags |= {JOB: str(hydra.job.num)}
    try:
        check_switches(config)
        if sweep is not None:
            jobs.check_worth_it(sweep, config.stop_after)
        check(config)
        if sweep is None and config.dry_run:
            show(f"would run: {name}")
            return float("nan")
        with jobs.turn(sweep):
            tracking = build(config.tracking)
            tracking.prepare()
            parent = sweep.parent or None if sweep else None
            before = None if sweep is None or config.rerun else _done_before(config, sweep, tracking)
            if before is not None:
                reused = _reuse(config, choices, before, tracking, parent, folder, name, tags)
                if reused is not None:
                    return reused
            if sweep is not None and not sweep.trains:
                raise jobs.UntrainedError("What was done before is gone: the job needs a process of its own.")
            tracked = tracking.start(name, folder, parent, tags)
            with _closing(tracked, folder):
                result = _experiment(config, choices, words, tracked, folder / "artifacts")
                spent = {"time/tracking_s": tracking.seconds, "time/run_s": time.perf_counter() - began}
                tracked.metrics(spent, step=0)
            memory.give_back()  # else fifty jobs of a process would each leave holes that the next cannot use
    except Exception as error:
        is_new = sweep is not None and not isinstance(error, jobs.StoppedError)
        if sweep is not None and is_new and jobs.read_job(folder) is None:  # found before the run was opened
            track_failure(config, folder, name, tags, sweep.parent, one_line(error), traceback.format_exc())
        raise
    for line in [] if sweep else tracking.where_to_look([tracked.id], f"auc/{config.main_task}"):
        show(line)
    return result.scores[f"auc/{config.main_task}"].value


def _done_before(config: DictConfig, sweep: jobs.Sweep, tracking: MLflowTracking) -> TrackedRun | None:
    """A finished run of the store that must have given what this job would give."""
    plain = plain_config(config)
    digest = sweep.digests.get(data_key(plain))
    return finished_before(tracking, fingerprint(plain, digest)) if digest else None


def finished_runs(tracking: MLflowTracking) -> list[TrackedRun]:
    """Finished runs that were trained themselves, first started first; none without a store."""
    try:
        found = tracking.runs(status="FINISHED")
    except Mistake:  # a store that does not answer is spoken of when the run starts
        return []
    return [run for run in found if jobs.REUSED_FROM not in run.tags and run.tags.get("sweep") != "parent"]


def finished_before(tracking: MLflowTracking, mark: str) -> TrackedRun | None:
    """The last finished run of this fingerprint that was trained itself; None without one, or without a store."""
    try:
        found = tracking.runs(tags={"fingerprint": mark}, status="FINISHED")
    except Mistake:  # a store that does not answer is spoken of when the run starts
        return None
    return next((run for run in reversed(found) if jobs.REUSED_FROM not in run.tags), None)


def _reuse(
    config: DictConfig,
    choices: Mapping[str, Any],
    before: TrackedRun,
    tracking: MLflowTracking,
    parent: str | None,
    folder: Path,
    name: str,
    tags: Mapping[str, str],
) -> float | None:
    """A row of this sweep with the numbers of a finished run; None where that run's predictions are gone.

    The row is a run of its own below the sweep's parent: parameters, last metrics
    and the artifacts that tables are made from; tag `reused_from` is the id of the
    run that was trained, which stays as it is and keeps the weights.
    """
    artifacts = folder / "artifacts"
    try:
        for each in REUSED_ARTIFACTS:
            artifacts.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tracking.download(before.id, each), artifacts / each)
    except (Mistake, OSError):
        log.warning("Run %s is done already, but its artifacts are gone: it is run again.", before.id)
        return None
    kept = {key: before.tags[key] for key in ("fingerprint", CODE, DATA, "undefined", "diverged") if key in before.tags}
    tracked = tracking.start(name, folder, parent, {**tags, **kept, jobs.REUSED_FROM: before.id})
    with _closing(tracked, folder):
        found = {key: before.params[key] for key in ("cut", "precision") if key in before.params}
        tracked.params(parameters(config, choices) | found)
        tracked.metrics(before.metrics, step=0)
        tracked.text(f"Not trained again: the numbers are those of run `{before.id}`, which has the same fingerprint.")
        OmegaConf.save(config, artifacts / "config.yaml", resolve=True)
        tracked.artifacts(artifacts)
    log.info("done already: reused from run %s", before.id)
    return before.metrics.get(f"auc/{config.main_task}", float("nan"))


def data_digest(frames: Any, root: Path | None, found: Stats | None = None) -> str:
    """What tells one set of frames from another wherever it lies: the frame table, and each file's size."""
    import hashlib

    from mtl.features import stats
    from mtl.record import table_digest

    hashed = hashlib.blake2b(table_digest(frames).encode(), digest_size=16)
    hashed.update((found or stats(root, frames["path"])).sizes.tobytes())
    return hashed.hexdigest()


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

        from mtl import record, report, training
        from mtl.examples import Examples
        from mtl.features import stats
        from mtl.model import reused
        from mtl.plots import rendering
        from mtl.relations.labels import in_words
        from mtl.trace import Result

        cut = frozen_once(config)
        keras.utils.set_random_seed(config.seed)
        weighting = build(config.weighting, tasks=tuple(tasks))
    with stages("index"):
        frames = data.frames()
        _log_data(data, frames)
        found = stats(data.root, frames["path"])
        digest = data_digest(frames, data.root, found)
        mark = fingerprint(plain_config(config), digest)
        tracked.tags({"fingerprint": mark, CODE: code_digest()[:8], DATA: digest})
    with stages("features"):
        features = _features(config, data, frames, cut, found)
    frames = features.frames
    tracked.tags({"features": "kept" if features.kept else "computed on every use"})
    _check_splits(frames)
    record.write_json(artifacts / "packages.json", record.package_versions())
    _record_data(artifacts, data, features, tracked)
    if cut.frozen.in_float32 is not None and data.root is not None:
        cosine = _cosine_to_float32(cut.frozen, data.root, features)
        log.info("features in %s: cosine to float32 ones %.6f", cut.frozen.spec["precision"], cosine)
        tracked.metrics({"features/cosine_to_float32": cosine}, step=0)

    targets = {name: task.targets(frames) for name, task in tasks.items()}
    examples = Examples(features.rows, targets, frames)
    model = reused(build_model(config, cut, tasks, features.rows.shape[1:]))
    _log_model(cut, model, tracked)
    log.info("labels before training: %s", in_words(tuple(tasks), *examples.label_combinations("train")[:2]))
    with stages("training"):
        trace, history = build(config.training).train(
            model,
            examples,
            weighting,
            build(config.probes),
            config.main_task,
            lambda epoch, row: _log_epoch(tracked, config, epoch, row),
        )
    with stages("evaluation"):
        test = examples.positions("test")
        logits = training.predict(model, features.rows, test)
        at_test = {name: target[test] for name, target in targets.items()}
        predictions = record.predictions_table(frames.iloc[test], at_test, logits, tasks)
        evaluated: Evaluated = build(config.evaluation).evaluate(predictions, tasks)
    with stages("relations"):
        related = {name: relation(trace) for name, relation in build(config.get("relations", {})).items()}
    log.info("relations: %s", cost_of_relations(history, stages.seconds["relations"]))

    with stages("record"):
        predictions.to_parquet(artifacts / "predictions.parquet", index=False)
        record.write_weights(artifacts / "weights.npz", model.get_weights())
        described = {"features": features.rows.shape[1:], "frozen": cut.frozen.spec, "precision": cut.precision}
        record.write_json(artifacts / "model.json", described)
        record.write_trace(artifacts / "trace.npz", trace)
        table = history_table(history)
        table.to_csv(artifacts / "history.csv")
        record.write_tables(artifacts / "tables", evaluated, related, trace)
        figures = record.figures(evaluated, related, trace, table, history.chosen + 1)
        rendering.write_pngs(artifacts / "figures", figures)
    result = Result(
        tuple(tasks), config.main_task, evaluated.scores, related, trace, predictions, tracked.id, dict(stages.seconds)
    )
    _log_result(tracked, result, history, features, len(test))
    tracked.artifacts(artifacts)
    for shown in report.run_tables(result):
        show(shown)
    return result


def cost_of_relations(history: History, measures: float) -> str:
    """What the relations took, beside the training steps; the first probe apart, because it compiles.

    Parameters
    ----------
    history : History
    measures : float
        Seconds from the trace to the relations.
    """
    steps = max(history.seconds, 1e-9)
    later = history.probe_seconds - history.first_probe_seconds
    return (
        f"{history.probe_seconds + measures:.1f} s, {(history.probe_seconds + measures) / steps:.0%} of the "
        f"{history.seconds:.1f} s of training steps: the first probe, which compiles, "
        f"{history.first_probe_seconds:.1f} s, the other probes {later:.1f} s ({later / steps:.0%}), "
        f"measures {measures:.1f} s"
    )


def check(config: DictConfig) -> None:
    """Find a user's mistakes before anything heavy is imported.

    Raises
    ------
    Mistake
        For a missing value, an unknown key or task, a value of the wrong type or
        out of range, data that are not there, a weight for a task that is not in
        the set.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise Mistake(f"{missing[0]} is not set. Right would be: {missing[0]}=VALUE on the command line.")
    plain = plain_config(config)
    known = {line.split(":")[0] for line in _primary_lines()}
    for key in plain:
        if key not in known:
            raise Mistake(f"{key}: there is no such key. {nearest(str(key), known)}")
    if not isinstance(plain["seed"], int) or isinstance(plain["seed"], bool) or plain["seed"] < 0:
        raise Mistake(f"seed: should be a whole number from 0 on, found {plain['seed']!r}.")
    for path, node in schema.nodes("", plain):
        schema.check_node(path, node, GIVEN.get(path.split(".")[0], frozenset()))
    _check_members("tasks", plain.get("tasks"))
    if "relations" in plain:  # relations=[] leaves no such key
        _check_members("relations", plain["relations"])
    if config.main_task not in plain["tasks"]:
        raise Mistake(
            f"main_task: '{config.main_task}' is not in the task set. {nearest(config.main_task, plain['tasks'])}"
        )
    data: Data = build(config.data)
    for name, task in build(config.tasks).items():
        try:
            task.check(data.classes)
        except Mistake as mistake:
            raise Mistake(f"Task '{name}' {mistake}") from None
    data.check()
    with quiet():
        # weightings that check their input in words do so without TensorFlow; the others need it anyway
        build(config.weighting, tasks=tuple(plain["tasks"]))


def check_switches(config: DictConfig) -> None:
    """Raise `Mistake` where a switch of the sweep is none."""
    for key in ("rerun", "dry_run"):
        if not isinstance(config[key], bool):
            raise Mistake(f"{key}: should be true or false, found {config[key]!r}.")
    stop = config.stop_after
    if stop is not None and (not isinstance(stop, int) or isinstance(stop, bool) or stop < 1):
        raise Mistake(f"stop_after: should be a whole number from 1 on or null, found {stop!r}.")


def build(node: DictConfig, **given: Any) -> Any:
    """The object a config node describes; a mistake its constructor finds comes out as it is.

    Parameters
    ----------
    node : DictConfig
        With a `_target_`, or holding nodes that have one.
    **given
        What the code hands to the constructor beside the config.
    """
    try:
        return instantiate(node, **given)
    except InstantiationException as error:
        if isinstance(error.__cause__, Mistake):
            raise error.__cause__ from None
        raise


def plain_config(config: DictConfig) -> dict[str, Any]:
    """The config as plain containers, interpolations resolved; what cannot be resolved is a mistake."""
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise Mistake(" ".join(str(error).split())) from error
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}


def _primary_lines() -> Iterator[str]:
    """Keys that `conf/config.yaml` itself sets, and the groups it composes."""
    conf = Path(__file__).resolve().parents[1] / "conf"
    for line in (conf / "config.yaml").read_text(encoding="utf-8").splitlines():
        if line[:1].isalpha() and not line.startswith(("defaults:", "hydra:")):
            yield line
    yield from (f"{folder.name}:" for folder in conf.iterdir() if folder.is_dir() and folder.name not in ("task",))


def _check_members(group: str, members: object) -> None:
    """A group whose members go by name holds nothing but nodes with a target."""
    if not isinstance(members, Mapping) or not members:
        raise Mistake(f"{group}: nothing is in it; right would be a set of conf/{group}/.")
    for name, member in members.items():
        if not isinstance(member, Mapping) or "_target_" not in member:
            raise Mistake(
                f"{group}.{name}: has no _target_, found {member!r}. {nearest(str(name), set(members) - {name})}"
            )


def parameters(config: DictConfig, choices: Mapping[str, Any]) -> dict[str, Any]:
    """What a person would vary, flattened; the choice of each group; one flag per task."""

    def flatten(prefix: str, value: object) -> Iterator[tuple[str, object]]:
        if isinstance(value, Mapping) and value:
            for key, inner in value.items():
                if not str(key).startswith("_"):
                    yield from flatten(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            yield prefix, value

    plain = {key: value for key, value in plain_config(config).items() if key not in NOT_PARAMETERS}
    chosen = {group: choices[group] for group in plain if isinstance(choices.get(group), str)}
    flags = {f"task.{name}": int(name in plain["tasks"]) for name in _task_names()}
    return dict(flatten("", plain)) | chosen | flags


def _task_names() -> list[str]:
    """Every task that `conf/task/` has."""
    return sorted(path.stem for path in (Path(__file__).resolve().parents[1] / "conf" / "task").glob("*.yaml"))


def run_name(choices: Mapping[str, Any], words: Sequence[str], common: Sequence[str] = ()) -> str:
    """The task set, then what else the command line set, what tells this run from its neighbours first.

    Parameters
    ----------
    choices : mapping
    words : sequence of str
        Overrides.
    common : sequence of str
        Those that all jobs of the sweep have.
    """
    silent = ("tasks=", "data.root=", "tracking", "dry_run=", "rerun=", "stop_after=")
    others = [word for word in words if not word.startswith(silent)]
    return " ".join([str(choices.get("tasks")), *sorted(others, key=lambda word: (word in common, word))])[:250]


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


@contextmanager
def _closing(tracked: Run, folder: Path) -> Iterator[None]:
    """Close the tracked run truthfully, whichever way the block is left."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        tracked.tags({"failure": "interrupted"})
        tracked.end("KILLED")
        raise
    except BaseException as error:
        _keep_failure(tracked, folder, one_line(error), traceback.format_exc())
        tracked.end("FAILED")
        raise
    tracked.end("FINISHED")


def _keep_failure(tracked: Run, folder: Path, reason: str, details: str) -> None:
    """The reason as a tag, and what is known beyond one line as an artifact."""
    failure = folder / "failure"
    failure.mkdir(parents=True, exist_ok=True)
    (failure / "traceback.txt").write_text(details, encoding="utf-8")
    tracked.tags({"failure": reason})
    tracked.artifacts(failure)


def one_line(error: BaseException) -> str:
    """An exception's kind and message in one line; a mistake's message alone."""
    text = " ".join(str(error).split())
    return text if isinstance(error, Mistake) else f"{type(error).__name__}: {text}"


def track_failure(
    config: DictConfig,
    folder: Path,
    name: str,
    tags: Mapping[str, str],
    parent: str,
    reason: str,
    details: str,
) -> None:
    """Make a job that was refused, or that died without a word, a row with the reason.

    Parameters
    ----------
    config : DictConfig
    folder : Path
        Of the job; a record that its dead process left there is continued.
    name : str
    tags : mapping of str to str
    parent : str
        Id of the sweep's own run, or empty.
    reason : str
        One line.
    details : str
        The traceback, or of a job that died the end of what it wrote.
    """
    left = jobs.read_job(folder)
    if left is not None:
        tags = {**tags, **{key: left.tags[key] for key in ("fingerprint",) if key in left.tags}}
    try:
        tracked = build(config.tracking).start(name, folder, parent or None, tags)
        _keep_failure(tracked, folder, reason, details)
        tracked.end("FAILED")
    except (Mistake, OmegaConfBaseException):
        log.warning("The failed job could not be tracked.")


def _features(config: DictConfig, data: Data, frames: Any, cut: Cut, found: Stats) -> Features:
    """Rows of the frozen part for every frame; what is on disk already is not computed again."""
    from contextlib import ExitStack

    rows = data.rows()
    if cut.frozen.takes == "rows" and rows is None:
        raise Mistake(f"data={data.name} gives frames, the backbone takes rows; right would be another backbone.")
    if cut.frozen.takes == "frames" and rows is not None:
        raise Mistake(f"data={data.name} gives rows, the backbone takes frames; right would be backbone=none.")
    if rows is not None:
        from mtl.features import given

        return given(frames, rows)
    with ExitStack() as stack:
        bar: list[Any] = []

        def start(total: int) -> None:
            bar.append(stack.enter_context(progress("frames -> rows", total, "frames")))

        def advance(n: int) -> None:
            bar[0](n)

        return build(config.features).of(frames, data.root, cut.frozen, progress=advance, on_start=start, found=found)


_frozen: dict[str, Cut] = {}


def frozen_once(config: DictConfig) -> Cut:
    """The backbone, taken apart; one of which nothing is trained is kept for the next job of the process."""
    plain = plain_config(config)
    backbone = {key: value for key, value in plain["backbone"].items() if key != "seed"}
    if backbone.get("weights") == "random":
        backbone["seed"] = config.backbone.seed
    key = repr((backbone, plain["freeze"]))
    if key in _frozen:
        return _frozen[key]
    cut: Cut = build(config.backbone).cut(build(config.freeze))
    if not cut.n_trained:
        _frozen.clear()  # one at a time: it may be large
        _frozen[key] = cut
    return cut


def _cosine_to_float32(frozen: Frozen, root: Path, features: Features) -> float:
    """Mean cosine to float32 rows of frames from all over the table, of one size; measured once per archive."""
    from mtl.backbone import cosine_to_float32
    from mtl.data.frames import read_frame

    assert features.archive is not None  # what is computed has a place
    known = features.archive.noted(COSINE)
    if known is not None:
        return known
    at = np.unique(np.linspace(0, len(features.frames) - 1, min(COMPARED, frozen.batch_size)).astype(int))
    images = [read_frame(root, path) for path in features.frames["path"].iloc[at]]
    same = [i for i, image in enumerate(images) if image.shape == images[0].shape]
    cosine = cosine_to_float32(frozen, np.stack([images[i] for i in same]), features.rows.take(at[same]))
    features.archive.note(COSINE, cosine)
    return cosine


def build_model(config: DictConfig, cut: Cut, tasks: Mapping[str, Task], row_shape: tuple[int, ...]) -> MultiTaskModel:
    """The model on rows of this shape."""
    import tensorflow as tf

    n_features = int(cut.trained(tf.zeros((1, *row_shape)), training=False).shape[-1])
    return build(config.model)(trained=cut.trained, n_features=n_features, tasks=tasks)


def _check_splits(frames: Any) -> None:
    """Training needs frames to train on, and to judge by."""
    counts = frames["split"].value_counts()
    for split in ("train", "val", "test"):
        if not counts.get(split, 0):
            raise Mistake(f"Split '{split}' has no frame left; right would be a lower data.every or higher data.max_*.")


def _log_data(data: Data, frames: Any) -> None:
    """How many frames of how many videos there are."""
    by_split = frames.groupby("split", observed=True)["video"].agg(["size", "nunique"])
    counted = ", ".join(
        f"{split} {row['size']:,} frames of {row['nunique']:,} videos" for split, row in by_split.iterrows()
    )
    log.info("data %s: %s", data.name, counted)


def _record_data(artifacts: Path, data: Data, features: Features, tracked: Run) -> None:
    """Frame counts, annotation files and bad frames; the data set as the run's input."""
    from mtl.record import table_digest, write_annotations

    data.kept.to_csv(artifacts / "frame_counts.csv")
    for split in ("train", "val", "test"):
        write_annotations(artifacts / f"{split}_annotations.txt", features.frames, split)
    data.skipped.to_csv(artifacts / "skipped_files.csv", index=False)
    features.bad.to_csv(artifacts / "bad_frames.csv", index=False)
    if len(features.bad):
        log.warning("%d frames are left out; %s says why.", len(features.bad), artifacts / "bad_frames.csv")
    at_test = (features.frames["split"] == "test").to_numpy()
    for context, chosen in (("train", ~at_test), ("test", at_test)):
        part = features.frames[chosen]
        counts = part.groupby(["split", "class_name"], observed=True).size()
        profile = {str(place): int(n) for place, n in counts.to_dict().items()}
        tracked.dataset(data.name, table_digest(part), str(data.root or data.name), profile, context)  # type: ignore[arg-type]


def _log_model(cut: Cut, model: MultiTaskModel, tracked: Run) -> None:
    """Where the cut is, and how many parameters are trained."""
    from mtl.model import n_trained

    shared, heads = n_trained(model.shared_variables), n_trained(model.head_variables)
    log.info(
        "model: cut %s; %s parameters frozen, %s trained and shared, %s in %d heads; backbone in %s, batches of %d",
        cut.where, f"{cut.n_frozen:,}", f"{shared:,}", f"{heads:,}", len(model.heads), cut.precision,
        cut.frozen.batch_size,
    )  # fmt: skip
    tracked.params({"cut": cut.where, "precision": cut.precision})
    tracked.metrics({"parameters/frozen": cut.n_frozen, "parameters/shared": shared, "parameters/heads": heads}, step=0)


def _log_epoch(tracked: Run, config: DictConfig, epoch: int, row: Mapping[str, float]) -> None:
    """One line and one set of metrics per epoch."""
    main = config.main_task
    log.info(
        "epoch %d/%d: train loss %s; val AUC of %s %.3f",
        epoch + 1,
        config.training.epochs,
        ", ".join(
            f"{key.partition('/')[2]} {value:.3f}" for key, value in row.items() if key.startswith("train_loss/")
        ),
        main,
        row[f"val_auc/{main}"],
    )
    tracked.metrics(row, step=epoch + 1)


def history_table(history: History) -> Any:
    """The history as a table, one row per epoch counted from 1."""
    import pandas as pd

    return pd.DataFrame(history.epochs, index=pd.RangeIndex(1, len(history.epochs) + 1, name="epoch"))


def _log_result(
    tracked: Run,
    result: Result,
    history: History,
    features: Features,
    n_test: int,
) -> None:
    """Scores, relations and times as metrics; what is undefined with its reason."""
    from mtl.trace import tracked_values

    metrics: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for name, score in result.scores.items():
        metrics[name] = score.value
        if np.isnan(score.value):
            reasons[name] = score.reason
        if np.isfinite(score.low):
            prefix, _, task = name.partition("/")
            metrics |= {f"{prefix}_low/{task}": score.low, f"{prefix}_high/{task}": score.high}
    for name, relation in result.relations.items():
        values = tracked_values(name, relation, result.tasks)
        metrics |= values
        reasons |= {key: relation.reason for key, value in values.items() if np.isnan(value)}
    metrics |= {f"time/{stage}_s": seconds for stage, seconds in result.seconds.items()}
    metrics |= {"time/steps_s": history.seconds, "time/probes_s": history.probe_seconds}
    steps = max(history.seconds, 1e-9)
    metrics |= {"time/first_probe_s": history.first_probe_seconds, "time_share/probes": history.probe_seconds / steps}
    metrics |= {"time_share/relations": (history.probe_seconds + result.seconds["relations"]) / steps}
    rates = {
        "features": features.computed / result.seconds["features"],
        "training": trained_frames(result, history) / max(history.seconds, 1e-9),
        "evaluation": n_test / result.seconds["evaluation"],
    }
    metrics |= {f"frames_per_s/{stage}": rate for stage, rate in rates.items() if rate}
    metrics |= {"features/computed": features.forwards}
    metrics |= {"memory/peak_mib": memory.peak_mib(), "epoch/chosen": history.chosen + 1}
    tracked.undefined(reasons)
    # at step 0 MLflow draws one bar per run, at any later step a lone dot
    tracked.metrics({name: value for name, value in metrics.items() if name not in reasons}, step=0)
    if history.diverged:
        tracked.tags({"diverged": history.diverged})


def trained_frames(result: Result, history: History) -> float:
    """Frames that went through a training step, up to the last epoch."""
    return len(result.trace.losses) * float(history.batch_size)


@dataclass(frozen=True)
class LoadedRun:
    """A finished run, to be used on new frames.

    Attributes
    ----------
    config : DictConfig
    tasks : mapping of str to Task
    cut : Cut
    model : MultiTaskModel
    """

    config: DictConfig
    tasks: Mapping[str, Task]
    cut: Cut
    model: MultiTaskModel

    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities by task name.

        Parameters
        ----------
        frames : ndarray of uint8, shape (n, height, width, 3)
            RGB, as `mtl.data.frames.read_frame` gives them; rows of features (n, d)
            where the run had no backbone.

        Returns
        -------
        dict of str to ndarray of shape (n, n_columns)
            Columns in the order of the task's `columns`.
        """
        if self.cut.frozen.takes == "rows":
            if frames.ndim != 2 or frames.shape[1] != self.model.n_features:
                raise Mistake(f"rows must be (n, {self.model.n_features}), found {frames.shape}.")
        elif frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise Mistake(f"frames must be uint8 (n, height, width, 3), found {frames.dtype} {frames.shape}.")
        size = self.cut.frozen.batch_size
        blocks = [
            self.model(self.cut.frozen(frames[i : i + size]), training=False) for i in range(0, len(frames), size)
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
    Mistake
        If there is no such run, or the backbone's weights are no longer the ones it had.
    """
    from mtl.tracking import MLflowTracking

    tracking = tracking or MLflowTracking("sqlite:///mlflow.db", "mtl", None, timeout_s=10.0)
    run_id = tracking.run(run_id).tags.get(jobs.REUSED_FROM, run_id)
    with quiet():
        import json

        from mtl import record

        config = OmegaConf.load(tracking.download(run_id, "config.yaml"))
        stored = json.loads(tracking.download(run_id, "model.json").read_text(encoding="utf-8"))
        assert isinstance(config, DictConfig)
        if stored["frozen"]["backbone"] is None:
            config.backbone.weights = "random"  # nothing of it is frozen: all of it was tracked
        if "precision" in stored and "precision" in config.backbone:  # "auto" may be another one here
            config.backbone.precision = stored["precision"]
        cut: Cut = build(config.backbone).cut(build(config.freeze))
    for key in ("architecture", "weights"):
        if stored["frozen"].get(key) != cut.frozen.spec.get(key):
            raise Mistake(
                f"Run {run_id} was made with another backbone: its {key} has digest {stored['frozen'].get(key)}, "
                f"found {cut.frozen.spec.get(key)}; right would be the weights file it was made with."
            )
    tasks = build(config.tasks)
    model = build_model(config, cut, tasks, tuple(stored["features"]))
    model.set_weights(record.read_weights(tracking.download(run_id, "weights.npz")))
    return LoadedRun(config, tasks, cut, model)
