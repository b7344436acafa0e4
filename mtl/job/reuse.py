"""A finished run with the same fingerprint gives its numbers to a job."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mtl.config.build import build, plain_config
from mtl.config.request import RunRequest
from mtl.errors import UserError
from mtl.job.context import SweepContext
from mtl.job.failure import closing_run
from mtl.job.fingerprint import data_key, fingerprint
from mtl.job.record import REUSED_FROM
from mtl.results import CODE, DATA, DIVERGED, UNTRAINED, is_event_score

if TYPE_CHECKING:
    from mtl.results import TrackedRun
    from mtl.tracking.mlflow_tracking import MLflowTracking

log = logging.getLogger(__name__)

# of a reused run: what tables are made from; its weights stay with the run that made them
REUSED_ARTIFACTS = ("predictions.parquet", "history.csv", "trace.npz", "model.json")


def done_before(config: DictConfig, sweep: SweepContext, tracking: MLflowTracking) -> TrackedRun | None:
    """A finished run of the store that must have given what this job would give."""
    plain = plain_config(config)
    digest = sweep.digests.get(data_key(plain))
    return finished_before(tracking, fingerprint(plain, digest)) if digest else None


def finished_runs(tracking: MLflowTracking) -> list[TrackedRun]:
    """Finished runs that were trained themselves, first started first; none without a store."""
    try:
        found = tracking.without_deleted(tracking.runs(status="FINISHED"))
    except UserError:  # a store that does not answer is spoken of when the run starts
        return []
    return [run for run in found if REUSED_FROM not in run.tags and run.tags.get("sweep") != "parent"]


def finished_before(tracking: MLflowTracking, wanted: str) -> TrackedRun | None:
    """The last finished run of this fingerprint that was trained itself; None without one, or without a store."""
    try:
        found = tracking.without_deleted(tracking.runs(tags={"fingerprint": wanted}, status="FINISHED"))
    except UserError:  # a store that does not answer is spoken of when the run starts
        return None
    return next((run for run in reversed(found) if REUSED_FROM not in run.tags), None)


def reuse(
    asked: RunRequest,
    before: TrackedRun,
    tracking: MLflowTracking,
    parent: str | None,
    name: str,
    tags: Mapping[str, str],
) -> bool:
    """Make a row of this sweep with the numbers of a finished run; False where that run's predictions are gone.

    The row is a run of its own below the sweep's parent: parameters, last metrics
    and the artifacts that tables are made from; tag `reused_from` is the id of the
    run that was trained, which stays as it is and keeps the weights. What its predictions are worth by annotated
    events is not copied: it is scored by those that this job names, or left out.
    """
    artifacts = asked.artifacts
    artifacts.mkdir(parents=True, exist_ok=True)
    try:
        for each in REUSED_ARTIFACTS:
            shutil.copyfile(tracking.download(before.id, each), artifacts / each)
    except (UserError, OSError) as error:
        log.warning("Run %s is done already, but its artifacts cannot be had (%s): it is run again.", before.id, error)
        return False
    found, reasons = _scores_by_events(asked, before)
    names = ("fingerprint", CODE, DATA, DIVERGED, UNTRAINED)
    kept = {key: before.tags[key] for key in names if key in before.tags}
    tracked = tracking.start(name, asked.folder, parent, {**tags, **kept, REUSED_FROM: before.id})
    with closing_run(tracked, asked.folder, asked.config):
        made = {key: before.params[key] for key in ("split_point", "precision") if key in before.params}
        tracked.params(asked.parameters() | made)
        tracked.metrics({name: value for name, value in before.metrics.items() if not is_event_score(name)}, step=0)
        tracked.metrics({name: value for name, value in found.items() if name not in reasons}, step=0)
        undefined = [name for name in before.tags.get("undefined", "").split(", ") if name and not is_event_score(name)]
        tracked.undefined(dict.fromkeys(undefined, f"undefined in run {before.id}") | reasons)
        tracked.text(f"Not trained again: the numbers are those of run `{before.id}`, which has the same fingerprint.")
        asked.write_config()
        tracked.artifacts(artifacts)
    log.info("done already: reused from run %s", before.id)
    return True


def _scores_by_events(asked: RunRequest, before: TrackedRun) -> tuple[dict[str, float], dict[str, str]]:
    """Metrics by annotated events of the predictions that were copied, and reasons; nothing without events."""
    config, artifacts = asked.config, asked.artifacts
    data = build(config.data)
    given = data.temporal_truth()
    if given is None:
        return {}, {}
    import pandas as pd  # only where something is scored

    from mtl.data.temporal_truth import of_test_videos
    from mtl.tracking.artifacts import whole_artifacts
    from mtl.tracking.by_events import judge_by_events, over_time, write_events
    from mtl.tracking.metrics import score_metrics, trained_classes

    predictions, tasks = pd.read_parquet(artifacts / "predictions.parquet"), build(config.tasks)
    events, fps = of_test_videos(given, predictions), float(config.data.fps)
    trained = trained_classes(tasks, before.tags)
    evaluated = judge_by_events(build(config.evaluation), predictions, tasks, events, fps, trained)
    with whole_artifacts(artifacts) as new:
        write_events(new, events, evaluated, over_time(evaluated, tasks, config.main_task, fps))
    return score_metrics(evaluated.scores)
