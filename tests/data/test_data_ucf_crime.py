from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from conftest import ROOT, sampled
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.annotations import annotation_lines, read_annotations
from mtl.data.class_names import CLASSES, FOLDERS, UCF_CRIME, class_of
from mtl.data.frame_table import TEXT, Listing, frame_table
from mtl.data.splits import hold_out
from mtl.data.tree import thinned
from mtl.data.ucf_crime import UCFCrime
from mtl.errors import UserError

CONF = ROOT / "conf" / "data" / "ucf_crime.yaml"

# names as the real set has them: class folder, video, frames
REAL = {
    "Train": {
        "Abuse": {"Abuse001_x264": 5, "Abuse002_x264": 3, "Abuse003_x264": 4},
        "Fighting": {"Fighting003_x264": 6, "Fighting004_x264": 2},
        "NormalVideos": {f"Normal_Videos{i:03d}_x264": 12 for i in range(1, 11)},
        "RoadAccidents": {"RoadAccidents001_x264": 3, "RoadAccidents003_x264": 3},
    },
    "Test": {
        "Abuse": {"Abuse028_x264": 7},
        "Fighting": {"Fighting033_x264": 3},
        "NormalVideos": {"Normal_Videos_003_x264": 9, "Normal_Videos_006_x264": 4},
        "RoadAccidents": {"RoadAccidents001b_x264": 2},
    },
}


def grow(root, tree=REAL, extension=".png"):
    """Write a tree of empty files: nothing here looks into them."""
    for split, folders in tree.items():
        for folder, videos in folders.items():
            (root / split / folder).mkdir(parents=True, exist_ok=True)
            for video, n in videos.items():
                for i in range(n):
                    (root / split / folder / f"{video}_{10 * i}{extension}").touch()
    return root


@pytest.fixture
def root(tmp_path):
    return grow(tmp_path / "ucf")


def data(root, **changes):
    """The data set with the settings of conf, which `changes` override."""
    config = yaml.safe_load(CONF.read_text()) | {"root": str(root)} | changes
    del config["_target_"]
    return UCFCrime(**config)


def pairs(frames):
    return set(zip(frames["video"].astype(str), frames["frame"], strict=True))


# the table


def test_table_is_as_the_contract_says(root):
    frames = data(root).frames()
    assert list(frames.columns) == ["path", "class_name", "video", "frame", "split"]
    assert frames["path"].dtype == TEXT
    assert frames["frame"].dtype == np.int32
    assert list(frames["class_name"].cat.categories) == list(CLASSES)
    assert list(frames["split"].cat.categories) == ["train", "val", "test"]
    assert frames.index.equals(pd.RangeIndex(5 + 3 + 4 + 6 + 2 + 120 + 3 + 3 + 7 + 3 + 9 + 4 + 2))
    ordered = frames.sort_values(["split", "class_name", "video", "frame"], ignore_index=True)
    pd.testing.assert_frame_equal(ordered, frames)
    assert frames["video"].cat.categories.is_monotonic_increasing


def test_row_is_read_from_folder_and_name(root):
    frames = data(root).frames().set_index("path")
    row = frames.loc["Test/NormalVideos/Normal_Videos_003_x264_80.png"]
    assert row.to_dict() == {"class_name": "Normal", "video": "Normal_Videos_003_x264", "frame": 80, "split": "test"}
    assert frames.loc["Train/RoadAccidents/RoadAccidents001_x264_20.png", "class_name"] == "RoadAccidents"


def test_frames_are_ordered_by_number_not_by_name(root):
    frames = data(root).frames()
    assert frames.loc[frames["video"] == "Normal_Videos001_x264", "frame"].tolist() == list(range(0, 120, 10))


@pytest.mark.parametrize("extension", [".png", ".PNG", ".jpg", ".JPG", ".jpeg", ".JPEG", ".Png"])
def test_extensions_in_any_case_count_once(tmp_path, extension):
    frames = data(grow(tmp_path, extension=extension)).frames()
    assert len(frames) == 171
    assert not frames["path"].duplicated().any()
    assert frames["path"].str.endswith(extension).all()


@pytest.mark.parametrize(
    ("spelling", "meant"),
    sampled([
        ("RoadAccident", "RoadAccidents"),
        ("roadaccidents", "RoadAccidents"),
        ("Road_Accidents", "RoadAccidents"),
        ("Road Accidents", "RoadAccidents"),
        ("Normal", "NormalVideos"),
        ("NORMALVIDEOS", "NormalVideos"),
        ("Normal_Videos", "NormalVideos"),
        ("Training_Normal_Videos_Anomaly", "NormalVideos"),
        ("Testing_Normal_Videos_Anomaly", "NormalVideos"),
        ("Normal_Videos_event", "NormalVideos"),
        ("abuse", "Abuse"),
    ], every=5),
)  # fmt: skip
def test_spellings_in_circulation_mean_the_same(tmp_path, spelling, meant):
    tree = {split: {spelling if f == meant else f: v for f, v in fs.items()} for split, fs in REAL.items()}
    spelled, usual = data(grow(tmp_path / "spelled", tree)).frames(), data(grow(tmp_path / "usual")).frames()
    pd.testing.assert_frame_equal(spelled.drop(columns="path"), usual.drop(columns="path"))


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("TRAIN", "Test"), ("Training", "testing")])
def test_split_folders_in_other_spellings(tmp_path, train, test):
    frames = data(grow(tmp_path, {train: REAL["Train"], test: REAL["Test"]})).frames()
    assert frames["path"].str.startswith(f"{test}/")[frames["split"] == "test"].all()


def test_class_may_lie_in_two_folders(tmp_path):
    tree = {"Train": REAL["Train"], "Test": REAL["Test"] | {"Normal_Videos_event": {"Normal_Videos_015_x264": 2}}}
    frames = data(grow(tmp_path, tree)).frames()
    assert frames[(frames["split"] == "test") & (frames["class_name"] == "Normal")]["video"].nunique() == 3


def test_files_of_others_are_passed_over(root):
    for name in ("Train/Abuse/._Abuse001_x264_0.png", "Train/Abuse/Thumbs.db", "Train/.DS_Store", "readme.txt"):
        (root / name).touch()
    (root / "Train" / ".ipynb_checkpoints").mkdir()
    (root / "__MACOSX").mkdir()
    found = data(root)
    assert len(found.frames()) == 171
    assert found.skipped.empty


@pytest.mark.parametrize("name", ["Normal_Videos", "normal", "Road Accident", "ARSON"])
def test_class_of_knows_spellings(name):
    assert class_of(name) in CLASSES


@pytest.mark.parametrize("name", ["Fightng", "", "Norm", "Videos", "Train"])
def test_class_of_never_guesses(name):
    assert class_of(name) is None


def test_every_class_has_its_folder():
    assert [class_of(FOLDERS[name]) for name in CLASSES] == list(CLASSES)
    assert FOLDERS["Normal"] == "NormalVideos"


# names that cannot be read


def test_unreadable_names_are_listed_and_said(root, caplog):
    for name in ("contact sheet.png", "Abuse001_x264.png", "Abuse001_x264_99999999999.png"):
        (root / "Train" / "Abuse" / name).touch()
    found = data(root)
    with caplog.at_level(logging.WARNING):
        frames = found.frames()
    assert len(frames) == 171
    assert set(found.skipped["path"]) == {
        "Train/Abuse/contact sheet.png", "Train/Abuse/Abuse001_x264.png", "Train/Abuse/Abuse001_x264_99999999999.png",
    }  # fmt: skip
    assert "3 of 174 images" in caplog.text
    assert "contact sheet.png" in caplog.text


def test_picture_of_a_video_is_no_frame(root):
    (root / "Test" / "NormalVideos" / "Normal_Videos_003.png").touch()
    found = data(root)
    assert "Normal_Videos" not in set(found.frames()["video"])
    assert len(found.skipped) == 1


def test_folder_and_dangling_link_with_a_frames_name_are_listed(root):
    (root / "Train" / "Abuse" / "Abuse001_x264_990.png").mkdir()
    (root / "Train" / "Abuse" / "Abuse001_x264_980.png").symlink_to("nowhere.png")
    found = data(root)
    found.frames()
    assert sorted(found.skipped["reason"]) == ["not a plain file"] * 2


def test_name_that_is_not_utf8_is_listed(root):
    Path(os.fsdecode(os.fsencode(root / "Train" / "Abuse") + b"/Abuse\xff_x264_0.png")).touch()
    found = data(root)
    assert len(found.frames()) == 171
    assert found.skipped["reason"].tolist() == ["name is not UTF-8"]


def test_line_break_in_a_name_is_listed(root):
    (root / "Train" / "Abuse" / "Abuse\n001_x264_0.png").touch()
    found = data(root)
    assert len(found.frames()) == 171
    assert len(found.skipped) == 1


def test_too_many_unreadable_names_stop(root):
    for i in range(10):
        (root / "Train" / "Abuse" / f"frame-{i}.png").touch()
    with pytest.raises(UserError, match=r"10 of 181 images .* 'Train/Abuse/frame-\d.png'.*<video>_<frame>.png"):
        data(root).frames()


def test_missing_classes_are_said(root, caplog):
    with caplog.at_level(logging.WARNING):
        data(root).frames()
    missing = "Arrest, Arson, Assault, Burglary, Explosion, Robbery, Shooting, Shoplifting, Stealing, Vandalism"
    for split in ("train", "test"):
        assert f"No frame of {missing} in {split}." in caplog.messages


# user's mistakes


def rename(old, new):
    return lambda root: (root / old).rename(root / new)


def empty(folder):
    return lambda root: [file.unlink() for file in (root / folder).iterdir()]


def deeper(root):
    (root / "archive").mkdir()
    for name in ("Train", "Test"):
        (root / name).rename(root / "archive" / name)


def nested(root):
    folder = root / "Train" / "Abuse"
    (folder / "Abuse001_x264").mkdir()
    for file in folder.glob("*.png"):
        file.rename(folder / "Abuse001_x264" / file.name)


def no_classes(root):
    for folder in (root / "Test").iterdir():
        folder.rename(root / folder.name)


MISTAKES = {
    "class unknown": (rename("Train/Fighting", "Train/Fightng"), r"'Fightng' in .*Train is no class.*'Fighting'\?"),
    "class unlike any": (rename("Test/Abuse", "Test/cats"), r"'cats' in .*Test is no class.*Known: Abuse, "),
    "no test": (rename("Test", "Tst"), r"holds no 'Test', only 'Train', 'Tst'"),
    "one too high": (deeper, r"holds no 'Train', only 'archive'. Go one deeper: data\.root=\S+/archive$"),
    "empty class": (empty("Train/Abuse"), r"Class folder .*Abuse holds no .png or .jpg or .jpeg file"),
    "frames in folders": (nested, r"Abuse holds no .* only folders such as 'Abuse001_x264'"),
    "no class folder": (no_classes, r"Test holds no class folder"),
    "two train folders": (lambda root: (root / "training").mkdir(), r"'Train', 'training': both mean train"),
}


@pytest.mark.parametrize(("spoil", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_one_line_and_found_by_check(root, spoil, said):
    spoil(root)
    with pytest.raises(UserError, match=said) as raised:
        data(root).check()
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=said):
        data(root).frames()


def test_missing_root_says_where_its_path_ends(tmp_path):
    with pytest.raises(UserError, match=re.escape(f"ends at {tmp_path})")):
        data(tmp_path / "no" / "such").check()


def test_root_that_is_a_file_or_empty(tmp_path):
    (tmp_path / "zip").touch()
    with pytest.raises(UserError, match="not a folder"):
        data(tmp_path / "zip").check()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no folder; it should hold 'Train' and 'Test'"):
        data(tmp_path / "empty").check()


def test_folder_that_cannot_be_listed_is_named(root, monkeypatch):
    real = os.scandir

    def refuse(path):
        if str(path).endswith("Abuse"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"Cannot list .*Abuse: Permission denied"):
        data(root).check()


def test_video_in_two_splits_is_refused(root):
    (root / "Test" / "Abuse" / "Abuse001_x264_990.png").touch()
    with pytest.raises(UserError, match="'Abuse001_x264' is in train/Abuse and in test/Abuse"):
        data(root).frames()


def test_video_in_two_classes_is_refused(root):
    (root / "Train" / "Fighting" / "Abuse001_x264_990.png").touch()
    with pytest.raises(UserError, match="'Abuse001_x264' is in train/Abuse and in train/Fighting"):
        data(root).frames()


def test_frame_there_twice_is_refused(root):
    (root / "Train" / "Abuse" / "Abuse001_x264_0.jpg").touch()
    with pytest.raises(UserError, match=r"twice: 'Train/Abuse/Abuse001_x264_0.\w+' and 'Train/Abuse/Abuse001_x264_0"):
        data(root).frames()


def test_links_out_of_the_root_are_refused(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "Abuse001_x264_990.png").touch()
    for link, target in (("Abuse/Abuse001_x264_990.png", outside / "Abuse001_x264_990.png"), ("Arson", outside)):
        (root / "Train" / link).symlink_to(target)
        with pytest.raises(UserError, match=r"link out of data\.root"):
            data(root).frames()
        (root / "Train" / link).unlink()


def test_links_within_the_root_and_to_it_are_fine(root, tmp_path):
    (root / "Train" / "Abuse" / "Abuse001_x264_990.png").symlink_to("Abuse001_x264_0.png")
    (tmp_path / "link").symlink_to(root)
    assert len(data(tmp_path / "link").frames()) == 172


def test_check_is_light(tmp_path, monkeypatch):
    grow(tmp_path)
    seen = []
    real = os.scandir

    class Counted:
        def __init__(self, path):
            self.entries = real(path)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.entries.close()

        def __iter__(self):
            for entry in self.entries:
                seen.append(entry.name)
                yield entry

    monkeypatch.setattr(os, "scandir", Counted)
    data(tmp_path).check()
    assert sum(name.endswith(".png") for name in seen) == 8  # one per class folder


# splits


def test_validation_is_whole_videos_of_every_class(root):
    frames = data(root, val_fraction=0.3).frames()
    assert not frames[["video", "split"]].drop_duplicates()["video"].duplicated().any()
    videos = frames.drop_duplicates("video")
    held_out = videos[videos["split"] == "val"]["class_name"].astype(str).value_counts()
    assert held_out.to_dict() == {"Normal": 3, "Abuse": 1, "Fighting": 1, "RoadAccidents": 1}
    assert frames["path"].str.startswith("Test/").eq(frames["split"] == "test").all()


def test_validation_is_a_share_of_frames_and_a_giant_stays_in_train(tmp_path, caplog):
    tree = {f"Normal_Videos{i:03d}_x264": 9 for i in range(1, 31)} | {"Normal_Videos308_x264": 130}
    test = {f"Normal_Videos_{i:03d}_x264": 3 for i in range(12)}
    grow(tmp_path, {"Train": {"NormalVideos": tree}, "Test": {"NormalVideos": test}})
    for seed in range(6):
        caplog.clear()
        frames = data(tmp_path, split_seed=seed, val_fraction=0.25).frames()
        assert frames["split"].value_counts().to_dict() == {"train": 301, "val": 99, "test": 36}  # of 400 the quarter
        giant = frames[frames["video"] == "Normal_Videos308_x264"]
        assert giant["split"].unique().tolist() == ["train"]
        assert "Video Normal_Videos308_x264 has 43.2 % of the 301 frames of train (20 videos)" in caplog.text
        assert sum("frames of" in record.getMessage() for record in caplog.records) <= 2
    caplog.clear()
    data(tmp_path, val_fraction=0.25, max_frames_per_video=9).frames()
    assert "308" not in caplog.text


@pytest.mark.parametrize(
    "options",
    sampled([{"every": 2, "max_frames_per_video": 3, "max_train_frames": 40, "max_test_frames": 5},
             {"every": 3}, {"max_frames_per_video": 2}, {"max_train_frames": 60}, {"max_test_frames": 8}], every=5),
)  # fmt: skip
def test_split_does_not_move_with_other_options(root, options):
    whole = data(root).frames().drop_duplicates("video").set_index("video")["split"].astype(str)
    thin = data(root, **options).frames()
    by_video = thin.drop_duplicates("video").set_index("video")["split"].astype(str)
    assert (by_video == whole[by_video.index]).all()
    assert set(thin["path"]) <= set(data(root).frames()["path"])
    assert set(thin["video"].cat.categories) == set(thin["video"])


def test_split_moves_with_its_seed(root):
    splits = {tuple(data(root, split_seed=seed).frames()["video"]) for seed in range(5)}
    assert len(splits) > 1


def test_limits_hold_and_validation_is_thinned_alike(root):
    found = data(root, max_train_frames=50, max_test_frames=10)
    frames = found.frames()
    n = frames["split"].value_counts()
    assert n["train"] == 50
    assert n["test"] == 10
    whole = data(root).frames()["split"].value_counts()
    assert n["val"] == round(whole["val"] * 50 / whole["train"])
    assert set(frames[frames["split"] == "train"]["class_name"]) == {"Abuse", "Fighting", "Normal", "RoadAccidents"}


def test_kept_says_what_was_found_and_kept(root):
    found = data(root, every=2, val_fraction=0.4)
    frames = found.frames()
    kept = found.kept.set_index(["split", "class_name"])
    assert kept["frames_found"].sum() == 171
    assert kept["frames_kept"].sum() == len(frames)
    assert kept.loc[("test", "Abuse")].to_dict() == {
        "videos_found": 1, "frames_found": 7, "videos_kept": 1, "frames_kept": 4,
    }  # fmt: skip
    assert kept["videos_found"].groupby(level="split", observed=True).sum().sum() == 22
    assert len(kept) == 12


def test_options_commute_with_the_order_of_the_disk(root):
    path = pa.array(data(root).frames()["path"].tolist(), pa.large_string())
    orders = [np.arange(len(path)), np.random.default_rng(0).permutation(len(path))]
    first, second = (
        frame_table([Listing("train", "Abuse", path.take(pa.array(order)))], [], CLASSES)[["path", "video", "frame"]]
        for order in orders
    )
    pd.testing.assert_frame_equal(first, second)


# annotation files


def annotated(tmp_path, root, text, split="train", **changes):
    file = tmp_path / f"{split}.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return data(root, annotations={split: str(file)}, **changes)


TRAIN = (
    "Train/Abuse/Abuse001_x264_0.png Abuse\n"
    "Train/Abuse/Abuse002_x264_0.png Abuse\n"
    "Train/NormalVideos/Normal_Videos001_x264_10.png Normal\n"
)


@pytest.mark.parametrize(
    "text",
    [
        TRAIN,
        TRAIN.rstrip("\n"),
        TRAIN.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + TRAIN.encode(),
        "\n" + TRAIN.replace("\n", "\n\n  \n"),
        TRAIN.replace(" ", "\t"),
        TRAIN.replace(" ", "   ").replace("\n", "  \n"),
        TRAIN.replace("/", "\\"),
        TRAIN.replace("Train/", "./Train//"),
        TRAIN.replace(" Normal\n", " NormalVideos\n").replace(" Abuse", " abuse"),
    ],
    ids=["plain", "no last break", "crlf", "bom", "blank lines", "tabs", "spaces", "backslashes", "dots", "spellings"],
)
def test_annotations_take_the_folders_place(tmp_path, root, text):
    frames = annotated(tmp_path, root, text).frames()
    train = frames[frames["split"] != "test"].sort_values("path")  # one of Abuse is held out
    assert train["path"].tolist() == [line.split()[0] for line in TRAIN.splitlines()]
    assert train["class_name"].tolist() == ["Abuse", "Abuse", "Normal"]
    assert (frames["split"] == "test").sum() == 25


GOOD = "Train/Abuse/Abuse001_x264_0.png Abuse\n"
WRONG_LINES = {
    "one word": ("Train/Abuse/Abuse001_x264_10.png", "expected `<path> <class>`, found 'Train/Abuse/Abuse001"),
    "unknown class": ("Train/Abuse/Abuse001_x264_10.png Abus", r"'Abus' is no class.*'Abuse'\?"),
    "more columns": ("Train/Abuse/Abuse001_x264_10.png Abuse 1", "'1' is no class of UCF-Crime"),
    "absolute": ("/data/Train/Abuse/Abuse001_x264_10.png Abuse", "is absolute, it should be relative to data.root"),
    "drive": ("C:\\data\\Abuse001_x264_10.png Abuse", "is absolute"),
    "upwards": ("Train/../../etc/Abuse001_x264_10.png Abuse", "leads out of data.root"),
    "upwards, back": ("..\\Abuse001_x264_10.png Abuse", "leads out of data.root"),
    "twice": ("./Train/Abuse/Abuse001_x264_0.png Abuse", "is there already, in line 1"),
    "no image": ("Train/Abuse/Abuse001_x264.mp4 Abuse", "is no .png or .jpg or .jpeg file"),
    "missing": ("Train/Abuse/Abuse001_x264_70.png Abuse", r"there is no file 'Train/Abuse/Abuse001_x264_70.png' below"),
    "missing folder": ("Trn/Abuse/Abuse001_x264_0.png Abuse", "there is no file 'Trn/"),
    "other case": ("train/Abuse/Abuse001_x264_0.png Abuse", "there is no file 'train/"),
    "odd name": ("Train/" + "x" * 300 + "/\0_0.png Abuse", "there is no file"),
}


@pytest.mark.parametrize(("line", "said"), WRONG_LINES.values(), ids=WRONG_LINES)
def test_wrong_line_is_named_by_file_and_number(tmp_path, root, line, said):
    with pytest.raises(UserError, match=rf"train.txt:3: .*{said}") as raised:
        annotated(tmp_path, root, GOOD + "\r\n" + line + "\r\n").frames()
    assert "\n" not in str(raised.value)


def test_same_fault_in_more_lines_is_counted(tmp_path, root):
    with pytest.raises(UserError, match=r"train.txt:2: .*\(and 2 more such\)"):
        annotated(tmp_path, root, GOOD + "a b c\nd e f\ng h i\n").frames()


def test_link_out_of_the_root_in_annotations_is_refused(tmp_path, root):
    (tmp_path / "Abuse001_x264_990.png").touch()
    (root / "Train" / "Abuse" / "Abuse001_x264_990.png").symlink_to(tmp_path / "Abuse001_x264_990.png")
    (root / "elsewhere").symlink_to(tmp_path)
    for path in ("Train/Abuse/Abuse001_x264_990.png", "elsewhere/Abuse001_x264_990.png"):
        with pytest.raises(UserError, match=r"link out of data\.root"):
            annotated(tmp_path, root, f"{path} Abuse\n").frames()


@pytest.mark.parametrize(
    ("text", "said"), [(b"", "is empty"), (b"\n \n", "is empty"), (b"ok\n\xff\xfe", ":2: not UTF-8")]
)
def test_annotations_that_are_no_text(tmp_path, root, text, said):
    with pytest.raises(UserError, match=said):
        annotated(tmp_path, root, text).frames()


def test_missing_annotation_file_is_found_by_check(root):
    with pytest.raises(UserError, match=r"data\.annotations\.test: there is no file /nowhere"):
        data(root, annotations={"test": "/nowhere.txt"}).check()


def test_unknown_annotation_key_is_named(root):
    with pytest.raises(UserError, match=r"no 'trian'. Did you mean 'train'\?"):
        data(root, annotations={"trian": "x.txt"})


def test_same_video_in_two_annotation_files_is_refused(tmp_path, root):
    (tmp_path / "test.txt").write_text("Train/Abuse/Abuse001_x264_10.png Abuse\n")
    (tmp_path / "train.txt").write_text(GOOD)
    files = {split: str(tmp_path / f"{split}.txt") for split in ("train", "test")}
    with pytest.raises(UserError, match="'Abuse001_x264' is in train/Abuse and in test/Abuse"):
        data(root, annotations=files).frames()


def test_annotations_need_no_split_folders(tmp_path):
    splits = ("train", "val", "test")
    for split in splits:
        (tmp_path / f"cam {split}_0.png").touch()
        (tmp_path / f"{split}.txt").write_text(f"cam {split}_0.png Arson\n")
    frames = data(tmp_path, annotations={split: str(tmp_path / f"{split}.txt") for split in splits}).frames()
    assert frames["path"].tolist() == [f"cam {split}_0.png" for split in splits]


def test_annotations_round_trip_with_the_split(tmp_path, root):
    odd = root / "Train" / "Abuse" / "my clip  监视 é_x264_0.png"
    odd.touch()
    frames = data(root, every=2, val_fraction=0.4).frames()
    assert odd.relative_to(root).as_posix() in set(frames["path"])
    files = {}
    for split in ("train", "val", "test"):
        files[split] = str(tmp_path / f"{split} lines.txt")
        Path(files[split]).write_text(annotation_lines(frames, split), encoding="utf-8")
    again = data(root, annotations=files).frames()
    pd.testing.assert_frame_equal(again, frames)


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@pytest.mark.slow
@given(st.lists(TEXTS, min_size=1, max_size=5, unique=True))
def test_any_name_survives_a_line(tmp_path_factory, stems):
    root = Path(tmp_path_factory.mktemp("odd"))
    (root / "Train").mkdir()
    names = [re.sub(r"[/\\]", "-", f"a{stem}b_7.png") for stem in stems]
    for name in names:
        (root / "Train" / name).touch()
    frames = pd.DataFrame({"path": [f"Train/{name}" for name in names], "class_name": "Arson", "split": "train"})
    (root / "lines.txt").write_text(annotation_lines(frames, "train"), encoding="utf-8")
    listed = [
        p for part in read_annotations(root / "lines.txt", root, "train", {}, UCF_CRIME) for p in part.paths.to_pylist()
    ]
    assert sorted(listed) == sorted(frames["path"])


# size


@pytest.mark.slow
def test_the_whole_set_is_indexed_in_seconds():
    """1.27 million training rows and 111 thousand of test, in the real proportions of normal and anomalous."""
    listings = []
    for split, lengths in (
        ("train", {"Normal": (800, 1185), "Stealing": (810, 393)}),
        ("test", {"Normal": (290, 384)}),
    ):
        for name, (n_videos, n_frames) in lengths.items():
            paths = [
                f"{split}/{name}/{split}_{name}{v:03d}_x264_{10 * i}.png"
                for v in range(n_videos)
                for i in range(n_frames)
            ]
            listings.append(Listing(split, name, pa.array(paths, pa.large_string())))
    start = time.process_time()
    frames = frame_table(listings, [], CLASSES)
    found = UCFCrime(**{k: v for k, v in yaml.safe_load(CONF.read_text()).items() if k != "_target_"})
    kept = thinned(hold_out(frames, found.val_fraction, found.split_seed, ""), 1, None, None, None)
    seconds = time.process_time() - start
    assert len(kept) == 800 * 1185 + 810 * 393 + 290 * 384
    assert seconds < 15
    assert kept.memory_usage(deep=True).sum() < 200e6
