"""A job's process that died without a word: the signal, and whether its memory may have run out."""

from __future__ import annotations

import math
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mtl.sweep.process_launcher import OUTPUT, Working, _cause_of_death

MEMORY = "memory may have run out"
BY_LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_cause_of_death import reason_of
resource.setrlimit(resource.{limit}, (8 * 2**30, -1))
print(reason_of(Path({folder!r}), {program!r}))
"""


def dead(folder, program: str) -> Working:
    """A job whose process did this, and is no more."""
    with (folder / OUTPUT).open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=output, stderr=subprocess.STDOUT)
    job = Working(0, process, OmegaConf.create(), folder)
    while not job.has_ended():
        time.sleep(0.01)
    return job


def reason_of(folder, program: str) -> str:
    job = dead(folder, program)
    return _cause_of_death(job.process.returncode, folder / OUTPUT, job.peak_mib)


def ending(name: str, words: str = "") -> str:
    return f"import os, signal, sys; print({words!r}, flush=True); os.kill(os.getpid(), signal.{name})"


def own_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def test_the_status_and_the_peak_of_its_memory_are_known(tmp_path):
    more = own_mib() + 200
    job = dead(tmp_path, f"import sys; held = b'1' * ({more} * 2**20); sys.exit(7)")
    assert job.process.returncode == job.process.poll() == 7
    assert more < job.peak_mib < more + 200


def test_a_peak_below_that_of_the_parent_is_not_known(tmp_path):
    held = b"1" * (200 * 2**20)  # so that the child's own peak is below
    assert math.isnan(dead(tmp_path, "pass").peak_mib)
    del held


def test_a_sweep_that_was_started_with_sigchld_ignored_goes_on(tmp_path):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert dead(tmp_path, "pass").process.returncode == 0
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_kill_that_nobody_sent_is_the_usual_sign(tmp_path):
    more = own_mib() + 200
    reason = reason_of(tmp_path, f"held = b'1' * ({more} * 2**20); {ending('SIGKILL')}")
    begin = f"its process was ended by SIGKILL; {MEMORY}: the system kills so where memory runs out; its peak was "
    assert reason.startswith(begin)
    assert reason.endswith(" MiB")


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_AS)[0] != -1, reason="the tests themselves are limited")
@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGTERM"])
def test_without_a_sign_a_signal_says_nothing_of_memory(tmp_path, name):
    assert reason_of(tmp_path, ending(name, "words")) == f"its process was ended by {name}"


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV"])
@pytest.mark.parametrize("words", ["what(): std::bad_alloc", "mmap: Cannot allocate memory", "OOM when allocating x"])
def test_last_words_of_memory_are_a_sign(tmp_path, name, words):
    reason = reason_of(tmp_path, ending(name, words))
    assert reason.startswith(f"its process was ended by {name}; {MEMORY}: its last words are: {words}")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGTERM"])
def test_where_memory_is_limited_an_abort_is_a_sign(tmp_path, limit, name):
    given = {"tests": str(Path(__file__).parent), "limit": limit, "folder": str(tmp_path), "program": ending(name)}
    done = subprocess.run(
        [sys.executable, "-c", BY_LIMITED.format(**given)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"its process was ended by {name}")
    assert (MEMORY in done.stdout) == (name != signal.SIGTERM.name)


def test_a_status_without_a_result_says_the_words_of_memory(tmp_path):
    reason = reason_of(tmp_path, "import sys; print('MemoryError\\nlast'); sys.exit(3)")
    begin = f"its process ended with status 3 and no result: MemoryError; {MEMORY}: as this says"
    assert reason.startswith(begin)
    assert reason_of(tmp_path, "import sys; print('one\\ntwo'); sys.exit(3)") == (
        "its process ended with status 3 and no result: two"
    )


def test_a_signal_without_a_name_has_its_number(tmp_path):
    number = signal.SIGRTMIN + 3
    assert reason_of(tmp_path, f"import os; os.kill(os.getpid(), {number})") == (
        f"its process was ended by signal {int(number)}"
    )
