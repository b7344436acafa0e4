"""Every so-manieth frame of a video, with the time at which it is shown."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtl.data.video_reader import VideoReader, picture

if TYPE_CHECKING:
    import av


@dataclass(frozen=True)
class SampledFrame:
    """A frame that was taken.

    Attributes
    ----------
    number : int
        Of the coded frame, from 0.
    seconds : float
        When it is shown, after the first frame of the video; NaN where the file does not say.
    pixels : ndarray of uint8, shape (height, width, 3)
        RGB, as it is meant to be looked at.
    """

    number: int
    seconds: float
    pixels: np.ndarray


class SampledVideo:
    """A video of which every step-th frame is taken, decoded in order and once.

    Parameters
    ----------
    file : Path
    step : int
        Frames 0, step, 2 * step, ... are taken, as `mtl.extract_frames` takes them.

    Attributes
    ----------
    times : array of double
        Seconds at which each coded frame so far is shown, taken or not: eight bytes a frame.
    surely_whole : bool
        Whether the file says where its pictures end.

    Raises
    ------
    BadVideo
        As `VideoReader` does.
    """

    def __init__(self, file: Path, step: int) -> None:
        self._reader, self._step = VideoReader(file), step
        self.surely_whole = self._reader.tells_end
        self.times = array("d")

    @property
    def share(self) -> float:
        """Of the file that is read, in [0, 1]."""
        return self._reader.share

    def frames(self) -> Iterator[SampledFrame]:
        """The frames that are taken; raises `BadVideo` where the video is damaged or ends before it says."""
        clock = Clock(self._reader.rate)
        for number, frame in enumerate(self._reader.frames()):
            self.times.append(clock.seconds(frame, number))
            if number % self._step == 0:
                yield SampledFrame(number, self.times[-1], rgb(frame))

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


class Clock:
    """Seconds since the first frame: some containers begin at another time than 0.

    Parameters
    ----------
    rate : float or None
        Frames per second of a stream whose frames have no times.
    """

    def __init__(self, rate: float | None) -> None:
        self._first: float | None = None
        self._rate = rate

    def seconds(self, frame: av.VideoFrame, number: int) -> float:
        """When the frame of this number is shown; NaN where neither time nor rate is known."""
        if frame.time is None:
            return number / self._rate if self._rate else math.nan
        if self._first is None:
            self._first = frame.time
        return frame.time - self._first


def rgb(frame: av.VideoFrame) -> np.ndarray:
    """A frame's pixels as RGB, (height, width, 3), as they are decoded for training."""
    return np.ascontiguousarray(picture(frame)[..., ::-1])
