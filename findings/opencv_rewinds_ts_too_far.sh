#!/usr/bin/env bash
# OpenCV rewinds an MPEG transport stream to its second keyframe, and says that it stands at frame 0.
#
# Recorders, set-top boxes and cut live streams leave `.ts` files. Where their video has B-frames, as the usual encoders
# make them, `set(CAP_PROP_POS_FRAMES, 0)` of OpenCV 5.0.0 ends at the second keyframe: what comes before it is never
# shown again. The call returns True, and `get(CAP_PROP_POS_FRAMES)` then answers 0. Asked by its number for any frame
# before the second keyframe, it gives that keyframe or the frame after it. The same packets in mkv are right, the
# number of frames is right, and so is the first pass; the usual test, reading the file through once, therefore finds
# nothing. (The decoder may write a line such as "co located POCs unavailable", which any live stream does.) A loader
# that rewinds for each epoch never again sees the first ten seconds, here 250 frames; one that reads every 10th frame
# by number gets one picture 25 times, under 25 labels; events that begin early are lost. Instead: open the file anew
# for each pass, or put its packets into an mkv once (`remux` below; no picture is coded again), where numbers are exact.
#
# Seen on Python 3.11, 600 frames of H.264, a keyframe every 250:
#   opencv-python-headless 5.0.0.93, PyAV 18.1.0
#   expected: the second pass shows frames 0 to 599, and a frame asked for by its number is that frame
#   seen, mkv                    second pass 600 frames from 0 on; at every 10th number 0 of 60 wrong
#   seen, ts                     second pass 350 frames from 250 on; at every 10th number 26 of 60 wrong
#   seen, ts without B-frames    second pass 600 frames from 0 on; at every 10th number 0 of 60 wrong
#   seen, ts after set(0): set True, position 0, then frame 250 is shown, as frame 0
#   seen, ts opened anew: second pass 600 frames from 0 on
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.4.0
cat > "$work/check.py" <<'PY'
import os
import sys
from importlib.metadata import version

import av
import cv2
import numpy as np

N_FRAMES = 600
os.chdir(sys.argv[1])


def write(path, b_frames):
    """A film of 24 s whose frames show their own number as ten bars, dark or bright."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"g": "250", "sc_threshold": "0", "bf": str(b_frames)}
        for number in range(N_FRAMES):
            bars = [220 if number >> bit & 1 else 30 for bit in range(10)]
            image = np.tile(np.repeat(bars, 32)[None, :, None], (240, 1, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def remux(path, into):
    """The same packets in another container, which goes by the name."""
    with av.open(path) as source, av.open(into, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)


def shown(image):
    """The number that a picture shows."""
    return sum(int(image[120, bit * 32 + 8 : bit * 32 + 24].mean() > 125) << bit for bit in range(10))


def through(capture):
    """The numbers of all pictures that are left."""
    numbers = []
    while (read := capture.read())[0]:
        numbers.append(shown(read[1]))
    return numbers


def looked_at(path):
    """The numbers of the second pass, and those that are shown at every 10th number."""
    capture = cv2.VideoCapture(path)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == N_FRAMES
    assert through(capture) == every, path  # the file is sound, and the first pass is right
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 0) and capture.get(cv2.CAP_PROP_POS_FRAMES) == 0
    second = through(capture)
    at = []
    for number in every[::10]:
        assert capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        at.append(shown(capture.read()[1]))
    return second, at


every = list(range(N_FRAMES))
write("film.mp4", 3)
write("plain.mp4", 0)
remux("film.mp4", "film.mkv")
remux("film.mp4", "film.ts")
remux("plain.mp4", "plain.ts")
print(f"opencv-python-headless {version('opencv-python-headless')}, PyAV {version('av')}")
print("expected: the second pass shows frames 0 to 599, and a frame asked for by its number is that frame")
seen = {}
for name, path in {"mkv": "film.mkv", "ts": "film.ts", "ts without B-frames": "plain.ts"}.items():
    second, at = seen[name] = looked_at(path)
    wrong = sum(found != number for found, number in zip(at, every[::10]))
    print(f"seen, {name:22} second pass {len(second)} frames from {second[0]} on; "
          f"at every 10th number {wrong} of {len(at)} wrong")

capture = cv2.VideoCapture("film.ts")
done = capture.set(cv2.CAP_PROP_POS_FRAMES, 0), int(capture.get(cv2.CAP_PROP_POS_FRAMES))
number, after = shown(capture.read()[1]), int(capture.get(cv2.CAP_PROP_POS_FRAMES))
print(f"seen, ts after set(0): set {done[0]}, position {done[1]}, then frame {number} is shown, as frame {after - 1}")
capture.release()
capture.open("film.ts")
anew = through(capture)
print(f"seen, ts opened anew: second pass {len(anew)} frames from {anew[0]} on")

right = every, every[::10]
assert seen["mkv"] == seen["ts without B-frames"] == right and anew == every
second, at = seen["ts"]
assert second == every[250:]
assert set(at[:25]) == {250, 251} and at[26:] == every[260::10], at
assert done == (True, 0) and (number, after) == (250, 1)
PY
"$work/venv/bin/python" "$work/check.py" "$work" 2> "$work/errors" || { tail "$work/errors"; exit 1; }
