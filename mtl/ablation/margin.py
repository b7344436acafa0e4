"""The effect from which on an auxiliary matters, as the runs or a command say it."""

from __future__ import annotations

from collections.abc import Sequence

from mtl.errors import UserError
from mtl.results import MARGIN, TrackedRun

UNTAGGED = 0.01  # of runs from before there was a tag


def margin_of(runs: Sequence[TrackedRun]) -> float:
    """The margin of the last run that names one, in AUC: an effect nearer to zero does not matter.

    Raises
    ------
    UserError
        If its tag is no number between 0 and 1.
    """
    tagged = next((run for run in reversed(runs) if MARGIN in run.tags), None)
    if tagged is None:
        return UNTAGGED
    try:
        return checked_margin(tagged.tags[MARGIN])
    except UserError as mistake:
        raise UserError(f"The tag {MARGIN} of the run '{tagged.name}' {mistake}") from None


def checked_margin(text: str) -> float:
    """The text as a margin.

    Raises
    ------
    UserError
        If it is no number between 0 and 1; without what it is that has it.
    """
    try:
        margin = float(text)
    except ValueError:
        margin = float("nan")
    if not 0 < margin < 1:
        raise UserError(f"should be a number above 0 and below 1, found '{text}'.")
    return margin
