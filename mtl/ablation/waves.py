"""Which runs come next: whole seeds of a factorial, single sets elsewhere, by variance and cost alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Job = tuple[str, str, int]  # condition, arm, place of the seed


@dataclass(frozen=True)
class Standing:
    """What the runs of one condition have come to, as far as it matters for what comes next.

    Attributes
    ----------
    condition : str
    arms : tuple of str
        All that are compared, in the order of launch.
    base : str
        The arm that each other one is compared with; empty in a factorial, where every effect is made of all arms.
    tried : mapping of str to set of int
        By arm the places of the seeds that were run, whatever came of it.
    failed : mapping of str to set of int
        Those of them that gave no number.
    variances : mapping of str to float
        Of every answer that is open, over seeds: by arm, in a factorial one under the empty name. Empty where none is.
    first_seeds, most_seeds : int
        Before the first look, and in all.
    """

    condition: str
    arms: tuple[str, ...]
    base: str
    tried: Mapping[str, frozenset[int]]
    failed: Mapping[str, frozenset[int]]
    variances: Mapping[str, float]
    first_seeds: int
    most_seeds: int

    def together(self, answer: str) -> tuple[str, ...]:
        """The arms that an answer is made of."""
        return tuple(arm for arm in self.arms if not self.base or arm in (self.base, answer))

    def complete(self, answer: str) -> list[int]:
        """Places of the seeds, in order, that all arms of an answer have, up to the first that one still owes."""
        arms = self.together(answer)
        found: list[int] = []
        for place in range(1 + max((seed for arm in arms for seed in self.tried[arm]), default=-1)):
            if any(place in self.failed[arm] for arm in arms):
                continue  # never whole any more
            if not all(place in self.tried[arm] for arm in arms):
                break
            found.append(place)
        return found

    def lacking(self, answer: str) -> list[int]:
        """Places of the seeds that an answer gets next: one, before the first look as many as that takes."""
        arms = self.together(answer)
        found: list[int] = []
        n = max(self.first_seeds - len(self.complete(answer)), 1)
        for place in range(self.most_seeds):
            owed = any(place not in self.tried[arm] for arm in arms)
            if owed and not any(place in self.failed[arm] for arm in arms) and len(found) < n:
                found.append(place)
        return found


def next_wave(
    standings: Sequence[Standing], seconds: Mapping[str, float] | None = None, seconds_left: float = float("inf")
) -> list[Job]:
    """One more seed for every answer that is open, as far as the time allows.

    An answer gets its seed whole or not at all: a seed that one of its sets lacks counts for nothing.
    Those come first whose variance, s^2 / n, falls most for a second of work: by s^2 (1/n - 1/(n + 1)) over
    the cost of the runs that are missing. How large an effect looks is not known here.

    Parameters
    ----------
    standings : sequence of Standing
        One per condition.
    seconds : mapping of str to float, optional
        What a run of each arm takes; one that is not named takes the mean of the others.
    seconds_left : float
        What all runs of the wave may take together, one after the other.

    Returns
    -------
    list of (str, str, int)
        Condition, arm and place of the seed; empty where nothing is open, left or affordable.
    """
    known = dict(seconds or {})
    usual = sum(known.values()) / len(known) if known else 1.0
    wave: dict[Job, None] = {}
    left = seconds_left
    for jobs in _by_worth(standings, known, usual):
        new = [job for job in jobs if job not in wave]
        cost = sum(known.get(arm, usual) for _, arm, _ in new)
        if cost <= left:
            left -= cost
            wave.update(dict.fromkeys(new))
    return list(wave)


def _by_worth(standings: Sequence[Standing], seconds: Mapping[str, float], usual: float) -> Iterator[list[Job]]:
    """Runs that each open answer lacks of its next seed, the best for its cost first, else in order of launch."""
    found = []
    for standing in standings:
        for answer, variance in standing.variances.items():
            places, together = standing.lacking(answer), standing.together(answer)
            n = len(standing.complete(answer))
            jobs = [(standing.condition, arm, i) for i in places for arm in together if i not in standing.tried[arm]]
            cost = sum(seconds.get(arm, usual) for _, arm, _ in jobs)
            if jobs:
                drop = variance / (n * (n + 1)) if n else float("inf")
                found.append((-drop / cost if cost > 0 else -float("inf"), jobs))
    return (jobs for _, jobs in sorted(found, key=lambda one: one[0]))
