"""Until when a sweep goes on asking."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from mtl.errors import UserError

Margin = Annotated[float, Field(gt=0, lt=1)]


class Rule:
    """From which effect on an auxiliary matters, and how many runs may be spent on finding out.

    Parameters
    ----------
    margin : float
        In AUC, between 0 and 1: an effect whose whole interval lies within ``-margin`` and ``margin`` does not matter.
    first_seeds : int
        Seeds of every set before the first look, 2 at least: a single seed says nothing of the spread.
    most_seeds : int
        Seeds of a set after which no more are run; looks are planned up to here.
    hours : float or None
        Time that all waves may take together; no wave begins that would not end before it. None: no limit.

    Raises
    ------
    UserError
        If fewer than two seeds are asked for, or fewer in the end than at first.
    """

    def __init__(
        self, margin: Margin, first_seeds: PositiveInt, most_seeds: PositiveInt, hours: PositiveFloat | None
    ) -> None:
        if first_seeds < 2:
            raise UserError(f"decide.first_seeds: should be 2 at least, found {first_seeds}.")
        if most_seeds < first_seeds:
            raise UserError(
                f"decide.most_seeds: should be at least decide.first_seeds, which is {first_seeds}, found {most_seeds}."
            )
        self.margin, self.first_seeds, self.most_seeds, self.hours = margin, first_seeds, most_seeds, hours
