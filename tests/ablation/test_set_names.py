"""Task sets go by their tasks in every table, whatever was typed to get them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtl.ablation import design
from mtl.ablation.set_names import members_of, with_set_names
from mtl.results import MEMBERS, TrackedRun


def run(name: str, *tasks: str, seed: int = 0, tagged: bool = True, known: bool = True) -> TrackedRun:
    """A run whose set is told as `name`; of before tasks were tracked in order where it is not `tagged`."""
    params = {"tasks": name, "seed": str(seed), **{f"task.{task}": "1" for task in tasks}, "task.other": "0"}
    tags = {"tasks": name} | ({MEMBERS: "+".join(tasks)} if tagged else {})
    return TrackedRun("0", f"{name} seed={seed}", "FINISHED", params if known else {}, {"auc/main": 0.7}, tags)


def composed(*tasks: str, seed: int = 0) -> TrackedRun:
    return run("+".join(tasks), *tasks, seed=seed)


def names(*runs: TrackedRun) -> list[str]:
    return [each.params.get("tasks", each.tags["tasks"]) for each in with_set_names(runs)]


def test_a_set_without_a_name_goes_by_what_not_all_sets_share():
    single = run("anomaly", "main")
    assert names(single, composed("main", "a", "b"), composed("main", "b")) == ["anomaly", "+ a + b", "+ b"]
    assert names(composed("main", "a")) == ["main + a"]
    assert names(composed("main", "a"), composed("main", "a", "b")) == ["main + a", "+ b"]
    assert names(composed("main", "a"), composed("other", "b")) == ["main + a", "other + b"]
    assert names() == []


def test_a_set_that_has_nearly_all_is_told_by_what_it_lacks():
    tasks = ["violence", "robbery", "burglary", "arson"]
    runs = [composed("main", *tasks), composed("main", *tasks[:3]), composed("main", *tasks[:2]), run("one", "main")]
    assert names(*runs) == ["all 4 auxiliaries", "all 4 auxiliaries but arson", "+ violence + robbery", "one"]


def test_two_names_of_the_same_tasks_in_the_same_order_are_one_row():
    runs = [composed("main", "a", seed=0), run("pair", "main", "a", seed=1), run("mine", "main", "a", seed=2)]
    assert names(*runs) == ["pair"] * 3
    assert design.runs_table(runs)["set"].tolist() == ["pair"] * 3
    assert set(names(composed("main", "a", "b"), composed("main", "b", "a"))) == {"main + a + b", "main + b + a"}
    four = ("a_long", "b_long", "c_long", "d_long")
    other = (*four[1:], four[0])
    both = names(composed("main", *four), composed("main", *other), run("one", "main"))
    assert len(set(both)) == 3


def test_one_name_of_two_sets_is_told_by_the_tasks():
    runs = [run("mine", "main", "a"), run("mine", "main", "b", seed=1), run("one", "main")]
    assert names(*runs) == ["+ a", "+ b", "one"]
    assert design.design_of(runs).axis == "tasks"


def test_runs_of_before_tasks_were_tracked_keep_their_rows():
    old = [run("anomaly", "main", tagged=False), run("pair", "main", "a", tagged=False)]
    assert with_set_names(old) == old
    assert [members_of(each) for each in old] == [(), ()]
    new = [run("anomaly", "main", seed=1), run("pair", "main", "b", seed=1), composed("main", "a", seed=2)]
    assert names(*old, *new) == ["anomaly", "pair", "anomaly", "+ b", "+ a"]
    assert members_of(replace(old[0], params={"tasks": "main+a"}, tags={})) == ("main", "a")


@pytest.mark.parametrize("tagged", [True, False])
def test_a_run_that_failed_before_it_had_parameters_is_of_the_row_of_its_name(tagged):
    failed = run("main+a", "main", "a", known=False, tagged=tagged)
    runs = [run("anomaly", "main"), composed("main", "a", seed=1), failed]
    assert names(*runs) == ["anomaly", "+ a", "+ a"]
    assert names(runs[0], run("anomaly", "main", known=False, tagged=tagged)) == ["anomaly"] * 2


def test_names_given_twice_are_the_same():
    tasks = ["violence", "robbery", "burglary", "arson"]
    once = with_set_names([composed("main", *tasks), composed("main", *tasks[:3]), run("one", "main")])
    assert with_set_names(once) == once


def test_design_names_its_rows_and_arms_alike():
    runs = [each for seed in range(2) for each in (run("anomaly", "main", seed=seed), composed("main", "a", seed=seed))]
    found = design.design_of(runs)
    assert [found.arm(each) for each in found.counted] == found.table["set"].tolist() == ["anomaly", "+ a"] * 2
    assert design.tasks_of(found.runs[1]) == {"main", "a"}
