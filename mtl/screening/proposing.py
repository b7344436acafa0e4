"""Which sets to train next, after a screening."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from mtl.errors import UserError


def propose(
    done: Sequence[tuple[str, ...]], gains: Sequence[float], candidates: Sequence[str], n: int, seed: int
) -> list[tuple[str, ...]]:
    """The next sets, that of the auxiliaries that gained most on the mean first.

    Parameters
    ----------
    done : sequence of tuple of str
        Sets that were trained, also the empty one.
    gains : sequence of float
        Of each over the main task alone, of validation videos; NaN where a run has none.
    candidates : sequence of str
    n : int
    seed : int
        Of equally good sets.

    Raises
    ------
    UserError
        If there are not so many other sets.
    """
    every = [each for size in range(1, len(candidates) + 1) for each in combinations(candidates, size)]
    left = [each for each in every if each not in set(done)]
    if n > len(left):
        raise UserError(
            f"screening.propose should be at most {len(left)}, as no more sets of {len(candidates)} candidates are "
            f"left, found {n}."
        )
    found = {}
    for name in candidates:
        values = [gain for one, gain in zip(done, gains, strict=True) if name in one and np.isfinite(gain)]
        found[name] = float(np.mean(values)) if values else 0.0
    np.random.default_rng(seed).shuffle(left)
    return sorted((tuple(each) for each in left), key=lambda each: -sum(found[name] for name in each))[:n]
