"""Crops of a row as one prediction."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtl.evaluation.predictions import predictions_table, ranking_scores
from mtl.tasks import BinaryTask, CategoricalTask

CLASSES = ["Abuse", "Arson", "Normal"]
TASKS = {"yes": BinaryTask(["Abuse"], []), "type": CategoricalTask(CLASSES, [])}


def table(n_rows=4, n_crops=3):
    n = n_rows * n_crops
    frames = pd.DataFrame(
        {
            "split": ["test"] * n,
            "video": pd.Categorical(["a"] * n),
            "frame": np.repeat(np.arange(n_rows) * 16, n_crops),
            "class_name": pd.Categorical(["Abuse"] * n, categories=CLASSES),
            "n_frames": np.repeat([16, 16, 16, 5], n_crops),
            "crop": np.tile(np.arange(n_crops), n_rows),
        }
    )
    rng = np.random.default_rng(0)
    logits = {name: rng.normal(size=(n, task.units)).astype(np.float32) for name, task in TASKS.items()}
    return frames, {name: task.targets(frames) for name, task in TASKS.items()}, logits


def test_a_prediction_is_the_mean_of_its_crops_probabilities():
    frames, targets, logits = table()
    found = predictions_table(frames, targets, logits, TASKS)
    assert found["frame"].tolist() == [0, 16, 32, 48]
    assert found["n_frames"].tolist() == [16, 16, 16, 5]
    each = predictions_table(frames.drop(columns="crop"), targets, logits, TASKS)
    for column in [name for name in each if name.startswith("probability/")]:
        np.testing.assert_allclose(found[column], each[column].to_numpy().reshape(4, 3).mean(axis=1), rtol=1e-5)
    assert found["target/yes"].tolist() == [1] * 4


def test_crops_that_agree_keep_their_logits_where_probabilities_are_ties():
    frames, targets, logits = table()
    logits = {name: np.repeat(np.arange(4), 3)[:, None] + np.full_like(one, 40) for name, one in logits.items()}
    logits["type"][:, 1:] = 0
    found = predictions_table(frames, targets, logits, TASKS)
    np.testing.assert_allclose(ranking_scores(found, "yes")[:, 0], [40, 41, 42, 43], rtol=1e-6)
    each = predictions_table(frames.drop(columns="crop"), targets, logits, TASKS)
    np.testing.assert_allclose(ranking_scores(found, "type"), ranking_scores(each, "type")[::3], rtol=1e-5, atol=1e-4)
