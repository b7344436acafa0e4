"""What the jobs of a sweep have to say to a person, each thing once, by whichever process on whichever machine."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from pathlib import Path

from mtl import terminal
from mtl.job.context import SweepContext

SAID = ".said"  # of a sweep's folder: one file per thing, its name made of the text
SECONDS = re.compile(r"\b\d+(\.\d+)? s\b")  # that a thing took: no other thing
OF_THE_DATA = "mtl.data."  # what this chapter notes holds for all jobs


def listen(sweep: SweepContext, own: Path) -> None:
    """From now on this process is at a job: what it logs stands in the job's own log, and the sweep shows the rest.

    Parameters
    ----------
    sweep : SweepContext
    own : Path
        The job's folder. Things that differ in its name, or in seconds, alone are one.
    """

    def take(logged: logging.LogRecord, line: str) -> bool:
        for_a_person = logged.levelno >= logging.WARNING or logged.name.startswith(OF_THE_DATA)
        return not for_a_person or _put(Path(sweep.folder) / SAID, line, SECONDS.sub("", line.replace(str(own), "")))

    terminal.hush(take)


def _put(folder: Path, line: str, told_by: str) -> bool:
    """Leave a line for the sweep, unless another job has; whether that was possible."""
    name = hashlib.sha256(told_by.encode("utf-8", "replace")).hexdigest()[:32]
    try:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return True
    except OSError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(f"{line}\n".encode("utf-8", "replace"))
    return True


def lines(sweep: SweepContext) -> dict[str, str]:
    """What has been said so far, first said first, by its name; without what is just being written."""
    found = []
    for path in (Path(sweep.folder) / SAID).glob("*"):
        text = path.read_text(encoding="utf-8", errors="replace")
        if text.endswith("\n"):
            found.append((path.stat().st_mtime_ns, path.name, text.rstrip("\n")))
    return {name: text for _, name, text in sorted(found)}
