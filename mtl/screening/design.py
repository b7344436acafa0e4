"""Which sets of many auxiliaries to train, so that few of them tell the most about all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtl.errors import UserError

MOST_CANDIDATES = 23
LEAST_WITH = 2  # sets that every auxiliary is in, and sets that it is left out of


def design(candidates: Sequence[str], n_sets: int, seed: int) -> list[tuple[str, ...]]:
    """The sets to train: none of the auxiliaries, all of them, and so many in between, half of which hold each.

    Parameters
    ----------
    candidates : sequence of str
        Auxiliaries, at most 23.
    n_sets : int
        Sets in between.
    seed : int

    Returns
    -------
    list of tuple of str
        Auxiliaries of each set in the order of the candidates; no set twice.

    Raises
    ------
    UserError
        If there are too many candidates, one is named twice, or the number of sets is not possible.
    """
    k = len(candidates)
    twice = next((name for name in candidates if list(candidates).count(name) > 1), None)
    if twice is not None:
        raise UserError(f"screening.candidates names '{twice}' twice.")
    if not 2 <= k <= MOST_CANDIDATES:
        raise UserError(f"screening.candidates should be 2 to {MOST_CANDIDATES} tasks, found {k}.")
    if n_sets > 2**k - 2:
        raise UserError(
            f"screening.sets should be at most {2**k - 2} with {k} candidates, as there are no more besides none and "
            f"all, found {n_sets}."
        )
    if n_sets < 2 * LEAST_WITH:
        raise UserError(
            f"screening.sets should be at least {2 * LEAST_WITH}, so that every candidate is in {LEAST_WITH} sets and "
            f"left out of {LEAST_WITH}, found {n_sets}."
        )
    random = np.random.default_rng(seed)
    while True:  # columns of zeros and ones in equal number, drawn until no set is twice, empty or whole
        drawn = np.stack([random.permutation(np.arange(n_sets) < n_sets // 2) for _ in range(k)], axis=1)
        if len(np.unique(np.vstack([drawn, np.zeros((1, k)), np.ones((1, k))]), axis=0)) == n_sets + 2:
            break
    sets = [(False,) * k, (True,) * k, *map(tuple, drawn)]
    return [tuple(name for name, is_in in zip(candidates, used, strict=True) if is_in) for used in sets]
