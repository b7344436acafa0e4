"""Scores by annotated events: the field's totals, values worked out by hand, brute force, order and weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from mtl.data.events import Events
from mtl.evaluation.alarms import find_alarms, repeated_medians, youden_threshold
from mtl.evaluation.evaluation import Evaluation
from mtl.evaluation.temporal import counted_text, evaluate_events
from mtl.evaluation.timeline import timeline
from mtl.statistics.pairwise import macro_auc, pairwise_counts
from mtl.statistics.precision import average_precisions
from mtl.tasks import BinaryTask, CategoricalTask

OFFICIAL = pd.read_csv(Path(__file__).with_name("ucf_crime_test_videos.csv"))
SCORED = Evaluation(resamples=100, seed=0, threshold=0.5, alarm_gap_s=1.0)
CLASSES = ("Arson", "Fighting", "Normal")
TASKS = {
    "anomaly": BinaryTask(CLASSES[:2], []),
    "fight": BinaryTask(["Fighting"], []),
    "kind": CategoricalTask(CLASSES, []),
}


def official(longer: int = 0) -> Events:
    """The official annotation; ends moved by so many frames."""
    rows = OFFICIAL.fillna(-1).astype(dict.fromkeys(["start1", "end1", "start2", "end2"], int)).to_dict("records")
    found = {
        row["video"]: tuple((row[f"start{i}"], row[f"end{i}"] + longer) for i in (1, 2) if row[f"start{i}"] >= 0)
        for row in rows
    }
    return Events(found, "official")


def rows_of(step: int) -> pd.DataFrame:
    """Every so many frames of the official test videos a row."""
    n = -(-OFFICIAL["n_frames"] // step)
    table = pd.DataFrame(
        {"video": np.repeat(OFFICIAL["video"], n), "frame": np.concatenate([np.arange(each) * step for each in n])}
    )
    table["class_name"] = np.where(table["video"].str.startswith("Normal"), "Normal", "Fighting")
    return table.assign(**{"target/anomaly": (table["class_name"] != "Normal").astype(int)})


@pytest.mark.parametrize(
    ("step", "longer", "padded", "frames", "inside"),
    [(1, 0, False, 1_111_808, 84_182), (10, 0, False, 111_308, 8_415), (16, 1, True, 1_114_144, 84_343)],
    ids=["every frame", "every tenth", "padded to 16 and inclusive"],
)
def test_the_totals_of_the_field(step, longer, padded, frames, inside):
    table = rows_of(step)
    found = timeline(table.assign(n_frames=16) if padded else table, official(longer))
    assert (found.n_frames.sum(), found.inside.sum(), len(found.names)) == (frames, inside, 290)
    assert sum(map(len, found.intervals)) == 156


def test_a_perfect_frame_detector_and_a_perfect_video_classifier_under_both_protocols():
    table, events = rows_of(10), official()
    inside = events.frames_inside(table["video"], table["frame"].to_numpy())
    detector = table.assign(**{"probability/anomaly": inside.astype(float)})
    classifier = table.assign(**{"probability/anomaly": table["target/anomaly"].astype(float)})
    one = {"anomaly": TASKS["anomaly"]}
    by_video, by_event = (
        [
            judged(each).scores[f"{key}/anomaly"].value
            for each in (detector, classifier)
        ]
        for key, judged in (
            ("auc", lambda each: SCORED.evaluate(each, one)),
            ("auc_event", lambda each: evaluate_events(SCORED, each, one, events, 30)),
        )
    )  # fmt: skip
    assert by_video == pytest.approx([0.591, 1], abs=5e-4)
    assert by_event == pytest.approx([1, 0.816], abs=5e-4)
    text = counted_text(evaluate_events(SCORED, classifier, one, events, 30))
    assert text.startswith(
        "111,308 frames, 8,415 in events, of 290 of 290 test videos; an event is start <= frame < end"
    )


def predictions(videos: dict[str, tuple[str, int]], step: int = 10, seed: int = 0) -> pd.DataFrame:
    """Logits of a scorer that knows little; by video its class and number of rows; two more per class to validate."""
    rng = np.random.default_rng(seed)
    names = {**{name: (*about, "test") for name, about in videos.items()}}
    names |= {f"val_{name}{i}": (name, 3, "val") for name in CLASSES for i in range(2)}
    table = pd.DataFrame(
        [(split, video, step * i, of) for video, (of, n, split) in names.items() for i in range(n)],
        columns=["split", "video", "frame", "class_name"],
    )
    for name, task in TASKS.items():
        table[f"target/{name}"] = target = task.targets(table)
        positives = task.positives(target)
        logits = (positives + rng.normal(size=positives.shape)).round(1)
        for column, values in zip(task.classes, logits.T, strict=True):
            table[f"logit/{name}" if len(task.classes) == 1 else f"logit/{name}/{column}"] = values
        for column, values in zip(task.classes, task.probabilities(logits).T, strict=True):
            table[f"probability/{name}" if len(task.classes) == 1 else f"probability/{name}/{column}"] = values
    return table


VIDEOS = {
    **{f"Arson{i}": ("Arson", 9) for i in range(3)},
    **{f"Fighting{i}": ("Fighting", 7) for i in range(3)},
    **{f"Normal{i}": ("Normal", 8) for i in range(4)},
}
EVENTS = Events(
    {name: () if name.startswith("Normal") else ((15, 45),) for name in VIDEOS} | {"Fighting2": ((5, 12), (40, 70))}
)


def evaluate(table: pd.DataFrame, events: Events = EVENTS, judge: Evaluation = SCORED) -> dict:
    return evaluate_events(judge, table, TASKS, events, 30).scores


def test_scores_by_frame_equal_scikit_learn():
    table, scores = predictions(VIDEOS), evaluate(predictions(VIDEOS))
    test = table[table["split"] == "test"].reset_index(drop=True)
    inside = EVENTS.frames_inside(test["video"], test["frame"].to_numpy()) > 0
    anomalous, fights = test["class_name"] != "Normal", test["class_name"] == "Fighting"
    kind = np.where(inside, test["target/kind"], CLASSES.index("Normal"))
    logit, fight = test["logit/anomaly"], test["logit/fight"]
    chosen, fought = (inside & fights) | ~anomalous, inside & fights
    each = [f"logit/kind/{name}" for name in CLASSES]
    odds = TASKS["kind"].scores(test[each].to_numpy())
    expected = {
        "auc_event/anomaly": metrics.roc_auc_score(inside, logit),
        "average_precision_event/anomaly": metrics.average_precision_score(inside, logit),
        "auc_event_anomalous/anomaly": metrics.roc_auc_score(inside[anomalous], logit[anomalous]),
        "auc_event/fight": metrics.roc_auc_score(fought, fight),
        "class_auc_event/anomaly.Fighting": metrics.roc_auc_score(fought[chosen], logit[chosen]),
        "class_auc_event/fight.Fighting": metrics.roc_auc_score(fought[chosen], fight[chosen]),
        "auc_event/kind": np.mean([metrics.roc_auc_score(kind == c, odds[:, c]) for c in range(3)]),
        "average_precision_event/kind": np.mean(
            [metrics.average_precision_score(kind == c, odds[:, c]) for c in range(3)]
        ),
        "false_alarm_rate/anomaly": (test["probability/anomaly"] >= 0.5)[~anomalous].mean(),
        "event_frames/inside": inside.sum(),
        "event_videos/annotated": 10,
    }  # fmt: skip
    for name, value in expected.items():
        assert scores[name].value == pytest.approx(value), name
    assert "class_auc_event/fight.Arson" not in scores
    assert scores["class_auc_event/anomaly.Arson"].reason == "of 3 videos"
    for name, score in scores.items():
        if name.partition("/")[0] in ("auc_event", "average_precision_event", "auc_event_anomalous"):
            assert score.low <= score.value <= score.high, name


def test_rows_that_stand_for_several_frames_score_as_the_frames_themselves():
    """A row partly in an event is positive and negative by its frames."""
    table = predictions(VIDEOS, step=16).assign(n_frames=16)
    frames = table.loc[table.index.repeat(16)].drop(columns="n_frames").reset_index(drop=True)
    frames["frame"] += np.tile(np.arange(16), len(table))
    of_rows, of_frames = evaluate(table), evaluate(frames)
    assert set(of_rows) == set(of_frames)
    for name, score in of_rows.items():
        np.testing.assert_allclose(
            [score.value, score.low, score.high],
            [of_frames[name].value, of_frames[name].low, of_frames[name].high],
            atol=1e-12,
            err_msg=name,
        )


def test_pairing_is_by_name_so_no_order_of_lists_changes_a_number():
    table, found = predictions(VIDEOS), []
    for order in (
        list(EVENTS.intervals),
        sorted(EVENTS.intervals, key=lambda name: name[::-1]),
        sorted(EVENTS.intervals)[::-1],
    ):
        mixed = table.sample(frac=1, random_state=len(found)) if found else table
        found.append(evaluate(mixed, Events({name: EVENTS.intervals[name] for name in order})))
    for other in found[1:]:
        assert {name: repr(score) for name, score in other.items()} == {
            name: repr(score) for name, score in found[0].items()
        }


def test_a_test_video_without_annotation_is_left_out_and_counted():
    some = Events({name: found for name, found in EVENTS.intervals.items() if name != "Arson1"})
    without = predictions(VIDEOS)
    expected = evaluate(without[without["video"] != "Arson1"], some)
    found = evaluate(without, some)
    assert (found["event_videos/annotated"].value, found["event_videos/test"].value) == (9, 10)
    assert found["auc_event/anomaly"] == expected["auc_event/anomaly"]


def test_weighted_counts_are_those_of_repeated_frames():
    rng = np.random.default_rng(0)
    scores, positives, videos = rng.integers(0, 9, 80) / 4, rng.random(80) < 0.4, rng.integers(0, 6, 80)
    times = rng.integers(0, 5, 80)
    drawn = rng.multinomial(6, np.full(6, 1 / 6), 50).astype(float)
    several = [np.repeat(each, times) for each in (scores, positives, videos)]
    for swapped in (False, True):
        sides = several[1] ^ swapped
        one = pairwise_counts(scores, positives ^ swapped, videos, times)
        np.testing.assert_array_equal(one.auc(drawn), pairwise_counts(several[0], sides, several[2]).auc(drawn))
    assert pairwise_counts(scores, positives, videos, times).auc(np.ones((1, 6)))[0] == pytest.approx(
        macro_auc(several[1][:, None], several[0][:, None])
    )


@pytest.mark.parametrize(("cells", "products"), [(2**22, 100), (3, 100), (3, 0)])
@pytest.mark.parametrize("n_scores", [1, 30, 10**9], ids=["one score", "ties", "no ties"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("whole", [True, False], ids=["whole weights", "any weights"])
def test_average_precision_of_every_resample_is_that_of_its_frames(
    monkeypatch, cells, products, n_scores, share, whole
):
    monkeypatch.setattr("mtl.statistics.precision.CELLS", cells)
    monkeypatch.setattr("mtl.statistics.precision.PRODUCTS", products)
    rng = np.random.default_rng(1)
    scores, positives, videos = rng.integers(0, n_scores, 90) / 4, rng.random(90) < share, rng.integers(0, 7, 90)
    positives[4] = True
    weights, drawn = rng.integers(1, 4, 90).astype(float), rng.multinomial(7, np.full(7, 1 / 7), 20)
    if not whole:
        weights = rng.random(90)
    drawn[0], drawn[0, videos[positives][0]] = 0, 1  # of a single video
    expected = [
        metrics.average_precision_score(positives, scores, sample_weight=weights * times[videos])
        if (times[videos] > 0)[positives].any()
        else np.nan
        for times in drawn
    ]
    found = average_precisions(scores, positives, videos, weights, drawn)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_average_precision_is_undefined_where_no_positive_frame_is_drawn():
    scores, positives, videos = np.array([0.9, 0.5, 0.1]), np.array([True, False, False]), np.array([0, 1, 1])
    drawn = np.array([[1, 1], [0, 2]])
    np.testing.assert_array_equal(average_precisions(scores, positives, videos, np.ones(3), drawn), [1.0, np.nan])
    none = average_precisions(scores, np.zeros(3, bool), videos, np.ones(3), drawn)
    np.testing.assert_array_equal(none, [np.nan, np.nan])


def alarmed(above: str, videos: str, step: int = 10) -> pd.DataFrame:
    """Rows whose probability is .9 where `above` has a mark; a letter per row says of which video; A..M have events."""
    rows = list(zip(above, videos, strict=True))
    table = pd.DataFrame({"video": [video for _, video in rows], "split": "test"})
    table["frame"] = step * table.groupby("video").cumcount()
    table["class_name"] = np.where(table["video"] < "N", "Fighting", "Normal")
    table["logit/anomaly"] = [2.0 if mark == "x" else -2.0 for mark, _ in rows]
    val = pd.DataFrame({"video": ["v", "w"], "split": "val", "frame": 0, "class_name": ["Fighting", "Normal"]})
    table = pd.concat([table, val.assign(**{"logit/anomaly": [1.0, -1.0]})], ignore_index=True)
    table["target/anomaly"] = (table["class_name"] != "Normal").astype(int)
    return table.assign(**{"probability/anomaly": 1 / (1 + np.exp(-table["logit/anomaly"]))})


def test_alarms_by_hand():
    """10 frames a row, 10 frames a second: a row is a second.

    A: event [20, 50), alarm [40, 60): found 2 s late. B: two events; alarm [0, 20) begins before the first, [10, 30),
    and nothing is heard of the second, [60, 80). N and O: 8 s of normal video each; N has alarms [0, 10) and, more
    than a second later, [30, 50); O one of two parts a second apart.
    """
    table = alarmed("....xx.." + "xx......" + "x..xx..." + "..x.x...", "A" * 8 + "B" * 8 + "N" * 8 + "O" * 8)
    events = Events({"A": ((20, 50),), "B": ((10, 30), (60, 80)), "N": (), "O": ()})
    one = {"anomaly": TASKS["anomaly"]}
    scores = evaluate_events(SCORED, table, one, events, 10).scores
    assert scores["false_alarms_per_hour/anomaly"].value == pytest.approx(3 / (16 / 3600))
    assert scores["events_found/anomaly"].value == pytest.approx(2 / 3)
    assert scores["alarm_delay_s/anomaly"].value == pytest.approx(1.0)  # the median of 2 and 0
    assert scores["alarm_threshold/anomaly"].value == pytest.approx(1 / (1 + np.exp(-1)))
    apart = Evaluation(100, 0, 0.5, 0.5)
    assert evaluate_events(apart, table, one, events, 10).scores[
        "false_alarms_per_hour/anomaly"
    ].value == pytest.approx(4 / (16 / 3600))
    probability = 1 / (1 + np.exp(-2))  # of 9 rows above; two of them, one in A and one in B, of 7 are in events
    expected = (abs(9 * probability - 2) + abs(23 * (1 - probability) - 5)) / 32
    assert scores["calibration_error/anomaly"].value == pytest.approx(expected)


def test_alarms_stay_within_their_video():
    table = alarmed("..xx" + "xx..", "NNNNOOOO")
    found = find_alarms((table["logit/anomaly"] > 1).to_numpy()[:8], timeline(table, Events({"N": (), "O": ()})), 1000)
    assert [found.videos.tolist(), found.start.tolist(), found.end.tolist()] == [[0, 1], [20, 0], [40, 20]]


def test_what_is_undefined_says_why():
    table = alarmed("....", "NNOO")
    scores = evaluate_events(SCORED, table, {"anomaly": TASKS["anomaly"]}, Events({"N": (), "O": ()}), 30).scores
    assert scores["auc_event/anomaly"].reason == "no positive frame"
    assert scores["auc_event_anomalous/anomaly"].reason == "no anomalous video"
    assert scores["events_found/anomaly"].reason == "no video with an event of the task"
    assert scores["alarm_delay_s/anomaly"].reason == "no event"
    without = table[table["split"] == "test"]
    scores = evaluate_events(SCORED, without, {"anomaly": TASKS["anomaly"]}, Events({"N": ()}), 30).scores
    assert scores["false_alarms_per_hour/anomaly"].reason == "no threshold from validation: no frames"
    broken = table.assign(**{"logit/anomaly": np.nan, "probability/anomaly": np.nan})
    scores = evaluate_events(SCORED, broken, {"anomaly": TASKS["anomaly"]}, Events({"N": (), "O": ()}), 30).scores
    assert all("not finite" in score.reason for name, score in scores.items() if not name.startswith("event_"))


def test_the_threshold_lets_every_validation_video_count_alike():
    """Ten frames of one positive video would outvote the other by frames; by videos the higher threshold is as good."""
    from mtl.evaluation.task_predictions import TaskPredictions

    scores = np.array([*[1.0] * 10, 3.0, 2.0, 0.0])[:, None]
    positives = np.array([*[True] * 11, False, False])[:, None]
    videos = np.array([*[0] * 10, 1, 2, 3])
    found = youden_threshold(TaskPredictions(("yes",), scores, scores / 4, positives, videos, "", np.ones(1, bool)))
    assert (found.score, found.probability) == (3.0, 0.75)


def test_medians_of_repeated_values():
    values = np.array([4.0, 1.0, 2.0])
    times = np.array([[1, 1, 1], [1, 1, 0], [0, 3, 1], [0, 0, 0]])
    np.testing.assert_array_equal(repeated_medians(values, times), [2.0, 2.5, 1.0, np.nan])


def test_frames_without_a_label_are_as_if_they_were_not_there_for_their_task_alone():
    whole = predictions(VIDEOS)
    out = whole["video"].isin(["Arson0", "Fighting1", "Normal3"]).to_numpy()
    table = whole.copy()
    table.loc[out, "target/fight"] = -1
    found, before, without = evaluate(table), evaluate(whole), evaluate(whole[~out].reset_index(drop=True))
    ours = [name for name in found if name.partition("/")[2].partition(".")[0] == "fight"]
    assert len(ours) > 8
    assert sum(np.isfinite(found[name].value) for name in ours) > 8
    for name in ours:
        np.testing.assert_equal(found[name].value, without[name].value, name)
    for name in set(found) - set(ours):
        assert found[name] == before[name], name
    table.loc[(table["split"] == "test").to_numpy(), "target/fight"] = -1
    none = evaluate(table)
    assert np.isnan(none["auc_event/fight"].value)
    assert none["auc_event/fight"].reason == "no annotated test frame is labelled for fight"
    assert np.isnan(none["false_alarms_per_hour/fight"].value)
