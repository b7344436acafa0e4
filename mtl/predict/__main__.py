"""A finished run on videos of one's own: ``python -m mtl.predict RUN VIDEO ... --out FOLDER``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from mtl.terminal import exit_status

DESCRIPTION = """\
Scores of a finished run for videos of your own: a table, a curve and a page.

RUN is a run's id, or its folder such as outputs/2026-11-28/10-00-00.
INPUT is a video, a folder (searched at any depth), a pattern, several of these;
or one stream: an address such as rtsp://host/path, or the number of a camera.

Of each video, in the folder of --out:
<video>.csv              a row per frame that was taken: number of the coded frame,
                         seconds after the first frame, probability by task
<video>_per_second.csv   means by whole second
<video>.png              the curve of every task of two classes
and index.html, a page of all of them with the curves beside frames, to be scrolled.
Of a stream, a line of <address>_<time>.csv per frame as it comes, until it ends or Ctrl-C;
where the model is behind, frames are dropped, so the delay does not grow.
What stood there of an earlier call is replaced."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    built = argparse.ArgumentParser(
        prog="python -m mtl.predict", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    built.add_argument("run", metavar="RUN", help="id or folder of a finished run")
    built.add_argument("inputs", metavar="INPUT", nargs="+", help="videos, folders, patterns; or one stream")
    built.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where results go; made if missing")
    built.add_argument("--uri", metavar="URI", help="MLflow store of a run's id (default: mlflow.db of this folder)")
    built.add_argument("--every", type=_at_least_one, metavar="N", help="every N-th frame (default: as in training)")
    built.add_argument("--format", choices=("csv", "parquet"), default="csv", help="of the tables (default: csv)")
    built.add_argument(
        "--smooth", type=_not_negative, default=0.0, metavar="SECONDS",
        help="moving mean of curves, alarms and top moments, inside a video (default: 0); tables keep raw scores",
    )  # fmt: skip
    built.add_argument("--overlay", type=Path, metavar="FILE.mp4", help="a copy of one video with its scores drawn in")
    built.add_argument(
        "--events", type=Path, metavar="FILE",
        help="annotation of the videos' events, as that of UCF-Crime: <video> <class> <first frame> <end> ...",
    )  # fmt: skip
    return built


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 if every input was scored to its end, 1 if one was not or the command was wrong, 130 after Ctrl-C.
    """
    given = parser().parse_args(arguments)

    def act() -> int:
        from mtl.predict.command import predict

        return predict(given)

    return exit_status(act, logging.INFO, f"Tables of the videos that were done are in {given.out}.")


if __name__ == "__main__":
    sys.exit(main())
