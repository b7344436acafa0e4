"""What the command does: load the run, score the videos, write what was found."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from mtl.data.events import Events
from mtl.data.video_writer import check_copy
from mtl.errors import UserError
from mtl.files import publish
from mtl.formatting import plural, terminal_table
from mtl.predict.annotated import events_for, spans
from mtl.predict.figure import figure_of
from mtl.predict.judge import Judge, judge_of
from mtl.predict.overlay import overlay
from mtl.predict.page import Shown, page
from mtl.predict.scoring import Scored, score_video
from mtl.predict.sources import stream_of, videos_of
from mtl.predict.streaming import predict_stream
from mtl.predict.tables import moments, summary, write_scores
from mtl.terminal import progress, show

log = logging.getLogger(__name__)

MOST_PICTURES, ALL_PICTURES = 80, 2400  # at equal distances: of a video, and of all on one page
FEWEST_PICTURES = 12
PAGE = "index.html"
SHOWN = 40  # rows of the table on the terminal


def predict(given: argparse.Namespace) -> int:
    """The whole command; its exit status."""
    stream = stream_of(given.inputs)
    out: Path = given.out.expanduser()
    videos = {} if stream is not None else videos_of(given.inputs, out)
    if stream is not None and (given.events or given.smooth or given.format != "csv"):
        raise UserError("A stream is written line by line as csv: --events, --smooth and --format are for files.")
    _check_overlay(given.overlay, videos)
    events = events_for(given.events, videos) if videos else None
    judge = judge_of(given.run, given.uri, given.every, given.smooth)
    for line in judge.said():
        log.info("%s", line)
    _make_folder(out)
    if stream is not None:
        return predict_stream(judge, stream, out)
    return predict_videos(judge, videos, events, out, given)


def _check_overlay(overlay: Path | None, videos: Mapping[str, Path]) -> None:
    """Refuse what could not be drawn before anything is scored."""
    if overlay is None:
        return
    if len(videos) != 1:
        raise UserError(f"--overlay takes a single video, found {len(videos) or 'a stream'}.")
    check_copy(next(iter(videos.values())), overlay.expanduser())


def _make_folder(out: Path) -> None:
    """Make the folder of the results."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make the folder {out}: {error.strerror}.") from error


def predict_videos(
    judge: Judge, videos: Mapping[str, Path], events: Events | None, out: Path, given: argparse.Namespace
) -> int:
    """Score all videos and report."""
    found = _score_all(judge, videos, out, given.format)
    table = summary(found, judge.curves[0], judge.limits, judge.smooth)
    shown = [Shown(each, moments(each, judge.curves[0], judge.smooth), spans(events, each)) for each in found]
    write_pictures(judge, shown, table, out)
    title = f"Scores of {judge.curves[0].name} (alarm: share of scored frames at or above its threshold)"
    show(terminal_table(title, table.iloc[:SHOWN]))
    if len(table) > SHOWN:
        log.info("and %d more videos", len(table) - SHOWN)
    if given.overlay is not None and len(found[0].table):
        n_frames = overlay(found[0], judge, given.overlay.expanduser())
        log.info("%s with their scores drawn in: %s", plural(n_frames, "frame"), given.overlay)
    bad = [scored for scored in found if scored.reason]
    for scored in bad:
        kept = f"; its first {len(scored.table)} frames were scored" if len(scored.table) else ""
        log.warning("%s: %s%s", scored.file, scored.reason, kept)
    _say_unsure([scored.file for scored in found if not scored.surely_whole and not scored.reason])
    log.info("%s scored, %d bad; see %s.", plural(len(found) - len(bad), "video"), len(bad), out / PAGE)
    return 1 if bad else 0


def write_pictures(judge: Judge, videos: Sequence[Shown], table: pd.DataFrame, out: Path) -> None:
    """Write the curve of each video, and the page of all of them."""
    from mtl.plots.rendering import png

    for each in videos:
        if len(each.scored.table):
            drawn = figure_of(each.scored, judge.curves, judge.limits, judge.smooth, each.tops, each.events)
            publish(out / f"{each.scored.name}.png", png(drawn))
    title = f"{plural(len(videos), 'video')}, scored by {judge.name}"
    publish(out / PAGE, page(title, judge.said(), table, videos, judge.curves, judge.limits, judge.smooth).encode())


def _say_unsure(files: Sequence[Path]) -> None:
    """One line on videos of which nothing tells where they end."""
    if files:
        log.warning(
            "Of %s (%s), such as %s, nothing tells the end: whether it is missing cannot be seen.",
            plural(len(files), "video"), ", ".join(sorted({file.suffix.lower() for file in files})), files[0],
        )  # fmt: skip


def _megabytes(file: Path) -> float:
    """Size of a file; 0 where it is gone, or leads nowhere: it is bad when its turn comes."""
    try:
        return file.stat().st_size / 1e6
    except OSError:
        return 0.0


def _score_all(judge: Judge, videos: Mapping[str, Path], out: Path, form: str) -> list[Scored]:
    """Score videos one by one before the person's eyes; the tables of each are written at once."""
    sizes = {name: _megabytes(file) for name, file in videos.items()}  # frames are known afterwards
    total = max(round(sum(sizes.values())), 1)
    n_pictures = max(FEWEST_PICTURES, min(MOST_PICTURES, ALL_PICTURES // len(videos)))
    found: list[Scored] = []
    done, told, n_before = 0.0, 0, 0

    def tell(size: float, share: float, n_scored: int) -> None:
        nonlocal told
        now = min(round(done + size * share), total)
        advance(max(now - told, 0), note=f"{len(found)}/{len(videos)} videos, {n_before + n_scored} frames")
        told = max(now, told)

    with progress("scoring", total, "MB") as advance:
        for name, file in videos.items():
            told_of = partial(tell, sizes[name])
            scored = score_video(judge.run, name, file, judge.step.frames, judge.curves[0], n_pictures, told_of)
            if len(scored.table):
                write_scores(out, scored, form)
            found.append(scored)
            done, n_before = done + sizes[name], n_before + len(scored.table)
            tell(0.0, 0.0, 0)
    return found
