from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import time
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data.frames import MAX_BYTES, PNG_START, BadFrame, read_frame
from mtl.errors import UserError

RGB = np.zeros((4, 6, 3), np.uint8)
RGB[..., 0] = 200  # red
RGB[1, 2] = (10, 20, 30)


def png(rgb=RGB):
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def jpeg(rgb=RGB, *options):
    return cv2.imencode(".jpg", rgb[..., ::-1], list(options))[1].tobytes()


def chunk(kind, content):
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def noise(size=64):
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)


@pytest.fixture
def read(tmp_path):
    """Reads bytes as if they were a frame."""

    def read_bytes(data, name="frame.png"):
        (tmp_path / name).write_bytes(data)
        return read_frame(tmp_path, name)

    return read_bytes


def test_png_is_rgb_to_the_bit(read):
    np.testing.assert_array_equal(read(png()), RGB)


def test_jpeg_is_rgb(read):
    np.testing.assert_allclose(read(jpeg())[0, 5].astype(int), [200, 0, 0], atol=8)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(np.full((4, 6), 77, np.uint8), id="grey"),
        pytest.param(np.full((4, 6, 4), 77, np.uint8), id="alpha"),
        pytest.param(np.full((4, 6, 3), 77 * 257, np.uint16), id="16 bit"),
    ],
)
def test_other_png_kinds_become_rgb_bytes(read, stored):
    frame = read(cv2.imencode(".png", stored)[1].tobytes())
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, np.full((4, 6, 3), 77))


def test_extension_says_nothing(read):
    np.testing.assert_array_equal(read(png(), "frame.JPG"), RGB)


def test_name_may_hold_spaces_and_unicode(read):
    np.testing.assert_array_equal(read(png(), "Fußgänger 監視 é_10.png"), RGB)


def test_every_cut_png_is_found_out(read):
    data = png(noise(16))
    for length in {*range(1, len(data), 7), *range(len(data) - 20, len(data))}:
        with pytest.raises(BadFrame):
            read(data[:length])


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
def test_every_cut_jpeg_is_found_out(read, options):
    data = jpeg(noise(16), *options)
    assert read(data).shape == (16, 16, 3)
    for length in {*range(1, len(data), 7), *range(len(data) - 20, len(data))}:
        with pytest.raises(BadFrame):
            read(data[:length])


def test_cut_jpeg_with_a_whole_thumbnail_is_found_out(read):
    data = jpeg(noise())
    inner = jpeg(noise(8))
    with_thumbnail = data[:2] + b"\xff\xe1" + struct.pack(">H", len(inner) + 2) + inner + data[2:]
    assert read(with_thumbnail).shape == (64, 64, 3)
    with pytest.raises(BadFrame, match="cut"):
        read(with_thumbnail[:-100])


def test_jpeg_filled_up_with_zeros_is_found_out(read):
    data = jpeg(noise())
    with pytest.raises(BadFrame, match="cut"):
        read(data[: len(data) // 2] + bytes(len(data) // 2))


def test_bytes_after_the_end_do_no_harm(read):
    assert read(jpeg(noise()) + b"camera 7").shape == (64, 64, 3)
    assert read(png() + b"camera 7").shape == RGB.shape


def test_every_flipped_bit_of_a_png_is_found_out(read):
    data = png(noise(8))
    for at in range(len(PNG_START), len(data), 3):
        with pytest.raises(BadFrame):
            read(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>404</html>", "not a PNG or JPEG"),
        (b"GIF89a" + bytes(50), "not a PNG or JPEG"),
        (b"BM" + bytes(100), "not a PNG or JPEG"),
        (bytes(4096), "not a PNG or JPEG"),
        (PNG_START, "cut"),
        (b"\xff\xd8", "cut"),
        (b"\xff\xd8" + b"x" * 40, "damaged"),
        (PNG_START + chunk(b"IEND", b"") + bytes(20), "does not start with its size"),
    ],
)
def test_what_is_no_image_says_why(read, data, reason):
    with pytest.raises(BadFrame, match=reason):
        read(data)


def test_huge_png_is_refused_before_decoding(read):
    width = height = 24_000
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(1 + width // 8)) for _ in range(height)) + rows.flush()
    data = PNG_START + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    data += chunk(b"IDAT", body) + chunk(b"IEND", b"")
    assert len(data) < 200_000
    start = time.process_time()
    with pytest.raises(BadFrame, match="too large: 24000 x 24000"):
        read(data)
    assert time.process_time() - start < 0.5


def test_png_with_a_second_small_size_is_judged_by_the_first(read):
    big = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    data = png()
    with pytest.raises(BadFrame, match="too large"):
        read(PNG_START + big + data[len(PNG_START) :])


def test_huge_jpeg_is_refused_before_decoding(read):
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(BadFrame, match="too large: 65000 x 65000"):
        read(bytes(data))


def test_huge_file_is_refused_unread(tmp_path):
    with (tmp_path / "frame.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole: takes no room
    with pytest.raises(BadFrame, match="too large"):
        read_frame(tmp_path, "frame.png")


def test_missing_folder_and_pipe_are_bad(tmp_path):
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("link.png")
    (tmp_path / "dangling.png").symlink_to("nowhere.png")
    reasons = {
        "absent.png": "missing",
        "a/b/c.png": "missing",
        "dangling.png": "missing",
        "folder.png": "a folder",
        "pipe.png": "not a plain file",
        "link.png": "symbolic links",
        "n\0ul.png": "no file name",
        "x" * 300 + ".png": "name too long",
        "folder.png/x.png": "missing",
    }
    for path, reason in reasons.items():
        with pytest.raises(BadFrame, match=reason):
            read_frame(tmp_path, path)


@pytest.mark.parametrize(("number", "reason"), [("EACCES", "permission denied"), ("EIO", "input/output error")])
def test_refused_file_is_bad(tmp_path, monkeypatch, number, reason):
    import errno

    def refuse(*_):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    monkeypatch.setattr("builtins.open", refuse)
    (tmp_path / "frame.png").touch()
    with pytest.raises(BadFrame, match=reason):
        read_frame(tmp_path, "frame.png")


def test_fault_of_the_machine_is_no_bad_frame(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("builtins.open", refuse)
    (tmp_path / "frame.png").touch()
    with pytest.raises(OSError, match="Too many open files"):
        read_frame(tmp_path, "frame.png")


def test_gone_root_is_the_disks_fault_not_the_frames(tmp_path):
    with pytest.raises(UserError, match="gone"):
        read_frame(tmp_path / "unmounted", "frame.png")


def damaged(data, cuts, at, byte):
    data = bytearray(data)
    data[at % len(data)] = byte
    return bytes(data[: len(data) - cuts % len(data)])


@settings(max_examples=150, deadline=None)
@given(st.booleans(), st.integers(0, 3), st.integers(0, 10_000), st.integers(0, 255), st.binary(max_size=40))
def test_damage_ends_in_a_frame_or_a_bad_frame(tmp_path_factory, is_png, cuts, at, byte, noise_bytes):
    root = tmp_path_factory.getbasetemp()
    image = png(noise(8)) if is_png else jpeg(noise(8))
    for data in (damaged(image, cuts, at, byte), image[:2] + noise_bytes, image[:8] + noise_bytes):
        (root / "fuzz.png").write_bytes(data)
        try:
            frame = read_frame(root, "fuzz.png")
        except BadFrame:
            continue
        assert frame.dtype == np.uint8
        assert frame.ndim == 3
        assert frame.shape[2] == 3


def test_threads_read_alike(tmp_path):
    frames = [noise(8) + i for i in range(8)]
    for i, frame in enumerate(frames):
        (tmp_path / f"{i}.png").write_bytes(png(frame))
    wrong = []

    def work():
        for i in list(range(8)) * 20:
            if not np.array_equal(read_frame(tmp_path, f"{i}.png"), frames[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_another_decoder_sees_the_same_pixels(read):
    image = pytest.importorskip("PIL.Image")
    data = png(noise())
    np.testing.assert_array_equal(read(data), np.asarray(image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_memory_that_runs_out_while_a_frame_is_decoded_makes_no_frame_bad(tmp_path, ending):
    cv2.imwrite(str(tmp_path / f"frame.{ending}"), np.zeros((5000, 5000, 3), np.uint8))  # 72 MiB when decoded
    done = f"""
import resource
from pathlib import Path
from mtl.data.frames import read_frame
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 60 * 2**20, -1))
try:
    read_frame(Path({str(tmp_path)!r}), "frame.{ending}")
except MemoryError:
    print("no memory")
"""
    told = subprocess.run([sys.executable, "-c", done], capture_output=True, text=True, check=True)
    assert told.stdout == "no memory\n"
