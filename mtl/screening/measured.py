"""What the runs of a screening measured: the main task's AUC of every set, seed and resample of videos."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from mtl.ablation.predictions import ComparedRun
from mtl.ablation.samples import Sample, SampledGroup
from mtl.screening.design import members
from mtl.statistics.bootstrap import mean_of_defined


@dataclass(frozen=True)
class Measured:
    """AUCs of the main task, the first row being that of the main task alone.

    Attributes
    ----------
    candidates : tuple of str
    sets : tuple of tuple of str
        Auxiliaries of every row in the order of the candidates; the first is empty.
    members : ndarray of shape (n_rows, n_candidates)
        The same as zeros and ones.
    values : ndarray of shape (n_rows, n_seeds)
        NaN where there is no run or no AUC.
    draws : ndarray of shape (n_rows, n_seeds, n_resamples)
        The same in resamples of the videos.
    """

    candidates: tuple[str, ...]
    sets: tuple[tuple[str, ...], ...]
    members: np.ndarray
    values: np.ndarray
    draws: np.ndarray

    @property
    def gains(self) -> np.ndarray:
        """Mean over seeds of every set's AUC less that of the main task alone with the same seed, (n_rows - 1,)."""
        return mean_of_defined(self.values[1:] - self.values[0], axis=1)

    @property
    def gain_draws(self) -> np.ndarray:
        """The same in resamples of the videos, (n_rows - 1, n_resamples)."""
        return mean_of_defined(self.draws[1:] - self.draws[0], axis=1)

    @property
    def alone(self) -> float:
        """Mean AUC of the main task alone."""
        return float(mean_of_defined(self.values[0]))

    @property
    def complete(self) -> np.ndarray:
        """Places of the seeds that every set has."""
        return np.flatnonzero(np.isfinite(self.values).all(axis=0))

    def row_means(self) -> np.ndarray:
        """Mean AUC of every set over its own seeds, (n_rows,)."""
        return mean_of_defined(self.values, axis=1)

    def with_gain(self) -> Measured:
        """Without the sets that have no seed in common with the main task alone."""
        return self._of(np.concatenate([[True], np.isfinite(self.gains)]))

    def without(self, sets: Collection[tuple[str, ...]]) -> Measured:
        """Without these sets."""
        return self._of(np.array([one not in sets for one in self.sets]))

    def _of(self, kept: np.ndarray) -> Measured:
        """The rows kept."""
        sets = tuple(one for one, keep in zip(self.sets, kept, strict=True) if keep)
        return Measured(self.candidates, sets, self.members[kept], self.values[kept], self.draws[kept])


def names_of(members: np.ndarray, candidates: Sequence[str]) -> tuple[str, ...]:
    """The auxiliaries of one set, members (n_candidates,), in the order of the candidates."""
    return tuple(name for name, is_in in zip(candidates, members, strict=True) if is_in)


def measured_of(
    entries: Sequence[ComparedRun], main_task: str, candidates: Sequence[str], resamples: int, seed: int
) -> list[tuple[str, Measured, list[str]]]:
    """By condition the AUCs of every set over the videos that all of its runs scored, and what was left out."""
    if not entries:
        return []
    sample, found = Sample(entries, resamples, seed), []
    for condition in dict.fromkeys(entry.condition for entry in entries):
        group = SampledGroup(condition, [i for i, one in enumerate(entries) if one.condition == condition], sample)
        places: dict[tuple[str, ...], int] = {}
        warnings = []
        for a, arm in enumerate(group.arms):
            used = group.first[arm].tasks - {main_task}
            others = sorted(used - set(candidates))
            name = tuple(each for each in candidates if each in used)
            if others or name in places:
                why = f"it has {', '.join(others)}, which is no candidate" if others else "its set is there already"
                warnings.append(f"{arm} is left out of the screening: {why}.")
                continue
            places[name] = a
        sets = [(), *sorted(filter(None, places), key=lambda one: places[one])]
        order = [places.get(one, -1) for one in sets]
        values, draws = group.values[order], group.draws[order]
        if () not in places:
            values, draws = values.copy(), draws.copy()
            values[0], draws[0] = np.nan, np.nan
        table = Measured(tuple(candidates), tuple(sets), members(sets, candidates), values, draws)
        found.append((condition, table, warnings))
    return found
