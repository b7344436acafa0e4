"""Which of a run's numbers are metrics in MLflow; all of them stand in the run's table of metrics."""

from __future__ import annotations

from collections.abc import Mapping

WHOLE_SET = "all_tasks"  # in place of a pair: a measure of all tasks of a run together
ALL, ALONE, PAIRS, NOT = (
    "yes",
    "of the main task",
    "of pairs with the main task, where there is a direction those to it",
    "no",
)
OTHERS = {  # than ALL, which a quantity is that is not named here, as of a measure of one's own
    ALONE: """
        average_precision balanced_accuracy average_precision_event auc_event_anomalous
        false_alarms_per_hour events_found alarm_delay_s val_auc_video_weighted
        """,
    PAIRS: """
        label_information affinity path_affinity conflict_rate magnitude_similarity gradient_similarity_mean
        loss_correlation_within_class loss_correlation_step
        """,
    NOT: """
        class_auc class_auc_event f1 video_auc_mean video_auc_max alarm_threshold calibration_error false_alarm_rate
        label_entropy label_mutual_information affinity_to_itself path_affinity_to_itself
        loss_correlation_trend time_share condition_number loss_scale_balance
        """,
}
TRACKED = {quantity: which for which, quantities in OTHERS.items() for quantity in quantities.split()}
BY_ENDING = {"_baseline": NOT, "_by_layer": NOT}
ENDS = ("_low", "_high")
WITH_ENDS = ("auc", "auc_event")  # their intervals are tracked too


def tracked(quantity: str) -> str:
    """Which metrics of a quantity are tracked: `ALL`, `ALONE`, `PAIRS` or `NOT`."""
    if quantity.endswith(ENDS):
        return ALL if quantity.removesuffix("_low").removesuffix("_high") in WITH_ENDS else NOT
    ending = next((which for ending, which in BY_ENDING.items() if quantity.endswith(ending)), ALL)
    return TRACKED.get(quantity.removesuffix("_best"), ending)


def chosen(metrics: Mapping[str, float], main_task: str) -> dict[str, float]:
    """The metrics that a run tracks, of all that it found: those that people compare or plot.

    MLflow loads a run with all its metrics wherever it shows or searches it: with four tasks,
    and annotated events, a run finds about four hundred.
    """
    return {name: value for name, value in metrics.items() if _is_chosen(name, main_task)}


def _is_chosen(name: str, main_task: str) -> bool:
    quantity, _, of = name.partition("/")
    which = tracked(quantity)
    if which == ALONE:
        return of == main_task
    if which == PAIRS:
        return of.startswith(f"{main_task}_vs_") or of.endswith((f"_vs_{main_task}", f"_to_{main_task}"))
    return which == ALL
