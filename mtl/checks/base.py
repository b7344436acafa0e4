"""A check of a sweep: its code and title, and what it found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from mtl.checks.evidence import Evidence

Severity = Literal["issue", "tip", "passed", "not applicable"]
SEVERITIES: tuple[Severity, ...] = ("issue", "tip", "passed", "not applicable")
PAGE = "docs/checks.md"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    code, title : str
        Of the check.
    severity : {"issue", "tip", "passed", "not applicable"}
        `issue`: something limits what the numbers say. `tip`: something could be better.
        `passed`: it was looked at, and nothing was found. `not applicable`: it could not be
        looked at, or there was nothing to look at.
    lines : tuple of str
        What was found, or why it could not be looked at: one sentence or more in each line.
    """

    code: str
    title: str
    severity: Severity
    lines: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """Where the check is explained."""
        return f"{PAGE}#{self.code.lower()}"


class Check(ABC):
    """One thing that may limit what a sweep says.

    A check is a module of this chapter, a paragraph of `docs/checks.md` and a file of tests.

    Attributes
    ----------
    code : str
        `MTL` and three digits. It never changes its meaning.
    title : str
        The limit that an issue means, in a few words.
    """

    code: ClassVar[str]
    title: ClassVar[str]

    @abstractmethod
    def look(self, at: Evidence) -> Finding:
        """What is found in a sweep; `not applicable` with the reason where nothing can be told."""

    def issue(self, *lines: str) -> Finding:
        """A finding that limits what the numbers say."""
        return Finding(self.code, self.title, "issue", lines)

    def tip(self, *lines: str) -> Finding:
        """A finding that would be better otherwise."""
        return Finding(self.code, self.title, "tip", lines)

    def passed(self, *lines: str) -> Finding:
        """A finding that all is well."""
        return Finding(self.code, self.title, "passed", lines)

    def not_applicable(self, reason: str) -> Finding:
        """No finding, for a reason."""
        return Finding(self.code, self.title, "not applicable", (reason,))
