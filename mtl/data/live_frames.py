"""The newest frames of a stream or a camera: who takes them late loses old ones, and never waits in a queue."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing
from threading import Condition, Event, Thread
from types import TracebackType

import av
import cv2
import numpy as np

from mtl.data.frames import MAX_PIXELS
from mtl.data.sampled_video import Clock, SampledFrame, rgb
from mtl.errors import UserError

OPEN_SECONDS, SILENT_SECONDS = 15.0, 10.0  # until a stream has answered, and until it counts as stopped
# no playlist or text of a stream opens a file of this machine
PROTOCOLS = "rtp,rtsp,rtsps,rtmp,tcp,udp,http,https,tls,crypto,srt,httpproxy"
LOW_DELAY = {"fflags": "nobuffer", "rtsp_transport": "tcp", "protocol_whitelist": PROTOCOLS}
POLL_SECONDS = 0.25  # so that Ctrl-C is heard


class LiveFrames:
    """Every step-th frame of a stream, or the newest of them where they are taken more slowly than they come.

    One frame is kept at most, so neither memory nor delay grows. A thread of its own decodes.

    Parameters
    ----------
    source : str
        An address such as ``rtsp://...``, or the number of a camera.
    step : int

    Attributes
    ----------
    n_frames : int
        Frames that came.
    n_dropped : int
        Of every step-th frame those that were never taken.
    ended : str
        Why no more come; empty where the stream came to its own end.

    Raises
    ------
    UserError
        If nothing answers there.
    """

    def __init__(self, source: str, step: int) -> None:
        self._step = step
        self._source = source
        self.n_frames = self.n_dropped = 0
        self.ended = ""
        self._newest: SampledFrame | None = None
        self._is_over = False
        self._changed, self._stop = Condition(), Event()
        self._pictures = _camera(int(source)) if source.isdecimal() else _stream(source)
        self._thread = Thread(target=self._read, name="live", daemon=True)
        self._thread.start()

    def __enter__(self) -> LiveFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop reading; a stream that is silent is left to end by itself."""
        self._stop.set()
        self._thread.join(timeout=2 * POLL_SECONDS)

    def frames(self) -> Iterator[SampledFrame]:
        """The newest frame whenever one is asked for, each once, until the stream ends."""
        while True:
            with self._changed:
                while self._newest is None and not self._is_over:
                    self._changed.wait(POLL_SECONDS)
                frame, self._newest = self._newest, None
            if frame is None:
                return
            yield frame

    def _read(self) -> None:
        """Decode until the end; keep the newest."""
        ended = ""
        try:
            with closing(self._pictures) as pictures:
                for seconds, pixels in pictures:
                    if self._stop.is_set():
                        break
                    number, self.n_frames = self.n_frames, self.n_frames + 1
                    if number % self._step == 0:
                        self._put(SampledFrame(number, seconds, pixels()))
        except (av.FFmpegError, OSError, ValueError) as error:
            ended = " ".join(str(getattr(error, "strerror", None) or error).split())
        with self._changed:
            self.ended, self._is_over = ended, True
            self._changed.notify()

    def _put(self, frame: SampledFrame) -> None:
        with self._changed:
            self.n_dropped += self._newest is not None
            self._newest = frame
            self._changed.notify()


class _Stream:
    """Times and pictures of an address; a picture is made only when it is called for."""

    def __init__(self, container: av.container.InputContainer) -> None:
        self._container = container

    def __iter__(self) -> Iterator:
        video = self._container.streams.video[0]
        clock = Clock(float(video.average_rate) if video.average_rate else None)
        number = 0
        for packet in self._container.demux(video):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:  # joined in the midst of a group of pictures, or a packet was lost
                continue
            for frame in frames:
                if frame.width * frame.height > MAX_PIXELS:
                    raise ValueError(f"too large: {frame.width} x {frame.height} pixels")
                yield clock.seconds(frame, number), lambda frame=frame: rgb(frame)
                number += 1

    def close(self) -> None:
        """Close the connection."""
        self._container.close()


def _stream(address: str) -> _Stream:
    """An address, opened."""
    timeout = (OPEN_SECONDS, SILENT_SECONDS)
    kind = address.partition("://")[0].lower()
    options = {name: value for name, value in LOW_DELAY.items() if name != "rtsp_transport" or kind.startswith("rtsp")}
    try:
        container = av.open(address, options=options, timeout=timeout, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"Cannot open the stream {address}: {getattr(error, 'strerror', None) or error}.") from error
    if not container.streams.video:
        container.close()
        raise UserError(f"The stream {address} has no pictures in it.")
    return _Stream(container)


class _Camera:
    """Times since the first picture, and pictures, of a camera."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def __iter__(self) -> Iterator:
        start = math.nan
        while self._capture.grab():
            now = time.monotonic()
            start = now if math.isnan(start) else start
            yield now - start, self._picture

    def _picture(self) -> np.ndarray:
        there, pixels = self._capture.retrieve()
        if not there:
            raise ValueError("the camera gave no picture")
        return np.ascontiguousarray(pixels[..., ::-1])

    def close(self) -> None:
        """Let the camera go."""
        self._capture.release()


def _camera(index: int) -> _Camera:
    """A camera, opened by its number."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a wrong number is one line, ours
    try:
        capture = cv2.VideoCapture(index)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise UserError(f"There is no camera {index}, or it is in use; right would be a number such as 0.")
    return _Camera(capture)
