from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.splits import (
    at_most,
    at_most_per_video,
    every_nth,
    hold_out_videos,
    quotas,
    require_every_split,
    say_large_videos,
)
from mtl.errors import UserError


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


# frames, every tenth, of the official training videos: all of Explosion, and the nine longest normal ones,
# whose other 791 have 628,243 together
EXPLOSION = [
    64, 58, 70, 192, 111, 74, 130, 88, 154, 36, 234, 126, 259, 325, 212, 42, 97, 271, 458, 276, 277, 72, 76, 14190,
    139, 46, 28, 282, 366,
]  # fmt: skip
LONGEST_NORMAL = [97651, 62802, 44131, 23504, 19277, 19145, 18082, 18081, 16852]


def one_class(lengths, fraction, seed=0):
    """Lengths of the videos held out of a single class of videos of these lengths."""
    held_out = hold_out_videos(names(["Abuse"] * len(lengths)), ["Abuse"] * len(lengths), lengths, fraction, seed)
    return sorted(int(lengths[int(name[5:])]) for name in held_out)


def test_hold_out_takes_the_share_of_each_class():
    classes = ["Abuse"] * 40 + ["Normal"] * 800 + ["Arson"] * 7
    held_out = hold_out_videos(names(classes), classes, [12] * 847, 0.15, 0)
    taken = pd.Series(classes)[[name in held_out for name in names(classes)]].value_counts()
    assert taken.to_dict() == {"Normal": 120, "Abuse": 6, "Arson": 1}


def test_hold_out_counts_frames_not_videos():
    for seed in range(20):
        assert one_class([30, 10, 10, 10, 10, 10, 10, 10], 0.3, seed) in ([10, 10, 10], [30])  # 30 of 100
    assert one_class([70, 3, 4, 5, 18], 0.12) in ([3, 4, 5], [4, 5], [3, 5])  # whatever the order, as near as it fits


@pytest.mark.parametrize("seed", range(10))
def test_the_giants_of_the_official_list_stay_in_train(seed):
    normal = [*LONGEST_NORMAL, *np.random.default_rng(1).multinomial(628_243, np.ones(791) / 791)]
    lengths = np.array([*EXPLOSION, *normal])
    classes = ["Explosion"] * len(EXPLOSION) + ["Normal"] * len(normal)
    held_out = hold_out_videos(names(classes), classes, lengths.tolist(), 0.15, seed)
    taken = np.array([name in held_out for name in names(classes)])
    for name in ("Explosion", "Normal"):
        of_class = np.array(classes) == name
        assert lengths[taken & of_class].sum() / lengths[of_class].sum() == pytest.approx(0.15, abs=0.01)
    assert lengths[taken].max() < 0.15 * lengths[taken].sum()
    assert set(LONGEST_NORMAL).isdisjoint(lengths[taken])  # 14,498 or more are over a tenth
    assert 14190 not in lengths[taken]


@given(st.lists(st.integers(1, 300), min_size=2, max_size=30), st.floats(0.01, 0.99), st.integers(0, 5))
def test_no_further_video_brings_a_class_nearer_to_its_share(lengths, fraction, seed):
    taken = one_class(lengths, fraction, seed)
    stays = list(lengths)
    for length in taken:
        stays.remove(length)
    assert taken
    assert stays
    target = fraction * sum(lengths)
    usual = [length for length in stays if length <= 0.1 * target]
    away = abs(sum(taken) - target)
    assert len(stays) == 1 or all(abs(sum(taken) + length - target) >= away - 1e-6 for length in usual)


def test_a_giant_goes_only_where_its_class_has_too_little_else():
    for seed in range(10):
        assert one_class([30] * 4 + [1] * 12, 0.3, seed).count(30) == 1  # 39.6 of 132: the small ones are only 12
        assert 30 not in one_class([30] * 4 + [2] * 40, 0.3, seed)  # 60 of 200: the small ones are enough
    assert one_class([500, 400], 0.2) == [400]  # one is held out, the nearer one


def test_hold_out_does_not_depend_on_the_order_of_rows():
    classes = ["Abuse", "Arson", "Normal"] * 20
    videos, lengths = names(classes), np.random.default_rng(1).integers(1, 50, 60)
    order = np.random.default_rng(0).permutation(60)
    shuffled = hold_out_videos([videos[i] for i in order], [classes[i] for i in order], lengths[order].tolist(), 0.3, 4)
    assert shuffled == hold_out_videos(videos, classes, lengths.tolist(), 0.3, 4)


def test_hold_out_of_a_class_without_giants_does_not_depend_on_other_classes():
    abuse, both = ["Abuse"] * 60, ["Abuse"] * 60 + ["Arson"] * 9
    lengths = np.random.default_rng(0).integers(8, 13, 69).tolist()  # at most 13 of 180 to be held out
    alone = hold_out_videos(names(abuse), abuse, lengths[:60], 0.3, 0)
    held_out = hold_out_videos(names(both), both, lengths, 0.3, 0)
    assert alone == {name for name in held_out if name.startswith("Abuse")}


def test_hold_out_of_videos_of_one_length_grows_with_the_fraction_and_moves_with_the_seed():
    classes = ["Abuse"] * 30
    small, large = (hold_out_videos(names(classes), classes, [7] * 30, fraction, 0) for fraction in (0.1, 0.5))
    assert small < large
    assert hold_out_videos(names(classes), classes, [7] * 30, 0.5, 1) != large


def test_hold_out_is_the_same_on_every_machine():
    classes = ["Abuse"] * 10
    assert sorted(hold_out_videos(names(classes), classes, [1] * 10, 0.3, 0)) == [
        "Abuse003",
        "Abuse005",
        "Abuse007",
    ]  # as `printf 0/Abuse003 | b2sum -l 128` sorts


def test_every_class_is_held_out_and_stays():
    classes = ["Abuse"] * 2 + ["Arson"] * 3
    for fraction in (0.01, 0.99):
        held_out = hold_out_videos(names(classes), classes, [5, 9, 1, 1, 70], fraction, 0)
        assert {name[:5] for name in held_out} == {"Abuse", "Arson"}
        assert {name[:5] for name in set(names(classes)) - held_out} == {"Abuse", "Arson"}


def test_single_videos_of_classes_stay_and_are_said_in_one_line(caplog):
    with caplog.at_level(logging.WARNING):
        held_out = hold_out_videos(["Abuse001", "Arson001", "Normal1", "Normal2"], [*"ABNN"], [3] * 4, 0.5, 0)
    assert len(held_out) == 1
    assert caplog.messages == ["A single video each has A (Abuse001), B (Arson001): none of it is held out."]


def test_split_that_bad_frames_emptied_is_told_so():
    found = pd.concat(
        [table({"Abuse": [2]}).assign(split=split, path=lambda t, s=split: s + t["frame"].astype(str) + ".png")
         for split in ("train", "val", "test")], ignore_index=True,
    )  # fmt: skip
    bad = pd.DataFrame({"path": ["val0.png", "val10.png", "test0.png"], "reason": ["cut", "empty", "cut"]})
    left = found[~found["path"].isin(bad["path"])]
    with pytest.raises(UserError) as raised:
        require_every_split(left, found, bad)
    assert str(raised.value) == (
        "Split 'val' has no frame left: none of its 2 can be read, such as 'val0.png' (cut), 'val10.png' (empty)."
    )
    require_every_split(found, found, bad.iloc[:0])
    with pytest.raises(UserError, match=r"Split 'test' has no frame; the data set gives none\."):
        require_every_split(found[found["split"] != "test"], found[found["split"] != "test"], bad)


def test_a_video_of_over_a_tenth_of_a_split_is_said_once_per_split(caplog):
    say_large_videos(table({"Abuse": [5, 5, 5, 5, 5], "Arson": [5, 5, 5, 4, 6]}))
    assert [record.getMessage() for record in caplog.records] == [
        "Video Arson004 has 12.0 % of the 50 frames of train (10 videos); "
        "a lower data.max_frames_per_video takes less of it."
    ]
    caplog.clear()
    say_large_videos(table({"Abuse": [5] * 5, "Arson": [5] * 5}))
    assert not caplog.records
    say_large_videos(table({"Abuse": [3], "Arson": [5]}).assign(split="val"))
    assert [record.getMessage() for record in caplog.records] == [
        "Video Arson000 has 62.5 % of the 8 frames of val (2 videos); 2 videos have over 10 % each."
    ]


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
