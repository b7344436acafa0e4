"""MTL011: not all runs are judged by the same frames."""

from __future__ import annotations

from mtl.checks.base import Check, Finding
from mtl.checks.diverged import REASON
from mtl.checks.evidence import Evidence
from mtl.formatting import plural


class UnlikeFrames(Check):
    """Runs without an AUC, and test frames that some runs or all were not judged by."""

    code = "MTL011"
    title = "Not all runs are judged by the same frames"

    def look(self, at: Evidence) -> Finding:
        """An issue with a line for every run and every video that is left out."""
        n = len(at.design.counted)
        if not n:
            return self.not_applicable("No run has finished.")
        lines = [line for line in at.compared.warnings if f"no AUC, because {REASON} (" not in line]  # those are MTL009
        if at.left_out or lines:
            return self.issue(*at.left_out, *lines)
        return self.passed(f"All frames of {plural(at.compared.n_videos, 'test video')} judge {plural(n, 'run')}.")
