"""Files that list the videos of a split: `data.lists.train` and `data.lists.test`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mtl.errors import UserError, nearest

Listed = Literal["train", "test"]
LISTS: tuple[Listed, ...] = ("train", "test")


def split_lists(lists: Mapping[str, str | None]) -> dict[str, Path]:
    """The lists that are given, by split, as absolute paths.

    Raises
    ------
    UserError
        If one is of no such split.
    """
    for split in lists:
        if split not in LISTS:
            raise UserError(f"data.lists has no '{split}'. {nearest(split, LISTS)}")
    return {split: Path(file).expanduser().absolute() for split in LISTS if (file := lists.get(split)) is not None}


def require_lists(files: Mapping[str, Path]) -> None:
    """Raise `UserError` where a list is not there."""
    for split, file in files.items():
        if not file.is_file():
            raise UserError(f"data.lists.{split}: there is no file {file}.")
