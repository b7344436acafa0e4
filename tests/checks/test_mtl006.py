"""MTL006: a type head detects anomalies better than the main head."""

from __future__ import annotations

import pandas as pd
from made_evidence import NAN, evidence, found

from mtl.checks.type_head import TypeHeadAboveMain
from mtl.formatting import MINUS
from mtl.formatting import SPACE as S


def of(*rows: tuple[str, float, float]) -> tuple[str, str]:
    heads = [
        {"row": row, "head": "type", "difference": (low + high) / 2, "difference_low": low, "difference_high": high}
        for row, low, high in rows
    ]
    return found(TypeHeadAboveMain(), evidence(compared={"heads": pd.DataFrame(heads)}))


def test_a_head_that_is_surely_better_is_an_issue():
    line = f"The AUC of 1{S}−{S}p(Normal) is above that of head main: typed, head type +0.020 (+0.010{S}to{S}+0.030)."
    assert of(("typed", 0.01, 0.03), ("all", -0.01, 0.02)) == ("issue", line)


def test_one_that_may_be_is_a_tip():
    line = (
        f"The AUC of 1{S}−{S}p(Normal) is above that of head main: all, head type +0.005 ({MINUS}0.010{S}to{S}+0.020); "
        "the interval includes zero."
    )
    assert of(("all", -0.01, 0.02), ("typed", -0.2, -0.1)) == ("tip", line)


def test_one_that_is_not_passes():
    line = f"In no set is the AUC of 1{S}−{S}p(Normal) of a head above that of head main."
    assert of(("all", -0.03, 0.01)) == ("passed", line)


def test_without_such_a_head_or_its_difference_there_is_nothing_to_look_at():
    nothing = ("not applicable", "No head gives an anomaly score of its own beside the main head.")
    assert found(TypeHeadAboveMain(), evidence()) == nothing
    assert of(("all", NAN, NAN)) == nothing
