"""Videos as data: the numbers of the frame tree of the same videos, each video decoded once."""

from __future__ import annotations

import json
import logging
import multiprocessing
import shutil
from collections.abc import Mapping

import numpy as np
import pytest
import yaml
from conftest import ROOT
from test_video_reader import filmed

from mtl import extract_frames
from mtl.data import decoded_videos
from mtl.data.frames import BadFrame, only_what_is_decoded, read_frame
from mtl.data.making import how_made
from mtl.data.ucf_crime import UCFCrime
from mtl.data.ucf_crime_videos import UCFCrimeVideos
from mtl.errors import UserError
from mtl.features.feature_key import identities, stats
from mtl.features.store import FeatureStore

TRAIN = (
    "Part-1/Abuse/Abuse001_x264.mp4",
    "Part-1/Abuse/Abuse002_x264.mp4",
    "Part-2/Fighting/Fighting002_x264.avi",
    "Part-2/Fighting/Fighting004_x264.webm",
    "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4",
    "Training_Normal_Videos_Anomaly/Normal_Videos002_x264.mp4",
)
TEST = (
    "Part-1/Abuse/Abuse028_x264.mp4",
    "Testing-Normal-Videos-Anomaly/Normal_Videos_003_x264.mp4",
)
TWICE = "Normal_Videos_event/Normal_Videos_003_x264.mp4"
COLUMNS = ["class_name", "video", "frame", "split"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The official release in small, with its lists beside it."""
    root = tmp_path_factory.mktemp("release")
    for i, name in enumerate((*TRAIN, *TEST, TWICE)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        filmed(root / name, n=21 + 10 * i)
    for list_, names in (("Train", TRAIN), ("Test", TEST)):
        entries = [name.partition("/")[2] if name.startswith("Part") else name.replace("-", "_") for name in names]
        (root / f"Anomaly_{list_}.txt").write_text("\n".join(entries))
    return root


@pytest.fixture
def release(original, tmp_path):
    """A release that a test may change."""
    return shutil.copytree(original, tmp_path / "release")


def data(root, store, **changes):
    asked = {
        "labels": {}, "events": None, "fps": 30, "lists": {"train": None, "test": None}, "classes": None, "step": 10,
        "height": 64, "width": 64, "val_fraction": 0.3, "split_seed": 0, "max_frames_per_video": None,
        "max_train_frames": None, "max_test_frames": None, "frames_dir": str(store / "videos"), "max_gib": 1.0,
        "workers": 2, "max_bad_share": 0.2,
    }  # fmt: skip
    return UCFCrimeVideos(str(root), **(asked | changes))


class Means:
    """Features of frames that tell every pixel from another."""

    spec: Mapping[str, object] = {"backbone": "means"}
    dtype = np.dtype(np.float32)
    batch_size = 8

    def feature_shape(self, frame_shape):
        return (6,)

    def __call__(self, images):
        x = images.astype(np.float32)
        weights = np.sin(np.arange(x[0].size, dtype=np.float32)).reshape(x[0].shape)
        return np.concatenate([x.mean((1, 2)), (x * weights).mean((1, 2))], axis=1)


def store_of(folder):
    return FeatureStore(str(folder), max_gib=1, memory_gib=1, part_mib=1, decode_threads=2, max_bad_share=0.2)


def pixels(one, frames):
    return np.stack([read_frame(one.root, path) for path in frames["path"]])


def test_frames_split_and_features_are_those_of_the_frame_tree_to_the_bit(original, tmp_path):
    tree = tmp_path / "tree"
    assert extract_frames.main([str(original), str(tree), "--workers", "2"]) == 0
    limits = {"max_frames_per_video": 5, "max_train_frames": 11, "max_test_frames": 7}
    cut = UCFCrime(str(tree), {}, {}, 0.3, 0, 1, **limits, events=None, fps=30)
    ours = data(original, tmp_path, **limits)
    theirs, mine = cut.frames(), ours.frames()
    for column in COLUMNS:
        assert mine[column].astype(str).tolist() == theirs[column].astype(str).tolist()
    assert set(mine["split"]) == {"train", "val", "test"}
    assert np.array_equal(pixels(ours, mine), pixels(cut, theirs))
    store = store_of(tmp_path)
    found = [store.of(frames, one.root, Means()).vectors.array for one, frames in ((cut, theirs), (ours, mine))]
    assert found[0].tobytes() == found[1].tobytes()
    assert ours.kept.equals(cut.kept)


def test_a_path_says_video_and_coded_frame(original, tmp_path):
    frames = data(original, tmp_path).frames()
    assert len(frames) == sum(-(-(21 + 10 * i) // 10) for i in range(8))
    row = frames[(frames["video"] == "Fighting004_x264")]
    assert row["path"].tolist() == [f"{TRAIN[3]}#{n}" for n in range(0, 51, 10)]
    assert row["frame"].tolist() == list(range(0, 51, 10))
    assert not frames["path"].str.startswith("Normal_Videos_event").any()


def test_a_video_is_decoded_once_and_a_changed_one_alone_again(release, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    first = data(release, tmp_path)
    before = first.frames()
    assert "8 videos decoded into" in caplog.text
    ids = dict(
        zip(before["path"], map(bytes, identities(before["path"], stats(first.root, before["path"]))[0]), strict=True)
    )
    monkeypatch.setattr(decoded_videos, "run_jobs", None)  # nothing may be decoded
    with only_what_is_decoded():
        assert data(release, tmp_path).frames().equals(before)
    monkeypatch.undo()
    filmed(release / TRAIN[0], n=55)
    caplog.clear()
    with only_what_is_decoded(), pytest.raises(UserError, match="1 videos are not decoded yet"):
        data(release, tmp_path).frames()
    again = data(release, tmp_path)
    after = again.frames()
    assert "1 videos decoded into 6 frames" in caplog.text
    assert "7 were there" in caplog.text
    assert len(list(again.root.folder.glob("*.rgb"))) == 8  # the former version is gone
    found = stats(again.root, after["path"])
    changed = {
        path.partition("#")[0]
        for path, one in zip(after["path"], map(bytes, identities(after["path"], found)[0]), strict=True)
        if ids.get(path) != one
    }
    assert changed == {TRAIN[0]}


@pytest.mark.parametrize("change", [{"step": 5}, {"height": 32}, {"height": None, "width": None}])
def test_step_and_size_have_frames_of_their_own(original, tmp_path, change):
    one, other = data(original, tmp_path), data(original, tmp_path, **change)
    assert one.root.folder != other.root.folder
    assert (one.root.made == other.root.made) is ("step" in change)  # frame 10 is frame 10 whatever is between


def test_decoder_and_resizing_are_in_the_key(original, tmp_path, monkeypatch):
    one = data(original, tmp_path)
    assert {"decoder", "interpolation", "opencv", "height", "width"} <= set(json.loads(one.root.made))
    monkeypatch.setattr(decoded_videos, "decoding", lambda: {"decoder": "another"})
    assert data(original, tmp_path).root.folder != one.root.folder


def test_frames_may_stay_as_they_are_and_how_they_were_made_is_known(original, tmp_path):
    small, whole = data(original, tmp_path), data(original, tmp_path, height=None, width=None)
    for one, size in ((small, (64, 64)), (whole, (72, 96))):
        frames = one.frames()
        assert read_frame(one.root, frames["path"].iloc[0]).shape == (*size, 3)
        made = how_made(one.root, frames)
        assert (made.height, made.width, made.interpolation) == (*size, "INTER_AREA")
        assert "data set" in made.known_from


def test_only_the_classes_that_are_asked_for(original, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    one = data(original, tmp_path, classes=["normal", "Abuse"])
    assert one.classes == ("Abuse", "Normal")
    assert set(one.frames()["class_name"]) == {"Abuse", "Normal"}
    assert "2 videos of classes that are not in data.classes are left out" in caplog.text
    with pytest.raises(UserError, match="'Fightng' is no class of UCF-Crime. Did you mean 'Fighting'"):
        data(original, tmp_path, classes=["Fightng", "Normal"])


def test_a_cut_video_is_a_row_with_its_reason_and_does_not_move_the_split(release, tmp_path, caplog):
    whole = (release / TRAIN[0]).read_bytes()
    (release / TRAIN[0]).write_bytes(whole[: len(whole) // 2])
    one = data(release, tmp_path)
    frames = one.frames()
    assert one.skipped["path"].tolist() == [TRAIN[0]]
    assert "cut" in one.skipped["reason"][0]
    assert f"Video {TRAIN[0]} is left out: " in caplog.text
    assert "Abuse001_x264" not in set(frames["video"])
    again = data(release, tmp_path)  # known now, and not tried again
    with only_what_is_decoded():
        again.frames()
    assert again.skipped.equals(one.skipped)
    with pytest.raises(UserError, match="1 of 8 videos of .* are bad, more than data.max_bad_share=0.1 allows"):
        data(release, tmp_path, max_bad_share=0.1).frames()


def test_damage_on_the_disk_is_told_and_mended_by_the_next_run(original, tmp_path):
    one = data(original, tmp_path)
    frames = one.frames()
    path = f"{TRAIN[0]}#10"
    before = read_frame(one.root, path)
    file = one.root.folder / f"{one.root._known[TRAIN[0]].name}.rgb"
    with file.open("r+b") as opened:
        opened.seek(4 + 64 * 64 * 3 + 100)
        opened.write(b"\xff\x00\xff")
    with pytest.raises(BadFrame, match="damaged; the next run decodes the video again"):
        read_frame(one.root, path)
    again = data(original, tmp_path)
    assert again.frames().equals(frames)
    assert np.array_equal(read_frame(again.root, path), before)


def _frames_in_a_process(root, store):
    data(root, store, workers=1).frames()


def test_two_that_want_the_same_share_it(original, tmp_path):
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_frames_in_a_process, args=(original, tmp_path)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(300)
    assert [one.exitcode for one in both] == [0, 0]
    [folder] = (tmp_path / "videos").iterdir()
    assert len(list(folder.glob("*.rgb"))) == 8
    assert not list(folder.glob(".writing-*"))


def test_what_an_interrupted_run_decoded_is_kept(original, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    real = decoded_videos.run_jobs

    def killed_after_three(jobs, work, watch):
        real(jobs[:3], work, watch)
        raise KeyboardInterrupt

    monkeypatch.setattr(decoded_videos, "run_jobs", killed_after_three)
    with pytest.raises(KeyboardInterrupt):
        data(original, tmp_path).frames()
    monkeypatch.undo()
    data(original, tmp_path).frames()
    assert "5 videos decoded into" in caplog.text
    assert "3 were there, 0 failed" in caplog.text


def test_frames_beyond_the_limit_are_refused(original, tmp_path):
    with pytest.raises(UserError, match=r"take more than data.max_gib=1e-05 .* larger data.max_gib"):
        data(original, tmp_path, max_gib=1e-5).frames()


def test_what_a_refusal_advises_is_a_key_of_every_data_set_of_videos():
    files = list((ROOT / "conf" / "data").glob("*.yaml"))
    keys = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}
    of_videos = {name: own for name, own in keys.items() if "frames_dir" in own}
    assert set(of_videos) >= {"class_folders", "shanghaitech", "ucf_crime_videos", "xd_violence"}
    assert all({"max_gib", "max_bad_share", "step", "height", "width"} <= set(own) for own in of_videos.values())


def test_missing_videos_of_a_list_are_counted_and_named(release, tmp_path, caplog):
    (release / TRAIN[1]).unlink()
    data(release, tmp_path).frames()
    assert "1 of the 8 listed videos are not below" in caplog.text
    assert "Abuse/Abuse002_x264.mp4" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: shutil.rmtree(root), "data.root is not there"),
        (lambda root: (root / "Anomaly_Test.txt").write_text("Abuse/x.txt"), "expected <Class>/<video>.mp4"),
        (
            lambda root: [(root / f"Anomaly_{name}.txt").unlink() for name in ("Train", "Test")],
            "Nothing tells the split of 5 videos",
        ),
        (
            lambda root: [
                (root / f"Anomaly_{name}.txt").write_text(f"Arson/Arson00{i}_x264.mp4")
                for i, name in enumerate(("Train", "Test"))
            ],
            "None of the 2 listed videos is below",
        ),
        (lambda root: (root / "Anomaly_Test.txt").write_text("Arson/Arson001_x264.mp4"), "Split 'test' has no video"),
    ],
)
def test_a_mistake_is_one_line(release, tmp_path, spoil, said):
    spoil(release)
    with pytest.raises(UserError, match=said) as told:
        data(release, tmp_path).frames()
    assert "\n" not in str(told.value)


def test_half_a_size_is_refused(original, tmp_path):
    with pytest.raises(UserError, match="data.height is 64 and data.width is None"):
        data(original, tmp_path, width=None)
