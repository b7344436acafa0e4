"""A folder of numbered images that stands for a video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from mtl.data.folders import scan
from mtl.data.frames import BadFrame, read_frame
from mtl.data.video_reader import BadVideo

IMAGE = re.compile(r"(\d{1,9})\.(?:jpe?g|png)", re.IGNORECASE)


class FrameFolder:
    """The images of a folder in the order of their numbers; read as `VideoReader` reads a video's frames.

    Parameters
    ----------
    folder : Path
        Of files such as ``000.jpg``. Where the first number is 1, that is frame 0 all the same.

    Attributes
    ----------
    files : list of Path
        The images in order.
    tells_end : bool
        True: the files there are are all.
    share : float
        Of the images that is read, in [0, 1].

    Raises
    ------
    BadVideo
        If there is none, or a number between the first and the last is missing or there twice.
    """

    tells_end = True

    def __init__(self, folder: Path) -> None:
        self._folder, self.share = folder, 0.0
        found = sorted((int(match[1]), e.name) for e in scan(folder) if (match := IMAGE.fullmatch(e.name)))
        if not found:
            raise BadVideo("no image such as 000.jpg in it")
        if found[0][0] > 1:
            raise BadVideo(f"its first image is {found[0][1]}; right would be number 0 or 1")
        for (before, name), (number, other) in pairwise(found):
            if number != before + 1:
                raise BadVideo(f"from image {name} to {other} is no step of one")
        self.files = [folder / name for _, name in found]

    def frames(self) -> Iterator[np.ndarray]:
        """The images as uint8 (height, width, 3), BGR as OpenCV has them; raises `BadVideo` where one is damaged."""
        for n, file in enumerate(self.files, start=1):
            try:
                image = read_frame(self._folder, file.name)
            except BadFrame as error:
                raise BadVideo(f"image {file.name}: {error}") from error
            self.share = n / len(self.files)
            yield image[..., ::-1]

    def size_and_time(self) -> tuple[int, int]:
        """Bytes of all images, and the time in ns of the one that was changed last."""
        found = [file.stat() for file in self.files]
        return sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)

    def close(self) -> None:
        """Nothing is open."""
