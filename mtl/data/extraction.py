"""The folder of an extraction: who holds it, how its frames were made, what is left to do."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mtl.data.class_names import SPLITS
from mtl.data.folders import or_list
from mtl.data.making import EXTRACTION
from mtl.data.video_frames import Sampling, VideoJob, decoding, frame_folder, record
from mtl.data.videos import Video
from mtl.errors import UserError
from mtl.files import read_json, take_lock

OPENCV_ALIKE = (4, 13)  # from here on OpenCV made the pixels that PyAV makes, colours by the video's tag
STATE = ".extraction"  # folder within OUT: what was asked for, what is done, what is unfinished


@contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Hold OUT for this process, and clear what a killed one left unfinished."""
    try:
        (out / STATE).mkdir(parents=True, exist_ok=True)
        held = take_lock(out / STATE / "lock", "Give an OUT on a disk that can.")
    except OSError as error:
        raise UserError(f"Cannot write to {out}: {error.strerror} ({error.filename}).") from error
    if held is None:
        raise UserError(f"Another extraction is writing to {out}.")
    try:
        shutil.rmtree(out / STATE / "partial", ignore_errors=True)
        yield
        shutil.rmtree(out / STATE / "partial", ignore_errors=True)
    finally:
        os.close(held)


def earlier_splits(out: Path, cut: Sampling) -> dict[str, str]:
    """Split by video of an earlier extraction into OUT, which must have cut frames alike."""
    frames = [split.title() for split in SPLITS if (out / split.title()).exists()]
    if not frames:
        return {}
    plan = read_json(out / EXTRACTION)
    if not plan:
        raise UserError(f"{out} holds a '{frames[0]}' that was not made by this command. Give an empty folder.")
    was, split_of = _said(plan, out)
    if was != cut:
        raise UserError(
            f"{out} holds frames of step {was.step} and size {was.width}x{was.height}, asked for are step "
            f"{cut.step} and size {cut.width}x{cut.height}. Give an empty folder."
        )
    _refuse_other_decoder(plan, out)
    return split_of


def _said(plan: dict[str, Any], out: Path) -> tuple[Sampling, dict[str, str]]:
    """What a plan says of sampling and splits, if it is one of ours: names in it become paths."""
    cut, split_of = plan.get("cut"), plan.get("split_of")
    said = [cut.get(name) for name in ("step", "width", "height")] if isinstance(cut, dict) else []
    numbers = [number for number in said if type(number) is int and number > 0]
    if len(numbers) != 3 or not isinstance(split_of, dict):
        raise UserError(f"{out / EXTRACTION} is damaged: no step, size and splits. Give an empty folder.")
    for video, split in split_of.items():
        if split not in SPLITS:
            raise UserError(
                f"{out / EXTRACTION} is damaged: video {video!r} is in split {split!r}, right would be "
                f"{or_list(SPLITS)}. Give an empty folder."
            )
    return Sampling(*numbers), split_of


def _refuse_other_decoder(plan: dict[str, Any], out: Path) -> None:
    """Refuse to mix frames of decoders that may make other pixels of the same video."""
    if plan.get("decoder") == decoding()["decoder"]:
        return
    if "decoder" in plan:
        found = str(plan["decoder"])
    else:  # from before videos were read by PyAV
        opencv = str(plan.get("opencv", "of an unknown version"))
        if _version(opencv) >= OPENCV_ALIKE:
            return
        found = f"OpenCV {opencv}"
    raise UserError(
        f"{out} holds frames decoded by {found}, here is {decoding()['decoder']}: colours could be mixed. "
        "Give an empty folder, or install what it was made with."
    )


def _version(text: str) -> tuple[int, ...]:
    """The first two numbers of a version; none where it is not known."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else ()


def refuse_moved(videos: list[Video], split_of: dict[str, str], earlier: dict[str, str], out: Path) -> None:
    """Refuse to leave frames of one video in two splits."""
    for video in videos:
        now, before = split_of.get(video.name), earlier.get(video.name)
        if now and before and now != before:
            folder = out / frame_folder(video.class_name, before)
            if video.name in _frames_by_video(folder):
                raise UserError(
                    f"Video '{video.name}' belongs to {now}, but {folder} holds frames of it. Give an empty folder."
                )


def jobs_left(videos: list[Video], split_of: dict[str, str], out: Path) -> list[VideoJob]:
    """What is left to do, the largest first so that no core waits at the end."""
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
