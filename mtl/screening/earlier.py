"""An earlier screening, by its runs: what it trained, and what of it validation videos say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtl.ablation.design import settled
from mtl.ablation.set_names import members_of
from mtl.errors import UserError
from mtl.results import BEST, TrackedRun
from mtl.screening.asked import asked_of


@dataclass(frozen=True)
class Earlier:
    """What an earlier screening trained.

    Attributes
    ----------
    main_task : str
    candidates : tuple of str
    sets : tuple of tuple of str
        Auxiliaries of each in the order of the candidates; in the order of launch.
    gains : tuple of float
        Of each: AUC of the main task on validation videos, less that of the main task alone by the same seed, mean over
        the seeds that have both; NaN where none has.
    """

    main_task: str
    candidates: tuple[str, ...]
    sets: tuple[tuple[str, ...], ...]
    gains: tuple[float, ...]


def earlier_of(runs: Sequence[TrackedRun], what: str) -> Earlier:
    """The screening that these runs were.

    Parameters
    ----------
    runs : sequence of TrackedRun
        Jobs of a sweep, in the order of launch.
    what : str
        How the sweep was named.

    Raises
    ------
    UserError
        If they are no screening's.
    """
    asked = asked_of(runs)
    if asked is None:
        what_there = "it has no runs" if not runs else "its runs are those of another sweep"
        raise UserError(
            f"screening.after={what}: that is no screening, {what_there}. Right would be the id of the own run of a "
            "sweep by experiment=screening."
        )
    main_task, candidates = asked.main_task, asked.candidates
    aucs: dict[tuple[str, ...], dict[str, float]] = {}
    for run in settled([run for run in runs if members_of(run)]):
        auxiliaries = tuple(name for name in candidates if name in members_of(run))
        of_seed = aucs.setdefault(auxiliaries, {})
        value = run.metrics.get(f"val_auc{BEST}/{main_task}", math.nan)
        if run.status == "FINISHED" and math.isfinite(value):
            of_seed[run.params.get("seed", "")] = value
    alone = aucs.get((), {})
    gains = [
        float(np.mean(differences)) if differences else math.nan
        for of_seed in aucs.values()
        for differences in [[value - alone[seed] for seed, value in of_seed.items() if seed in alone]]
    ]
    return Earlier(main_task, candidates, tuple(aucs), tuple(gains))
