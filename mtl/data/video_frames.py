"""Frames cut out of videos, a video at a time, published once they are whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import av
import cv2
import numpy as np

from mtl.data.class_names import FOLDERS
from mtl.data.making import INTERPOLATION, Making, made_alike
from mtl.data.video_reader import BadVideo, VideoReader, picture
from mtl.data.video_workers import serve_jobs
from mtl.data.videos import Video
from mtl.files import publish


@dataclass(frozen=True)
class Sampling:
    """How frames are cut from videos.

    Attributes
    ----------
    step : int
        Every step-th frame, from frame 0.
    width, height : int or None
        In pixels; None leaves them as they are.
    """

    step: int
    width: int | None
    height: int | None


def resizing() -> dict[str, str]:
    """What an extraction's marker says of the resizing: interpolation and version of OpenCV."""
    return {"interpolation": INTERPOLATION, "opencv": cv2.__version__}


def decoding() -> dict[str, str]:
    """What an extraction's marker says of the decoding: the libraries that determine a frame's pixels."""
    codec, colours = av.library_versions["libavcodec"], av.library_versions["libswscale"]
    return {"decoder": f"PyAV (libavcodec {codec[0]}, libswscale {colours[0]})"}


def frame_folder(class_name: str, split: str) -> Path:
    """Where the frames of a video belong below the root of a frame tree."""
    return Path(split.title()) / FOLDERS[class_name]


@dataclass(frozen=True)
class Cut:
    """What was cut out of a video.

    Attributes
    ----------
    n_frames, n_written : int
        Frames the video has, and frames written.
    surely_whole : bool
        Whether the file says where its pictures end.
    """

    n_frames: int
    n_written: int
    surely_whole: bool


def cut_frames(video: Path, cut: Sampling, into: Path, report: Callable[[float, int], None]) -> Cut:
    """Write every step-th frame of a video as ``<video>_<number>.png`` into an existing folder.

    Areas are averaged (INTER_AREA), as in the usual frame set of UCF-Crime, which
    this reproduces pixel for pixel with a step of 10 and 64 x 64 pixels.

    Parameters
    ----------
    report : callable
        Told the share of the video that is done and the frames written, frame by frame written.

    Raises
    ------
    BadVideo
        If the file is no video, has no frame, is damaged, or ends before it says.
    OSError
        If a frame cannot be written.
    """
    check_name(video.stem)
    n_frames = n_written = 0
    with closing(VideoReader(video)) as reader:
        for frame in reader.frames():
            if n_frames % cut.step == 0:
                small = small_picture(frame, cut)
                (into / f"{video.stem}_{n_frames}.png").write_bytes(cv2.imencode(".png", small)[1].tobytes())
                n_written += 1
                report(reader.share, n_written)
            n_frames += 1
        return Cut(n_frames, n_written, reader.tells_end)


def small_picture(frame: av.VideoFrame | np.ndarray, cut: Sampling) -> np.ndarray:
    """A frame's pixels, BGR where given as such, at the size that is asked for: uint8 (height, width, 3), BGR."""
    pixels = frame if isinstance(frame, np.ndarray) else picture(frame)
    return made_alike(pixels, Making(cut.height, cut.width, INTERPOLATION, ""))


def check_name(text: str) -> None:
    """Refuse a video's name, or path, that no list of frames could hold."""
    try:
        name = text.encode()
    except UnicodeEncodeError as error:
        raise BadVideo("its name is not UTF-8") from error
    if b"\n" in name or b"\r" in name:
        raise BadVideo("its name has a line break")


@dataclass(frozen=True)
class VideoJob:
    """A video to be cut.

    Attributes
    ----------
    video : Video
    folder : Path
        Where its frames go.
    marker : Path
        The file that says it is done; it holds the `record`, once the frames are in place.
    partial : Path
        Where unfinished frames may lie.
    leftovers : bool
        Whether frames of it lie in `folder` already, of an interrupted or outdated extraction.
    """

    video: Video
    folder: Path
    marker: Path
    partial: Path
    leftovers: bool


def record(video: Video) -> dict[str, object]:
    """What a marker says of the file it stands for."""
    return {"bytes": video.size, "modified_ns": video.modified_ns}


def extract(job: VideoJob, cut: Sampling, report: Callable[[float, int], None]) -> Cut:
    """Sample a video, publish its frames, and say that it is done.

    A frame gets its final name by an atomic rename, after the whole video was
    read; the marker comes last. So what a kill leaves is found and done again.

    Raises
    ------
    BadVideo
        If the video is no good; then none of its frames is published.
    OSError
        If the output cannot be written.
    """
    written_to = job.partial / str(os.getpid())
    shutil.rmtree(written_to, ignore_errors=True)
    written_to.mkdir(parents=True)
    try:
        made = cut_frames(job.video.file, cut, written_to, report)
        job.folder.mkdir(parents=True, exist_ok=True)
        if job.leftovers:
            job.marker.unlink(missing_ok=True)
            for entry in list(os.scandir(job.folder)):
                if entry.name.rpartition("_")[0] == job.video.name:
                    Path(entry.path).unlink()
        for frame in list(written_to.iterdir()):
            frame.replace(job.folder / frame.name)
    finally:
        shutil.rmtree(written_to, ignore_errors=True)
    job.marker.parent.mkdir(exist_ok=True)
    publish(job.marker, json.dumps(record(job.video) | {"frames": made.n_frames, "written": made.n_written}).encode())
    return made


def serve(connection: Connection, cut: Sampling) -> None:
    """Extract the jobs that come over a connection, and send answers, in a process of its own."""
    serve_jobs(connection, lambda job, report: extract(job, cut, report))
