"""MTL007: one video holds a large share of a split."""

from __future__ import annotations

import pandas as pd
import pytest
from made_evidence import entry, evidence, found, run, videos

from mtl.checks.ruling_video import RulingVideo


def train(*frames: int) -> pd.DataFrame:
    return videos(v=frames).assign(split="train")


def test_a_video_of_a_large_share_is_an_issue_with_the_ten_largest():
    table = train(77, *[9] * 10, *[8] * 104)  # 77 + 90 + 832 = 999 frames
    line = "train: v0 holds 7.7% of the frames of 115 videos, the 10 largest hold 15.8%."
    assert found(RulingVideo(), evidence(run(), videos=(train(*[1] * 99), table))) == ("issue", line)


def test_of_few_videos_each_holds_much():
    even = train(*[10] * 8)
    assert found(RulingVideo(), evidence(run(), videos=(even,))) == (
        "passed",
        "One video holds at most 12.5% of train.",
    )
    twenty = train(*[1] * 19, 7)  # 26.9 %, more than five times a twentieth
    line = "train: v19 holds 26.9% of the frames of 20 videos, the 10 largest hold 61.5%."
    assert found(RulingVideo(), evidence(run(), videos=(twenty,))) == ("issue", line)


@pytest.mark.parametrize(("frames", "severity"), [(52, "passed"), (53, "issue")])
def test_the_limit_is_a_twentieth_of_a_large_split(frames, severity):
    table = train(frames, *[10] * 100)  # 52 of 1,052 are 4.9 %, 53 of 1,053 are 5.03 %
    assert found(RulingVideo(), evidence(run(), videos=(table,)))[0] == severity


def test_predictions_tell_of_test_alone_which_does_not_pass():
    line = "The runs do not say which videos they trained on. Of the others, one video holds at most 10.0% of test."
    judged = entry(by_video=videos(Arson=4, Normal=6))
    assert found(RulingVideo(), evidence(run(), entries=[judged])) == ("not applicable", line)
    ruled = entry(by_video=videos(Normal=[1] * 40 + [60]))
    assert found(RulingVideo(), evidence(run(), entries=[ruled])) == (
        "issue",
        "test: Normal40 holds 60.0% of the frames of 41 videos, the 10 largest hold 69.0%.",
    )


def test_without_both_nothing_is_known():
    line = "The runs keep neither predictions nor a list of their videos."
    assert found(RulingVideo(), evidence(run())) == ("not applicable", line)
