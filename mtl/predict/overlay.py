"""The scores drawn into a copy of the video."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mtl.data.video_writer import Lines, write_overlay
from mtl.predict.curves import smoothed
from mtl.predict.judge import Judge
from mtl.predict.scoring import Scored
from mtl.predict.tables import clock
from mtl.terminal import progress


def overlay(scored: Scored, judge: Judge, into: Path) -> int:
    """Write the copy; each frame has the scores of the frame taken last. The number of frames."""
    numbers, seconds = scored.table["frame"].to_numpy(), scored.table["seconds"].to_numpy()
    values = [smoothed(seconds, curve.values(scored.table), judge.smooth) for curve in judge.curves]

    def lines_of(number: int, at: float) -> Lines:
        row = max(int(np.searchsorted(numbers, number, side="right")) - 1, 0)
        found = [(f"{clock(at) if np.isfinite(at) else '-'}  frame {number}", 0.0, False)]
        for curve, each in zip(judge.curves, values, strict=True):
            value = float(each[row])
            found.append((f"{curve.name} {value:.2f}", value, value >= judge.limits[curve.name].value))
        return found

    told = 0
    with progress("drawing", 100, "%") as advance:

        def tell(share: float) -> None:
            nonlocal told
            advance(max(round(100 * share) - told, 0))
            told = max(round(100 * share), told)

        return write_overlay(scored.file, into, lines_of, tell)
