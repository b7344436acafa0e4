from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mtl.data.making import ASSUMED, EXTRACTION, MARKED, Making, how_made, made_alike
from mtl.errors import UserError


def tree(root: Path, sizes: dict[str, tuple[int, int]]) -> pd.DataFrame:
    """Frames of these (height, width) by path, and their table."""
    for path, size in sizes.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / path), np.full((*size, 3), 7, np.uint8))
    paths = list(sizes)
    return pd.DataFrame(
        {
            "path": paths,
            "class_name": [Path(path).parent.name for path in paths],
            "split": [Path(path).parts[-3].lower() for path in paths],
        }
    )


def mark(root: Path, height: int, width: int, **more: object) -> None:
    (root / EXTRACTION).parent.mkdir(parents=True, exist_ok=True)
    cut = {"step": 10, "width": width, "height": height}
    (root / EXTRACTION).write_text(json.dumps({"cut": cut, **more, "split_of": {}}), encoding="utf-8")


ALIKE = {f"Train/{name}/{name}_{i}.png": (6, 8) for name in ("Abuse", "Arson") for i in range(3)}


def test_without_a_marker_the_size_is_the_frames_own_and_the_interpolation_is_assumed(tmp_path):
    assert how_made(tmp_path, tree(tmp_path, ALIKE)) == Making(6, 8, "INTER_AREA", ASSUMED)


@pytest.mark.parametrize(
    ("more", "told"),
    [({"interpolation": "INTER_CUBIC"}, "INTER_CUBIC"), ({}, "INTER_AREA")],
    ids=["said", "a marker from before it was said"],
)
def test_the_marker_tells_the_interpolation(tmp_path, more, told):
    frames = tree(tmp_path, ALIKE)
    mark(tmp_path, 6, 8, **more)
    assert how_made(tmp_path, frames) == Making(6, 8, told, MARKED)


def test_a_marker_deeper_in_the_tree_is_found(tmp_path):
    frames = tree(tmp_path, {f"ucf/{path}": size for path, size in ALIKE.items()})
    mark(tmp_path / "ucf", 6, 8, interpolation="INTER_LINEAR")
    assert how_made(tmp_path, frames).interpolation == "INTER_LINEAR"


@pytest.mark.parametrize("said", ["INTER_NOTHING", "imread"])
def test_a_marker_that_names_no_interpolation_tells_nothing(tmp_path, said):
    frames = tree(tmp_path, ALIKE)
    mark(tmp_path, 6, 8, interpolation=said)
    assert how_made(tmp_path, frames) == Making(6, 8, "INTER_AREA", ASSUMED)


def test_a_marker_of_frames_of_another_size_tells_nothing(tmp_path):
    frames = tree(tmp_path, ALIKE)
    mark(tmp_path, 8, 6, interpolation="INTER_CUBIC")
    assert how_made(tmp_path, frames) == Making(6, 8, "INTER_AREA", ASSUMED)


def test_training_frames_of_several_sizes_have_none(tmp_path):
    frames = tree(tmp_path, ALIKE | {"Train/Normal/a_0.png": (4, 4)})
    assert how_made(tmp_path, frames) == Making(None, None, None, "")


def test_only_training_frames_count_and_a_bad_one_does_not(tmp_path):
    frames = tree(tmp_path, ALIKE | {"Test/Abuse/b_0.png": (4, 4)})
    (tmp_path / frames["path"][1]).write_bytes(b"")
    assert how_made(tmp_path, frames) == Making(6, 8, "INTER_AREA", ASSUMED)


def test_features_without_files_were_not_made_of_frames():
    assert how_made(None, pd.DataFrame()) is None


def test_a_large_table_is_looked_at_here_and_there_and_in_every_class(tmp_path, monkeypatch):
    from mtl.data import making

    read = []
    monkeypatch.setattr(making, "read_frame", lambda root, path: read.append(path) or np.zeros((6, 8, 3), np.uint8))
    names = ["Normal"] * 100_000 + ["Abuse"] * 2 + ["Arson"] * 100_000
    frames = pd.DataFrame({"path": [f"Train/{name}/{i}.png" for i, name in enumerate(names)], "class_name": names})
    making.how_made(tmp_path, frames.assign(split="train"))
    assert 64 <= len(read) <= 67
    assert "Train/Abuse/100000.png" in read


def test_a_frame_is_made_as_the_mean_of_the_pixels_it_takes_the_place_of():
    frame = np.zeros((4, 6, 3), np.uint8)
    frame[:2, :3] = (60, 0, 12)
    frame[0, 0] = (0, 0, 12)
    small = made_alike(frame[:, ::1], Making(2, 2, "INTER_AREA", ""))
    np.testing.assert_array_equal(small[0, 0], [50, 0, 12])  # five of six pixels hold 60 red
    assert not small[1:].any()
    assert not small[0, 1].any()


def test_a_frame_of_the_right_size_or_of_none_is_left_alone():
    frame = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    assert made_alike(frame, Making(4, 6, "INTER_AREA", "")) is frame
    assert made_alike(frame, Making(None, None, None, "")) is frame


def test_an_interpolation_that_opencv_lacks_is_refused():
    with pytest.raises(UserError, match=r"no interpolation 'INTER_NOTHING'; right would be one such as INTER_AREA"):
        Making(4, 6, "INTER_NOTHING", "")
