"""Runs say what was swept: axes, rows, and which runs count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from mtl.ablation import design, fairness, measured_groups
from mtl.results import ASKED, CODE, DATA, NUMERICS, TrackedRun


def run(tasks: str, seed: int, status: str = "FINISHED", **more: str) -> TrackedRun:
    params = {"tasks": tasks, "seed": str(seed), "task.violence": str(int(tasks == "all")), **more}
    return TrackedRun("0", f"{tasks} seed={seed}", status, params, {"auc/main": 0.7} if status == "FINISHED" else {})


def failed(name: str, status: str = "FAILED", tags: Mapping[str, str] | None = None) -> TrackedRun:
    return TrackedRun("0", name, status, tags=tags or {})


def test_seeds_and_task_flags_are_no_axes():
    assert design.axes([run("anomaly", 0), run("all", 1)]) == ["tasks"]


def test_a_seed_that_follows_the_runs_is_no_axis_and_one_of_its_own_is():
    seeds = [run("all", s, **{"model.seed": str(s), "data.seed": "0"}) for s in range(2)]
    assert design.axes(seeds) == ["tasks"]
    own = [run("all", 0, **{"data.seed": str(s)}) for s in range(2)]
    assert design.axes(own) == ["tasks", "data.seed"]


def test_another_swept_axis_is_one():
    runs = [run(tasks, 0, weighting=weighting) for tasks in ("anomaly", "all") for weighting in ("equal", "dwa")]
    assert design.axes(runs) == ["tasks", "weighting"]
    assert design.runs_table(runs)["set"].tolist() == [
        "anomaly, weighting=equal",
        "anomaly, weighting=dwa",
        "all, weighting=equal",
        "all, weighting=dwa",
    ]


def test_what_follows_from_a_choice_is_no_axis():
    weightings = {"equal": {}, "dwa": {"weighting.temperature": "2"}, "famo": {"weighting.temperature": "1"}}
    assert design.axes([run("all", 0, weighting=name, **params) for name, params in weightings.items()]) == [
        "tasks",
        "weighting",
    ]


def test_the_first_axis_with_several_values_is_compared_and_the_others_are_the_condition():
    runs = [run(tasks, 0, weighting=weighting) for tasks in ("anomaly", "all") for weighting in ("equal", "dwa")]
    found = design.design_of([*runs, run("all", 1, "FAILED", weighting="dwa")])
    assert (found.keys, found.axis) == (("tasks", "weighting"), "tasks")
    assert found.counted == runs
    assert [found.arm(each) for each in runs] == ["anomaly", "anomaly", "all", "all"]
    assert found.by_condition() == {"weighting=equal": runs[::2], "weighting=dwa": runs[1::2]}
    one_set = design.design_of(runs[2:])
    assert (one_set.axis, one_set.arm(runs[3]), one_set.condition(runs[3])) == ("weighting", "dwa", "")
    assert design.design_of([]).counted == []


def test_a_swept_number_of_one_choice_is_an_axis():
    runs = [run("all", 0, weighting="dwa", **{"weighting.temperature": value}) for value in ("1", "2")]
    assert design.axes(runs) == ["tasks", "weighting.temperature"]


def frozen(asked: str, stages: str, seed: int = 0) -> TrackedRun:
    """A run of ``freeze=<asked> freeze.stages=<stages>`` as it is tracked."""
    told = {"0": "none", "all": "all"}.get(stages, "stages")
    found = run("anomaly", seed, freeze=told, **{"freeze.stages": stages})
    return replace(found, tags={ASKED: f"freeze={asked}"} if asked != told else {})


def sets(runs: list[TrackedRun]) -> list[str]:
    """The rows of the runs that count."""
    table = design.runs_table(runs)
    return table[table["counts"]]["set"].tolist()


def test_one_configuration_asked_for_by_two_choices_is_one_row_whose_seeds_count_once():
    runs = [frozen(asked, "2", seed) for asked in ("all", "stages") for seed in range(3)]
    assert sets(runs) == ["anomaly"] * 3
    assert len(design.settled(runs)) == 3


@pytest.mark.parametrize("asked", [("stages",), ("none", "stages"), ("all", "none", "stages")])
def test_numbers_that_make_a_choice_another_one_are_the_axis_and_not_its_name(asked):
    runs = [frozen(choice, stages) for choice in asked for stages in ("0", "2", "3", "all")]
    assert design.axes(runs) == ["tasks", "freeze.stages"]
    assert sets(runs) == [f"anomaly, freeze.stages={stages}" for stages in ("0", "2", "3", "all")]
    found = design.design_of(design.settled(runs))
    assert [found.arm(each) for each in found.counted] == ["0", "2", "3", "all"]
    assert fairness.unfair(found, "0") == []  # the choice's name follows from what is compared


def test_a_choice_made_another_one_goes_by_that_name_and_hides_no_number():
    assert sets([frozen("all", "2"), frozen("none", "0")]) == ["anomaly, freeze=stages", "anomaly, freeze=none"]
    two = [frozen("all", "2"), frozen("stages", "3"), frozen("none", "0")]
    assert sets(two) == [f"anomaly, freeze.stages={stages}" for stages in ("2", "3", "0")]


def test_another_choice_is_never_hidden_behind_a_number():
    sizes = {"small": "32", "smaller": "16", "resnet": "224"}
    runs = [run("all", 0, backbone=name[:5], **{"backbone.image_size": size}) for name, size in sizes.items()]
    assert design.axes(runs) == ["tasks", "backbone", "backbone.image_size"]


def test_a_run_without_parameters_is_known_by_its_name():
    table = design.runs_table([run("all", 0, weighting="dwa"), failed("all seed=3 weighting=nash")])
    assert table["set"].tolist() == ["all, weighting=dwa", "all, weighting=nash"]
    assert table["seed"].tolist() == ["0", "3"]


def test_a_seed_run_twice_counts_once_with_its_last_finished_run():
    runs = [run("all", 0), run("all", 0), run("all", 0, "FAILED"), run("all", 1)]
    assert design.runs_table(runs)["counts"].tolist() == [False, True, False, True]


def test_one_run_of_each_set_stands_for_it():
    runs = [run("all", 0, "FAILED"), run("all", 1), run("anomaly", 0), run("all", 2)]
    assert design.one_per_set([replace(each, id=str(i)) for i, each in enumerate(runs)]) == ["1", "2"]
    assert design.one_per_set([]) == []


def test_what_a_later_run_made_up_for_is_left_out():
    statuses = ("KILLED", "FINISHED", "FAILED", "FINISHED", "RUNNING")  # one after the other, of one set and seed
    runs = [replace(run("all", 0, status), id=str(i)) for i, status in enumerate(statuses)]
    never = [replace(run("all", 1, status), id=status) for status in ("FAILED", "KILLED")]
    assert [each.id for each in design.settled([*runs, *never])] == ["3", "4", "KILLED"]
    assert design.settled([]) == []


def test_every_failure_is_listed():
    runs = [failed(f"all seed={i}", status) for i, status in enumerate(("FAILED", "KILLED", "RUNNING", "FINISHED"))]
    assert design.failures(runs) == [
        "all seed=0: failed, no reason given",
        "all seed=1: killed, interrupted",
        "all seed=2: running, not finished yet",
    ]
    assert design.failures([failed("a", tags={"failure": "X:\nout"})]) == ["a: failed, X: out"]


def test_controls_have_a_chance_and_no_classes():
    params = {"tasks.coin.probability": "0.5", "tasks.coin.seed": "0", "tasks.violence.classes": "[]"}
    assert design.controls_of(run("all", 0, **params)) == {"coin"}


def tagged(tasks: str, seed: int, **tags: str) -> TrackedRun:
    return replace(run(tasks, seed), tags=tags)


def test_versions_of_the_code_are_named_where_there_are_several():
    runs = [tagged("all", seed, **{CODE: code}) for seed, code in enumerate(("1" * 8, "2" * 8, "1" * 8))]
    assert fairness.versions(runs) == ["The runs come from 2 versions of the code: 11111111, 22222222."]
    assert not fairness.versions(runs[::2])
    commits = [tagged("all", seed, **{CODE: "1", "mlflow.source.git.commit": str(seed)}) for seed in range(2)]
    assert not fairness.versions(commits)  # a commit of the README makes no other result


def test_other_frames_under_equal_parameters_are_named():
    runs = [tagged(tasks, seed, **{DATA: "a"}) for tasks in ("anomaly", "all") for seed in range(2)]
    assert not fairness.data_apart(design.design_of(runs))
    runs[3] = tagged("all", 1, **{DATA: "b"})
    assert fairness.data_apart(design.design_of(runs)) == [
        "The frames of train, val or test differ between runs: with seed 1, anomaly versus all. "
        "This may explain a difference."
    ]
    by_seed = [tagged(tasks, seed, **{DATA: str(seed)}) for tasks in ("anomaly", "all") for seed in range(2)]
    assert not fairness.data_apart(design.design_of(by_seed))  # runs are compared seed by seed
    of_data = [
        replace(each, params={**each.params, "tasks": "all", "data.every": each.params["tasks"]}) for each in runs
    ]
    assert design.design_of(of_data).axis == "data.every"
    assert not fairness.data_apart(design.design_of(of_data))


def measured(name: str, aucs: Mapping[str, float], seed: int = 0, **more: str) -> TrackedRun:
    """A run of a set with the AUC of each task."""
    params = {"tasks": name, "seed": str(seed), **{f"task.{task}": "1" for task in aucs}, **more}
    return TrackedRun("0", f"{name} seed={seed}", "FINISHED", params, {f"auc/{task}": v for task, v in aucs.items()})


def grouped(runs: list[TrackedRun]) -> list[dict]:
    return measured_groups.measured_groups(design.design_of(runs)).to_dict("records")


def test_the_best_groups_are_found_among_the_measured_sets():
    sets = {
        "single": {"main": 0.70},
        "helped": {"main": 0.80, "a": 0.60},
        "hurt": {"main": 0.60, "b": 0.90},
        "all": {"main": 0.75, "a": 0.55, "b": 0.70},
    }
    one, two = grouped([measured(name, aucs) for name, aucs in sets.items()])
    assert (one["at_most"], one["groups"]) == (1, [["main", "a", "b"]])
    assert one["score"] == pytest.approx(2 / 3)
    assert two["groups"] == [["main", "a"], ["main", "b"]]  # main helps b and is taken from the other network
    assert two["taken_from"] == {"main": 0, "a": 0, "b": 1}
    assert two["scores"] == {"main": 0.80, "a": 0.60, "b": 0.90}
    assert two["sets"] == 4


def test_groups_are_of_means_over_seeds_without_controls_and_within_equal_conditions():
    runs = [measured("single", {"main": 0.7}), measured("all", {"main": 0.6, "a": 0.5})]
    runs += [measured("all", {"main": 0.9, "a": 0.7}, seed=1)]
    coin = {"tasks.coin.probability": "0.5"}
    control = measured("random", {"main": 0.99, "coin": 0.5}, **coin)
    (found,) = grouped([*runs, control])
    assert found["scores"] == pytest.approx({"main": 0.75, "a": 0.6})
    alone = [measured(name, {"main": 0.7}, weighting=w) for w, name in (("equal", "single"), ("dwa", "again"))]
    assert grouped(alone) == []
    within = [replace(run, params={**run.params, "weighting": w}) for run in runs for w in ("equal", "dwa")]
    assert [row["condition"] for row in grouped(within)] == ["weighting=equal", "weighting=dwa"]


def test_a_set_whose_task_has_no_score_serves_it_to_nobody():
    runs = [measured("single", {"main": 0.7}), measured("all", {"main": 0.9, "a": float("nan")})]
    assert grouped(runs) == []


# --- what did the arithmetic ------------------------------------------------------------------------------------------


def computed(name: str, seed: int, numerics: str, auc: float) -> TrackedRun:
    found = run(name, seed, numerics="native")
    return replace(found, tags={NUMERICS: numerics}, metrics={"auc/main": auc})


def test_runs_of_unlike_numerics_are_of_unlike_conditions_and_the_shift_of_the_base_is_told():
    runs = [
        *(computed("anomaly", seed, "cpu a", auc) for seed, auc in ((0, 0.76), (1, 0.70))),
        *(computed("anomaly", seed, "cpu b", auc) for seed, auc in ((0, 0.745), (1, 0.729))),
        *(computed("all", seed, name, 0.8) for seed in range(2) for name in ("cpu a", "cpu b")),
    ]
    found = design.design_of(runs)
    assert found.axis == "tasks"
    assert set(found.by_condition()) == {"numerics=cpu a", "numerics=cpu b"}
    (line,) = fairness.arithmetics(found, "main", "anomaly")
    assert "cpu a (4 runs) and cpu b (4 runs)" in line
    assert "AUC of anomaly by 0.022 on the mean over 2 pairs" in line  # (0.015 + 0.029) / 2
    (line,) = fairness.arithmetics(design.design_of([*runs[:2], *runs[5::2]]), "main", "anomaly")
    assert "not known: anomaly was not run under two of them" in line


def test_runs_computed_alike_and_runs_of_before_have_no_line_and_no_axis():
    alike = [computed(name, 0, "cpu a", 0.7) for name in ("anomaly", "all")]
    before = [run(name, 1, numerics="native") for name in ("anomaly", "all")]
    for runs in (alike, before):
        found = design.design_of(runs)
        assert found.keys == ("tasks",)
        assert fairness.arithmetics(found, "main", "anomaly") == []


def test_another_axis_is_compared_before_the_numerics():
    runs = [
        replace(computed("all", 0, name, 0.7), params={"tasks": "all", "seed": "0", "weighting": weighting})
        for name in ("cpu a", "cpu b")
        for weighting in ("dwa", "equal")
    ]
    assert design.design_of(runs).axis == "weighting"
    assert design.design_of(runs[::2]).axis == NUMERICS
