"""Sampling videos into the frame tree that `data=ucf_crime` reads: `python -m mtl.extract_frames VIDEOS OUT`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mtl.errors import UserError

if TYPE_CHECKING:  # imported where it is needed, so that --help answers at once
    from multiprocessing.context import SpawnProcess

    from mtl.data.video_frames import Progress, Sampling, VideoJob
    from mtl.data.videos import SplitLists, Video

log = logging.getLogger(__name__)

STATE = ".extraction"  # folder within OUT: what was asked for, what is done, what is unfinished
FAILED = "failed_videos.txt"
OFFICIAL_LISTS = {"train": "Anomaly_Train.txt", "test": "Anomaly_Test.txt"}
SHOWN = 20  # failed videos named on the terminal; the file has all

DESCRIPTION = """\
Sampling videos into a tree of frames that `data=ucf_crime` reads:
OUT/Train/<Class>/<video>_<frame number>.png and OUT/Test/...

VIDEOS holds <Class>/<video>.mp4 (or .avi, ...) at any depth: the official release
of UCF-Crime as it was unpacked, or videos of your own in folders with its class names.

A video's split is told by the lists, else by its folders (Train, Test,
Training_Normal_Videos_Anomaly, ...), else a share of each class goes to Test.
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
    from mtl.terminal import ConsoleHandler

    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[ConsoleHandler()])
    try:
        return _extract_all(given)
    except UserError as error:
        log.error("%s", error)
        return 1
    except OSError as error:
        log.error("%s: %s. The same command goes on from here.", error.strerror or error, error.filename)
        return 1
    except KeyboardInterrupt:
        log.warning("Interrupted. The same command goes on from here.")
        return 130


def _extract_all(given: argparse.Namespace) -> int:
    """Plan, extract, report."""
    from mtl.data.decoding import n_cores
    from mtl.data.making import EXTRACTION
    from mtl.data.video_frames import Sampling, resizing
    from mtl.data.videos import find_videos, one_of_each, split_videos
    from mtl.files import publish

    root, out = given.videos.expanduser().absolute(), given.out.expanduser().absolute()
    lists = _lists(given, root)
    videos = one_of_each(find_videos(root, without=out), lists)
    cut = Sampling(given.step, *given.size)
    with _only_one(out):
        earlier = _earlier(out, cut)
        split_of = split_videos(videos, lists, earlier, given.test_fraction, given.seed)
        _refuse_moved(videos, split_of, earlier, out)
        plan = {"cut": vars(cut), **resizing(), "split_of": earlier | split_of}
        publish(out / EXTRACTION, json.dumps(plan).encode())
        _say_splits(videos, split_of, lists, given.test_fraction)
        jobs = _plan(videos, split_of, out)
        n_done = len(split_of) - len(jobs)
        failed = [(entry, "on the list, but not below VIDEOS") for entry in _absent(videos, lists)]
        n_written, bad = _run(jobs, cut, given.workers or n_cores(), out)
        failed += [(str(video.relative_to(root)), reason) for video, reason in bad]
    log.info(
        "%d videos cut into %d frames below %s; %d were done before, %d failed.",
        len(jobs) - len(bad), n_written, out, n_done, len(failed),
    )  # fmt: skip
    return _say_failed(sorted(failed), out)


def _lists(given: argparse.Namespace, root: Path) -> SplitLists:
    """The split lists that were given, else the official ones where they lie beside the videos."""
    from mtl.data.videos import read_lists

    train, test = given.train_list, given.test_list
    if train is None and test is None:
        train, test = (root / name if (root / name).is_file() else None for name in OFFICIAL_LISTS.values())
        for file in filter(None, (train, test)):
            log.info("The split is that of %s.", file)
    return read_lists(train, test)


@contextmanager
def _only_one(out: Path) -> Iterator[None]:
    """Hold OUT for this process, and clear what a killed one left unfinished."""
    import shutil

    from mtl.files import NO_LOCKS

    try:
        (out / STATE).mkdir(parents=True, exist_ok=True)
        lock = (out / STATE / "lock").open("w")
    except OSError as error:
        raise UserError(f"Cannot write to {out}: {error.strerror} ({error.filename}).") from error
    with lock:
        try:
            import fcntl  # the system gives the lock back when its owner dies, however it dies
        except ImportError:  # Windows
            pass
        else:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in NO_LOCKS:
                    raise UserError(
                        f"The file system of {out} cannot lock files; give an OUT on a disk that can."
                    ) from error
                raise UserError(f"Another extraction is writing to {out}.") from error
        shutil.rmtree(out / STATE / "partial", ignore_errors=True)
        yield
        shutil.rmtree(out / STATE / "partial", ignore_errors=True)


def _earlier(out: Path, cut: Sampling) -> dict[str, str]:
    """Split by video of an earlier extraction into OUT, which must have cut frames alike."""
    from mtl.data.making import EXTRACTION
    from mtl.files import read_json

    frames = [name for name in ("Train", "Test") if (out / name).exists()]
    if not frames:
        return {}
    plan = read_json(out / EXTRACTION)
    if not plan:
        raise UserError(f"{out} holds a '{frames[0]}' that was not made by this command. Give an empty folder.")
    if plan["cut"] != vars(cut):
        was = plan["cut"]
        raise UserError(
            f"{out} holds frames of step {was['step']} and size {was['width']}x{was['height']}, asked for are step "
            f"{cut.step} and size {cut.width}x{cut.height}. Give an empty folder."
        )
    return plan["split_of"]


def _refuse_moved(videos: list[Video], split_of: dict[str, str], earlier: dict[str, str], out: Path) -> None:
    """Refuse to leave frames of one video in two splits."""
    from mtl.data.video_frames import frame_folder

    for video in videos:
        now, before = split_of.get(video.name), earlier.get(video.name)
        if now and before and now != before:
            folder = out / frame_folder(video.class_name, before)
            if video.name in _frames_by_video(folder):
                raise UserError(
                    f"Video '{video.name}' belongs to {now}, but {folder} holds frames of it. Give an empty folder."
                )


def _say_splits(videos: list[Video], split_of: dict[str, str], lists: SplitLists, test_fraction: float) -> None:
    """One line on where the videos go, one on those that chance sent there, one on those left out."""
    n_test = sum(split == "test" for split in split_of.values())
    log.info("%d videos: %d to Train, %d to Test.", len(split_of), len(split_of) - n_test, n_test)
    untold = [video for video in videos if video.folder_split is None]
    if not lists.split_of and untold:
        log.warning(
            "Nothing tells the split of %d videos: %.0f %% of each class's go to Test. For the official split "
            "give --train-list and --test-list.", len(untold), 100 * test_fraction,
        )  # fmt: skip
    left_out = [str(video.file) for video in videos if video.name not in split_of]
    if left_out:
        log.warning("%d videos are on neither list and left out, such as %s.", len(left_out), left_out[0])


def _absent(videos: list[Video], lists: SplitLists) -> list[str]:
    """Lines of the lists whose video was not found."""
    names = {video.name for video in videos}
    return [entry for name, entry in lists.entry_of.items() if name not in names]


def _plan(videos: list[Video], split_of: dict[str, str], out: Path) -> list[VideoJob]:
    """What is left to do, the largest first so that no core waits at the end."""
    from mtl.data.video_frames import VideoJob, frame_folder, record
    from mtl.files import read_json

    there: dict[Path, dict[str, int]] = {}
    jobs = []
    for video in videos:
        if video.name not in split_of:
            continue
        folder = out / frame_folder(video.class_name, split_of[video.name])
        if folder not in there:
            there[folder] = _frames_by_video(folder)
        n_there = there[folder].get(video.name, 0)
        marker = out / STATE / "done" / f"{video.name}.json"
        done = read_json(marker)
        if done.get("written") == n_there and n_there and record(video).items() <= done.items():
            continue
        jobs.append(VideoJob(video, folder, marker, out / STATE / "partial", n_there > 0))
    return sorted(jobs, key=lambda job: -job.video.size)


def _frames_by_video(folder: Path) -> dict[str, int]:
    """Number of frames of each video in a folder."""
    counted: dict[str, int] = {}
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.rpartition("_")[0]
                counted[name] = counted.get(name, 0) + 1
    return counted


def _run(jobs: list[VideoJob], cut: Sampling, n_workers: int, out: Path) -> tuple[int, list[tuple[Path, str]]]:
    """Do the jobs before the person's eyes; the number of frames written, and the failed videos with the reason."""
    from mtl.terminal import progress

    size = {job.video.name: job.video.size / 1e6 for job in jobs}  # MB: frames are not known before decoding
    total = max(round(sum(size.values())), 1)
    going: dict[str, Progress] = {}
    done, told, n_written, bad = 0.0, 0, 0, []
    with progress("extracting", total, "MB") as advance:
        for job, answer in _answers(jobs, cut, n_workers):
            name = job.video.name
            if answer.kind == "stop":
                raise UserError(f"Cannot write to {out}: {answer.reason}. The same command goes on from here.")
            going[name] = answer
            if answer.kind != "going":
                del going[name]
                done += size.pop(name)
                n_written += answer.n_frames
            if answer.kind == "bad":
                bad.append((job.video.file, answer.reason))
            now = min(round(done + sum(size[name] * said.share for name, said in going.items())), total)
            n_now = n_written + sum(said.n_frames for said in going.values())
            advance(max(now - told, 0), note=f"{len(jobs) - len(size)}/{len(jobs)} videos, {n_now} frames")
            told = max(now, told)
    return n_written, bad


def _answers(jobs: list[VideoJob], cut: Sampling, n_workers: int) -> Iterator[tuple[VideoJob, Progress]]:
    """What the worker processes say of the jobs, as it comes.

    A worker that dies, as decoders do over broken videos, costs the video it had;
    another takes its place.
    """
    import multiprocessing
    import signal
    from multiprocessing.connection import Connection, wait

    from mtl.data.video_frames import Progress, serve

    # the decoder's own words about a broken video; ours say which one it is
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(jobs))
    workers: dict[Connection, tuple[SpawnProcess, VideoJob]] = {}

    def hire() -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, cut), daemon=True)
        # Ctrl-C reaches the whole group, and the parent decides; a child ignores it from its first line on
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        process.start()
        signal.signal(signal.SIGINT, before)
        theirs.close()
        give(ours, process)

    def give(connection: Connection, process: SpawnProcess) -> None:
        workers[connection] = (process, waiting.pop())
        with suppress(OSError):  # it died in between: the answer will say so
            connection.send(workers[connection][1])

    try:
        for _ in range(min(n_workers, len(jobs))):
            hire()
        while workers:
            for connection in cast(list[Connection], wait(list(workers))):
                process, job = workers[connection]
                try:
                    answer = connection.recv()
                except (EOFError, OSError):
                    process.join()
                    answer = Progress("bad", reason=f"the decoder died (exit code {process.exitcode})")
                yield job, answer
                if answer.kind == "going":
                    continue
                del workers[connection]
                if waiting and process.is_alive():
                    give(connection, process)
                elif waiting:
                    hire()
                else:
                    connection.close()  # sends the worker home
    finally:
        for process, _ in workers.values():
            process.terminate()
            process.join()


def _say_failed(failed: list[tuple[str, str]], out: Path) -> int:
    """List the failures on the terminal and in a file; the exit code."""
    file = out / FAILED
    if not failed:
        file.unlink(missing_ok=True)
        return 0
    file.write_text("".join(f"{video}\t{reason}\n" for video, reason in failed), encoding="utf-8", errors="replace")
    for video, reason in failed[:SHOWN]:
        log.warning("%s: %s", video, reason)
    if len(failed) > SHOWN:
        log.warning("and %d more", len(failed) - SHOWN)
    log.error("%d videos failed; all are listed in %s. The same command tries them again.", len(failed), file)
    return 1


if __name__ == "__main__":
    sys.exit(main())
