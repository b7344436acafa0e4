"""MTL003: the best epoch is at the end of the training budget."""

from __future__ import annotations

from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence
from mtl.formatting import plural

MOST = 0.5  # share of a set's runs: of a curve that has become flat, chance alone puts a few at the end


class BestEpochIsLast(Check):
    """Runs whose best epoch on validation is the last one that the budget allows."""

    code = "MTL003"
    title = "The best epoch is at the end of the training budget"

    def look(self, at: Evidence) -> Finding:
        """An issue where it is so in half of the runs of a set or more, a tip where in fewer."""
        by_set: dict[str, list[bool]] = {}
        for run, row in zip(at.design.runs, at.design.table.to_dict("records"), strict=True):
            chooses = run.params.get("training.early_stopping", "").lower() == "true"
            if row["counts"] and chooses and "training.epochs" in run.params and "epoch/best" in run.metrics:
                last = run.metrics["epoch/best"] >= float(run.params["training.epochs"])
                by_set.setdefault(str(row["set"]), []).append(last)
        if not by_set:
            return self.not_applicable("No run that counts chose its best epoch on validation and says which it was.")
        at_end = {name: last for name, last in by_set.items() if any(last)}
        many = {name: last for name, last in at_end.items() if sum(last) >= MOST * len(last)}
        if not at_end:
            n = sum(map(len, by_set.values()))
            return self.passed(f"None of {plural(n, 'run')} has its best epoch at the end of the training budget.")
        shown = (many or at_end).items()
        which = ", ".join(f"{sum(last)} of {plural(len(last), 'run')} of {name}" for name, last in shown)
        line = f"The best epoch on validation is the last one that training.epochs allows in {which}"
        if many:
            return self.issue(f"{line}: with more epochs their AUC may still rise.")
        return self.tip(f"{line}: so few may be chance.")
