"""Annotated events judge stored predictions: values by hand, and both judges told apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mtl.ablation.comparison import compare
from mtl.ablation.event_truth import event_aucs, event_truth
from mtl.ablation.predictions import ComparedRun, Predicted, needed, reduced
from mtl.data.events import Events

EVENTS = Events({"a": ((2, 4),), "b": ((0, 1),), "n": (), "m": ()}, "events.txt")
CLASSES = {"a": "Arson", "b": "Fighting", "n": "Normal", "m": "Normal"}
N = 5  # frames of every video


def table(score: dict[str, list[float]] | None = None) -> pd.DataFrame:
    """Four videos of five frames each; without a score zeros."""
    rows = [(video, f, name) for video, name in CLASSES.items() for f in range(N)]
    found = pd.DataFrame(rows, columns=["video", "frame", "class_name"])
    found["target/main"] = (found["class_name"] != "Normal").astype(int)
    found["logit/main"] = [score[video][f] if score else 0.0 for video, f, _ in rows]
    return found


def auc(found: Predicted) -> float:
    return float(np.mean([each.auc(np.ones((1, len(found.videos))))[0] for each in found.counts]))


def whole_videos() -> pd.DataFrame:
    """A perfect classifier of videos, blind for time."""
    found = table()
    return found.assign(**{"logit/main": found["target/main"].astype(float)})


def frames() -> pd.DataFrame:
    """A perfect detector of frames."""
    found = table()
    inside = EVENTS.frames_inside(found["video"], found["frame"].to_numpy())
    return found.assign(**{"logit/main": inside.astype(float)})


def test_the_two_judges_put_a_classifier_of_videos_and_a_detector_of_frames_in_opposite_orders():
    # by labels 3 of 10 positives are found, the others tie: (3 + 7 / 2) / 10
    assert (auc(reduced(whole_videos(), "main")), auc(reduced(frames(), "main"))) == (1.0, 0.65)
    # by events 7 of 17 negatives tie with the positives, 10 lie below: (10 + 7 / 2) / 17
    by_events = [auc(reduced(each, "main", events=EVENTS)) for each in (whole_videos(), frames())]
    np.testing.assert_allclose(by_events, [13.5 / 17, 1.0])
    found = reduced(frames(), "main", events=EVENTS)
    assert (found.n_frames, found.n_positives, found.left_out) == (20, 3, ())


def test_a_frame_of_a_class_that_is_not_the_tasks_is_negative_inside_an_event_too():
    fighting = table()
    fighting["target/main"] = (fighting["class_name"] == "Fighting").astype(int)
    assert reduced(fighting, "main", events=EVENTS).n_positives == 1


def test_outside_of_events_a_frame_of_a_type_task_is_normal():
    found = table().drop(columns="logit/main")
    names = ["Arson", "Fighting", "Normal"]
    found["target/main"] = pd.Categorical(found["class_name"], names).codes
    truth = event_truth(found, EVENTS)
    right = truth.positives(found["target/main"].to_numpy(), names)
    assert right.sum(axis=0).tolist() == [2, 1, 17]
    assert right[3].tolist() == [True, False, False]  # a, frame 3
    assert right[4].tolist() == [False, False, True]
    for c, name in enumerate(names):
        found[f"logit/main/{name}"] = np.where(right[:, c], 5.0, -5.0)
    assert auc(reduced(found, "main", events=EVENTS)) == 1.0
    assert reduced(found, "main", events=EVENTS).n_positives == 3


def test_a_row_of_several_frames_counts_by_its_frames_inside_and_outside():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"video": ["a", "a", "b", "n"], "frame": [0, 3, 0, 0], "n_frames": [3, 2, 5, 4], "target/main": [1, 1, 1, 0]}
    ).assign(class_name=["Arson", "Arson", "Fighting", "Normal"])
    rows["logit/main"] = rng.normal(size=4).round(1)
    each = rows.loc[rows.index.repeat(rows["n_frames"])].drop(columns="n_frames").reset_index(drop=True)
    each["frame"] += each.groupby(["video", "frame"]).cumcount()
    inside = EVENTS.frames_inside(each["video"], each["frame"].to_numpy())
    expected = roc_auc_score(inside, each["logit/main"])
    assert auc(reduced(rows, "main", events=EVENTS)) == pytest.approx(expected, abs=1e-12)
    assert event_aucs(rows, EVENTS)["auc_event/main"] == pytest.approx(expected, abs=1e-12)
    assert "n_frames" in needed(list(rows), "main")
    found = reduced(rows, "main", events=EVENTS)
    assert (found.n_frames, found.n_positives) == (14, 3)


def test_pairing_is_by_name_so_that_no_order_changes_a_number():
    rng = np.random.default_rng(1)
    score = {video: rng.normal(size=N).round(1).tolist() for video in CLASSES}
    numbers = set()
    for videos in ("abnm", "mnba", "namb"):
        mixed = table(score).sample(frac=1, random_state=len(numbers) + 1)
        events = Events({video: EVENTS.intervals[video] for video in videos})
        found = reduced(mixed.reset_index(drop=True), "main", events=events)
        numbers.add((auc(found), event_aucs(mixed, events)["auc_event/main"], found.n_positives))
    assert len(numbers) == 1


def test_videos_that_were_not_annotated_are_left_out_and_named():
    fewer = Events({"a": ((2, 4),), "n": ()})
    found = reduced(frames(), "main", events=fewer)
    assert (found.left_out, found.n_frames, list(found.videos)) == (("b", "m"), 10, ["a", "n"])
    assert auc(found) == 1.0


def test_no_annotated_video_and_no_event_are_faults_with_a_reason():
    found = reduced(frames(), "main", events=Events({"x": ((0, 1),)}, "events.txt"))
    assert found.fault == "none of its 4 test videos is annotated in events.txt"
    assert reduced(frames(), "main", events=Events({"n": (), "a": ()})).fault.startswith("all annotated test frames")


def test_a_run_without_annotated_videos_is_nan_and_leaves_the_others_alone():
    others = frames().assign(video=lambda rows: rows["video"] + "_x")
    runs = {"main": frames(), "main+a": whole_videos(), "main+b": others}
    entries = [
        ComparedRun(arm, arm, "", "0", frozenset(arm.split("+")), reduced(rows, "main", events=EVENTS))
        for arm, rows in runs.items()
    ]
    found = compare(entries, "main", (), 50, 0, 0.01)
    sets = found.sets.set_index("row")
    np.testing.assert_allclose(sets["auc"], [1.0, 13.5 / 17, np.nan])
    assert sets.loc["main+a", "difference"] == pytest.approx(13.5 / 17 - 1)
    assert "none of its 4 test videos is annotated" in sets.loc["main+b", "reason"]
    assert found.n_videos == 4


def test_of_every_task_the_auc_by_events_is_told_and_a_nan_where_there_is_none():
    found = frames().assign(**{"target/other": 0, "logit/other": 0.0})
    values = event_aucs(found, EVENTS)
    assert values["auc_event/main"] == 1.0
    assert np.isnan(values["auc_event/other"])
