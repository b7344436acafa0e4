"""Validation by frames and by videos: against scikit-learn, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mtl.statistics.pairwise import macro_auc
from mtl.tasks import BinaryTask, CategoricalTask
from mtl.training.validation import task_auc

TASK = BinaryTask(["Arson"], [])
EVERY = np.array([True])


def test_the_weighted_auc_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    yes, scores, weights = rng.random((200, 3)) < 0.3, rng.normal(size=(200, 3)).round(1), rng.random(200)
    each = [roc_auc_score(yes[:, i], scores[:, i], sample_weight=weights) for i in range(3)]
    assert macro_auc(yes, scores, weights) == pytest.approx(np.mean(each))
    assert macro_auc(yes, scores, np.full(200, 0.3)) == pytest.approx(macro_auc(yes, scores))


def test_a_long_video_counts_no_more_than_a_short_one():
    """98 frames of one normal video lie above the anomalous frame, 1 frame of another below: .5 by video."""
    targets = np.array([1, *[0] * 99])
    logits = np.array([0.0, *[1.0] * 98, -1.0])[:, None]
    weights = np.array([1.0, *[1 / 98] * 98, 1.0])
    assert task_auc(TASK, targets, logits, EVERY) == pytest.approx(1 / 99)
    assert task_auc(TASK, targets, logits, EVERY, weights) == pytest.approx(0.5)


def test_logits_beyond_what_float64_probabilities_tell_apart_are_ranked():
    targets, logits = np.array([0, 0, 1, 1]), np.array([[38.0], [39.0], [40.0], [50.0]])
    assert np.unique(TASK.probabilities(logits)).size == 1
    assert task_auc(TASK, targets, logits, EVERY) == 1


def test_classes_without_training_frames_do_not_choose_the_epoch():
    task = CategoricalTask(["Arson", "Fighting", "Normal"], [])
    targets, logits = np.array([0, 1, 2, 2]), np.array([[3.0, 9, 0], [1, -9, 0], [0, 8, 1], [0, 7, 2]])
    every, trained = np.ones(3, bool), np.array([True, False, True])
    expected = np.mean([macro_auc((targets == c)[:, None], task.scores(logits)[:, [c]]) for c in (0, 2)])
    assert task_auc(task, targets, logits, trained) == pytest.approx(expected)
    assert task_auc(task, targets, logits, every) != pytest.approx(expected)
    assert np.isnan(task_auc(task, targets, logits, ~every))


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ([0, 0, 1], "no validation video is negative for anomaly"),
        ([2, 2, 2], "no validation video is positive for anomaly"),
        ([], "there is no validation frame"),
        ([0, 2, 2], ""),
    ],
)
def test_why_there_is_no_validation_auc_is_known_before_training(codes, reason):
    import pandas as pd

    from mtl.training.dataset import Dataset
    from mtl.training.validation import Validation

    codes = np.array([0, 2, *codes])
    splits = ["train"] * 2 + ["val"] * (len(codes) - 2)
    frames = pd.DataFrame(
        {
            "class_name": pd.Categorical.from_codes(codes, ["Arson", "Fighting", "Normal"]),
            "video": pd.Categorical([f"v{i}" for i in range(len(codes))]),
            "split": pd.Categorical(splits, ["train", "val", "test"]),
        }
    )
    tasks = {"anomaly": BinaryTask(["Arson", "Fighting"], [])}
    targets = {name: task.targets(frames) for name, task in tasks.items()}
    features = np.zeros((len(codes), 2), np.float32)
    assert Validation(Dataset(features, targets, frames), tasks).undefined("anomaly") == reason
