"""The drawn data set: its layout, that it is the same everywhere, and that it is never seen half-written."""

import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
import yaml
from conftest import ROOT, slow

from mtl.data import demo
from mtl.data.class_names import CLASSES
from mtl.data.demo import MARKER, Demo, Drawing, is_whole, write_tree
from mtl.data.frames import read_frame
from mtl.drawing import videos
from mtl.drawing.canvas import SIZE
from mtl.drawing.events import CAMERAS, EVENTS, PLACES
from mtl.drawing.videos import draw_video
from mtl.errors import UserError

SMALL = Drawing(seed=0, train_videos=2, test_videos=1, normal_train_videos=3, normal_test_videos=2, frames_per_video=3)
N_FRAMES = (13 * 3 + 5) * 3

# Of the drawing's current version, computed with OpenCV 5.0 and numpy 2.4 and confirmed with OpenCV 4.10, 4.11, 4.12
# and numpy 2.0. A drawing that changes on purpose needs another VERSION, and then another digest here.
DIGEST = "dd7465adb564837e4c9db634762ca59060753050225b62d24df15ce83aa1fcd6"
DIGEST_PROGRAM = """
import hashlib
from mtl.drawing.events import EVENTS, PLACES
from mtl.drawing.videos import draw_video
digest = hashlib.sha256()
for folder in EVENTS:
    for number, place in enumerate(PLACES[folder]):
        digest.update(draw_video(folder, f"{folder}{number:03d}_x264", f"{place} 0", 0, 6).tobytes())
print(digest.hexdigest())
"""


def a_demo(root, **changed):
    config = yaml.safe_load((ROOT / "conf/data/demo.yaml").read_text())
    del config["_target_"]
    return Demo(**{**config, **asdict(SMALL), "root": str(root), **changed})


def start(program, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / SMALL.folder
    write_tree(path, SMALL)
    return path


def test_config_names_every_parameter():
    config = yaml.safe_load((ROOT / "conf/data/demo.yaml").read_text())
    assert set(config) - {"_target_"} == set(inspect.signature(Demo).parameters)


def test_layout_is_that_of_the_real_tree(tree):
    folders = "Abuse Arrest Arson Assault Burglary Explosion Fighting NormalVideos RoadAccidents Robbery Shooting"
    folders = set(f"{folders} Shoplifting Stealing Vandalism".split())
    for split in ("Train", "Test"):
        assert {path.name for path in (tree / split).iterdir()} == folders
    names = {path.relative_to(tree).as_posix() for path in tree.rglob("*.png")}
    assert len(names) == N_FRAMES
    assert {
        "Train/Fighting/Fighting001_x264_0.png",
        "Train/Fighting/Fighting002_x264_20.png",
        "Test/Fighting/Fighting003_x264_10.png",
        "Train/NormalVideos/Normal_Videos001_x264_0.png",
        "Test/NormalVideos/Normal_Videos_002_x264_20.png",
    } <= names
    assert all(re.search(r"/[A-Z][A-Za-z]+(_Videos_?)?[0-9]{3}_x264_[0-9]+\.png$", name) for name in names)


def test_files_hold_what_was_drawn(tree):
    camera = next(camera for _, _, video, camera in SMALL.videos() if video == "Arson001_x264")
    drawn = draw_video("Arson", "Arson001_x264", camera, 0, 3)
    assert drawn.shape == (3, SIZE, SIZE, 3)
    assert drawn.dtype == np.uint8
    for t, frame in enumerate(drawn):
        np.testing.assert_array_equal(read_frame(tree, f"Train/Arson/Arson001_x264_{10 * t}.png"), frame)


def test_frame_table_has_every_class_in_every_split(tmp_path):
    data = a_demo(tmp_path)
    frames = data.frames()
    assert data.name == "demo"
    assert len(frames) == N_FRAMES
    videos = frames.drop_duplicates("video").groupby("split", observed=True)["class_name"].value_counts().unstack()
    assert set(videos.columns) == set(CLASSES)
    assert (videos.loc["train"].drop("Normal") == 1).all()
    assert (videos.loc["val"] == 1).all()
    assert (videos.loc["test"].drop("Normal") == 1).all()
    assert videos.loc[["train", "test"], "Normal"].tolist() == [2, 2]
    assert set(frames["frame"]) == {0, 10, 20}


@pytest.mark.slow
def test_pixels_are_the_same_in_every_process():
    processes = [start(DIGEST_PROGRAM, PYTHONHASHSEED=str(seed)) for seed in (1, 2)]
    assert [process.communicate()[0].strip() for process in processes] == [DIGEST] * 2


def test_another_seed_gives_other_videos():
    one, other = (draw_video("Fighting", "Fighting001_x264", "street 0", seed, 2) for seed in (0, 1))
    assert (one != other).mean() > 0.5


def test_without_its_event_a_video_says_nothing_of_its_class(monkeypatch):
    drawn = {folder: draw_video(folder, "video", "street 0", 0, 4) for folder in EVENTS if folder != "Shoplifting"}
    assert all((drawn[folder] != drawn["NormalVideos"]).any() for folder in drawn if folder != "NormalVideos")
    monkeypatch.setattr(videos, "some_event", lambda *_: (None, 0, 0))
    for folder in EVENTS:
        np.testing.assert_array_equal(
            draw_video(folder, "video", "street 0", 0, 4), draw_video("NormalVideos", "video", "street 0", 0, 4)
        )


@pytest.mark.parametrize("folder", EVENTS)
@pytest.mark.slow
def test_an_event_shows_wherever_it_may_happen(folder, monkeypatch):
    for place in PLACES[folder]:
        for number, event in enumerate(EVENTS[folder]):
            monkeypatch.setattr(videos, "some_event", lambda *_, event=event: (event, 0, 12))
            with_event = draw_video(folder, f"v{number}", f"{place} 0", 0, 12)
            monkeypatch.setattr(videos, "some_event", lambda *_: (None, 0, 0))
            without = draw_video(folder, f"v{number}", f"{place} 0", 0, 12)
            changed = (np.abs(with_event.astype(int) - without) > 30).any(axis=-1).mean(axis=(1, 2))
            assert np.median(changed) > 0.002, (place, event)  # at least eight pixels, in most frames


def test_cameras_take_turns_within_each_class():
    drawing = Drawing(0, 26, 9, 180, 72, 6)
    videos = list(drawing.videos())
    assert len({video for _, _, video, _ in videos}) == len(videos) == 13 * 35 + 252
    for split in ("Train", "Test"):
        for folder in EVENTS:
            uses = Counter(camera for where, of, _, camera in videos if (where, of) == (split, folder))
            assert len(uses) == CAMERAS * len(PLACES[folder])
            assert max(uses.values()) - min(uses.values()) <= 1


def test_every_other_drawing_has_a_folder_of_its_own(tmp_path):
    changed = [{}, {"seed": 1}, {"train_videos": 3}, {"normal_test_videos": 3}, {"frames_per_video": 2}]
    roots = {a_demo(tmp_path, **change).root for change in changed}
    assert len(roots) == len(changed)
    assert a_demo(tmp_path, split_seed=1, every=2).root == a_demo(tmp_path).root


def test_a_new_version_gets_a_new_folder(monkeypatch):
    before = SMALL.folder
    monkeypatch.setattr(demo, "VERSION", demo.VERSION + 1)
    assert SMALL.folder != before


def test_a_whole_tree_is_not_drawn_again(tmp_path, monkeypatch):
    data = a_demo(tmp_path)
    data.frames()
    monkeypatch.setattr(demo, "draw_video", None)
    assert len(a_demo(tmp_path).frames()) == N_FRAMES


def damage_file(tree):
    (tree / "Test/Arrest/Arrest003_x264_10.png").unlink()


def damage_marker(tree):
    (tree / MARKER).unlink()


def damage_version(tree):
    marker = json.loads((tree / MARKER).read_text())
    (tree / MARKER).write_text(json.dumps({**marker, "version": marker["version"] - 1}))


@pytest.mark.parametrize("damage", [damage_file, *slow(damage_marker, damage_version)])
def test_a_tree_that_is_not_whole_is_drawn_again(tmp_path, damage):
    data = a_demo(tmp_path)
    data.frames()
    damage(data.root)
    assert not is_whole(data.root, data.drawing)
    assert len(data.frames()) == N_FRAMES
    assert is_whole(data.root, data.drawing)
    assert [path.name for path in tmp_path.iterdir()] == [data.root.name]


DRAW = "from pathlib import Path; from mtl.data.demo import *; write_tree(Path({tree!r}), Drawing({numbers}))"


@pytest.mark.slow
def test_processes_that_draw_at_once_all_end_well(tmp_path):
    tree = tmp_path / SMALL.folder
    program = DRAW.format(tree=str(tree), numbers="0, 2, 1, 3, 2, 3")
    processes = [start(program) for _ in range(3)]
    assert [process.wait(300) for process in processes] == [0, 0, 0]
    assert is_whole(tree, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == [tree.name]


@pytest.mark.slow
def test_a_killed_drawing_is_never_taken_as_whole(tmp_path):
    drawing = Drawing(0, 2, 1, 3, 2, 200)
    tree = tmp_path / drawing.folder
    process = start(DRAW.format(tree=str(tree), numbers="0, 2, 1, 3, 2, 200"))
    deadline = time.monotonic() + 300
    while not any(tmp_path.rglob("*.png")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert not tree.exists()
    [draft] = tmp_path.iterdir()
    write_tree(tmp_path / SMALL.folder, SMALL)
    assert draft.exists()  # it might be somebody's who is still at it
    os.utime(draft, (0, 0))
    draft.rename(tmp_path / f".{SMALL.folder}.killed")
    (tmp_path / SMALL.folder / MARKER).unlink()
    write_tree(tmp_path / SMALL.folder, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == [SMALL.folder]


def test_a_place_that_cannot_be_written_is_a_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    data = a_demo(tmp_path / "file" / "below")
    for ask in (data.check, data.frames):
        with pytest.raises(UserError, match="cannot be written"):
            ask()


def test_check_draws_nothing(tmp_path):
    a_demo(tmp_path / "new").check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_small_network_sees_what_a_linear_model_cannot(tmp_path):
    keras = pytest.importorskip("keras")
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler

    config = yaml.safe_load((ROOT / "conf/data/demo.yaml").read_text())
    del config["_target_"]
    data = Demo(**{**config, "root": str(tmp_path)})
    frames = data.frames()
    images = np.stack([read_frame(data.root, path) for path in frames["path"]])
    target = (frames["class_name"] != "Normal").to_numpy().astype(int)
    train, test = ((frames["split"] == split).to_numpy() for split in ("train", "test"))

    coarse = images.reshape(len(images), 16, 4, 16, 4, 3).mean(axis=(2, 4)).reshape(len(images), -1)
    coarse = StandardScaler().fit(coarse[train]).transform(coarse)
    linear = LogisticRegression(C=1e-3, max_iter=300).fit(coarse[train], target[train])
    linear_auc = roc_auc_score(target[test], linear.decision_function(coarse[test]))

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 127.5, -1)]
    for width in (8, 16, 32, 64):
        layers += [
            keras.layers.Conv2D(width, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
        ]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(128, "relu"), keras.layers.Dense(1, "sigmoid")]
    network = keras.Sequential(layers)
    network.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    network.fit(images[train], target[train], batch_size=32, epochs=5, verbose=0)
    network_auc = roc_auc_score(target[test], network.predict(images[test], verbose=0)[:, 0])

    assert linear_auc < 0.66
    assert linear_auc + 0.04 < network_auc < 0.95
