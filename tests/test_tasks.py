from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mtl.errors import UserError
from mtl.tasks import BinaryTask, CategoricalTask, RandomTask

FRAMES = pd.DataFrame(
    {
        "class_name": pd.Categorical(["Arson", "Fighting", "Normal", "Fighting"]),
        "video": pd.Categorical(["a", "b", "c", "b"]),
        "frame": [0, 0, 0, 10],
    }
)


def test_binary_targets_and_events():
    task = BinaryTask(["Fighting"])
    np.testing.assert_array_equal(task.targets(FRAMES), [0, 1, 0, 1])
    np.testing.assert_array_equal(task.positives(task.targets(FRAMES))[:, 0], [False, True, False, True])
    np.testing.assert_allclose(task.probabilities(np.array([[0.0], [np.log(3)]])), [[0.5], [0.75]])


def test_categorical_targets_follow_the_order_of_the_classes():
    task = CategoricalTask(["Normal", "Fighting", "Arson"])
    np.testing.assert_array_equal(task.targets(FRAMES), [2, 1, 0, 1])
    assert task.positives(task.targets(FRAMES)).sum(axis=1).tolist() == [1, 1, 1, 1]
    probabilities = task.probabilities(np.array([[0.0, 0.0, np.log(2)]]))
    np.testing.assert_allclose(probabilities, [[0.25, 0.25, 0.5]])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (BinaryTask(["Fightng"]), "lacks: ['Fightng']. Did you mean 'Fighting'?"),
        (BinaryTask(["Arson", "Arson"]), "twice: ['Arson']"),
        (BinaryTask([]), "names no class"),
        (BinaryTask(["Arson", "Fighting", "Normal"]), "no frame would be a no"),
        (CategoricalTask(["Arson", "Normal"]), "without a target, their classes are not named: ['Fighting']"),
    ],
)
def test_wrong_classes_are_mistakes(task, message):
    with pytest.raises(UserError) as caught:
        task.check(["Arson", "Fighting", "Normal"])
    assert message in str(caught.value)


def test_the_coin_is_one_per_video_whatever_other_videos_there_are():
    task = RandomTask(0.5, seed=3)
    many = pd.DataFrame({"video": pd.Categorical(np.repeat([f"v{i}" for i in range(400)], 2))})
    coins = task.targets(many)
    np.testing.assert_array_equal(coins[::2], coins[1::2])
    assert 0.4 < coins.mean() < 0.6
    few = many.iloc[100:120].reset_index(drop=True)
    np.testing.assert_array_equal(task.targets(few), coins[100:120])
    assert (RandomTask(0.5, seed=4).targets(many) != coins).any()
