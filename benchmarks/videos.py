"""Our way from videos to features on disk against the decoder alone.

    python benchmarks/videos.py [--videos 8 --frames 1500]

Both decode every frame, one process per core. Alone is the decoder and nothing else; ours
resizes and keeps every tenth frame, makes the frame table, and stores the features of a
frozen part that costs nothing. In turns, into an empty store each time; the quickest
round counts.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np
from rich.console import Console

from mtl.data.decoded_videos import DecodingJob
from mtl.data.decoding import n_cores
from mtl.data.ucf_crime_videos import UCFCrimeVideos
from mtl.data.video_frames import Cut
from mtl.data.video_reader import VideoReader
from mtl.data.video_workers import Report, Work, run_jobs, serve_jobs
from mtl.data.videos import find_videos
from mtl.features.store import FeatureStore

RATE, STEP, SIDE = 30, 10, 64
CLASSES = ("Abuse", "Normal")


class Mean:
    """A frozen part that costs nothing: the mean colour of a frame."""

    spec: Mapping[str, object] = {"backbone": "mean colour"}
    dtype = np.dtype(np.float32)
    batch_size = 64

    def feature_shape(self, frame_shape: tuple[int, int]) -> tuple[int, ...]:
        """Three colours."""
        return (3,)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Mean colours (b, 3)."""
        return images[:, ::8, ::8].mean((1, 2), dtype=np.float32)


def write_videos(root: Path, n_videos: int, n_frames: int) -> None:
    """Videos of the release's size and rate: drifting blocks under noise, H.264."""
    dice = np.random.default_rng(0)
    blocks = np.kron(dice.integers(0, 256, (15, 20, 3)), np.ones((16, 16, 1))).astype(np.int16)
    for i in range(n_videos):
        split = "Train" if i < n_videos - len(CLASSES) else "Test"
        file = root / split / CLASSES[i % len(CLASSES)] / f"video{i:03d}.mp4"
        file.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(file), "w") as container:
            stream = container.add_stream("libx264", rate=RATE)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            stream.options = {"preset": "veryfast", "crf": "23"}
            for t in range(n_frames):
                noise = dice.integers(-12, 13, blocks.shape, dtype=np.int16)
                image = np.clip(np.roll(blocks, 2 * t, axis=1) + noise, 0, 255).astype(np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = t, Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def serve_alone(connection: Connection, nothing: None) -> None:
    """Decode the jobs that come over a connection, and do nothing with the frames."""
    serve_jobs(connection, _decode)


def _decode(job: DecodingJob, report: Report) -> Cut:
    n = 0
    with closing(VideoReader(job.video.file)) as reader:
        for _ in reader.frames():
            n += 1
        return Cut(n, n, reader.tells_end)


def alone(root: Path, workers: int, n_frames: int) -> Callable[[], None]:
    """The decoder alone."""
    jobs = [DecodingJob(video, root, "", "") for video in find_videos(root, without=root / "none")]

    def decode() -> None:
        work = Work("decoding alone", serve_alone, None, workers, root, "The same command")
        assert run_jobs(jobs, work) == (n_frames, [])

    return decode


def ours(root: Path, workers: int, folder: Path) -> Callable[[], None]:
    """The data set's way, and the store's, into an empty one each time."""
    number = itertools.count()

    def extract() -> None:
        here = folder / str(next(number))
        lists: Mapping[str, None] = {"train": None, "test": None}
        data = UCFCrimeVideos(
            str(root),
            {},
            None,
            30,
            lists,
            CLASSES,
            STEP,
            SIDE,
            SIDE,
            0.3,
            0,
            None,
            None,
            None,
            str(here / "videos"),
            50,
            workers,
            0,
        )
        frames = data.frames()
        store = FeatureStore(str(here), max_gib=10, memory_gib=1, part_mib=32, decode_threads=workers, max_bad_share=0)
        assert store.of(frames, data.root, Mean()).computed == len(frames)

    return extract


def main() -> None:
    """Measure, print rates and the ratio."""
    from drawn import take_turns  # it brings TensorFlow along, which a process that decodes has no use for

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--videos", type=int, default=8, help="6 at least")
    parser.add_argument("--frames", type=int, default=1500, help="of a video")
    parser.add_argument("--workers", type=int, default=n_cores())
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "release"
        write_videos(root, asked.videos, asked.frames)
        n_frames = asked.videos * asked.frames
        ways = {
            "decoder alone": alone(root, asked.workers, n_frames),
            "ours": ours(root, asked.workers, Path(folder) / "stores"),
        }
        seconds = take_turns(ways, asked.rounds)
    for name, one in seconds.items():
        console.print(f"{name}: {n_frames / one:,.0f} coded frames/s in {asked.workers} processes")
    console.print(f"ours / decoder alone: {seconds['decoder alone'] / seconds['ours']:.2f}")


if __name__ == "__main__":
    main()
