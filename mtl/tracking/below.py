"""A path of someone else's making stays below its folder, without a link."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from mtl.errors import UserError


def below(folder: Path, name: str) -> Path:
    """The file or folder of this name below a folder; what it holds is below it too.

    Parameters
    ----------
    folder : Path
        May itself be reached through links.
    name : str
        Relative, with ``/``.

    Raises
    ------
    UserError
        If the name leads out of the folder, or it, or anything in it, is a link or no
        regular file.
    """
    parts = PurePosixPath(name).parts
    if PurePosixPath(name).is_absolute() or ".." in parts or Path(name).drive:
        raise UserError(f"'{name}' leads out of {folder}; right would be a name below it.")
    path = folder
    for part in parts:
        path /= part
        _check(path)
    if path.is_dir():
        for here, folders, files in os.walk(path):
            for each in (*folders, *files):
                _check(Path(here) / each)
    return path


def _check(path: Path) -> None:
    """Refuse what is there and is neither a folder nor a regular file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        what = "a link" if stat.S_ISLNK(mode) else "no regular file"
        raise UserError(f"{path} is {what}: what it leads to is not taken; right would be the file itself.")
