"""MTL008: many scores are tied."""

from __future__ import annotations

from made_evidence import entry, evidence, found, run

from mtl.checks.ties import ManyTies


def of(*ties: float, by_logits: bool = True) -> tuple[str, str]:
    return found(
        ManyTies(), evidence(run(), entries=[entry(seed=i, ties=t, by_logits=by_logits) for i, t in enumerate(ties)])
    )


def test_tied_logits_are_an_issue():
    line = (
        "In 1 run up to 12.00% of the comparisons of two frames are ties. Each counts half, so another order of these "
        "frames could change the AUC by 0.060."
    )
    assert of(0.12, 0.001) == ("issue", line)


def test_runs_that_kept_no_logits_are_an_issue_from_a_limit_on_and_a_tip_below():
    line = (
        "2 runs of a former version kept no logits and are ranked by probabilities, which saturate: up to 3.00% of the "
        "comparisons of two frames are ties."
    )
    assert of(0.03, 0.001, by_logits=False) == ("issue", line)
    assert of(0.001, 0.0, by_logits=False) == (
        "tip",
        "1 run of a former version kept no logits and is ranked by probabilities, which saturate: up to 0.10% of the "
        "comparisons of two frames are ties.",
    )


def test_few_ties_pass():
    assert of(0.0009, 0.0) == ("passed", "At most 0.09% of the comparisons of two frames are ties, in 2 runs.")


def test_without_an_auc_there_is_nothing_to_look_at():
    line = "No run has an AUC of the main task, so no two frames are compared."
    assert of(float("nan")) == ("not applicable", line)
