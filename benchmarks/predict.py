"""`python -m mtl.predict` against decoding plus the forward pass alone.

    python benchmarks/predict.py [--videos 3 --frames 7200 -- backbone=resnet50 backbone.weights=random]

Trains a run for one epoch on the demo, with what stands behind `--`. Alone is: decode every
frame of a video, make every tenth one as the training frames were, run the compiled forward
pass on batches of them. Ours is all that the command does once the run is loaded: tables by
frame and by second, pictures, curves, the page. In turns; the quickest round counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import numpy as np
from rich.console import Console
from videos import write_videos

from mtl.data.making import made_alike
from mtl.data.sampled_video import rgb
from mtl.data.video_reader import VideoReader
from mtl.predict.command import predict_videos
from mtl.predict.judge import Judge, judge_of
from mtl.predict.sources import videos_of

RUN_PY = Path(__file__).resolve().parents[1] / "run.py"
SHORT = (
    "tracking=none", "training.epochs=1", "freeze=all", "relations=[]", "gradient_measurements.batches=0",
    "evaluation.resamples=20",
)  # fmt: skip


def trained(folder: Path, words: list[str]) -> Path:
    """The folder of a run of one epoch."""
    command = [sys.executable, str(RUN_PY), *SHORT, "hydra.run.dir=run", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "run"


def alone(judge: Judge, files: list[Path]) -> Callable[[], None]:
    """Decode, resize, forward pass; nothing is kept."""
    run = judge.run
    making, size = run.training_frames, run.backbone.frozen.batch_size
    assert making is not None

    def forward(batch: list[np.ndarray]) -> None:
        run.model.inferred(run.backbone.frozen(np.stack(batch)))

    def score() -> None:
        for file in files:
            batch: list[np.ndarray] = []
            with closing(VideoReader(file)) as reader:
                for number, frame in enumerate(reader.frames()):
                    if number % judge.step.frames == 0:
                        batch.append(made_alike(rgb(frame), making))
                    if len(batch) == size:
                        forward(batch)
                        batch = []
            if batch:
                forward(batch)

    return score


def main() -> None:
    """Measure, print rates and the ratio."""
    from drawn import take_turns

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--videos", type=int, default=3, help="3 at least")
    parser.add_argument("--frames", type=int, default=7200, help="of a video; the mean of UCF-Crime")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("words", nargs="*", help="of the run, behind --")
    asked = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_videos(folder / "videos", asked.videos, asked.frames)
        judge = judge_of(str(trained(folder, asked.words)), None, None, 0.0)
        videos = videos_of([str(folder / "videos")], folder / "scores")
        (folder / "scores").mkdir()
        given = argparse.Namespace(format="csv", overlay=None)

        def ours() -> None:
            with patch("mtl.predict.command.show"):
                assert predict_videos(judge, videos, None, folder / "scores", given) == 0

        ways = {"decode + forward alone": alone(judge, list(videos.values())), "ours": ours}
        seconds = take_turns(ways, asked.rounds)
    for way, one in seconds.items():
        console.print(f"{way}: {asked.videos * asked.frames / one:,.0f} coded frames/s")
    console.print(f"ours / alone: {seconds['decode + forward alone'] / seconds['ours']:.2f}")


if __name__ == "__main__":
    main()
