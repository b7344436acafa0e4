"""A folder of a store, which goes as a whole: when it was used last, for which data, and who writes it.

    used.json    the data roots it served; its modification time is the last use
    lock         flock'd by the one process that writes

No link below the store is followed: a store may be of others' making.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from pathlib import Path

from mtl import files
from mtl.errors import UserError

log = logging.getLogger(__name__)

USED, LOCK = "used.json", "lock"
REMOVED = ".removed-"


class KeptFolder:
    """A folder of a store.

    Parameters
    ----------
    folder : Path
        Need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder.name

    def _at(self, name: str) -> Path:
        """Path of one of its files, once it is a folder of the store and no link out of it."""
        refuse_link(self.folder)
        return self.folder / name

    def size(self) -> int:
        """Bytes on the disk."""
        n = 0
        with os.scandir(self._at("")) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # of a process that writes at this moment
                    if entry.is_file(follow_symlinks=False):
                        n += entry.stat(follow_symlinks=False).st_size
        return n

    def roots(self) -> list[str]:
        """Data roots it served."""
        found = files.read_json(self._at(USED), own=True).get("roots", [])
        return [str(root) for root in found] if isinstance(found, list) else []

    def last_used(self) -> float:
        """Seconds since the epoch."""
        with contextlib.suppress(OSError):
            return (self.folder / USED).lstat().st_mtime
        return self.folder.lstat().st_mtime

    def touch(self, root: Path) -> None:
        """Note a use; a store that may only be read serves all the same."""
        roots = self.roots()
        try:
            if str(root) not in roots:
                files.publish(self.folder / USED, json.dumps({"roots": [*roots, str(root)]}).encode())
            os.utime(self.folder / USED, follow_symlinks=False)
        except OSError:
            log.debug("The use of %s could not be noted.", self.folder)

    def busy(self) -> bool:
        """Whether somebody is writing now."""
        import fcntl  # not on every system

        try:
            descriptor = files.open_own(self._at(LOCK))
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:  # where nothing can be locked, nobody writes
            if error.errno not in files.NO_LOCKS:
                raise
        finally:
            os.close(descriptor)
        return False

    def remove(self) -> None:
        """Remove the whole folder; nobody sees half of it. For who holds the lock."""
        aside = self.folder.with_name(f"{REMOVED}{self.key}-{os.getpid()}")
        try:
            self.folder.rename(aside)
        except OSError as error:
            remedy = "Right would be to remove it as somebody who may."
            raise files.disk_error(error, self.folder, 0, remedy) from error
        shutil.rmtree(aside, ignore_errors=True)


def refuse_link(folder: Path) -> None:
    """Raise `UserError` where a folder of a store is a link; what it leads to is not touched."""
    if folder.is_symlink():
        raise UserError(
            f"{folder} is a link. A feature store may be one itself (features.dir), what lies in it may not; "
            f"right would be to remove the link (rm {folder})."
        )


def finish_removals(folder: Path) -> None:
    """Remove what an interrupted `KeptFolder.remove` left."""
    for entry in folder.glob(f"{REMOVED}*"):
        shutil.rmtree(entry, ignore_errors=True)
