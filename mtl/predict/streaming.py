"""A stream scored as it comes: lines are appended, and nothing else is kept."""

from __future__ import annotations

import logging
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from mtl.data.live_frames import LiveFrames
from mtl.formatting import plural
from mtl.masking import masked
from mtl.predict.judge import Judge
from mtl.predict.scoring import score, score_columns, taken
from mtl.predict.tables import DIGITS, clock

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


@dataclass
class Heard:
    """What was scored so far."""

    n_scored: int = 0
    seconds: float = 0.0
    top: float = np.nan
    top_at: float = np.nan


def predict_stream(judge: Judge, source: str, out: Path) -> int:
    """Score a stream until it ends or Ctrl-C comes; the exit status: 1 where it broke off with an error."""
    # what a stream showed cannot be had again: each time has a file of its own
    file = out / f"{stream_name(source)}_{time.strftime('%Y%m%d-%H%M%S')}.csv"
    heard, interrupted = Heard(), False
    with LiveFrames(source, judge.step.frames) as live, file.open("x", encoding="utf-8", newline="") as lines:
        log.info("Reading %s; each score is a line of %s as it comes. Ctrl-C ends it.", masked(source), file)
        lines.write(",".join(_quoted(str(name)) for name in score_columns(judge.run)) + "\n")
        try:
            _score_live(judge, live, lines, heard)
        except KeyboardInterrupt:
            interrupted = True
            with suppress(KeyboardInterrupt):  # once more does not hurt the file
                lines.flush()
    _say_end(judge, live, heard, file, interrupted)
    return 1 if live.ended and not interrupted else 0


def _score_live(judge: Judge, live: LiveFrames, lines: TextIO, heard: Heard) -> None:
    """Frame by frame, the newest there is."""
    leading, last = judge.curves[0], time.monotonic()
    for frame in live.frames():
        row = score(judge.run, [taken(frame, judge.run.training_frames)])
        lines.write(row.to_csv(index=False, header=False, float_format=DIGITS, lineterminator="\n"))
        lines.flush()
        value = float(leading.values(row)[0])
        heard.n_scored, heard.seconds = heard.n_scored + 1, frame.seconds
        if not value <= heard.top:
            heard.top, heard.top_at = value, frame.seconds
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            log.info(
                "%s: %s %.3f, %d frames scored, %d dropped",
                clock(frame.seconds), leading.name, value, heard.n_scored, live.n_dropped,
            )  # fmt: skip


def _say_end(judge: Judge, live: LiveFrames, heard: Heard, file: Path, interrupted: bool) -> None:
    """One line on why it ended and what was kept."""
    why = "Interrupted" if interrupted else f"The stream stopped ({live.ended})" if live.ended else "The stream ended"
    top = f", top score of {judge.curves[0].name} {heard.top:.3f} at {clock(heard.top_at)}" if heard.n_scored else ""
    late = f", {live.n_dropped} dropped as the model was behind" if live.n_dropped else ""
    level = logging.WARNING if live.ended and not interrupted else logging.INFO
    log.log(
        level, "%s after %s: %s of %d scored%s%s; they are in %s.",
        why, clock(heard.seconds), plural(heard.n_scored, "frame"), live.n_frames, late, top, file,
    )  # fmt: skip


def stream_name(source: str) -> str:
    """What the table of a stream is called: its address without password and signs, or the camera's number."""
    if source.isdecimal():
        return f"camera{source}"
    place = re.sub(r"^[^/]*//([^/@]*@)?", "", source).partition("?")[0]
    return re.sub(r"[^\w.-]+", "_", place).strip("_.")[:100] or "stream"


def _quoted(name: str) -> str:
    return f'"{name}"' if re.search('[,"]', name) else name
