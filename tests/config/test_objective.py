"""What a run returns to a sweeper is a number of validation frames, and never one of test frames."""

from __future__ import annotations

import numpy as np
import pytest
from omegaconf import OmegaConf

from mtl.config.objective import DIRECTIONS, Objective, check_objective, objective_of
from mtl.errors import UserError
from mtl.tracking.epoch_metrics import best_metrics, epoch_metrics
from mtl.training.history import Epoch


def config(objective):
    tasks = {"general_anomaly": {}, "violence": {}}
    return OmegaConf.create({"objective": objective, "main_task": "general_anomaly", "tasks": tasks})


@pytest.mark.parametrize(
    ("word", "metric", "direction"),
    [
        ("val_auc", "val_auc_best/general_anomaly", "maximize"),
        ("val_auc_video_weighted", "val_auc_video_weighted_best/general_anomaly", "maximize"),
        ("val_loss", "val_loss_best/general_anomaly", "minimize"),
        ("val_loss/violence", "val_loss_best/violence", "minimize"),
        ("val_auc_best/violence", "val_auc_best/violence", "maximize"),
    ],
)
def test_a_word_names_a_tracked_quantity_and_its_direction(word, metric, direction):
    found = objective_of(config(word))
    assert (found.metric, found.direction) == (metric, direction)
    check_objective(config(word))


def test_the_quantities_are_those_that_are_tracked_of_validation_frames():
    numbers = np.arange(5.0)[:, None]
    epoch = Epoch(("violence",), *numbers)
    tracked = {name.partition("/")[0] for name in epoch_metrics(epoch)}
    assert {name for name in tracked if name.startswith("val_")} == set(DIRECTIONS)
    assert {Objective(name, "violence").of(best_metrics(epoch)) for name in DIRECTIONS} == {1.0, 2.0, 3.0}


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
def test_an_undefined_objective_is_none_and_no_number(value):
    metrics = {} if value is None else {"val_auc_best/violence": float(value)}
    assert Objective("val_auc", "violence").of(metrics) is None
    assert Objective("val_auc", "violence").of({"val_auc_best/violence": 0.0}) == 0.0


@pytest.mark.parametrize(
    "word", ["auc", "auc/violence", "f1", "video_auc_max", "auc_event", "false_alarms_per_hour/violence", "auc_low"]
)
def test_test_numbers_are_refused_and_the_line_says_why(word):
    with pytest.raises(UserError, match=r"is a number of test frames, which judge .* val_auc, .*\.") as caught:
        objective_of(config(word))
    assert str(caught.value).startswith(f"objective: {word} ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("val_acu", "objective: found 'val_acu'. Did you mean 'val_auc'?"),
        ("profit", "objective: found 'profit'. Known: val_auc, val_auc_video_weighted, val_loss."),
        (None, "objective: found None. Known: val_auc, val_auc_video_weighted, val_loss."),
        ("val_auc/", "objective: found 'val_auc/'. Did you mean 'val_auc'?"),
        (
            "train_loss",
            "objective: train_loss is not made to choose between runs. "
            "Right would be one of validation frames: val_auc, val_auc_video_weighted, val_loss.",
        ),
    ],
)
def test_what_is_no_objective_is_one_line(word, message):
    with pytest.raises(UserError) as caught:
        objective_of(config(word))
    assert str(caught.value) == message


def test_a_task_that_is_not_trained_has_no_objective():
    with pytest.raises(UserError, match="'violense' of val_loss/violense is not in the task set. Did you mean 'viol"):
        check_objective(config("val_loss/violense"))
