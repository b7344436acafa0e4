"""Memory that is free goes back to the system."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mtl import memory


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is asked")
def test_what_lies_free_below_a_block_in_use_goes_back():
    blocks = [bytes(2000) for _ in range(50_000)]  # 100 MB from the heap of small blocks
    last, before = blocks[-1], resident_mib()
    del blocks
    memory.give_back()
    assert resident_mib() < before - 50
    assert len(last) == 2000


def test_where_nothing_can_be_given_back_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    memory.give_back()
