"""UCF-Crime: a tree of frames, or annotation files, in; the frame table out."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PositiveInt

from mtl import memory
from mtl.data.splits import at_most, at_most_per_video, every_nth, hold_out_videos
from mtl.mistakes import Mistake, nearest

pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what it once had: 280 MB for a million names

log = logging.getLogger(__name__)

Fraction = Annotated[float, Field(gt=0, lt=1)]

ANOMALIES = (
    "Abuse",
    "Arrest",
    "Arson",
    "Assault",
    "Burglary",
    "Explosion",
    "Fighting",
    "RoadAccidents",
    "Robbery",
    "Shooting",
    "Shoplifting",
    "Stealing",
    "Vandalism",
)
CLASSES = (*ANOMALIES, "Normal")
SPLITS = ("train", "val", "test")

# the folder of each class in the usual frame set
FOLDERS = {name: "NormalVideos" if name == "Normal" else name for name in CLASSES}
# other spellings in circulation; letter case, spaces, dashes and underscores are not held against anyone
ALIASES = {
    "roadaccident": "RoadAccidents",
    "normalvideos": "Normal",
    "normalvideosevent": "Normal",
    "trainingnormalvideosanomaly": "Normal",
    "testingnormalvideosanomaly": "Normal",
    "normalvideosforeventrecognition": "Normal",
    **{name.casefold(): name for name in CLASSES},
}
SPLIT_FOLDERS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
EXTENSIONS = (".png", ".jpg", ".jpeg")

# <video>_<frame>.<extension> at the end of a path
FRAME_NAME = r"^(?:[^\r\n]*/)?(?P<video>[^/\r\n]+)_(?P<frame>[0-9]{1,9})\.(?i:png|jpe?g)$"
NO_VIDEO = pa.array(
    ["Normal_Videos"], pa.large_string()
)  # `Normal_Videos_003.png` is the picture of a video, not frame 3 of one
# <path> <class>; the path may contain spaces
ANNOTATION = r"^(?P<path>.*\S)\s+(?P<label>\S+)\s*$"
# what needs a closer look in a path: backslashes, a root or a drive, empty steps, steps to here or upwards
ODD_PATH = r"\\|^/|^[A-Za-z]:|//|(?:^|/)\.\.?(?:/|$)"
# above this share the names follow another rule, and skipping would be the wrong thing to do
MAX_SKIPPED_SHARE = 0.02
TEXT = pd.StringDtype("pyarrow")


def class_of(name: str) -> str | None:
    """The canonical class a folder or label means, None where it means none."""
    return ALIASES.get(re.sub(r"[\s_-]+", "", name).casefold())


@dataclass(frozen=True)
class Listing:
    """Frames of one split and one class.

    Attributes
    ----------
    split, class_name : str
        Canonical.
    paths : pyarrow.Array of string
        Relative to the root, posix.
    """

    split: str
    class_name: str
    paths: pa.Array


class UCFCrime:
    """The frames of UCF-Crime with their classes, videos and splits.

    Parameters
    ----------
    root : str
        Folder that holds the split folders, and below which all paths lie.
    annotations : mapping of str to str or None
        For `train`, `val` and `test` a file of lines ``<path> <class>`` that takes
        the place of the split's folder. Without one for `val`, validation videos
        are held out of train.
    val_fraction : float
        Share of each class's training videos that is held out.
    split_seed : int
        Of the hold-out.
    every : int
        Keep each video's every n-th frame.
    max_frames_per_video : int, optional
        Keep at most so many of a video, evenly over time.
    max_train_frames : int, optional
        Keep at most so many training frames, in proportion to class and video;
        validation is thinned at the same rate.
    max_test_frames : int, optional
        Likewise for test.

    Attributes
    ----------
    kept : DataFrame
        After `frames`: per split and class the videos and frames found and kept.
    skipped : DataFrame
        After `frames`: `path` and `reason` of every file that looks like a frame but was left out.
    """

    name = "ucf_crime"
    classes: tuple[str, ...] = CLASSES

    def __init__(
        self,
        root: str,
        annotations: Mapping[str, str | None],
        val_fraction: Fraction,
        split_seed: int,
        every: PositiveInt,
        max_frames_per_video: PositiveInt | None,
        max_train_frames: PositiveInt | None,
        max_test_frames: PositiveInt | None,
    ) -> None:
        self.root = Path(root).expanduser().absolute()
        self.annotations = {split: annotations.get(split) for split in SPLITS}
        for split in annotations:
            if split not in SPLITS:
                raise Mistake(f"data.annotations has no '{split}'. {nearest(split, SPLITS)}")
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.every = every
        self.max_frames_per_video = max_frames_per_video
        self.max_train_frames = max_train_frames
        self.max_test_frames = max_test_frames
        self.kept = pd.DataFrame()
        self.skipped = pd.DataFrame()

    def check(self) -> None:
        """Raise `Mistake` where root, split folders, class folders or annotation files are not as they should be.

        Looks at the first frame of every class folder only, so it costs the same
        for a hundred frames and for a million.
        """
        _check_folder(self.root, "data.root")
        for split, file in self.annotations.items():
            if file is not None:
                if not _annotation_file(file).is_file():
                    raise Mistake(f"data.annotations.{split}: there is no file {_annotation_file(file)}.")
            elif split != "val":
                for _, folder in self._class_folders(split):
                    if not any(_is_image(entry.name) for entry in _scan(folder)):
                        raise Mistake(f"Class folder {folder} holds no {_or(EXTENSIONS)} file{_within(folder)}.")

    def frames(self) -> pd.DataFrame:
        """The frame table, split and thinned.

        Returns
        -------
        DataFrame
            `path`, `class_name`, `video`, `frame`, `split`; sorted by split, class, video, frame.

        Raises
        ------
        Mistake
            If a folder or a line is not understood, a video is in two splits or two
            classes, a frame is there twice, or too many names do not say video and frame.
        """
        self.check()
        skipped: list[tuple[str, str]] = []
        found = frame_table(self._listings(skipped), skipped)
        self.skipped = _reported(skipped, len(found), self.root)
        _say_missing(found)
        found = self._hold_out(found)
        kept = self._thin(found)
        self.kept = counts(found, kept)
        log.info(
            "%s: %d frames of %d videos found below %s, %d frames of %d videos kept.",
            self.name, len(found), len(found["video"].cat.categories),
            self.root, len(kept), len(kept["video"].cat.categories),
        )  # fmt: skip
        memory.give_back()  # names that were sorted: twice the table
        return kept

    def rows(self) -> np.ndarray | None:
        """None: no rows of features are given, the frames lie as files below `root`."""
        return None

    def _listings(self, skipped: list[tuple[str, str]]) -> Iterator[Listing]:
        """What is there, split by split and class by class."""
        listed: dict[Path, pa.Array] = {}
        for split, file in self.annotations.items():
            if file is not None:
                yield from read_annotations(_annotation_file(file), self.root, split, listed)
            elif split != "val":
                for class_name, folder in self._class_folders(split):
                    yield Listing(split, class_name, _image_paths(folder, self.root, skipped))

    def _class_folders(self, split: str) -> list[tuple[str, Path]]:
        """Class and folder of every class folder of a split, in order of name."""
        split_folder = self._split_folder(split)
        found = []
        for entry in _folders(split_folder, self.root):
            class_name = class_of(entry.name)
            if class_name is None:
                hint = nearest(entry.name, {*CLASSES, *FOLDERS.values()})
                raise Mistake(f"Folder '{entry.name}' in {split_folder} is no class of UCF-Crime. {hint}")
            found.append((class_name, Path(entry.path)))
        if not found:
            raise Mistake(f"{split_folder} holds no class folder. Known: {', '.join(FOLDERS.values())}.")
        return found

    def _split_folder(self, split: str) -> Path:
        """The one folder of the root that means `split`."""
        folders = _folders(self.root, self.root)
        found = [entry.name for entry in folders if SPLIT_FOLDERS.get(entry.name.casefold()) == split]
        if len(found) > 1:
            raise Mistake(f"{self.root} holds {_and(found)}: both mean {split}. Keep one.")
        if found:
            return self.root / found[0]
        names = [entry.name for entry in folders]
        if not names:
            raise Mistake(f"data.root {self.root} holds no folder; it should hold 'Train' and 'Test'.")
        for name in names:
            if any(SPLIT_FOLDERS.get(entry.name.casefold()) == split for entry in _scan(self.root / name)):
                raise Mistake(
                    f"data.root {self.root} holds no '{split.title()}', but its '{name}' does: go one deeper."
                )
        raise Mistake(f"data.root {self.root} holds no '{split.title()}', only {_and(names)}.")

    def _hold_out(self, frames: pd.DataFrame) -> pd.DataFrame:
        """The table with validation videos taken out of train, unless they were given."""
        if self.annotations["val"] is not None:
            return frames
        in_train = frames[frames["split"] == "train"]
        videos = in_train.drop_duplicates("video")
        held_out = hold_out_videos(
            videos["video"].astype(str).tolist(),
            videos["class_name"].astype(str).tolist(),
            self.val_fraction,
            self.split_seed,
        )
        is_held_out = frames["video"].cat.categories.isin(held_out)[frames["video"].cat.codes]
        split = np.where(is_held_out, np.int8(SPLITS.index("val")), frames["split"].cat.codes.to_numpy())
        order = np.argsort(split, kind="stable")  # rows were in order within each split
        frames = frames.take(order).reset_index(drop=True)
        frames["split"] = _categorical(split[order], SPLITS)
        return frames

    def _thin(self, frames: pd.DataFrame) -> pd.DataFrame:
        """The frames that the options keep; every split by itself, so that the split does not move."""
        frames = at_most_per_video(every_nth(frames, self.every), self.max_frames_per_video)
        parts = {split: frames[frames["split"] == split].reset_index(drop=True) for split in SPLITS}
        if self.max_train_frames is not None and len(parts["train"]) > self.max_train_frames:
            rate = self.max_train_frames / len(parts["train"])
            parts["train"] = at_most(parts["train"], self.max_train_frames)
            parts["val"] = at_most(parts["val"], max(round(rate * len(parts["val"])), 1))
        parts["test"] = at_most(parts["test"], self.max_test_frames)
        kept = pd.concat(list(parts.values()), ignore_index=True)
        kept["video"] = kept["video"].cat.remove_unused_categories()
        return kept


def frame_table(listings: Iterable[Listing], skipped: list[tuple[str, str]]) -> pd.DataFrame:
    """The frame table of these listings; what cannot be read from a name is appended to `skipped`.

    Raises
    ------
    Mistake
        If a video is in two splits or two classes, or a frame is there twice.
    """
    rows = pa.concat_tables(_rows(listing, skipped) for listing in listings)
    split, class_name, frame = (rows[column].to_numpy() for column in ("split", "class_name", "frame"))
    video, names = _sorted_codes(rows["video"].combine_chunks())
    _check_videos(video, names, split, class_name)
    order = np.lexsort((frame, video, class_name, split))
    path, video, frame = rows["path"].combine_chunks().take(pa.array(order)), video[order], frame[order]
    del rows
    _check_frames(path, video, frame)
    table = pa.table({"path": path}).to_pandas(types_mapper={path.type: TEXT}.get)
    table["class_name"] = _categorical(class_name[order], CLASSES)
    table["video"] = _categorical(video, names)
    table["frame"] = frame
    table["split"] = _categorical(split[order], SPLITS)
    return table


def _rows(listing: Listing, skipped: list[tuple[str, str]]) -> pa.Table:
    """Path, video, frame and the codes of split and class, of the names that can be read."""
    parts = pc.extract_regex(listing.paths, FRAME_NAME)
    readable = pc.and_(pc.is_valid(parts), pc.invert(pc.is_in(pc.struct_field(parts, "video"), NO_VIDEO)))
    skipped += [(path, "no <video>_<frame>") for path in listing.paths.filter(pc.invert(readable)).to_pylist()]
    parts = parts.filter(readable)
    return pa.table(
        {
            "path": listing.paths.filter(readable).cast(pa.large_string()),
            "video": pc.struct_field(parts, "video").cast(pa.large_string()),
            "frame": pc.struct_field(parts, "frame").cast(pa.int32()),
            "split": np.full(len(parts), SPLITS.index(listing.split), np.int8),
            "class_name": np.full(len(parts), CLASSES.index(listing.class_name), np.int8),
        }
    )


def _categorical(codes: np.ndarray, names: Sequence[str]) -> pd.Categorical[Any]:
    """Codes and names as one column."""
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(names)))


def _sorted_codes(values: pa.Array) -> tuple[np.ndarray, list[str]]:
    """Codes of the values, and the distinct values, sorted by code point whatever the locale."""
    encoded = values.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    rank = np.empty(len(names), np.int32)
    order = sorted(range(len(names)), key=names.__getitem__)
    rank[order] = np.arange(len(names), dtype=np.int32)
    return rank[encoded.indices.to_numpy()], [names[i] for i in order]


def _check_videos(video: np.ndarray, names: list[str], split: np.ndarray, class_name: np.ndarray) -> None:
    """Refuse a video that is in two splits or in two classes."""
    # (video, split, class) as one number
    homes = np.unique(video.astype(np.int64) * 1000 + split.astype(np.int64) * 100 + class_name)
    twice = np.flatnonzero(np.diff(homes // 1000) == 0)
    if len(twice) == 0:
        return
    first, second = homes[twice[0]], homes[twice[0] + 1]
    where = [f"{SPLITS[home % 1000 // 100]}/{CLASSES[home % 100]}" for home in (first, second)]
    raise Mistake(
        f"Video '{names[first // 1000]}' is in {where[0]} and in {where[1]}; "
        f"a video belongs to one split and one class ({len(twice)} such)."
    )


def _check_frames(path: pa.Array, video: np.ndarray, frame: np.ndarray) -> None:
    """Refuse a frame that is there twice; the arrays are sorted."""
    twice = np.flatnonzero((np.diff(frame) == 0) & (np.diff(video) == 0))
    if len(twice):
        first, second = path[twice[0]].as_py(), path[twice[0] + 1].as_py()
        raise Mistake(f"The same frame is there twice: '{first}' and '{second}' ({len(twice)} such). Keep one.")


def read_annotations(file: Path, root: Path, split: str, listed: dict[Path, pa.Array]) -> Iterator[Listing]:
    """Frames of an annotation file, class by class.

    Each line is a path relative to `root` and, as the last word, a class; the path
    may contain spaces. Blank lines, CRLF and a byte order mark are taken as they come.

    Parameters
    ----------
    listed : dict of Path to pyarrow.Array
        Images of folders that were listed already; train and val share theirs.

    Raises
    ------
    Mistake
        With the line's number: wrong columns, unknown class, a path that is
        absolute, leads out of the root, is there twice, is no image or is missing.
    """
    lines = pa.array(_text(file).split("\n"), pa.large_string())
    words = pc.extract_regex(lines, ANNOTATION)
    wrong = pc.is_null(words).to_numpy(False)
    wrong[wrong] = pc.match_substring_regex(lines.filter(pa.array(wrong)), r"\S").to_numpy(False)  # blank is not wrong
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        found = lines[at].as_py().strip()
        raise Mistake(f"{file}:{at + 1}: expected `<path> <class>`, found '{found}'{_more(wrong.sum())}.")
    number = np.flatnonzero(pc.is_valid(words).to_numpy(False)) + 1
    if len(number) == 0:
        raise Mistake(f"{file} is empty; it should hold lines of `<path> <class>`.")
    words = words.filter(pc.is_valid(words))
    del lines
    classes = _label_codes(pc.struct_field(words, "label"), file, number)
    paths = _inside_paths(pc.struct_field(words, "path"), file, number)
    _check_present(paths, root, file, number, listed)
    for code in np.unique(classes):
        yield Listing(split, CLASSES[code], paths.filter(pa.array(classes == code)))


def _label_codes(labels: pa.Array, file: Path, number: np.ndarray) -> np.ndarray:
    """Position in `CLASSES` of every line's label."""
    codes, distinct = _sorted_codes(labels)
    known = [class_of(label) for label in distinct]
    unknown = np.flatnonzero(np.array([name is None for name in known])[codes])
    if len(unknown):
        label = distinct[codes[unknown[0]]]
        raise Mistake(
            f"{file}:{number[unknown[0]]}: '{label}' is no class of UCF-Crime{_more(len(unknown))}. "
            f"{nearest(label, CLASSES)}"
        )
    return np.array([CLASSES.index(name) for name in known if name is not None], np.int8)[codes]


def _inside_paths(paths: pa.Array, file: Path, number: np.ndarray) -> pa.Array:
    """The paths in posix form, none of them absolute, leading upwards, double or no image."""

    def refuse(pattern: str, reason: str) -> None:
        at = np.flatnonzero(pc.match_substring_regex(paths, pattern).to_numpy(False))
        if len(at):
            raise Mistake(f"{file}:{number[at[0]]}: {reason}: '{paths[int(at[0])].as_py()}'{_more(len(at))}.")

    if pc.any(pc.match_substring_regex(paths, ODD_PATH)).as_py():
        only_back = pc.invert(pc.match_substring(paths, "/"))  # written on Windows
        paths = pc.if_else(only_back, pc.replace_substring(paths, "\\", "/"), paths)
        paths = pc.replace_substring_regex(paths, r"(^|/)(?:\./)+", r"\1")
        paths = pc.replace_substring_regex(paths, r"([^/])/{2,}", r"\1/")
        refuse(r"^(?:/|\\|[A-Za-z]:)", "the path is absolute, it should be relative to data.root")
        refuse(r"(?:^|/)\.\.(?:/|$)", "the path leads out of data.root")
    encoded = paths.dictionary_encode()
    if len(encoded.dictionary) < len(paths):
        codes = encoded.indices.to_numpy()
        _, first = np.unique(codes, return_index=True)
        again = np.setdiff1d(np.arange(len(codes)), first)[0]
        raise Mistake(
            f"{file}:{number[again]}: '{paths[int(again)].as_py()}' is there already, "
            f"in line {number[first[codes[again]]]}{_more(len(codes) - len(first))}."
        )
    images = pc.match_substring_regex(paths, r"(?i)\.(?:png|jpe?g)$").to_numpy(False)
    if not images.all():
        at = int(np.flatnonzero(~images)[0])
        raise Mistake(
            f"{file}:{number[at]}: '{paths[at].as_py()}' is no {_or(EXTENSIONS)} file{_more((~images).sum())}."
        )
    return paths


def _check_present(paths: pa.Array, root: Path, file: Path, number: np.ndarray, listed: dict[Path, pa.Array]) -> None:
    """Refuse paths that are missing or links out of the root; every folder is listed once."""
    codes, folders = _sorted_codes(pc.replace_substring_regex(paths, r"/?[^/]*$", ""))
    missing = np.ones(len(paths), bool)
    for code, name in enumerate(folders):
        folder = root / name
        if folder not in listed and os.path.isdir(folder):  # noqa: PTH112 (no error for odd names)
            _refuse_link_out(folder, root)
            listed[folder] = _image_paths(folder, root, [])
        if folder in listed:
            rows = np.flatnonzero(codes == code)
            missing[rows] = ~pc.is_in(paths.take(pa.array(rows)), value_set=listed[folder]).to_numpy(False)
    if missing.any():
        at_line = int(np.flatnonzero(missing)[0])
        raise Mistake(
            f"{file}:{number[at_line]}: there is no file '{paths[at_line].as_py()}' below {root}{_more(missing.sum())}."
        )


def annotation_lines(frames: pd.DataFrame, split: str) -> str:
    """The annotation file of a split: a line ``<path> <class>`` per frame, in the table's order."""
    rows = frames[frames["split"] == split]
    return "".join(f"{path} {name}\n" for path, name in zip(rows["path"], rows["class_name"], strict=True))


def counts(found: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """Videos and frames per split and class, before and after thinning.

    Returns
    -------
    DataFrame
        `split`, `class_name`, `videos_found`, `frames_found`, `videos_kept`,
        `frames_kept`; a row for every pair of split and class that was found.
    """
    columns = {}
    for when, frames in (("found", found), ("kept", kept)):
        groups = frames.groupby(["split", "class_name"], observed=False)
        columns[f"videos_{when}"] = groups["video"].nunique()
        columns[f"frames_{when}"] = groups.size()
    table = pd.DataFrame(columns).reset_index()
    return table[table["frames_found"] > 0].reset_index(drop=True)


def _image_paths(folder: Path, root: Path, skipped: list[tuple[str, str]]) -> pa.Array:
    """Paths relative to the root of the images of a folder, links out of the root refused."""
    prefix = folder.relative_to(root).as_posix() + "/" if folder != root else ""
    names = []
    for entry in _scan(folder):  # a million of them: their names are kept, not the entries
        name = entry.name
        if not _is_image(name):
            continue
        if entry.is_symlink():
            _refuse_link_out(Path(entry.path), root)
        if entry.is_file():
            names.append(name)
        else:
            skipped.append((prefix + name, "not a plain file"))
    try:
        array = pa.array(names, pa.large_string())
    except UnicodeEncodeError:
        odd = [name for name in names if not _is_unicode(name)]
        skipped += [(ascii(prefix + name), "name is not UTF-8") for name in odd]
        array = pa.array([name for name in names if _is_unicode(name)], pa.large_string())
    return pc.binary_join_element_wise(pa.scalar(prefix, pa.large_string()), array, pa.scalar("", pa.large_string()))


def _is_unicode(name: str) -> bool:
    """Whether the name's bytes were UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_image(name: str) -> bool:
    """Whether a file name is that of a frame; hidden files (`._x.png` of macOS) are not."""
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def _folders(folder: Path, root: Path) -> list[os.DirEntry[str]]:
    """Folders within a folder in order of name, without those of archivers and notebooks."""
    found = [e for e in _scan(folder) if e.is_dir() and not e.name.startswith((".", "__"))]
    for entry in found:
        if entry.is_symlink():
            _refuse_link_out(Path(entry.path), root)
    return sorted(found, key=lambda entry: entry.name)


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder; a refusal names it."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise Mistake(f"Cannot list {folder}: {error.strerror}.") from error


def _refuse_link_out(path: Path, root: Path) -> None:
    """Refuse what really lies elsewhere than below the root."""
    target = path.resolve()
    if not target.is_relative_to(root.resolve()):
        raise Mistake(f"{path} is a link out of data.root, to {target}. Set data.root to where the frames are.")


def _check_folder(folder: Path, key: str) -> None:
    """Refuse a folder that is not there, and say how far the path goes."""
    if not folder.is_dir():
        if folder.exists():
            raise Mistake(f"{key} is not a folder: {folder}")
        there = next(parent for parent in folder.parents if parent.exists())
        raise Mistake(f"{key} is not there: {folder} (its path ends at {there}).")


def _annotation_file(file: str) -> Path:
    """Where an annotation file lies."""
    return Path(file).expanduser().absolute()


def _text(file: Path) -> str:
    """Content of an annotation file."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Mistake(f"Cannot read {file}: {error.strerror}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Mistake(f"{file}:{line}: not UTF-8 text.") from error


def _reported(skipped: list[tuple[str, str]], n_frames: int, root: Path) -> pd.DataFrame:
    """The skipped files as a table; said aloud, and too many of them refused."""
    if skipped:
        examples = ", ".join(f"'{path}' ({reason})" for path, reason in skipped[:3])
        said = f"{len(skipped)} of {n_frames + len(skipped)} images below {root} cannot be used, such as {examples}."
        if len(skipped) > MAX_SKIPPED_SHARE * (n_frames + len(skipped)):
            raise Mistake(f"{said} Frames are named <video>_<frame>.png, as in Abuse001_x264_120.png.")
        log.warning("%s", said)
    return pd.DataFrame(skipped, columns=["path", "reason"], dtype=TEXT)


def _say_missing(frames: pd.DataFrame) -> None:
    """Say which classes a split lacks: what is asked of them cannot be learned, or not be scored."""
    for split in ("train", "test"):
        present = set(frames.loc[frames["split"] == split, "class_name"].unique())
        missing = [name for name in CLASSES if name not in present]
        if missing:
            log.warning("No frame of %s in %s.", ", ".join(missing), split)


def _within(folder: Path) -> str:
    """A hint where the frames lie a folder deeper."""
    deeper = sorted(entry.name for entry in _scan(folder) if entry.is_dir())
    return f", only folders such as '{deeper[0]}'; frames should lie in the class folder itself" if deeper else ""


def _more(n: int) -> str:
    """How many other lines have the same fault."""
    return f" (and {n - 1} more such)" if n > 1 else ""


def _or(names: Iterable[str]) -> str:
    return " or ".join(names)


def _and(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
