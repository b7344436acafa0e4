"""Feature files of XD-Violence and ShanghaiTech: their names tell class, crop and source."""

from __future__ import annotations

import re

import numpy as np
import pytest
from omegaconf import OmegaConf
from test_data_feature_files import dataset

from mtl.config.renamed import of_today
from mtl.data.feature_names import video_and_crop
from mtl.data.temporal_truth import of_test_videos
from mtl.errors import UserError

XD_TRAIN = [f"v=id{i}__#{j}_label_{label}" for i in range(4) for j, label in enumerate(("B1-0-0", "G-B2-0", "A"))]
XD_TEST = ["v=id0__#9_label_B2-B6-G", "Bad.Boys.1995__#00-01_00-02_label_A", "Arson2.2015__#1_label_A"]
SH_TRAIN = ["01_001", "01_002", "01_0014", "01_0015", "03_003"]
SH_TEST = ["01_0010", "01_003"]


def save(root, names, crops):
    for name in names:
        for crop in range(crops):
            array = np.random.default_rng(len(name) + crop).normal(size=(4, 3)).astype(np.float32)
            np.save(root / (f"{name}__{crop}.npy" if crops > 1 else f"{name}_i3d.npy"), array)


def write_list(file, lines):
    file.write_text("".join(f"{line}\n" for line in lines))
    return str(file)


@pytest.fixture
def xd(tmp_path):
    """Five crops a video, listed as files with their labels."""
    root = tmp_path / "xd"
    root.mkdir()
    save(root, XD_TRAIN + XD_TEST, crops=5)
    lists = {
        split: write_list(
            tmp_path / f"{split}.csv", ["path,label", *(f"{n}__{c}.npy,x" for n in names for c in (0, 1))]
        )
        for split, names in (("train", XD_TRAIN), ("test", XD_TEST))
    }
    return root, {"names": "xd_violence", "lists": lists}


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("v=Ab__#1_label_B1-0-0__4.npy", ("v=Ab__#1_label_B1-0-0", 4)),
        ("RGB/Bad.Boys.1995__#00_label_A.npy", ("Bad.Boys.1995__#00_label_A", 0)),
        ("Arson2.2015__#1_label_A__0.npy", ("Arson2.2015__#1_label_A", 0)),
        ("01_0014_i3d.npy", ("01_0014", 0)),
        ("01_001__3.npy", ("01_001", 3)),
    ],
)
def test_names_tell_video_and_crop(file, found):
    assert video_and_crop(file) == found


def test_features_of_xd_violence_have_its_labels_crops_and_whole_sources_held_out(xd):
    root, settings = xd
    frames = dataset(root, crops="all", **settings).frames()
    assert frames["crop"].unique().tolist() == [0, 1, 2, 3, 4]
    videos = frames.drop_duplicates("video").set_index("video").astype(str)
    assert videos["class_name"]["v=id0__#1_label_G-B2-0"] == "B2-G"
    assert set(videos.index[videos["split"] == "test"]) == set(XD_TEST)
    sources = {split: {name.split("__")[0] for name in own.index} for split, own in videos.groupby("split")}
    assert sources["val"]
    assert not sources["val"] & sources["train"]


def test_normal_test_videos_of_xd_violence_count_although_the_annotation_leaves_them_out(xd, tmp_path):
    root, settings = xd
    one = dataset(root, events=write_list(tmp_path / "annotations.txt", [f"{XD_TEST[0]} 3 20"]), **settings)
    events = of_test_videos(one.temporal_truth(), one.frames())
    assert events.intervals == {XD_TEST[0]: ((3, 20),), XD_TEST[1]: (), XD_TEST[2]: ()}


def test_lists_of_shanghaitech_need_no_endings(tmp_path):
    root = tmp_path / "sh"
    root.mkdir()
    save(root, SH_TRAIN + SH_TEST, crops=1)
    lists = {
        split: write_list(tmp_path / f"{split}.txt", [f"{name},{int(len(name) == 7)}" for name in names])
        for split, names in (("train", SH_TRAIN), ("test", SH_TEST))
    }
    frames = dataset(root, names="shanghaitech", lists=lists).frames()
    videos = frames.drop_duplicates("video").set_index("video").astype(str)
    assert set(videos.index[videos["class_name"] == "Anomaly"]) == {"01_0014", "01_0015", "01_0010"}
    assert set(videos.index[videos["split"] == "test"]) == set(SH_TEST)


def test_the_right_setting_is_said_where_names_are_those_of_another_data_set(xd):
    root, settings = xd
    said = f"'{min(XD_TRAIN + XD_TEST)}' "
    with pytest.raises(UserError, match=re.escape(said) + ".*tells no class of UCF-Crime; right.*names=xd_violence."):
        dataset(root, **(settings | {"names": "ucf_crime"})).frames()


def test_a_stored_config_without_names_is_of_ucf_crime():
    stored = OmegaConf.create({"data": {"_target_": "mtl.data.feature_files.FeatureFiles"}})
    assert of_today(stored).data.names == "ucf_crime"
