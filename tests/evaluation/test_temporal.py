"""Scores by annotated events: values by hand, the field's totals, and that no order of videos changes a number."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from mtl.data.events import Events, of_test_videos
from mtl.errors import UserError
from mtl.evaluation.evaluation import Evaluation
from mtl.evaluation.predictions import predictions_table
from mtl.evaluation.temporal import Temporal, average_precision_draws, temporal_scores
from mtl.results import is_temporal
from mtl.tasks import BinaryTask, CategoricalTask, RandomTask, Task

CLASSES = ("Abuse", "Arson", "Normal")
ANOMALY: dict[str, Task] = {"anomaly": BinaryTask(["Abuse", "Arson"], [])}
# the 290 test videos of UCF-Crime with their number of frames and the official annotation
with (Path(__file__).parents[1] / "data" / "ucf_crime_test_videos.csv").open(encoding="utf-8") as file:
    TEST_VIDEOS = list(csv.DictReader(file))
LENGTHS = {row["video"]: int(row["n_frames"]) for row in TEST_VIDEOS}


def official(inclusive: bool = False) -> Events:
    """The official annotation; with inclusive ends as some projects have it."""
    pairs = (("start1", "end1"), ("start2", "end2"))
    return Events(
        {row["video"]: tuple((int(row[a]), int(row[b]) + inclusive) for a, b in pairs if row[a]) for row in TEST_VIDEOS}
    )


def every(step: int) -> pd.DataFrame:
    """Rows of every n-th frame of the official test videos."""
    frames = {name: np.arange(0, n, step) for name, n in LENGTHS.items()}
    names = np.repeat(list(frames), [len(each) for each in frames.values()])
    table = pd.DataFrame({"split": "test", "video": names, "frame": np.concatenate(list(frames.values()))})
    table["class_name"] = np.where(table["video"].str.startswith("Normal"), "Normal", "Abuse")
    return table


def blocks(n: int) -> pd.DataFrame:
    """Rows of n frames each of the official test videos, the last one padded."""
    return every(n).assign(n_frames=n)


def predicted(table: pd.DataFrame, anomaly: np.ndarray, tasks: dict[str, Task] = ANOMALY) -> pd.DataFrame:
    """The table with targets, and a score of the task `anomaly`."""
    targets = {f"target/{name}": task.targets(table) for name, task in tasks.items()}
    return table.assign(**targets, **{"probability/anomaly": np.asarray(anomaly, float)})


def temporal(
    table: pd.DataFrame, events: Events, tasks: dict[str, Task] = ANOMALY, resamples: int = 50, fault: str = ""
) -> Temporal:
    return temporal_scores(table, events, tasks, resamples, 0, fault, None)


def small() -> pd.DataFrame:
    """Three videos of four frames each."""
    table = pd.DataFrame(
        {
            "split": "test",
            "video": np.repeat(["a", "b", "n"], 4),
            "frame": np.tile(np.arange(4), 3),
            "class_name": np.repeat(["Abuse", "Arson", "Normal"], 4),
        }
    )
    return predicted(table, np.array([0.1, 0.9, 0.8, 0.3, 0.2, 0.7, 0.1, 0.1, 0.0, 0.4, 0.75, 0.05]))


EVENTS = Events({"a": ((1, 3),), "b": ((1, 2),), "n": ()})


def test_values_by_hand():
    found = temporal(small(), EVENTS)
    # positive are .9, .8, .7; of the nine others only .75 lies above one of them
    assert found.scores["auc_event/anomaly"].value == pytest.approx(26 / 27)
    assert found.scores["average_precision_event/anomaly"].value == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert found.scores["auc_event_anomalous/anomaly"].value == 1
    assert found.scores["class_auc_event/anomaly.Abuse"].value == 1
    assert found.scores["class_auc_event/anomaly.Arson"].value == 3 / 4
    table = found.classes.set_index("class")
    assert table[["videos", "frames"]].to_numpy().tolist() == [[1, 2], [1, 1]]
    assert "all positive frames are from a single video" in table.loc["Abuse", "reason"]
    assert found.convention.startswith("12 frames, 3 of them in an event, of 3 annotated of 3 test videos, 2 with an")


def test_frames_outside_of_events_are_normal_for_a_task_of_types():
    table = small()
    logits = np.random.default_rng(0).normal(size=(12, 3)).round(1)
    tasks: dict[str, Task] = {"kind": CategoricalTask(CLASSES, [])}
    table["target/kind"] = tasks["kind"].targets(table)
    for name, values in zip(CLASSES, tasks["kind"].probabilities(logits).T, strict=True):
        table[f"probability/kind/{name}"] = values
    truth = np.full(12, 2)
    truth[[1, 2]], truth[5] = 0, 1
    each = table[[f"probability/kind/{name}" for name in CLASSES]].to_numpy()
    by_class = [metrics.roc_auc_score(truth == i, each[:, i]) for i in range(3)]
    assert temporal(table, EVENTS, tasks).scores["auc_event/kind"].value == pytest.approx(np.mean(by_class))
    # of a task that has no normal class, frames outside are of none
    tasks = {"kind": CategoricalTask(("Abuse", "Arson"), [])}
    table["target/kind"] = np.where(table["class_name"] == "Normal", 0, table["target/kind"])
    table = table.drop(columns="probability/kind/Normal")
    expected = [metrics.roc_auc_score(truth == i, each[:, i]) for i in range(2)]
    assert temporal(table, EVENTS, tasks).scores["auc_event/kind"].value == pytest.approx(np.mean(expected))


def test_rows_of_several_frames_score_as_their_frames_one_by_one():
    rng = np.random.default_rng(1)
    rows = blocks(16).query("frame < 4000").reset_index(drop=True)
    rows = predicted(rows, rng.integers(0, 30, len(rows)) / 30)
    frames = rows.loc[rows.index.repeat(16)].drop(columns="n_frames").reset_index(drop=True)
    frames["frame"] += np.tile(np.arange(16), len(rows))
    by_row, by_frame = temporal(rows, official()), temporal(frames, official())
    assert by_row.convention == by_frame.convention
    assert by_row.scores.keys() == by_frame.scores.keys()
    for name, score in by_row.scores.items():
        assert score.value == pytest.approx(by_frame.scores[name].value, abs=1e-12), name
        assert score.low == pytest.approx(by_frame.scores[name].low, abs=1e-9, nan_ok=True), name
    pd.testing.assert_frame_equal(by_row.classes, by_frame.classes, rtol=1e-9)


def test_predictions_keep_for_how_many_frames_a_row_stands():
    rows = blocks(16).head(3)
    logits = {"anomaly": np.zeros((3, 1))}
    targets = {"anomaly": np.ones(3, int)}
    assert predictions_table(rows, targets, logits, ANOMALY)["n_frames"].tolist() == [16, 16, 16]
    assert "n_frames" not in predictions_table(rows.drop(columns="n_frames"), targets, logits, ANOMALY)


def test_no_order_of_videos_changes_a_number():
    rng = np.random.default_rng(2)
    table = every(100)
    table = predicted(table, rng.integers(0, 20, len(table)) / 20 + (table["class_name"] != "Normal") / 9)
    found = []
    for key in (None, lambda name: name[::-1], lambda name: (name.startswith("Normal"), len(name), name)):
        names = sorted(LENGTHS, key=key)
        events = Events({name: official().intervals[name] for name in names})
        ordered = table.assign(place=table["video"].map({name: i for i, name in enumerate(names)}))
        ordered = ordered.sort_values(["place", "frame"], ignore_index=True).drop(columns="place")
        found.append(temporal(ordered, events))
    assert found[0].scores == found[1].scores == found[2].scores


@pytest.mark.parametrize(
    ("rows", "inclusive", "frames", "positive"),
    [
        ("frames", False, 1_111_808, 84_182),
        ("every 10th", False, 111_308, 8_415),
        ("every 10th", True, 111_308, 8_548),
        ("padded to 16", True, 1_114_144, 84_343),
    ],
)
def test_totals_of_the_official_annotation(rows, inclusive, frames, positive):
    events = official(inclusive)
    if rows == "frames":
        names, lengths = np.array(list(LENGTHS)), np.array(list(LENGTHS.values()))
        table, n_frames = pd.DataFrame({"video": names, "frame": 0}), lengths
    else:
        table = every(10) if rows == "every 10th" else blocks(16)
        n_frames = table.get("n_frames", pd.Series(np.ones(len(table), int))).to_numpy()
    assert n_frames.sum() == frames
    assert events.frames_inside(table["video"], table["frame"].to_numpy(), n_frames).sum() == positive


def test_a_perfect_frame_detector_and_a_perfect_video_classifier_under_both_protocols():
    table, events = every(10), official()
    inside = events.frames_inside(table["video"], table["frame"].to_numpy())
    anomalous = (table["class_name"] != "Normal").to_numpy()
    judge = Evaluation(resamples=20, seed=0, threshold=0.5)
    values = {}
    for name, scores in (("frames", inside), ("videos", anomalous)):
        given = predicted(table, scores)
        by_label = judge.evaluate(given, ANOMALY).scores["auc/anomaly"].value
        values[name] = (by_label, temporal(given, events).scores["auc_event/anomaly"].value)
    assert values["frames"] == (pytest.approx(0.591, abs=5e-4), 1)
    assert values["videos"] == (1, pytest.approx(0.816, abs=5e-4))


def test_average_precision_of_resamples_is_that_of_the_repeated_videos():
    rng = np.random.default_rng(3)
    scores, positives = rng.integers(0, 12, 80) / 12, rng.random(80) < 0.3
    videos, weights = rng.integers(0, 8, 80), rng.integers(1, 5, 80)
    drawn = np.vstack([np.ones(8), rng.multinomial(8, np.full(8, 1 / 8), 20)])
    found = average_precision_draws(scores, positives, videos, weights, drawn)
    expected = [
        metrics.average_precision_score(positives, scores, sample_weight=weights * times[videos]) for times in drawn
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_what_is_undefined_is_nan_with_its_reason():
    found = temporal(small().query("class_name != 'Arson'"), Events({"a": (), "n": ()}))
    score = found.scores["auc_event/anomaly"]
    assert np.isnan(score.value)
    assert score.reason == "no positive frame"
    assert "no positive" in found.scores["average_precision_event/anomaly"].reason
    assert {score.reason for score in temporal(small(), EVENTS, fault="it diverged").scores.values()} == {"it diverged"}


def test_videos_without_annotation_are_left_out_and_a_coin_has_no_classes():
    table = small()
    more = table[table["video"] == "n"].assign(video="other", **{"probability/anomaly": 1.0})
    found = temporal(pd.concat([table, more], ignore_index=True), EVENTS)
    assert found.scores == temporal(table, EVENTS).scores
    assert "of 3 annotated of 4 test videos" in found.convention
    tasks: dict[str, Task] = {"coin": RandomTask(0.999999, 0)}
    table["target/coin"], table["probability/coin"] = tasks["coin"].targets(table), table["probability/anomaly"]
    assert set(temporal(table, EVENTS, tasks).scores) == {
        "auc_event/coin",
        "average_precision_event/coin",
        "auc_event_anomalous/coin",
    }


def test_names_of_scores_by_events_are_told_from_the_others():
    names = [f"{name}{end}/x" for name in ("auc_event", "class_auc_event") for end in ("", "_low", "_high")]
    assert all(map(is_temporal, names))
    assert not any(map(is_temporal, ("auc/x", "auc_low/x", "class_auc/x.Abuse", "loss/auc_event")))


def test_what_does_not_fit_the_test_videos_is_said(caplog):
    caplog.set_level("INFO")
    found = of_test_videos(official(), every(10))
    assert found == official()
    assert "names are no test" not in caplog.text
    late = "Arson011_x264, Arson016_x264, Explosion033_x264 and 2 more"
    # two of the five end within the step of their last frame on the grid of every 10th
    assert late not in caplog.text
    caplog.clear()
    of_test_videos(official(), blocks(1).query("video.str.contains('Arson|Explosion|Fighting003|Shooting')"))
    assert f"5 end after the last frame there is and are clipped to the frames there are: {late}" in caplog.text
    assert "annotated names are no test video: Abuse028_x264, Abuse030_x264, Arrest001_x264 and" in caplog.text
    more = every(10).replace({"video": {"Abuse028_x264": "Abuse28"}})
    assert "Abuse28" not in of_test_videos(official(), more).intervals
    assert "1 of 290 test videos were not annotated and are left out of scores by events: Abuse28." in caplog.text


def test_events_of_no_test_video_are_refused_in_one_line():
    table = small()
    with pytest.raises(UserError, match=r"names none of the 3 test videos. It names A, the data a, b, n; .* exactly"):
        of_test_videos(Events({"A": ((1, 2),)}, "events.txt"), table)
    with pytest.raises(UserError, match="no event in any of the 1 test videos that it names, such as n"):
        of_test_videos(Events({"n": (), "other": ((1, 2),)}, "events.txt"), table)
