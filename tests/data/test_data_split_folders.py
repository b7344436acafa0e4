from __future__ import annotations

import logging
import re
import subprocess
from pathlib import Path

import pytest
from test_data_ucf_crime import REAL, data, grow

from mtl.data.split_folders import split_of
from mtl.errors import UserError, misspelt

VAL = {
    "Abuse": {"Abuse010_x264": 4},
    "Fighting": {"Fighting010_x264": 2},
    "NormalVideos": {"Normal_Videos050_x264": 5, "Normal_Videos051_x264": 1},
}


@pytest.fixture
def root(tmp_path):
    return grow(tmp_path / "ucf")


def videos(frames, split):
    return set(frames.loc[frames["split"] == split, "video"].astype(str))


# a validation folder


@pytest.mark.parametrize("name", ["val", "Val", "valid", "Valid", "validation", "Validation", "VALIDATION"])
def test_validation_folder_is_the_validation_split(tmp_path, caplog, name):
    with caplog.at_level(logging.INFO):
        frames = data(grow(tmp_path, REAL | {name: VAL})).frames()
    assert videos(frames, "val") == {name for folder in VAL.values() for name in folder}
    assert videos(frames, "train") == {name for folder in REAL["Train"].values() for name in folder}  # none held out
    assert frames["path"].str.startswith(f"{name}/").eq(frames["split"] == "val").all()
    said = f"Validation is {tmp_path / name}; none is held out of train, data.val_fraction has no effect."
    assert caplog.messages.count(said) == 1
    assert "passed over" not in caplog.text
    assert any(message.startswith("No frame of Arrest") and message.endswith("in val.") for message in caplog.messages)


def test_without_a_validation_folder_videos_are_held_out_and_nothing_is_said(root, caplog):
    with caplog.at_level(logging.INFO):
        assert videos(data(root).frames(), "val")
    assert "Validation is" not in caplog.text


@pytest.mark.parametrize("other", ["Train", "Test"])
def test_video_in_validation_and_another_split_is_refused(root, other):
    folder, video = "Abuse", next(iter(REAL[other]["Abuse"]))
    grow(root, {"valid": {folder: {video: 1}}})
    with pytest.raises(UserError, match=f"'{video}' is in .* and in .*belongs to one split") as raised:
        data(root).frames()
    assert "val/Abuse" in str(raised.value)
    assert f"{other.lower()}/Abuse" in str(raised.value)


def test_annotation_file_of_validation_goes_before_the_folder_which_is_then_named(tmp_path, root, caplog):
    grow(root, {"valid": VAL})
    (tmp_path / "val.txt").write_text("valid/Abuse/Abuse010_x264_0.png Abuse\n")
    frames = data(root, annotations={"val": str(tmp_path / "val.txt")}).frames()
    assert videos(frames, "val") == {"Abuse010_x264"}
    assert "Images in 'valid/Fighting', 'valid/NormalVideos' below" in caplog.text


def test_validation_folder_serves_beside_lists_of_the_others(tmp_path, root):
    grow(root, {"val": VAL})
    lists = {}
    for split, name in (("train", "Train"), ("test", "Test")):
        lists[split] = str(tmp_path / f"{split}.txt")
        paths = sorted((root / name / "Abuse").glob("*.png"))
        Path(lists[split]).write_text("".join(f"{path.relative_to(root)} Abuse\n" for path in paths))
    frames = data(root, annotations=lists).frames()
    assert frames["split"].value_counts().to_dict() == {"train": 12, "val": 12, "test": 7}


def test_mistakes_in_a_validation_folder_are_found_by_check(root):
    grow(root, {"val": {"Abus": {"Abuse010_x264": 1}}})
    with pytest.raises(UserError, match=r"'Abus' in .*val is no class of UCF-Crime. Did you mean 'Abuse'\?"):
        data(root).check()
    grow(root, {"Validation": VAL})
    with pytest.raises(UserError, match="'Validation', 'val': both mean val"):
        data(root).check()


def test_validation_without_a_usable_name_is_refused_not_replaced_by_a_hold_out(tmp_path):
    tree = {
        split: {f: {v: 20 * n for v, n in vs.items()} for f, vs in folders.items()} for split, folders in REAL.items()
    }
    grow(tmp_path, tree)
    (tmp_path / "val" / "Abuse").mkdir(parents=True)
    (tmp_path / "val" / "Abuse" / "picture.png").touch()
    with pytest.raises(
        UserError, match=r"Split 'val' has no frame: no image of .*val can be used, .*'val/Abuse/picture"
    ):
        data(tmp_path).frames()


# folders that are no split


@pytest.mark.parametrize(
    ("stray", "named"),
    [
        ("dev/Abuse/Abuse070_x264_0.png", "dev"),
        ("extra/Abuse070_x264_0.png", "extra"),
        ("deep/er/est/a.JPG", "deep"),
        ("Train/Abuse070_x264_0.png", "Train"),
        ("Train/Abuse/more/Abuse070_x264_0.png", "Train/Abuse/more"),
    ],
)
def test_folder_of_images_in_no_split_is_named_once(root, caplog, stray, named):
    (root / stray).parent.mkdir(parents=True, exist_ok=True)
    (root / stray).touch()
    frames = data(root).frames()
    assert len(frames) == 171
    said = [message for message in caplog.messages if "passed over" in message]
    assert len(said) == 1
    assert f"Images in '{named}' below {root} are in no split" in said[0]


def test_many_such_folders_are_one_line(root, caplog):
    grow(root, {f"extra{i}": {"Abuse": {"Abuse070_x264": 1}} for i in range(9)})
    data(root).frames()
    assert "Images in 'extra0', 'extra1', 'extra2', 'extra3', 'extra4' and 4 more below" in caplog.text


def test_folders_without_images_are_passed_over(root, caplog):
    (root / "notes").mkdir()
    (root / "notes" / "readme.txt").touch()
    data(root).frames()
    assert "passed over" not in caplog.text


# trees laid out otherwise


def test_word_for_all_anomalies_suggests_no_class(root):
    for word in ("Anomaly", "Anomalies", "Abnormal", "anormal", "Non_Normal", "NoNormalVideos", "Train_1", "Frames"):
        (root / "Train" / "Abuse").rename(root / "Train" / word)
        with pytest.raises(UserError, match=r"no class of UCF-Crime. Known: Abuse, ") as raised:
            data(root).check()
        assert "Did you mean" not in str(raised.value)
        (root / "Train" / word).rename(root / "Train" / "Abuse")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("Fightng", "Fighting"), ("assualt", "Assault"), ("Norml", "Normal"), ("Normal-Video", "NormalVideos")],
)
def test_one_slip_of_typing_is_suggested(typed, meant):
    assert misspelt(typed, ["Assault", "Fighting", "Normal", "NormalVideos"]) == f"Did you mean '{meant}'?"


def test_more_than_a_slip_is_not():
    for typed in ("Anomaly", "Abnormal", "Anormal", "Formal", "Nonormal", "Person", "Train", ""):
        assert misspelt(typed, ["Normal", "Arson", "Stealing"]) == "Known: Arson, Normal, Stealing."


def test_class_folders_one_deeper_are_moved_by_the_line_that_is_said(root):
    for split in ("Train", "Test"):
        (root / split).rename(root / "inner")
        (root / split).mkdir()
        (root / "inner").rename(root / split / split)
    for _ in range(2):
        with pytest.raises(UserError, match="the class folders, such as 'Abuse', lie one deeper") as raised:
            data(root).check()
        assert "Did you mean" not in str(raised.value)
        command = re.search(r": (mv .*)", str(raised.value))
        subprocess.run(command[1], shell=True, check=True)
    assert len(data(root).frames()) == 171


def test_another_splits_folder_within_is_never_to_be_moved_into_it(root):
    (root / "Train" / "Val").mkdir()
    grow(root / "Train", {"Val": VAL})
    with pytest.raises(UserError, match=r"but a split's name. Right would be .*ucf/Val, beside 'Train'\.$"):
        data(root).check()


def test_root_that_is_wrong_by_some_steps_is_told_the_right_one(tmp_path):
    right = grow(tmp_path / "my set" / "archive" / "UCF-Crime")
    wrong = {
        right.parent: "Go one deeper",
        right.parent.parent: "Go two deeper",
        right / "Train": "Go one higher",
        right / "Train" / "Abuse": "Go two higher",
    }
    for root, said in wrong.items():
        with pytest.raises(UserError, match=rf"{said}: 'data\.root=\"{right}\"'$"):
            data(root).check()


def test_splits_within_a_split_folder_are_the_root(root):
    (root / "Train").rename(root / "inner")
    (root / "Train").mkdir()
    (root / "inner").rename(root / "Train" / "Train")
    grow(root / "Train", {"Test": REAL["Test"]})
    with pytest.raises(UserError, match=rf"holds the splits. Go one deeper: data\.root={root}/Train$"):
        data(root).check()


def test_stranger_above_is_no_advice(root):
    (root / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no folder; it should hold 'Train' and 'Test'\.$"):
        data(root / "empty").check()


def test_names_that_only_resemble_a_split_mean_none():
    assert [split_of(name) for name in ("evaluation", "dev", "trained", "values", "Val", "TRAINING")] == [
        *[None] * 4, "val", "train",
    ]  # fmt: skip


# empty splits


def test_one_training_video_per_class_is_the_reason_that_is_said(tmp_path):
    tree = {folder: dict([next(iter(found.items()))]) for folder, found in REAL["Train"].items()}
    grow(tmp_path, {"Train": tree, "Test": REAL["Test"]})
    with pytest.raises(
        UserError, match="No validation video can be held out of train: of each of its 4 classes"
    ) as raised:
        data(tmp_path).frames()
    assert "data.every" not in str(raised.value)
    assert "a folder 'Val' beside 'Train'" in str(raised.value)
    grow(tmp_path, {"Val": VAL})
    assert len(videos(data(tmp_path).frames(), "val")) == 4


@pytest.mark.parametrize(
    "options", [{"every": 1000}, {"max_frames_per_video": 1}, {"max_train_frames": 1}, {"max_test_frames": 1}]
)
@pytest.mark.parametrize("tree", [REAL, REAL | {"val": VAL}], ids=["held out", "folder"])
def test_no_thinning_empties_a_split(tmp_path, options, tree):
    frames = data(grow(tmp_path, tree), **options).frames()
    assert set(frames["split"]) == {"train", "val", "test"}
