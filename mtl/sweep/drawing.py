"""The figures of a sweep's runs, drawn by a process of their own while the next jobs train."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from omegaconf import DictConfig, OmegaConf

from mtl.config.build import build
from mtl.errors import UserError
from mtl.job.failure import one_line
from mtl.sweep.launchers import ROOT
from mtl.terminal import progress, show

log = logging.getLogger(__name__)

# as of a job's process: the first import of all is of what is part of the interpreter
CODE = "import sys; sys.path[:] = sys.argv[1:]; from mtl.sweep import drawing; sys.exit(drawing.main())"
ALL, GONE = b"draw what is left\n", b""  # what the sweep says last; a sweep that died says nothing
SECONDS_BETWEEN_LOOKS = 0.5
LOWER_PRIORITY = 19  # training goes first
SECONDS_TO_LEAVE = 10.0
LOG = "figures.log"


class Drawing:
    """A process that draws the figures of runs as they finish.

    It is told what to do through its standard input, and ends when that is closed: a sweep that is killed
    leaves nothing at work. What it has not drawn then, `mtl.report.pending` finds again.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    tracking : DictConfig
        What the runs are tracked by, as configured.
    """

    def __init__(self, folder: Path, tracking: DictConfig) -> None:
        self._folder, self._log = folder, folder / LOG
        paths = [str(Path(path).absolute()) for path in sys.path if path]
        with self._log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-c", CODE, *dict.fromkeys([*paths, str(ROOT)])],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors,
                start_new_session=True,  # Ctrl-C is for the sweep
            )  # fmt: skip
        self._say(json.dumps([str(folder), OmegaConf.to_container(tracking, resolve=True)]).encode() + b"\n")

    def finish(self) -> None:
        """Have it draw what is left, and no more come."""
        self._say(ALL)

    def close(self, interrupted: bool) -> None:
        """Wait for what `finish` asked for, where the sweep came to its end; say what is not drawn, and why."""
        from mtl.formatting import plural  # with pandas, which `--help` does without
        from mtl.report.pending import pending

        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        if interrupted:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(SECONDS_TO_LEAVE)
            self._process.kill()
        else:
            self._await_all()
        self._process.wait()
        said = self._log.read_text(errors="replace").splitlines() if self._log.is_file() else []
        for line in dict.fromkeys(said) if self._process.returncode == 0 else ():  # else it is the end of a process
            show(line)
        if not said:
            self._log.unlink(missing_ok=True)
        if left := len(pending(self._folder)):
            why = f" ({self._log} says why)" if said and self._process.returncode else ""
            show(f"The figures of {plural(left, 'run')} are not drawn{why}; the same command draws them.")

    def _await_all(self) -> None:
        """Wait until all is drawn, with a bar."""
        from mtl.report.pending import pending

        n_left = len(pending(self._folder))
        with progress("figures", n_left, "runs") as advance:
            while self._process.poll() is None:
                time.sleep(SECONDS_BETWEEN_LOOKS / 5)
                left = len(pending(self._folder))
                advance(n_left - left)
                n_left = left

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it has died: what it left is found again
            self._process.stdin.write(line)
            self._process.stdin.flush()


def main() -> int:
    """What the process does: it is told folder and tracking, draws, and ends when nothing more will come."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    with suppress(OSError):
        os.nice(LOWER_PRIORITY)
    with open(0, "rb", buffering=0) as words:  # unbuffered, so that nothing lies where `select` cannot see it
        told = words.readline()
        if told:
            place, described = json.loads(told)
            _draw(Path(place), build(OmegaConf.create({"tracking": described}).tracking), words)
    return 0


def _draw(folder: Path, tracking: Any, words: IO[bytes]) -> None:
    """Draw what has finished until the sweep is at its end, or gone."""
    from mtl.report.pending import draw_recorded, pending

    with suppress(UserError):  # where the store refuses, the jobs say so
        tracking.prepare()
    failed: set[Path] = set()
    heard: bytes | None = None
    while heard != GONE:
        left = [record for record in pending(folder) if record.path not in failed]
        if heard == ALL and not left:
            return
        if heard is None:
            heard = _heard(words, 0.0 if left else SECONDS_BETWEEN_LOOKS)
        if not left or heard == GONE:
            continue
        try:
            draw_recorded(left[0], tracking)
        except Exception as error:  # whatever is wrong with one run's figures, the others have theirs
            failed.add(left[0].path)
            log.warning("The figures of %s were not drawn (%s).", left[0].first["name"], one_line(error))


def _heard(words: IO[bytes], seconds: float) -> bytes | None:
    """What the sweep says within so many seconds; empty where it is gone, None where it says nothing."""
    ready, _, _ = select.select([words], [], [], seconds)
    return words.readline() if ready else None
