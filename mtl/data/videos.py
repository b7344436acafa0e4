"""Videos on disk: which there are, which split each belongs to, and their frames cut out."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import cv2

from mtl.data.frames import MAX_PIXELS
from mtl.data.splits import hold_out_videos
from mtl.data.ucf_crime import CLASSES, FOLDERS, SPLIT_FOLDERS, class_of
from mtl.files import publish
from mtl.mistakes import Mistake, nearest

EXTENSIONS = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv")
# a container's count of frames may be an estimate; a video that lacks more than this share of it was cut
MAX_MISSING_SHARE = 0.05
SECONDS_BETWEEN_REPORTS = 0.5
# where the official release keeps its normal videos
SPLIT_OF_PREFIX = re.compile(r"(training|testing)[_ -]", re.IGNORECASE)


class BadVideo(ValueError):
    """A file of which no video can be read; the message is the short reason."""


@dataclass(frozen=True)
class Video:
    """A video on disk.

    Attributes
    ----------
    file : Path
    class_name : str
        Canonical, by the folder it lies in.
    folder_split : str or None
        The split that its folders tell, if they do.
    size, modified_ns : int
        Bytes and time of the file, which tell one version of it from another.
    """

    file: Path
    class_name: str
    folder_split: str | None
    size: int = 0
    modified_ns: int = 0

    @property
    def name(self) -> str:
        """The video's name, which its frames carry."""
        return self.file.stem


@dataclass(frozen=True)
class SplitLists:
    """The videos that split lists name.

    Attributes
    ----------
    split_of : mapping of str to str
        Split by the video's name.
    entry_of : mapping of str to str
        Line by the video's name, as in ``Abuse/Abuse001_x264.mp4``.
    rest : str or None
        Where videos on no list belong: the other split if one list was given, nowhere if both were.
    """

    split_of: Mapping[str, str] = field(default_factory=dict)
    entry_of: Mapping[str, str] = field(default_factory=dict)
    rest: str | None = None


def find_videos(root: Path, without: Path) -> list[Video]:
    """All videos below a folder in order of path, except those below `without`.

    Raises
    ------
    Mistake
        If there is no such folder, no video in it, or one in a folder that is no class.
    """
    if not root.is_dir():
        raise Mistake(f"There is no folder {root}; it should hold <Class>/<video>.mp4.")
    found = []
    entered = set()
    for folder, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
        here = Path(folder)
        if here.resolve() in entered:  # a link back
            folders.clear()
            continue
        entered.add(here.resolve())
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")) and here / name != without)
        for name in sorted(files):
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                found.append(_video(here / name, root))
    if not found:
        raise Mistake(f"No video below {root}: none of {' '.join('*' + e for e in EXTENSIONS)}.")
    return found


def _refuse(error: OSError) -> None:
    """Stop where a folder cannot be listed, instead of leaving it out."""
    raise Mistake(f"Cannot list {error.filename}: {error.strerror}.")


def _video(file: Path, root: Path) -> Video:
    """A video with what its folders say."""
    class_name = class_of(file.parent.name)
    if class_name is None:
        hint = nearest(file.parent.name, {*CLASSES, *FOLDERS.values()})
        raise Mistake(f"{file} lies in '{file.parent.name}', which is no class of UCF-Crime. {hint}")
    split = None
    for part in file.relative_to(root).parts[:-1]:
        prefix = SPLIT_OF_PREFIX.match(part)
        split = SPLIT_FOLDERS.get(prefix[1].casefold() if prefix else part.casefold(), split)
    if not file.exists():  # a link to nowhere: listed as bad when its turn comes
        return Video(file, class_name, split)
    found = file.stat()
    return Video(file, class_name, split, found.st_size, found.st_mtime_ns)


def read_lists(train: Path | None, test: Path | None) -> SplitLists:
    """Split lists in the official form: a line ``<Class>/<video>.mp4`` per video.

    Raises
    ------
    Mistake
        With the line's number: no video's name, a name twice or on both lists.
    """
    split_of: dict[str, str] = {}
    entry_of: dict[str, str] = {}
    seen: dict[str, str] = {}
    for split, file in (("train", train), ("test", test)):
        if file is None:
            continue
        for number, line in enumerate(_lines(file), start=1):
            entry = line.strip().replace("\\", "/")
            if not entry:
                continue
            if not entry.lower().endswith(EXTENSIONS):
                raise Mistake(f"{file}:{number}: expected <Class>/<video>.mp4, found '{entry}'.")
            name = entry.rpartition("/")[2].rpartition(".")[0]
            if name in seen:
                raise Mistake(f"{file}:{number}: '{name}' is there already, in {seen[name]}.")
            seen[name], split_of[name], entry_of[name] = f"{file}:{number}", split, entry
    if not split_of and (train or test):
        raise Mistake(f"{train or test} names no video.")
    rest = None if (train is None) == (test is None) else "train" if train is None else "test"
    return SplitLists(split_of, entry_of, rest)


def _lines(file: Path) -> list[str]:
    """Lines of a text file."""
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise Mistake(f"Cannot read {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Mistake(f"{file} is not UTF-8 text.") from error


def one_of_each(videos: Sequence[Video], lists: SplitLists) -> list[Video]:
    """The videos with each name once.

    The official release holds some normal videos twice. Of several, the one counts
    that a list names with its folder, else the one whose folder tells the split.

    Raises
    ------
    Mistake
        If neither singles one out.
    """
    by_name: dict[str, list[Video]] = {}
    for video in videos:
        by_name.setdefault(video.name, []).append(video)
    chosen = []
    for name, same in by_name.items():
        listed = [v for v in same if lists.entry_of.get(name) == f"{v.file.parent.name}/{v.file.name}"]
        told = [v for v in same if v.folder_split is not None]
        single = next((few for few in (same, listed, told) if len(few) == 1), None)
        if single is None:
            raise Mistake(f"Two videos have the name '{name}': {same[0].file} and {same[1].file}. Keep or rename one.")
        chosen += single
    return chosen


def split_videos(
    videos: Sequence[Video], lists: SplitLists, earlier: Mapping[str, str], test_fraction: float, seed: int
) -> dict[str, str]:
    """Split of each video, by name: train, test, or absent where both lists leave it out.

    Parameters
    ----------
    videos : sequence of Video
        Each name once.
    lists : SplitLists
        They go first; without them the folders do.
    earlier : mapping of str to str
        Where an earlier extraction put videos; kept where nothing else is said.
    test_fraction : float
        Share of each class's other videos that goes to test, in [0, 1).
    seed : int
        Of that choice.

    Raises
    ------
    Mistake
        If a video lies in another class's folder than a list says.
    """
    chosen: dict[str, str] = {}
    for video in videos:
        _check_class(video, lists)
        split = (lists.split_of.get(video.name) or lists.rest) if lists.split_of else video.folder_split
        split = split or (None if lists.split_of else earlier.get(video.name))
        if split is not None:
            chosen[video.name] = split
    if not lists.split_of:
        open_ = [video for video in videos if video.name not in chosen]
        tested: frozenset[str] = frozenset()
        if test_fraction:
            tested = hold_out_videos([v.name for v in open_], [v.class_name for v in open_], test_fraction, seed)
        chosen |= {video.name: "test" if video.name in tested else "train" for video in open_}
    return chosen


def _check_class(video: Video, lists: SplitLists) -> None:
    """Refuse a video that lies in another class's folder than a list says."""
    entry = lists.entry_of.get(video.name, "")
    listed = class_of(Path(entry).parent.name)
    if listed not in (None, video.class_name):
        raise Mistake(f"{video.file} lies in {video.class_name}, but its split list says '{entry}'.")


@dataclass(frozen=True)
class Cut:
    """How frames are cut from videos.

    Attributes
    ----------
    step : int
        Every step-th frame, from frame 0.
    width, height : int
        In pixels.
    """

    step: int
    width: int
    height: int


def frame_folder(class_name: str, split: str) -> Path:
    """Where the frames of a video belong below the root of a frame tree."""
    return Path(split.title()) / FOLDERS[class_name]


def cut_frames(video: Path, cut: Cut, into: Path, report: Callable[[float, int], None]) -> tuple[int, int]:
    """Write every step-th frame of a video as ``<video>_<number>.png`` into an existing folder.

    Areas are averaged (INTER_AREA), as in the usual frame set of UCF-Crime, which
    this reproduces pixel for pixel with a step of 10 and 64 x 64 pixels.

    Parameters
    ----------
    report : callable
        Told the share of the video that is done and the frames written, frame by frame written.

    Returns
    -------
    int, int
        Frames the video has, frames written.

    Raises
    ------
    BadVideo
        If the file is no video, has no frame, or ends before its header says.
    OSError
        If a frame cannot be written.
    """
    _check_file(video)
    # named backend: the others take digits in a file name for a numbered series of pictures;
    # one thread: the videos themselves run in parallel
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise BadVideo("not a video, or cut before its index")
        pixels = capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if pixels > MAX_PIXELS:
            raise BadVideo(f"too large: {pixels:.0f} pixels per frame")
        declared = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        n_frames = n_written = 0
        while capture.grab():
            if n_frames % cut.step == 0:
                there, image = capture.retrieve()
                if not there:
                    raise BadVideo(f"frame {n_frames} does not decode")
                small = cv2.resize(image, (cut.width, cut.height), interpolation=cv2.INTER_AREA)
                (into / f"{video.stem}_{n_frames}.png").write_bytes(cv2.imencode(".png", small)[1].tobytes())
                n_written += 1
                report(min(n_frames / declared, 1.0) if declared > 0 else 0.0, n_written)
            n_frames += 1
    except cv2.error as error:
        raise BadVideo(f"does not decode: {error.err}") from error
    finally:
        capture.release()
    if n_frames == 0:
        raise BadVideo("no frame decodes")
    if n_frames < declared * (1 - MAX_MISSING_SHARE):
        raise BadVideo(f"cut: {n_frames} of {declared} frames decode")
    return n_frames, n_written


def _check_file(video: Path) -> None:
    """Refuse what cannot be a video before the decoder sees it."""
    try:
        with video.open("rb") as file:
            if not file.read(1):
                raise BadVideo("empty")
    except OSError as error:
        raise BadVideo((error.strerror or str(error)).lower()) from error
    try:
        name = video.stem.encode()
    except UnicodeEncodeError as error:
        raise BadVideo("its name is not UTF-8") from error
    if b"\n" in name or b"\r" in name:
        raise BadVideo("its name has a line break")


@dataclass(frozen=True)
class Job:
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


def extract(job: Job, cut: Cut, report: Callable[[float, int], None]) -> int:
    """Cut a video, publish its frames, and say that it is done.

    A frame gets its final name by an atomic rename, after the whole video was
    read; the marker comes last. So what a kill leaves is found and done again.

    Returns
    -------
    int
        Frames written.

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
        n_frames, n_written = cut_frames(job.video.file, cut, written_to, report)
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
    publish(job.marker, json.dumps(record(job.video) | {"frames": n_frames, "written": n_written}).encode())
    return n_written


@dataclass(frozen=True)
class Answer:
    """What a process says of the job it has.

    Attributes
    ----------
    kind : str
        ``going``, or at the end of a job ``done``, ``bad`` (the video) or ``stop``
        (the output: going on with other videos makes no sense).
    share : float
        Of the video that is done, in [0, 1].
    n_frames : int
        Frames written.
    reason : str
        Why it ended badly.
    """

    kind: Literal["going", "done", "bad", "stop"]
    share: float = 1.0
    n_frames: int = 0
    reason: str = ""


def serve(connection: Connection, cut: Cut) -> None:
    """Extract the jobs that come over a connection, and send answers, in a process of its own."""
    last = 0.0

    def report(share: float, n_written: int) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            connection.send(
                Answer("going", share, n_written)
            )  # fails when the parent is gone, and so ends this process

    while True:
        try:
            job = connection.recv()
            try:
                answer = Answer("done", n_frames=extract(job, cut, report))
            except BadVideo as error:
                answer = Answer("bad", reason=str(error))
            except (BrokenPipeError, EOFError):
                raise
            except OSError as error:
                answer = Answer("stop", reason=f"{error.strerror or error} ({error.filename or job.folder})")
            connection.send(answer)
        except (EOFError, OSError):
            return
