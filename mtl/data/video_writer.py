"""A copy of a video with lines of text drawn in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import cv2
import numpy as np

from mtl.data.sampled_video import Clock, rgb
from mtl.data.video_reader import BadVideo, VideoReader
from mtl.errors import UserError

CODECS = ("libx264", "mpeg4")  # the first that there is
TICK = Fraction(1, 90_000)
USUAL_RATE = 25  # told to the encoder where the video tells none; the frames keep their own times
BIT_RATE = 4_000_000  # of mpeg4, which has no quality of its own to aim at
LEAST_FONT, FONT_SHARE = 0.35, 1 / 500  # of OpenCV's font; per pixel of height
OTHERWISE = "right would be a name that ends in .mp4"

Lines = Sequence[tuple[str, float, bool]]  # a line's text, its bar in 0..1, whether it is an alarm


def write_overlay(
    video: Path, into: Path, lines_of: Callable[[int, float], Lines], advance: Callable[[float], None]
) -> int:
    """Write a copy of a video, without sound, in which every frame has its lines drawn in; the number of frames.

    The frames keep the times at which they are shown. A copy has its name only when it is whole; of a damaged
    video it ends before the damage.

    Parameters
    ----------
    into : Path
        An mp4.
    lines_of : callable
        Of a frame's number and seconds: its lines.
    advance : callable
        Told the share of the video that is done, in [0, 1].

    Raises
    ------
    UserError
        If the name is no mp4's, or it is the video itself.
    BadVideo
        If no frame can be read.
    """
    check_copy(video, into)
    into.parent.mkdir(parents=True, exist_ok=True)
    part = into.with_name(f".writing-{into.name}")
    try:
        with closing(VideoReader(video)) as reader:
            n_frames = _copy(reader, part, lines_of, advance)
        part.replace(into)
    finally:
        part.unlink(missing_ok=True)
    return n_frames


def check_copy(video: Path, into: Path) -> None:
    """Raise `UserError` where a copy cannot be written so."""
    if into.suffix.lower() != ".mp4":
        raise UserError(f"{into}: the copy of a video is an mp4, found '{into.suffix}'; {OTHERWISE}.")
    if into.exists() and into.samefile(video):
        raise UserError(f"{into} is the video itself; right would be another name.")


def _copy(
    reader: VideoReader, part: Path, lines_of: Callable[[int, float], Lines], advance: Callable[[float], None]
) -> int:
    """Decode, draw, encode."""
    clock, frames, last = Clock(reader.rate), reader.frames(), -1
    first = next(frames)  # a video without one is a BadVideo
    size = _even(rgb(first).shape[1]), _even(rgb(first).shape[0])
    with av.open(str(part), "w", format="mp4") as container:
        stream = _stream(container, size, reader.rate)
        for number in count():
            frame = first if number == 0 else _next(frames)
            if frame is None:
                break
            seconds = clock.seconds(frame, number)
            drawn = draw_lines(cv2.resize(rgb(frame), size, interpolation=cv2.INTER_AREA), lines_of(number, seconds))
            coded = av.VideoFrame.from_ndarray(drawn, format="rgb24")
            shown = seconds if np.isfinite(seconds) else number / USUAL_RATE
            last = max(round(shown / TICK), last + 1)  # an encoder takes no time twice
            coded.pts, coded.time_base = last, TICK
            container.mux(stream.encode(coded))
            advance(reader.share)
        container.mux(stream.encode(None))
    return number


def _next(frames: Iterator[av.VideoFrame]) -> av.VideoFrame | None:
    """The next frame; None at the end, or where the damage begins, which was said when it was scored."""
    try:
        return next(frames, None)
    except BadVideo:
        return None


def _stream(container: av.container.OutputContainer, size: tuple[int, int], rate: float | None) -> av.VideoStream:
    """A stream of the first codec that there is."""
    codec = next(name for name in CODECS if name in av.codecs_available)
    told = Fraction(rate or USUAL_RATE).limit_denominator(1001)
    stream = container.add_stream(codec, rate=told)
    assert isinstance(stream, av.VideoStream)
    (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
    stream.time_base = stream.codec_context.time_base = TICK
    if codec == "libx264":
        stream.options = {"preset": "veryfast", "crf": "23"}
    else:
        stream.bit_rate = BIT_RATE
    return stream


def _even(pixels: int) -> int:
    """As the encoders want it."""
    return max(pixels - pixels % 2, 2)


def draw_lines(pixels: np.ndarray, lines: Lines) -> np.ndarray:
    """Draw lines of text with bars onto an RGB picture, from the top left on a dark ground; the picture.

    An alarm has a filled bar and a sign, and so is told apart without colour.
    """
    height, width = pixels.shape[:2]
    scale = max(LEAST_FONT, height * FONT_SHARE)
    step = round(30 * scale) + 2
    tall = min(step * len(lines) + 6, height)
    pixels[:tall] //= 3
    for i, (text, share, alarm) in enumerate(lines):
        y = step * (i + 1)
        colour = (255, 210, 60) if alarm else (255, 255, 255)
        end = round(np.clip(np.nan_to_num(share), 0, 1) * (width - 8))
        cv2.rectangle(pixels, (4, y + 1), (4 + end, y + 3), colour, -1 if alarm else 1)
        said = f"{text} !" if alarm else text
        cv2.putText(pixels, said, (4, y - 3), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return pixels
