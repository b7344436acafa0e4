"""XD-Violence: several labels in a name, whole sources held out, the annotation of anomalous videos alone."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import TINY, call, predicted_alike, tracking_of
from test_video_reader import filmed

from mtl.data.temporal_truth import of_test_videos
from mtl.data.video_classes import XD_LABELS, XD_VIOLENCE
from mtl.data.xd_violence import XDViolence
from mtl.errors import UserError
from mtl.tasks import LabelTask

TRAIN = (
    "Bad.Boys.1995__#00-01-10_00-02-20_label_B2-0-0",
    "Bad.Boys.1995__#00-11-10_00-12-20_label_A",
    "v=Ab_3x__#1_label_G-B2-0",
    "v=Ab_3x__#2_label_A",
    "v=-kQ__#1_label_B1-0-0",
    "v=-kQ__#2_label_A",
    "v=zz9__#1_label_B6",
    "v=zz9__#2_label_A",
    "Old.Boy_label_x__#1_label_B1-0-0",
    "v=yyy__#1_label_A",
)
TEST = (
    "v=Ab_3x__#9_label_B2-B6-G",
    "v=qqq__#1_label_B4-0-0",
    "v=qqq__#2_label_A",
    "v=rrr__#3_label_A",
)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A release in small: twenty frames a video."""
    root = tmp_path_factory.mktemp("xd")
    for folder, names in (("1-1004", TRAIN), ("test_videos", TEST)):
        (root / folder).mkdir()
        for name in names:
            filmed(root / folder / f"{name}.mp4", n=20, size=(64, 48))
    (root / "annotations.txt").write_text(f"{TEST[0]} 0 4 12 40\n{TEST[1]}.mp4 8 9\n")
    return root


@pytest.fixture
def release(original, tmp_path):
    return shutil.copytree(original, tmp_path / "release")


def data(root, **changes):
    asked = {
        "labels": {}, "events": None, "fps": 24, "lists": {"train": None, "test": None}, "source": XD_VIOLENCE.source,
        "step": 4, "height": 16, "width": 16, "val_fraction": 0.3, "split_seed": 0, "max_frames_per_video": None,
        "max_train_frames": None, "max_test_frames": None, "frames_dir": str(root.parent / "kept"), "max_gib": 1.0,
        "workers": 2, "max_bad_share": 0.2,
    }  # fmt: skip
    return XDViolence(str(root), **(asked | changes))


def split_of(frames):
    return frames.drop_duplicates("video").astype({"video": str, "split": str}).set_index("video")["split"]


@pytest.mark.parametrize(
    ("video", "class_name"),
    [
        ("v=Ab__#1_label_B1-0-0", "B1"),
        ("v=Ab__#1_label_G-B6-B2", "B2-B6-G"),
        ("v=Ab__#1_label_B6", "B6"),
        ("Old_label_B1__#1_label_A", "Normal"),
        ("v=Ab__#1_label_A-B1", None),
        ("v=Ab__#1_label_B3-0-0", None),
        ("v=Ab__#1_label_0-0-0", None),
        ("v=Ab__#1_label_", None),
        ("v=Ab__#1", None),
    ],
)
def test_the_text_after_the_last_mark_is_the_set_of_labels(video, class_name):
    assert XD_VIOLENCE.class_of(video) == class_name
    assert class_name is None or class_name in XD_VIOLENCE.classes


def test_every_set_of_one_to_three_labels_is_a_class_and_a_task_per_label_loses_none():
    assert len(XD_VIOLENCE.classes) == 6 + 15 + 20 + 1
    frames = pd.DataFrame({"class_name": list(XD_VIOLENCE.classes)})
    answers = {label: LabelTask([label]).targets(frames) for label in XD_LABELS}
    for row, name in enumerate(XD_VIOLENCE.classes):
        assert {label for label in XD_LABELS if answers[label][row]} == set(name.split("-")) - {"Normal"}
    anything = LabelTask(XD_LABELS).targets(frames)
    assert anything.tolist() == [1] * 41 + [0]


def test_a_task_of_labels_refuses_unknown_ones_and_all_classes():
    with pytest.raises(UserError, match=re.escape("lacks: ['B3']")):
        LabelTask(["B3"]).check(XD_VIOLENCE.classes)
    with pytest.raises(UserError, match="no frame would be a no"):
        LabelTask(["B1", "Normal"]).check(["B1", "B1-G", "Normal"])
    LabelTask(["B1"]).check(["B1", "B1-G", "Normal"])


def test_frames_have_the_labels_of_their_names_and_the_splits_of_the_folders(original):
    frames = data(original).frames()
    assert frames["frame"].unique().tolist() == [0, 4, 8, 12, 16]
    classes = frames.drop_duplicates("video").set_index("video")["class_name"]
    assert classes[TRAIN[2]] == "B2-G"
    assert classes[TEST[0]] == "B2-B6-G"
    assert classes[TRAIN[6]] == "B6"
    found = split_of(frames)
    assert set(found.index[found == "test"]) == set(TEST)
    assert (found == "val").sum()
    assert (found == "train").sum()


@pytest.mark.parametrize("seed", range(4))
def test_a_source_is_held_out_as_a_whole_and_those_that_test_has_too_are_said(original, caplog, seed):
    found = split_of(data(original, split_seed=seed).frames())
    sources = {split: {name.split("__")[0] for name in found.index[found == split]} for split in ("train", "val")}
    assert not sources["train"] & sources["val"]
    assert "1 of 3 sources of test have videos in train too, such as 'v=Ab_3x'" in caplog.text


def test_normal_test_videos_count_although_the_annotation_leaves_them_out(original):
    one = data(original)
    events = of_test_videos(one.temporal_truth(), one.frames())
    assert events.intervals == {TEST[0]: ((0, 4), (12, 40)), TEST[1]: ((8, 9),), TEST[2]: (), TEST[3]: ()}
    inside = events.frames_inside([TEST[0]] * 5, np.array([0, 4, 8, 12, 16]))
    assert inside.tolist() == [1, 0, 0, 1, 1]


def test_lists_tell_the_split_whatever_their_form(release):
    told = split_of(data(release).frames())
    test = release / "test.txt"
    for line in ("{}", "videos/{}.mp4", "{},1", "{}__0.npy\nfeatures/{}__1.npy,1"):
        test.write_text("".join(line.replace("{}", name) + "\n" for name in TEST))
        assert split_of(data(release, lists={"train": None, "test": str(test)}).frames()).equals(told)


def no_label(root):
    (root / "1-1004" / f"{TRAIN[0]}.mp4").rename(root / "1-1004" / "v=Ab__#1.mp4")
    return {}


def unknown_in_a_list(root):
    (root / "train.txt").write_text(f"{TRAIN[0]}\n\nv=other__#1_label_A.mp4\n")
    return {"lists": {"train": str(root / "train.txt"), "test": None}}


def in_both_lists(root):
    (root / "train.txt").write_text(f"{TRAIN[0]}\n{TEST[0]}\n")
    (root / "test.txt").write_text(f"{TEST[0]}\n")
    return {"lists": {"train": str(root / "train.txt"), "test": str(root / "test.txt")}}


def untold(root):
    (root / "1-1004").rename(root / "things")
    return {}


def there_twice(root):
    shutil.copy(root / "1-1004" / f"{TRAIN[0]}.mp4", root / "test_videos")
    return {}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_label, "v=Ab__#1.mp4: the name tells no class of XD-Violence; right would be up to 3 of B1, B2"),
        (unknown_in_a_list, "train.txt:3: 'v=other__#1_label_A' is no video below"),
        (in_both_lists, f"test.txt:1: '{TEST[0]}' is there already, in "),
        (untold, "Nothing tells the split of 10 videos, such as"),
        (there_twice, f"Two videos have the name '{TRAIN[0]}'"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_decoded(release, spoil, said):
    with pytest.raises(UserError, match=re.escape(said)) as error:
        data(release, **spoil(release)).check()
    assert "\n" not in str(error.value)
    assert not (release.parent / "kept").exists()


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_run_has_a_score_for_every_label_and_average_precision_by_events(tmp_path, original):
    words = ("data=xd_violence", f"data.root={original}", "tasks=xd_violence", "main_task=xd_anomaly", "data.step=4")
    tiny = [word for word in TINY if not word.startswith("data.")]
    done = call(tmp_path, *words, "data.val_fraction=0.4", *tiny)
    assert done.returncode == 0, done.stderr[-3000:]
    tracking = tracking_of(tmp_path)
    (run,) = tracking.runs()
    predictions = pd.read_parquet(tracking.download(run.id, "predictions.parquet"))
    tasks = {"xd_anomaly", "xd_fighting", "xd_shooting", "xd_riot", "xd_abuse", "xd_car_accident", "xd_explosion"}
    assert {f"target/{name}" for name in tasks} <= set(predictions)
    row = predictions[predictions["video"] == TEST[0]].iloc[0]
    positive = {name for name in tasks if row[f"target/{name}"] == 1}
    assert positive == {"xd_anomaly", "xd_shooting", "xd_car_accident", "xd_explosion"}
    assert run.metrics["event_videos/annotated"] == 4
    assert run.metrics["event_frames/scored"] == 4 * 5
    assert run.metrics["event_frames/inside"] == 3 + 1  # frames 0, 12 and 16, and frame 8
    assert 0 < run.metrics["average_precision_event/xd_anomaly"] <= 1
    events = ("--events", str(original / "annotations.txt"))
    assert predicted_alike(tmp_path, original / "test_videos", predictions, *events) == sorted(TEST)
