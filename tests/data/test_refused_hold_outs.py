"""What is advised where no video can be held out: only keys and folders that the data set has."""

from __future__ import annotations

import re
from pkgutil import resolve_name

import numpy as np
import pytest
import yaml
from conftest import ROOT
from test_video_reader import filmed

from mtl.errors import UserError

ANOMALOUS, NORMAL = "v=aa__#1_label_B1-0-0", "v=bb__#1_label_A"
SETS = {  # files of one training video per class, and test videos
    "xd_violence": (f"Train/{ANOMALOUS}.mp4", f"Train/{NORMAL}.mp4", "Test/v=cc__#1_label_A.mp4"),
    "shanghaitech": ("training/videos/01_001.avi", "training/videos/01_0014.avi", "training/videos/02_003.avi"),
    "ucf_crime_videos": (
        "Train/Arson/Arson001_x264.mp4", "Train/Normal/Normal_Videos001_x264.mp4", "Test/Arson/Arson002_x264.mp4",
    ),
    "ucf_crime": (
        "Train/Arson/Arson001_x264_0.png", "Train/Normal/Normal_Videos001_x264_0.png",
        "Test/Arson/Arson002_x264_0.png",
    ),
    "class_folders": ("train/fight/a.mp4", "train/none/b.mp4", "test/fight/c.mp4"),
    "feature_files": ("Arson001_x264.npy", "Normal_Videos001_x264.npy", "Arson002_x264.npy"),
}  # fmt: skip
SAID = {
    "xd_violence": "Right would be more of them, or, where no list tells the splits, a folder 'Val' beside 'Train'.",
    "shanghaitech": "Right would be more of them.",
    "ucf_crime_videos": "video of a class, or, where no list tells the splits, a folder 'Val' beside 'Train'.",
    "ucf_crime": "video of a class, a folder 'Val' beside 'Train', or data.annotations.val=FILE.",
    "class_folders": "Right would be more of them.",
    "feature_files": "Right would be a second training video of a class.",
}
LISTS = {
    "shanghaitech": ("01_001\n01_0014\n", "02_003\n"),
    "feature_files": ("Arson001_x264.mp4\nNormal_Videos001_x264.mp4\n", "Arson002_x264.mp4\n"),
}


def made(name, root):
    """The data set by its own yaml, on a tree of one training video per class."""
    for file in SETS[name]:
        path = root / "data" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy":
            np.save(path, np.ones((3, 4), np.float32))
        elif path.suffix == ".png":
            path.touch()
        else:
            filmed(path, n=4, size=(32, 24))
    keys = yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text(encoding="utf-8"))
    target = resolve_name(keys.pop("_target_"))
    own = {"root": str(root / "data"), "frames_dir": str(root / "kept"), "digests_dir": str(root / "digests")}
    own |= {"max_gib": 1.0, "workers": 1, "max_bad_share": 0.0, "events": None}
    if name in LISTS:
        for split, text in zip(("train", "test"), LISTS[name], strict=True):
            (root / split).write_text(text, encoding="utf-8")
        own["lists"] = {split: str(root / split) for split in ("train", "test")}
    return target(**(keys | {key: value for key, value in own.items() if key in keys})), keys


@pytest.mark.parametrize("name", SETS)
def test_the_advice_is_of_the_data_sets_own_keys(tmp_path, name):
    data, keys = made(name, tmp_path)
    with pytest.raises(UserError, match="No val.* video can be held out of train") as raised:
        data.frames()
    said = str(raised.value)
    assert said.endswith(SAID[name])
    assert set(re.findall(r"data\.(\w+)", said)) <= set(keys)
    assert "\n" not in said


@pytest.mark.parametrize("name", ["xd_violence", "ucf_crime_videos"])
def test_a_folder_of_validation_videos_is_what_is_right(tmp_path, name):
    data, _ = made(name, tmp_path)
    file = tmp_path / "data" / SETS[name][0].replace("Train/", "Val/").replace("001", "009").replace("aa", "dd")
    file.parent.mkdir(parents=True)
    filmed(file, n=4, size=(32, 24))
    assert set(data.frames()["split"]) == {"train", "val", "test"}
