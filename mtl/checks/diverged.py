"""MTL009: runs diverged."""

from __future__ import annotations

from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence
from mtl.formatting import plural
from mtl.results import DIVERGED

REASON = "it diverged"  # how the comparison says it of a run that has no AUC for it


class DivergedRuns(Check):
    """Runs whose losses or logits ceased to be finite."""

    code = "MTL009"
    title = "Runs diverged"

    def look(self, at: Evidence) -> Finding:
        """An issue with a line for every run that counts and diverged."""
        runs = zip(at.design.runs, at.design.table.to_dict("records"), strict=True)
        counted = [(run, str(row["set"]), str(row["seed"])) for run, row in runs if row["counts"]]
        if not counted:
            return self.not_applicable("No run has finished.")
        lost = {(entry.row, entry.seed) for entry in at.entries if entry.predicted.fault}
        lines = [
            f"{name}, seed {seed}: no AUC, because {REASON} ({run.tags[DIVERGED]})."
            if (name, seed) in lost
            else f"{run.name}: {REASON} ({run.tags[DIVERGED]})."
            for run, name, seed in counted
            if run.tags.get(DIVERGED)
        ]
        return self.issue(*lines) if lines else self.passed(f"None of {plural(len(counted), 'run')} diverged.")
