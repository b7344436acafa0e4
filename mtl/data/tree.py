"""What was found below a data set's root: said, refused or thinned."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mtl.data.class_names import SPLITS
from mtl.data.frame_table import TEXT
from mtl.data.split_folders import quoted
from mtl.data.splits import at_most, at_most_per_video, every_nth
from mtl.errors import UserError
from mtl.tasks import NORMAL

log = logging.getLogger(__name__)

# above this share the names follow another rule, and skipping would be the wrong thing to do
MAX_SKIPPED_SHARE = 0.02
SAID = 5  # folders that one line names


def check_folder(folder: Path, key: str) -> None:
    """Refuse a folder that is not there, and say how far the path goes."""
    if not folder.is_dir():
        if folder.exists():
            raise UserError(f"{key} is not a folder: {folder}")
        there = next(parent for parent in folder.parents if parent.exists())
        raise UserError(f"{key} is not there: {folder} (its path ends at {there}).")


def reported(skipped: list[tuple[str, str]], n_frames: int, root: Path, right: str) -> pd.DataFrame:
    """The skipped files as a table; said aloud, and too many of them refused."""
    if skipped:
        examples = ", ".join(f"'{path}' ({reason})" for path, reason in skipped[:3])
        said = f"{len(skipped)} of {n_frames + len(skipped)} images below {root} cannot be used, such as {examples}."
        if len(skipped) > MAX_SKIPPED_SHARE * (n_frames + len(skipped)):
            raise UserError(f"{said} {right}")
        log.warning("%s", said)
    return pd.DataFrame(skipped, columns=["path", "reason"], dtype=TEXT)


def say_missing(frames: pd.DataFrame, split: str) -> None:
    """Say which classes a split lacks: what is asked of them cannot be learned, or not be scored."""
    present = set(frames.loc[frames["split"] == split, "class_name"].unique())
    missing = [name for name in frames["class_name"].cat.categories if name not in present]
    if missing:
        log.warning("No frame of %s in %s.", ", ".join(missing), split)


def say_one_sided(frames: pd.DataFrame, split: str) -> None:
    """Say that a split has no normal video or no other: where classes are sets of labels, few are ever there."""
    normal = frames.loc[frames["split"] == split, "class_name"] == NORMAL
    if normal.all() or not normal.any():
        log.warning("No frame of %s videos in %s.", "anomalous" if normal.all() else "normal", split)


def say_passed_over(folders: Sequence[str], root: Path) -> None:
    """Name folders whose images are in no split."""
    if folders:
        more = f" and {len(folders) - SAID} more" if len(folders) > SAID else ""
        log.warning(
            "Images in %s%s below %s are in no split and are passed over. Frames lie in <split>/<class>/; "
            "folders of splits are named Train, Val and Test, or training, valid, validation and testing.",
            quoted(folders[:SAID]), more, root,
        )  # fmt: skip


def thinned(
    frames: pd.DataFrame,
    every: int,
    max_frames_per_video: int | None,
    max_train_frames: int | None,
    max_test_frames: int | None,
) -> pd.DataFrame:
    """The frames that the options keep; every split by itself, so that the split does not move."""
    frames = at_most_per_video(every_nth(frames, every), max_frames_per_video)
    parts = {split: frames[frames["split"] == split].reset_index(drop=True) for split in SPLITS}
    if max_train_frames is not None and len(parts["train"]) > max_train_frames:
        rate = max_train_frames / len(parts["train"])
        parts["train"] = at_most(parts["train"], max_train_frames)
        parts["val"] = at_most(parts["val"], max(round(rate * len(parts["val"])), 1))
    parts["test"] = at_most(parts["test"], max_test_frames)
    kept = pd.concat(list(parts.values()), ignore_index=True)
    kept["video"] = kept["video"].cat.remove_unused_categories()
    return kept
