"""Labels by frame from csv files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mtl.data.annotated_data import AnnotatedData
from mtl.data.labels import read_labels, targets_of
from mtl.errors import UserError
from mtl.tasks import BinaryTask, CategoricalTask

YES = BinaryTask(["Arson"], [])
KIND = CategoricalTask(["Arson", "Normal"], [])
FRAMES = pd.DataFrame(
    {
        "path": ["Train/Arson/a_0.png", "Train/Arson/a_10.png", "Train/Normal/b_0.png"],
        "video": pd.Categorical(["a", "a", "b"]),
        "frame": [0, 10, 0],
        "class_name": pd.Categorical(["Arson", "Arson", "Normal"]),
        "split": pd.Categorical(["train"] * 3),
    }
)


def read(tmp_path, text, task=YES, is_whole=True):
    file = tmp_path / "labels.csv"
    file.write_text(text, encoding="utf-8")
    return read_labels(file, "fire", task, FRAMES, is_whole)


@pytest.mark.parametrize(
    ("text", "task", "expected"),
    [
        ("video,frame,label\na,0,1\nb,0,no\n", YES, [1, -1, 0]),
        ("\ufeffvideo, frame, label\r\na,10,YES\r\n\r\nb,0,\r\n", YES, [-1, 1, -1]),
        ("path,label\nTrain\\Normal\\b_0.png,0\nTrain/Arson/a_0.png,yes\n", YES, [1, -1, 0]),
        ("video,frame,label\nb,00,Arson\na,0,Normal", KIND, [1, -1, 0]),
    ],
)
def test_a_frame_has_the_label_of_its_line_and_none_without_one(tmp_path, text, task, expected):
    found = read(tmp_path, text, task)
    assert found.dtype == np.int32
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,label\n", "csv:1: expected a first line `video,frame,label` or `path,label`, found 'clip,label'"),
        ("", "csv:1: expected a first line"),
        ("video,frame,label\na,0,1\na,0\n", "csv:3: expected video,frame,label, found 'a,0'"),
        ("video,frame,label\na,0,1\n\nB,0,1\n", "csv:4: the data have no video 'B'. Did you mean 'b'?"),
        ("video,frame,label\na,7,1\n", "csv:2: the data have no frame 7 of video 'a'"),
        ("path,label\nc.png,1\n", "csv:2: the data have no file 'c.png'"),
        ("video,frame,label\na,x,1\n", "csv:2: 'x' is no number of a frame"),
        ("video,frame,label\na,0,perhaps\n", "csv:2: 'perhaps' is no label of fire. Right would be 1, 0, yes, no"),
        ("video,frame,label\na,0,1\na,00,0\n", "csv:3: 'a,0' is there already, in line 2"),
        ("video,frame,label\na,0,\n", "none of the data's frames has a label; fire would learn nothing"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line_with_its_number(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_label_that_is_no_class_of_the_task_is_told_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"'Arsn' is no label of fire. Did you mean 'Arson'\?"):
        read(tmp_path, "video,frame,label\na,0,Arsn\n", KIND)


def test_labels_of_frames_that_were_thinned_away_are_counted(tmp_path, caplog):
    found = read(tmp_path, "video,frame,label\na,0,1\na,5,1\nc,0,1\n", is_whole=False)
    assert found.tolist() == [1, -1, -1]
    assert "2 of its 3 lines are of frames that are not used" in caplog.text


def test_a_label_is_of_all_crops_of_its_frame(tmp_path):
    crops = pd.concat([FRAMES.assign(path=FRAMES["path"] + f"#{crop}") for crop in range(3)], ignore_index=True)
    file = tmp_path / "labels.csv"
    file.write_text("video,frame,label\na,0,1\nb,0,0\n", encoding="utf-8")
    assert read_labels(file, "fire", YES, crops, True).tolist() == [1, -1, 0] * 3


def test_only_tasks_with_a_file_are_labelled_by_one(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("video,frame,label\na,0,0\n", encoding="utf-8")
    found = targets_of({"fire": YES, "kind": KIND}, FRAMES, {"fire": str(file), "kind": None}, True)
    assert found["fire"].tolist() == [0, -1, -1]
    assert found["kind"].tolist() == [0, 0, 1]


def test_an_unknown_task_and_a_missing_file_are_told():
    with pytest.raises(UserError, match="data.labels has no task 'fir'. Did you mean 'fire'"):
        AnnotatedData({"fir": None}, None, 30.0).check_labels(["fire"])
    with pytest.raises(UserError, match="data.labels.fire: there is no file"):
        AnnotatedData({"fire": "/nowhere.csv"}, None, 30.0).check_labels(["fire"])
