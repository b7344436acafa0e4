"""Text files: annotation files and lists of videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtl.errors import UserError


def read_text(file: Path) -> str:
    """Content of a text file.

    Raises
    ------
    UserError
        If it cannot be read, or is not UTF-8; the line is named.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(f"{file}:{line}: not UTF-8 text.") from error


def write_lines(file: Path, lines: Sequence[str]) -> None:
    """A text file of lines; where there are none, no file."""
    if lines:
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="replace")
    else:
        file.unlink(missing_ok=True)
