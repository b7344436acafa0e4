"""Videos read frame by frame, in order, and told whole from cut.

A container's count of frames is no count: it follows the longest stream, sound too, and knows nothing of
edit lists. What tells is the end that the file gives the stream of pictures, the bytes it says it has, and
what the decoder says of each frame.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from mtl.data.frames import MAX_PIXELS

# first bytes of what is read, by FFmpeg's name of the container; nothing else is opened, no playlist for one
FIRST_BYTES = {
    "mov": re.compile(rb".{4}(?:ftyp|moov|mdat|moof|free|skip|wide|pnot)", re.DOTALL),  # mp4 too
    "matroska": re.compile(rb"\x1a\x45\xdf\xa3"),  # webm too
    "avi": re.compile(rb"RIFF.{4}AVI ", re.DOTALL),
    "asf": re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # wmv
    "mpeg": re.compile(rb"\x00\x00\x01\xba"),
    "mpegvideo": re.compile(rb"\x00\x00\x01\xb3"),
    "mpegts": re.compile(rb"\x47.{187}\x47|.{4}\x47.{191}\x47", re.DOTALL),
}
ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_BROADCAST = 1  # flag: written while it was sent, so its size is not known
HEADER_BYTES = 2**16  # in which ASF keeps its file properties
MOST_BOXES = 100_000  # of an mp4 that are walked over
ENDS_ALIKE_SECONDS = 0.1  # ends of one and the same stream, as rounded by different clocks


class BadVideo(ValueError):
    """A file of which no video can be read, or not all of it; the message is the short reason."""


class VideoReader:
    """The frames of a video, each once, in the order in which they are shown.

    Parameters
    ----------
    file : Path

    Attributes
    ----------
    tells_end : bool
        Whether the file says where its pictures end: else a cut between two of them cannot be seen.
    share : float
        Of the file's bytes that is read, in [0, 1].
    rate : float or None
        Frames per second that the file tells.

    Raises
    ------
    BadVideo
        If it is no regular file or no video, or of too many pixels.
    """

    def __init__(self, file: Path) -> None:
        with _regular_file(file) as opened:
            self._size = os.fstat(opened.fileno()).st_size
            self._kind = _kind(opened)
            self._missing = _missing_bytes(opened, self._kind, self._size)
        self.share = 0.0
        try:
            # nothing but this file, as nothing but what its first bytes say
            self._container = av.open(
                str(file), format=self._kind, options={"protocol_whitelist": "file"}, metadata_errors="replace"
            )
        except av.FFmpegError as error:
            raise BadVideo(self._cut() or "not a video, or cut before its index") from error
        video = self._container.streams.best("video")
        if not isinstance(video, av.VideoStream):
            self.close()
            raise BadVideo(self._cut() or "no pictures in it")
        self._video = video
        self.rate = float(video.average_rate) if video.average_rate else None
        context = video.codec_context
        context.thread_count = 1  # the videos themselves run in parallel
        _check_pixels(context.width, context.height)
        tagged = _tagged_end(video.metadata)
        self._watched = self._container.streams if self._kind == "matroska" and tagged is None else [video]
        self._told_end = self._end(tagged)
        self.tells_end = self._told_end is not None or self._missing is not None

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames.

        Raises
        ------
        BadVideo
            If one is damaged, or after the last one if the file says that there should be more.
        """
        n_frames = n_packets = 0
        end, between, last = 0.0, 0.0, None
        tick = float(self._video.time_base or 0)  # seconds; as a Fraction for every frame it is slow
        try:
            for packet in self._container.demux(*self._watched):
                if packet.stream_index != self._video.index:
                    end = max(end, _end_of(packet))
                    continue
                if packet.is_corrupt:
                    raise BadVideo(self._damaged(n_frames, last))
                n_packets += packet.dts is not None
                self.share = min((packet.pos or 0) / self._size, 1.0)
                for frame in _decoded(packet, n_frames):
                    if frame.is_corrupt:
                        raise BadVideo(self._damaged(n_frames, last))
                    _check_pixels(frame.width, frame.height)
                    if (now := frame.time) is not None:
                        between = now - last if last is not None else 0.0
                        last = now
                        end = max(end, last + frame.duration * tick)
                    n_frames += 1
                    yield frame
        except av.FFmpegError as error:
            raise BadVideo(self._damaged(n_frames, last)) from error
        if n_frames == 0:
            raise BadVideo(self._cut() or "no frame decodes")
        if n_packets >= self._video.frames > 0:  # all that the file's index lists
            return
        if self._cut():
            raise BadVideo(self._cut())
        if self._told_end is not None and self._told_end - end > max(ENDS_ALIKE_SECONDS, between):
            raise BadVideo(f"cut: {end:.1f} of {self._told_end:.1f} s decode")

    def _end(self, tagged: float | None) -> float | None:
        """Seconds at which the pictures end, in a Matroska without tags all streams, as far as the file says."""
        video, whole = self._video, self._container.duration
        overall = whole / av.time_base if whole else None
        if self._kind == "matroska":
            return min((end for end in (tagged, overall) if end is not None), default=None)
        if self._kind not in ("mov", "avi") or video.time_base is None:
            return None
        ticks = video.duration or 0
        if self._kind == "avi":  # the duration is made less to fit the bytes there are; a frame is a tick
            ticks = max(ticks, video.frames)
        return float((ticks + (video.start_time or 0)) * video.time_base) if ticks else None

    def _cut(self) -> str:
        """What is missing of the bytes the file says it has; empty if none, or it does not say."""
        if not self._missing:
            return ""
        share = self._missing / (self._size + self._missing)
        return f"cut: at least {self._missing:,} bytes are missing at its end ({max(100 * share, 0.1):.1f} %)"

    def _damaged(self, n_frames: int, last: float | None) -> str:
        """What is said where decoding fails."""
        after = f" after {last:.1f} s" if last is not None else ""
        return self._cut() or f"cut or damaged: {n_frames} frames decode, the next one{after} does not"


def picture(frame: av.VideoFrame) -> np.ndarray:
    """A frame's pixels as it is meant to be looked at.

    Colours go by the frame's own tags, untagged ones by BT.601. Bicubic is how OpenCV from 4.13 on spreads
    the colours of a frame, so the numbers are the same; a turn by a quarter is done as OpenCV does it.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        BGR.
    """
    # by default each frame would start threads of its own, which costs three times the conversion
    pixels = frame.to_ndarray(format="bgr24", interpolation="BICUBIC", threads=1)
    quarters, rest = divmod(frame.rotation, 90)
    return np.rot90(pixels, quarters) if quarters and not rest else pixels


def _decoded(packet: av.Packet, n_before: int) -> list[av.VideoFrame]:
    """Frames of a packet; none where the video begins in the midst of a group of pictures."""
    try:
        return packet.decode()
    except av.error.InvalidDataError:
        if n_before:
            raise
        return []


def _regular_file(file: Path) -> BinaryIO:
    """The file, opened; a pipe would wait for its writer for ever."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise BadVideo("no regular file")
        opened = open(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")  # noqa: SIM115, PTH123
    except OSError as error:
        raise BadVideo((error.strerror or str(error)).lower()) from error
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise BadVideo("no regular file")
    return opened


def _kind(file: BinaryIO) -> str:
    """FFmpeg's name of the container, by the first bytes."""
    first = file.read(512)
    if not first:
        raise BadVideo("empty")
    for kind, pattern in FIRST_BYTES.items():
        if pattern.match(first):
            return kind
    raise BadVideo("not a video by its first bytes")


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadVideo(f"too large: {width * height} pixels per frame")


def _end_of(packet: av.Packet) -> float:
    """Seconds at which a packet ends."""
    if packet.pts is None or packet.time_base is None:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)


def _tagged_end(tags: dict[str, str]) -> float | None:
    """Seconds that a stream's own DURATION tag says, as in ``00:00:41.700000000``."""
    for name, value in tags.items():
        match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", value)
        if name.upper().startswith("DURATION") and match:
            return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
    return None


def _missing_bytes(file: BinaryIO, kind: str, size: int) -> int | None:
    """How many bytes a file lacks of those it says it has; None where it says nothing."""
    if kind == "mov":
        return _bytes_beyond(file, size)
    if kind == "asf":
        file.seek(0)
        header = file.read(HEADER_BYTES)
        at = header.find(ASF_FILE_PROPERTIES)
        if 0 <= at <= len(header) - 92:
            declared, *_, flags = struct.unpack_from("<Q5QI", header, at + 40)
            if not flags & ASF_BROADCAST and declared:
                return max(declared - size, 0)
    return None


def _bytes_beyond(file: BinaryIO, size: int) -> int:
    """How far the last box of an mp4 reaches beyond the end of the file."""
    position = 0
    for _ in range(MOST_BOXES):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            break
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # 0 reaches to the end; less is no box
            break
        if position + length > size:  # what follows the boxes by accident is not one of these
            return position + length - size if name in (b"mdat", b"moov", b"moof") else 0
        position += length
    return 0
