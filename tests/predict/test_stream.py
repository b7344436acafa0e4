"""A stream is scored as it comes: the newest frame, nothing kept, every end said in one line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import BARE, ROOT, call, heeded

from mtl.data import live_frames
from mtl.data.live_frames import LiveFrames
from mtl.errors import UserError
from mtl.predict.streaming import stream_name

SERVE = """
import socket, sys, time
from fractions import Fraction
import av, numpy as np
n, pause, silent = int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
listening = socket.socket(fileno=int(sys.argv[1]))
print("ready", flush=True)
caller, _ = listening.accept()
container = av.open(caller.makefile("wb", buffering=0), "w", format="mpegts", options={"flush_packets": "1"})
stream = container.add_stream("mpeg4", rate=30)
stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
for i in range(n):
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60 + i % 100, np.uint8), format="rgb24")
    frame.pts, frame.time_base = i, Fraction(1, 30)
    container.mux(stream.encode(frame))
    time.sleep(pause)
container.mux(stream.encode(None))
time.sleep(silent)
container.close()
"""


class Server:
    """A stream over TCP for a single caller, who may call from the first moment on."""

    def __init__(self, n: int, pause: float = 0.0, silent: float = 0.0) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.address = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
            command = [sys.executable, "-c", SERVE, str(listening.fileno()), str(n), str(pause), str(silent)]
            self.process = subprocess.Popen(
                command, pass_fds=[listening.fileno()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def test_frames_come_with_number_and_time_until_the_stream_ends():
    with Server(120, pause=0.02) as server, LiveFrames(server.address, 10) as live:
        frames = list(live.frames())
    assert live.ended == ""
    assert live.n_frames >= 118
    assert len(frames) + live.n_dropped == 12
    for frame in frames:
        assert frame.number % 10 == 0
        assert frame.pixels.shape == (48, 64, 3)
    seconds = [frame.seconds for frame in frames]
    np.testing.assert_allclose(seconds, [frame.number / 30 for frame in frames], atol=1e-3)


def test_who_is_late_gets_the_newest_frame_and_the_others_are_counted():
    with Server(300) as server, LiveFrames(server.address, 1) as live:
        taken = list(islice(live.frames(), 1))
        live._thread.join(timeout=60)  # all of it has come meanwhile
        taken += list(live.frames())
    assert len(taken) == 2  # nothing waits in a queue
    assert taken[1].number == live.n_frames - 1
    assert live.n_dropped == live.n_frames - 2


def test_a_stream_that_falls_silent_ends_with_a_reason(monkeypatch):
    monkeypatch.setattr(live_frames, "SILENT_SECONDS", 2.0)
    with Server(60, silent=120) as server, LiveFrames(server.address, 10) as live:
        frames = list(live.frames())
    assert frames
    assert live.ended


def test_where_nothing_answers_is_one_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=f"^Cannot open the stream {address}: Connection refused"):
        LiveFrames(address, 10)
    with pytest.raises(UserError, match="^There is no camera 77"):
        LiveFrames("77", 10)


def test_a_table_bears_no_password():
    assert stream_name("rtsp://me:secret@cam.local:554/live/1?token=x") == "cam.local_554_live_1"
    assert stream_name("0") == "camera0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stream")
    done = call(folder, "tasks=anomaly", "tracking=none", "hydra.run.dir=outputs/alone", *BARE)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("ends", ["by itself", "by Ctrl-C"])
def test_a_stream_is_scored_line_by_line_and_ends_properly(trained, tmp_path, ends):
    with Server(150 if ends == "by itself" else 100_000, pause=0.02) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "mtl.predict", "outputs/alone", server.address, "--out", str(tmp_path)],
            cwd=trained, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, preexec_fn=heeded,
        )  # fmt: skip
        if ends == "by Ctrl-C":
            end = time.monotonic() + 200
            while time.monotonic() < end and sum(len(f.read_text().splitlines()) for f in tmp_path.glob("*.csv")) < 4:
                time.sleep(0.2)
            process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=250)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert ("Interrupted after" if ends == "by Ctrl-C" else "The stream ended after") in said
    (file,) = tmp_path.glob("*.csv")
    table = pd.read_csv(file)
    assert len(table) >= 3
    assert table["frame"].is_monotonic_increasing
    assert table["general_anomaly"].between(0, 1).all()
