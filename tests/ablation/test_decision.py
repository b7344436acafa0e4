"""A sweep that stops when it knows: what is judged at every look, what is run next, and why it is over."""

from __future__ import annotations

from test_ablation import design

from mtl.ablation.decision import decide, next_jobs
from mtl.ablation.rule import Rule

RULE = Rule(0.01, 3, 12, None)


def test_a_factorial_goes_on_by_whole_seeds():
    arms = ["main", "a", "b", "a+b"]
    entries, _ = design(arms, 3)
    decision = decide(entries, "main", (), 100, 0, RULE)
    assert [look.seeds for look in decision.course] == [3]
    assert [each.name for each in decision.course[0].judged] == ["a", "b"]
    assert next_jobs(decision) == [("", arm, 3) for arm in arms]
    assert decision.ended == ""


def test_elsewhere_sets_are_compared_with_the_base():
    entries, _ = design(["main", "a", "b"], 4)
    decision = decide(entries, "main", (), 100, 0, RULE)
    assert [look.seeds for look in decision.course] == [3, 4]
    assert [each.name for each in decision.course[-1].judged] == ["a", "b"]
    assert sorted(next_jobs(decision)) == [("", "a", 4), ("", "b", 4), ("", "main", 4)]
