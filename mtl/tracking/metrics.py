"""What is logged of a run: parameters of the model, metrics per epoch, scores, relations, times."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl import memory
from mtl.results import DIVERGED, UNTRAINED
from mtl.tracked_numbers import chosen
from mtl.tracking.epoch_metrics import best_metrics, epoch_metrics

if TYPE_CHECKING:
    from mtl.data.feature_files import FeatureFiles
    from mtl.data.related_tasks import RelatedTasks
    from mtl.data.ucf_crime import UCFCrime
    from mtl.data.ucf_crime_videos import UCFCrimeVideos
    from mtl.features.features import Features
    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import SplitBackbone
    from mtl.results import Result, Score
    from mtl.tasks import Task
    from mtl.tracking.run import Run
    from mtl.training.history import Epoch, History

    Data = UCFCrime | UCFCrimeVideos | RelatedTasks | FeatureFiles

log = logging.getLogger(__name__)


def cost_of_relations(history: History, measures: float) -> str:
    """What the relations took, beside the training steps; the first measurement apart, because it compiles.

    Parameters
    ----------
    history : History
    measures : float
        Seconds from the trace to the relations.
    """
    steps = max(history.seconds, 1e-9)
    later = history.measurement_seconds - history.first_measurement_seconds
    return (
        f"{history.measurement_seconds + measures:.1f} s, "
        f"{(history.measurement_seconds + measures) / steps:.0%} of the {history.seconds:.1f} s of training steps: "
        f"the first measurement, which compiles, "
        f"{history.first_measurement_seconds:.1f} s, the other measurements {later:.1f} s ({later / steps:.0%}), "
        f"measures {measures:.1f} s"
    )


def log_data(data: Data, frames: Any) -> None:
    """How many frames of how many videos there are."""
    by_split = frames.groupby("split", observed=True)["video"].agg(["size", "nunique"])
    counted = ", ".join(
        f"{split} {row['size']:,} frames of {row['nunique']:,} videos" for split, row in by_split.iterrows()
    )
    log.info("data %s: %s", data.name, counted)


def record_data(artifacts: Path, data: Data, features: Features, tracked: Run) -> None:
    """Versions of packages, frame counts, annotation files and bad frames; the dataset as the run's input."""
    from mtl.tracking.artifacts import table_digest, whole_artifacts, write_annotations, write_json
    from mtl.tracking.provenance import package_versions

    with whole_artifacts(artifacts) as new:
        write_json(new / "packages.json", package_versions())
        data.kept.to_csv(new / "frame_counts.csv")
        by_video = features.frames.groupby(["split", "video"], observed=True).size().rename("frames")
        by_video.reset_index().to_csv(new / "videos.csv", index=False)
        for split in ("train", "val", "test"):
            write_annotations(new / f"{split}_annotations.txt", features.frames, split)
        data.skipped.to_csv(new / "skipped_files.csv", index=False)
        features.bad.to_csv(new / "bad_frames.csv", index=False)
    if len(features.bad):
        log.warning("%d frames are left out; %s says why.", len(features.bad), artifacts / "bad_frames.csv")
    at_test = (features.frames["split"] == "test").to_numpy()
    for context, rows in (("train", ~at_test), ("test", at_test)):
        part = features.frames[rows]
        counts = part.groupby(["split", "class_name"], observed=True).size()
        profile = {str(place): int(n) for place, n in counts.to_dict().items()}
        tracked.dataset(data.name, table_digest(part), str(data.root or data.name), profile, context)  # type: ignore[arg-type]


def log_model(backbone: SplitBackbone, model: MultiTaskModel, more: Mapping[str, float], tracked: Run) -> None:
    """Where the backbone is, and how many parameters are trained; `more` metrics of the start with them."""
    from mtl.model.parts import n_parameters

    shared, heads = n_parameters(model.shared_variables), n_parameters(model.head_variables)
    log.info(
        "model: split %s; %s parameters frozen, %s trained and shared, %s in %d heads; backbone in %s, batches of %d",
        backbone.split_point, f"{backbone.n_frozen:,}", f"{shared:,}", f"{heads:,}", len(model.heads),
        backbone.precision, backbone.frozen.batch_size,
    )  # fmt: skip
    tracked.params({"split_point": backbone.split_point, "precision": backbone.precision})
    counts = {"parameters/frozen": backbone.n_frozen, "parameters/shared": shared, "parameters/heads": heads}
    tracked.metrics({**counts, **more}, step=0)  # one call: each costs the store a transaction


def log_epoch(tracked: Run, main_task: str, epochs: int, number: int, epoch: Epoch) -> None:
    """One line and one set of metrics per epoch, whose number counts from 0."""
    losses = ", ".join(f"{task} {loss:.3f}" for task, loss in zip(epoch.tasks, epoch.train_losses, strict=True))
    auc, weighted = epoch.val_auc(main_task), epoch.weighted_val_auc(main_task)
    judged = f"; val AUC of {main_task} {auc:.3f}, each video counting alike {weighted:.3f}"
    log.info("epoch %d/%d: train loss %s%s", number + 1, epochs, losses, "" if np.isnan(auc) else judged)
    tracked.metrics(chosen(epoch_metrics(epoch), main_task), step=number + 1)


def history_table(history: History) -> Any:
    """The history as a table, one row per epoch counted from 1."""
    import pandas as pd

    numbers = pd.RangeIndex(1, len(history.epochs) + 1, name="epoch")
    return pd.DataFrame([epoch_metrics(epoch) for epoch in history.epochs], index=numbers)


def log_result(
    tracked: Run,
    artifacts: Path,
    result: Result,
    history: History,
    features: Features,
    n_predicted: int,
    tags: Mapping[str, str],
) -> None:
    """Scores, relations and times: all as a table, those that people compare as metrics; why others are undefined.

    `tags` are what else is told of the run, in the same call.
    """
    from mtl.results import tracked_values
    from mtl.tracking.artifacts import whole_artifacts
    from mtl.tracking.metrics_table import METRICS_TABLE, TABLED, write_metrics

    metrics, reasons = score_metrics(result.scores)
    for name, relation in result.relations.items():
        values = tracked_values(name, relation, result.tasks)
        metrics |= values
        reasons |= {key: relation.reason for key, value in values.items() if np.isnan(value)}
    metrics |= {f"time/{stage}_s": seconds for stage, seconds in result.seconds.items()}
    metrics |= {"time/steps_s": history.seconds, "time/gradient_measurements_s": history.measurement_seconds}
    if history.checkpoint_seconds:
        metrics["time/checkpoints_s"] = history.checkpoint_seconds
    steps = max(history.seconds, 1e-9)
    metrics |= {
        "time/first_gradient_measurement_s": history.first_measurement_seconds,
        "time_share/gradient_measurements": history.measurement_seconds / steps,
    }
    metrics |= {"time_share/relations": (history.measurement_seconds + result.seconds["relations"]) / steps}
    rates = {
        "features": features.computed / result.seconds["features"],
        "training": trained_frames(result, history) / max(history.seconds, 1e-9),
        "evaluation": n_predicted / result.seconds["evaluation"],
    }
    metrics |= {f"frames_per_s/{stage}": rate for stage, rate in rates.items() if rate}
    metrics |= {"features/computed": features.forwards}
    metrics |= {"memory/peak_mib": memory.peak_mib()} | (
        {"epoch/best": history.best_epoch + 1} if history.sound else {}
    )
    at_best = best_metrics(history.best or history.epochs[-1])
    if history.best is None:
        at_best = dict.fromkeys(at_best, float("nan"))
        reasons |= dict.fromkeys(at_best, history.diverged)
    reasons |= {name: "undefined on validation" for name, value in at_best.items() if np.isnan(value)} | reasons
    metrics |= at_best
    tracked.undefined(reasons)
    known = {name: value for name, value in metrics.items() if name not in reasons}
    with whole_artifacts(artifacts) as new:
        write_metrics(new, known)
    # at step 0 MLflow draws one bar per run, at any later step a lone dot
    tracked.metrics(chosen(known, result.main_task), step=0)
    diverged = {DIVERGED: history.diverged} if history.diverged else {}
    tracked.tags({TABLED: METRICS_TABLE, **diverged, **tags})


def score_metrics(scores: Mapping[str, Score]) -> tuple[dict[str, float], dict[str, str]]:
    """Scores and the ends of their intervals by tracked name, and the reason of each that is undefined."""
    metrics: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for name, score in scores.items():
        metrics[name] = score.value
        if np.isnan(score.value):
            reasons[name] = score.reason
        if np.isfinite(score.low):
            prefix, _, task = name.partition("/")
            metrics |= {f"{prefix}_low/{task}": score.low, f"{prefix}_high/{task}": score.high}
    return metrics, reasons


def trained_classes(tasks: Mapping[str, Task], tags: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Per task which classes were trained, by the tag that `untrained_classes` gave."""
    untrained = json.loads(tags.get(UNTRAINED, "{}"))
    return {
        name: np.array([each not in untrained.get(name, ()) for each in task.classes]) for name, task in tasks.items()
    }


def untrained_classes(tasks: Mapping[str, Task], trained: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The tag that says which classes of which task were never trained; none where all were."""
    found = {
        name: [each for each, trains in zip(task.classes, trained[name], strict=True) if not trains]
        for name, task in tasks.items()
        if not trained[name].all()
    }
    return {UNTRAINED: json.dumps(found)} if found else {}


def trained_frames(result: Result, history: History) -> float:
    """Frames that went through a training step, up to the last epoch."""
    return len(result.trace.losses) * float(history.batch_size)
