"""Memory that runs out is said in one line: where, how much was asked for, how much is free."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from mtl import out_of_memory
from mtl.errors import UserError
from mtl.tracking.stages import Stages

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
LIMITED = """
import resource
from pathlib import Path
import numpy as np
from mtl import out_of_memory
from mtl.tracking.stages import Stages
used = int(Path("/proc/self/statm").read_text().split()[{place}]) * resource.getpagesize()
resource.setrlimit(resource.{limit}, (used + 200 * 2**20, -1))
try:
    with Stages()("features"):
        {asks}
except Exception as error:
    print(out_of_memory.told(error, ["a smaller batch"]))
"""


def told_by_a_limited_process(asks: str, limit: str = "RLIMIT_AS", place: int = 0) -> str:
    done = LIMITED.format(asks=asks, limit=limit, place=place)
    return subprocess.run([sys.executable, "-c", done], capture_output=True, text=True, check=True).stdout


def of_tensorflow(text: str) -> Exception:
    return type("ResourceExhaustedError", (Exception,), {"__module__": "tensorflow.python.framework.errors_impl"})(text)


@on_linux
@pytest.mark.parametrize(("limit", "place", "name"), [("RLIMIT_AS", 0, "ulimit -v"), ("RLIMIT_DATA", 5, "ulimit -d")])
def test_a_refused_array_is_said_with_what_was_asked_for_and_what_is_free(limit, place, name):
    line = told_by_a_limited_process("np.ones((2**20, 2**10))", limit, place)
    begin = (
        "Memory ran out in the stage features: 8192 MiB were asked for (array with shape (1048576, 1024) and data type"
    )
    assert line.startswith(begin)
    free = int(line.partition("float64), ")[2].split(" ")[0])
    assert 100 < free <= 201
    assert "MiB are free within the process's limit of " in line
    assert line.endswith(f"({name}). Right would be a smaller batch or more memory.\n")


@on_linux
def test_of_pythons_own_objects_nobody_knows_how_much_was_asked_for():
    line = told_by_a_limited_process("[bytes(2**20) for _ in range(1000)]")
    assert line.startswith("Memory ran out in the stage features: MemoryError, ")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "size", "what"),
    [
        (
            "OOM when allocating tensor with shape[128,16777216] and type float on /job:localhost by allocator mklcpu",
            8 * 2**30,
            " (tensor with shape[128,16777216] and type float)",
        ),
        ("Out of memory while trying to allocate 34359738368 bytes.", 2**35, ""),
        ("Unable to allocate 7.45 GiB for an array with shape (3,)", 7.45 * 2**30, " (array with shape (3,))"),
        ("(-4:Insufficient memory) Failed to allocate 75000000 bytes in function 'OutOfMemoryError'", 75e6, ""),
        ("malloc of size 1024 failed", 1024, ""),
        ("std::bad_alloc", 0, ""),
    ],
)
def test_what_was_asked_for_is_read_from_the_librarys_words(text, size, what):
    assert out_of_memory.asked_for(text) == (size, what)


def test_of_a_gpu_the_machines_memory_is_not_spoken_of():
    text = "OOM when allocating tensor with shape[1024,1024] and type half on /device:GPU:0 by allocator GPU_0_bfc"
    line = out_of_memory.told(of_tensorflow(text), ["a smaller batch"])
    asked = "2 MiB were asked for (tensor with shape[1024,1024] and type half)"
    assert line == f"Memory of the GPU ran out: {asked}. Right would be a smaller batch or more memory."


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("std::bad_alloc"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("lib.so: failed to map segment from shared object"),
        of_tensorflow("OOM when allocating tensor"),
    ],
)
def test_every_kind_is_recognised_also_where_another_error_was_made_of_it(error):
    another = RuntimeError("Error in call to target")
    another.__cause__ = error
    assert out_of_memory.told(error)
    assert out_of_memory.told(another)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        of_tensorflow("/disk/events; No space left on device"),
        ValueError("the paper is called 'out of memory'"),
        UserError("data.root: out of memory/videos is no folder"),
        RuntimeError("something else"),
    ],
)
def test_nothing_else_is_taken_for_it(error):
    assert out_of_memory.told(error) is None


def test_an_error_knows_the_innermost_stage_that_it_left():
    stages = Stages()
    with pytest.raises(MemoryError) as left, stages("training"), stages("evaluation"):
        raise MemoryError
    assert out_of_memory.where(left.value) == "evaluation"
    assert stages.seconds == {}
