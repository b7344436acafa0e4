"""MTL002: a control is not null."""

from __future__ import annotations

import numpy as np

from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence
from mtl.formatting import plural, signed, signed_interval

WHY = {
    "helps": "what makes it help may also explain the gains of the other auxiliaries",
    "hurts": "a head without any information costs the main task something",
}


class ControlNotNull(Check):
    """An auxiliary of random labels that helps or hurts the main task."""

    code = "MTL002"
    title = "A control is not null"

    def look(self, at: Evidence) -> Finding:
        """An issue where the interval of a control's effect does not include zero; a tip where there is no control."""
        auxiliaries = at.compared.auxiliaries
        if not len(auxiliaries):
            return self.not_applicable("No auxiliaries are compared.")
        controls = auxiliaries[auxiliaries["control"].astype(bool)].to_dict("records")
        if not controls:
            return self.tip(
                "No auxiliary has random labels, so it is not known what any additional head does to the main task: "
                "tasks=anomaly_random is a set with such a control."
            )
        found: dict[str, list[str]] = {"issue": [], "null": [], "unknown": []}
        for row in controls:
            name = row["auxiliary"] + (f" ({row['condition']})" if row["condition"] else "")
            sure = (
                f"{signed(row['effect'])}, {signed_interval(row['low'], row['high'])}, {plural(row['seeds'], 'seed')}"
            )
            if row["seeds"] < 2 or not np.isfinite([row["effect"], row["low"], row["high"]]).all():
                why = "a single seed decides nothing" if row["seeds"] == 1 else row["reason"] or "it has no interval"
                found["unknown"].append(f"The effect of the control {name} is not known: {why}.")
            elif row["low"] > 0 or row["high"] < 0:
                word = "helps" if row["low"] > 0 else "hurts"
                found["issue"].append(f"The control {name} {word} ({sure}), with random labels: {WHY[word]}.")
            else:
                found["null"].append(f"The interval of the control {name} includes zero, as it should ({sure}).")
        if found["issue"]:
            return self.issue(*found["issue"])
        return self.not_applicable(" ".join(found["unknown"])) if found["unknown"] else self.passed(*found["null"])
