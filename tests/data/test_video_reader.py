from __future__ import annotations

import os
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import ROOT, sampled

from mtl.data.video_reader import BadVideo, VideoReader, picture

RATE = 30
CODECS = {
    "mp4": ("libx264", "aac", 48000),
    "mov": ("mpeg4", "aac", 48000),
    "mkv": ("libx264", "aac", 48000),
    "webm": ("libvpx", "libopus", 48000),
    "mpg": ("mpeg1video", "mp2", 48000),
    "wmv": ("wmv2", "wmav2", 44100),
    "avi": ("mpeg4", "mp2", 48000),
}
OPTIONS = {
    "libx264": {"g": "30", "crf": "23", "preset": "veryfast"},
    "libvpx": {"b": "1000000", "deadline": "realtime", "cpu-used": "8"},
}
# one sine is as good as another: a file's end must not hang on what is heard
TONE = np.sin(np.arange(2**12) / 20).astype(np.float32)


def pictures(n, size):
    blocks = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = cv2.resize(blocks, size)
    return [np.ascontiguousarray(np.roll(picture, 3 * i, axis=1)) for i in range(n)]


def filmed(file, n=150, size=(96, 72), sound_seconds=None, times=None, codec=None, movflags=None, **tags):
    """Write a real video, with sound that is interleaved with it and may be longer; `times` in milliseconds."""
    video_codec, sound_codec, rate = CODECS[file.suffix[1:]]
    with av.open(str(file), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(codec or video_codec, rate=RATE)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        stream.options = OPTIONS.get(codec or video_codec, {"b": "1000000"})
        stream.codec_context.thread_count = 1
        tick = Fraction(1, 1000) if times else Fraction(1, RATE)
        stream.time_base = stream.codec_context.time_base = tick
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        sound = container.add_stream(sound_codec, rate=rate) if sound_seconds else None
        if sound:
            sound.bit_rate, sound.layout = 128000, "stereo"
            sound.codec_context.open()
        heard = 0

        def hear(until):
            nonlocal heard
            while sound and heard < min(until, sound_seconds) * rate:
                n_samples = sound.frame_size or 1024
                wave = np.tile(TONE[:n_samples], (2, 1))
                if sound.format.name.startswith("s16"):
                    wave = (wave * 20000).astype(np.int16)
                wave = wave.T.reshape(1, -1) if sound.format.is_packed else wave
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(wave), format=sound.format.name, layout="stereo"
                )
                frame.sample_rate, frame.pts, frame.time_base = rate, heard, Fraction(1, rate)
                heard += n_samples
                container.mux(sound.encode(frame))

        for i, image in enumerate(pictures(n, size)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = times[i] if times else i, tick
            container.mux(stream.encode(frame))
            hear(float(frame.pts * tick))
        container.mux(stream.encode(None))
        if sound:
            hear(sound_seconds)
            container.mux(sound.encode(None))
    return file


def trimmed(file, seconds, into):
    """A copy without its first seconds, nothing coded anew: an edit list skips what precedes them."""
    with av.open(str(file)) as source, av.open(str(into), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        skipped = int(seconds / stream.time_base)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - skipped, packet.dts - skipped, copy
                target.mux(packet)
    return into


def beginning(file, share):
    """A copy of a file that lacks its end."""
    data = file.read_bytes()
    copy = file.with_name("part" + file.suffix)
    copy.write_bytes(data[: int(len(data) * share)])
    return copy


def read(file):
    """Number of frames, and whether the file says where they end."""
    reader = VideoReader(file)
    try:
        return sum(1 for _ in reader.frames()), reader.tells_end
    finally:
        reader.close()


# whole


@pytest.mark.parametrize("kind", sampled(CODECS, every=3))
def test_a_whole_video_is_whole_however_long_its_sound_is(tmp_path, kind):
    tells = kind != "mpg"
    assert read(filmed(tmp_path / f"silent.{kind}")) == (150, tells)
    assert read(filmed(tmp_path / f"longer.{kind}", sound_seconds=10)) == (150, tells)
    assert read(filmed(tmp_path / f"shorter.{kind}", sound_seconds=2)) == (150, tells)


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_a_losslessly_trimmed_video_is_whole(tmp_path, kind):
    whole = filmed(tmp_path / f"whole.{kind}", codec="libx264")
    n_frames, tells = read(trimmed(whole, 1.5, tmp_path / f"trimmed.{kind}"))
    assert (n_frames, tells) == (105, True)  # what comes before 1.5 s, in the file, is not shown


@pytest.mark.parametrize("kind", ["webm", "mkv", "mp4"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_falling_or_rising_frame_rate_is_no_cut(tmp_path, kind, order):
    gaps = ([33] * 100 + [200] * 30 + [1000] * 20)[::order]
    assert read(filmed(tmp_path / f"a.{kind}", times=np.cumsum(gaps).tolist())) == (150, True)


@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov"])
def test_an_index_at_the_front_or_in_parts_is_read(tmp_path, flags):
    assert read(filmed(tmp_path / "a.mp4", movflags=flags)) == (150, True)


@pytest.mark.slow
def test_a_video_of_which_only_sound_is_missing_is_whole(tmp_path):
    assert read(beginning(filmed(tmp_path / "a.mkv", sound_seconds=15), 0.9)) == (150, True)


# cut


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("kind", ["mkv", "webm", "avi", "mpg", "wmv", "mp4", "mov"])
def test_a_cut_video_is_said_to_be_cut(tmp_path, kind, share):
    part = beginning(filmed(tmp_path / f"a.{kind}"), share)
    with pytest.raises(BadVideo, match="^cut"):
        read(part)


@pytest.mark.parametrize("sound", sampled([2, None], every=2))
@pytest.mark.parametrize("share", [0.5, 0.96, 0.99])
@pytest.mark.parametrize("codec", sampled(["libx264", "mpeg4"], every=2))
def test_an_mp4_with_its_index_in_front_tells_what_is_missing(tmp_path, codec, share, sound):
    whole = filmed(tmp_path / "a.mp4", codec=codec, sound_seconds=sound, movflags="faststart")
    part = beginning(whole, share)
    n_missing = whole.stat().st_size - part.stat().st_size
    with pytest.raises(BadVideo) as refused:
        read(part)
    assert str(refused.value).startswith(f"cut: at least {n_missing:,} bytes are missing at its end (")


def test_seconds_tell_what_a_cut_webm_lacks(tmp_path):
    with pytest.raises(BadVideo, match=r"^cut: 2\.\d of 5\.0 s decode$"):
        read(beginning(filmed(tmp_path / "a.webm"), 0.5))


def test_a_bare_stream_that_ends_between_two_frames_cannot_tell(tmp_path):
    file = tmp_path / "a.mpg"
    with av.open(str(file), "w", format="mpeg1video") as container:
        stream = container.add_stream("mpeg1video", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for image in pictures(50, (96, 72)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    assert read(file) == (50, False)
    data = file.read_bytes()
    file.write_bytes(data[: data.index(b"\x00\x00\x01\x00", len(data) // 2)])  # a picture's start code
    n_frames, tells = read(file)
    assert 10 < n_frames < 40
    assert not tells


def test_damage_in_the_midst_is_said_with_its_place(tmp_path):
    file = filmed(tmp_path / "a.mp4", codec="libx264")
    data = bytearray(file.read_bytes())
    at = len(data) // 2
    data[at : at + 2000] = bytes(2000)
    file.write_bytes(data)
    with pytest.raises(BadVideo, match=r"^cut or damaged: \d+ frames decode, the next one after \d\.\d s does not$"):
        read(file)


# pixels


def by_opencv(file):
    capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG)
    images = []
    while True:
        there, image = capture.read()
        if not there:
            return images
        images.append(image)


def tuple_of_opencv():
    return tuple(int(number) for number in cv2.__version__.split(".")[:2])


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", {}),
        ("a.webm", {}),
        ("odd.avi", {"size": (97, 71)}),
        ("full.mp4", {"color_range": 2}),
        pytest.param(
            "tagged.mp4", {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1},
            marks=pytest.mark.skipif(tuple_of_opencv() < (4, 13), reason="OpenCV heeds the tag from 4.13 on"),
        ),
    ],
)  # fmt: skip
def test_pixels_are_those_of_opencv(tmp_path, name, how):
    file = filmed(tmp_path / name, n=20, **how)
    expected = by_opencv(file)
    frames = [picture(frame) for frame in VideoReader(file).frames()]
    assert len(frames) == len(expected) == 20
    np.testing.assert_array_equal(frames, expected)


def test_colours_go_by_the_tag_of_the_video(tmp_path):
    bt709 = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}
    plain, tagged = filmed(tmp_path / "plain.mp4", n=1), filmed(tmp_path / "tagged.mp4", n=1, **bt709)
    one, other = (picture(next(VideoReader(file).frames())).astype(int) for file in (plain, tagged))
    assert np.abs(one - other).max() > 5  # the same coded numbers, other colours


@pytest.mark.parametrize("turn", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_a_turned_video_is_turned_back(tmp_path, turn):
    file = filmed(tmp_path / "a.mp4", n=3)
    data = bytearray(file.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (65536 * number for number in turn)
    data[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    file.write_bytes(data)
    frames = [picture(frame) for frame in VideoReader(file).frames()]
    np.testing.assert_array_equal(frames, by_opencv(file))
    assert frames[0].shape == ((96, 72, 3) if a == 0 else (72, 96, 3))


# what is opened


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.mp4\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    "text", [PLAYLIST, "ffconcat version 1.0\nfile other.mp4\n", "<html>not found</html>", "version https://git-lfs"]
)
def test_only_videos_are_opened_whatever_their_name_says(tmp_path, text):
    filmed(tmp_path / "other.mp4", n=5)
    (tmp_path / "a.mp4").write_text(text)
    with pytest.raises(BadVideo, match="^not a video by its first bytes$"):
        VideoReader(tmp_path / "a.mp4")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    program = (
        "import sys; from pathlib import Path; from mtl.data.video_reader import VideoReader, BadVideo\n"
        "try: VideoReader(Path(sys.argv[1]))\n"
        "except BadVideo as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.mp4")], capture_output=True, text=True, cwd=ROOT, timeout=200
    )
    assert done.stdout == "no regular file\n"
    with pytest.raises(BadVideo, match="^no regular file$"):
        VideoReader(Path(os.devnull))


def test_a_video_of_sound_alone_has_no_pictures(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(BadVideo, match="^no pictures in it$"):
        VideoReader(tmp_path / "a.mp4")
