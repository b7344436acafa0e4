"""Features that others have computed, in .npy files by video: the frame table out, a row per feature row."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from mtl.data.annotated_data import AnnotatedData
from mtl.data.assigned import held_out, say_shared_sources, sources_of
from mtl.data.class_names import SPLITS
from mtl.data.events import Events
from mtl.data.feature_found import as_text, listed_files
from mtl.data.feature_layout import (
    Crops,
    CropWord,
    layout_of,
    read_lengths,
    row_frames,
    say_lengths,
    taken_crops,
    video_rows,
)
from mtl.data.feature_names import feature_lists
from mtl.data.feature_rows import AXES, FeatureRows, VideoRows
from mtl.data.feature_scan import common, digests, parted, read_header
from mtl.data.frame_table import TEXT, categorical, counts
from mtl.data.split_lists import LISTS, Listed, require_lists, split_lists
from mtl.data.splits import hold_out, say_large_videos
from mtl.data.tree import check_folder, say_missing, say_one_sided, thinned
from mtl.data.ucf_crime import Fraction
from mtl.data.video_classes import BY_NAME
from mtl.errors import UserError

log = logging.getLogger(__name__)

Layout = Literal["auto", "n_d", "n_c_d", "c_n_d"]
Names = Literal["ucf_crime", "xd_violence", "shanghaitech"]
T = TypeVar("T")


class FeatureFiles(AnnotatedData):
    """Data sets as they are exchanged: feature vectors in files, with the names of the official videos.

    Parameters
    ----------
    root : str
        Folder with the files, at any depth; folders tell nothing but which of two copies of a video counts.
    names : str
        The data set whose names the videos have: they tell the class, and the source that is held out as a whole.
    labels : mapping of str to str or None
        By task a csv file of its labels by row (`path,label`, or `video,frame,label` with the row's first frame),
        see `mtl.data.labels.read_labels`; else the class tells.
    events : str or None
        Annotation of the test videos' events, see `mtl.data.events.read_events`; None: not known.
    fps : float
        Frames of the original videos in a second; of delays and alarms.
    source : str or None
        Who computed them, with what. Part of the fingerprint.
    layout : str, or mapping of `train` and `test` to str
        Axes of the files: rows, crops, features. `auto` takes the one that fits every file.
    interleaved_crops : int
        How many rows of a file, one after the other, are the crops of one position: a file (n * c, d) is read
        as (n, c, d).
    frames_per_row : int or None, or mapping of `train` and `test` to such
        None: the rows are stretched over the video.
    crops : "all", "mean" or list of int, or mapping of `train` and `test` to such
        Several become rows of their own: each counts 1/c, as every video has the same number; a prediction
        is the mean of their probabilities. `mean` is the mean of the features.
    lists : mapping of str to str or None
        For `train` and `test` a file as the official Anomaly_Train.txt. With neither, the official ones where
        they lie in `root`. Validation videos, held out of train, are read as `train` is.
    lengths : str or None
        A csv of ``video,n_frames``.
    val_fraction : float
        Share of each class's training rows that is held out, as near as whole videos come.
    split_seed : int
        Of the hold-out.
    max_frames_per_video, max_train_frames, max_test_frames : int, optional
        As in `mtl.data.ucf_crime.UCFCrime`, of rows; all crops of one row count as one.
    digests_dir : str
        Where it is remembered which files have been looked at.

    Attributes
    ----------
    kept : DataFrame
        After `frames`: per split and class the videos and rows found and kept.
    skipped : DataFrame
        After `frames`: `path` and `reason` of every file that was left out.
    """

    name = "feature_files"
    root: Path | None = None  # no frames lie there

    def __init__(
        self,
        root: str,
        names: Names,
        labels: Mapping[str, str | None],
        events: str | None,
        fps: PositiveFloat,
        source: str | None,
        layout: Layout | Mapping[Listed, Layout],
        interleaved_crops: PositiveInt,
        frames_per_row: PositiveInt | Mapping[Listed, PositiveInt | None] | None,
        crops: CropWord | list[NonNegativeInt] | Mapping[Listed, CropWord | list[NonNegativeInt]],
        lists: Mapping[str, str | None],
        lengths: str | None,
        val_fraction: Fraction,
        split_seed: int,
        max_frames_per_video: PositiveInt | None,
        max_train_frames: PositiveInt | None,
        max_test_frames: PositiveInt | None,
        digests_dir: str,
    ) -> None:
        super().__init__(labels, events, fps)
        self.folder = _place(root)
        self.names = BY_NAME[names]
        self.classes = self.names.classes
        self.source = source
        self.layout: Mapping[str, Layout] = _by_split("layout", layout)
        self.interleaved_crops = interleaved_crops
        self.frames_per_row: Mapping[str, int | None] = _by_split("frames_per_row", frames_per_row)
        chosen: Mapping[str, Crops] = _by_split("crops", crops)
        self.crops = {split: _plain(each) for split, each in chosen.items()}
        self.lists = split_lists(lists)
        self.lengths = None if lengths is None else _place(lengths)
        self.val_fraction, self.split_seed = val_fraction, split_seed
        self._limits = (max_frames_per_video, max_train_frames, max_test_frames)
        self._digests_dir = _place(digests_dir)
        self._rows: FeatureRows | None = None
        self.kept = pd.DataFrame()
        self.skipped = pd.DataFrame()

    def check(self) -> None:
        """Raise `UserError` where root, lists or lengths are not there; no feature file is opened."""
        check_folder(self.folder, "data.root")
        self.temporal_truth()
        require_lists(self.lists)
        if self.lengths is not None and not self.lengths.is_file():
            raise UserError(f"data.lengths: there is no file {self.lengths}.")

    def temporal_truth(self) -> Events | None:
        """The annotated events; None where there is no file."""
        events = super().temporal_truth()
        return events and dataclasses.replace(events, normal_have_none=self.names.normal_have_no_events)

    def features(self) -> FeatureRows:
        """The feature vectors, in the order of `frames`; read when they are asked for."""
        if self._rows is None:
            self.frames()
        assert self._rows is not None
        return self._rows

    def frames(self) -> pd.DataFrame:
        """The frame table, split and thinned: a row per feature row and crop.

        Returns
        -------
        DataFrame
            `path` (``<file>#<row>``, with ``.<crop>`` where a file has several that are rows), `class_name`,
            `video`, `frame` (the row's first), `split`, `n_frames` (how many frames the row stands for),
            `content` (digest of the video's files), and where several crops are rows `crop`; sorted by split,
            class, video, frame, crop.

        Raises
        ------
        UserError
            If files, layout, crops or lists are not as they should be, or a split would have no row.
        """
        self.check()
        lists = feature_lists(self.folder, self.lists, self.names)
        files, self.skipped = listed_files(self.folder, lists, self.names)
        split_of = {video: lists.split_of.get(video) or str(lists.rest) for video in files}
        videos = self._videos(files, split_of)
        content = self._content(videos, split_of)
        found = self._table(videos, split_of)
        for split in LISTS:
            (say_missing if self.names.source is None else say_one_sided)(found, split)
        found = self._hold_out(found)
        kept = thinned(found, 1, *self._limits)
        self.kept = counts(found, kept)
        say_large_videos(kept)
        log.info(
            "%s: %d rows of %d videos found below %s, %d rows of %d videos kept; %s.", self.name, len(found),
            len(videos), self.folder, len(kept), len(kept["video"].cat.categories),
            self._said_of_crops(videos, split_of),
        )  # fmt: skip
        return self._with_crops(kept, videos, split_of, content)

    def _hold_out(self, frames: pd.DataFrame) -> pd.DataFrame:
        """The table with validation videos taken out of train, whole sources where names tell them."""
        if self.names.source is None:
            return hold_out(frames, self.val_fraction, self.split_seed, "")
        pattern = re.compile(self.names.source)
        sources = sources_of({name: name for name in frames["video"].cat.categories}, pattern)
        say_shared_sources(frames, sources, ["test"])
        return held_out(frames, "val", self.val_fraction, self.split_seed, sources, "")

    def _videos(self, files: Mapping[str, Mapping[int, Path]], split_of: Mapping[str, str]) -> list[VideoRows]:
        """The videos with their arrays, in the order of split, class and name."""
        for split in LISTS:
            if split not in split_of.values():
                raise UserError(f"Split '{split}' has no feature file below {self.folder}; its list names others.")
        by_split = {split: {video: own for video, own in files.items() if split_of[video] == split} for split in LISTS}
        headers = {
            split: {
                video: {
                    crop: parted(read_header(own[crop]), self.interleaved_crops)
                    for crop in _asked(own, self.crops[split])
                }
                for video, own in videos.items()
            }
            for split, videos in by_split.items()
        }
        flat = {split: [file for own in videos.values() for file in own.values()] for split, videos in headers.items()}
        same = self.layout["train"] == self.layout["test"]
        layouts = dict.fromkeys(LISTS, layout_of(flat["train"] + flat["test"], self.layout["train"])) if same else {
            split: layout_of(flat[split], self.layout[split]) for split in LISTS
        }  # fmt: skip
        rows = [one for split in LISTS for one in video_rows(headers[split], layouts[split], self.crops[split])]
        self._n_features = common(
            {file.path: file.shape[-1] for one in rows for file in one.files}, "the length of a feature vector"
        )
        for split in LISTS:
            own = [one for one in rows if split_of[one.video] == split]
            if layouts[split] != "n_d":
                axis = AXES[layouts[split]].index("c")
                common({file.path: file.shape[axis] for one in own for file in one.files}, "the number of crops")
        return sorted(rows, key=lambda one: (SPLITS.index(split_of[one.video]), self._class_code(one.video), one.video))

    def _content(self, videos: Sequence[VideoRows], split_of: Mapping[str, str]) -> dict[str, str]:
        """Digest of each video's files; equal ones on both sides of the split are said."""
        found = digests([file for one in videos for file in one.files], self.folder, self._digests_dir)
        content = {}
        for one in videos:
            hashed = hashlib.blake2b(digest_size=16)
            for file in one.files:
                hashed.update(found[file.path].encode())
            content[one.video] = hashed.hexdigest()
        train = {content[video]: video for video, split in split_of.items() if split == "train"}
        leaks = [(train[content[v]], v) for v, split in split_of.items() if split == "test" and content[v] in train]
        if leaks:
            log.warning(
                "%d test videos have the very features of a training video under another name, such as %s and %s.",
                len(leaks), *leaks[0],
            )  # fmt: skip
        return content

    def _table(self, videos: Sequence[VideoRows], split_of: Mapping[str, str]) -> pd.DataFrame:
        """The frame table before crops, with the row of each; without paths."""
        lengths = {} if self.lengths is None else read_lengths(self.lengths)
        per_row = {one.video: self.frames_per_row[split_of[one.video]] for one in videos}
        if self.lengths is not None:
            say_lengths(videos, per_row, lengths)
        stretched = [one.video for one in videos if per_row[one.video] is None and split_of[one.video] == "test"]
        if stretched:
            lacking = [video for video in stretched if video not in lengths]
            what = (
                f", and of {len(lacking)} the frames are not known: temporal scores of those mean nothing without "
                "data.lengths=FILE" if lacking else ""
            )  # fmt: skip
            log.warning(
                "Rows of %d test videos are stretched over the video: temporal scores are off by up to .005%s.",
                len(stretched), what,
            )  # fmt: skip
        stretches = [row_frames(one.n_rows, per_row[one.video], lengths.get(one.video)) for one in videos]
        n_rows = [len(stretch.rows) for stretch in stretches]
        names = sorted(one.video for one in videos)
        code = {video: i for i, video in enumerate(names)}

        def column(values: Sequence[int], dtype: type) -> np.ndarray:
            return np.repeat(np.array(values, dtype), n_rows)

        return pd.DataFrame(
            {
                "class_name": categorical(
                    column([self._class_code(one.video) for one in videos], np.int8), self.classes
                ),
                "video": categorical(column([code[one.video] for one in videos], np.int32), names),
                "frame": np.concatenate([stretch.first for stretch in stretches]).astype(np.int32),
                "split": categorical(column([SPLITS.index(split_of[one.video]) for one in videos], np.int8), SPLITS),
                "n_frames": np.concatenate([stretch.n_frames for stretch in stretches]).astype(np.int32),
                "row": np.concatenate([stretch.rows for stretch in stretches]).astype(np.int32),
            }
        )

    def _class_code(self, video: str) -> int:
        return self.classes.index(str(self.names.class_of(video)))

    def _with_crops(
        self, kept: pd.DataFrame, videos: Sequence[VideoRows], split_of: Mapping[str, str], content: Mapping[str, str]
    ) -> pd.DataFrame:
        """The table with a row per crop and with paths; the feature vectors are kept in its order."""
        names = kept["video"].cat.categories
        by_name = {one.video: one for one in videos}
        own = [by_name[video] for video in names]
        taken = {
            split: taken_crops([one for one in videos if split_of[one.video] == split], self.crops[split])
            for split in LISTS
        }
        crops_of = [taken["test" if split == "test" else "train"] for split in SPLITS]
        split = kept["split"].cat.codes.to_numpy()
        n_crops = np.array([len(crops) for crops in crops_of])[split]
        table = kept.take(np.repeat(np.arange(len(kept)), n_crops)).reset_index(drop=True)
        crop = np.concatenate([np.tile(np.array(crops_of[code], np.int8), (split == code).sum()) for code in range(3)])
        row, video = table.pop("row").to_numpy(), table["video"].cat.codes.to_numpy()
        table.insert(0, "path", pd.Series(pd.array(self._paths(own, video, row, crop), dtype=TEXT)))
        table["content"] = pd.Categorical.from_codes(video, dtype=pd.CategoricalDtype(_distinct(names, content)))
        if n_crops.max() > 1:
            table["crop"] = crop
        self._rows = FeatureRows(own, video, row, crop, self._n_features)
        return table

    def _paths(self, videos: Sequence[VideoRows], video: np.ndarray, row: np.ndarray, crop: np.ndarray) -> pa.Array:
        """What names each feature vector."""
        chunks = []
        starts = np.flatnonzero(np.diff(video, prepend=-1))
        for rows in np.split(np.arange(len(video)), starts[1:]):
            one = videos[video[rows[0]]]
            files = [as_text(file.path.relative_to(self.folder)) for file in one.files]
            name = dict(zip(one.crops, files, strict=True)) if len(files) > 1 else {}
            is_axis = len(files) == 1 and crop[rows].min() != crop[rows].max()
            ends = [f"{at}.{c}" if is_axis else f"{at}" for at, c in zip(row[rows], crop[rows], strict=True)]
            chunks.append(
                pa.array(
                    [f"{name.get(c, files[0])}#{end}" for c, end in zip(crop[rows].tolist(), ends, strict=True)],
                    pa.large_string(),
                )
            )
        return pa.concat_arrays(chunks)

    def _said_of_crops(self, videos: Sequence[VideoRows], split_of: Mapping[str, str]) -> str:
        """How many crops there are and what becomes of them, in words."""
        said = []
        for split in LISTS:
            own = next(one for one in videos if split_of[one.video] == split)
            crops, n = self.crops[split], len(own.crops)
            what = "a single crop" if n == 1 else "mean of {} crops" if crops == "mean" else "{} crops, each a row"
            n_taken = len(set(crops)) if isinstance(crops, list) else n
            is_one = n_taken == 1 and isinstance(crops, list)
            said.append(f"{split}: " + (f"crop {crops[0]}" if is_one else what.format(n_taken)))
        return "; ".join(said)


def _by_split(key: str, value: T | Mapping[Listed, T]) -> dict[str, T]:
    """A setting by split, given for both at once or each."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(LISTS, value)
    if set(value) != set(LISTS):
        raise UserError(f"data.{key}: should be one for all, or one for each of train and test; found {dict(value)}.")
    return {split: value[split] for split in LISTS}


def _plain(crops: Crops) -> Crops:
    """Words as they are, numbers as a list of its own: the config's is of another kind."""
    if isinstance(crops, str):
        return crops
    if not len(crops):
        raise UserError("data.crops: names no crop; right would be all, mean or a list such as [5].")
    return sorted({int(crop) for crop in crops})


def _asked(own: Mapping[int, Path], crops: Crops) -> list[int]:
    """The crops whose files are to be read: of files by crop those alone that were asked for."""
    return [crop for crop in own if len(own) == 1 or not isinstance(crops, list) or crop in crops]


def _distinct(names: Iterable[str], content: Mapping[str, str]) -> list[str]:
    """Categories must differ, and two videos may have the same features."""
    return [f"{content[video]} {video}" for video in names]


def _place(file: str) -> Path:
    return Path(file).expanduser().absolute()
