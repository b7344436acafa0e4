"""MTL008: many scores are tied."""

from __future__ import annotations

import numpy as np

from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence
from mtl.formatting import plural

LIMIT = 0.01  # of the comparisons: a tie counts half, so the AUC is uncertain by .005 either way


class ManyTies(Check):
    """Frames that the main task's scores do not put in an order."""

    code = "MTL008"
    title = "Many scores are tied"

    def look(self, at: Evidence) -> Finding:
        """An issue from 1 % of the comparisons on; of runs without logits a tip below that."""
        known = [entry.predicted for entry in at.entries if np.isfinite(entry.predicted.ties)]
        if not known:
            return self.not_applicable("No run has an AUC of the main task, so no two frames are compared.")
        most, lines = max(each.ties for each in known), []
        former = [each.ties for each in known if each.ties > 0 and not each.by_logits]
        if former:
            lines.append(
                f"{plural(len(former), 'run')} of a former version kept no logits and "
                f"{'is' if len(former) == 1 else 'are'} ranked by probabilities, which saturate: up to "
                f"{max(former):.2%} of the comparisons of two frames are ties."
            )
        tied = [each.ties for each in known if each.ties >= LIMIT and each.by_logits]
        if tied:
            lines.append(
                f"In {plural(len(tied), 'run')} up to {max(tied):.2%} of the comparisons of two frames are ties. Each "
                f"counts half, so another order of these frames could change the AUC by {max(tied) / 2:.3f}."
            )
        if lines:
            return self.issue(*lines) if most >= LIMIT else self.tip(*lines)
        n = plural(len(known), "run")
        return self.passed(f"At most {most:.2%} of the comparisons of two frames are ties, in {n}.")
