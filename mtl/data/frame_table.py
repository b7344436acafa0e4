"""Paths in, the frame table out: one row per frame, with its video, class and split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mtl.data.class_names import SPLITS
from mtl.errors import UserError

pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what it once had: 280 MB for a million names


# <video>_<frame>.<extension> at the end of a path
FRAME_NAME = r"^(?:[^\r\n]*/)?(?P<video>[^/\r\n]+)_(?P<frame>[0-9]{1,9})\.(?i:png|jpe?g)$"
NO_VIDEO = pa.array(
    ["Normal_Videos"], pa.large_string()
)  # `Normal_Videos_003.png` is the picture of a video, not frame 3 of one
TEXT = pd.StringDtype("pyarrow")


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


@dataclass(frozen=True)
class FrameNames:
    """Which video, and which of its frames, the path of a frame tells.

    Attributes
    ----------
    read : callable
        From an array of paths a struct of `video`, text, and `frame`, digits or integers: one per path,
        null where its name tells neither.
    right : str
        What a path should tell, as the reason to skip one that does not.
    """

    read: Callable[[pa.Array], pa.Array]
    right: str


def _by_name(paths: pa.Array) -> pa.Array:
    """Video and frame of `<video>_<frame>.<extension>`."""
    parts = pc.extract_regex(paths, FRAME_NAME)
    readable = pc.and_(pc.is_valid(parts), pc.invert(pc.is_in(pc.struct_field(parts, "video"), NO_VIDEO)))
    return pc.if_else(readable, parts, pa.scalar(None, parts.type))


BY_NAME = FrameNames(_by_name, "<video>_<frame>")


def frame_table(
    listings: Iterable[Listing], skipped: list[tuple[str, str]], classes: Sequence[str], names: FrameNames = BY_NAME
) -> pd.DataFrame:
    """The frame table of these listings; what cannot be read from a name is appended to `skipped`.

    Parameters
    ----------
    listings : iterable of Listing
    skipped : list of (path, reason)
    classes : sequence of str
        Canonical, in the order of the table's categories.
    names : FrameNames

    Raises
    ------
    UserError
        If a video is in two splits or two classes, or a frame is there twice.
    """
    return sorted_table(pa.concat_tables(_rows(listing, skipped, classes, names) for listing in listings), classes)


def sorted_table(rows: pa.Table, classes: Sequence[str]) -> pd.DataFrame:
    """The frame table of rows in any order.

    Parameters
    ----------
    rows : pyarrow.Table
        `path` and `video` as large strings, `frame` as int32, the codes of `split` and `class_name`.
    classes : sequence of str
        Names of the classes, to which the codes of `class_name` point.

    Raises
    ------
    UserError
        If a video is in two splits or two classes, or a frame is there twice.
    """
    split, class_name, frame = (rows[column].to_numpy() for column in ("split", "class_name", "frame"))
    video, videos = sorted_codes(rows["video"].combine_chunks())
    _check_videos(video, videos, split, class_name, classes)
    order = np.lexsort((frame, video, class_name, split))
    path, video, frame = rows["path"].combine_chunks().take(pa.array(order)), video[order], frame[order]
    del rows
    _check_frames(path, video, frame)
    table = pa.table({"path": path}).to_pandas(types_mapper={path.type: TEXT}.get)
    table["class_name"] = categorical(class_name[order], classes)
    table["video"] = categorical(video, videos)
    table["frame"] = frame
    table["split"] = categorical(split[order], SPLITS)
    return table


def _rows(listing: Listing, skipped: list[tuple[str, str]], classes: Sequence[str], names: FrameNames) -> pa.Table:
    """Path, video, frame and the codes of split and class, of the names that can be read."""
    parts = names.read(listing.paths)
    readable = pc.is_valid(parts)
    skipped += [(path, f"no {names.right}") for path in listing.paths.filter(pc.invert(readable)).to_pylist()]
    parts = parts.filter(readable)
    return pa.table(
        {
            "path": listing.paths.filter(readable).cast(pa.large_string()),
            "video": pc.struct_field(parts, "video").cast(pa.large_string()),
            "frame": pc.struct_field(parts, "frame").cast(pa.int32()),
            **codes(len(parts), listing.split, listing.class_name, classes),
        }
    )


def codes(n: int, split: str, class_name: str, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """The columns `split` and `class_name` of n rows, as `sorted_table` takes them."""
    small = np.int8 if len(classes) < 128 else np.int16
    return {
        "split": np.full(n, SPLITS.index(split), np.int8),
        "class_name": np.full(n, classes.index(class_name), small),
    }


def categorical(codes: np.ndarray, names: Sequence[str]) -> pd.Categorical[Any]:
    """Codes and names as one column."""
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(names)))


def sorted_codes(values: pa.Array) -> tuple[np.ndarray, list[str]]:
    """Codes of the values, and the distinct values, sorted by code point whatever the locale."""
    encoded = values.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    rank = np.empty(len(names), np.int32)
    order = sorted(range(len(names)), key=names.__getitem__)
    rank[order] = np.arange(len(names), dtype=np.int32)
    return rank[encoded.indices.to_numpy()], [names[i] for i in order]


def _check_videos(
    video: np.ndarray, names: list[str], split: np.ndarray, class_name: np.ndarray, classes: Sequence[str]
) -> None:
    """Refuse a video that is in two splits or in two classes."""
    n = len(SPLITS) * len(classes)
    # (video, split, class) as one number
    homes = np.unique(video.astype(np.int64) * n + split.astype(np.int64) * len(classes) + class_name)
    twice = np.flatnonzero(np.diff(homes // n) == 0)
    if len(twice) == 0:
        return
    first, second = homes[twice[0]], homes[twice[0] + 1]
    where = [f"{SPLITS[home % n // len(classes)]}/{classes[home % len(classes)]}" for home in (first, second)]
    raise UserError(
        f"Video '{names[first // n]}' is in {where[0]} and in {where[1]}; "
        f"a video belongs to one split and one class ({len(twice)} such)."
    )


def _check_frames(path: pa.Array, video: np.ndarray, frame: np.ndarray) -> None:
    """Refuse a frame that is there twice; the arrays are sorted."""
    twice = np.flatnonzero((np.diff(frame) == 0) & (np.diff(video) == 0))
    if len(twice):
        first, second = path[twice[0]].as_py(), path[twice[0] + 1].as_py()
        raise UserError(f"The same frame is there twice: '{first}' and '{second}' ({len(twice)} such). Keep one.")


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
