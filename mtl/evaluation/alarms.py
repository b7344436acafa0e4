"""Alarms: where a task's score stays above a threshold, and how they meet the annotated events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_curve

from mtl.evaluation.auc import NEVER_TRAINED, Sampled
from mtl.evaluation.task_predictions import TaskPredictions, one_sided_reason
from mtl.evaluation.timeline import Timeline
from mtl.results import Score

BINS = 15  # of the calibration error, as is usual
HOUR = 3600.0  # seconds
ALARM_SCORES = ("false_alarms_per_hour", "events_found", "alarm_delay_s")
ERRORS = ("calibration_error", "false_alarm_rate")
CHOSEN = "a probability: largest Youden J of validation frames by video labels, each video counting alike"
TIE = 1e-9  # what differs less in Youden's J is alike: sums of weights round


@dataclass(frozen=True)
class Alarms:
    """Alarms of all videos: code of the video, first frame, first frame after it; each of shape (n,)."""

    videos: np.ndarray
    start: np.ndarray
    end: np.ndarray


@dataclass(frozen=True)
class Threshold:
    """From which score, and so from which probability, a row is above; NaN with the reason where there is none."""

    score: float
    probability: float = np.nan
    reason: str = ""


def youden_threshold(predicted: TaskPredictions) -> Threshold:
    """The score from which validation frames are called positive: where hits less false alarms are most.

    By video labels, because no validation video has annotated events; each video counts alike. Of thresholds
    that are as good the highest.
    """
    if predicted.fault or not predicted.trained.any():
        return Threshold(np.nan, reason=f"no threshold from validation: {predicted.fault or NEVER_TRAINED}")
    positives, scores = predicted.positives[:, 0], predicted.scores[:, 0]
    if positives.all() or not positives.any():
        return Threshold(np.nan, reason=f"no threshold from validation: {one_sided_reason(positives)}")
    weights = 1.0 / np.bincount(predicted.videos)[predicted.videos]
    false, true, thresholds = roc_curve(positives, scores, sample_weight=weights, drop_intermediate=False)
    gain = true - false
    if gain.max() <= TIE:
        return Threshold(np.nan, reason="no threshold from validation: none is better than chance there")
    score = thresholds[np.flatnonzero(gain >= gain.max() - TIE)[0]]
    return Threshold(float(score), float(predicted.probabilities[scores == score, 0].min()))


def find_alarms(above: np.ndarray, timeline: Timeline, gap: float) -> Alarms:
    """Runs of consecutive rows above the threshold, merged where at most so many frames lie between.

    Parameters
    ----------
    above : ndarray of bool, shape (n_rows,)
    timeline : Timeline
    gap : float
        In frames.
    """
    new_video = np.append(True, np.diff(timeline.videos) != 0)
    starts = np.flatnonzero(above & (new_video | ~np.append(False, above[:-1])))
    ends = np.flatnonzero(above & np.append(new_video[1:] | ~above[1:], True))
    videos, start, end = timeline.videos[starts], timeline.first[starts], timeline.end[ends]
    if not len(starts):
        return Alarms(videos, start, end)
    apart = np.append(True, (videos[1:] != videos[:-1]) | (start[1:] - end[:-1] > gap))
    first = np.flatnonzero(apart)
    return Alarms(videos[first], start[first], end[np.append(first[1:] - 1, len(end) - 1)])


def alarm_scores(
    name: str,
    predicted: TaskPredictions,
    timeline: Timeline,
    threshold: Threshold,
    drawn: np.ndarray,
    fps: float,
    gap_s: float,
) -> dict[str, Score]:
    """False alarms per hour of normal video, share of the task's events found, median delay; the threshold itself.

    An event is found where an alarm overlaps it. Its delay runs from its start to that of the first such
    alarm, which counts 0 where it began before.

    Parameters
    ----------
    predicted : TaskPredictions
        Of the timeline's rows, with the targets of videos.
    threshold : Threshold
        See `youden_threshold`.
    drawn : ndarray of shape (n_resamples, n_videos)
    fps, gap_s : float
    """
    why = predicted.fault or ("" if predicted.trained.all() else NEVER_TRAINED) or threshold.reason
    keys = {kind: f"{kind}/{name}" for kind in (*ALARM_SCORES, "alarm_threshold")}
    if why:
        return {key: Score(np.nan, reason=why) for key in keys.values()}
    alarms = find_alarms(predicted.scores[:, 0] >= threshold.score, timeline, gap_s * fps)
    normal = ~timeline.anomalous
    hours = np.where(normal, timeline.lengths / fps / HOUR, 0.0)
    false = np.bincount(alarms.videos, minlength=len(normal)) * normal
    own = np.unique(predicted.videos[predicted.positives[:, 0]])
    videos, delays = event_delays(alarms, timeline, own)
    counted = np.bincount(videos, minlength=len(normal)).astype(float)
    hit = np.bincount(videos[np.isfinite(delays)], minlength=len(normal)).astype(float)
    return {
        keys["false_alarms_per_hour"]: _ratio(false, hours, drawn, "normal video").score(),
        keys["events_found"]: _ratio(hit, counted, drawn, "video with an event of the task").score(),
        keys["alarm_delay_s"]: _median_delay(videos, delays / fps, drawn).score(),
        keys["alarm_threshold"]: Score(threshold.probability, reason=CHOSEN),
    }


def event_delays(alarms: Alarms, timeline: Timeline, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Video of every event of these videos, and frames from its start to the first alarm that overlaps it.

    NaN where none does; 0 where the alarm began before.
    """
    videos, delays = [], []
    for video in own:
        of_video = alarms.videos == video
        start, end = alarms.start[of_video], alarms.end[of_video]
        for begins, ends in timeline.intervals[video]:
            overlapping = start[(start < ends) & (end > begins)]
            videos.append(video)
            delays.append(max(float(overlapping.min()) - begins, 0.0) if len(overlapping) else np.nan)
    return np.array(videos, int), np.array(delays, float)


def error_scores(
    name: str, predicted: TaskPredictions, timeline: Timeline, drawn: np.ndarray, threshold: float
) -> dict[str, Score]:
    """Calibration error of the probabilities against annotated frames; share of normal videos' frames called a yes.

    The calibration error is the mean over `BINS` bins of equal width, weighted by frames, of the distance between
    mean probability and share of positive frames (Naeini et al., AAAI 2015).

    Parameters
    ----------
    threshold : float
        From which probability a frame is a yes.
    """
    calibration, rate = (f"{kind}/{name}" for kind in ERRORS)
    why = predicted.fault or ("" if predicted.trained.all() else NEVER_TRAINED)
    if why:
        return {key: Score(np.nan, reason=why) for key in (calibration, rate)}
    probability, n_videos = predicted.probabilities[:, 0], drawn.shape[1]
    positive = timeline.inside * predicted.positives[:, 0]
    bins = np.clip((probability * BINS).astype(int), 0, BINS - 1)
    cell, n = predicted.videos * BINS + bins, n_videos * BINS
    off = np.bincount(cell, timeline.n_frames * probability - positive, minlength=n).reshape(n_videos, BINS)
    frames = np.bincount(predicted.videos, timeline.n_frames, minlength=n_videos)
    value = float(np.abs(off.sum(axis=0)).sum() / frames.sum())
    drawn_frames = drawn @ frames  # none where the task has labels for few videos
    draws = np.full(len(drawn), np.nan)
    np.divide(np.abs(drawn @ off).sum(axis=1), drawn_frames, out=draws, where=drawn_frames > 0)
    normal = ~timeline.anomalous
    said = np.bincount(predicted.videos, timeline.n_frames * (probability >= threshold), minlength=n_videos)
    return {
        calibration: Sampled(value, draws).score(),
        rate: _ratio(said * normal, frames * normal, drawn, "normal video").score(),
    }


def _ratio(parts: np.ndarray, wholes: np.ndarray, drawn: np.ndarray, what: str) -> Sampled:
    """Sum of the parts over the sum of the wholes, both of shape (n_videos,)."""
    draws = np.full(len(drawn), np.nan)
    if not wholes.any():
        return Sampled(np.nan, draws, f"no {what}")
    whole = drawn @ wholes
    np.divide(drawn @ parts, whole, out=draws, where=whole > 0)
    fault = f"no interval: a single {what}" if np.count_nonzero(wholes) < 2 else ""
    return Sampled(float(parts.sum() / wholes.sum()), draws, fault)


def _median_delay(videos: np.ndarray, delays: np.ndarray, drawn: np.ndarray) -> Sampled:
    """Median over the events that were found."""
    found = np.isfinite(delays)
    if not found.any():
        return Sampled(np.nan, np.full(len(drawn), np.nan), "no event was found" if len(videos) else "no event")
    fault = "no interval: events of a single video were found" if len(np.unique(videos[found])) < 2 else ""
    draws = repeated_medians(delays[found], drawn[:, videos[found]])
    return Sampled(float(np.median(delays[found])), draws, fault)


def repeated_medians(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Median of the values, each so many times there; NaN where none is.

    Parameters
    ----------
    values : ndarray of shape (n,)
    times : ndarray of shape (n_resamples, n)
        Whole numbers.
    """
    order = np.argsort(values, kind="stable")
    values, reached = values[order], times[:, order].cumsum(axis=1)
    half = reached[:, -1:] / 2
    lower, upper = (values[(above).argmax(axis=1)] for above in (reached >= half, reached > half))
    return np.where(reached[:, -1] > 0, (lower + upper) / 2, np.nan)
