"""Designs of few sets: balanced, without doubles, and refused where they cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.errors import UserError
from mtl.screening.design import design, members


def names(k: int) -> list[str]:
    return [f"a{i}" for i in range(k)]


@given(st.integers(3, 12), st.integers(4, 26), st.integers(0, 5))
def test_every_auxiliary_is_in_half_of_the_sets(k, n, seed):
    if n > 2**k - 2:
        with pytest.raises(UserError, match=f"at most {2**k - 2}"):
            design(names(k), n, seed)
        return
    sets = design(names(k), n, seed)
    assert sets[:2] == [(), tuple(names(k))]
    assert len(set(sets)) == n + 2
    used = members(sets[2:], names(k)).sum(axis=0)
    assert (np.abs(used - n / 2) <= 1).all()
    assert sets == design(names(k), n, seed)


@pytest.mark.parametrize(
    ("k", "n", "most"), [(13, 20, 0), (12, 16, 0), (23, 24, 0), (4, 10, 2), (13, 22, 2), (23, 40, 4)]
)
def test_pairs_are_balanced(k, n, most):
    """In signs, two columns that are used alike as often as unlike have a product of 0; 2 is one set too many."""
    signs = 2 * members(design(names(k), n, 1)[2:], names(k)) - 1
    products = signs.T @ signs
    assert np.abs(products - np.diag(np.diag(products))).max() <= most


def test_order_is_that_of_the_candidates():
    for used in design(["z", "b", "a", "y"], 10, 0):
        assert list(used) == [name for name in ["z", "b", "a", "y"] if name in used]


@pytest.mark.parametrize(
    ("candidates", "n", "said"),
    [
        (names(24), 30, "3 to 23"),
        (names(13), 3, "in 2 sets"),
        (["a", "b", "a"], 6, "'a' twice"),
        (["a"], 4, "3 to 23 tasks, found 1.$"),
        (["a", "b"], 4, r'found 2. Right for two is a sweep of all sets: "\+task@tasks=\[\],\[a\],\[b\],\[a,b\]"'),
    ],
)
def test_what_cannot_be_is_said_in_one_line(candidates, n, said):
    with pytest.raises(UserError, match=said) as error:
        design(candidates, n, 0)
    assert "\n" not in str(error.value)
