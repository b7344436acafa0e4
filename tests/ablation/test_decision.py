"""A sweep that stops when it knows: what is judged at every look, what is run next, and why it is over."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from test_ablation import design, entry, predictions

from mtl.ablation.decision import Decision, decide, decide_questions, next_jobs
from mtl.ablation.judged import shares_of
from mtl.ablation.questions import Question, of_arrays
from mtl.ablation.rule import Rule
from mtl.ablation.waves import Standing, next_wave

RULE = Rule(0.01, 3, 12, None)
SQUARE = {"main": frozenset(), "a": frozenset("a"), "b": frozenset("b"), "a+b": frozenset("ab")}  # a factorial
STAR = {"main": frozenset(), "a": frozenset("a"), "b": frozenset("b"), "c": frozenset("c")}  # none


def asked(
    arms: dict[str, frozenset[str]],
    n_seeds: int,
    effects: dict[str, float] | None = None,
    seeds: float = 0.004,
    videos: float = 0.0005,
    rule: Rule = RULE,
    lacking: tuple[tuple[str, int], ...] = (),
    failed: tuple[tuple[str, int], ...] = (),
) -> Question:
    """AUCs of sets whose auxiliaries have these effects; the noise of a seed is the same, however many there are."""
    rows = []
    for place in range(n_seeds):
        noise = np.random.default_rng([7, place]).normal(size=len(arms)) * seeds
        rows.append(
            [
                0.7 + sum((effects or {}).get(each, 0.0) for each in used) + noise[i]
                for i, used in enumerate(arms.values())
            ]
        )
    values = np.array(rows).T
    wide = np.random.default_rng(8).normal(size=(len(arms), 2000)) * videos
    draws = values[..., None] + wide[:, None]
    ran = set(product(arms, range(n_seeds))) - {*lacking, *failed}
    for arm, place in (*lacking, *failed):
        values[list(arms).index(arm), place] = draws[list(arms).index(arm), place] = np.nan
    return of_arrays("", arms, values, draws, ran, failed, 100, 0, rule)


def decided(*args, rule: Rule = RULE, **kwargs) -> Decision:
    return decide_questions([asked(*args, rule=rule, **kwargs)], rule)


def words(decision: Decision) -> dict[str, str]:
    return {each.name: each.word for each in decision.course[-1].judged}


# --- from runs --------------------------------------------------------------------------------------------------------


def test_a_factorial_goes_on_by_whole_seeds():
    arms = ["main", "a", "b", "a+b"]
    entries, _ = design(arms, 3)
    decision = decide(entries, "main", (), 100, 0, RULE)
    assert [(look.seeds, look.runs) for look in decision.course] == [(3, 12)]
    assert [each.name for each in decision.course[0].judged] == ["a", "b"]
    assert next_jobs(decision) == [("", arm, 3) for arm in arms]
    assert decision.ended == ""


def test_elsewhere_sets_are_compared_with_the_base():
    entries, _ = design(["main", "a", "b"], 4)
    decision = decide(entries, "main", (), 100, 0, RULE)
    assert [(look.seeds, look.runs) for look in decision.course] == [(3, 9), (4, 12)]
    assert [each.name for each in decision.course[-1].judged] == ["a", "b"]
    assert sorted(next_jobs(decision)) == [("", "a", 4), ("", "b", 4), ("", "main", 4)]


def test_values_are_the_main_effects_over_the_first_seeds():
    entries, aucs = design(["main", "a", "b", "a+b"], 5)
    for look in decide(entries, "main", (), 100, 0, RULE).course:
        both = [aucs["a+b", s] - aucs["b", s] + aucs["a", s] - aucs["main", s] for s in range(look.seeds)]
        assert look.judged[0].value == pytest.approx(np.mean(both) / 2)


def test_the_order_in_which_runs_ended_changes_nothing():
    entries, _ = design(["main", "a", "b", "a+b"], 4)
    mixed = [entries[i] for i in np.random.default_rng(0).permutation(len(entries))]
    one, other = (decide(each, "main", (), 100, 0, RULE) for each in (entries, mixed))
    for left, right in zip(one.course, other.course, strict=True):
        found = {each.name: each for each in right.judged}
        for each in left.judged:
            assert (each.low, each.high) == pytest.approx((found[each.name].low, found[each.name].high), abs=1e-12)
    assert sorted(next_jobs(one)) == sorted(next_jobs(other))


def test_seeds_go_by_the_order_in_which_they_are_launched():
    tables = {(arm, s): predictions(97 * i + s, 1.0) for i, arm in enumerate(("main", "a")) for s in (0, 5, 7, 9)}
    entries = [entry(arm, s, table) for (arm, s), table in tables.items()]
    launched = decide(entries[:3] + entries[4:7], "main", (), 100, 0, RULE, seeds=["5", "7", "0", "8", "9"])
    assert [look.seeds for look in launched.course] == [3]
    assert next_jobs(launched) == [("", "main", 3), ("", "a", 3)]  # seed 8
    gap = decide(entries, "main", (), 100, 0, RULE, seeds=["5", "7", "8", "0", "9"])
    assert gap.course == ()  # of the first three seeds one is not there yet
    assert next_jobs(gap) == [("", "main", 2), ("", "a", 2)]


def test_a_run_without_an_auc_is_not_tried_again():
    entries, _ = design(["main", "a", "b", "a+b"], 5)
    entries[6] = replace(entries[6], predicted=replace(entries[6].predicted, counts=(), fault="diverged"))  # a, seed 1
    decision = decide(entries, "main", (), 100, 0, RULE, failed=[("", "b", "5")])
    assert [look.seeds for look in decision.course] == [3, 4]
    assert {place for _, _, place in next_jobs(decision)} == {6}
    assert any("2 runs gave no AUC and are not tried again" in note for note in decision.notes)


def test_every_condition_has_questions_of_its_own():
    arms = ("main", "a", "b", "a+b")
    entries = [
        entry(arm, s, predictions(97 * i + s, 1.0), condition)
        for i, (condition, arm) in enumerate(product(("x=1", "x=2"), arms))
        for s in range(3 if condition == "x=1" else 4)
        if (condition, arm) != ("x=2", "b")
    ]
    decision = decide(entries, "main", (), 100, 0, RULE)
    jobs = next_jobs(decision)
    assert [(each.condition, each.name, each.seeds) for each in decision.course[0].judged] == [
        ("x=1", "a", 3),
        ("x=1", "b", 3),
        ("x=2", "a", 0),  # a set of these was not tried yet
        ("x=2", "b", 0),
    ]
    assert {("x=1", arm, 3) for arm in arms} | {("x=2", "b", place) for place in range(3)} == set(jobs)


def test_nothing_to_compare_is_over():
    none, single = decide([], "main", (), 50, 0, RULE), decide(design(["main"], 3)[0], "main", (), 50, 0, RULE)
    for decision in (none, single):
        assert next_jobs(decision) == []
        assert "nothing to compare" in decision.ended


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_effects_that_differ_are_told():
    decision = decided(SQUARE, 12, {"a": 0.03, "b": -0.03})
    assert words(decision) == {"a": "helps", "b": "hurts"}
    assert decision.ended == "Every comparison has a verdict."
    assert next_jobs(decision) == []


def test_what_does_not_matter_wins_where_zero_is_left_out():
    judged = decided(SQUARE, 12, {"a": 0.004, "b": 0.0}, seeds=0.0005).course[-1].judged[0]
    assert 0 < judged.low < judged.high < 0.01
    assert judged.word == "does not matter"
    assert judged.shares == (0.0, 1.0, 0.0)


def test_the_most_seeds_are_an_end():
    decision = decided(SQUARE, 12, {"a": 0.008}, seeds=0.012)
    assert words(decision)["a"] == "cannot tell"
    assert decision.ended == "The most seeds, 12, have been run without a verdict on a, b."
    assert decision.course[-1].judged[0].reason.startswith("too few seeds")


def test_few_videos_are_an_end_and_it_is_said_how_many_would_do():
    decision = decided(SQUARE, 6, seeds=0.002, videos=0.03)
    assert words(decision) == {"a": "cannot tell", "b": "cannot tell"}
    assert next_jobs(decision) == []
    assert decision.needed_videos > 100
    assert f"the test videos are too few, about {decision.needed_videos:,} would be needed" in decision.ended
    assert (decision.fixed_runs, "too few" in decision.fixed_reason) == (0, True)
    enough = 0.03 * np.sqrt(100 / decision.needed_videos)
    assert "cannot tell" not in words(decided(SQUARE, 12, seeds=0.002, videos=enough)).values()


def test_what_is_too_few_is_said_of_seeds_and_of_videos():
    reasons = [
        decided(SQUARE, 12, {"a": 0.006, "b": 0.006}, seeds=seeds, videos=videos).course[-1].judged[0].reason
        for seeds, videos in ((0.012, 0.0005), (0.002, 0.006), (0.012, 0.004))
    ]
    assert reasons[0].startswith("too few seeds: alone the seeds leave ±")
    assert reasons[1].startswith("too few test videos")
    assert "there are 100" in reasons[1]
    assert reasons[2].startswith("too few seeds and test videos")
    assert reasons[2].endswith("and more than 12 seeds")


def test_the_order_of_seeds_changes_the_looks_before_the_last_only():
    values = 0.7 + np.random.default_rng(3).normal(size=(4, 6)) * 0.004
    draws = values[..., None] + np.random.default_rng(4).normal(size=(4, 1, 500)) * 0.001
    ran = set(product(SQUARE, range(6)))
    one, other = (
        decide_questions([of_arrays("", SQUARE, values[:, turn], draws[:, turn], ran, (), 100, 0, RULE)], RULE)
        for turn in (np.arange(6), np.array([3, 0, 5, 1, 4, 2]))
    )
    assert one.course[0].judged[0].value != pytest.approx(other.course[0].judged[0].value)
    for left, right in zip(one.course[-1].judged, other.course[-1].judged, strict=True):
        assert (left.value, left.low, left.high) == pytest.approx((right.value, right.low, right.high))


def test_more_seeds_than_planned_lose_the_error():
    assert decided(SQUARE, 12).notes == ()
    assert "not held any more" in " ".join(decided(SQUARE, 13).notes)


def test_no_look_is_changed_by_what_comes_later():
    short, long = decided(SQUARE, 5, {"a": 0.01}), decided(SQUARE, 9, {"a": 0.01})
    assert short.course == long.course[: len(short.course)]


def test_looking_costs_the_seeds_part_alone():
    plain, looked = Rule(0.01, 6, 6, None), Rule(0.01, 3, 12, None)
    for seeds, videos, ratio in ((0.004, 0.0, 1.5), (0.0, 0.004, 1.0)):
        one, other = (
            decided(SQUARE, 6, seeds=seeds, videos=videos, rule=rule).course[-1].judged[0] for rule in (plain, looked)
        )
        widened = (other.high - other.low) / (one.high - one.low)
        assert widened > ratio if seeds else widened == pytest.approx(1.0)


def test_the_order_of_auxiliaries_changes_no_verdict():
    arms = ["main", "b", "a", "a+b"]
    entries, _ = design(arms, 4)
    swapped = [each for arm in ("a+b", "a", "main", "b") for each in entries if each.arm == arm]
    one, other = (decide(each, "main", (), 100, 0, RULE).course[-1].judged for each in (entries, swapped))
    found = {each.name: each for each in other}
    for each in one:
        assert (each.value, each.low, each.high) == pytest.approx(
            (found[each.name].value, found[each.name].low, found[each.name].high), abs=1e-12
        )


def test_shares_of_resamples_sum_to_one_and_leave_out_what_is_undefined():
    assert shares_of(np.array([-0.02, -0.01, 0.0, 0.005, 0.03, np.nan]), 0.01) == pytest.approx((0.4, 0.4, 0.2))
    assert np.isnan(shares_of(np.array([np.nan]), 0.01)).all()


# --- what comes next --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arms", [SQUARE, STAR])
def test_proposals_do_not_know_how_large_an_effect_looks(arms):
    seconds, left = {"main": 1.0, "a": 2.0, "b": 3.0, "c": 5.0, "a+b": 4.0}, 10.0
    found = []
    for effects in ({}, {"a": 0.02}, {"a": -0.02, "b": 0.015, "c": 0.02}):
        decision = decided(arms, 4, effects, seeds=0.012)
        assert set(words(decision).values()) == {"cannot tell"}
        found.append([next_jobs(decision), next_jobs(decision, seconds, left), next_jobs(decision, seconds, 5.0)])
    assert found[0] == found[1] == found[2]
    assert found[0][0] != found[0][1] or arms is SQUARE


def test_only_sets_that_are_open_go_on():
    decision = decided(STAR, 8, {"a": 0.06}, seeds=0.005)
    assert words(decision) == {"a": "helps", "b": "cannot tell", "c": "cannot tell"}
    assert sorted(next_jobs(decision)) == [("", "b", 8), ("", "c", 8), ("", "main", 8)]


def test_a_seed_of_a_factorial_is_run_whole_or_not_at_all():
    decision = decided(SQUARE, 4, seeds=0.012)
    seconds = dict.fromkeys(SQUARE, 10.0)
    assert len(next_jobs(decision, seconds, 40.0)) == 4
    assert next_jobs(decision, seconds, 39.0) == []


def test_what_narrows_most_for_its_cost_comes_first():
    tried = {arm: frozenset(range(4)) for arm in STAR}
    none = dict.fromkeys(STAR, frozenset())
    star = Standing("", tuple(STAR), "main", tried, none, {"a": 1e-4, "b": 4e-4, "c": 1e-4}, 3, 12)
    assert [arm for _, arm, _ in next_wave([star])] == ["main", "b", "a", "c"]
    costs = {"main": 1.0, "a": 1.0, "b": 20.0, "c": 2.0}
    assert [arm for _, arm, _ in next_wave([star], costs)] == ["main", "a", "c", "b"]
    assert [arm for _, arm, _ in next_wave([star], costs, 2.0)] == ["main", "a"]


def test_a_killed_wave_is_completed_by_what_it_lacks():
    decision = decided(SQUARE, 5, seeds=0.012, lacking=(("b", 4), ("a+b", 4)))
    assert [look.seeds for look in decision.course] == [3, 4]
    assert next_jobs(decision) == [("", "b", 4), ("", "a+b", 4)]


def test_a_smaller_margin_asked_later_runs_what_is_missing_only():
    stricter = Rule(0.002, 3, 12, None)
    done = decided(SQUARE, 8, {"a": 0.03, "b": 0.0}, seeds=0.003)
    again = decided(SQUARE, 8, {"a": 0.03, "b": 0.0}, seeds=0.003, rule=stricter)
    assert words(done) == {"a": "helps", "b": "does not matter"}
    assert next_jobs(done) == []
    assert words(again) == {"a": "helps", "b": "cannot tell"}
    assert next_jobs(again) == [("", arm, 8) for arm in SQUARE]
    ends = [[(each.low, each.high) for look in found.course for each in look.judged] for found in (done, again)]
    assert ends[0] == ends[1]  # the looks are the same, so the intervals are


def test_a_set_that_never_gives_anything_is_left_out():
    dead = tuple(("a+b", place) for place in range(3))
    decision = decided(SQUARE, 3, seeds=0.012, failed=dead)
    assert "a+b: left out, as none of its runs gave an AUC." in decision.notes
    assert {each.name for each in decision.course[-1].judged} == {"a", "b"}
    assert sorted(next_jobs(decision)) == [("", "a", 3), ("", "b", 3), ("", "main", 3)]


def test_a_condition_in_which_all_failed_is_named():
    entries, _ = design(["main", "a"], 3)
    failed = [("x=2", arm, str(s)) for arm in ("main", "a") for s in range(3)]
    decision = decide(entries, "main", (), 100, 0, RULE, failed=failed)
    assert "x=2: nothing is compared, as none of its runs gave an AUC." in decision.notes
    assert {condition for condition, _, _ in next_jobs(decision)} == {""}


def test_where_every_seed_has_a_hole_no_seed_is_left():
    rule = Rule(0.01, 2, 4, None)
    holes = (("a", 0), ("b", 1), ("a+b", 2))
    decision = decided(SQUARE, 4, rule=rule, failed=holes)
    assert next_jobs(decision) == []
    assert decision.ended.startswith("No seed is left")


def test_a_first_look_is_worked_up_to():
    decision = decided(SQUARE, 1)
    assert decision.course == ()
    assert next_jobs(decision) == [("", arm, place) for place in (1, 2) for arm in SQUARE]
    assert decision.fixed_reason == "no look is possible yet"


def test_runs_of_the_fixed_design_are_whole_seeds():
    decision = decided(SQUARE, 6, seeds=0.008)
    assert decision.fixed_runs > 0
    assert decision.fixed_runs % 4 == 0
