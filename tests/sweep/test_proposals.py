"""Optuna behind a search space: it goes the right way, the same way again, and on after a kill."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna")

from mtl.sweep.proposals import Proposals
from mtl.sweep.search_space import Choice, Interval, Range, SearchSpace

SPACE = SearchSpace({
    "rate": Interval(1e-4, 1e-1, is_whole=False, log=True),
    "size": Interval(8, 32, is_whole=True, log=False),
    "share": Range(("0.1", "0.2", "0.30000000000000004")),
    "tasks": Choice(("anomaly", "all")),
})  # fmt: skip


def proposals(folder, direction="maximize", **given):
    storage = given.pop("storage", str(folder / "study.journal"))
    told = {"seed": 0, "n_startup_trials": 5, "name": "mtl", "at_once": 1} | given
    return Proposals(
        given.pop("space", SPACE), direction, storage=storage, **{k: v for k, v in told.items() if k != "space"}
    )


def value(proposal) -> float:
    """Best at size 20 with all tasks."""
    return (proposal["tasks"] == "all") - abs(float(proposal["size"]) - 20) / 20


def searched(found: Proposals, n: int, sign: float = 1.0) -> list[dict[str, str]]:
    tried = []
    for _ in range(n):
        number, proposal = found.ask()
        found.tell(number, sign * value(proposal))
        tried.append(proposal)
    return tried


def test_words_are_of_the_space(tmp_path):
    for proposal in searched(proposals(tmp_path), 8):
        assert 1e-4 <= float(proposal["rate"]) <= 1e-1
        assert proposal["size"].isdecimal()
        assert 8 <= int(proposal["size"]) <= 32
        assert proposal["share"] in SPACE.dimensions["share"].words
        assert proposal["tasks"] in ("anomaly", "all")


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1.0), ("minimize", -1.0)])
def test_it_learns_which_way_is_better(tmp_path, direction, sign):
    tried = searched(proposals(tmp_path, direction), 25, sign)
    first, last = ([value(each) for each in part] for part in (tried[:5], tried[-10:]))
    assert sum(last) / len(last) > sum(first) / len(first) + 0.2
    assert [each["tasks"] for each in tried[-10:]].count("all") >= 8


def test_the_same_seed_goes_the_same_way_and_another_one_does_not(tmp_path):
    ways = []
    for number, seed in enumerate((0, 0, 1)):
        (folder := tmp_path / str(number)).mkdir()
        ways.append(searched(proposals(folder, seed=seed), 8))
    assert ways[0] == ways[1] != ways[2]


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_after_a_kill_the_storage_proposes_the_same_again_and_then_goes_on(tmp_path, kind):
    storage = str(tmp_path / "study.journal") if kind == "file" else f"sqlite:///{tmp_path}/study.db"
    first = proposals(tmp_path, storage=storage)
    tried = searched(first, 4)
    _, cut_short = first.ask()  # and the process is killed
    second = proposals(tmp_path, storage=storage)
    assert second.n_before == 5
    again = searched(second, 8)
    assert again[:5] == [*tried, cut_short]
    assert not [each for each in again[5:] if each in again[:5]]
    assert proposals(tmp_path, storage=storage).n_before == 8


def test_of_a_storage_only_what_could_be_proposed_now_is_proposed_again(tmp_path):
    tried = searched(proposals(tmp_path), 6)
    narrow = SearchSpace({**SPACE.dimensions, "tasks": Choice(("all",))})
    fit = [each for each in tried if each["tasks"] == "all"]
    assert 0 < len(fit) < 6
    assert proposals(tmp_path, space=narrow).n_before == len(fit)
    assert proposals(tmp_path, space=SearchSpace({"rate": SPACE.dimensions["rate"]})).n_before == 0


def test_a_failed_trial_is_told_and_the_study_goes_on(tmp_path):
    found = proposals(tmp_path)
    for i in range(12):
        number, proposal = found.ask()
        found.tell(number, None if i % 3 == 0 else value(proposal))
    shares, why = found.importance()
    assert why == ""
    assert set(shares) == set(SPACE.dimensions)
    assert sum(shares.values()) == pytest.approx(1.0)


def test_importance_finds_what_matters(tmp_path):
    found = proposals(tmp_path)
    searched(found, 30)
    shares, _ = found.importance()
    assert shares["tasks"] + shares["size"] > 0.8
    assert shares["share"] < 0.1


def test_importance_that_is_unknown_says_why(tmp_path):
    found = proposals(tmp_path)
    searched(found, 2)
    assert found.importance() == ({}, "2 of the trials have a value, and 4 are needed")
    for _ in range(3):
        found.tell(found.ask()[0], 0.5)
    (tmp_path / "alike").mkdir()
    alike = proposals(tmp_path / "alike")
    for _ in range(5):
        alike.tell(alike.ask()[0], 0.5)
    assert alike.importance() == ({}, "all trials have the same value")
