"""A copy with the scores drawn in has every frame at its own time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mtl.data.sampled_video import SampledVideo
from mtl.data.video_reader import BadVideo
from mtl.data.video_writer import draw_lines, write_overlay
from mtl.errors import UserError


def film(file: Path, n: int, size=(160, 120), times=None) -> Path:
    """A real video of light frames; `times` in milliseconds."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(n):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 200, np.uint8), format="rgb24")
            frame.pts, frame.time_base = times[i] if times else round(1000 * i / 30), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def lines(number, seconds):
    return [(f"frame {number}", 0.0, False), ("violence 0.75", 0.75, True)]


@pytest.mark.parametrize("times", [None, [0, 33, 500, 533, 2000, 2033]])
def test_every_frame_is_copied_at_its_time_with_its_lines(tmp_path, times):
    file = film(tmp_path / "a.mp4", 6, times=times)
    shares: list[float] = []
    assert write_overlay(file, tmp_path / "new" / "b.mp4", lines, shares.append) == 6
    before, after = ([*SampledVideo(each, 1).frames()] for each in (file, tmp_path / "new" / "b.mp4"))
    np.testing.assert_allclose([f.seconds for f in after], [f.seconds for f in before], atol=2e-3)
    for frame in after:
        assert frame.pixels.shape == (120, 160, 3)
        assert frame.pixels[:10].mean() < 120  # a dark ground below the text
        assert abs(frame.pixels[80:].mean() - 200) < 5
    assert len(shares) == 6
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["b.mp4"]


def test_an_alarm_is_told_without_colour():
    ground = np.full((240, 320, 3), 200, np.uint8)
    quiet, alarm = (draw_lines(ground.copy(), [("violence 0.50", 0.5, is_alarm)]) for is_alarm in (False, True))
    assert (quiet.max(2) != alarm.max(2)).any()


def test_the_copy_is_an_mp4_and_not_the_video_itself(tmp_path):
    file = film(tmp_path / "a.mp4", 2)
    with pytest.raises(UserError, match="an mp4, found '.gif'"):
        write_overlay(file, tmp_path / "b.gif", lines, lambda share: None)
    with pytest.raises(UserError, match="is the video itself"):
        write_overlay(file, file, lines, lambda share: None)


def test_what_is_no_video_leaves_no_copy(tmp_path):
    (tmp_path / "a.mp4").write_text("no")
    with pytest.raises(BadVideo):
        write_overlay(tmp_path / "a.mp4", tmp_path / "b.mp4", lines, lambda share: None)
    assert not (tmp_path / "b.mp4").exists()
