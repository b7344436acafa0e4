"""Scores of tasks that say nothing about some test frames: of the labelled ones alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mtl.ablation.predictions import reduced
from mtl.evaluation.evaluation import Evaluation
from mtl.evaluation.predictions import predictions_table
from mtl.tasks import UNLABELLED, BinaryTask, CategoricalTask

CLASSES = ("Arson", "Fighting", "Normal")
TASKS = {
    "violence": BinaryTask(["Fighting"], ["Arson"]),
    "kind": CategoricalTask(["Fighting", "Normal"], ["Arson"]),
}
judge = Evaluation(resamples=50, seed=0, threshold=0.5, alarm_gap_s=1.0)


def table(tasks=TASKS, seed=0):
    """Twelve test videos of five frames, four of each class."""
    rng = np.random.default_rng(seed)
    classes = np.repeat([*CLASSES] * 4, 5)
    frames = pd.DataFrame(
        {
            "split": "test",
            "video": np.repeat([f"v{i:02d}" for i in range(12)], 5),
            "frame": np.tile(np.arange(5), 12),
            "class_name": classes,
        }
    )
    logits = {name: rng.normal(size=(60, task.units)).astype(np.float32) for name, task in tasks.items()}
    return predictions_table(frames, {name: task.targets(frames) for name, task in tasks.items()}, logits, tasks)


def test_scores_are_those_of_the_labelled_frames_alone():
    whole = table()
    assert (whole["target/kind"] == UNLABELLED).sum() == 20
    less = whole[whole["class_name"] != "Arson"].reset_index(drop=True)
    found, expected = judge.evaluate(whole, TASKS), judge.evaluate(less, TASKS)
    assert list(found.scores) == list(expected.scores)
    for name, score in found.scores.items():
        assert score.value == pytest.approx(expected.scores[name].value), name
        assert score.low <= score.value <= score.high or "average" in name
    for name, counts in found.confusions.items():
        assert counts.to_numpy().sum() == 40
        pd.testing.assert_frame_equal(counts, expected.confusions[name])
    pd.testing.assert_series_equal(found.classes["frames"], expected.classes["frames"])


def test_a_task_without_a_labelled_test_frame_is_undefined_with_the_reason():
    whole = table()
    whole["target/violence"] = UNLABELLED
    found = judge.evaluate(whole, TASKS)
    for name, score in found.scores.items():
        assert np.isnan(score.value) == name.endswith("/violence")
        if np.isnan(score.value):
            assert score.reason == "no test frame is labelled for violence"
    assert "violence" not in found.confusions


def test_comparisons_count_no_unlabelled_row_of_the_main_task():
    whole = table()
    less = whole[whole["class_name"] != "Arson"].reset_index(drop=True)
    for name in TASKS:
        found, expected = reduced(whole, name), reduced(less, name)
        assert found.videos.tolist() == expected.videos.tolist()
        np.testing.assert_array_equal(found.frames, expected.frames)
        for one, other in zip(found.counts, expected.counts, strict=True):
            np.testing.assert_array_equal(one.counts, other.counts)
    whole["target/violence"] = UNLABELLED
    assert reduced(whole, "violence").fault == "no test frame is labelled for violence"
