"""What a video is in folders of images: a folder, what a file's name says, or each file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mtl.data.frame_table import BY_NAME, FrameNames, Listing
from mtl.data.tree import MAX_SKIPPED_SHARE
from mtl.errors import UserError

# what an image's place says a video is, and how that is told
RULES = {
    "folder": "in a folder of their own",
    "name": "named <video>_<frame>",
    "file": "without folder and without <video>_<frame>",
}
NUMBER = r"(?P<number>[0-9]+)[^0-9/]*\.[^./]*$"  # the last one of a file's name
MOST_DIGITS = 9  # as many as a frame's number may have


def frame_names(rule: str, depth: int, with_class: bool) -> FrameNames:
    """How paths are read by a rule.

    Parameters
    ----------
    rule : str
        One of `RULES`.
    depth : int
        Parts of a path before what lies below the class folder.
    with_class : bool
        Whether a video's name begins with its class; what `<video>_<frame>` says never does.
    """
    if rule == "name":
        return BY_NAME
    if rule == "folder":
        return FrameNames(lambda paths: _by_folder(paths, depth, with_class), "folder of a video")
    return FrameNames(lambda paths: _by_file(paths, depth - with_class), "image")


def _below(paths: pa.Array, depth: int) -> pa.Array:
    """Paths without their first parts."""
    return pc.replace_substring_regex(paths, rf"^(?:[^/]*/){{{depth}}}", "")


def _by_file(paths: pa.Array, depth: int) -> pa.Array:
    """Every image a video, called after it, of a frame 0."""
    videos = pc.replace_substring_regex(_below(paths, depth), r"\.[^./]*$", "")
    return pa.StructArray.from_arrays([videos, pa.array(np.zeros(len(paths), np.int32))], ["video", "frame"])


def _by_folder(paths: pa.Array, depth: int, with_class: bool) -> pa.Array:
    """Every folder below the class's a video, called after it.

    A frame's number is the last one in its name; in a folder where a name has none, one of too many
    digits, or two have the same, it is the place in the order of names.
    """
    below = _below(paths, depth - with_class)
    folders = pc.replace_substring_regex(below, r"/?[^/]*$", "").dictionary_encode()
    codes = folders.indices.to_numpy()
    digits = pc.struct_field(pc.extract_regex(paths, NUMBER), "number")
    usable = pc.fill_null(pc.less_equal(pc.utf8_length(digits), MOST_DIGITS), False)
    numbers = (
        pc.fill_null(pc.if_else(usable, digits, pa.scalar(None, digits.type)).cast(pa.int64()), -1).to_numpy().copy()
    )
    wrong = np.zeros(len(folders.dictionary), bool)
    wrong[codes[numbers < 0]] = True
    order = np.lexsort((numbers, codes))
    twice = (np.diff(numbers[order]) == 0) & (np.diff(codes[order]) == 0)
    wrong[codes[order[1:][twice]]] = True
    rank = np.empty(len(paths), np.int64)
    rank[pc.array_sort_indices(paths).to_numpy()] = np.arange(len(paths))
    order = np.lexsort((rank, codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    place = np.arange(len(paths)) - np.repeat(starts, np.diff(starts, append=len(paths)))
    by_place = wrong[codes[order]]
    numbers[order[by_place]] = place[by_place]
    # in the class's folder itself there is no folder that could be the video
    own = pc.invert(pc.match_substring(_below(paths, depth), "/"))
    return pa.StructArray.from_arrays(
        [folders.cast(paths.type), pa.array(numbers.astype(np.int32))], ["video", "frame"], mask=own
    )


@dataclass(frozen=True)
class Found:
    """How many images of a class folder lie as each rule says."""

    place: str
    counts: Mapping[str, int]

    @property
    def rule(self) -> str:
        """The rule of most."""
        return max(self.counts, key=self.counts.__getitem__)

    def __str__(self) -> str:
        """The counts in words."""
        said = [f"{n} images {RULES[rule]} ({rule})" for rule, n in self.counts.items() if n]
        return f"'{self.place}' holds {' and '.join(said)}"


def found_in(listing: Listing, place: str, depth: int) -> Found:
    """What the images of a class folder seem to be.

    Images in folders count as `name` where a folder has those of several videos by their names.
    """
    deep = pc.match_substring(_below(listing.paths, depth), "/").to_numpy(False)
    named = pc.is_valid(BY_NAME.read(listing.paths)).to_numpy(False)
    n_deep, n_named = int(deep.sum()), int((named & ~deep).sum())
    in_folders = "name" if _is_mixed(listing.paths.filter(pa.array(deep & named))) else "folder"
    counts = dict.fromkeys(RULES, 0) | {"name": n_named, "file": int((~deep & ~named).sum())}
    counts[in_folders] += n_deep
    return Found(place, counts)


def _is_mixed(paths: pa.Array) -> bool:
    """Whether a folder has frames of several videos, as their names tell."""
    folders = pc.replace_substring_regex(paths, r"/[^/]*$", "")
    videos = pc.struct_field(BY_NAME.read(paths), "video")
    n_pairs = len(pc.unique(pc.binary_join_element_wise(folders, videos, pa.scalar("/", folders.type))))
    return n_pairs > len(pc.unique(folders))


def one_rule(found: Sequence[Found]) -> str:
    """The rule that all class folders agree on, but for a few images.

    Raises
    ------
    UserError
        Where they do not: what was found where.
    """
    rules = sorted({each.rule for each in found})
    n_images = sum(sum(each.counts.values()) for each in found)
    n_others = n_images - sum(each.counts[rules[0]] for each in found)
    if len(rules) == 1 and n_others <= MAX_SKIPPED_SHARE * n_images:  # a few are skipped, and said
        return rules[0]
    mixed = [each for each in found if sum(map(bool, each.counts.values())) > 1]
    examples = [next(each for each in found if each.rule == rule) for rule in rules] if len(rules) > 1 else mixed[:2]
    raise UserError(
        f"data.video: what a video is cannot be told: {', '.join(map(str, examples))}. "
        "Right would be the same everywhere, or data.video=folder, name or file."
    )


def checked_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """The pattern of a source, with its one group."""
    if pattern is None:
        return None
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise UserError(f"data.source: '{pattern}' is no regular expression: {error}.") from None
    if found.groups != 1:
        raise UserError(f"data.source: '{pattern}' has {found.groups} groups; right would be one, as in '^(.*?)__'.")
    return found
