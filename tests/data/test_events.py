"""Annotated events are found by the exact name of a video, half-open, clipped to the frames there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mtl.data.events import Events, read_events, video_name
from mtl.errors import UserError

# an excerpt of the official annotation, with its double and trailing spaces
OFFICIAL = """Abuse028_x264.mp4  Abuse  165  240  -1  -1  
Arson011_x264.mp4  Arson  150  420  680  1267  
Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1  
Shooting015_x264.mp4  Shooting  855  1715  -1  -1  
"""  # noqa: W291


def written(tmp_path, text, **how):
    file = tmp_path / "events.txt"
    file.write_text(text, **({"encoding": "utf-8"} | how))
    return file


@pytest.mark.parametrize("how", [{}, {"newline": "\r\n"}, {"encoding": "utf-8-sig"}])
def test_the_official_annotation_is_read(tmp_path, how):
    found = read_events(written(tmp_path, OFFICIAL, **how))
    assert dict(found.intervals) == {
        "Abuse028_x264": ((165, 240),),
        "Arson011_x264": ((150, 420), (680, 1267)),
        "Normal_Videos_003_x264": (),
        "Shooting015_x264": ((855, 1715),),
    }
    assert found.annotated(["Abuse028_x264", "Abuse02", "Abuse028_x264_i3d"]).tolist() == [True, False, False]


def test_a_line_without_a_class_is_read_as_well(tmp_path):
    name = "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6"
    assert dict(read_events(written(tmp_path, f"{name} 5 60 90 120\n")).intervals) == {name: ((5, 60), (90, 120))}


def test_a_frame_is_inside_from_start_on_and_no_more_at_the_end():
    events = Events({"a": ((10, 20),), "b": ()})
    frames = np.array([9, 10, 19, 20])
    assert events.frames_inside(["a"] * 4, frames).tolist() == [0, 1, 1, 0]
    assert events.frames_inside(["b"] * 4, frames).tolist() == [0, 0, 0, 0]
    assert events.frames_inside(["unknown"] * 4, frames).tolist() == [0, 0, 0, 0]


def test_rows_of_several_frames_count_the_frames_inside_one_by_one():
    rng = np.random.default_rng(0)
    events = Events({"a": ((3, 30), (20, 41), (50, 51)), "b": ((0, 7),)})
    videos, first, n = rng.choice(["a", "b", "c"], 60), rng.integers(0, 60, 60), rng.integers(1, 17, 60)
    one_by_one = [
        sum(any(s <= f < e for s, e in events.intervals.get(video, ())) for f in range(start, start + count))
        for video, start, count in zip(videos, first, n, strict=True)
    ]
    assert events.frames_inside(videos, first, n).tolist() == one_by_one


def test_the_order_of_rows_and_of_videos_changes_nothing(tmp_path):
    rows = pd.DataFrame(
        {"video": np.repeat(["Arson011_x264", "Abuse028_x264"], 150), "frame": np.tile(range(150), 2) * 10}
    )
    found = []
    for lines in (OFFICIAL.splitlines(), OFFICIAL.splitlines()[::-1], sorted(OFFICIAL.splitlines(), key=len)):
        mixed = rows.sample(frac=1, random_state=len(found))
        events = read_events(written(tmp_path, "\n".join(lines)))
        found.append(
            pd.Series(events.frames_inside(mixed["video"], mixed["frame"].to_numpy()), mixed.index).sort_index()
        )
    assert found[0].sum() == 27 + 59 + 7
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a.mp4 Abuse 1 2\nb.mp4 Abuse 5\n",
            r":2: expected `<video> \[<class>\] <start> <end> ...`.*found 'b.mp4 Abuse 5'",
        ),
        ("a.mp4 Abuse\n", ":1: expected"),
        ("a.mp4 Abuse x y\n", ":1: expected"),
        ("a.mp4 Abuse -5 9\n", ":1: 'a' has an event from frame -5 to 9; right would be a start of 0 or more"),
        ("a.mp4 Abuse 9 9\n", ":1: 'a' has an event from frame 9 to 9"),
        ("a.mp4 Abuse 1 2\n\nX/a.mp4 Abuse 1 2\n", ":3: 'a' is there already, in line 1"),
        ("\n", "is empty"),
    ],
)
def test_what_is_no_annotation_is_one_line_with_its_number(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        read_events(written(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("Abuse/Abuse028_x264.mp4", "Abuse028_x264"),
        ("Abuse\\Abuse028_x264.MP4", "Abuse028_x264"),
        ("01_0015", "01_0015"),
        ("v=x__#1.5_label_B2-0-0", "v=x__#1.5_label_B2-0-0"),
        (".mp4", ".mp4"),
    ],
)
def test_a_video_is_named_without_folder_and_ending(word, name):
    assert video_name(word) == name


def test_the_table_of_events_says_also_where_there_are_none():
    table = Events({"a": ((1, 2), (5, 9)), "b": ()}).table()
    assert table.to_numpy().tolist() == [["a", 1, 2], ["a", 5, 9], ["b", -1, -1]]
