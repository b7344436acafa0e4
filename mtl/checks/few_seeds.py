"""MTL001: too few seeds for any p value."""

from __future__ import annotations

import math

from mtl.checks.base import Check, Finding
from mtl.checks.evidence import Evidence
from mtl.formatting import plural
from mtl.statistics.significance import SIGNIFICANT, least_holm_p


class FewSeeds(Check):
    """So few seeds that no Holm p of the table can be significant, whatever the differences are."""

    code = "MTL001"
    title = "Too few seeds for any p value"

    def look(self, at: Evidence) -> Finding:
        """An issue where the least possible Holm p is .05 or more."""
        sets = at.compared.sets
        n = int(sets["p"].notna().sum())
        if not n:
            return self.not_applicable("There is no difference that has a p value.")
        seeds = int(sets["paired_seeds"].max())
        least, of = least_holm_p(n, seeds), plural(n, "difference")
        if least >= SIGNIFICANT:
            enough = math.floor(math.log2(2 * n / SIGNIFICANT)) + 1
            return self.issue(
                f"With {plural(seeds, 'seed')}, no Holm p of {of} can be below {least:.2g}: at least {enough} seeds "
                f"are needed for one below {SIGNIFICANT}."
            )
        return self.passed(f"With {plural(seeds, 'seed')}, a Holm p of {of} can be as low as {least:.2g}.")
