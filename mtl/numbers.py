"""Every number that a run or a sweep prints: what it is, of what, when, with which interval, when it is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mtl.number import KEPT, VAL, Number
from mtl.numbers_of_relations import RELATIONS
from mtl.tracked_numbers import WITH_ENDS, tracked

EVERY, END = "every one", "the end of training"
TEST = "all test frames"
ONE_SIDED = (
    "where all test frames have the same label, where training frames showed one outcome only, or where predictions "
    "are not finite, as of a run that diverged"
)
BY_VIDEO = (
    "percentiles over resamples of whole test videos, within anomalous and normal; none where one side is one video"
)
MACRO = "of a task with several classes the mean over those that training frames and these frames show"
BROKEN = "where the loss or the logits are not finite"
VIDEOS_ALIKE = "each video counts alike, as a frame weighs 1 / frames of its video"

OF_TEST = (TEST, KEPT, BY_VIDEO, ONE_SIDED)
OF_VIDEOS = (TEST, KEPT, BY_VIDEO, f"{ONE_SIDED}; where the label changes within a video")

ANNOTATED = "all frames of the annotated test videos"
IN_EVENT = "a frame is positive where the task's target is and it lies in an annotated event, start <= frame < end"
LABELS = "the threshold is chosen on validation frames by video labels"
BY_EVENTS = {
    "auc_event/<task>": f"AUC by annotated events: {IN_EVENT}; of several classes a frame outside is Normal",
    "average_precision_event/<task>": "average precision of the same frames, a sum of steps and no trapezoid",
    "auc_event_anomalous/<task>": "the same AUC within anomalous videos alone",
    "class_auc_event/<task>.<class>": "AUC of the frames in events of one class against all frames of normal videos",
    "false_alarms_per_hour/<task>": f"alarms in an hour of normal video, merged within evaluation.alarm_gap_s; {LABELS}",
    "events_found/<task>": "share of the task's events that an alarm overlaps",
    "alarm_delay_s/<task>": "median seconds from the start of a found event to its first alarm, 0 where that began before",
    "alarm_threshold/<task>": "probability from which on there is an alarm: largest Youden J, each video counting alike",
    "calibration_error/<task>": "mean distance of probability and share of positive frames, over 15 bins of equal width",
    "false_alarm_rate/<task>": "share of the frames of normal videos from evaluation.threshold on",
    "event_frames/<what>": "how many frames were scored by annotated events, and how many lie in one",
    "event_videos/<what>": "how many test videos are annotated, of how many there are",
}

RUN = (
    *(
        Number(name, what, ANNOTATED, KEPT, BY_VIDEO, f"without data.events; {ONE_SIDED}; without an event found")
        for name, what in BY_EVENTS.items()
    ),
    Number(
        "auc/<task>", f"area under the ROC curve by frames, ranked by logits; {MACRO}", TEST, KEPT, BY_VIDEO, ONE_SIDED
    ),
    Number(
        "average_precision/<task>",
        f"area under precision over recall by frames, ranked by logits; {MACRO}",
        *(TEST, KEPT, "", ONE_SIDED),
    ),
    Number(
        "balanced_accuracy/<task>",
        "mean recall over the classes, decided at evaluation.threshold or by the likeliest class",
        *OF_TEST,
    ),
    Number("f1/<task>", "F1 of the yes, or its mean over the classes, decided as for balanced_accuracy", *OF_TEST),
    *(
        Number(f"video_auc_{how}/<task>", f"AUC by videos, ranked by the {what} of a video's frames", *OF_VIDEOS)
        for how, what in (("mean", "mean probability"), ("max", "highest logit"))
    ),
    Number(
        "class_auc/<task>.<class>",
        "AUC of one class against the rest by frames, ranked by its log-odds",
        TEST,
        KEPT,
        BY_VIDEO,
        "where the test frames lack the class; marked where the training frames do",
    ),
    Number(
        "train_loss/<task>",
        "mean unweighted loss over the epoch's batches",
        "training frames as they are drawn",
        EVERY,
        "",
        BROKEN,
    ),
    Number("val_loss/<task>", "mean unweighted loss of the frames", VAL, EVERY, "", BROKEN),
    Number(
        "val_auc/<task>",
        f"AUC by frames, ranked by logits, all frames of one weight; {MACRO}",
        VAL,
        EVERY,
        "",
        f"where all validation frames have the same label, or {BROKEN}",
    ),
    Number(
        "val_auc_video_weighted/<task>",
        f"the same AUC, but {VIDEOS_ALIKE}; the main task's chooses the kept epoch",
        VAL,
        EVERY,
        "",
        "where val_auc is",
    ),
    Number(
        "weight/<task>",
        "weight of the task's loss on the shared parameters, mean over the epoch's steps; "
        "with `weighting=metabalance`, which weighs each variable apart, the factor of the gradient's length",
        "training frames as they are drawn",
        EVERY,
    ),
    Number(
        "<quantity>_best/<task>",
        "a quantity that has a curve over epochs, at the kept epoch",
        "the frames of the curve",
        KEPT,
        "",
        "where nothing sound is left of a run that diverged",
    ),
    Number(
        "epoch/best",
        "number of the kept epoch, counted from 1",
        VAL,
        KEPT,
        "",
        "where nothing sound is left of a run that diverged",
    ),
    *RELATIONS,
    Number(
        "features/<what>",
        "about the frozen part's features: frames computed, cosine to float32 ones, spread",
        "frames of all splits, or of Train for the spread",
        "before training",
    ),
    Number(
        "parameters/<part>",
        "number of parameters frozen, trained and shared, or in the heads",
        "no frame",
        "before training",
    ),
    Number(
        "n_labelled/<task>",
        "frames about which a task says something; not there where it does about all",
        "frames of all splits",
        "before training",
    ),
    Number("time/<stage>_s", "wall time of a stage in seconds", "no frame", END),
    Number("time_share/<stage>", "its share of the time of the training steps", "no frame", END),
    Number("frames_per_s/<stage>", "frames through a stage by its wall time", "frames of that stage", END),
    Number("memory/peak_mib", "largest memory of the process in MiB", "no frame", END),
)

SCORED = f"{TEST} that all runs of the condition predicted"
OVER_SEEDS = (
    "over videos and seeds on the scale of Fisher's z (of an AUC its logit), each seed with the same resamples of videos; "
    "percentiles over videos alone with one seed"
)
SWEEP = (
    Number("auc", f"AUC of the main task by frames, mean over seeds; {MACRO}", TEST, KEPT, OVER_SEEDS, ONE_SIDED),
    Number("sd", "standard deviation of the AUC between seeds", TEST, KEPT, "", "with one seed"),
    Number(
        "difference",
        "AUC less that of the base, paired by seed and by video, mean over seeds",
        *(SCORED, KEPT, OVER_SEEDS, "where no seed has both"),
    ),
    Number(
        "p",
        "sign flips over seeds: share of all flips with a mean difference as far from zero, never below 2 / 2^seeds",
        *(SCORED, KEPT, "", "where the difference is"),
    ),
    Number(
        "p_holm", "p corrected by Holm over all differences of the table", SCORED, KEPT, "", "where the difference is"
    ),
    Number(
        "effect",
        "main effect of an auxiliary: mean difference over all pairs of sets that differ in it alone",
        SCORED,
        KEPT,
        f"{OVER_SEEDS}; for all auxiliaries of a condition at once (Bonferroni)",
        "where no two sets differ in it alone",
    ),
    Number(
        "share_<where>",
        "share of the resamples of videos and seeds, widened as the interval is, in which the effect is decide.margin or "
        "more (above), its negative or less (below), or between the two (within); no posterior probability",
        *(SCORED, KEPT, "", "where the effect or every resample is"),
    ),
    Number(
        "shapley",
        "Shapley value of an auxiliary: the values of all add up to AUC of the largest set less that of the main task alone",
        SCORED,
        KEPT,
        "as that of the effect",
        "without a full factorial of sets",
    ),
    Number(
        "correlation",
        "Spearman's correlation between a measure and the gains, over auxiliaries in sets",
        "the frames of the measure and of the differences",
        KEPT,
        "Fisher's z with the error of Bonett and Wright, from five points on",
        "with too few points to correlate",
    ),
)


def known(metric: str) -> Number | None:
    """The number of a run that a metric is; ends of an interval are their number's; None of a stranger."""
    plain = re.sub(r"_(low|high)(?=/)", "", metric)
    exact = [number for number in RUN if number.names(plain)]
    return min(exact, key=lambda number: number.name.startswith("<"), default=None)


def sentences(numbers: Iterable[Number]) -> list[str]:
    """A sentence or two per number, for whoever reads a report."""
    return [
        f"{each.name}: {each.definition}. From {each.of}; epoch: {each.epoch}."
        + (f" Interval: {each.interval}." if each.interval else "")
        + (f" Missing {each.missing}." if each.missing else "")
        for each in numbers
    ]


def sweep_numbers(columns: Sequence[str]) -> list[Number]:
    """The numbers of a sweep that tables with these columns show."""
    return [number for number in SWEEP if any(map(number.names, columns))]


def as_markdown() -> str:
    """The page `docs/numbers.md`."""
    parts = [
        "# Every number, and what it is made from\n",
        "This page is made from the table in `mtl/numbers.py`, which reports use as well:"
        " `python -c 'from mtl.numbers import as_markdown; print(as_markdown(), end=\"\")' > docs/numbers.md`.",
        "A number that cannot be had is missing with its reason (`undefined.json` of the run, `reason` in tables), never 0"
        " and never .5. `<name>_low/` and `<name>_high/` are the ends of a 95 % interval.",
        "",
        "A run tracks in MLflow what people compare or plot, at most 120 metrics with `tasks=all`: the column `in MLflow`"
        f" says which. All its numbers, and the ends of all intervals (in MLflow: of {' and '.join(WITH_ENDS)}), are in its"
        " artifact `tables/metrics.csv` under the same names, where reports read them. A quantity that is not listed here,"
        " as of a measure of your own, is in MLflow. Runs of former versions have all their numbers there.",
    ]
    for title, numbers, more in (("A run", RUN, ("in MLflow",)), ("A sweep", SWEEP, ())):
        columns = ("number", "what it is", "from", "epoch", "interval", "missing", *more)
        parts += ["", f"## {title}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
        parts += [f"| {' | '.join(_cells(each)[: len(columns)])} |" for each in numbers]
    return "\n".join(parts) + "\n"


def _cells(number: Number) -> list[str]:
    """A row of the page."""
    texts = (number.definition, number.of, number.epoch, number.interval or "none", number.missing or "never")
    quantity = re.sub("<[^>]+>", "", number.name.partition("/")[0])
    return [f"`{number.name}`", *(text.replace("|", "\\|") for text in (*texts, tracked(quantity)))]
