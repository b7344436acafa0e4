"""ShanghaiTech Campus: videos and folders of frames, lists of the weakly supervised split, masks as the truth."""

from __future__ import annotations

import re
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import TINY, call, predicted_alike, tracking_of
from test_video_reader import filmed, pictures

from mtl.data.frames import read_frame
from mtl.data.shanghaitech import ShanghaiTech, intervals_of
from mtl.data.temporal_truth import of_test_videos
from mtl.errors import UserError

NORMAL = ("01_001", "01_002", "02_003", "02_004")
ANOMALOUS = ("01_0014", "01_0015", "02_0016", "02_0017")
TRAIN = ("01_001", "01_002", "02_003", "01_0014", "02_0016")
TEST = ("02_004", "01_0015", "02_0017")
MASKS = {  # by hand: frames of events
    "01_0014": (range(3, 9),), "01_0015": (range(5), range(8, 13)), "02_0016": (range(20),), "02_0017": (range(19, 20),)
}  # fmt: skip
N = 20


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A release in small: twenty frames a video."""
    root = tmp_path_factory.mktemp("shanghaitech")
    for folder in ("training/videos", "testing/frames", "testing/test_frame_mask", "testing/test_pixel_mask"):
        (root / folder).mkdir(parents=True)
    for name in NORMAL:
        filmed(root / f"training/videos/{name}.avi", n=N, size=(64, 48))
    for name in ANOMALOUS:
        folder = root / "testing/frames" / name
        folder.mkdir()
        for number, picture in enumerate(pictures(N, (64, 48))):
            cv2.imwrite(str(folder / f"{number:03d}.jpg"), picture)
        mask = np.zeros(N, np.uint8)
        for event in MASKS[name]:
            mask[list(event)] = 1
        np.save(root / f"testing/test_frame_mask/{name}.npy", mask)
    write_lists(root)
    return root


def write_lists(root, train=TRAIN, test=TEST):
    (root / "SH_Train.txt").write_text("".join(f"{name},{int(len(name) == 7)}\n" for name in train))
    (root / "SH_Test.txt").write_text("".join(f"{name},{int(len(name) == 7)},{N}\n" for name in test))


@pytest.fixture
def release(original, tmp_path):
    return shutil.copytree(original, tmp_path / "release")


def data(root, **changes):
    lists = {"train": str(root / "SH_Train.txt"), "test": str(root / "SH_Test.txt")}
    asked = {
        "labels": {}, "events": None, "fps": 24, "lists": lists, "source": None,
        "step": 4, "height": 16, "width": 16, "val_fraction": 0.3, "split_seed": 0, "max_frames_per_video": None,
        "max_train_frames": None, "max_test_frames": None, "frames_dir": str(root.parent / "kept"), "max_gib": 1.0,
        "workers": 2, "max_bad_share": 0.2,
    }  # fmt: skip
    return ShanghaiTech(str(root), **(asked | changes))


def test_classes_are_by_name_and_splits_by_the_lists(original):
    frames = data(original).frames()
    videos = frames.drop_duplicates("video").set_index("video").astype(str)
    assert {name for name in videos.index if videos["class_name"][name] == "Anomaly"} == set(ANOMALOUS)
    assert {name for name in videos.index if videos["split"][name] == "test"} == set(TEST)
    assert set(videos["split"]) == {"train", "val", "test"}
    assert frames["frame"].unique().tolist() == [0, 4, 8, 12, 16]


def test_a_frame_of_a_folder_is_the_image_of_its_number(original):
    one = data(original, height=None, width=None)
    frames = one.frames()
    row = frames[(frames["video"] == "01_0015") & (frames["frame"] == 8)].iloc[0]
    expected = cv2.imread(str(original / "testing/frames/01_0015/008.jpg"))[..., ::-1]
    assert np.array_equal(read_frame(one.root, row["path"]), expected)


def test_masks_are_the_truth_of_test_videos_and_normal_ones_have_no_event(original):
    one = data(original)
    events = of_test_videos(one.temporal_truth(), one.frames())
    assert events.intervals == {"01_0015": ((0, 5), (8, 13)), "02_0017": ((19, 20),), "02_004": ()}
    for name in ("01_0015", "02_0017"):
        mask = np.load(original / f"testing/test_frame_mask/{name}.npy")
        assert events.frames_inside([name] * N, np.arange(N)).tolist() == mask.tolist()


@pytest.mark.parametrize(
    ("mask", "events"), [([0, 0], ()), ([1], ((0, 1),)), ([1, 0, 1], ((0, 1), (2, 3))), ([0, 1, 1], ((1, 3),))]
)
def test_a_mask_is_half_open_intervals(mask, events):
    assert intervals_of(np.array(mask, np.uint8)) == events


def test_training_videos_may_be_cut_into_frames_and_test_videos_be_videos(release):
    before = data(release).frames().drop(columns="path")
    shutil.copytree(release / "testing/frames/01_0014", release / "training/frames/02_003")
    (release / "training/videos/02_003.avi").unlink()
    shutil.rmtree(release / "testing/frames/02_0017")
    (release / "testing/videos").mkdir()
    filmed(release / "testing/videos/02_0017.avi", n=N, size=(64, 48))
    assert data(release).frames().drop(columns="path").equals(before)


def test_scenes_are_held_out_together_where_asked(release):
    write_lists(release, (*NORMAL, "01_0014"), ("01_0015", "02_0017"))
    frames = data(release, source="^(..)_").frames()
    scenes = frames.drop_duplicates("video").groupby("split", observed=True)["video"]
    found = {split: {str(name)[:2] for name in names} for split, names in scenes}
    assert not found["train"] & found["val"]


def test_an_image_that_changed_is_read_again(release):
    one = data(release)
    frames = one.frames()
    path = frames.loc[(frames["video"] == "01_0015") & (frames["frame"] == 8), "path"].iloc[0]
    before = read_frame(one.root, path)
    cv2.imwrite(str(release / "testing/frames/01_0015/008.jpg"), np.full((48, 64, 3), 255, np.uint8))
    again = data(release)
    again.frames()
    assert before.mean() < 250 < read_frame(again.root, path).mean()


def no_class(root):
    (root / "training/videos/01_001.avi").rename(root / "training/videos/01_1.avi")


def unknown_in_a_list(root):
    write_lists(root, test=(*TEST, "13_0099"))


def in_both_lists(root):
    write_lists(root, test=(*TEST, "01_001"))


def short_mask(root):
    np.save(root / "testing/test_frame_mask/01_0015.npy", np.ones(N - 1, np.uint8))


def no_mask(root):
    (root / "testing/test_frame_mask/01_0015.npy").unlink()


def pixel_mask(root):
    np.save(root / "testing/test_frame_mask/01_0015.npy", np.ones((N, 4, 4), np.uint8))


def pickled_mask(root):
    np.save(root / "testing/test_frame_mask/01_0015.npy", np.array([None] * N), allow_pickle=True)


def empty_mask(root):
    np.save(root / "testing/test_frame_mask/01_0015.npy", np.zeros(N, np.uint8))


def missing_image(root):
    (root / "testing/frames/01_0015/007.jpg").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_class, "01_1.avi: the name tells no class of ShanghaiTech; right would be 01_0014 if anomalous"),
        (unknown_in_a_list, "SH_Test.txt:4: '13_0099' is no video below"),
        (in_both_lists, "SH_Test.txt:4: '01_001' is there already, in"),
        (short_mask, "01_0015.npy is of 19 frames, but video '01_0015' has 20."),
        (no_mask, "01_0015.npy, and '01_0015' is an anomalous test video."),
        (pixel_mask, "01_0015.npy holds uint8 of shape (20, 4, 4); right would be a 0 or a 1 for every frame."),
        (pickled_mask, "01_0015.npy is no mask that can be read"),
        (empty_mask, "01_0015.npy marks no frame"),
        (missing_image, "01_0015: from image 006.jpg to 008.jpg is no step of one."),
    ],
)
def test_bad_input_is_one_line_before_anything_is_decoded(release, spoil, said):
    spoil(release)
    with pytest.raises(UserError, match=re.escape(said)) as error:
        data(release).check()
    assert "\n" not in str(error.value)
    assert not (release.parent / "kept").exists()


def test_a_mask_that_does_not_fit_a_test_video_is_refused_once_its_frames_are_known(release):
    shutil.rmtree(release / "testing/frames/02_0017")
    (release / "testing/videos").mkdir()
    filmed(release / "testing/videos/02_0017.avi", n=N + 1, size=(64, 48))
    with pytest.raises(UserError, match=re.escape("02_0017.npy is of 20 frames, but video '02_0017' has 21.")):
        data(release).frames()


def test_without_lists_what_is_right_is_said(original):
    with pytest.raises(UserError, match="training holds no anomaly to learn from"):
        data(original, lists={"train": None, "test": None}).check()


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_run_is_scored_by_the_masks(tmp_path, original):
    words = ("data=shanghaitech", f"data.root={original}", "tasks=any_anomaly", "main_task=any_anomaly", "data.step=2")
    lists = [f"data.lists.{split.lower()}={original}/SH_{split}.txt" for split in ("Train", "Test")]
    tiny = [word for word in TINY if not word.startswith("data.")]
    done = call(tmp_path, *words, *lists, "data.val_fraction=0.4", *tiny)
    assert done.returncode == 0, done.stderr[-3000:]
    tracking = tracking_of(tmp_path)
    (run,) = tracking.runs()
    predictions = pd.read_parquet(tracking.download(run.id, "predictions.parquet"))
    assert set(predictions.loc[predictions["split"] == "test", "video"].astype(str)) == set(TEST)
    assert run.metrics["event_videos/annotated"] == 3
    assert run.metrics["event_frames/scored"] == 3 * N / 2
    assert run.metrics["event_frames/inside"] == 3 + 3  # 0, 2, 4 and 8, 10, 12; frame 19 is not sampled
    assert 0 <= run.metrics["auc_event/any_anomaly"] <= 1
    assert set(predicted_alike(tmp_path, original / "training" / "videos", predictions)) >= {"02_004"}
