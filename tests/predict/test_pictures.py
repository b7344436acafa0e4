"""Curves and the page: what they show is what the tables hold, and the page needs nothing else."""

from __future__ import annotations

import json
import re
from array import array
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtl.data.events import Events
from mtl.errors import UserError
from mtl.plots.rendering import png
from mtl.predict.annotated import events_for, spans
from mtl.predict.curves import Curve, Threshold
from mtl.predict.figure import figure_of
from mtl.predict.page import MOST_POINTS, Shown, page
from mtl.predict.scoring import Picture, Scored, jpeg
from mtl.predict.tables import moments, summary

CURVES = [Curve(name, name, (name,)) for name in ("general_anomaly", "violence")]
LIMITS = {"general_anomaly": Threshold(0.6, "validation"), "violence": Threshold(0.3, "validation")}


def scored(n: int = 60, name: str = "a", times=None) -> Scored:
    seconds = np.arange(n) / 3 if times is None else np.asarray(times, float)
    wave = 0.5 + 0.4 * np.sin(np.arange(n) / 5)
    table = pd.DataFrame(
        {"frame": np.arange(n) * 10, "seconds": seconds, "general_anomaly": wave, "violence": 1 - wave}
    )
    pictures = [Picture(float(i), jpeg(np.full((90, 120, 3), 20 * i % 256, np.uint8))) for i in range(4)]
    every = array("d", np.arange(10 * n) / 30 if times is None else np.repeat(seconds, 10))
    return Scored(name, Path(f"{name}.mp4"), table, pictures, pictures, 1.0, every)


def page_of(*videos: Shown) -> str:
    table = summary([each.scored for each in videos], CURVES[0], LIMITS, 0)
    return page("2 videos", ["Every 10th frame."], table, videos, CURVES, LIMITS, 0)


def test_an_event_is_shaded_from_its_first_frame_to_the_frame_after_it():
    events = Events({"a": ((30, 90), (500, 9999)), "b": ()})
    np.testing.assert_allclose(spans(events, scored()), [(1.0, 3.0), (500 / 30, 599 / 30)])
    assert spans(events, scored(name="b")) == []
    assert spans(events, scored(name="c")) is None


def test_with_variable_rate_an_events_seconds_are_its_own_frames(caplog):
    found = scored(4, times=[0, 1, 50, 60])
    np.testing.assert_allclose(spans(Events({"a": ((10, 20), (70, 80))}), found), [(1.0, 50.0)])
    assert "1 event past its last frame, 39" in caplog.text


def test_events_of_other_videos_are_refused_in_one_line(tmp_path):
    (tmp_path / "e.txt").write_text("b.mp4 Arson 1 2 -1 -1\n")
    with pytest.raises(UserError, match=r"tells of none of the videos, not of 'a'; it names 1 video such as 'b'"):
        events_for(tmp_path / "e.txt", {"a": Path("a.mp4")})


@pytest.mark.parametrize("given", ["masks", "masks/a.npy"])
def test_masks_are_no_annotation_in_lines(tmp_path, given):
    (tmp_path / "masks").mkdir()
    np.save(tmp_path / "masks" / "a.npy", np.zeros(4, np.uint8))
    with pytest.raises(UserError, match="is no annotation in lines; right would be a text file of `<video>"):
        events_for(tmp_path / given, {"a": Path("a.mp4")})


def test_videos_that_are_not_annotated_are_named_or_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "e.txt").write_text("b.mp4 Arson 1 2 -1 -1\n")
    events_for(tmp_path / "e.txt", {name: Path(f"{name}.mp4") for name in "ab"})
    assert caplog.messages[-1].endswith("; not in it: a.")
    events_for(tmp_path / "e.txt", {name: Path(f"{name}.mp4") for name in "abcdef"})
    assert caplog.messages[-1].endswith("; not in it: a, c, d and 2 more.")


def test_the_page_speaks_of_annotation_only_where_there_was_one():
    found = scored()
    said = [page_of(Shown(found, [], events)) for events in (None, [], [(1.0, 3.0)])]
    assert ["annotated" in each for each in said] == [False, True, True]
    assert "annotated: no event" in said[1]
    assert "grey: annotated events" in said[2]


def test_the_figure_has_a_panel_per_curve_with_its_threshold_and_the_events():
    found = scored()
    tops = moments(found, CURVES[0], 0)
    figure = figure_of(found, CURVES, LIMITS, 0, tops, [(1.0, 3.0)])
    assert len(figure.axes) == 2
    for axes, curve in zip(figure.axes, CURVES, strict=True):
        lines = [line.get_ydata() for line in axes.lines]
        np.testing.assert_allclose(lines[0], found.table[curve.name])
        assert any(set(np.unique(line)) == {LIMITS[curve.name].value} for line in lines)
        assert len(axes.patches) == 1
    assert len({axes.lines[0].get_linestyle() for axes in figure.axes}) == 2  # told apart without colour
    assert png(figure).startswith(b"\x89PNG")


def test_a_video_without_times_says_so_in_place_of_a_curve():
    found = scored(3, times=[np.nan] * 3)
    figure = figure_of(found, CURVES, LIMITS, 0, [], None)
    assert "nothing tells when" in figure.axes[0].texts[0].get_text()
    assert "Nothing tells when" in page_of(Shown(found, [], None))


def test_the_page_needs_nothing_else_and_holds_the_scores():
    found = scored()
    text = page_of(Shown(found, moments(found, CURVES[0], 0), [(1.0, 3.0)]))
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    assert "http" not in text
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', text)
    known = json.loads(data)
    np.testing.assert_allclose(known["values"][0], found.table["general_anomaly"], atol=1e-4)
    assert known["frames"] == found.table["frame"].tolist()
    assert text.count('class="event"') == 1
    assert text.count("<button") == len(moments(found, CURVES[0], 0))


def test_a_name_is_text_not_markup():
    found = scored(name="<script>alert(1)</script>")
    text = page_of(Shown(found, [], None))
    assert "<script>alert" not in text


def test_a_long_video_keeps_its_peak_and_a_bounded_page():
    found = scored(50_000)
    found.table.loc[31_234, "general_anomaly"] = 0.99
    text = page_of(Shown(found, moments(found, CURVES[0], 0), None))
    known = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', text)[0])
    assert len(known["frames"]) == MOST_POINTS
    assert 312_340 in known["frames"]


def test_the_summary_names_what_went_wrong():
    bad = Scored("b", Path("b.mp4"), scored(0).table, reason="empty")
    table = summary([scored(), bad], CURVES[0], LIMITS, 0)
    assert table.loc["b", "problem"] == "empty"
    assert table.loc["a", "frames"] == "600"
    assert "problem" not in summary([scored()], CURVES[0], LIMITS, 0)
