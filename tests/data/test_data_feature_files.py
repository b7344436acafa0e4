"""Feature files of every family in circulation, in their real shapes but for the length of a vector."""

from __future__ import annotations

import os
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, TINY, call, tracking_of

from mtl.ablation.event_truth import event_truth
from mtl.data.events import Events
from mtl.data.feature_files import FeatureFiles
from mtl.data.feature_layout import row_frames
from mtl.data.feature_names import video_and_crop
from mtl.data.video_classes import ucf_crime_class
from mtl.errors import UserError
from mtl.evaluation.predictions import predictions_table
from mtl.features.feature_key import stats
from mtl.features.features import given
from mtl.job.fingerprint import data_digest
from mtl.tasks import BinaryTask

TRAIN = ["Abuse001", "Abuse002", "Fighting002", "Fighting003", "Normal_Videos001", "Normal_Videos002"]
TEST = ["Abuse028", "Fighting033", "Normal_Videos_003", "Normal_Videos_006"]
D = 3
TRAINING = [word for word in TINY if not word.startswith("data.")]
ROWS = {name: 3 + i for i, name in enumerate(TRAIN + TEST)}
FOLDERS = {"Normal_Videos_": "Testing_Normal_Videos_Anomaly", "Normal_Videos": "Training_Normal_Videos_Anomaly"}


def folder_of(name):
    return next((folder for start, folder in FOLDERS.items() if name.startswith(start)), name.rstrip("0123456789"))


def write_lists(root, order=1, train=TRAIN, test=TEST):
    for file, names in (("Anomaly_Train.txt", train), ("Anomaly_Test.txt", test)):
        lines = [f"{folder_of(name)}/{name}_x264.mp4\n" for name in names][::order]
        (root / file).write_text("".join(lines))


def numbers(name, *shape, crop=0):
    return np.random.default_rng([ROWS[name], crop]).normal(size=shape)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def rtfm(root):
    for name in TRAIN + TEST:
        save(root / f"{name}_x264_i3d.npy", numbers(name, ROWS[name], 10, D).astype(np.float32))


def mgfn(root):
    for name in TRAIN:
        save(root / "train" / f"{name}_x264_i3d.npy", numbers(name, 10, 32, D).astype(np.float32))
    for name in TEST:
        save(root / "test" / f"{name}_x264_i3d.npy", numbers(name, ROWS[name], 10, D).astype(np.float32))


def deepmil(root):
    for name in TRAIN + TEST:
        for crop in range(10):
            suffix = f"__{crop}" if crop else ""
            save(root / f"{name}_x264{suffix}.npy", numbers(name, ROWS[name], D, crop=crop).astype(np.float32))


def ur_dmu(root):
    for name in TRAIN + TEST:
        save(root / f"{name}_x264_i3d.npy", numbers(name, 10, ROWS[name], D).astype(np.float32))


def vadclip(root):
    for name in TRAIN + TEST:
        for crop in range(10):
            array = numbers(name, ROWS[name], D, crop=crop).astype(np.float16)
            save(root / folder_of(name) / f"{name}_x264__{crop}.npy", array)


def clip_tsa(root):
    for name in TRAIN + TEST:
        save(root / folder_of(name) / f"{name}_x264.npy", numbers(name, ROWS[name], D).astype(np.float16))


def anomaly_clip(root):
    for name in TRAIN + TEST:
        save(root / folder_of(name) / f"{name}.npy", numbers(name, 16 * ROWS[name], D).astype(np.float64))


def anomaly_clip_crops(root):
    for name in TRAIN + TEST:
        array = numbers(name, 16 * ROWS[name], 10, D).astype(np.float32)
        save(root / folder_of(name) / f"{name}.npy", array.reshape(-1, D))


def stretched(root):
    for name in TRAIN + TEST:
        save(root / f"{name}_x264.mp4.npy", numbers(name, 32, D).astype(np.float32))


def c3d(root):
    for name in TRAIN + TEST:
        save(root / f"{name}_x264__0.npy", numbers(name, ROWS[name], D).astype(np.float32))


MIXED = {"layout": {"train": "c_n_d", "test": "n_c_d"}, "frames_per_row": {"train": None, "test": 16}}
FAMILIES = {  # writer, settings, crops, rows of Abuse028, frames of its second row
    "rtfm": (rtfm, {"layout": "n_c_d"}, 10, ROWS["Abuse028"], 16),
    "mgfn": (mgfn, MIXED, 10, ROWS["Abuse028"], 16),
    "deepmil": (deepmil, {}, 10, ROWS["Abuse028"], 16),
    "ur_dmu": (ur_dmu, {}, 10, ROWS["Abuse028"], 16),
    "vadclip": (vadclip, {}, 10, ROWS["Abuse028"], 16),
    "clip_tsa": (clip_tsa, {}, 1, ROWS["Abuse028"], 16),
    "anomaly_clip": (anomaly_clip, {"frames_per_row": 1}, 1, 16 * ROWS["Abuse028"], 1),
    "anomaly_clip_crops": (
        anomaly_clip_crops,
        {"frames_per_row": 1, "interleaved_crops": 10},
        10,
        16 * ROWS["Abuse028"],
        1,
    ),
    "stretched": (stretched, {"frames_per_row": None}, 1, 32, 1),
    "c3d": (c3d, {}, 1, ROWS["Abuse028"], 16),
}


def dataset(root, **changes):
    settings = {
        "names": "ucf_crime",
        "labels": {}, "events": None, "fps": 30, "source": None, "layout": "auto",
        "interleaved_crops": 1, "frames_per_row": 16, "crops": "mean", "lists": {"train": None, "test": None},
        "lengths": None, "val_fraction": 0.4, "split_seed": 0, "max_frames_per_video": None, "max_train_frames": None,
        "max_test_frames": None, "digests_dir": str(root.parent / "digests"),
    }  # fmt: skip
    return FeatureFiles(str(root), **(settings | changes))


def refused(root, **changes):
    with pytest.raises(UserError) as error:
        dataset(root, **changes).frames()
    assert "\n" not in str(error.value)
    return str(error.value)


def everything(data):
    frames = data.frames()
    return frames, data.features().take(np.arange(len(frames)))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "npy"
    folder.mkdir()
    write_lists(folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_read_as_it_was_written(root, family):
    write, settings, n_crops, n_rows, per_row = FAMILIES[family]
    write(root)
    frames, found = everything(dataset(root, crops="all", **settings))
    assert set(frames["video"]) == {f"{name}_x264" for name in TRAIN + TEST}
    assert frames.groupby("split", observed=True)["video"].nunique().to_dict() == {"train": 3, "val": 3, "test": 4}
    own = frames["video"] == "Abuse028_x264"
    assert set(frames.loc[own, "class_name"]) == {"Abuse"}
    assert own.sum() == n_rows * n_crops
    assert found.shape == (len(frames), D)
    assert found.dtype == np.float32
    paths = sorted(root.rglob("Abuse028*.npy"))
    arrays = [np.load(path).astype(np.float32) for path in paths]
    if len(paths) > 1:
        expected = np.stack(arrays, axis=1)
    else:
        expected = {
            "anomaly_clip_crops": lambda a: a.reshape(-1, 10, D),
            "rtfm": lambda a: a,
            "mgfn": lambda a: a,
            "ur_dmu": lambda a: a.swapaxes(0, 1),
        }.get(family, lambda a: a[:, None])(arrays[0])
    np.testing.assert_array_equal(found[own].reshape(n_rows, n_crops, D), expected)
    np.testing.assert_array_equal(frames.loc[own, "frame"], np.repeat(np.arange(n_rows) * per_row, n_crops))
    assert set(frames.loc[own, "n_frames"]) == {per_row}
    assert frames["path"].is_unique
    mean, means = everything(dataset(root, crops="mean", **settings))
    own = (mean["video"] == "Abuse028_x264").to_numpy()
    np.testing.assert_allclose(means[own], expected.mean(axis=1), rtol=1e-5, atol=1e-6)


def test_one_crop_by_its_number(root):
    vadclip(root)
    frames, found = everything(dataset(root, crops=[5]))
    own = (frames["video"] == "Fighting033_x264").to_numpy()
    written = np.load(root / "Fighting" / "Fighting033_x264__5.npy")
    np.testing.assert_array_equal(found[own], written.astype(np.float32))
    assert frames.loc[own, "path"].iloc[1] == "Fighting/Fighting033_x264__5.npy#1"
    both, _ = everything(dataset(root, crops={"train": "all", "test": [5]}))
    assert both.groupby("split", observed=True)["crop"].nunique().to_dict() == {"train": 10, "val": 10, "test": 1}


@pytest.mark.parametrize("crops", ["all", "mean", [0]])
def test_the_order_of_lists_changes_nothing(root, crops):
    vadclip(root)
    tables = []
    for train, test in ((TRAIN, TEST), (TRAIN[::-1], TEST[::-1]), (TRAIN[3:] + TRAIN[:3], TEST[1:] + TEST[:1])):
        write_lists(root, train=train, test=test)
        tables.append(everything(dataset(root, crops=crops)))
    for frames, vectors in tables[1:]:
        pd.testing.assert_frame_equal(frames, tables[0][0])
        np.testing.assert_array_equal(vectors, tables[0][1])


def test_vectors_of_any_positions_are_those_of_all(root):
    deepmil(root)
    data = dataset(root, crops="all")
    frames, found = everything(data)
    at = np.random.default_rng(0).integers(0, len(frames), 200)
    np.testing.assert_array_equal(data.features().take(at), found[at])
    in_memory, on_disk = given(frames, data.features(), 1.0), given(frames, data.features(), 0.0)
    assert in_memory.vectors.array is not None
    assert on_disk.vectors.array is None
    np.testing.assert_array_equal(in_memory.vectors.take(at), on_disk.vectors.take(at))


def test_files_of_either_order_of_axes_in_memory(root):
    ur_dmu(root)
    before, found = everything(dataset(root))
    for path in root.glob("*.npy"):
        np.save(path, np.asfortranarray(np.load(path)))
    after, again = everything(dataset(root))
    np.testing.assert_array_equal(found, again)
    assert (before["path"] == after["path"]).all()


def test_the_digest_is_that_of_the_bytes(root):
    clip_tsa(root)

    def digest():
        frames = dataset(root).frames()
        return data_digest(frames, stats(None, frames["path"]))

    first = digest()
    for path in root.rglob("*.npy"):
        os.utime(path, ns=(1, 1))
    assert digest() == first
    path = root / "Abuse" / "Abuse028_x264.npy"
    save(path, np.load(path) * np.float16(10))
    assert digest() != first


def test_each_file_is_read_once_for_all_runs(root, monkeypatch):
    clip_tsa(root)
    dataset(root).frames()
    monkeypatch.setattr("mtl.data.feature_scan._look", lambda file: pytest.fail(f"{file.path} is read again"))
    dataset(root).frames()


def test_copies_of_normal_test_videos_are_in_no_other_split(root, caplog):
    vadclip(root)
    for crop in range(10):
        copy = root / "Normal_Videos_event" / f"Normal_Videos_003_x264__{crop}.npy"
        save(copy, np.load(root / "Testing_Normal_Videos_Anomaly" / copy.name))
    data = dataset(root)
    frames = data.frames()
    own = frames[frames["video"] == "Normal_Videos_003_x264"]
    assert set(own["split"]) == {"test"}
    assert own["path"].str.startswith("Testing_Normal_Videos_Anomaly/").all()
    assert len(data.skipped) == 10
    assert "10 files are copies of listed videos" in caplog.text


def test_a_copy_alone_is_where_its_list_says(root):
    vadclip(root)
    (root / "Testing_Normal_Videos_Anomaly").rename(root / "Normal_Videos_event")
    frames = dataset(root).frames()
    assert set(frames.loc[frames["video"] == "Normal_Videos_003_x264", "split"]) == {"test"}


def test_two_files_of_one_crop_are_refused(root):
    vadclip(root)
    save(root / "Abuse" / "Abuse028_x264.npy", np.ones((3, D)))
    assert "Crop 0 of video Abuse028_x264 is there twice" in refused(root)


def test_videos_on_no_list_are_counted(root, caplog):
    clip_tsa(root)
    write_lists(root, train=TRAIN[1:])
    data = dataset(root)
    assert "Abuse001_x264" not in set(data.frames()["video"])
    assert "1 videos are on no list" in caplog.text
    assert data.skipped["path"].tolist() == ["Abuse/Abuse001_x264.npy"]


def test_the_same_features_on_both_sides_of_the_split_are_said(root, caplog):
    clip_tsa(root)
    save(root / "Abuse" / "Abuse028_x264.npy", np.load(root / "Abuse" / "Abuse001_x264.npy"))
    dataset(root).frames()
    assert "1 test videos have the very features of a training video" in caplog.text


def test_objects_are_refused_and_never_unpickled(root):
    rtfm(root)
    array = np.empty(2, object)
    array[:] = [np.ones(3), np.ones(4)]
    np.save(root / "Abuse028_x264_i3d.npy", array, allow_pickle=True)
    assert "holds a pickled object" in refused(root, layout="n_c_d")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((3, D), np.nan, np.float32), "(9 numbers)"),
        (np.full((3, D), np.inf, np.float16), "hold NaN, infinity"),
        (np.full((3, D), 1e39), "beyond float32"),
        (np.ones((0, D), np.float32), "has no rows: its shape is (0, 3)"),
        (np.ones((3, D), np.int64), "holds int64; right would be float16"),
        (np.ones((3, D + 1), np.float32), "differ in the length of a feature vector: 3 in 9 files"),
        (np.ones((3, 10, D), np.float32), "no layout fits every file"),
    ],
)
def test_a_bad_file_is_named(root, array, said):
    clip_tsa(root)
    save(root / "Abuse" / "Abuse028_x264.npy", array)
    found = refused(root)
    assert said in found
    assert "Abuse028_x264.npy" in found


def test_a_cut_file_is_named(root):
    clip_tsa(root)
    path = root / "Abuse" / "Abuse028_x264.npy"
    path.write_bytes(path.read_bytes()[:-2])
    assert f"{path} is cut" in refused(root)
    path.write_bytes(b"")
    assert f"{path} is no .npy" in refused(root)


def test_missing_crops_are_counted(root):
    vadclip(root)
    (root / "Abuse" / "Abuse001_x264__7.npy").unlink()
    assert "1 of 6 videos lack some of the crops 0 to 9, such as Abuse001_x264" in refused(root)
    assert "1 videos have 9, 5 videos have 10" in refused(root)
    dataset(root, crops=[5]).frames()
    assert "1 of 6 videos lack some of the crops 7" in refused(root, crops=[7])


def test_rows_that_are_no_whole_number_of_crops_are_refused(root):
    clip_tsa(root)
    assert "data.interleaved_crops=11 does not fit" in refused(root, interleaved_crops=11)
    write_lists(root)
    rtfm(root)
    assert "of shape" in refused(root, interleaved_crops=10)


def test_a_layout_is_guessed_only_where_all_files_agree(root):
    mgfn(root)
    assert "no layout fits every file" in refused(root)
    for path in root.rglob("*.npy"):
        np.save(path, np.ones((10, 10, D)))  # ten rows of ten crops, or the other way round
    assert "every file fits n_c_d and c_n_d" in refused(root)
    assert "does not fit 10 of 10 feature files" in refused(root, layout="n_d")


@pytest.mark.parametrize(
    ("asked", "rows", "first", "n_frames"),
    [
        ((3, 16, None), [0, 1, 2], [0, 16, 32], [16, 16, 16]),
        ((3, 16, 40), [0, 1, 2], [0, 16, 32], [16, 16, 8]),  # padded: the last one is cut
        ((3, 16, 60), [0, 1, 2], [0, 16, 32], [16, 16, 28]),  # tail dropped: the last one is held
        ((3, 16, 30), [0, 1], [0, 16], [16, 14]),  # a row past the end stands for nothing
        ((3, 1, None), [0, 1, 2], [0, 1, 2], [1, 1, 1]),
        ((4, None, 10), [0, 1, 2, 3], [0, 2, 5, 7], [2, 3, 2, 3]),
        ((4, None, 2), [1, 3], [0, 1], [1, 1]),  # fewer frames than rows
    ],
)
def test_rows_stand_for_every_frame_once(asked, rows, first, n_frames):
    found = row_frames(*asked)
    assert (found.rows.tolist(), found.first.tolist(), found.n_frames.tolist()) == (rows, first, n_frames)


def test_rows_that_do_not_fit_the_frames_are_listed(root, caplog):
    clip_tsa(root)
    lengths = {name: 16 * ROWS[name] for name in TRAIN + TEST}
    lengths |= {"Abuse001": 16 * ROWS["Abuse001"] - 20, "Abuse028": 16 * ROWS["Abuse028"] + 15}
    file = root.parent / "lengths.csv"
    file.write_text("video,n_frames\n" + "".join(f"{name}_x264,{n}\n" for name, n in lengths.items()))
    frames = dataset(root, lengths=str(file)).frames()
    assert "The rows of 1 videos do not fit their frames by more than one row: Abuse001_x264 (3 rows" in caplog.text
    assert frames.groupby("video", observed=True)["n_frames"].sum()["Abuse028_x264"] == lengths["Abuse028"]
    file.write_text("video,n_frames\nAbuse001_x264,many\n")
    assert f"{file}:2: expected video,n_frames" in refused(root, lengths=str(file))


def test_events_are_counted_by_frame_though_rows_are_sixteen(root):
    vadclip(root)
    file = root.parent / "lengths.csv"
    file.write_text("video,n_frames\nAbuse028,100\nNormal_Videos_003,150\n")
    frames = dataset(root, crops="all", lengths=str(file)).frames()
    frames = frames[frames["split"] == "test"]
    task = BinaryTask(["Abuse", "Fighting"], [])
    targets = task.targets(frames)
    table = predictions_table(frames, {"a": targets}, {"a": targets[:, None].astype(np.float32)}, {"a": task})
    truth = event_truth(table, Events({"Abuse028_x264": ((20, 37),), "Normal_Videos_003_x264": ()}))
    positive = truth.positives(table["target/a"].to_numpy(), ("yes",))[:, 0]
    assert truth.weights.sum() == 250
    assert truth.weights[positive].sum() == 17


def test_stretched_rows_say_what_their_temporal_scores_are_worth(root, caplog):
    stretched(root)
    dataset(root, frames_per_row=None).frames()
    assert "temporal scores are off by up to .005, and of 4 the frames are not known" in caplog.text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Abuse028_x264_i3d.npy", ("Abuse028_x264", 0)),
        ("Abuse028_x264.npy", ("Abuse028_x264", 0)),
        ("Abuse028_x264__.npy", ("Abuse028_x264", 0)),
        ("Abuse028_x264__9.npy", ("Abuse028_x264", 9)),
        ("Abuse028_x264_i3d_0.npy", ("Abuse028_x264", 0)),
        ("a/Abuse028_x264_i3d_7.npy", ("Abuse028_x264", 7)),
        ("Abuse028_x264.mp4.npy", ("Abuse028_x264", 0)),
        ("Abuse028.npy", ("Abuse028_x264", 0)),
        ("Normal_Videos_003_x264__5.npy", ("Normal_Videos_003_x264", 5)),
        ("Normal_Videos_003.npy", ("Normal_Videos_003_x264", 0)),
        ("RoadAccidents/RoadAccidents001_x264.mp4", ("RoadAccidents001_x264", 0)),
    ],
)
def test_names_tell_video_and_crop(name, expected):
    assert video_and_crop(name) == expected


def test_the_class_is_the_letters_before_the_digits():
    names = {"Abuse028_x264": "Abuse", "Normal_Videos_003_x264": "Normal", "Normal_Videos001_x264": "Normal"}
    assert {name: ucf_crime_class(name) for name in names} == names
    assert ucf_crime_class("01_0015") is None


def test_a_list_of_feature_files_with_labels(root):
    vadclip(root)
    for split, names in (("train", TRAIN), ("test", TEST)):
        folders = [(name, folder_of(name)) for name in names for _ in range(10)]
        paths = [f"/old/{folder}/{name}_x264__{i % 10}.npy,{folder}" for i, (name, folder) in enumerate(folders)]
        (root / f"{split}.csv").write_text("path,label\n" + "\n".join(paths))
        (root / f"Anomaly_{split.title()}.txt").unlink()
    lists = {split: str(root / f"{split}.csv") for split in ("train", "test")}
    assert set(dataset(root, lists=lists).frames()["video"]) == {f"{name}_x264" for name in TRAIN + TEST}
    assert "Nothing tells the split" in refused(root)
    assert "is there already" in refused(root, lists={"train": lists["train"], "test": lists["train"]})


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("data.crops=[12]", "6 of 6 videos lack some of the crops 12"),
        ("data.crops=foo", "data.crops: "),
        ("data.crops=[]", "data.crops: names no crop"),
        ("data.crops={train:all}", "data.crops: should be one for all, or one for each"),
        ("data.layout=cnd", "data.layout: input should be 'auto'"),
        ("data.frames_per_row=0", "data.frames_per_row: input should be greater than 0"),
    ],
)
def test_settings_as_they_are_typed_are_checked(root, word, said):
    clip_tsa(root)
    from hydra import compose, initialize_config_dir

    from mtl.config.build import build
    from mtl.config.check import check

    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        config = compose("config", ["data=feature_files", f"data.root={root}", "backbone=none", word])

    def read():
        check(config)
        build(config.data).frames()

    with pytest.raises(UserError, match=re.escape(said)):
        read()


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("memory_gib", [4, 0])
def test_a_run_trains_on_feature_files(tmp_path, root, memory_gib):
    deepmil(root)
    words = ["data=feature_files", f"data.root={root}", "tasks=anomaly_violence", "data.val_fraction=0.4"]
    table = dataset(root, crops=[0]).frames()
    violent = table["class_name"] == "Fighting"
    without = table["video"].isin(["Abuse001_x264", "Abuse028_x264"])  # nobody says whether these are violent
    given = table[~without].assign(label=violent.astype(int))
    given[["video", "frame", "label"]].to_csv(tmp_path / "violence.csv", index=False)
    events = "Abuse028_x264.mp4 Abuse 16 40 -1 -1\nFighting033_x264.mp4 Fighting 0 20 32 48\n"
    (tmp_path / "events.txt").write_text(events + "".join(f"{name}_x264.mp4 Normal -1 -1 -1 -1\n" for name in TEST[2:]))
    words += ["data.events=events.txt", "data.labels.violence=violence.csv"]
    done = call(tmp_path, *words, *TRAINING, "backbone=none", f"features.memory_gib={memory_gib}")
    assert done.returncode == 0, done.stderr
    tracking = tracking_of(tmp_path)
    run = tracking.runs()[0]
    predictions = pd.read_parquet(tracking.download(run.id, "predictions.parquet"))
    frames = dataset(root, crops=[0]).frames()
    for split in ("val", "test"):
        found, expected = predictions[predictions["split"] == split], frames[frames["split"] == split]
        for column in ("video", "frame", "n_frames"):
            assert found[column].astype(str).tolist() == expected[column].astype(str).tolist()
    target = np.where(without, -1, violent).astype(int)
    for split in ("val", "test"):
        kept = (table["split"] == split).to_numpy()
        assert predictions.loc[predictions["split"] == split, "target/violence"].tolist() == target[kept].tolist()
    metrics = tracking.runs()[0].metrics
    assert metrics["event_videos/annotated"] == len(TEST)
    assert metrics["event_frames/inside"] == 24 + 20 + 16
    assert metrics["event_frames/scored"] == 16 * sum(ROWS[name] for name in TEST)
    assert 0 <= metrics["auc_event/general_anomaly"] <= 1
    assert 0 <= metrics["auc_event/violence"] <= 1
