"""What a screening is asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated

from pydantic import Field, PositiveInt

from mtl.errors import UserError, nearest

BEST_AND_WORST = "best_and_worst"
Seed = Annotated[int, Field(ge=0)]


class Screening:
    """Which auxiliaries are tried beside the main task, and in how many sets.

    Parameters
    ----------
    candidates : sequence of str
        Names of tasks.
    sets : int
        Sets that are trained beside the main task alone and all together.
    seed : int
        Of the design; not the run's seed, so that all seeds train the same sets.
    propose : int, "best_and_worst" or None
        What is trained after an earlier screening: so many sets more, those that teach most, or the two that are
        predicted best and worst of those that nobody trained.
    after : str or None
        Id of the earlier screening's own run, or its folder: its candidates and its sets come first, and what is
        done of them is reused.

    Raises
    ------
    UserError
        If one of `propose` and `after` stands without the other, or `propose` is another word.
    """

    def __init__(
        self,
        candidates: Sequence[str],
        sets: PositiveInt,
        seed: Seed,
        propose: PositiveInt | str | None,
        after: str | None,
    ) -> None:
        if isinstance(propose, str) and propose != BEST_AND_WORST:
            raise UserError(
                f"screening.propose should be how many sets more are trained, or {BEST_AND_WORST}, found '{propose}'."
            )
        if propose is not None and after is None:
            raise UserError(
                f"screening.propose={propose} needs screening.after=ID, the id of an earlier screening's own run."
            )
        if after is not None and propose is None:
            raise UserError(
                f"screening.after={after} needs screening.propose=N, how many sets more are trained, or "
                f"screening.propose={BEST_AND_WORST}."
            )
        self.candidates, self.sets, self.seed = tuple(map(str, candidates)), sets, seed
        self.propose, self.after = propose, after


def check_candidates(candidates: Sequence[str], main_task: str, known: Collection[str]) -> None:
    """Raise `UserError` where one of the candidates is the main task, is no task, or is named twice.

    Parameters
    ----------
    candidates : sequence of str
    main_task : str
    known : collection of str
        Every task that there is.
    """
    for place, name in enumerate(candidates):
        if name == main_task:
            raise UserError(f"screening.candidates: '{name}' is the main task, which is in every set; leave it out.")
        if name not in known:
            raise UserError(
                f"screening.candidates: there is no task '{name}' in conf/task. {nearest(name, {*known} - {main_task})}"
            )
        if name in candidates[:place]:
            raise UserError(f"screening.candidates names '{name}' twice.")
