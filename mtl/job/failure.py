"""A run that fails is closed with its reason."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl import out_of_memory
from mtl.config.build import build
from mtl.errors import UserError
from mtl.files import NO_ROOM, publish
from mtl.job.context import current
from mtl.job.record import read_job
from mtl.masking import masked

if TYPE_CHECKING:
    from mtl.tracking.run import Run

log = logging.getLogger(__name__)

RETRY_WAITS_S = (0.5, 2.0)
# keys of which less takes less memory, by stage
TAKES_MEMORY = {
    "features": ("backbone.batch_size", "features.memory_gib"),
    "model": ("model.shared_units",),
    "training": ("training.batch_size", "model.shared_units", "features.memory_gib"),
} | dict.fromkeys(("evaluation", "relations", "record"), ("features.memory_gib",))


@contextmanager
def closing_run(tracked: Run, folder: Path, config: DictConfig) -> Iterator[None]:
    """Close the tracked run truthfully, whichever way the block is left; of memory that ran out make one line."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        tracked.closing()
        tracked.tags({"failure": "interrupted"})
        tracked.end("KILLED")
        raise
    except BaseException as error:
        short = out_of_memory.told(error, _less(out_of_memory.where(error), config))
        if short is None:
            _close_failed(tracked, folder, one_line(error), traceback.format_exc())
            raise
        traceback.clear_frames(error.__traceback__)  # what the run held: to close it takes memory too
        from mtl import memory  # numpy, which a launcher has no need of

        memory.give_back()
        _close_failed(tracked, folder, short, traceback.format_exc())
        raise UserError(short) from error
    try:
        tracked.end("FINISHED")
    except (OSError, UserError) as error:  # a disk that fills at the very end
        _close_failed(tracked, folder, one_line(error), traceback.format_exc())
        raise


def _less(stage: str, config: DictConfig) -> list[str]:
    """What a run may have less of where its memory ran out in a stage, with what it has now."""
    now = {key: OmegaConf.select(config, key) for key in TAKES_MEMORY.get(stage, ())}
    less = [f"a smaller {key} (now {value})" for key, value in now.items() if value is not None]
    return less + ["fewer jobs at once (hydra.launcher.n_jobs)"] * (current() is not None)


def _close_failed(tracked: Run, folder: Path, reason: str, details: str) -> None:
    tracked.closing()
    _keep_failure(tracked, folder, reason, details)
    tracked.end("FAILED")


def _keep_failure(tracked: Run, folder: Path, reason: str, details: str) -> None:
    """The reason as a tag, and what is known beyond one line as an artifact."""
    failure = folder / "failure"
    tracked.tags({"failure": reason})
    try:
        failure.mkdir(parents=True, exist_ok=True)
        publish(failure / "traceback.txt", masked(details).encode())
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
    else:
        tracked.artifacts(failure)


def one_line(error: BaseException) -> str:
    """An exception's kind and message in one line; a mistake's message alone."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def track_failure(
    config: DictConfig,
    folder: Path,
    name: str,
    tags: Mapping[str, str],
    parent: str,
    reason: str,
    details: str,
) -> None:
    """Make a job that was refused, or that died without a word, a row with the reason.

    Parameters
    ----------
    config : DictConfig
    folder : Path
        Of the job; a record that its dead process left there is continued.
    name : str
    tags : mapping of str to str
    parent : str
        Id of the sweep's own run, or empty.
    reason : str
        One line.
    details : str
        The traceback, or of a job that died the end of what it wrote.
    """
    left = read_job(folder)
    if left is not None:
        tags = {**tags, **{key: left.tags[key] for key in ("fingerprint",) if key in left.tags}}
    for wait_s in (*RETRY_WAITS_S, None):  # a process that is just leaving, or a busy store, may need a moment
        try:
            tracked = build(config.tracking).start(name, folder, parent or None, tags)
        except (UserError, OmegaConfBaseException) as error:
            if wait_s is None:
                log.warning("The failed job could not be tracked: %s", one_line(error))
                return
            time.sleep(wait_s)
        else:
            break
    _close_failed(tracked, folder, reason, details)
