"""A number that a run or a sweep prints, told in words."""

from __future__ import annotations

import re
from dataclasses import dataclass

KEPT = "the kept one"  # of epochs
VAL = "all validation frames: whole videos, held out of Train or given"


@dataclass(frozen=True)
class Number:
    """A number by the name under which it is tracked or written.

    Attributes
    ----------
    name : str
        Of a metric, with ``<task>``, ``<pair>`` (``a_vs_b`` or ``a_to_b``) and other places in angle
        brackets; of a sweep's table its column.
    definition : str
    of : str
        Frames and videos it is made from.
    epoch : str
        After which epoch.
    interval : str
        How its interval is made; empty where it has none.
    missing : str
        When it is missing, and why.
    """

    name: str
    definition: str
    of: str
    epoch: str
    interval: str = ""
    missing: str = ""

    def names(self, metric: str) -> bool:
        """Whether the metric is this number."""
        pattern = re.sub(r"<[^>]+>", ".+", re.escape(self.name).replace(r"\<", "<").replace(r"\>", ">"))
        return re.fullmatch(pattern, metric) is not None
