"""Frames decoded ahead, in order, whatever their sizes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mtl.data import decoding
from mtl.data.decoding import Decoder, usual_size
from mtl.errors import UserError

SIZE = (6, 8)


def draw(root: Path, number: int, size: tuple[int, int] = SIZE) -> str:
    """A frame whose red is its number."""
    image = np.zeros((*size, 3), np.uint8)
    image[..., 2] = number
    assert cv2.imwrite(str(root / f"{number}.png"), image)
    return f"{number}.png"


def read(root: Path, names: list[str], batch_size: int, threads: int) -> list[decoding.Batch]:
    decoder = Decoder(threads)
    try:
        return list(decoder.batches(root, pd.Series(names), SIZE, batch_size))
    finally:
        decoder.close()


@pytest.mark.parametrize("threads", [1, 3, 40])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_batches_are_full_and_in_order(tmp_path, batch_size, threads):
    names = [draw(tmp_path, i) for i in range(23)]
    found = read(tmp_path, names, batch_size, threads)
    assert [batch.size for batch in found[:-1]] == [batch_size] * (len(found) - 1)
    groups = [group for batch in found for group in batch.groups]
    assert np.concatenate([at for at, _ in groups]).tolist() == list(range(23))
    assert np.concatenate([images[:, 0, 0, 0] for _, images in groups]).tolist() == list(range(23))
    assert all(images.dtype == np.uint8 and images.shape[1:] == (*SIZE, 3) for _, images in groups)


def test_mixed_sizes_come_in_groups_and_bad_frames_with_their_reason(tmp_path):
    names = [draw(tmp_path, i, (6, 8) if i % 3 else (5, 5)) for i in range(10)]
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "6.png").write_bytes(b"no image")
    found = read(tmp_path, names, 5, 2)
    assert [batch.size for batch in found] == [5, 5]
    for batch in found:
        for at, images in batch.groups:
            assert images[:, 0, 0, 0].tolist() == at.tolist()
    assert [[at.tolist() for at, _ in batch.groups] for batch in found] == [[[2, 4], [0, 3]], [[5, 7, 8], [9]]]
    assert [(at, str(error)) for batch in found for at, error in batch.bad] == [
        (1, "empty"),
        (6, "not a PNG or JPEG image"),
    ]


def test_a_batch_of_bad_frames_only_has_no_group(tmp_path):
    found = read(tmp_path, ["a.png", "b.png"], 2, 2)
    assert found[0].groups == []
    assert [str(error) for _, error in found[0].bad] == ["missing", "missing"]


def test_decoding_runs_ahead_but_not_without_bound(tmp_path, monkeypatch):
    names = [draw(tmp_path, i) for i in range(60)]
    decoded = []
    real = decoding.read_frame
    monkeypatch.setattr(decoding, "read_frame", lambda root, path: decoded.append(path) or real(root, path))
    decoder = Decoder(2)
    coming = decoder.batches(tmp_path, pd.Series(names), SIZE, 4)
    next(coming)
    decoder._pool.submit(int).result()  # behind whatever was ordered
    decoder.close()
    assert 4 <= len(decoded) <= 16
    coming.close()


def test_large_frames_are_decoded_less_far_ahead(tmp_path, monkeypatch):
    names = [draw(tmp_path, i) for i in range(30)]
    monkeypatch.setattr(decoding, "AHEAD_BYTES", 1)
    decoder = Decoder(8)
    ordered = []
    real = decoder._pool.submit
    monkeypatch.setattr(decoder._pool, "submit", lambda *args: ordered.append(args) or real(*args))
    coming = decoder.batches(tmp_path, pd.Series(names), SIZE, 2)
    next(coming)
    assert len(ordered) == 2 * 2  # two batches, frame by frame
    coming.close()
    decoder.close()


def test_the_usual_size_is_that_of_most(tmp_path):
    names = [draw(tmp_path, i, (5, 5) if i in (0, 9) else SIZE) for i in range(20)]
    (tmp_path / "3.png").write_bytes(b"")
    assert usual_size(tmp_path, pd.Series(names), np.arange(20)) == SIZE
    assert usual_size(tmp_path, pd.Series(names), np.array([0, 9])) == (5, 5)
    with pytest.raises(UserError, match=r"None of 1 frames .* can be read: 3.png \(empty\)"):
        usual_size(tmp_path, pd.Series(names), np.array([3]))
