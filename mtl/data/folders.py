"""Folders of frames, listed without following links out of the root."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mtl.errors import UserError

EXTENSIONS = (".png", ".jpg", ".jpeg")


def image_paths(folder: Path, root: Path, skipped: list[tuple[str, str]]) -> pa.Array:
    """Paths relative to the root of the images of a folder, links out of the root refused."""
    prefix = folder.relative_to(root).as_posix() + "/" if folder != root else ""
    names = []
    for entry in scan(folder):  # a million of them: their names are kept, not the entries
        name = entry.name
        if not is_image(name):
            continue
        if entry.is_symlink():
            refuse_link_out(Path(entry.path), root)
        if entry.is_file():
            names.append(name)
        else:
            skipped.append((prefix + name, "not a plain file"))
    try:
        array = pa.array(names, pa.large_string())
    except UnicodeEncodeError:
        odd = [name for name in names if not _is_unicode(name)]
        skipped += [(ascii(prefix + name), "name is not UTF-8") for name in odd]
        array = pa.array([name for name in names if _is_unicode(name)], pa.large_string())
    return pc.binary_join_element_wise(pa.scalar(prefix, pa.large_string()), array, pa.scalar("", pa.large_string()))


def _is_unicode(name: str) -> bool:
    """Whether the name's bytes were UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_image(name: str) -> bool:
    """Whether a file name is that of a frame; hidden files (`._x.png` of macOS) are not."""
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def subfolders(folder: Path, root: Path) -> list[os.DirEntry[str]]:
    """Folders within a folder in order of name, without those of archivers and notebooks."""
    found = [e for e in scan(folder) if e.is_dir() and not e.name.startswith((".", "__"))]
    for entry in found:
        if entry.is_symlink():
            refuse_link_out(Path(entry.path), root)
    return sorted(found, key=lambda entry: entry.name)


def scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder; a refusal names it."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise UserError(f"Cannot list {folder}: {error.strerror}.") from error


def refuse_link_out(path: Path, root: Path) -> None:
    """Refuse what really lies elsewhere than below the root."""
    target = path.resolve()
    if not target.is_relative_to(root.resolve()):
        raise UserError(f"{path} is a link out of data.root, to {target}. Set data.root to where the frames are.")


def or_list(names: Iterable[str]) -> str:
    """Names joined by or."""
    return " or ".join(names)
