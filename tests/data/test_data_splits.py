from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.splits import at_most, at_most_per_video, every_nth, hold_out_videos, quotas


def table(lengths):
    """A frame table of {class: [frames of each video]}, frames 0, 10, 20, ..."""
    rows = [
        (name, f"{name}{v:03d}", 10 * i)
        for name, videos in lengths.items()
        for v, length in enumerate(videos)
        for i in range(length)
    ]
    frames = pd.DataFrame(rows, columns=["class_name", "video", "frame"])
    frames["class_name"] = pd.Categorical(frames["class_name"], list(lengths))
    frames["video"] = pd.Categorical(frames["video"], sorted(frames["video"].unique()))
    frames["split"] = pd.Categorical(["train"] * len(frames), ["train", "val", "test"])
    return frames.sort_values(["class_name", "video", "frame"], ignore_index=True)


def names(classes):
    return [f"{name}{i:03d}" for i, name in enumerate(classes)]


def test_hold_out_takes_the_share_of_each_class():
    classes = ["Abuse"] * 40 + ["Normal"] * 800 + ["Arson"] * 7
    held_out = hold_out_videos(names(classes), classes, 0.15, 0)
    taken = pd.Series(classes)[[name in held_out for name in names(classes)]].value_counts()
    assert taken.to_dict() == {"Normal": 120, "Abuse": 6, "Arson": 1}


def test_hold_out_does_not_depend_on_the_order_of_rows():
    classes = ["Abuse", "Arson", "Normal"] * 20
    videos = names(classes)
    order = np.random.default_rng(0).permutation(60)
    shuffled = hold_out_videos([videos[i] for i in order], [classes[i] for i in order], 0.3, 4)
    assert shuffled == hold_out_videos(videos, classes, 0.3, 4)


def test_hold_out_of_a_class_does_not_depend_on_other_classes():
    abuse, both = ["Abuse"] * 20, ["Abuse"] * 20 + ["Arson"] * 9
    alone = hold_out_videos(names(abuse), abuse, 0.3, 0)
    assert alone == {name for name in hold_out_videos(names(both), both, 0.3, 0) if name.startswith("Abuse")}


def test_hold_out_grows_with_the_fraction_and_moves_with_the_seed():
    classes = ["Abuse"] * 30
    small, large = (hold_out_videos(names(classes), classes, fraction, 0) for fraction in (0.1, 0.5))
    assert small < large
    assert hold_out_videos(names(classes), classes, 0.5, 1) != large


def test_hold_out_is_the_same_on_every_machine():
    classes = ["Abuse"] * 10
    assert sorted(hold_out_videos(names(classes), classes, 0.3, 0)) == [
        "Abuse003",
        "Abuse005",
        "Abuse007",
    ]  # as `printf 0/Abuse003 | b2sum -l 128` sorts


def test_every_class_is_held_out_and_stays():
    classes = ["Abuse"] * 2 + ["Arson"] * 3
    for fraction in (0.01, 0.99):
        held_out = hold_out_videos(names(classes), classes, fraction, 0)
        assert {name[:5] for name in held_out} == {"Abuse", "Arson"}
        assert {name[:5] for name in set(names(classes)) - held_out} == {"Abuse", "Arson"}


def test_single_video_of_a_class_stays_and_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        assert hold_out_videos(["Abuse001"], ["Abuse"], 0.5, 0) == frozenset()
    assert "Abuse001" in caplog.text


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.integers(0, 3000))
def test_quotas_deal_out_all_within_bounds(counts, total):
    counts = np.array(counts)
    dealt = quotas(counts, total)
    assert dealt.sum() == min(total, counts.sum())
    assert (dealt <= counts).all()
    assert (dealt >= 0).all()
    if total >= len(counts):
        assert (dealt >= 1).all()


def test_quotas_are_proportional():
    np.testing.assert_array_equal(quotas(np.array([800, 150, 50]), 20), [16, 3, 1])
    np.testing.assert_array_equal(quotas(np.array([996, 2, 2]), 10), [8, 1, 1])
    np.testing.assert_array_equal(quotas(np.array([5, 5, 5, 5]), 2), [0, 1, 0, 1])
    np.testing.assert_array_equal(quotas(np.array([5, 5]), 0), [0, 0])


def test_every_nth_counts_in_order_of_time_within_a_video():
    frames = table({"Abuse": [5, 1], "Normal": [4]})
    kept = every_nth(frames, 2)
    assert list(zip(kept["video"], kept["frame"], strict=True)) == [
        ("Abuse000", 0), ("Abuse000", 20), ("Abuse000", 40), ("Abuse001", 0), ("Normal000", 0), ("Normal000", 20),
    ]  # fmt: skip
    assert kept.index.equals(pd.RangeIndex(6))


def test_at_most_per_video_takes_the_middles_of_equal_parts():
    frames = table({"Abuse": [9, 2]})
    kept = at_most_per_video(frames, 3)
    assert kept["frame"].tolist() == [10, 40, 70, 0, 10]
    assert at_most_per_video(frames, 1)["frame"].tolist() == [40, 10]
    assert len(at_most_per_video(frames, None)) == 11


def test_at_most_keeps_classes_in_proportion_and_every_video():
    frames = table({"Abuse": [50, 150], "Arson": [3], "Normal": [700, 100, 90, 7]})
    kept = at_most(frames, 110)
    assert len(kept) == 110
    assert kept["class_name"].value_counts().to_dict() == {"Normal": 89, "Abuse": 20, "Arson": 1}
    by_video = kept["video"].value_counts()
    assert by_video.min() >= 1
    assert by_video["Abuse001"] == 15
    gaps = kept.loc[kept["video"] == "Normal000", "frame"].diff().dropna()
    assert gaps.max() - gaps.min() <= 10  # evenly over time


def test_at_most_keeps_every_class_where_it_can():
    frames = table({"Abuse": [1], "Arson": [1], "Normal": [5000]})
    assert set(at_most(frames, 3)["class_name"]) == {"Abuse", "Arson", "Normal"}
    assert len(at_most(frames, 2)) == 2
    assert at_most(frames, None) is frames
    assert len(at_most(frames, 10_000)) == 5002


@pytest.mark.parametrize(
    "thin", [lambda f: every_nth(f, 3), lambda f: at_most_per_video(f, 4), lambda f: at_most(f, 9)]
)
def test_thinning_keeps_order_types_and_rows(thin):
    frames = table({"Abuse": [7, 8], "Normal": [20, 1]})
    kept = thin(frames)
    assert (kept.dtypes == frames.dtypes).all()
    assert kept.index.equals(pd.RangeIndex(len(kept)))
    merged = kept.merge(frames, on=["video", "frame", "class_name", "split"])
    pd.testing.assert_frame_equal(merged, kept)
    pd.testing.assert_frame_equal(kept.sort_values(["class_name", "video", "frame"], ignore_index=True), kept)
    assert not kept.duplicated().any()


def test_nothing_in_nothing_out():
    frames = table({"Abuse": [3]}).iloc[:0]
    for kept in (every_nth(frames, 2), at_most_per_video(frames, 2), at_most(frames, 2)):
        assert len(kept) == 0
