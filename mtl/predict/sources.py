"""Files, folders and patterns that a person typed -> videos with a name each; or one stream."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mtl.data.folders import EXTENSIONS as IMAGES
from mtl.data.videos import EXTENSIONS
from mtl.errors import UserError

ADDRESS = re.compile(r"(rtsps?|rtmp|https?|udp|tcp|srt)://.+", re.IGNORECASE)


def stream_of(given: Sequence[str]) -> str | None:
    """The address or camera index that was given; None where files were.

    Raises
    ------
    UserError
        If there is a stream beside something else.
    """
    streams = [word for word in given if ADDRESS.fullmatch(word) or (word.isdecimal() and not Path(word).exists())]
    if not streams:
        return None
    if len(given) > 1:
        raise UserError(f"A stream is read alone, found {len(given)} inputs beside each other: {' '.join(given[:3])}.")
    return streams[0]


def videos_of(given: Sequence[str], without: Path) -> dict[str, Path]:
    """Videos by the name that their results bear, in the order given; folders are searched at any depth.

    A name is the file's without its ending. Where that is another video's too, letter case aside, as many
    folders above it as are needed stand before it, joined by ``__``; within a folder the ending stays.

    Parameters
    ----------
    given : sequence of str
    without : Path
        Folder of the results, which is not searched.

    Raises
    ------
    UserError
        If a file or folder is not there, a folder holds no video, or a pattern finds nothing.
    """
    files: dict[Path, Path] = {}
    for word in given:
        found = list(_found(word, without.absolute()))
        if not found:
            endings = " ".join("*" + each for each in EXTENSIONS)
            raise UserError(f"There is no video in {word}: none of {endings} at any depth{_of_images(Path(word))}.")
        for file in found:
            files.setdefault(file.absolute(), file)
    return _named(list(files))


def _found(word: str, without: Path) -> list[Path]:
    """Videos that one word means."""
    path = Path(word).expanduser()
    if path.is_dir():
        return _below(path, without)
    if path.exists():
        return [path]
    matches = sorted(glob.glob(str(path), recursive=True)) if glob.has_magic(word) else []  # noqa: PTH207
    if not matches:
        kind = "pattern finds nothing" if glob.has_magic(word) else "is no such file or folder"
        raise UserError(
            f"{word}: {kind}; right would be a video, a folder, a pattern, or an address such as rtsp://..."
        )
    return [
        file
        for match in map(Path, matches)
        for file in (_below(match, without) if match.is_dir() else [match])
        if match.is_dir() or match.name.lower().endswith(EXTENSIONS)
    ]


def _of_images(word: Path) -> str:
    """What is right where a folder has the frames of a video, as some data sets come."""
    for here, _, names in os.walk(word.expanduser()):
        image = next((name for name in sorted(names) if name.lower().endswith(IMAGES)), None)
        if image is not None:
            return f", but images such as {Path(here, image)}, which tell no times; right would be the video itself"
    return ""


def _below(folder: Path, without: Path) -> list[Path]:
    """Videos below a folder in order of path; hidden ones are none."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and Path(here, name).absolute() != without
        )
        found += [Path(here, name) for name in sorted(names) if name.lower().endswith(EXTENSIONS) and name[0] != "."]
    return found


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """Names that no two videos share, also where letter case makes no difference."""
    in_folder = Counter((file.parent, file.stem.casefold()) for file in files)
    own = [file.name if in_folder[file.parent, file.stem.casefold()] > 1 else file.stem for file in files]
    names = list(own)
    for depth in range(1, max((len(file.parts) for file in files), default=0)):
        counts = Counter(name.casefold() for name in names)
        for i, file in enumerate(files):
            if counts[names[i].casefold()] > 1:
                names[i] = "__".join([*(part.strip("/\\:") for part in file.parts[-1 - depth : -1]), own[i]])
    return dict(zip(names, files, strict=True))
