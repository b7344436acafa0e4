"""Frames of videos, decoded once: one file per video, published whole, read frame by frame.

A folder holds what one way of decoding made; for each version of each video

    <path>-<version>.rgb     every frame that was kept, RGB, each behind its CRC-32
    <path>-<version>.json    how many there are, or why there is none; written last

beside `how.json`, which says how, and what any `mtl.data.kept_folder.KeptFolder` has.
Two processes that want the same share it: one decodes, the other waits.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtl.data.frame_folder import FrameFolder
from mtl.data.frames import MACHINE_FAULTS, BadFrame, FrameReader, require_decoding
from mtl.data.kept_folder import LOCK, KeptFolder
from mtl.data.video_frames import Cut, Sampling, check_name, decoding, record, resizing, small_picture
from mtl.data.video_reader import BadVideo, VideoReader
from mtl.data.video_workers import Report, Work, run_jobs, serve_jobs
from mtl.data.videos import Video
from mtl.errors import UserError
from mtl.files import TEMPORARY, disk_error, publish, published, read_json, take_lock
from mtl.stopwatch import VIDEOS, spent_on

log = logging.getLogger(__name__)

HOW = "how.json"
VERSION = 1  # of the files; count it up when the same video comes to give other bytes
GIB = 2**30
CRC_BYTES = 4
SECONDS_BETWEEN_LOOKS = 1.0
REMEDY = "data.frames_dir moves the frames of videos."


@dataclass(frozen=True)
class Decoded:
    """A video that was decoded.

    Attributes
    ----------
    video : Video
    name : str
        Of its files.
    frames, written : int
        Frames it has, and frames that are kept of it.
    height, width : int
        Of those.
    reason : str
        Why nothing is kept of it; empty where all is well.
    """

    video: Video
    name: str
    frames: int = 0
    written: int = 0
    height: int = 0
    width: int = 0
    reason: str = ""

    @property
    def row_bytes(self) -> int:
        """Bytes of one frame and its checksum."""
        return CRC_BYTES + self.height * self.width * 3


@dataclass(frozen=True)
class DecodingJob:
    """A video, by its path below the root, to be decoded into a folder under a name."""

    video: Video
    folder: Path
    name: str
    path: str


class DecodedVideos(FrameReader):
    """Frames of the videos below a folder, by paths such as ``Abuse/Abuse001_x264.mp4#120``.

    Parameters
    ----------
    root : Path
        Folder of the videos.
    folder : Path
        Of all decoded videos.
    cut : Sampling
    max_gib : float
        Frames of one call's videos that take more are refused.
    workers : int
        Processes that decode.
    """

    def __init__(self, root: Path, folder: Path, cut: Sampling, max_gib: float, workers: int) -> None:
        self.root, self.cut, self.max_gib, self.workers = root, cut, max_gib, workers
        how = {"height": cut.height, "width": cut.width, **made_here()}
        self.made = json.dumps(how, sort_keys=True)
        self.interpolation = resizing()["interpolation"]
        self._how = {"step": cut.step, **how}
        text = json.dumps(self._how, sort_keys=True)
        self.folder = folder / hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        self._known: dict[str, Decoded] = {}

    def __str__(self) -> str:
        """The folder of the videos, as it was given."""
        return str(self.root)

    def absolute(self) -> Path:
        """The folder of the videos."""
        return self.root.absolute()

    def path(self, video: Video) -> str:
        """A video's path below the root, with which the paths of its frames begin."""
        return video.file.relative_to(self.root).as_posix()

    def decode(self, videos: Sequence[Video]) -> list[Decoded]:
        """What is kept of each video; what is not there yet is decoded now.

        Raises
        ------
        UserError
            If there is no room for the frames, or they would take more than `max_gib`.
        """
        found = self._look(videos)
        missing = [video for video in videos if self.path(video) not in found]
        if missing:
            require_decoding(len(missing))
            try:
                with spent_on(VIDEOS, len(missing)), self._only_one():
                    self._touch()
                    self._decode(videos, found)
            except OSError as error:
                raise disk_error(error, self.folder, 0, REMEDY) from error
        else:
            log.info("%d videos are decoded already, their frames lie in %s.", len(videos), self.folder)
            self._touch()
        self._known |= found
        return [found[self.path(video)] for video in videos]

    def read(self, path: str) -> np.ndarray:
        """One frame as RGB; where what is kept of its video is damaged, the next run decodes the video again."""
        video, _, number = path.rpartition("#")
        one = self._known[video]
        try:
            descriptor = os.open(self.folder / f"{one.name}.rgb", os.O_RDONLY | os.O_CLOEXEC)
            try:
                data = os.pread(descriptor, one.row_bytes, int(number) // self.cut.step * one.row_bytes)
            finally:
                os.close(descriptor)
            if len(data) != one.row_bytes or zlib.crc32(data[CRC_BYTES:]) != struct.unpack_from("<I", data)[0]:
                raise OSError("what was kept of the video is damaged")
        except OSError as error:
            if error.errno in MACHINE_FAULTS:
                raise
            self._marker(one.name).unlink(missing_ok=True)
            raise BadFrame(f"{error.strerror or error}; the next run decodes the video again") from error
        return np.frombuffer(data, np.uint8, offset=CRC_BYTES).reshape(one.height, one.width, 3)

    def sizes_and_times(self, paths: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Of the video that each frame is of."""
        videos = [self._known[path.rpartition("#")[0]].video for path in paths]
        return np.array([v.size for v in videos], np.int64), np.array([v.modified_ns for v in videos], np.int64)

    def _touch(self) -> None:
        KeptFolder(self.folder).touch(self.absolute())

    def _marker(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _name(self, video: Video) -> str:
        """Of a version of a video; the part before the dash is the path's."""
        parts = (self.path(video), f"{video.size}/{video.modified_ns}")
        digests = (hashlib.blake2b(os.fsencode(part), digest_size=8).hexdigest() for part in parts)
        return "-".join(digests)

    def _look(self, videos: Sequence[Video]) -> dict[str, Decoded]:
        """What is kept already, by path of the video."""
        found = {}
        for video in videos:
            name = self._name(video)
            said = read_json(self._marker(name), own=True)
            one = described(video, name, said)
            if one is not None and (one.reason or self._is_whole(one)):
                found[self.path(video)] = one
        return found

    def _is_whole(self, one: Decoded) -> bool:
        try:
            return (self.folder / f"{one.name}.rgb").stat().st_size == one.written * one.row_bytes
        except FileNotFoundError:
            return False

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """Be the only one who decodes; wait for another one."""
        told = False
        while (held := self._lock()) is None:
            if not told:
                log.info("Waiting for another process, which decodes videos into %s.", self.folder)
            told = True
            time.sleep(SECONDS_BETWEEN_LOOKS)
        try:
            for left in self.folder.glob(f"{TEMPORARY}*"):  # by a process that was killed
                left.unlink(missing_ok=True)
            yield
        finally:
            os.close(held)

    def _lock(self) -> int | None:
        """Descriptor of the lock; None where another process has it."""
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # the folder was removed since the line above
                return take_lock(self.folder / LOCK, REMEDY)

    def _decode(self, videos: Sequence[Video], found: dict[str, Decoded]) -> None:
        """Decode what is still missing, the largest first so that no core waits at the end; it goes to `found`."""
        found.clear()
        found |= self._look(videos)  # another process may have decoded some meanwhile, or removed all
        missing = [video for video in videos if self.path(video) not in found]
        if not missing:
            return
        if not (self.folder / HOW).is_file():
            publish(self.folder / HOW, json.dumps(self._how).encode())
        self._drop_older(missing)
        jobs = [
            DecodingJob(video, self.folder, self._name(video), self.path(video))
            for video in sorted(missing, key=lambda video: -video.size)
        ]
        before = sum(one.written * one.row_bytes for one in found.values())
        there = self._bytes()

        def watch(n_frames: int, share: float) -> None:
            if self.cut.height and self.cut.width:
                taken = n_frames * (CRC_BYTES + self.cut.height * self.cut.width * 3)
            else:
                taken = self._bytes() - there
            if before + taken > self.max_gib * GIB:
                raise UserError(
                    f"The frames of the videos take more than data.max_gib={self.max_gib:g} after "
                    f"{100 * share:.0f} % of the {len(missing)} missing videos. What is decoded is kept; right "
                    f"would be a larger data.max_gib, a larger data.step, or smaller data.height and data.width."
                )

        work = Work("decoding", serve, self.cut, self.workers, self.folder, "The same command")
        began = time.monotonic()
        n_frames, bad = run_jobs(jobs, work, watch)
        log.info(
            "%d videos decoded into %d frames in %.0f s, they lie in %s; %d were there, %d failed.",
            len(jobs) - len(bad), n_frames, time.monotonic() - began, self.folder, len(found), len(bad),
        )  # fmt: skip
        reasons = dict(bad)
        made = self._look(missing)
        for video in missing:
            nothing = Decoded(video, self._name(video), reason=reasons.get(video.file, "its frames are gone again"))
            found[self.path(video)] = made.get(self.path(video), nothing)

    def _bytes(self) -> int:
        """Bytes of all frames in the folder."""
        with os.scandir(self.folder) as entries:
            return sum(entry.stat().st_size for entry in entries if entry.name.endswith(".rgb"))

    def _drop_older(self, videos: Sequence[Video]) -> None:
        """Remove what was kept of the same files before they changed."""
        older: dict[str, list[Path]] = {}
        for marker in self.folder.glob("*-*.json"):
            older.setdefault(marker.stem.partition("-")[0], []).append(marker)
        for video in videos:
            for marker in older.get(self._name(video).partition("-")[0], []):
                if read_json(marker, own=True).get("file") == str(video.file):  # of this root, not of its copy
                    marker.unlink(missing_ok=True)
                    marker.with_suffix(".rgb").unlink(missing_ok=True)


def made_here() -> dict[str, object]:
    """What decides a frame's pixels beside its size: resizing, decoder, and the version of the files."""
    return {**resizing(), **decoding(), "version": VERSION}


def described(video: Video, name: str, said: dict[str, Any]) -> Decoded | None:
    """What a marker says of a video; None where there is none, or it is damaged."""
    if isinstance(said.get("reason"), str) and said["reason"]:
        return Decoded(video, name, reason=said["reason"])
    numbers = [said.get(key) for key in ("frames", "written", "height", "width")]
    if any(type(number) is not int or number < 1 for number in numbers):
        return None
    return Decoded(video, name, *numbers)  # type: ignore[arg-type]


def serve(connection: Connection, cut: Sampling) -> None:
    """Decode the jobs that come over a connection, and send answers, in a process of its own."""
    serve_jobs(connection, lambda job, report: keep(job, cut, report))


def keep(job: DecodingJob, cut: Sampling, report: Report) -> Cut:
    """Decode a video, keep every step-th frame of it, and say how many there are.

    Raises
    ------
    BadVideo
        If the video is no good: nothing of it is kept but the reason.
    OSError
        If the output cannot be written.
    """
    said = record(job.video) | {"file": os.fsencode(job.video.file).decode(errors="replace")}
    marker = job.folder / f"{job.name}.json"
    try:
        made, height, width = _keep_frames(job, cut, report)
    except BadVideo as error:
        if not isinstance(error.__cause__, OSError):  # what the disk refused may be there the next time
            publish(marker, json.dumps(said | {"reason": str(error)}).encode())
        raise
    numbers = {"frames": made.n_frames, "written": made.n_written, "height": height, "width": width}
    publish(marker, json.dumps(said | numbers).encode())
    return made


def _keep_frames(job: DecodingJob, cut: Sampling, report: Report) -> tuple[Cut, int, int]:
    """Write the frames; what was made, height and width."""
    check_name(job.path)
    n_frames = n_written = 0
    size: tuple[int, ...] | None = None
    with published(job.folder / f"{job.name}.rgb", 0) as file, closing(_reader(job.video.file)) as reader:
        for frame in reader.frames():
            if n_frames % cut.step == 0:
                small = small_picture(frame, cut)
                size = size or small.shape[:2]
                if small.shape[:2] != size:
                    raise BadVideo(f"its pictures change their size at frame {n_frames}")
                data = np.ascontiguousarray(small[..., ::-1]).tobytes()
                file.write(struct.pack("<I", zlib.crc32(data)) + data)
                n_written += 1
                report(reader.share, n_written)
            n_frames += 1
    assert size is not None  # a video without a frame is a bad one
    return Cut(n_frames, n_written, reader.tells_end), size[0], size[1]


def _reader(file: Path) -> VideoReader | FrameFolder:
    """What reads a video, or a folder of images that stands for one."""
    return FrameFolder(file) if file.is_dir() else VideoReader(file)
