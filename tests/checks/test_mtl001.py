"""MTL001: too few seeds for any p value."""

from __future__ import annotations

import pytest
from made_evidence import evidence, found, sets

from mtl.checks.few_seeds import FewSeeds

NEEDED = "seeds are needed for one below 0.05."


@pytest.mark.parametrize(
    ("seeds", "n", "line"),
    [
        (
            1,
            1,
            f"With 1 seed, no Holm p of 1 difference can be below 1: at least 6 {NEEDED}",
        ),
        (
            5,
            1,
            f"With 5 seeds, no Holm p of 1 difference can be below 0.062: at least 6 {NEEDED}",
        ),
        (
            6,
            2,
            f"With 6 seeds, no Holm p of 2 differences can be below 0.062: at least 7 {NEEDED}",
        ),
    ],
)
def test_too_few_seeds_are_an_issue(seeds, n, line):
    assert found(FewSeeds(), evidence(compared={"sets": sets(seeds, n)})) == ("issue", line)


def test_enough_seeds_pass():
    line = "With 6 seeds, a Holm p of 1 difference can be as low as 0.031."
    assert found(FewSeeds(), evidence(compared={"sets": sets(6, 1)})) == ("passed", line)


def test_without_a_difference_there_is_nothing_to_look_at():
    line = "There is no difference that has a p value."
    assert found(FewSeeds(), evidence()) == ("not applicable", line)
