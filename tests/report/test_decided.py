"""What a sweep that ends when it knows says in its report."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from mtl.ablation.comparison import Comparison
from mtl.ablation.decision import Decision, Look
from mtl.ablation.judged import Judged
from mtl.ablation.rule import Rule
from mtl.ablation.tables import AUXILIARIES, SHAPLEY, SHARES
from mtl.ablation.waves import Standing
from mtl.plots.course import course_of_looks
from mtl.report import decided

RULE = Rule(0.01, 3, 12, None)


def judged(name, value, low, high, word, reason="", seeds=4, shares=(0.1, 0.2, 0.7)):
    return Judged("", name, value, low, high, seeds, word, reason, shares)


def standing(base):
    return Standing("", ("single", "a", "b"), base, {}, {}, {}, 3, 12)


def decision(*last, base="", ended="Every comparison has a verdict.", **more):
    before = Look(3, 9, tuple(judged(each.name, each.value, -0.5, 0.5, "cannot tell", seeds=3) for each in last))
    given = {"fixed_runs": 33, "standings": (standing(base),)} | more
    return Decision((before, Look(4, 12, tuple(last))), ended, **given)


def comparison(*rows):
    columns = [*AUXILIARIES, *SHARES, *SHAPLEY]
    table = pd.DataFrame([{"condition": "", "reason": "", **row} for row in rows], columns=columns)
    empty = pd.DataFrame()
    return Comparison(empty, empty, table, empty, empty, empty)


def plain(auxiliary, pairs):
    return {"auxiliary": auxiliary, "pairs": pairs, "low": -1.0, "high": 1.0, "verdict": "cannot tell"}


# the set `a` trains the auxiliary b too: names of sets and of auxiliaries may be the same words
ENTRIES = [
    SimpleNamespace(arm="single", tasks=frozenset({"main"})),
    SimpleNamespace(arm="a", tasks=frozenset({"main", "b"})),
    SimpleNamespace(arm="b", tasks=frozenset({"main", "b", "c"})),
]


def test_in_a_factorial_auxiliaries_have_the_verdicts_of_the_last_look():
    found = decision(judged("a", 0.02, 0.01, 0.03, "helps"), judged("b", 0.0, -0.05, 0.05, "cannot tell", "too few"))
    table = decided.with_decision(comparison(plain("a", 2), plain("b", 2), plain("c", 2)), found, ENTRIES, "main")
    rows = table.auxiliaries.set_index("auxiliary")
    assert rows["verdict"].to_dict() == {"a": "helps", "b": "cannot tell", "c": "cannot tell"}
    assert rows.loc["a", ["low", "high", *SHARES]].tolist() == [0.01, 0.03, 0.1, 0.2, 0.7]
    assert rows.loc["c", ["low", "high"]].tolist() == [-1.0, 1.0]


def test_a_set_s_verdict_is_that_of_what_it_adds_where_no_other_sets_tell_of_it():
    found = decision(judged("a", 0.02, 0.01, 0.03, "helps"), judged("b", -0.02, -0.03, -0.01, "hurts"), base="single")
    table = decided.with_decision(comparison(plain("b", 1), plain("b + c", 1)), found, ENTRIES, "main")
    assert table.auxiliaries["verdict"].tolist() == ["helps", "hurts"]
    table = decided.with_decision(comparison(plain("b", 2)), found, ENTRIES, "main")
    assert table.auxiliaries["verdict"].tolist() == ["cannot tell"]


def test_before_the_first_look_nothing_is_said():
    none = Decision((), "", 0, fixed_reason="no look is possible yet")
    before = comparison(plain("a", 1))
    assert decided.with_decision(before, none, ENTRIES, "main") is before
    assert len(decided.decision_table(none)) == 0
    assert decided.decision_sentences(none, RULE)[:2] == [
        "It is not over: the same command goes on.",
        "0 runs used; the margin is 0.01 of AUC. There is no fixed design to compare with: no look is possible yet.",
    ]


def test_why_it_ended_what_it_took_and_what_is_open_are_sentences():
    found = decision(
        judged("a", 0.02, 0.01, 0.03, "helps"), judged("b", 0.0, -0.05, 0.05, "cannot tell", "too few seeds"),
        notes=("1 run failed.",),
    )  # fmt: skip
    lines = decided.decision_sentences(found, RULE)
    assert lines[0] == "Every comparison has a verdict."
    assert lines[1].startswith("12 runs used; the margin is 0.01 of AUC. A design of one fixed number of seeds that")
    assert lines[1].endswith("probability 0.9 takes 33.")
    assert lines[2] == "b: cannot tell, too few seeds."
    assert lines[-1] == "1 run failed."
    table = decided.decision_table(found)
    assert table["verdict"].to_dict() == {"a": "helps", "b": "cannot tell"}
    assert "condition" not in table


def test_the_course_has_every_look_of_every_effect():
    found = decision(judged("a", 0.02, 0.01, 0.03, "helps"), judged("b", 0.0, -0.05, 0.05, "cannot tell"))
    first, second = decided.courses(found)
    assert (first.name, first.verdict, first.runs) == ("a", "helps", [9, 12])
    assert (first.value, first.low, first.high) == ([0.02, 0.02], [-0.5, 0.01], [0.5, 0.03])
    assert first.is_decided == [False, True]
    assert second.is_decided == [False, False]
    figure = course_of_looks([first, second], 0.01, "AUC of main")
    panels = figure.axes
    assert [panel.get_title() for panel in panels] == ["a\nhelps", "b\ncannot tell"]
    (band,) = panels[0].patches
    assert band.get_y() == pytest.approx(-0.01)
    assert band.get_height() == pytest.approx(0.02)
    filled = [len(line.get_xdata()) for line in panels[0].lines if line.get_markerfacecolor() == "black"]
    assert filled == [1]
    nothing = course_of_looks([], 0.01, "AUC of main")
    assert nothing.axes[0].texts[0].get_text() == "no effect could be looked at yet"


def test_the_rule_is_that_of_the_last_run_and_another_margin_may_be_asked_for():
    runs = [
        SimpleNamespace(name="1", tags={"decide.seeds": "2/5", "decide.margin": "0.02"}),
        SimpleNamespace(name="2", tags={"decide.seeds": "3/9", "decide.margin": "0.005"}),
    ]
    rule = decided.rule_of(runs)
    assert (rule.margin, rule.first_seeds, rule.most_seeds) == (0.005, 3, 9)
    assert decided.rule_of(runs, 0.03).margin == 0.03
    assert decided.rule_of([SimpleNamespace(name="1", tags={"decide.margin": "0.02"})]) is None


def test_machines_read_the_same():
    found = decision(judged("a", 0.02, 0.01, 0.03, "helps"))
    read = json.loads(json.dumps(decided.as_plain(found, RULE)))
    assert (read["margin"], read["first_seeds"], read["most_seeds"], read["fixed_runs"]) == (0.01, 3, 12, 33)
    assert [look["runs"] for look in read["looks"]] == [9, 12]
    assert read["looks"][1]["judged"][0]["word"] == "helps"
