"""Every test that the page of faults names is there."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:tests|benchmarks|mtl)/[\w/]+\.py)(?:::(\w+))?`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| fault")]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_provokes_a_fault_is_there(file, name):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert f"def {name}(" in text if name else text


def test_every_fault_is_provoked_seen_and_counted():
    assert len(ROWS) >= 30
    for row in ROWS:
        fault, provoked, seen, lost = (cell.strip() for cell in row.strip("|").split("|"))
        assert "tests/" in provoked, fault
        assert seen, fault
        assert lost, fault
