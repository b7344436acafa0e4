"""The sets predicted best and worst: which they are, and what they measured when they were trained afterwards."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mtl.ablation.design import design_of
from mtl.errors import UserError
from mtl.formatting import SPACE, signed, signed_interval
from mtl.report.compared_runs import compared_runs
from mtl.report.judge import VIDEO_LABELS
from mtl.report.linearised_sets import linearised_predictors
from mtl.report.stored import Downloads
from mtl.results import TrackedRun
from mtl.screening.afterwards import TEST, best_and_worst
from mtl.screening.asked import BEST, WORST, Asked
from mtl.screening.earlier import Earlier
from mtl.screening.measured import measured_of
from mtl.screening.of_runs import Screening
from mtl.screening.predictors import tracked_predictors
from mtl.screening.sets import LEVEL


def best_and_worst_after(
    runs: Sequence[TrackedRun], earlier: Earlier, tracking: Downloads | None
) -> dict[str, tuple[str, ...]]:
    """Of the sets that an earlier screening did not train, those predicted best and worst, as its report has them.

    Validation videos alone are read.

    Parameters
    ----------
    runs : sequence of TrackedRun
        Jobs of the earlier screening, in the order of launch.
    earlier : Earlier
        The same in short.
    tracking : Downloads, optional
        Asked for predictions that do not lie on this machine.

    Raises
    ------
    UserError
        If a run has no predictions of validation videos, there is more than one condition, or nothing is to be chosen.
    """
    design = design_of(runs)
    entries, unreadable, _ = compared_runs(design, earlier.main_task, tracking, VIDEO_LABELS, "val")
    faults = [f"{one.row}, seed {one.seed}: {one.predicted.fault}." for one in entries if one.predicted.fault]
    for line in (*unreadable, *faults):
        raise UserError(
            "screening.propose=best_and_worst chooses by validation videos, which every run of the earlier screening "
            f"must have predicted. {line}"
        )
    # resamples serve intervals, and a choice needs none
    found = measured_of(entries, earlier.main_task, earlier.candidates, 1, 0)
    if len(found) != 1:
        names = ", ".join(condition for condition, _, _ in found) or "none"
        raise UserError(
            "screening.propose=best_and_worst needs an earlier screening of one condition, "
            f"found {len(found)}: {names}."
        )
    ((condition, measured, _),) = found
    asked = Asked(earlier.main_task, earlier.candidates)
    further = linearised_predictors(design, asked, tracking).get(condition, {})
    tracked = tracked_predictors(entries, condition, asked.candidates, asked.main_task)
    return best_and_worst(measured, earlier.sets, {**tracked, **further})


def afterwards_table(found: Screening) -> pd.DataFrame:
    """Sets and kinds of videos down; gain as predicted and as measured across."""
    rows = found.afterwards
    index = pd.Index([" + ".join(one.auxiliaries) for one in rows], name="auxiliaries")
    table = pd.DataFrame(index=index)
    table["predicted as"] = [one.which for one in rows]
    table["videos"] = [one.videos for one in rows]
    table["predicted gain"] = [signed(one.predicted) for one in rows]
    table[f"{100 * LEVEL:.0f}{SPACE}% interval"] = [signed_interval(one.low, one.high) for one in rows]
    table["measured gain"] = [signed(one.measured.value) for one in rows]
    table[f"95{SPACE}% interval"] = [signed_interval(one.measured.low, one.measured.high) for one in rows]
    table["measured within predicted"] = [_answer(one.within) for one in rows]
    return table


def _answer(within: bool | None) -> str:
    return "" if within is None else "yes" if within else "no"


def afterwards_sentences(found: Screening) -> list[str]:
    """Whence the predictions are, and how far the two sets are apart."""
    rows = found.afterwards
    lines = [
        "Of the sets that nobody had trained, validation videos predicted these to be best and worst, and then they "
        "were trained. Their predictions are from the other sets alone. Gains are differences in AUC to the main "
        "task alone by the same seeds; the predicted interval is of what a run would measure, from the errors of "
        "left-out runs, the measured one is over videos and seeds."
    ]
    on_test = {one.which: one for one in rows if one.videos == TEST}
    if {BEST, WORST} <= set(on_test):
        best, worst = on_test[BEST], on_test[WORST]
        lines.append(
            f"From worst to best on test videos: predicted {signed(best.predicted - worst.predicted)}, measured "
            f"{signed(best.measured.value - worst.measured.value)}."
        )
    lines += [
        f"{' + '.join(one.auxiliaries)}: no gain on {one.videos} videos, "
        f"{one.measured.reason or 'as no run of it has an AUC'}."
        for one in rows
        if one.measured.value != one.measured.value
    ]
    return lines


def afterwards_frame(screenings: Sequence[Screening]) -> pd.DataFrame:
    """One row per condition, set and kind of videos."""
    return pd.DataFrame(
        [
            {
                "condition": found.condition,
                "set": " + ".join(one.auxiliaries),
                "predicted_as": one.which,
                "videos": one.videos,
                "predicted_gain": one.predicted,
                "low": one.low,
                "high": one.high,
                "measured_gain": one.measured.value,
                "measured_low": one.measured.low,
                "measured_high": one.measured.high,
                "seeds": one.measured.n_seeds,
                "within": one.within,
            }
            for found in screenings
            for one in found.afterwards
        ]
    )
