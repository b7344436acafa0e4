"""What a person sees while it runs: lines, bars and tables, and no noise of others."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, ENOSPC

from rich.console import Console, ConsoleOptions, RenderableType
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
from rich.segment import Segment
from rich.text import Text

from mtl.errors import UserError
from mtl.masking import masked

COLUMNS_OF_LOG = 120
INTERRUPTED = 130  # exit status after Ctrl-C
SECONDS_BETWEEN_LINES = 20.0  # of a long work that is not watched on a terminal

Advance = Callable[..., None]
Take = Callable[[logging.LogRecord, str], bool]

# what moves the cursor, colours, rings, or turns the direction of writing; a line's end and a tab stay
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
IN_LOG = "in_log_alone"  # of a record that was shown already, or is not to be


def plain(text: str) -> str:
    """Text without control characters: names come from files and stores of others."""
    return _CONTROL.sub("", text)


def printable(text: str) -> str:
    """A text as one line, without what would move a terminal's cursor."""
    return "".join(one if one.isprintable() else "?" for one in text)


class _Terminal(Console):
    """A console that shows control characters of nobody but itself."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Parts of the text as they are written."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(plain(part.text), part.style)


_console = _Terminal(highlight=False)
_take: Take | None = None
_bars: Progress | None = None


def show(renderable: RenderableType) -> None:
    """Put a table or a text before the person's eyes; what looks like markup in a text stays as it is."""
    renderable = masked(renderable) if isinstance(renderable, str) else renderable
    _console.print(renderable, soft_wrap=isinstance(renderable, str), markup=False, emoji=False)


def report(renderable: RenderableType) -> None:
    """Put what a run found into its log, and before the person's eyes where no sweep speaks for the run."""
    if _take is None:
        show(renderable)
    text = io.StringIO()
    Console(file=text, width=COLUMNS_OF_LOG, color_system=None).print(renderable)
    lines = "\n".join(line.rstrip() for line in text.getvalue().splitlines())
    logging.getLogger(__name__).info("\n%s", lines, extra={IN_LOG: True})


def complain(line: str) -> None:
    """Say on the error stream what went wrong."""
    print(plain(masked(line)), file=sys.stderr)  # noqa: T201


def hush(take: Take | None) -> None:
    """From now on log lines are given to `take`, and shown only where it returns False; bars are not shown.

    Parameters
    ----------
    take : callable or None
        Of the record and its line. None: everything is shown again.
    """
    global _take
    _take = take


class ConsoleHandler(logging.Handler):
    """Log lines that do not tear a progress bar; warnings and errors say what they are."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line."""
        if getattr(record, IN_LOG, False):
            return
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        line = masked(prefix + self.format(record))
        if _take is None or not _take(record, line):
            _console.print(Text(line), soft_wrap=True)


def exit_status(act: Callable[[], int], level: int, afterwards: str = "") -> int:
    """Do what a command asks for, its log lines before the person's eyes, and tell how it ended.

    Parameters
    ----------
    act : callable
        Gives the exit status.
    level : int
        Of the log lines that are shown.
    afterwards : str
        What a person is told where it was stopped, by Ctrl-C or by the disk.

    Returns
    -------
    int
        What `act` gave; 1 after a user's mistake or an error of the system, in one line; 130 after Ctrl-C.
    """
    root = logging.getLogger()
    root.setLevel(level)
    if not any(isinstance(handler, ConsoleHandler) for handler in root.handlers):
        root.addHandler(ConsoleHandler())
    log = logging.getLogger(__name__)
    try:
        return act()
    except UserError as error:
        log.error("%s", error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        log.error("%s", f"{where}{error.strerror or error}. {afterwards}".strip())
    except KeyboardInterrupt:
        log.warning("%s", f"Interrupted. {afterwards}".strip())
        return INTERRUPTED
    return 1


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
        rate = task.completed / task.elapsed
        return Text(f"{rate:,.0f} {task.fields['unit']}/s" if rate >= 1 else "")


def is_watched() -> bool:
    """Whether what is shown is shown on a terminal."""
    return _console.is_terminal


@contextmanager
def progress(title: str, total: int | None, unit: str) -> Iterator[Advance]:
    """A bar with rate and time left; away from a terminal a line now and then.

    Parameters
    ----------
    title : str
    total : int or None
        Number of units there are; None where that is not known.
    unit : str
        What is counted, in the plural.

    Yields
    ------
    callable
        ``advance(n, note="", total=None)`` counts n more units; the note stands behind the bar, a total that
        has become known since replaces the one there was.
    """
    if not is_watched() or (_take is not None and _bars is None):  # a job beside others has no terminal of its own
        yield _lines(title, total or 0, unit)
        return
    with _shown_bars() as bars:
        bar = bars.add_task(title, total=total, unit=unit, note="")

        def advance(n: int, note: str = "", total: int | None = total) -> None:
            bars.update(bar, advance=n, note=plain(note), total=total)

        try:
            yield advance
        finally:
            bars.remove_task(bar)


@contextmanager
def _shown_bars() -> Iterator[Progress]:
    """The bars on the terminal: a job's stand below its sweep's."""
    global _bars
    if _bars is not None:
        yield _bars
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=_console, transient=True) as bars:
        _bars = bars
        try:
            yield bars
        finally:
            _bars = None


def _lines(title: str, total: int, unit: str) -> Advance:
    """The bar's stand-in for log files: seldom a line, none for short work."""
    log = logging.getLogger(__name__)
    start = last = time.monotonic()
    done = 0

    def advance(n: int, note: str = "", total: int | None = total) -> None:
        nonlocal last, done
        done += n
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES or not done:
            return
        last, known = now, total or 0
        rate = done / (now - start)
        left = (known - done) / rate
        log.info("%s %d/%d, %.0f %s/s, %.0f s left %s", title, done, known, rate, unit, left, note)

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
