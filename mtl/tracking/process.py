"""Which process runs, so that a dead run can be told from a living one."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mtl.results import HOST, PROCESS


def this_host() -> str:
    """The machine, and the name space its process numbers belong to."""
    with suppress(OSError):
        return f"{platform.node()}/{Path('/proc/self/ns/pid').readlink()}"
    return platform.node()


def process_identity(pid: int) -> str:
    """A process by its number and start, empty where there is none; a number used again has another identity."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return _process_identity_by_ps(pid) if not Path("/proc/self/stat").exists() else ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{pid}@{boot}/{rest[18]}"


def _process_identity_by_ps(pid: int) -> str:
    """The same where there is no /proc."""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        started = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return f"{pid}@unknown"
    return f"{pid}@{started}" if started else ""


def is_dead(tags: Mapping[str, str]) -> bool:
    """Whether the process that wrote these tags ran on this host and is gone."""
    identity = tags.get(PROCESS, "")
    pid = identity.partition("@")[0]
    return tags.get(HOST) == this_host() and pid.isdecimal() and process_identity(int(pid)) != identity


def this_process() -> dict[str, str]:
    """The tags that name this process."""
    return {HOST: this_host(), PROCESS: process_identity(os.getpid())}
