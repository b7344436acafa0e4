"""Sampling videos into the frame tree that `data=ucf_crime` reads: `python -m mtl.extract_frames VIDEOS OUT`."""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import UserError

if TYPE_CHECKING:  # imported where it is needed, so that --help answers at once
    from mtl.data.videos import SplitLists, Video

log = logging.getLogger(__name__)

FAILED = "failed_videos.txt"
ABSENT = "absent_videos.txt"
SHOWN = 20  # failed videos named on the terminal; the file has all

DESCRIPTION = """\
Sampling videos into a tree of frames that `data=ucf_crime` reads:
OUT/Train/<Class>/<video>_<frame number>.png and OUT/Test/...

VIDEOS holds <Class>/<video>.mp4 (or .avi, ...) at any depth: the official release
of UCF-Crime as it was unpacked, or videos of your own in folders with its class names.

A video's split is told by the lists, else by its folders (Train, Val, Test,
Training-Normal-Videos-Part-1, ...), else a share of each class goes to Test.
Anomaly_Train.txt and Anomaly_Test.txt in VIDEOS itself are used without being asked for.

The same command again goes on where it was stopped, and redoes what failed."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    built = argparse.ArgumentParser(
        prog="python -m mtl.extract_frames",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    built.add_argument("videos", metavar="VIDEOS", type=Path, help="folder of the videos")
    built.add_argument("out", metavar="OUT", type=Path, help="folder of the frames; made where it is missing")
    built.add_argument("--step", type=_at_least_one, default=10, metavar="N", help="every N-th frame (default: 10)")
    built.add_argument(
        "--size", type=_size, default=(64, 64), metavar="N|WxH", help="pixels of a frame, 64 or 320x240 (default: 64)"
    )
    built.add_argument("--train-list", type=Path, metavar="FILE", help="training videos, as in Anomaly_Train.txt")
    built.add_argument("--test-list", type=Path, metavar="FILE", help="test videos, as in Anomaly_Test.txt")
    built.add_argument(
        "--test-fraction", type=_share, default=0.2, metavar="SHARE",
        help="of each class's videos whose split nothing tells (default: 0.2)",
    )  # fmt: skip
    built.add_argument("--seed", type=int, default=0, metavar="N", help="of that choice (default: 0)")
    built.add_argument(
        "--workers", type=_at_least_one, default=None, metavar="N", help="processes (default: one per core)"
    )
    return built


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{text} is not in [0, 1)")
    return share


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9][0-9]{0,3})(?:x([1-9][0-9]{0,3}))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number of pixels nor <width>x<height>")
    return int(match[1]), int(match[2] or match[1])


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 if every video was cut, 1 if one was not or the command was wrong, 130 after Ctrl-C.
    """
    given = parser().parse_args(arguments)
    from mtl.terminal import exit_status  # not at the top: what decodes imports this module too, and shows nothing

    return exit_status(lambda: _extract_all(given), logging.INFO, "The same command goes on from here.")


def _extract_all(given: argparse.Namespace) -> int:
    """Plan, extract, report."""
    from mtl.data import video_frames
    from mtl.data.decoding import n_cores
    from mtl.data.extraction import earlier_splits, jobs_left, only_one, refuse_moved
    from mtl.data.making import EXTRACTION
    from mtl.data.video_frames import Sampling, decoding, resizing
    from mtl.data.video_workers import Work, run_jobs
    from mtl.data.videos import find_videos, lists_for, one_of_each, split_videos
    from mtl.files import publish

    root, out = given.videos.expanduser().absolute(), given.out.expanduser().absolute()
    lists = lists_for(root, given.train_list, given.test_list)
    videos = one_of_each(find_videos(root, without=out), lists)
    cut = Sampling(given.step, *given.size)
    with only_one(out):
        earlier = earlier_splits(out, cut)
        split_of = split_videos(videos, lists, earlier, given.test_fraction, given.seed)
        refuse_moved(videos, split_of, earlier, out)
        plan = {"cut": vars(cut), **resizing(), **decoding(), "split_of": earlier | split_of}
        _say_splits(videos, split_of, lists, given.test_fraction)
        publish(out / EXTRACTION, json.dumps(plan).encode())
        jobs = jobs_left(videos, split_of, out)
        n_done = len(split_of) - len(jobs)
        work = Work("extracting", video_frames.serve, cut, given.workers or n_cores(), out, "The same command")
        n_written, bad = run_jobs(jobs, work)
        failed = sorted((str(video.relative_to(root)), reason) for video, reason in bad)
        log.info(
            "%d videos cut into %d frames below %s; %d were done before, %d failed.",
            len(jobs) - len(bad), n_written, out, n_done, len(failed),
        )  # fmt: skip
        _say_failed(failed, out)
        _say_absent(videos, lists, out)
    return 1 if failed else 0


def _say_splits(videos: list[Video], split_of: dict[str, str], lists: SplitLists, test_fraction: float) -> None:
    """One line on where the videos go, one on those that chance sent there, one on those left out."""
    n_in = {split: list(split_of.values()).count(split) for split in ("train", "val", "test")}
    parts = [f"{n} to {split.title()}" for split, n in n_in.items() if n or split != "val"]
    log.info("%d videos: %s.", len(split_of), ", ".join(parts))
    untold = [video for video in videos if video.folder_split is None]
    if not lists.split_of and untold:
        log.warning(
            "Nothing tells the split of %d videos: %.0f %% of each class's go to Test. For the official split "
            "give --train-list and --test-list.", len(untold), 100 * test_fraction,
        )  # fmt: skip
    left_out = [str(video.file) for video in videos if video.name not in split_of]
    if left_out and not split_of:
        raise UserError(f"None of the {len(left_out)} videos is on either list, not even {left_out[0]}.")
    if left_out:
        log.warning("%d videos are on neither list and left out, such as %s.", len(left_out), left_out[0])


def _say_absent(videos: list[Video], lists: SplitLists, out: Path) -> None:
    """One line on the videos of the lists that were not found: who has a part of them did nothing wrong."""
    from mtl.data.text import write_lines

    names = {video.name for video in videos}
    absent = [entry for name, entry in lists.entry_of.items() if name not in names]
    write_lines(out / ABSENT, absent)
    if absent:
        log.info(
            "%d of the %d listed videos are not below VIDEOS and left out; %s names them.",
            len(absent), len(lists.entry_of), out / ABSENT,
        )  # fmt: skip


def _say_failed(failed: list[tuple[str, str]], out: Path) -> None:
    """List the failures on the terminal and in a file."""
    from mtl.data.text import write_lines

    write_lines(out / FAILED, [f"{video}\t{reason}" for video, reason in failed])
    for video, reason in failed[:SHOWN]:
        log.warning("%s: %s", video, reason)
    if len(failed) > SHOWN:
        log.warning("and %d more", len(failed) - SHOWN)
    if failed:
        log.error(
            "%d videos failed; all are listed in %s. The same command tries them again.", len(failed), out / FAILED
        )


if __name__ == "__main__":
    sys.exit(main())
