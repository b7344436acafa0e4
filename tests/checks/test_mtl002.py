"""MTL002: a control is not null."""

from __future__ import annotations

import pandas as pd
from made_evidence import NAN, evidence, found

from mtl.checks.control import ControlNotNull
from mtl.formatting import MINUS
from mtl.formatting import SPACE as S


def auxiliary(name: str, low: float, high: float, seeds: int = 6, control: bool = True) -> dict:
    effect = {"effect": (low + high) / 2, "low": low, "high": high, "seeds": seeds, "reason": ""}
    return {"condition": "", "auxiliary": name, "control": control, **effect}


def of(*rows: dict) -> tuple[str, str]:
    return found(ControlNotNull(), evidence(compared={"auxiliaries": pd.DataFrame(rows)}))


def test_a_control_that_helps_or_hurts_is_an_issue():
    assert of(auxiliary("coin", 0.01, 0.03), auxiliary("die", -0.03, -0.01)) == (
        "issue",
        f"The control coin helps (+0.020, +0.010{S}to{S}+0.030, 6 seeds), with random labels: what makes it help may "
        "also explain the gains of the other auxiliaries.\n"
        f"The control die hurts ({MINUS}0.020, {MINUS}0.030{S}to{S}{MINUS}0.010, 6 seeds), with random labels: a head "
        "without any information costs the main task something.",
    )


def test_a_control_whose_interval_includes_zero_passes_whatever_others_do():
    line = (
        f"The interval of the control coin includes zero, as it should (+0.000, {MINUS}0.010{S}to{S}+0.010, 6 seeds)."
    )
    assert of(auxiliary("coin", -0.01, 0.01), auxiliary("violence", 0.1, 0.2, control=False)) == ("passed", line)


def test_without_a_control_one_is_recommended():
    severity, line = of(auxiliary("violence", 0.1, 0.2, control=False))
    assert severity == "tip"
    assert line == (
        "No auxiliary has random labels, so it is not known what any additional head does to the main task: "
        "tasks=anomaly_random is a set with such a control."
    )


def test_one_seed_of_a_control_or_no_interval_tells_nothing():
    line = "The effect of the control coin is not known: a single seed decides nothing."
    assert of(auxiliary("coin", 0.01, 0.03, seeds=1)) == ("not applicable", line)
    alone = auxiliary("coin", NAN, NAN, 0) | {"reason": "no two task sets differ only in this auxiliary"}
    line = "The effect of the control coin is not known: no two task sets differ only in this auxiliary."
    assert of(alone, auxiliary("die", -0.01, 0.01)) == ("not applicable", line)


def test_without_auxiliaries_there_is_nothing_to_look_at():
    assert found(ControlNotNull(), evidence()) == ("not applicable", "No auxiliaries are compared.")
