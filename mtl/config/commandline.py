"""From the command line to a job and back: signals, exit codes, user errors in one line."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from mtl.config.credentials import taken_out
from mtl.config.explain import explain
from mtl.config.renamed import lines, override, renamed
from mtl.config.swept import deferred
from mtl.config.words import at_home, check_paths
from mtl.errors import UserError
from mtl.terminal import INTERRUPTED, complain

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)

TERMINATED = 143
NO_CHDIR = "hydra.job.chdir=true changes nothing here: paths belong to the folder the command was typed in."
TAKE_A_WORD = frozenset({"--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p"})
# what is to be done before the process ends, while everything still works; told whether it was interrupted
closing: list[Callable[[bool], None]] = []


def launch(main: Callable[[], object]) -> None:
    """Call Hydra's entry point; say a user's error in one line and leave with status 1.

    Parameters
    ----------
    main : callable
        A function decorated by `hydra.main`. With ``hydra.verbose=true`` on the
        command line its exceptions pass through as they are. Overrides under old
        names, and those that hold a password, are rewritten before Hydra sees them.
    """
    sys.excepthook = lambda *error: complain("".join(traceback.format_exception(*error)).rstrip())
    try:
        sys.argv[1:], said = taken_out(sys.argv[1:])
    except UserError as mistake:
        complain(str(mistake))
        sys.exit(1)
    for told in said:
        complain(told)
    for old in lines(sys.argv[1:]):
        complain(old)
    sys.argv[1:] = options_first(list(map(at_home, map(override, sys.argv[1:]))))
    if {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(sys.argv[1:]):
        sys.argv[1:] = deferred(sys.argv[1:])
    if any(re.fullmatch(r"hydra\.verbose=(true|\[.*|\w+\..*)", word, re.IGNORECASE) for word in sys.argv[1:]):
        os.environ["HYDRA_FULL_ERROR"] = "1"
        main()
        return
    leave_on_sigterm()
    expect_presets()
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints the traceback itself and exits
    try:
        main()
    except KeyboardInterrupt:
        _close(interrupted=True)
        complain("interrupted")
        sys.exit(INTERRUPTED)
    except SystemExit as leaving:
        _close(interrupted=leaving.code == TERMINATED)
        raise
    except Exception as error:
        line = explain(error)
        if closing:  # a sweep: its summary lists every failure, tracebacks are in the jobs' folders
            line = line or " ".join(f"{type(error).__name__}: {error}".split())
            _close(interrupted=False)
        if line is None:
            raise
        complain(line)
        sys.exit(1)
    finally:
        if before is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)


def options_first(words: list[str]) -> list[str]:
    """The same words with the overrides, ``key=value`` and ``~key``, behind the options and what belongs to these.

    Python's parser refuses overrides on both sides of an option: ``seed=1 -m tasks=anomaly,all``.
    """
    before = ["", *words[:-1]]
    moved = [
        (word.startswith("~") or ("=" in word and not word.startswith("-"))) and option not in TAKE_A_WORD
        for option, word in zip(before, words, strict=True)
    ]
    parts: dict[bool, list[str]] = {False: [], True: []}
    for is_override, word in zip(moved, words, strict=True):
        parts[is_override].append(word)
    return parts[False] + parts[True]


def _close(interrupted: bool) -> None:
    """Do what is left to do; signals that come now do not cut it short."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while closing:
        closing.pop()(interrupted)


def expect_presets() -> None:
    """Keep Hydra from warning, at every composition, that our presets have the names of the plugins' own."""
    warnings.filterwarnings(
        "ignore", message=r"\s*'hydra/(launcher|sweeper)/\w+' is validated against ConfigStore schema"
    )


def leave_on_sigterm() -> None:
    """Let SIGTERM end this process the way out of every `with` and `finally`."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    """End on SIGTERM the way out of every `with` and `finally`, so that runs are closed truthfully."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(TERMINATED)


def run_job(job: Callable[[DictConfig], float | None], config: DictConfig) -> float | None:
    """Do a job; as a run of its own say a user's error and leave, in a sweep leave it to the launcher.

    Parameters
    ----------
    job : callable
    config : DictConfig
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    now = renamed(config, hydra.overrides.task)
    for line in [] if now is config else lines([f"~{key!s}" for key in config]):
        log.warning(line)
    is_alone = hydra.mode != RunMode.MULTIRUN
    if hydra.job.chdir and is_alone:
        log.warning(NO_CHDIR)
    try:
        with _where_typed(Path(hydra.runtime.cwd)):
            check_paths(now, list(hydra.overrides.task))
            return job(now)
    except Exception as error:
        said = explain(error) if is_alone and not hydra.verbose else None
        if said is None:
            raise
        complain(said)
        sys.exit(1)


@contextmanager
def _where_typed(folder: Path) -> Iterator[None]:
    """Work in the folder the command was typed in, whatever `hydra.job.chdir` says.

    The one place where relative paths get their meaning: of data, features, weights
    and store, in single runs and in the jobs of every launcher. A machine of a
    cluster that lacks the folder stays where its worker was started.
    """
    before = Path.cwd()
    if before != folder and folder.is_dir():
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
