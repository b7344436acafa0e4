from __future__ import annotations

import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, call, predicted_alike
from omegaconf import OmegaConf
from test_video_reader import filmed

from mtl.config.check import name_classes
from mtl.data.class_folders import ClassFolders
from mtl.data.frame_table import TEXT
from mtl.data.frames import read_frame
from mtl.errors import UserError

CONF = yaml.safe_load((ROOT / "conf" / "data" / "class_folders.yaml").read_text(encoding="utf-8"))
TINY = ("training.epochs=1", "evaluation.resamples=50", "relations=[]", "gradient_measurements.batches=0")


def grow(root, *paths):
    """Empty files: nothing here looks into them."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def in_folders(*classes, videos=10, frames=3, above=""):
    """A folder per video: Class/Class_0/0005.jpg."""
    return [f"{above}{c}/{c}_{v}/{5 * f:04d}.jpg" for c in classes for v in range(videos) for f in range(frames)]


def data(root, **changes):
    """The data set with the settings of conf, which `changes` override."""
    own = {"frames_dir": str(root.parent / "kept"), "max_gib": 1.0, "workers": 2, "max_bad_share": 0.2}
    return ClassFolders(
        **{key: value for key, value in CONF.items() if key != "_target_"} | own | {"root": str(root)} | changes
    )


def videos(frames, split):
    return set(frames.loc[frames["split"] == split, "video"].astype(str))


def refused(match, root, **changes):
    with pytest.raises(UserError, match=match) as caught:
        data(root, **changes).frames()
    assert "\n" not in str(caught.value)


@pytest.fixture
def two(tmp_path):
    return grow(tmp_path / "two", *in_folders("Violence", "NonViolence"))


# layouts


def test_folders_of_classes_alone_give_three_splits_of_whole_videos(two):
    frames = data(two).frames()
    assert list(frames.columns) == ["path", "class_name", "video", "frame", "split"]
    assert frames["path"].dtype == TEXT
    assert frames["frame"].dtype == np.int32
    assert list(frames["class_name"].cat.categories) == ["Normal", "Violence"]
    counts = frames.groupby(["split", "class_name"], observed=False)["video"].nunique()
    assert counts.tolist() == [7, 7, 1, 1, 2, 2]
    assert not videos(frames, "train") & (videos(frames, "val") | videos(frames, "test"))
    ordered = frames.sort_values(["split", "class_name", "video", "frame"], ignore_index=True)
    pd.testing.assert_frame_equal(frames, ordered)
    assert sorted(frames.loc[frames["video"] == "Violence_3", "frame"]) == [0, 5, 10]


def test_the_order_in_which_files_are_made_changes_no_number(tmp_path):
    paths = in_folders("a", "b", "c")
    tables = []
    for number, order in enumerate((paths, paths[::-1], list(np.random.default_rng(0).permutation(paths)))):
        tables.append(data(grow(tmp_path / str(number), *order)).frames())
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other)


def test_folders_of_splits_are_taken_and_what_they_lack_is_held_out(tmp_path):
    grow(tmp_path, *in_folders("Fight", "NonFight", above="training/"))
    grow(tmp_path, *[p.replace("_", "_v") for p in in_folders("Fight", "NonFight", above="VALID/", videos=2)])
    frames = data(tmp_path).frames()
    assert len(videos(frames, "test")) == 4  # a fifth of ten videos of each class
    assert videos(frames, "val") == {"Fight_v0", "Fight_v1", "NonFight_v0", "NonFight_v1"}
    grow(tmp_path, "Test/Fight/t/1.jpg", "Test/NonFight/n/1.jpg")
    frames = data(tmp_path).frames()
    assert videos(frames, "test") == {"t", "n"}
    assert len(videos(frames, "train")) == 20


def test_a_missing_class_in_a_split_is_said(tmp_path, caplog):
    grow(tmp_path, *in_folders("a", "b", above="Train/"), "Test/a/x/1.png")
    data(tmp_path).frames()
    assert "No frame of b in test." in caplog.messages


def test_a_video_in_two_splits_is_refused(tmp_path):
    grow(tmp_path, *in_folders("a", "b", above="Train/"), "Test/a/a_3/1.png", "Test/b/x/1.png")
    refused("Video 'a_3' is in train/a and in test/a", tmp_path)


def test_many_classes_keep_their_own_names(tmp_path):
    names = [f"class {i:03d}" for i in range(150)]
    grow(tmp_path, *in_folders(*names, videos=3, frames=1))
    found = data(tmp_path)
    frames = found.frames()
    assert found.classes == tuple(names)
    assert (frames["path"].str.partition("/")[0] == frames["class_name"].astype(str)).all()


def test_images_that_no_class_folder_holds_are_said(two, caplog):
    grow(two, "cover.png")
    data(two).frames()
    assert f"1 images in {two} itself are in no class folder and are passed over." in caplog.messages


# what a video is


def test_names_say_video_and_frame_as_in_ucf_crime(tmp_path):
    grow(tmp_path, *[f"{c}/part{v % 2}/{c}{v}_x264_{10 * f}.png" for c in "ab" for v in range(6) for f in range(2)])
    frames = data(tmp_path).frames()
    assert set(frames["video"]) == {f"{c}{v}_x264" for c in "ab" for v in range(6)}
    assert set(frames["frame"]) == {0, 10}


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["frame12_x.jpg", "frame3_x.jpg"], [12, 3]),
        (["a1.jpg", "b1.jpg"], [0, 1]),  # one number for two
        (["b.jpg", "a.jpg"], [1, 0]),
        (["20240101120000.jpg", "20240101120001.jpg"], [0, 1]),
    ],
)
def test_a_frame_is_the_number_in_its_name_else_its_place(tmp_path, names, numbers):
    grow(tmp_path, *in_folders("a", "b"), *[f"a/odd/{name}" for name in names])
    frames = data(tmp_path).frames()
    odd = frames[frames["video"] == "odd"]
    assert dict(zip(odd["path"].str.rpartition("/")[2], odd["frame"], strict=True)) == dict(
        zip(names, numbers, strict=True)
    )


def test_single_images_are_videos_and_that_is_said(tmp_path, caplog):
    grow(tmp_path, *[f"{c}/{c}{i}.jpg" for c in "ab" for i in range(10)])
    frames = data(tmp_path).frames()
    assert len(videos(frames, "train")) == 14
    assert sum("Every image is a video of its own" in message for message in caplog.messages) == 1


def test_class_folders_that_disagree_are_refused_with_what_was_found_where(tmp_path):
    grow(tmp_path, *in_folders("a"), *[f"b/b{v}_{f}.png" for v in range(5) for f in range(4)])
    right = (
        r"'a' holds 30 images in a folder of their own \(folder\), 'b' holds 20 images named <video>_<frame> \(name\)"
    )
    refused(right, tmp_path)
    refused("30 of 50 images .* cannot be used.* data.video=name does not fit", tmp_path, video="name")
    grow(tmp_path, "b/one/1.png")
    assert data(tmp_path, video="file").frames()["video"].nunique() == 51


def test_a_few_images_beside_the_rule_are_skipped_and_said_but_never_a_whole_split(tmp_path, caplog):
    grow(tmp_path, *in_folders("a", "b", above="Train/"), "Train/a/cover.png", "Test/a/x/1.png", "Test/b/y/1.png")
    found = data(tmp_path)
    assert len(found.frames()) == 62
    assert found.skipped["path"].tolist() == ["Train/a/cover.png"]
    assert "1 of 63 images" in caplog.text
    (tmp_path / "Test" / "a" / "x" / "1.png").rename(tmp_path / "Test" / "a" / "1.png")
    (tmp_path / "Test" / "b" / "y" / "1.png").rename(tmp_path / "Test" / "b" / "1.png")
    grow(tmp_path, *in_folders("c", "d", frames=9, above="Train/"))
    refused("Split 'test' has no frame: no image of its folder", tmp_path, video="folder")


def test_videos_of_one_name_in_two_classes_are_told_apart_and_stay_together(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    grow(tmp_path, *[f"{c}/{v}/{f}.png" for c in "ab" for v in range(10) for f in range(2)])
    frames = data(tmp_path).frames()
    assert len(set(frames["video"])) == 20
    for split in ("val", "test"):
        found = videos(frames, split)
        assert {f"{'b' if name[0] == 'a' else 'a'}{name[1:]}" for name in found} == found
    assert any("same names" in message for message in caplog.messages)


def test_an_image_beside_folders_is_no_video_where_names_are_told_by_class(tmp_path):
    grow(tmp_path, *[f"{c}/{v}/{f}.png" for c in "ab" for v in range(20) for f in range(3)], "a/x.png", "b/x.png")
    found = data(tmp_path)
    frames = found.frames()
    assert sorted(found.skipped["path"]) == ["a/x.png", "b/x.png"]
    assert set(frames["video"]) == {f"{c}/{v}" for c in "ab" for v in range(20)}


# splits


@pytest.mark.parametrize("form", ["video", "folder", "image", "mp4", "csv"])
def test_a_file_says_the_splits(two, tmp_path, form):
    names = {p.partition("/")[2].partition("/")[0]: p for p in in_folders("Violence", "NonViolence")}
    written = {
        "video": list(names),
        "csv": list(names),
        "folder": [p.rpartition("/")[0] for p in names.values()],
        "image": list(names.values()),
        "mp4": [f"somewhere\\{name}.mp4" for name in names],
    }[form]
    split = [("Train", "TEST", "validation")[min(int(name[-1]) // 4, 2)] for name in names]
    if form == "csv":
        text = "split,video\r\n" + "".join(f"{s}, {w}\r\n" for w, s in zip(written, split, strict=True))
    else:
        text = "\ufeff" + "".join(f"{w} {s}\n\n" for w, s in zip(written, split, strict=True))
    file = tmp_path / f"splits.{'csv' if form == 'csv' else 'txt'}"
    file.write_text(text, encoding="utf-8")
    frames = data(two, split_file=str(file)).frames()
    assert videos(frames, "test") == {f"{c}_{v}" for c in ("Violence", "NonViolence") for v in range(4, 8)}
    assert videos(frames, "val") == {f"{c}_{v}" for c in ("Violence", "NonViolence") for v in (8, 9)}
    reordered = text.split("\n")
    file.write_text("\n".join(reordered[:1] + reordered[:0:-1]), encoding="utf-8")
    pd.testing.assert_frame_equal(frames, data(two, split_file=str(file)).frames())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("Violence_0 train", "Violenc_0 train"),
            r"1 of 20 names are no video of data.root, such as 'Violenc_0' \(line 1\)",
        ),
        (("Violence_0 train\n", ""), "1 of 20 videos of data.root have no line, such as 'Violence_0'"),
        (("Violence_0 train", "Violence_0 tran"), "s.txt:1: 'tran' is no split; right would be lines"),
        (("Violence_1 train", "Violence_0 test"), "s.txt:2: 'Violence_0' is in test, but its video 'Violence_0' is in"),
        (("train", "test"), "no video is in train"),
    ],
)
def test_a_wrong_file_of_splits_is_one_line(two, tmp_path, change, message):
    lines = "".join(f"{c}_{v} train\n" for c in ("Violence", "NonViolence") for v in range(10))
    (tmp_path / "s.txt").write_text(lines.replace(*change, 1 if change[0] != "train" else -1), encoding="utf-8")
    refused(message, two, split_file=str(tmp_path / "s.txt"))


def test_a_file_of_splits_beside_folders_of_splits_is_refused(tmp_path):
    grow(tmp_path, *in_folders("a", "b", above="Train/"), "s.txt")
    refused(
        r"data.split_file: is given, but .* has folders of splits \(train\)",
        tmp_path,
        split_file=str(tmp_path / "s.txt"),
    )
    refused("data.split_file: there is no file", tmp_path, split_file=str(tmp_path / "no.txt"))


def test_all_videos_of_a_source_share_a_split(tmp_path, caplog):
    grow(
        tmp_path, *[f"{c}/film{s}__{c}{k}/{f}.jpg" for c in "ab" for s in range(10) for k in range(3) for f in range(2)]
    )
    frames = data(tmp_path, source="^(.*?)__").frames()
    film = frames["video"].astype(str).str.partition("__")[0]
    assert (frames.groupby(film)["split"].agg(lambda found: len(set(found))) == 1).all()
    assert set(frames["split"]) == {"train", "val", "test"}
    alone = data(tmp_path).frames()
    assert (alone.groupby(film.to_numpy())["split"].agg(lambda found: len(set(found))) > 1).any()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "is no regular expression"), ("a", "has 0 groups; right would be one"), ("^(zz)", "fits none of 20 videos")],
)
def test_a_wrong_pattern_of_sources_is_one_line(two, pattern, message):
    refused(f"data.source: .*{message}", two, source=pattern)


def test_given_splits_that_share_a_source_are_said(tmp_path, caplog):
    grow(tmp_path, *[f"Train/{c}/s{i}__{c}/1.jpg" for c in "ab" for i in range(5)])
    grow(tmp_path, "Test/a/s0__t/1.jpg", "Test/b/s9__t/1.jpg")
    data(tmp_path, source="^(.*?)__").frames()
    assert "1 of 2 sources of test have videos in train too, such as 's0'." in caplog.messages


def test_a_single_video_per_class_cannot_be_held_out(tmp_path):
    grow(tmp_path, *[f"{c}/frame{c}_{i}.png" for c in "ab" for i in range(5)])
    refused("No test video can be held out .*'framea'.*data.video=file", tmp_path)


# classes


@pytest.mark.parametrize(
    "name", ["Normal", "NormalVideos", "NonViolence", "nonviolence", "no_fight", "NoFight", "non-violent"]
)
def test_the_normal_class_is_known_by_its_name(tmp_path, name):
    grow(tmp_path, *in_folders("Violence", "Nothing", "Abnormal", name))
    found = data(tmp_path)
    assert found.classes == ("Abnormal", "Normal", "Nothing", "Violence")
    assert found.other_names == ({} if name == "Normal" else {name: "Normal"})


def test_the_normal_class_can_be_said_and_its_lack_is(tmp_path, caplog):
    grow(tmp_path, *in_folders("calm", "riot"))
    found = data(tmp_path)
    found.frames()
    assert found.classes == ("calm", "riot")
    assert "No class is the normal one" in caplog.text
    assert data(tmp_path, normal="calm").classes == ("Normal", "riot")
    refused(r"data.normal: there is no class folder 'clam'. Did you mean 'calm'\?", tmp_path, normal="clam")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "holds no class folder"),
        (["a/x/1.png"], "holds a single class, 'a'"),
        (["a/x/1.png", "A/y/1.png"], "'A' and 'a' .* differ by letter case"),
        (["a/x/1.png", "b/readme.txt"], "b holds no .png or .jpg or .jpeg file."),
        (["a/x/1.png", "b/v.mp4"], "a holds images, .*b only videos"),
        (["a/x/1.png", "b & c/1/1.png"], "Class folder 'b & c' .* is no name"),
        (["a/train/1.png", "b/test/1.png"], "splits lie within a class"),
        (["test/a/1/1.png", "test/b/1/1.png"], "holds 'test', but no 'Train'"),
    ],
)
def test_folders_that_are_no_classes_are_one_line(tmp_path, paths, message):
    (tmp_path / "root").mkdir()
    refused(message, grow(tmp_path / "root", *paths))


def test_a_name_in_another_unicode_form_is_the_same_class(tmp_path):
    grow(tmp_path, *in_folders("Pru\u0308gelei", "Ruhe"))
    found = data(tmp_path)
    assert found.classes == ("Pr\u00fcgelei", "Ruhe")
    assert all((tmp_path / path).is_file() for path in found.frames()["path"])


def test_a_root_that_is_not_there_is_one_line(tmp_path):
    refused("data.root is not there", tmp_path / "no")


def test_a_link_back_up_is_refused(two):
    (two / "Violence" / "loop").symlink_to(two / "Violence")
    refused("loop is a link to .*, which it lies in", two)


# tasks


def test_tasks_leave_their_classes_to_the_data_and_may_use_the_folders_name(two):
    tasks = OmegaConf.create(
        {
            "any": {"_target_": "mtl.tasks.BinaryTask", "classes": None, "unlabelled": []},
            "which": {"_target_": "mtl.tasks.CategoricalTask", "classes": None, "unlabelled": []},
            "own": {"_target_": "mtl.tasks.CategoricalTask", "classes": ["Violence", "NonViolence"]},
        }
    )
    name_classes(tasks, data(two))
    assert [list(node.classes) for node in tasks.values()] == [
        ["Violence"],
        ["Normal", "Violence"],
        ["Violence", "Normal"],
    ]


def test_without_a_normal_class_any_anomaly_is_refused(tmp_path):
    grow(tmp_path, *in_folders("calm", "riot"))
    tasks = OmegaConf.create({"any": {"_target_": "mtl.tasks.BinaryTask", "classes": None, "unlabelled": []}})
    with pytest.raises(UserError, match="Task 'any' asks for every class but the normal one.*data.normal=CLASS"):
        name_classes(tasks, data(tmp_path))


def paint(root: Path) -> Path:
    """Small real images in two classes, of ten videos each."""
    rng = np.random.default_rng(0)
    for path in in_folders("Violence", "NonViolence"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / path), rng.integers(0, 90 if path[0] == "V" else 255, (16, 16, 3)).astype(np.uint8))
    return root


# videos


@pytest.fixture(scope="module")
def filmed_ones(tmp_path_factory):
    """Ten short videos in each of two folders."""
    root = tmp_path_factory.mktemp("filmed") / "mine"
    for name, n in (("violence", 10), ("no_violence", 10)):
        (root / name).mkdir(parents=True)
        for i in range(n):
            filmed(root / name / f"{name}_{i}.mp4", n=24, size=(32, 32))
    return root


def test_a_folder_of_videos_is_a_class_and_every_video_is_whole_in_one_split(filmed_ones, caplog):
    caplog.set_level(logging.INFO)
    found = data(filmed_ones, step=5, height=16, width=16)
    frames = found.frames()
    assert list(frames.columns) == ["path", "class_name", "video", "frame", "split"]
    counts = frames.groupby(["split", "class_name"], observed=False)["video"].nunique()
    assert counts.tolist() == [7, 7, 1, 1, 2, 2]
    assert frames.loc[frames["video"] == "violence_3", "frame"].tolist() == [0, 5, 10, 15, 20]
    path = frames.loc[(frames["video"] == "violence_3") & (frames["frame"] == 15), "path"].item()
    assert path == "violence/violence_3.mp4#15"
    assert read_frame(found.root, path).shape == (16, 16, 3)
    assert not videos(frames, "train") & (videos(frames, "val") | videos(frames, "test"))
    again = data(filmed_ones, step=5, height=16, width=16)
    pd.testing.assert_frame_equal(again.frames(), frames)
    assert "20 videos are decoded already" in caplog.text


def test_a_file_says_the_splits_of_videos_by_file_or_name(filmed_ones, tmp_path):
    names = sorted(file.relative_to(filmed_ones).as_posix() for file in filmed_ones.glob("*/*.mp4"))
    words = ["test", "val", *["train"] * 8] * 2
    tables = []
    for form in (lambda name: name, lambda name: name.rpartition("/")[2], lambda name: Path(name).stem):
        file = tmp_path / "splits.txt"
        file.write_text("".join(f"{form(name)} {word}\n" for name, word in zip(names, words, strict=True)))
        tables.append(data(filmed_ones, step=8, split_file=str(file)).frames())
        assert videos(tables[-1], "test") == {"violence_0", "no_violence_0"}
        pd.testing.assert_frame_equal(tables[-1], tables[0])


def test_folders_of_splits_hold_videos_too_and_names_of_two_classes_are_told_apart(filmed_ones, tmp_path):
    root = tmp_path / "split"
    for i, split in enumerate(("train", "train", "train", "val", "test")):
        for name in ("violence", "no_violence"):
            (root / split / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(filmed_ones / name / f"{name}_{i}.mp4", root / split / name / f"clip{i}.mp4")
    frames = data(root, step=8).frames()
    assert videos(frames, "test") == {"violence/clip4", "Normal/clip4"}
    assert videos(frames, "val") == {"violence/clip3", "Normal/clip3"}


def test_a_video_that_does_not_decode_is_left_out_with_its_reason(filmed_ones, tmp_path, caplog):
    root = shutil.copytree(filmed_ones, tmp_path / "mine")
    (root / "violence" / "violence_0.mp4").write_bytes(b"no video")
    found = data(root, step=8)
    assert "violence_0" not in set(found.frames()["video"])
    assert found.skipped["path"].tolist() == ["violence/violence_0.mp4"]
    assert "Video violence/violence_0.mp4 is left out:" in caplog.text
    refused("1 of 20 videos of .* are bad, more than data.max_bad_share=0 allows", root, step=8, max_bad_share=0.0)


def test_what_is_of_images_is_refused_of_videos(filmed_ones, tmp_path):
    refused("data.video=folder is of images", filmed_ones, video="folder")
    refused("data.height is 16 and data.width is None", filmed_ones, height=16, width=None)
    grow(tmp_path / "mine", "a/one.mp4", "a/deep/one.avi", "b/two.mp4")
    refused("Two videos have the name 'one': .*one.* and .*one.*. Keep or rename one.", tmp_path / "mine")


@pytest.mark.slow
@pytest.mark.tensorflow
def test_two_folders_give_a_run_without_any_yaml_and_of_videos_with_one_of_ones_own(tmp_path, filmed_ones):
    root = paint(tmp_path / "mine")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    line = next(line for line in readme.splitlines() if line.startswith("python run.py data=class_folders"))
    words = line.replace("/path/to/mine", str(root)).split()[2:]
    done = call(tmp_path, *words, "tracking=none", *TINY)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "NonViolence" in done.stdout + done.stderr
    (artifacts,) = tmp_path.glob("outputs/*/*/artifacts")
    predictions = pd.read_parquet(artifacts / "predictions.parquet")
    assert {"probability/any_class/Normal", "probability/any_class/Violence"} <= set(predictions)
    assert yaml.safe_load((artifacts / "config.yaml").read_text())["tasks"]["any_anomaly"]["classes"] == ["Violence"]
    own = tmp_path / "conf" / "tasks"
    own.mkdir(parents=True)
    task = {"violence_here": {"_target_": "mtl.tasks.CategoricalTask", "classes": ["no_violence", "violence"]}}
    (own / "mine.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    words = ["--config-dir", str(own.parent), "data=class_folders", f"data.root={filmed_ones}", "tasks=mine"]
    done = call(tmp_path, *words, "main_task=violence_here", "tracking=none", *TINY)
    assert done.returncode == 0, done.stderr[-3000:]
    (found,) = set(tmp_path.glob("outputs/*/*/artifacts")) - {artifacts}
    videos_of = pd.read_parquet(found / "predictions.parquet").query("split == 'test'")
    assert videos_of["frame"].drop_duplicates().tolist() == [0, 10, 20]
    assert videos_of["video"].nunique() == 4
    stored = pd.read_parquet(found / "predictions.parquet")
    shutil.rmtree(artifacts.parent)
    assert len(predicted_alike(tmp_path, filmed_ones, stored)) >= 4
