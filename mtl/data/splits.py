"""Which videos are held out, and which frames are kept: whole videos first, frames after.

All functions on frame tables expect the contract's order: sorted by split, class,
video and frame, each video in one split and one class.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mtl.data.class_names import SPLITS
from mtl.data.frame_table import categorical
from mtl.errors import UserError

log = logging.getLogger(__name__)

# a video with more of a split than this decides much of what the split says
LARGE_SHARE = 0.1


def hold_out_videos(
    videos: Sequence[str], classes: Sequence[str], n_frames: Sequence[int], fraction: float, seed: int
) -> frozenset[str]:
    """Names of the videos to hold out, the same share of every class's frames.

    A video's place in its class's queue is a hash of seed and name. The queue is
    walked, and a video taken where it still fits into the class's share; at the end
    the smallest of the others is taken too where that comes nearer to the share. So
    no further video would bring a class nearer, and the choice does not depend on
    the order of rows and is the same on every machine. A larger fraction does not
    always hold out the same videos and more, except among videos of one length.

    A giant, with more than a tenth of what all classes are to hold out, is not held
    out unless its class's other videos are too few frames for the share. Where no
    giant is at stake, the choice in a class does not depend on other classes.

    Parameters
    ----------
    videos : sequence of str
        Distinct names.
    classes : sequence of str
        Class of each.
    n_frames : sequence of int
        Frames of each, positive; ones where lengths are not known, then videos are counted.
    fraction : float
        Share of each class's frames, in (0, 1); at least one video is held out and
        at least one stays. A class of a single video keeps it, which is logged.
    seed : int
    """
    length = dict(zip(videos, n_frames, strict=True))
    single = []
    giant = LARGE_SHARE * fraction * sum(length.values())
    queues: dict[str, list[str]] = {}
    for video, name in zip(videos, classes, strict=True):
        queues.setdefault(name, []).append(video)
    held_out: set[str] = set()
    for name, queue in sorted(queues.items()):
        if len(queue) == 1:
            single.append(f"{name} ({queue[0]})")
            continue
        queue.sort(key=lambda video: (_place(video, seed), video))
        target = fraction * sum(length[video] for video in queue)
        usual = [video for video in queue if length[video] <= giant]
        enough = sum(length[video] for video in usual) >= target
        held_out |= _nearest(usual if enough else queue, length, target, len(queue) - 1)
    if single:
        log.warning("A single video each has %s: none of it is held out.", ", ".join(single))
    return frozenset(held_out)


def hold_out(frames: pd.DataFrame, fraction: float, seed: int, instead: str) -> pd.DataFrame:
    """The table with validation videos taken out of train; see `hold_out_videos`.

    `instead` is as of `require_videos_to_hold_out`.
    """
    in_train = frames[frames["split"] == "train"]
    n_frames = in_train["video"].value_counts()
    videos = in_train.drop_duplicates("video")
    require_videos_to_hold_out(videos["class_name"], instead)
    held_out = hold_out_videos(
        videos["video"].astype(str).tolist(),
        videos["class_name"].astype(str).tolist(),
        n_frames[videos["video"]].tolist(),
        fraction,
        seed,
    )
    is_held_out = frames["video"].cat.categories.isin(held_out)[frames["video"].cat.codes]
    split = np.where(is_held_out, np.int8(SPLITS.index("val")), frames["split"].cat.codes.to_numpy())
    order = np.argsort(split, kind="stable")  # rows were in order within each split
    frames = frames.take(order).reset_index(drop=True)
    frames["split"] = categorical(split[order], SPLITS)
    return frames


def _nearest(queue: Sequence[str], length: Mapping[str, int], target: float, at_most: int) -> set[str]:
    """One to `at_most` videos of the queue whose lengths come near to the target."""
    taken: set[str] = set()
    missing = target
    for video in queue:
        if length[video] <= missing and len(taken) < at_most:
            taken.add(video)
            missing -= length[video]
    left = [video for video in queue if video not in taken]
    if left and len(taken) < at_most:
        smallest = min(left, key=length.__getitem__)
        if not taken or length[smallest] <= 2 * missing:
            taken.add(smallest)
    return taken


def _place(video: str, seed: int) -> bytes:
    """Where a video stands in the queue."""
    return hashlib.blake2b(f"{seed}/{video}".encode(), digest_size=16).digest()


def every_nth(frames: pd.DataFrame, n: int) -> pd.DataFrame:
    """Each video's first, (n+1)-th, (2n+1)-th, ... frame, counted in order of time among those there are."""
    if n == 1:
        return frames
    starts, lengths = _videos(frames)
    rank = np.arange(len(frames)) - np.repeat(starts, lengths)
    return frames[rank % n == 0].reset_index(drop=True)


def at_most_per_video(frames: pd.DataFrame, n: int | None) -> pd.DataFrame:
    """At most `n` frames of each video: the middles of `n` equal parts of it."""
    if n is None:
        return frames
    starts, lengths = _videos(frames)
    return _take(frames, starts, lengths, np.minimum(lengths, n))


def at_most(frames: pd.DataFrame, n: int | None) -> pd.DataFrame:
    """At most `n` frames in all, with no chance in it.

    Classes get shares in proportion to their frames, videos in proportion within
    their class; each class, then each video, keeps at least one frame where `n`
    allows it; within a video the frames are spread evenly over time.
    """
    if n is None or len(frames) <= n:
        return frames
    starts, lengths = _videos(frames)
    class_of_video = frames["class_name"].cat.codes.to_numpy()[starts]
    present = np.unique(class_of_video)
    shares = quotas(np.array([lengths[class_of_video == code].sum() for code in present]), n)
    kept = np.zeros_like(lengths)
    for code, share in zip(present, shares, strict=True):
        kept[class_of_video == code] = quotas(lengths[class_of_video == code], share)
    return _take(frames, starts, lengths, kept)


def quotas(counts: np.ndarray, total: int) -> np.ndarray:
    """Shares of `total` in proportion to `counts`, at least one each where `total` suffices.

    Parameters
    ----------
    counts : ndarray of int, shape (n,)
        Positive.
    total : int
        At most the sum of `counts`, else that sum is dealt out.

    Returns
    -------
    ndarray of int, shape (n,)
        Their sum is `total` and none exceeds its count. Where `total` is below `n`,
        ones at even distances.
    """
    counts, n = np.asarray(counts, dtype=np.int64), len(counts)
    total = min(int(total), int(counts.sum()))
    if total <= n:
        dealt = np.zeros(n, dtype=np.int64)
        dealt[_middles(n, total)] = 1
        return dealt
    small = np.zeros(n, dtype=bool)  # those whose proportional share is below the one they get
    while True:
        exact = counts * ((total - small.sum()) / counts[~small].sum())
        below = ~small & (exact < 1)
        if not below.any():
            break
        small |= below
    dealt = np.where(small, 1, np.minimum(exact.astype(np.int64), counts))
    rest = total - dealt.sum()  # largest remainders; ties by order
    remainder = np.where(small | (dealt >= counts), -1.0, exact - dealt)
    dealt[np.argsort(-remainder, kind="stable")[:rest]] += 1
    return dealt


def _middles(length: int, n: int) -> np.ndarray:
    """Positions of the middles of `n` equal parts of a row of `length`, n <= length."""
    return (2 * np.arange(n) + 1) * length // (2 * n) if n else np.zeros(0, dtype=np.int64)


def _videos(frames: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Where each video starts in the table, and its number of frames."""
    codes = frames["video"].cat.codes.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    return starts, np.diff(starts, append=len(codes))


def _take(frames: pd.DataFrame, starts: np.ndarray, lengths: np.ndarray, kept: np.ndarray) -> pd.DataFrame:
    """`kept[i]` frames of the i-th video, evenly over time."""
    rows = [start + _middles(length, n) for start, length, n in zip(starts, lengths, kept, strict=True)]
    return frames.iloc[np.concatenate([np.zeros(0, dtype=np.int64), *rows])].reset_index(drop=True)


def say_large_videos(frames: pd.DataFrame) -> None:
    """Warn, once per split, where a video holds more than a tenth of its frames; the largest is named.

    A split of fewer than ten videos always has one, and then no option is advised.
    """
    starts, lengths = _videos(frames)
    for split, rows in frames.iloc[starts].assign(length=lengths).groupby("split", observed=True):
        n_frames, largest = rows["length"].sum(), rows.iloc[rows["length"].to_numpy().argmax()]
        n_large = int((rows["length"] > LARGE_SHARE * n_frames).sum())
        if n_large:
            others = f"; {n_large} videos have over {100 * LARGE_SHARE:g} % each" if n_large > 1 else ""
            advice = "; a lower data.max_frames_per_video takes less of it" if len(rows) * LARGE_SHARE >= 1 else ""
            log.warning(
                "Video %s has %.1f %% of the %d frames of %s (%d videos)%s%s.",
                largest["video"], 100 * largest["length"] / n_frames, n_frames, split, len(rows), others, advice,
            )  # fmt: skip


def require_videos_to_hold_out(classes: pd.Series, instead: str) -> None:
    """Raise `UserError` where no validation video can be held out: every class has one, which stays in train.

    Parameters
    ----------
    classes : Series of str
        Class of each training video.
    instead : str
        What else would be right in this data set, as ``, or a folder 'Val'``; empty where nothing is.
    """
    n_videos = classes.value_counts()
    n_videos = n_videos[n_videos > 0]
    if n_videos.max() < 2:
        raise UserError(
            f"No validation video can be held out of train: of each of its {len(n_videos)} classes "
            f"({', '.join(sorted(n_videos.index.astype(str)))}) there is one video, and whole videos are held out. "
            f"Right would be a second training video of a class{instead}."
        )


def require_every_split(left: pd.DataFrame, found: pd.DataFrame, bad: pd.DataFrame) -> None:
    """Raise `UserError` where a split is empty: training needs frames to train on, and to judge by.

    Thinning leaves every video a frame, or a split at least one, so frames that cannot be read are the cause.

    Parameters
    ----------
    left, found : DataFrame
        The frame table with and without the bad frames.
    bad : DataFrame
        `path` and `reason` of those.
    """
    for split in ("train", "val", "test"):
        if not (left["split"] == split).any():
            paths = found.loc[found["split"] == split, "path"]
            if paths.empty:
                raise UserError(f"Split '{split}' has no frame; the data set gives none.")
            own = bad[bad["path"].isin(set(paths))]
            examples = ", ".join(f"'{path}' ({reason})" for path, reason in own[["path", "reason"]].head(3).to_numpy())
            raise UserError(
                f"Split '{split}' has no frame left: none of its {len(paths)} can be read, such as {examples}."
            )
