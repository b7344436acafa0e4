"""What a person sees while it runs: lines, bars and tables, and no noise of others."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, ENOSPC

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as Bar
from rich.text import Text

from mtl.errors import UserError
from mtl.masking import masked

SECONDS_BETWEEN_LINES = 20.0  # of a long work that is not watched on a terminal

Advance = Callable[..., None]

_console = Console(highlight=False)
_prefix = ""


def show(renderable: RenderableType) -> None:
    """Put a table or a text before the person's eyes; what looks like markup in a text stays as it is."""
    renderable = masked(renderable) if isinstance(renderable, str) else renderable
    _console.print(renderable, soft_wrap=isinstance(renderable, str), markup=False, emoji=False)


def hush(prefix: str) -> None:
    """From now on only warnings are shown, and say whose they are: other jobs write to the same terminal.

    Parameters
    ----------
    prefix : str
        Empty: everything is shown again.
    """
    global _prefix
    _prefix = prefix
    _console.quiet = bool(prefix)


class ConsoleHandler(logging.Handler):
    """Log lines that do not tear a progress bar; warnings and errors say what they are."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line."""
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        if _prefix and record.levelno < logging.WARNING:
            return
        console = Console(highlight=False) if _prefix else _console
        console.print(Text(masked(_prefix + prefix + self.format(record))), soft_wrap=True)


class LogFile(logging.FileHandler):
    """A file of log lines; a full disk is no tale of its own: whoever needs the room says so in one line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Leave out what the disk does not take."""
        error = sys.exc_info()[1]
        if not (isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT)):
            super().handleError(record)

    def close(self) -> None:
        """Close the file, whether the disk takes its last lines or not."""
        with suppress(OSError):
            super().close()


class _Rate(ProgressColumn):
    """Units per second since the start."""

    def render(self, task: Bar) -> Text:
        """The rate, once there is one."""
        if not task.elapsed or not task.completed:
            return Text("")
        return Text(f"{task.completed / task.elapsed:,.0f} {task.fields['unit']}/s")


@contextmanager
def progress(title: str, total: int, unit: str) -> Iterator[Advance]:
    """A bar with rate and time left; away from a terminal a line now and then.

    Parameters
    ----------
    title : str
    total : int
        Number of units there are.
    unit : str
        What is counted, in the plural.

    Yields
    ------
    callable
        ``advance(n, note="")`` counts n more units; the note stands behind the bar.
    """
    if not _console.is_terminal:
        yield _lines(title, total, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=_console, transient=True) as bars:
        bar = bars.add_task(title, total=total, unit=unit, note="")

        def advance(n: int, note: str = "") -> None:
            bars.update(bar, advance=n, note=note)

        yield advance


def _lines(title: str, total: int, unit: str) -> Advance:
    """The bar's stand-in for log files: seldom a line, none for short work."""
    log = logging.getLogger(__name__)
    start = last = time.monotonic()
    done = 0

    def advance(n: int, note: str = "") -> None:
        nonlocal last, done
        done += n
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES or not done:
            return
        last = now
        rate = done / (now - start)
        left = (total - done) / rate
        log.info("%s %d/%d, %.0f %s/s, %.0f s left %s", title, done, total, rate, unit, left, note)

    return advance


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what libraries write on import, straight to file descriptor 2 included.

    What was written is shown after all where an exception leaves the block, but for a user's
    mistake, which is one line.
    """
    import tempfile

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with tempfile.TemporaryFile() as heard:
        kept = os.dup(2)
        os.dup2(heard.fileno(), 2)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except UserError:
            raise
        except BaseException:
            heard.seek(0)
            os.write(kept, heard.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
