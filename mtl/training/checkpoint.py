"""The state of a training on disk, epoch by epoch: what was killed goes on from there."""

from __future__ import annotations

import json
import logging
import os
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from pydantic import NonNegativeFloat, PositiveInt

from mtl.files import TEMPORARY, NoLocksError, published, take_lock

log = logging.getLogger(__name__)

STATE = "state.npz"
LOCK = "lock"
FACTS = "facts"  # the array that holds what is no array, as JSON


class Checkpoints:
    """How often a training's state is written, and where.

    Parameters
    ----------
    epochs : int or None
        Due after so many epochs; None: never.
    seconds : float
        Not oftener than so many seconds.
    dir : str
        Folder that holds one folder per run, named by the run's fingerprint.
    """

    def __init__(self, epochs: PositiveInt | None, seconds: NonNegativeFloat, dir: str) -> None:
        self.epochs = epochs
        self.seconds = seconds
        self.dir = Path(dir).expanduser().absolute()

    def of(self, key: str, record: Path | None = None) -> Checkpoint:
        """The checkpoint of one run.

        Parameters
        ----------
        key : str
            The run's fingerprint: with another learning rate or other data it is another run.
        record : Path, optional
            Folder of the run's record, noted so that the same run can be taken up again.
        """
        return Checkpoint(self, key, record)

    def waiting(self) -> list[Path]:
        """The states that are there, of whichever runs."""
        return sorted(self.dir.glob(f"*/{STATE}"))


class Checkpoint:
    """One run's state after its last whole epoch that was written.

    One generation is kept until the next is whole, since the file is replaced by a rename.
    What cannot be written costs one warning and the checkpoint, never the training.

    Parameters
    ----------
    settings : Checkpoints
    key : str
    record : Path or None

    Attributes
    ----------
    seconds : float
        Wall time that writing took so far.
    """

    def __init__(self, settings: Checkpoints, key: str, record: Path | None = None) -> None:
        self._settings = settings
        self.folder = settings.dir / key
        self._record = record
        self._descriptor: int | None = None  # of the lock, while it is held
        self._is_refused = False  # nothing is kept any more
        self._last_epoch, self._last_time = 0, time.monotonic()
        self.seconds, self.n_written, self.n_bytes = 0.0, 0, 0

    @contextmanager
    def held(self) -> Iterator[Checkpoint]:
        """Kept from other processes from the first reading or writing on: a short training leaves no trace.

        A second process of the same run trains on its own and writes nothing.
        """
        try:
            yield self
        finally:
            if self._descriptor is not None:
                if not self.exists:
                    (self.folder / LOCK).unlink(missing_ok=True)
                    with suppress(OSError):
                        self.folder.rmdir()
                os.close(self._descriptor)
                self._descriptor = None

    def _take(self) -> bool:
        """Whether this process has the checkpoint to itself; why not is said once."""
        if self._descriptor is None and not self._is_refused:
            self._descriptor = self._lock()
            self._is_refused = self._descriptor is None
            if self._descriptor is not None:
                for left in self.folder.glob(f"{TEMPORARY}*"):  # of a writer that was killed
                    left.unlink(missing_ok=True)
        return self._descriptor is not None

    def _lock(self) -> int | None:
        """Descriptor of the lock, made with its folder; None, with a warning, where it cannot be had."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = take_lock(self.folder / LOCK, "Set training.checkpoint.dir to a disk that can.")
        except NoLocksError as error:
            log.warning("No checkpoint is kept: %s", error)
            return None
        except OSError as error:  # read-only, or full
            log.warning("No checkpoint is kept in %s: %s.", self.folder, os.strerror(error.errno or 0))
            return None
        if descriptor is None:
            log.warning("The same run is going on in another process: this one keeps no checkpoint.")
        return descriptor

    @property
    def exists(self) -> bool:
        """Whether there is a state to go on from."""
        return (self.folder / STATE).is_file()

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, object]] | None:
        """Arrays and facts as `write` got them; None without a whole state of this run."""
        if self._settings.epochs is None or not self.exists or not self._take():
            return None
        try:
            return _read(self.folder / STATE)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("%s is damaged (%s): the training starts anew.", self.folder / STATE, error)
            return None

    def record(self) -> Path | None:
        """Folder of the record of the run that left the state; None where that is not known."""
        try:
            with np.load(self.folder / STATE, allow_pickle=False) as file:
                said = _facts(file[FACTS]).get("record")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return Path(said) if isinstance(said, str) and said else None

    def goes_on(self, epoch: int) -> None:
        """The training begins after so many epochs."""
        self._last_epoch, self._last_time = epoch, time.monotonic()

    def is_due(self, epoch: int) -> bool:
        """Whether the state after so many epochs is to be written."""
        every = self._settings.epochs
        if every is None or self._is_refused or epoch - self._last_epoch < every:
            return False
        return time.monotonic() - self._last_time >= self._settings.seconds

    def write(self, epoch: int, arrays: Mapping[str, np.ndarray], facts: Mapping[str, object]) -> None:
        """Replace the state by that after so many epochs.

        Parameters
        ----------
        epoch : int
            Whole epochs so far.
        arrays : mapping of str to ndarray
        facts : mapping
            What JSON can hold.
        """
        if not self._take():
            return
        began = time.monotonic()
        text = json.dumps({**facts, "record": str(self._record or "")})
        everything = {**arrays, FACTS: np.frombuffer(text.encode(), np.uint8)}
        size = sum(array.nbytes for array in everything.values())
        try:
            with published(self.folder / STATE, size) as file:
                np.savez(file, **everything)  # type: ignore[arg-type]
        except OSError as error:
            log.warning(
                "No checkpoint of %d MiB could be written in %s (%s): the training goes on without.",
                size >> 20, self.folder, os.strerror(error.errno or 0),
            )  # fmt: skip
            self._is_refused = not self.exists  # with one generation there it is tried again after the next epoch
        else:
            self.n_written, self.n_bytes = self.n_written + 1, size
        self.goes_on(epoch)
        self.seconds += time.monotonic() - began

    def text(self, training_seconds: float) -> str:
        """What it cost, in a line.

        Parameters
        ----------
        training_seconds : float
            Of the steps, for comparison.
        """
        return (
            f"checkpoints: {self.n_written} of {self.n_bytes / 2**20:.0f} MiB written in {self.seconds:.1f} s, "
            f"{100 * self.seconds / max(training_seconds, 1e-9):.1f} % of the time of the steps"
        )

    def remove(self) -> None:
        """Forget the state of a run that is finished; one that another process holds stays."""
        with self.held():
            if self.exists and self._take():
                (self.folder / STATE).unlink(missing_ok=True)


NO_CHECKPOINT = Checkpoints(None, 0.0, "").of("")


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Arrays and facts of a state; zip's own checksums find what is damaged."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, _facts(arrays.pop(FACTS))


def _facts(array: np.ndarray) -> dict[str, object]:
    found = json.loads(array.tobytes())
    if not isinstance(found, dict):
        raise ValueError("its facts are no mapping")
    return found
