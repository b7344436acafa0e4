"""Videos assigned to splits: by a file, or held out by a seed; all videos of a source together."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import numpy as np
import pandas as pd

from mtl.data.class_names import SPLITS
from mtl.data.frame_table import categorical
from mtl.data.split_folders import split_of
from mtl.data.splits import hold_out_videos
from mtl.data.text import read_text
from mtl.errors import UserError

log = logging.getLogger(__name__)

ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,3}$")
RIGHT = "lines `<video> <split>`, or a csv with the columns video and split"


def read_split_file(file: Path) -> list[tuple[int, str, str]]:
    """Line number, name and split of every line of a file of videos.

    A file that ends in `.csv` has a header with `video` and `split`; any other one has lines whose last word
    is the split. Blank lines, CRLF, a byte order mark and backslashes in names are taken as they come.

    Raises
    ------
    UserError
        With the line's number: no name and split, or a word that means no split.
    """
    text = read_text(file)
    rows: list[tuple[int, str, str]] = []
    if file.suffix.lower() == ".csv":
        reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
        if not {"video", "split"} <= set(reader.fieldnames or ()):
            raise UserError(f"{file}: found the columns {reader.fieldnames or []}; right would be video and split.")
        for row in reader:
            rows.append((reader.line_num, (row["video"] or "").strip(), (row["split"] or "").strip()))
    else:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                name, _, word = line.strip().replace("\t", " ").rpartition(" ")
                rows.append((number, name.strip(), word))
    if not rows:
        raise UserError(f"{file} is empty; it should hold {RIGHT}.")
    for number, name, word in rows:
        if not name or split_of(word) is None:
            what = f"'{word}' is no split" if name else f"'{word}' is no name and split"
            raise UserError(f"{file}:{number}: {what}; right would be {RIGHT}: train, val or test.")
    return [
        (number, name.replace("\\", "/").removeprefix("./").rstrip("/"), str(split_of(word)))
        for number, name, word in rows
    ]


def by_file(frames: pd.DataFrame, file: Path, bare: Mapping[str, str]) -> pd.DataFrame:
    """The table with the splits of a file.

    A line names a video; or, relative to the root, its folder or one of its images; or the video's file, with
    an ending such as .mp4.

    Parameters
    ----------
    frames : DataFrame
    file : Path
    bare : mapping of str to str
        By video its name without the class.

    Raises
    ------
    UserError
        Where names are no videos, videos are not named, a video is in two splits, or none is in train.
    """
    lines = read_split_file(file)
    places = _places(frames, bare, {name for _, name, _ in lines})
    videos = [_video(name, places) for _, name, _ in lines]
    unknown = [(name, number) for (number, name, _), video in zip(lines, videos, strict=True) if video is None]
    if unknown:
        examples = ", ".join(f"'{name}' (line {number})" for name, number in unknown[:3])
        raise UserError(f"{file}: {len(unknown)} of {len(lines)} names are no video of data.root, such as {examples}.")
    chosen: dict[str, str] = {}
    for (number, name, split), video in zip(lines, videos, strict=True):
        if chosen.setdefault(str(video), split) != split:
            raise UserError(
                f"{file}:{number}: '{name}' is in {split}, but its video '{video}' is in {chosen[str(video)]}."
            )
    lacking = [name for name in frames["video"].cat.categories if name not in chosen]
    if lacking:
        examples = ", ".join(f"'{name}'" for name in lacking[:3])
        raise UserError(
            f"{file}: {len(lacking)} of {len(lacking) + len(chosen)} videos of data.root have no line, "
            f"such as {examples}."
        )
    if "train" not in chosen.values():
        raise UserError(f"{file}: no video is in train.")
    return moved(frames, chosen)


def _places(frames: pd.DataFrame, bare: Mapping[str, str], names: Set[str]) -> dict[str, str]:
    """Video by all names it may go by, of folders and images those that are asked for; a name of two videos is none."""
    videos = [str(video) for video in frames["video"].cat.categories]
    pairs = list(zip(videos, videos, strict=True)) + [(bare[video], video) for video in videos]
    for place in (frames["path"], frames["path"].str.replace(r"/[^/]*$", "", regex=True)):
        asked = place.isin(list(names))
        pairs += zip(place[asked].astype(str), frames.loc[asked, "video"].astype(str), strict=True)
    table = pd.DataFrame(pairs, columns=["name", "video"]).drop_duplicates()
    return dict(table.drop_duplicates("name", keep=False).itertuples(index=False, name=None))


def _video(name: str, places: Mapping[str, str]) -> str | None:
    """The video that a name means, None where it means none."""
    plain = ENDING.sub("", name)
    tried = (name, plain, plain.rpartition("/")[2])
    return next((places[each] for each in tried if each in places), None)


def moved(frames: pd.DataFrame, splits: Mapping[str, str]) -> pd.DataFrame:
    """The table with these videos in these splits, in the contract's order."""
    categories = frames["video"].cat.categories
    own = frames["split"].cat.codes.to_numpy().copy()
    target = np.array([SPLITS.index(splits[name]) if name in splits else -1 for name in categories], np.int8)
    codes = target[frames["video"].cat.codes.to_numpy()]
    split = np.where(codes < 0, own, codes)
    order = np.argsort(split, kind="stable")  # rows are in order within each split
    frames = frames.take(order).reset_index(drop=True)
    frames["split"] = categorical(split[order], SPLITS)
    return frames


def held_out(
    frames: pd.DataFrame, split: str, fraction: float, seed: int, sources: Mapping[str, str], instead: str
) -> pd.DataFrame:
    """The table with a share of the training videos in a split that has none, whole sources at a time.

    Parameters
    ----------
    frames : DataFrame
    split : str
        `val` or `test`.
    fraction : float
        Share of each class's training frames. A source counts for the class it has most frames of.
    seed : int
    sources : mapping of str to str
        By video; see `hold_out_videos` for how they are chosen.
    instead : str
        What else would be right in this data set where none can be held out; empty where nothing is.

    Raises
    ------
    UserError
        Where every class has one source.
    """
    in_train = frames[frames["split"] == "train"]
    source = in_train["video"].astype(str).map(sources)
    sizes = in_train.groupby([source.rename("source"), "class_name"], observed=True).size().reset_index(name="n")
    sizes["class_name"] = sizes["class_name"].astype(str)
    total = sizes.groupby("source")["n"].sum()
    first = sizes.sort_values(["source", "n", "class_name"], ascending=[True, False, True]).drop_duplicates("source")
    n_sources = first["class_name"].value_counts()
    if n_sources.max() < 2:
        word = "source" if total.index.tolist() != sorted(in_train["video"].unique().astype(str)) else "video"
        raise UserError(
            f"No {split} video can be held out of train: of each of its {len(n_sources)} classes "
            f"({', '.join(sorted(n_sources.index))}) there is one {word}, such as '{first['source'].iloc[0]}', and "
            f"whole {word}s are held out. Right would be more of them{instead}."
        )
    names = first["source"].tolist()
    taken = hold_out_videos(names, first["class_name"].tolist(), total[names].tolist(), fraction, seed)
    chosen = {video: split for video in in_train["video"].unique().astype(str) if sources[video] in taken}
    log.info("%d of %d videos are held out of train for %s.", len(chosen), in_train["video"].nunique(), split)
    return moved(frames, chosen)


def sources_of(bare: Mapping[str, str], pattern: re.Pattern[str] | None) -> dict[str, str]:
    """Source of every video: what the pattern finds in its name without the class, else that name itself.

    Raises
    ------
    UserError
        Where the pattern fits no name.
    """
    if pattern is None:
        return dict(bare)
    found = {video: match[1] for video, name in bare.items() if (match := pattern.search(name)) and match[1]}
    if not found:
        raise UserError(
            f"data.source: '{pattern.pattern}' fits none of {len(bare)} videos, such as '{min(bare.values())}'."
        )
    if len(found) < len(bare):
        others = sorted(set(bare) - set(found))
        log.warning("data.source fits %d of %d videos; others, such as '%s', are a source each.",
                    len(found), len(bare), others[0])  # fmt: skip
    return {video: found.get(video, name) for video, name in bare.items()}


def say_shared_sources(frames: pd.DataFrame, sources: Mapping[str, str], splits: Sequence[str]) -> None:
    """Warn of sources with videos in train and in another of these splits: what was learned may be recognised."""
    videos = frames.drop_duplicates("video")
    of = {split: set(videos.loc[videos["split"] == split, "video"].astype(str).map(sources)) for split in SPLITS}
    for split in splits:
        shared = sorted(of["train"] & of[split])
        if split != "train" and shared:
            log.warning("%d of %d sources of %s have videos in train too, such as '%s'.",
                        len(shared), len(of[split]), split, shared[0])  # fmt: skip
