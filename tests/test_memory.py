"""Memory that is free goes back to the system."""

from __future__ import annotations

import subprocess
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


def test_what_is_alive_before_the_second_job_is_left_out_of_later_searches():
    done = """
import gc
from mtl import memory
memory.settle()
first = gc.get_freeze_count()
memory.settle()
second = gc.get_freeze_count()
many = [[] for _ in range(1000)]
memory.settle()
print(first == 0, second > 1000, gc.get_freeze_count() == second)
"""
    told = subprocess.run([sys.executable, "-c", done], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["True"] * 3
