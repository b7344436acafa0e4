"""Videos on disk: which there are, and which split each belongs to."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mtl.data.class_names import CLASSES, FOLDERS, NORMAL, SPLIT_FOLDERS, class_of, folded
from mtl.data.splits import hold_out_videos
from mtl.data.text import read_text
from mtl.errors import UserError, misspelt

log = logging.getLogger(__name__)

EXTENSIONS = (
    ".mp4", ".avi", ".mkv", ".mov", ".m4v", ".3gp", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".asf"
)  # fmt: skip
OFFICIAL_LISTS = {"train": "Anomaly_Train.txt", "test": "Anomaly_Test.txt"}
SPLIT_OF_PREFIX = re.compile(r"(training|validation|testing)[_ -]", re.IGNORECASE)


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

    Other files in folders of classes are named in one line, as they may be videos of a kind that is not read.

    Raises
    ------
    UserError
        If there is no such folder, no video in it, or one in a folder that is no class.
    """
    if not root.is_dir():
        raise UserError(f"There is no folder {root}; it should hold <Class>/<video>.mp4.")
    found, others = [], []
    for file in _files(root, without):
        if file.name.lower().endswith(EXTENSIONS):
            found.append(_video(file, root))
        elif file.parent != root and class_of(file.parent.name) is not None:
            others.append(file)
    if others:
        log.warning(
            "%d files in folders of classes are no videos by their names (%s) and left out, such as %s.",
            len(others), ", ".join(sorted({file.suffix.lower() or "no ending" for file in others})), others[0],
        )  # fmt: skip
    if not found:
        raise UserError(f"No video below {root}: none of {' '.join('*' + e for e in EXTENSIONS)}.")
    return found


def video_files(root: Path, without: Path) -> list[Path]:
    """Files below a folder that are videos by their endings, in order of path, except those below `without`."""
    return [file for file in _files(root, without) if file.name.lower().endswith(EXTENSIONS)]


def _files(root: Path, without: Path) -> Iterator[Path]:
    """Every file below a folder that is not hidden; links are followed, but not in circles."""
    entered = set()
    for folder, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
        here = Path(folder)
        if here.resolve() in entered:  # a link back
            folders.clear()
            continue
        entered.add(here.resolve())
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")) and here / name != without)
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _refuse(error: OSError) -> None:
    """Stop where a folder cannot be listed, instead of leaving it out."""
    raise UserError(f"Cannot list {error.filename}: {error.strerror}.")


def _video(file: Path, root: Path) -> Video:
    """A video with what its folders say."""
    class_name = class_of(file.parent.name)
    if class_name is None:
        hint = misspelt(file.parent.name, {*CLASSES, *FOLDERS.values()})
        raise UserError(f"{file} lies in '{file.parent.name}', which is no class of UCF-Crime. {hint}")
    split = None
    for part in file.relative_to(root).parts[:-1]:
        split = _split_of_folder(part) or split
    return video_at(file, class_name, split)


def video_at(file: Path, class_name: str, split: str | None) -> Video:
    """A video with size and time of its file."""
    if not file.exists():  # a link to nowhere: listed as bad when its turn comes
        return Video(file, class_name, split)
    found = file.stat()
    return Video(file, class_name, split, found.st_size, found.st_mtime_ns)


def _split_of_folder(name: str) -> str | None:
    """The split that a folder's name tells, if it does."""
    prefix = NORMAL.fullmatch(folded(name)) or SPLIT_OF_PREFIX.match(name)
    return SPLIT_FOLDERS.get((prefix[1] or "").casefold() if prefix else name.casefold())


def read_lists(train: Path | None, test: Path | None) -> SplitLists:
    """Split lists in the official form: a line ``<Class>/<video>.mp4`` per video.

    Raises
    ------
    UserError
        With the line's number: no video's name, a name twice or on both lists.
    """
    split_of: dict[str, str] = {}
    entry_of: dict[str, str] = {}
    seen: dict[str, str] = {}
    for split, file in (("train", train), ("test", test)):
        if file is None:
            continue
        for number, line in enumerate(read_text(file).replace("\r\n", "\n").split("\n"), start=1):
            entry = line.strip().replace("\\", "/")
            if not entry:
                continue
            if not entry.lower().endswith(EXTENSIONS):
                raise UserError(f"{file}:{number}: expected <Class>/<video>.mp4, found '{entry}'.")
            name = entry.rpartition("/")[2].rpartition(".")[0]
            if name in seen:
                raise UserError(f"{file}:{number}: '{name}' is there already, in {seen[name]}.")
            seen[name], split_of[name], entry_of[name] = f"{file}:{number}", split, entry
    if not split_of and (train or test):
        raise UserError(f"{train or test} names no video.")
    rest = None if (train is None) == (test is None) else "train" if train is None else "test"
    return SplitLists(split_of, entry_of, rest)


def lists_for(root: Path, train: Path | None, test: Path | None) -> SplitLists:
    """The split lists that are given, else the official ones where they lie beside the videos."""
    if train is None and test is None:
        train, test = (root / name if (root / name).is_file() else None for name in OFFICIAL_LISTS.values())
        for file in filter(None, (train, test)):
            log.info("The split is that of %s.", file)
    return read_lists(train, test)


def one_of_each(videos: Sequence[Video], lists: SplitLists) -> list[Video]:
    """The videos with each name once.

    The official release holds some normal videos twice. Of several, the one counts
    that a list names with its folder, else the one whose folder tells the split.

    Raises
    ------
    UserError
        If neither singles one out.
    """
    by_name: dict[str, list[Video]] = {}
    for video in videos:
        by_name.setdefault(video.name, []).append(video)
    chosen = []
    for name, same in by_name.items():
        entry = Path(lists.entry_of.get(name, ""))
        listed = [
            v for v in same if (folded(v.file.parent.name), v.file.name) == (folded(entry.parent.name), entry.name)
        ]
        told = [v for v in same if v.folder_split is not None]
        single = next((few for few in (same, listed, told) if len(few) == 1), None)
        if single is None:
            raise UserError(
                f"Two videos have the name '{name}': {same[0].file} and {same[1].file}. Keep or rename one."
            )
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
    UserError
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
            names, classes = [v.name for v in open_], [v.class_name for v in open_]
            unknown = [1] * len(open_)  # a video's length shows only when it is read through
            tested = hold_out_videos(names, classes, unknown, test_fraction, seed)
        chosen |= {video.name: "test" if video.name in tested else "train" for video in open_}
    return chosen


def _check_class(video: Video, lists: SplitLists) -> None:
    """Refuse a video that lies in another class's folder than a list says."""
    entry = lists.entry_of.get(video.name, "")
    listed = class_of(Path(entry).parent.name)
    if listed not in (None, video.class_name):
        raise UserError(f"{video.file} lies in {video.class_name}, but its split list says '{entry}'.")
