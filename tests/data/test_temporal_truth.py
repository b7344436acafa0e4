"""The events file beside the test videos there are: exact names, one clear line for what does not fit."""

from __future__ import annotations

import logging
from dataclasses import asdict

import pandas as pd
import pytest
import yaml
from conftest import ROOT

from mtl.data.demo import STRIDE, Demo, Drawing
from mtl.data.events import Events
from mtl.data.temporal_truth import events_of, of_test_videos, refuse_events
from mtl.data.ucf_crime import UCFCrime
from mtl.errors import UserError

SMALL = Drawing(seed=0, train_videos=2, test_videos=1, normal_train_videos=3, normal_test_videos=2, frames_per_video=3)


def table(*test):
    """Frames 0, 10, 20 of every test video, and a video of train."""
    rows = [(video, frame, "test") for video in test for frame in (0, 10, 20)] + [("seen", 0, "train")]
    return pd.DataFrame(rows, columns=["video", "frame", "split"]).astype({"video": "category", "split": "category"})


def written(tmp_path, text):
    file = tmp_path / "file.txt"
    file.write_text(text, encoding="utf-8")
    return file


def test_annotated_videos_are_counted_and_the_others_named(caplog):
    events = Events({"b": ((5, 15),), "a": (), "x1": (), "x2": (), "x3": (), "seen": ()}, "E")
    with caplog.at_level(logging.INFO):
        found = of_test_videos(events, table("a", "b", "c"))
    assert dict(found.intervals) == {"a": (), "b": ((5, 15),)}
    assert "Events of 4 names that no test video has: 'x1', 'x2', 'x3' and 1 more." in caplog.text
    assert "2 of 3 test videos are annotated; scores by events leave out 'c'." in caplog.text
    assert "end after" not in caplog.text


def test_an_event_that_ends_after_the_last_frame_is_said(caplog):
    """The last frame, 20, stands for frames up to 29: an end of 30 is none after it."""
    of_test_videos(Events({"a": ((5, 30),)}), table("a"))
    assert "end after" not in caplog.text
    of_test_videos(Events({"a": ((5, 31),)}), table("a"))
    assert "Events of 1 video end after the last frame there is and are cut there: 'a'." in caplog.text


def test_events_of_no_test_video_are_refused_with_names_of_both():
    with pytest.raises(UserError, match=r"none of the 2 test videos is annotated in E, which names 'a_i3d'.*'a', 'b'"):
        of_test_videos(Events({"a_i3d": ((0, 5),), "seen": ((0, 5),)}, "E"), table("a", "b"))


def test_test_videos_without_any_event_are_refused():
    with pytest.raises(UserError, match="annotates 1 of 2 test videos, and none of them has an event"):
        of_test_videos(Events({"a": (), "seen": ((0, 5),)}, "E"), table("a", "b"))


def test_each_file_is_told_where_it_belongs(tmp_path):
    official = "Abuse028_x264.mp4  Abuse  165  240  -1  -1  \n"
    with pytest.raises(UserError, match=r"data\.annotations\.test: .* holds annotated events.*belongs to data\.events"):
        refuse_events({"test": written(tmp_path, official)})
    refuse_events({"test": written(tmp_path, "Test/Abuse/Abuse028_x264_10.png Abuse\n")})
    with pytest.raises(UserError, match=r"data\.events: .* lists frames.*belongs to data\.annotations"):
        events_of(str(tmp_path / "file.txt"))
    with pytest.raises(UserError, match="data.events: there is no file"):
        events_of(str(tmp_path / "nowhere.txt"))
    with pytest.raises(UserError, match="expected `<video>"):
        events_of(str(written(tmp_path, "Abuse/Abuse028_x264.mp4\n")))


def a_data_set(kind, choice, **changes):
    config = yaml.safe_load((ROOT / f"conf/data/{choice}.yaml").read_text())
    del config["_target_"]
    return kind(**{**config, **changes})


def test_the_check_of_a_data_set_reads_its_events_and_finds_lists_in_the_wrong_place(tmp_path):
    demo = a_data_set(Demo, "demo", root=str(tmp_path / "demo"), **asdict(SMALL))
    demo.frames()
    root, official = str(demo.root), str(written(tmp_path, "Abuse003_x264.mp4  Abuse  0  20  -1  -1  \n"))
    given = a_data_set(UCFCrime, "ucf_crime", root=root, events=official)
    given.check()
    assert dict(given.temporal_truth().intervals) == {"Abuse003_x264": ((0, 20),)}
    assert a_data_set(UCFCrime, "ucf_crime", root=root).temporal_truth() is None
    swapped = {"train": None, "val": None, "test": official}
    with pytest.raises(UserError, match="belongs to data.events"):
        a_data_set(UCFCrime, "ucf_crime", root=root, annotations=swapped).check()
    with pytest.raises(UserError, match="data.events: there is no file"):
        a_data_set(UCFCrime, "ucf_crime", root=root, events=str(tmp_path / "none.txt")).check()


def test_the_demo_knows_when_its_events_happen(tmp_path, monkeypatch):
    """The frames in the event are those that change where there is none."""
    from mtl.drawing import videos
    from mtl.drawing.videos import draw_video

    drawing = Drawing(0, 1, 2, 2, 2, 12)
    events = a_data_set(Demo, "demo", root=str(tmp_path), **asdict(drawing)).temporal_truth()
    assert len(events.intervals) == 13 * 2 + 2
    assert [name for name, found in events.intervals.items() if not found] == [
        "Normal_Videos_001_x264", "Normal_Videos_002_x264",
    ]  # fmt: skip
    fights = [each for each in drawing.videos() if each[0] == "Test" and each[1] == "Fighting"]
    for _, folder, video, camera in fights:
        shown = draw_video(folder, video, camera, 0, 12)
        with monkeypatch.context() as patch:
            patch.setattr(videos, "some_event", lambda *_: (None, 0, 0))
            without = draw_video(folder, video, camera, 0, 12)
        changed = (shown != without).any(axis=(1, 2, 3))
        inside = events.frames_inside([video] * 12, STRIDE * pd.RangeIndex(12).to_numpy())
        assert changed.tolist() == (inside > 0).tolist()
