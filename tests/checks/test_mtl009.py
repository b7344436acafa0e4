"""MTL009: runs diverged."""

from __future__ import annotations

from dataclasses import replace

from made_evidence import entry, evidence, found, run

from mtl.checks.diverged import DivergedRuns
from mtl.results import DIVERGED

WHY = {DIVERGED: "loss of main is not finite in epoch 3; kept is epoch 2"}


def test_every_run_that_diverged_is_a_line_of_an_issue():
    runs = [run("single", 0), run("all", 0, WHY), run("all", 1, {DIVERGED: "nothing sound is left"})]
    entries = [entry("single"), entry("all"), entry("all", 1, fault="it diverged (nothing sound is left)")]
    assert found(DivergedRuns(), evidence(*runs, entries=entries)) == (
        "issue",
        "all seed=0: it diverged (loss of main is not finite in epoch 3; kept is epoch 2).\n"
        "all, seed 1: no AUC, because it diverged (nothing sound is left).",
    )


def test_none_passes():
    assert found(DivergedRuns(), evidence(run(), run(seed=1))) == ("passed", "None of 2 runs diverged.")


def test_runs_that_do_not_count_tell_nothing():
    assert found(DivergedRuns(), evidence(replace(run("all", 0, WHY), status="FAILED"))) == (
        "not applicable",
        "No run has finished.",
    )
