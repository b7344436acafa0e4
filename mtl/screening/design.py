"""Which sets of many auxiliaries to train, so that few of them tell the most about all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import circulant, hadamard

from mtl.errors import UserError

LEAST_CANDIDATES = 3  # two have but two sets in between, which an ablation trains with all others
MOST_CANDIDATES = 23  # of a design; beyond, the sets that are predicted could not be listed either
LEAST_WITH = 2  # sets that every auxiliary is in, and sets that it is left out of
RESTARTS = 12  # of the exchange, from which the most balanced sets are taken
WORSE = 1e6  # of a set that stands twice, or is empty or whole, against any lack of balance


def design(candidates: Sequence[str], n_sets: int, seed: int) -> list[tuple[str, ...]]:
    """The sets to train: none of the auxiliaries, all of them, and so many in between.

    Of the sets in between every auxiliary stands in half (one more or less where their number is odd), and every
    two auxiliaries together in a quarter, as nearly as their number allows. Where a Hadamard matrix of that order is
    known in closed form (Plackett and Burman's designs) all pairs are balanced exactly; else, and where signs cannot
    be chosen so that no set is doubled, empty or whole, single entries are exchanged until the pairs are as balanced
    as they get.

    Parameters
    ----------
    candidates : sequence of str
        Auxiliaries, 3 to 23.
    n_sets : int
        Sets in between. With four every auxiliary stands in two and is left out of two: fewer are refused, as are
        more than there are.
    seed : int

    Returns
    -------
    list of tuple of str
        Auxiliaries of each set in the order of the candidates: the empty set, all, then the others; no set twice.

    Raises
    ------
    UserError
        If there are too many candidates, one is named twice, or the number of sets is not possible.

    References
    ----------
    Plackett and Burman, The design of optimum multifactorial experiments, Biometrika 1946; Paley, On orthogonal
    matrices, 1933.
    """
    k = len(candidates)
    twice = next((name for name in candidates if list(candidates).count(name) > 1), None)
    if twice is not None:
        raise UserError(f"screening.candidates names '{twice}' twice.")
    if not LEAST_CANDIDATES <= k <= MOST_CANDIDATES:
        every = ",".join(["[]", *(f"[{name}]" for name in candidates), f"[{','.join(candidates)}]"])
        few = f' Right for two is a sweep of all sets: "+task@tasks={every}".' if k == 2 else ""
        raise UserError(
            f"screening.candidates should be {LEAST_CANDIDATES} to {MOST_CANDIDATES} tasks, found {k}.{few}"
        )
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
    signs = _orthogonal(k, n_sets, seed)
    if signs is None:
        signs = min((_exchanged(k, n_sets, [seed, i]) for i in range(RESTARTS)), key=lambda one: round(_lack(one), 6))
    between = sorted(map(tuple, signs > 0), reverse=True)
    sets = [(False,) * k, (True,) * k, *between]
    return [tuple(name for name, is_in in zip(candidates, used, strict=True) if is_in) for used in sets]


def members(sets: Sequence[Sequence[str]], candidates: Sequence[str]) -> np.ndarray:
    """Which candidates each set has, as zeros and ones of shape (n_sets, n_candidates)."""
    return np.array([[float(name in used) for name in candidates] for used in sets]).reshape(-1, len(candidates))


def _orthogonal(k: int, n: int, seed: int) -> np.ndarray | None:
    """Signs (n, k) whose columns are balanced and orthogonal; None where none are known or none will do."""
    matrix = _hadamard(n) if k < n else None
    if matrix is None:
        return None
    matrix = matrix * matrix[:, :1]  # the first column is one, so all others are balanced
    random = np.random.default_rng(seed)
    for _ in range(100 * RESTARTS):
        columns = 1 + random.permutation(n - 1)[:k]
        signs = matrix[:, columns] * random.choice((-1, 1), k)
        if _n_useless(signs) == 0:
            return signs
    return None


def _hadamard(n: int) -> np.ndarray | None:
    """A Hadamard matrix of order n after Sylvester or Paley; None where neither has one."""
    if n & (n - 1) == 0:
        return hadamard(n).astype(float)
    q = n - 1
    if n % 4 or any(q % p == 0 for p in range(2, int(q**0.5) + 1)):
        return None
    squares = set((np.arange(1, q) ** 2 % q).tolist())
    characters = np.array([0.0, *(1.0 if i in squares else -1.0 for i in range(1, q))])
    skew = np.zeros((n, n))
    skew[0, 1:], skew[1:, 0] = 1.0, -1.0
    skew[1:, 1:] = circulant(characters)
    return skew + np.eye(n)


def _exchanged(k: int, n: int, seed: Sequence[int]) -> np.ndarray:
    """Signs (n, k) of balanced columns, two entries of a column exchanged as long as that balances pairs better."""
    random = np.random.default_rng(seed)
    ones = n // 2 + (random.permuted(np.arange(k) % 2) if n % 2 else np.zeros(k, int))
    signs = np.stack([random.permuted(np.where(np.arange(n) < each, 1.0, -1.0)) for each in ones], axis=1)
    lack, improved = _lack(signs), True
    while improved:
        improved = False
        for column in random.permutation(k):
            better = _best_exchange(signs, int(column), lack)
            if better is not None:
                signs, lack, improved = better, _lack(better), True
    return signs


def _best_exchange(signs: np.ndarray, column: int, lack: float) -> np.ndarray | None:
    """The signs with the two entries of a column exchanged that balance best; None where nothing becomes better."""
    above, below = np.flatnonzero(signs[:, column] > 0), np.flatnonzero(signs[:, column] < 0)
    others = np.delete(signs, column, axis=1)
    now = others.T @ signs[:, column]
    # exchanged, the column's products with the others change by -2 (row that was in - row that was out)
    after = now - 2 * (others[above][:, None] - others[below][None])  # (n_above, n_below, k - 1)
    change = (after**2).sum(axis=-1) - (now**2).sum()
    for place in np.argsort(change, axis=None, kind="stable"):
        i, j = np.unravel_index(place, change.shape)
        if change[i, j] >= 0 and lack < WORSE:
            return None
        changed = signs.copy()
        changed[[above[i], below[j]], column] *= -1
        if _lack(changed) < lack - 1e-9:
            return changed
    return None


def _lack(signs: np.ndarray) -> float:
    """Sum over pairs of columns of their squared product, and much more for every set that is of no use."""
    products = signs.T @ signs
    return float((np.triu(products, 1) ** 2).sum()) + WORSE * _n_useless(signs)


def _n_useless(signs: np.ndarray) -> int:
    """Sets that stand twice, or are empty or whole."""
    constant = int((np.abs(signs.sum(axis=1)) == signs.shape[1]).sum())
    return constant + len(signs) - len(np.unique(signs, axis=0))
