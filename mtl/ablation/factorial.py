"""Main effects and Shapley values: weights that turn the AUCs of sets into effects."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np


def bundles(sets: Sequence[Collection[str]]) -> list[tuple[str, ...]]:
    """Auxiliaries that a design can separate: those always used together are one bundle.

    Parameters
    ----------
    sets : sequence of collections of str
        Auxiliary tasks of every set of the design; the main task is not named.

    Returns
    -------
    list of tuple of str
        In order of first appearance.
    """
    names = list(dict.fromkeys(name for used in sets for name in used))
    by_use: dict[tuple[bool, ...], list[str]] = {}
    for name in names:
        by_use.setdefault(tuple(name in used for used in sets), []).append(name)
    return [tuple(alike) for alike in by_use.values()]


def main_effects(sets: Sequence[Collection[str]]) -> dict[tuple[str, ...], np.ndarray]:
    """Weights that turn the AUCs of all sets into the main effect of each auxiliary.

    The main effect of j is the mean of AUC(S + j) - AUC(S) over every set S of the
    design without j whose S + j is there too: all of them in a full factorial.

    Parameters
    ----------
    sets : sequence of collections of str
        Distinct sets of auxiliaries, the empty one among them or not.

    Returns
    -------
    dict of tuple of str to ndarray of shape (n_sets,)
        By bundle (see `bundles`); those that no pair of sets isolates are missing.
    """
    position = _positions(sets)
    effects = {}
    for bundle in bundles(sets):
        pairs = [
            (position[s | set(bundle)], i)
            for s, i in position.items()
            if not s & set(bundle) and s | set(bundle) in position
        ]
        if pairs:
            effects[bundle] = np.zeros(len(sets))
            for with_it, without in pairs:
                effects[bundle][with_it] += 1 / len(pairs)
                effects[bundle][without] -= 1 / len(pairs)
    return effects


def shapley_values(sets: Sequence[Collection[str]]) -> dict[tuple[str, ...], np.ndarray]:
    """Weights that turn the AUCs of all sets into the Shapley value of each auxiliary.

    The mean over all orders of joining of what j adds to those before it; the
    values sum to AUC(all) - AUC(none).

    Parameters
    ----------
    sets : sequence of collections of str
        Distinct sets of auxiliaries.

    Returns
    -------
    dict of tuple of str to ndarray of shape (n_sets,)
        By bundle, for the largest full factorial that the design holds; sets
        outside of it have no weight. Empty where it holds none.

    References
    ----------
    Shapley, A value for n-person games, 1953.
    """
    position = _positions(sets)
    factors = _largest_factorial(bundles(sets), position)
    values = {factor: np.zeros(len(sets)) for factor in factors}
    n = len(factors)
    for factor, weights in values.items():
        others = [other for other in factors if other != factor]
        for size in range(n):
            share = 1 / (n * math.comb(n - 1, size))
            for before in combinations(others, size):
                joined = frozenset().union(*before)
                weights[position[joined | set(factor)]] += share
                weights[position[joined]] -= share
    return values


def contrast(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted sum over the first axis; what has no weight may be NaN.

    Parameters
    ----------
    weights : ndarray of shape (n_sets,)
        For example of `main_effects`.
    values : ndarray of shape (n_sets, ...)
        AUCs by set, then seed, then resample: both arguments of `effect`, for one
        set after the other.

    Returns
    -------
    ndarray of shape (...)
    """
    used = weights != 0
    return np.tensordot(weights[used], values[used], axes=1)


def _positions(sets: Sequence[Collection[str]]) -> dict[frozenset[str], int]:
    """Where each set stands."""
    position = {frozenset(used): i for i, used in enumerate(sets)}
    if len(position) != len(sets):
        raise ValueError("A set of auxiliaries is listed twice.")
    return position


def _largest_factorial(factors: list[tuple[str, ...]], position: Collection[frozenset[str]]) -> list[tuple[str, ...]]:
    """The most factors of which every combination is there; the first such in order."""
    for size in range(len(factors), 0, -1):
        for chosen in combinations(factors, size):
            unions = (frozenset().union(*some) for k in range(size + 1) for some in combinations(chosen, k))
            if all(union in position for union in unions):
                return list(chosen)
    return []
