#!/usr/bin/env bash
# PyAV below 17 shows a BT.709 video in the colours of BT.601, and knows the tag all the same.
#
# Cameras of 720 lines and more write H.264 with the tag BT.709. `frame.to_ndarray(format="rgb24")`, which nearly
# every loader of videos calls, passes the frame to swscale without its matrix up to PyAV 16, so swscale takes its
# default, BT.601: off by 5 levels of 255 here and by 14 in a strong orange, while `frame.colorspace` says 1. From 17 on the
# tag counts. Nothing is raised, and no number of frames differs: features of one video computed before and after an
# upgrade are those of two videos, and a tree of frames that is continued mixes both. OpenCV's decoder had the same
# step between 4.12 and 4.13, so the two libraries agree below 4.13 and 17, from 4.13 and 17 on, and not across.
# Instead: bind av>=17, keep the decoder's version beside the frames, and refuse to continue with another one.
#
# Seen on Python 3.11, one colour (Y 120, U 110, V 150), coded without loss, tagged BT.709:
#   BT.709 by the formula: [161, 113, 83]; BT.601: [156, 110, 85]
#   seen, PyAV 16.1.0: colorspace 1, rgb24 as BT.601
#   seen, PyAV 17.0.0: colorspace 1, rgb24 as BT.709
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/write.py" <<'PY'
import sys

import av

with av.open(sys.argv[1], "w") as container:
    stream = container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    stream.options = {"qp": "0"}
    for name in ("colorspace", "color_primaries", "color_trc"):
        setattr(stream.codec_context, name, 1)
    stream.codec_context.color_range = 1  # 16 to 235
    frame = av.VideoFrame(320, 240, "yuv420p")
    for plane, value in zip(frame.planes, (120, 110, 150)):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.pts = 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode())
PY
cat > "$work/read.py" <<'PY'
import sys

import av

Y, U, V = (120 - 16) / 219, (110 - 128) / 224, (150 - 128) / 224
RIGHT = {}
for name, (red, blue) in {"BT.709": (0.2126, 0.0722), "BT.601": (0.299, 0.114)}.items():
    r, b = Y + 2 * (1 - red) * V, Y + 2 * (1 - blue) * U
    g = (Y - red * r - blue * b) / (1 - red - blue)
    RIGHT[name] = [round(255 * each) for each in (r, g, b)]
with av.open(sys.argv[1]) as container:
    frame = next(container.decode(video=0))
shown = frame.to_ndarray(format="rgb24")[120, 160].tolist()
near = [name for name, right in RIGHT.items() if max(abs(a - b) for a, b in zip(shown, right)) <= 1]
print(f"{', '.join(f'{name} by the formula: {right}' for name, right in RIGHT.items())}")
print(f"seen, PyAV {av.__version__}: colorspace {int(frame.colorspace)}, rgb24 {shown}, as {', '.join(near)}")
assert int(frame.colorspace) == 1
assert near == [sys.argv[2]], (near, sys.argv[2])
PY
for version in 17.0.0 16.1.0; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install -q --disable-pip-version-check "av==$version" numpy==2.3.5
done
"$work/17.0.0/bin/python" "$work/write.py" "$work/film.mp4"
"$work/17.0.0/bin/python" "$work/read.py" "$work/film.mp4" BT.709
"$work/16.1.0/bin/python" "$work/read.py" "$work/film.mp4" BT.601
