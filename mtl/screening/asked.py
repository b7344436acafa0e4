"""What a screening was asked for, as every run of it says it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mtl.errors import UserError
from mtl.results import SCREENING, TrackedRun

BEST, WORST = "best", "worst"


@dataclass(frozen=True)
class Asked:
    """What a screening was asked for.

    Attributes
    ----------
    main_task : str
    candidates : tuple of str
    foretold : mapping of str to tuple of str
        Auxiliaries of the sets that were trained because they were predicted `BEST` and `WORST` of those that nobody
        had trained; empty where no set was.
    """

    main_task: str
    candidates: tuple[str, ...]
    foretold: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The same as the tag `SCREENING` of every run."""
        said = {"main": self.main_task, "candidates": self.candidates}
        return json.dumps(said | ({"foretold": dict(self.foretold)} if self.foretold else {}))


def asked_of(runs: Sequence[TrackedRun]) -> Asked | None:
    """What the screening was asked for, as its last run says it; None of other sweeps.

    Raises
    ------
    UserError
        If the tag cannot be read.
    """
    tagged = next((run for run in reversed(runs) if SCREENING in run.tags), None)
    if tagged is None:
        return None
    try:
        said = json.loads(tagged.tags[SCREENING])
        foretold = {str(which): tuple(map(str, names)) for which, names in said.get("foretold", {}).items()}
        return Asked(str(said["main"]), tuple(map(str, said["candidates"])), foretold)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"The tag {SCREENING} of the run '{tagged.name}' should be JSON with main and candidates, found "
            f"'{tagged.tags[SCREENING]}'."
        ) from None
