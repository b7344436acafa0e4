from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mtl.errors import UserError
from mtl.tasks import BinaryTask, CategoricalTask, RandomTask, check_name, log_odds

FRAMES = pd.DataFrame(
    {
        "class_name": pd.Categorical(["Arson", "Fighting", "Normal", "Fighting"]),
        "video": pd.Categorical(["a", "b", "c", "b"]),
        "frame": [0, 0, 0, 10],
    }
)


def test_binary_targets_and_events():
    task = BinaryTask(["Fighting"], [])
    np.testing.assert_array_equal(task.targets(FRAMES), [0, 1, 0, 1])
    np.testing.assert_array_equal(task.positives(task.targets(FRAMES))[:, 0], [False, True, False, True])
    np.testing.assert_allclose(task.probabilities(np.array([[0.0], [np.log(3)]])), [[0.5], [0.75]])


def test_categorical_targets_follow_the_order_of_the_classes():
    task = CategoricalTask(["Normal", "Fighting", "Arson"], [])
    np.testing.assert_array_equal(task.targets(FRAMES), [2, 1, 0, 1])
    assert task.positives(task.targets(FRAMES)).sum(axis=1).tolist() == [1, 1, 1, 1]
    probabilities = task.probabilities(np.array([[0.0, 0.0, np.log(2)]]))
    np.testing.assert_allclose(probabilities, [[0.25, 0.25, 0.5]])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (BinaryTask(["Fightng"], []), "lacks: ['Fightng']. Did you mean 'Fighting'?"),
        (BinaryTask(["Arson", "Arson"], []), "twice: ['Arson']"),
        (BinaryTask([], []), "names no class"),
        (BinaryTask(["Arson", "Fighting", "Normal"], []), "no frame would be a no"),
        (CategoricalTask(["Arson", "Normal"], []), "without a target, their classes are not named: ['Fighting']"),
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


def test_log_odds_are_those_of_the_probabilities():
    logits = np.random.default_rng(0).normal(0, 3, size=(50, 5))
    p = CategoricalTask("abcde", []).probabilities(logits)
    np.testing.assert_allclose(log_odds(logits), np.log(p / (1 - p)), rtol=1e-9)
    np.testing.assert_array_equal(log_odds(logits[:, :1]), logits[:, :1])
    shuffled = [3, 1, 4, 0, 2]
    np.testing.assert_allclose(log_odds(logits[:, shuffled]), log_odds(logits)[:, shuffled], rtol=1e-12)


def test_log_odds_tell_apart_what_probabilities_do_not():
    logits = np.array([[40.0, 0, 0], [41, 0, 0], [900, 0, 0], [0, 40, 0], [0, 41, 0], [0, 0, np.inf], [0, 0, np.nan]])
    found = log_odds(logits)
    two = np.log(2)
    np.testing.assert_allclose(found[:3, 0], [40 - two, 41 - two, 900 - two])
    np.testing.assert_allclose(found[3:5, 0], [-40, -41])
    np.testing.assert_allclose(found[2, 1], -900)
    assert np.isnan(found[5:]).all()
    np.testing.assert_allclose(log_odds(logits.astype(np.float32)), found, rtol=1e-6)
    assert log_odds(np.empty((0, 3))).shape == (0, 3)
    assert CategoricalTask("abc", []).scores(np.zeros((1, 3))) == pytest.approx(np.full((1, 3), -two))
    assert BinaryTask("a", []).scores(np.float32([3.0, -3.0])).tolist() == [[3.0], [-3.0]]


@pytest.mark.parametrize("name", ["weapons strict", "Gewalt_für_Straße", "暴力", "a-b.c", "1st"])
def test_a_task_may_have_a_name_of_any_script_with_blanks(name):
    check_name(name)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("street/fire", "Right would be 'street_fire'."),
        ("weapons (strict)", "Right would be 'weapons strict'."),
        ("../up", "Right would be 'up'."),
        ("a\nb", "Right would be 'a_b'."),
        (" a ", "Right would be 'a'."),
        ("a\x1b[31m", "Right would be 'a_31m'."),
        ("x" * 101, "Right would be '" + "x" * 100 + "'."),
        ("", "found ''."),
    ],
)
def test_a_name_that_columns_metrics_or_files_could_not_bear_is_one_line_with_one_that_they_can(name, right):
    with pytest.raises(UserError) as caught:
        check_name(name)
    assert str(caught.value).endswith(right)
    assert "\n" not in str(caught.value)
