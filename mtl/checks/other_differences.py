"""MTL004: runs differ in more than what is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtl.ablation import fairness
from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence
from mtl.formatting import plural
from mtl.results import CODE, DATA, NUMERICS

# packages whose versions may change a score
COMPUTING = (
    *("python", "tensorflow", "keras", "numpy", "pandas", "scikit-learn", "scipy"),
    *("opencv-python", "opencv-python-headless"),
)


class OtherDifferences(Check):
    """Runs that differ in parameters, frames, code, packages or arithmetic, beside what is compared."""

    code = "MTL004"
    title = "Runs differ in more than what is compared"

    def look(self, at: Evidence) -> Finding:
        """An issue with a line for each kind of difference."""
        runs = at.design.counted
        if len(runs) < 2:
            return self.not_applicable(f"{plural(len(runs), 'run')} cannot differ.")
        lines = [
            *fairness.unfair(at.design, at.base),
            *fairness.arithmetics(at.design, at.main_task, at.base, at.metric),
            *(*fairness.data_apart(at.design), *fairness.versions(runs)),
            *_packages(at.packages),
        ]
        if lines:
            return self.issue(*lines)
        known = {
            "parameters": all(run.params for run in runs),
            **{name: all(tag in run.tags for run in runs) for name, tag in (("frames", DATA), ("code", CODE))},
            "packages": bool(at.packages) and all(at.packages),
            "arithmetic": all(NUMERICS in run.tags for run in runs),
        }
        alike, unknown = ([name for name, told in known.items() if told is which] for which in (True, False))
        untold = f"Not all of {plural(len(runs), 'run')} say what they had as {', '.join(unknown)}."
        agree = f"Except for what is compared, {plural(len(runs), 'run')} agree in {', '.join(alike)}."
        if unknown:
            return self.not_applicable(f"{agree} {untold}" if alike else untold)
        return self.passed(agree)


def _packages(of_runs: Sequence[Mapping[str, str]]) -> list[str]:
    """A line where runs were computed by several versions of a package."""
    differing = []
    for package in COMPUTING:
        found: dict[str, int] = {}
        for versions in of_runs:
            if package in versions:
                found[versions[package]] = found.get(versions[package], 0) + 1
        if len(found) > 1:
            which = " and ".join(f"{version} ({plural(n, 'run')})" for version, n in found.items())
            differing.append(f"{package} {which}")
    return [f"The runs were computed with several versions of packages: {'; '.join(differing)}."] if differing else []
