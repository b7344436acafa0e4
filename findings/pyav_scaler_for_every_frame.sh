#!/usr/bin/env bash
# Turning a decoded frame of PyAV into an array costs several times the work: a scaler and threads for it alone.
#
# `frame.to_ndarray(format="bgr24")`, `to_rgb` and `reformat` of PyAV 18.1.0 convert with a scaler that belongs to
# this one frame, and the scaler asks FFmpeg for as many threads as there are CPUs. So for each frame of a
# surveillance video, small as it is, a scaler is set up and threads are made and ended, for a fraction of a
# millisecond of work. One `VideoReformatter` for all frames gives the same pixels in a fifth of the time. Where
# frames must go through `to_ndarray`, `threads=1` saves a part, and more where videos are decoded by one process per
# CPU, which is how data sets are prepared: the threads of one take the CPUs from the others. The documentation
# names the default, 0 for automatic, and not that all is paid anew for every frame.
#
# Seen on Python 3.11, 2 CPUs, frames of 320x240 (times differ between machines, the order does not):
#   av 18.1.0
#   to_ndarray as it stands       1.00
#   to_ndarray with threads=1     0.74
#   one reformatter for all       0.18
#   pixels                        equal
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check av==18.1.0 numpy==2.4.0
cat > "$work/check.py" <<'PY'
import time

import av
import numpy as np
from av.video.reformatter import VideoReformatter

rng = np.random.default_rng(0)
blocks = np.kron(rng.integers(0, 256, (15, 20, 3)), np.ones((16, 16, 1))).astype(np.uint8)
with av.open("video.mp4", "w") as container:
    stream = container.add_stream("libx264", rate=30)
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    for t in range(300):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(blocks, 2 * t, axis=1), format="rgb24")))
    container.mux(stream.encode(None))
with av.open("video.mp4") as container:
    frames = list(container.decode(video=0))

shared = VideoReformatter()
ways = {
    "to_ndarray as it stands": lambda frame: frame.to_ndarray(format="bgr24"),
    "to_ndarray with threads=1": lambda frame: frame.to_ndarray(format="bgr24", threads=1),
    "one reformatter for all": lambda frame: shared.reformat(frame, format="bgr24", threads=1).to_ndarray(),
}
seconds = {name: [] for name in ways}
pixels = {}
for _ in range(5):
    for name, way in ways.items():
        began = time.perf_counter()
        pixels[name] = [way(frame) for frame in frames]
        seconds[name].append(time.perf_counter() - began)
usual = min(seconds["to_ndarray as it stands"])
share = {name: min(found) / usual for name, found in seconds.items()}
first, *others = pixels.values()
equal = all(np.array_equal(a, b) for other in others for a, b in zip(first, other))

print(f"av {av.__version__}")
for name, found in share.items():
    print(f"{name:<29} {found:.2f}")
print(f"{'pixels':<29} {'equal' if equal else 'differ'}")
assert equal
assert share["one reformatter for all"] < 0.6
PY
cd "$work" && "$work/venv/bin/python" check.py
