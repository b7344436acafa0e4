"""MTL003: the best epoch is at the end of the training budget."""

from __future__ import annotations

from made_evidence import evidence, found, run

from mtl.checks.last_epoch import BestEpochIsLast
from mtl.results import TrackedRun


def chose(tasks: str, seed: int, best: int, stops: bool = True) -> TrackedRun:
    own = {"training__epochs": 8, "training__early_stopping": stops}
    return run(tasks, seed, metrics={"epoch/best": float(best)}, **own)


def test_half_of_the_runs_of_a_set_are_an_issue():
    runs = [chose("single", 0, 8), chose("single", 1, 3), chose("all", 0, 8), chose("all", 1, 2), chose("all", 2, 1)]
    line = (
        "The best epoch on validation is the last one that training.epochs allows in 1 of 2 runs of single: with more "
        "epochs their AUC may still rise."
    )
    assert found(BestEpochIsLast(), evidence(*runs)) == ("issue", line)


def test_fewer_are_a_tip():
    runs = [chose("all", seed, 8 if seed == 0 else 2) for seed in range(3)]
    line = (
        "The best epoch on validation is the last one that training.epochs allows in 1 of 3 runs of all: so few may be "
        "chance."
    )
    assert found(BestEpochIsLast(), evidence(*runs)) == ("tip", line)


def test_none_passes():
    line = "None of 2 runs has its best epoch at the end of the training budget."
    assert found(BestEpochIsLast(), evidence(chose("all", 0, 7), chose("all", 1, 1))) == ("passed", line)


def test_a_last_epoch_that_is_kept_by_plan_or_is_not_known_tells_nothing():
    line = "No run that counts chose its best epoch on validation and says which it was."
    unknown = run("all", 1, training__epochs=8, training__early_stopping=True)
    assert found(BestEpochIsLast(), evidence(chose("all", 0, 8, stops=False), unknown)) == ("not applicable", line)
