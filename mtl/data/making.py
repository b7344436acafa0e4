"""How a tree's frames were made, and other frames made alike."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mtl.data.frames import BadFrame, FrameReader, FrameRoot, read_frame
from mtl.errors import UserError
from mtl.files import read_json

if TYPE_CHECKING:  # the workers of an extraction do without
    import pandas as pd

log = logging.getLogger(__name__)

EXTRACTION = Path(".extraction") / "plan.json"  # within a tree that `mtl.extract_frames` made: what was asked for
INTERPOLATION = "INTER_AREA"  # of every extraction so far, and of the usual frame set of UCF-Crime
LOOKED_AT = 64  # frames that stand for all of a table, besides the first of each class
MARKED, ASSUMED = "the extraction's marker says so", "assumed: no extraction's marker says"
BY_DATA = "the data set resizes them so"


@dataclass(frozen=True)
class Making:
    """How frames were made.

    Attributes
    ----------
    height, width : int or None
        In pixels; None where the frames are of several sizes, or it is not known.
    interpolation : str or None
        Of the resizing that made them, by its name in OpenCV; None where the size is.
    known_from : str
        What tells the interpolation, in words.
    """

    height: int | None
    width: int | None
    interpolation: str | None
    known_from: str

    def __post_init__(self) -> None:
        if self.interpolation is not None and not _is_known(self.interpolation):
            raise UserError(
                f"OpenCV has no interpolation '{self.interpolation}'; right would be one such as {INTERPOLATION}."
            )

    def __str__(self) -> str:
        """The size, the interpolation, and what tells it."""
        return f"{self.width}x{self.height} with {self.interpolation} ({self.known_from})"


def how_made(root: FrameRoot | None, frames: pd.DataFrame) -> Making | None:
    """How the training frames of a table were made, as far as can be told.

    The size is that of the frames themselves: of some from all over the table, and one of
    each class. The interpolation is what the marker of an extraction says, where
    one lies in the tree that tells of frames of this size; else it is assumed.

    Parameters
    ----------
    root : Path, FrameReader or None
        Below which the paths lie, or what reads the frames; None where there are no files.
    frames : DataFrame
        Of `path`, `class_name`, `split`.

    Returns
    -------
    Making or None
        Its size is None where several were found, or none of these frames can be read;
        None where there are no files.
    """
    if root is None:
        return None
    paths = _from_all_over(frames[frames["split"] == "train"])
    sizes = set()
    for path in paths:
        try:
            sizes.add(read_frame(root, path).shape[:2])  # as decoded: a JPEG's header may tell of a turned image
        except BadFrame:  # it went bad since the features were computed
            continue
    if len(sizes) != 1:
        found = ", ".join(f"{width}x{height}" for height, width in sorted(sizes)[:3]) or "no frame that can be read"
        log.info("training frames are not of one size: %s%s", found, ", ..." if len(sizes) > 3 else "")
        return Making(None, None, None, "")
    height, width = sizes.pop()
    if isinstance(root, FrameReader):
        return Making(height, width, root.interpolation, BY_DATA)
    told = {_marked(root, folder, height, width) for folder in {Path(path).parent for path in paths}}
    interpolation = told.pop() if len(told) == 1 else None
    return Making(height, width, interpolation or INTERPOLATION, MARKED if interpolation else ASSUMED)


def _from_all_over(frames: pd.DataFrame) -> list[str]:
    """Paths of some frames at equal distances, and of the first of each class."""
    at = np.unique(np.linspace(0, len(frames) - 1, min(LOOKED_AT, len(frames))).astype(int))
    first = np.flatnonzero(~frames["class_name"].duplicated().to_numpy())
    return frames["path"].iloc[np.union1d(at, first)].astype(str).tolist()


def _marked(root: Path, folder: Path, height: int, width: int) -> str | None:
    """The interpolation by the nearest marker above a folder of frames, if it tells of frames of this size."""
    for above in (folder, *folder.parents):
        plan = read_json(root / above / EXTRACTION)
        if plan:
            cut = plan.get("cut", {})
            alike = (cut.get("height"), cut.get("width")) == (height, width)
            # a marker that lacks it is from before it was written down
            said = str(plan.get("interpolation", INTERPOLATION))
            return said if alike and _is_known(said) else None
    return None


def _is_known(interpolation: str) -> bool:
    return interpolation.startswith("INTER_") and hasattr(cv2, interpolation)


def made_alike(frame: np.ndarray, making: Making) -> np.ndarray:
    """A frame, resized as the ones of a tree were; as it is where its size is theirs, or theirs is not known.

    The aspect ratio is not kept, as an extraction does not keep it. What is smaller is enlarged by
    the same call, as an extraction would have done with a smaller video.

    Parameters
    ----------
    frame : ndarray of uint8, shape (height, width, 3)
    making : Making

    Returns
    -------
    ndarray of uint8, shape (making.height, making.width, 3)
    """
    if making.height is None or making.width is None or frame.shape[:2] == (making.height, making.width):
        return frame
    how = getattr(cv2, making.interpolation or INTERPOLATION)
    return cv2.resize(np.ascontiguousarray(frame), (making.width, making.height), interpolation=how)
