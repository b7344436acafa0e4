"""A finished run with the same fingerprint gives its numbers to a job."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mtl.config.build import build, plain_config
from mtl.config.request import RunRequest
from mtl.errors import UserError
from mtl.job.context import SweepContext
from mtl.job.failure import closing_run
from mtl.job.fingerprint import data_key, fingerprint
from mtl.results import CODE, DATA, DIVERGED, FIGURES, FINGERPRINT, REUSED_FROM, UNTRAINED, is_event_score
from mtl.tracked_numbers import chosen
from mtl.tracking.metrics_table import METRICS_TABLE, TABLED, read_metrics, write_metrics

if TYPE_CHECKING:
    from mtl.results import TrackedRun
    from mtl.tracking.mlflow_tracking import MLflowTracking
    from mtl.tracking.no_tracking import NoTracking

log = logging.getLogger(__name__)

# of a reused run: what tables are made from; its weights stay with the run that made them
REUSED_ARTIFACTS = ("predictions.parquet", "history.csv", "trace.npz", "model.json")


def done_before(config: DictConfig, sweep: SweepContext, tracking: MLflowTracking) -> TrackedRun | None:
    """A finished run of the store that must have given what this job would give."""
    plain = plain_config(config)
    digest = sweep.digests.get(data_key(plain))
    if not digest:
        return None
    wanted = fingerprint(plain, digest)
    return FinishedRuns(tracking).of([wanted]).get(wanted)


class FinishedRuns:
    """Finished runs of a store, asked for as they are needed.

    Loading a run takes milliseconds, as MLflow gives it with all its metrics: nothing here asks for
    all that the store has. A store that does not answer has none; it is spoken of when a run starts.

    Parameters
    ----------
    tracking : MLflowTracking or NoTracking
    """

    def __init__(self, tracking: MLflowTracking | NoTracking) -> None:
        self._tracking = tracking

    def latest(self, n: int) -> list[TrackedRun]:
        """The last `n` of them, whatever they are, first started first; fewer where the store has no more."""
        try:
            return self._tracking.runs(status="FINISHED", last=n)
        except UserError:
            return []

    def of(self, fingerprints: Collection[str]) -> dict[str, TrackedRun]:
        """By fingerprint a run that was trained itself, that of the last row; those without one are left out."""
        try:
            return self._of(list(dict.fromkeys(fingerprints)))
        except UserError:
            return {}

    def _of(self, fingerprints: list[str]) -> dict[str, TrackedRun]:
        tracking = self._tracking
        last = {each: run for each in fingerprints for run in self._with(each, last=1)}
        copied = {run.tags[REUSED_FROM] for run in last.values() if REUSED_FROM in run.tags}
        trained = {run.id: run for run in tracking.of_ids(sorted(copied))}
        meant = {each: trained.get(run.tags.get(REUSED_FROM, ""), run) for each, run in last.items()}
        there = {run.id for run in tracking.without_deleted(list(meant.values()))}
        found = {each: run for each, run in meant.items() if _is_trained(run) and run.id in there}
        for each in last.keys() - found.keys():  # its sweep was deleted, or the run that it copies
            every = tracking.without_deleted(self._with(each))
            found |= [(each, run) for run in every if _is_trained(run)]
        return found

    def _with(self, fingerprint: str, last: int | None = None) -> list[TrackedRun]:
        return self._tracking.runs(tags={FINGERPRINT: fingerprint}, status="FINISHED", last=last)


def _is_trained(run: TrackedRun) -> bool:
    """Whether it is a finished run of its own, not a row with the numbers of another, and not a sweep's."""
    return run.status == "FINISHED" and REUSED_FROM not in run.tags and run.tags.get("sweep") != "parent"


def reuse(
    asked: RunRequest,
    before: TrackedRun,
    tracking: MLflowTracking,
    parent: str | None,
    name: str,
    tags: Mapping[str, str],
) -> dict[str, float] | None:
    """Make a row of this sweep with the numbers of a finished run, which come back; None where they are gone.

    The row is a run of its own below the sweep's parent: parameters, last metrics
    and the artifacts that tables are made from; tag `reused_from` is the id of the
    run that was trained, which stays as it is and keeps the weights. What its predictions are worth by annotated
    events is not copied: it is scored by those that this job names, or left out.
    """
    from mtl.tracking.artifacts import whole_artifacts  # with pandas: only where a row is made

    artifacts, config = asked.artifacts, asked.config
    artifacts.mkdir(parents=True, exist_ok=True)
    try:
        for each in REUSED_ARTIFACTS:
            shutil.copyfile(tracking.download(before.id, each), artifacts / each)
        numbers = {name: value for name, value in _numbers(before, tracking).items() if not is_event_score(name)}
    except (UserError, OSError) as error:
        log.warning("Run %s is done already, but its artifacts cannot be had (%s): it is run again.", before.id, error)
        return None
    found, reasons = _scores_by_events(asked, before)
    numbers |= {name: value for name, value in found.items() if name not in reasons}
    with whole_artifacts(artifacts) as new:
        write_metrics(new, numbers)
    names = (FINGERPRINT, CODE, DATA, DIVERGED, UNTRAINED, FIGURES)
    kept = {key: before.tags[key] for key in names if key in before.tags}
    own = {REUSED_FROM: before.id, TABLED: METRICS_TABLE}
    tracked = tracking.start(name, asked.folder, parent, {**tags, **kept, **own})
    with closing_run(tracked, asked.folder, asked.config):
        made = {key: before.params[key] for key in ("split_point", "precision") if key in before.params}
        tracked.params(asked.parameters() | made)
        tracked.metrics(chosen(numbers, config.main_task), step=0)
        undefined = [name for name in before.tags.get("undefined", "").split(", ") if name and not is_event_score(name)]
        tracked.undefined(dict.fromkeys(undefined, f"undefined in run {before.id}") | reasons)
        tracked.text(f"Not trained again: the numbers are those of run `{before.id}`, which has the same fingerprint.")
        asked.write_config()
        tracked.artifacts(artifacts)
    log.info("done already: reused from run %s", before.id)
    return numbers


def _numbers(run: TrackedRun, tracking: MLflowTracking) -> dict[str, float]:
    """All numbers of a run; of one of a former version, which has no table of them, its metrics."""
    table = read_metrics(tracking.download(run.id, METRICS_TABLE)) if TABLED in run.tags else {}
    return {**table, **run.metrics}


def _scores_by_events(asked: RunRequest, before: TrackedRun) -> tuple[dict[str, float], dict[str, str]]:
    """Metrics by annotated events of the predictions that were copied, and reasons; nothing without events."""
    config, artifacts = asked.config, asked.artifacts
    main_task, data = str(config.main_task), build(config.data)
    given = data.temporal_truth()
    if given is None:
        return {}, {}
    import pandas as pd  # only where something is scored

    from mtl.data.temporal_truth import of_test_videos
    from mtl.plots.rendering import write_pngs
    from mtl.results import Score
    from mtl.tracking.artifacts import whole_artifacts
    from mtl.tracking.by_events import judge_by_events, over_time, write_events
    from mtl.tracking.metrics import score_metrics, trained_classes

    predictions, tasks = pd.read_parquet(artifacts / "predictions.parquet"), build(config.tasks)
    events, fps = of_test_videos(given, predictions), float(config.data.fps)
    trained = trained_classes(tasks, before.tags)
    evaluated = judge_by_events(build(config.evaluation), predictions, tasks, events, fps, trained)
    with whole_artifacts(artifacts) as new:
        write_events(new, events, evaluated)
        threshold = evaluated.scores.get(f"alarm_threshold/{main_task}", Score(float("nan"))).value
        shown = over_time(evaluated.timeline, tasks[main_task], main_task, fps, threshold)
        write_pngs(new / "figures", {"scores_over_time": shown})
    return score_metrics(evaluated.scores)
