"""MTL010: a choice was made by test frames."""

from __future__ import annotations

import pytest
from made_evidence import evidence, found, run

from mtl.checks.objective import ObjectiveOfTest


def of(*objectives: str) -> tuple[str, str]:
    runs = [run(seed=seed, tags={"objective": name} if name else {}) for seed, name in enumerate(objectives)]
    return found(ObjectiveOfTest(), evidence(*runs))


@pytest.mark.parametrize(
    "name", ["auc/main", "auc_event/main", "average_precision/main", "class_auc/type.Arson", "auc"]
)
def test_a_number_of_test_frames_is_an_issue(name):
    line = (
        f"The objective of 1 run is {name}, a number of test frames: what is chosen by it has an AUC on the same "
        "frames that is too high."
    )
    assert of(name, "val_auc", "") == ("issue", line)


def test_a_foreign_run_may_say_it_as_a_parameter():
    severity, _ = found(ObjectiveOfTest(), evidence(run(objective="f1/main")))
    assert severity == "issue"


def test_numbers_of_validation_frames_pass():
    names = ("val_auc", "val_loss/main", "val_auc_video_weighted_best/main")
    line = f"No objective is a number of test frames: {', '.join(names)}."
    assert of(*names) == ("passed", line)


def test_runs_that_say_nothing_or_something_unknown_do_not_pass():
    line = "Not all runs say what they would be chosen by, in the tag `objective`."
    assert of("val_auc", "") == ("not applicable", line)
    assert of("") == ("not applicable", line)
    assert of("val_auc", "goodness") == ("not applicable", "It is not known what the objective goodness is made from.")
