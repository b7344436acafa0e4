"""MTL010: a choice was made by test frames."""

from __future__ import annotations

from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence
from mtl.formatting import plural
from mtl.numbers import ANNOTATED, TEST, known
from mtl.results import BEST, OBJECTIVE


class ObjectiveOfTest(Check):
    """Runs whose objective, what a sweeper chooses by, is a number of test frames."""

    code = "MTL010"
    title = "Runs are chosen by test frames"

    def look(self, at: Evidence) -> Finding:
        """An issue where a run names such an objective; runs that name none, or one that is not known, tell nothing."""
        named: dict[str, int] = {}
        for run in at.design.counted:
            objective = run.tags.get(OBJECTIVE) or run.params.get(OBJECTIVE)
            if objective:
                named[objective] = named.get(objective, 0) + 1
        made_of = {name: _made_of(name) for name in named}
        lines = [
            f"The objective of {plural(named[name], 'run')} is {name}, a number of test frames: what is chosen by it "
            "has an AUC on the same frames that is too high."
            for name, frames in made_of.items()
            if frames in (TEST, ANNOTATED)
        ]
        if lines:
            return self.issue(*lines)
        strange = [name for name, frames in made_of.items() if not frames]
        if strange:
            return self.not_applicable(f"It is not known what the objective {', '.join(strange)} is made from.")
        untold = len(at.design.counted) - sum(named.values())
        if untold or not named:
            return self.not_applicable("Not all runs say what they would be chosen by, in the tag `objective`.")
        return self.passed(f"No objective is a number of test frames: {', '.join(named)}.")


def _made_of(objective: str) -> str:
    """The frames that a quantity is made from; empty where it is not known."""
    quantity, _, place = objective.partition("/")
    number = known(f"{quantity.removesuffix(BEST)}/{place or 'task'}")
    return number.of if number else ""
