"""MTL006: a type head detects anomalies better than the main head."""

from __future__ import annotations

import numpy as np

from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence
from mtl.formatting import SPACE, signed, signed_interval

SCORE = f"1{SPACE}−{SPACE}p(Normal)"


class TypeHeadAboveMain(Check):
    """A head of several classes whose 1 - p(Normal) has a higher AUC than the main head of the same runs."""

    code = "MTL006"
    title = "A type head is better than the main head"

    def look(self, at: Evidence) -> Finding:
        """An issue where the interval of the difference lies above zero, a tip where the difference alone does."""
        rows = [row for row in at.compared.heads.to_dict("records") if np.isfinite(row["difference"])]
        if not rows:
            return self.not_applicable("No head gives an anomaly score of its own beside the main head.")
        above = [row for row in rows if row["difference"] > 0]
        sure = [row for row in above if row["difference_low"] > 0]
        if not above:
            return self.passed(f"In no set is the AUC of {SCORE} of a head above that of head {at.main_task}.")
        which = "; ".join(
            f"{row['row']}, head {row['head']} {signed(row['difference'])} "
            f"({signed_interval(row['difference_low'], row['difference_high'])})"
            for row in (sure or above)
        )
        line = f"The AUC of {SCORE} is above that of head {at.main_task}: {which}"
        return self.issue(f"{line}.") if sure else self.tip(f"{line}; the interval includes zero.")
