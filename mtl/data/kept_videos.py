"""Decoded videos on disk, looked after: what is kept, whether it is whole, whether a run can still ask for it."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mtl.data.decoded_videos import CRC_BYTES, HOW, REMEDY, Decoded, described, made_here
from mtl.data.frames import MACHINE_FAULTS
from mtl.data.kept_folder import LOCK, KeptFolder, refuse_link
from mtl.data.videos import Video
from mtl.files import READ_BYTES, disk_error, open_own, read_json, take_lock
from mtl.terminal import printable

KEY = re.compile(r"[0-9a-f]{16}")
MARKER = re.compile(r"([0-9a-f]{16}-[0-9a-f]{16})\.json")


@dataclass(frozen=True)
class Counts:
    """What a folder holds.

    Attributes
    ----------
    videos : int
        Of which frames are kept.
    frames : int
        That are kept.
    bad : int
        Videos of which none is, with a reason.
    """

    videos: int
    frames: int
    bad: int


class KeptVideos(KeptFolder):
    """The videos that were decoded in one way; see `mtl.data.decoded_videos`."""

    def how(self) -> Mapping[str, object]:
        """How they were decoded; empty where that cannot be read any more."""
        return read_json(self._at(HOW), own=True)

    def names(self) -> list[str]:
        """Names of the videos' files, in order."""
        return sorted(match[1] for path in self._at("").iterdir() if (match := MARKER.fullmatch(path.name)))

    def counts(self) -> Counts:
        """How many videos and frames there are, as far as can be read."""
        found = [one for name in self.names() if (one := _video(name, self._said(name)))]
        written = [one.written for one in found if not one.reason]
        return Counts(len(written), sum(written), len(found) - len(written))

    def outdated(self) -> str:
        """Why no run of what is installed here asks for these frames; empty where one may."""
        how = self.how()
        for name, here in made_here().items():
            if name not in how:
                return "how they were decoded cannot be read any more"
            if how[name] != here:
                return f"made with {name} {printable(str(how[name]))}, here is {here}"
        return ""

    def gone(self) -> str:
        """Why nothing can be done with them; empty where at least one of the videos' files is still there."""
        found = [one for name in self.names() if (one := _video(name, self._said(name)))]
        if not found:
            return "none of its videos can be read any more"
        if all(_is_gone(one.video.file) for one in found):
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            return f"its videos are gone: {printable(str(found[0].video.file))}{more}"
        return ""

    def damaged(self, name: str) -> str:
        """What is wrong with what is kept of a video, and of which; empty if nothing."""
        said = self._said(name)
        one = _video(name, said)
        if one is None:
            wrong, what = f"{name}.json does not say what is kept", "a video"
        elif one.reason:
            return ""
        else:
            wrong, what = self._wrong(one), printable(str(one.video.file))
        # a run that decodes at this moment may have replaced or removed it
        is_same = os.path.lexists(self._marker(name)) and self._said(name) == said
        return f"the frames of {what} are damaged, {wrong}" if wrong and is_same else ""

    def drop(self, name: str) -> None:
        """Forget what is kept of a video, so that the next run decodes it again."""
        try:
            self._marker(name).unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(error, self.folder, 0, REMEDY) from error

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Be the only one who decodes into the folder, if nobody does now: whether that is so."""
        try:
            held = take_lock(self._at(LOCK), REMEDY)
        except OSError as error:
            raise disk_error(error, self.folder, 0, REMEDY) from error
        try:
            yield held is not None
        finally:
            if held is not None:
                os.close(held)

    def _marker(self, name: str) -> Path:
        return self._at(f"{name}.json")

    def _said(self, name: str) -> dict[str, Any]:
        return read_json(self._marker(name), own=True)

    def _wrong(self, one: Decoded) -> str:
        """What is wrong with the frames of a video."""
        path = self._at(f"{one.name}.rgb")
        try:
            with os.fdopen(open_own(path), "rb") as file:
                size, right = os.fstat(file.fileno()).st_size, one.written * one.row_bytes
                if size != right:
                    return f"{path.name}: {size:,} bytes instead of {right:,}"
                for number in range(1, one.written + 1):
                    found, kept = _checksums(file, one.row_bytes - CRC_BYTES)
                    if found != kept:
                        return (
                            f"{path.name}: frame {number} of the {one.written} kept has checksum {found:08x} instead "
                            f"of {kept:08x}"
                        )
        except OSError as error:
            if error.errno in MACHINE_FAULTS:
                raise
            return f"{path.name}: {os.strerror(error.errno or 0)}"
        return ""


def _checksums(file: BinaryIO, size: int) -> tuple[int, int]:
    """CRC-32 of the next frame, and the one that stands before it; not more than `READ_BYTES` are held."""
    kept, found = int.from_bytes(file.read(CRC_BYTES), "little"), 0
    while size and (data := file.read(min(size, READ_BYTES))):
        found = zlib.crc32(data, found)
        size -= len(data)
    return found, kept


def _video(name: str, said: dict[str, Any]) -> Decoded | None:
    """What a marker says of its video; None where it says nothing that a run would take."""
    file = said.get("file")
    return described(Video(Path(file if isinstance(file, str) else name), "", None), name, said)


def _is_gone(file: Path) -> bool:
    """Whether there is no such file; not where that cannot be told."""
    if "\N{REPLACEMENT CHARACTER}" in str(file):  # a marker does not hold the bytes of a name that is not UTF-8
        file = next(above for above in file.parents if "\N{REPLACEMENT CHARACTER}" not in str(above))
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a NUL in the name
        return True
    except OSError:
        return False
    return False


def kept_videos(folder: Path) -> list[KeptVideos]:
    """Every way of decoding of which a folder has frames, the last used first; other folders are passed over."""
    refuse_link(folder)
    if not folder.is_dir():
        return []
    found = []
    for entry in sorted(folder.iterdir()):
        if KEY.fullmatch(entry.name) and os.path.lexists(entry / LOCK):
            refuse_link(entry)
            found.append(KeptVideos(entry))
    return sorted(found, key=KeptVideos.last_used, reverse=True)
