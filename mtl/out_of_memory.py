"""Memory that ran out: how it is recognised, how much was asked for and was free, in one line."""

from __future__ import annotations

import errno
import math
import re
import resource
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

STAGE = "stage"  # attribute of an exception: the stage of the run that it left
# what libraries write or raise where an allocation is refused, beside Python's own MemoryError
WORDS = re.compile(
    r"OOM when allocating|\bout of memory\b|cannot allocate memory|std::bad_alloc|\bMemoryError\b|insufficient memory"
    r"|unable to allocate|failed to map segment|\w+_ALLOC_FAILED|CUDA_ERROR_OUT_OF_MEMORY"
    r"|Dst tensor is not initialized",
    re.IGNORECASE,
)
SIZE = re.compile(r"(?:allocat\w*|of size) (\d[\d.]*) ?([KMGTPE]iB|B|bytes)?(?: for an? (.+))?", re.IGNORECASE)
NO_THREAD = "can't start new thread"  # a thread needs addresses for its stack
UNITS = {"": 1, "bytes": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50, "eib": 2**60}
BYTES_OF = {"float": 4, "int32": 4, "uint32": 4, "half": 2, "bfloat16": 2, "int16": 2, "uint16": 2}
BYTES_OF |= {"double": 8, "int64": 8, "uint64": 8, "int8": 1, "uint8": 1, "bool": 1}
LIMITS = {  # place of what counts against it in /proc/self/statm, and its name in a shell
    resource.RLIMIT_AS: (0, "ulimit -v"),
    resource.RLIMIT_DATA: (5, "ulimit -d"),
}


def told(error: BaseException, right: Iterable[str] = ()) -> str | None:
    """The line that says that memory ran out, where, and how much was asked for and is free.

    Parameters
    ----------
    error : BaseException
    right : iterable of str
        What would take less, before what is always right: more memory.

    Returns
    -------
    str or None
        None where the exception, and what it was raised from, say nothing of memory.
    """
    cause = next(filter(_is_of_memory, _chain(error)), None)
    if cause is None:
        return None
    text, place = " ".join(str(cause).split()), where(error)
    on_gpu = bool(re.search(r"device:GPU|\bGPU_\d|CUDA|CUBLAS|CUDNN", text))
    asked, what = asked_for(text)
    parts = [f"{_mib(asked)} were asked for{what}"] if asked else [f"{type(cause).__name__}: {text}".rstrip(": ")]
    if not on_gpu and (left := free()) is not None:
        parts.append(f"{_mib(left[0])} are free{left[1]}")
    in_place = f" in the stage {place}" if place else ""
    others = [*right, "more memory"]
    choices = f"{', '.join(others[:-1])} or {others[-1]}" if right else others[-1]
    return f"Memory{' of the GPU' * on_gpu} ran out{in_place}: {', '.join(parts)}. Right would be {choices}."


def where(error: BaseException) -> str:
    """The stage that an exception left; between two stages the chapter of `mtl` that it came from; else nothing."""
    stage = vars(error).get(STAGE, "")
    own = Path(__file__).parent
    for frame, _ in [] if stage else traceback.walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.parent != own and path.is_relative_to(own) and path.relative_to(own).parts[0] != "config":
            stage = path.relative_to(own).parts[0]
    return str(stage)


def asked_for(text: str) -> tuple[float, str]:
    """Bytes that an error's text says were asked for, and for what, in brackets; 0 where it does not say."""
    found = re.search(r"tensor with shape\[([\d,]*)\] and type (\w+)", text)
    if found and found[2] in BYTES_OF:
        shape = [int(n) for n in found[1].split(",") if n]
        return math.prod(shape) * BYTES_OF[found[2]], f" ({found[0]})"
    found = SIZE.search(text)
    if not found:
        return 0.0, ""
    return float(found[1].rstrip(".")) * UNITS[(found[2] or "").lower()], f" ({found[3]})" if found[3] else ""


def limits() -> dict[int, int]:
    """Bytes that this process may have by its own limits, those that are set."""
    soft = {kind: resource.getrlimit(kind)[0] for kind in LIMITS}
    return {kind: limit for kind, limit in soft.items() if limit != resource.RLIM_INFINITY}


def free() -> tuple[float, str] | None:
    """Bytes that this process may still have, and which limit of its own or of its group says so; None if unknown."""
    if sys.platform != "linux":
        return None
    found = []
    try:
        used = [int(pages) * resource.getpagesize() for pages in Path("/proc/self/statm").read_text("ascii").split()]
        available = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text("ascii"))
        found += [(float(available[1]) * 1024, "")] if available else []
        for kind, limit in limits().items():
            at, name = LIMITS[kind]
            found.append((max(limit - used[at], 0.0), f" within the process's limit of {_mib(limit)} ({name})"))
        found += _free_of_group()
    except (OSError, ValueError):
        pass  # what could be read is said
    return min(found, default=None)


def _free_of_group() -> Iterator[tuple[float, str]]:
    """The same of the container or job of a cluster (cgroup, version 2) that this process belongs to."""
    of = Path("/proc/self/cgroup").read_text("utf-8").strip().rpartition("::")[2].lstrip("/")
    for folder in (Path("/sys/fs/cgroup") / of, Path("/sys/fs/cgroup")):
        if (folder / "memory.max").exists():
            limit = (folder / "memory.max").read_text("ascii").strip()
            cache = re.search(r"^inactive_file (\d+)", (folder / "memory.stat").read_text("ascii"), re.MULTILINE)
            if limit != "max":
                used = int((folder / "memory.current").read_text("ascii")) - int(cache[1] if cache else 0)
                yield max(int(limit) - used, 0.0), f" within the container's limit of {_mib(int(limit))}"
            return


def resident_mib(peak: float) -> float:
    """`ru_maxrss`, of which every system has its own unit, in MiB."""
    return peak * (1 if sys.platform == "darwin" else 1024) / 2**20


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def _is_of_memory(error: BaseException) -> bool:
    """Whether an exception is a refused allocation; only kinds count whose words are the library's own."""
    if isinstance(error, MemoryError):
        return True
    text, kind = str(error), type(error)
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError) and NO_THREAD in text:
        return bool(limits())
    is_librarys = kind.__module__.split(".")[0] in ("tensorflow", "keras", "cv2", "jaxlib")
    return (is_librarys or isinstance(error, ImportError | RuntimeError)) and bool(WORDS.search(text))


def _mib(size: float) -> str:
    """Always in one unit, so that two jobs that fail alike say so alike."""
    return f"{math.ceil(size / 2**20)} MiB"
