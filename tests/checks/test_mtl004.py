"""MTL004: runs differ in more than what is compared."""

from __future__ import annotations

from made_evidence import evidence, found, run

from mtl.checks.other_differences import OtherDifferences
from mtl.results import CODE, DATA, NUMERICS

ALIKE = {CODE: "11", DATA: "aa", NUMERICS: "CPU"}


def test_every_difference_is_a_line_of_an_issue():
    runs = [
        run("single", 0, ALIKE, training__epochs=8),
        run("all", 0, {CODE: "22", DATA: "bb", NUMERICS: "CPU"}, training__epochs=16),
    ]
    packages = ({"numpy": "1.26.4", "mlflow": "3"}, {"numpy": "2.0.2", "mlflow": "4"})
    assert found(OtherDifferences(), evidence(*runs, packages=packages)) == (
        "issue",
        "The runs also differ in training.epochs, which may explain a difference: 16 in all but 8 in single.\n"
        "The frames of train, val or test differ between runs: with seed 0, single versus all. This may explain a "
        "difference.\n"
        "The runs come from 2 versions of the code: 11, 22.\n"
        "The runs were computed with several versions of packages: numpy 1.26.4 (1 run) and 2.0.2 (1 run).",
    )


def test_unlike_arithmetic_is_an_issue():
    runs = [run("single", 0, ALIKE), run("all", 0, ALIKE), run("single", 0, ALIKE | {NUMERICS: "GPU"})]
    severity, line = found(OtherDifferences(), evidence(*runs))
    assert severity == "issue"
    assert line.startswith("The runs were not computed alike: CPU (2 runs) and GPU (1 run).")


def test_runs_that_agree_in_all_of_it_pass():
    runs = [run("single", 0, ALIKE), run("all", 0, ALIKE), run("all", 1, ALIKE | {DATA: "of the other seed"})]
    line = "Except for what is compared, 3 runs agree in parameters, frames, code, packages, arithmetic."
    assert found(OtherDifferences(), evidence(*runs, packages=({"numpy": "2"},) * 3)) == ("passed", line)


def test_what_is_not_tracked_is_never_taken_to_agree():
    runs = [run("single", 0, ALIKE), run("all", 0, {CODE: "11"})]
    assert found(OtherDifferences(), evidence(*runs, packages=({"numpy": "2"}, {}))) == (
        "not applicable",
        "Except for what is compared, 2 runs agree in parameters, code. "
        "Not all of 2 runs say what they had as frames, packages, arithmetic.",
    )


def test_one_run_cannot_differ():
    assert found(OtherDifferences(), evidence(run())) == ("not applicable", "1 run cannot differ.")
