"""Estimates of subsets from a model in training: what the table holds, and when there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_gradient_measurements import deep_model
from test_training import TASKS, dataset, model

pytestmark = pytest.mark.tensorflow

MAIN = "general_anomaly"


def linearisation(**changes):
    from mtl.training.linearisation import Linearisation

    settings = {"most_auxiliaries": 1, "dimensions": 50, "penalties": [0.1, 1.0], "most_frames": 500, "seed": 0}
    return Linearisation(**settings | changes)


def test_the_table_has_the_main_task_alone_each_auxiliary_and_all_together(tmp_path):
    from mtl.relations.linearised import gains_of

    table = linearisation().of(model(), dataset(), MAIN)
    assert table["auxiliaries"].tolist() == ["", "violence", "anomaly_type", "violence+anomaly_type"]
    assert table["n_auxiliaries"].tolist() == [0, 1, 1, 2]
    assert table.loc[0, ["val_gain", "test_gain"]].tolist() == [0, 0]
    for split in ("val", "test"):
        assert table[f"{split}_auc"].between(0.5, 1).all()
        gains = table[f"{split}_auc"] - table.loc[0, f"{split}_auc"]
        np.testing.assert_allclose(table[f"{split}_gain"], gains)
    assert set(table["penalty"]) in ({0.1}, {1.0})
    table.to_csv(tmp_path / "linearised.csv", index=False)
    read = gains_of(pd.read_csv(tmp_path / "linearised.csv"), "val")
    assert list(read) == [frozenset(), {"violence"}, {"anomaly_type"}, {"violence", "anomaly_type"}]
    np.testing.assert_allclose(list(read.values()), table["val_gain"])
    again = linearisation().of(model(), dataset(), MAIN)
    assert again.equals(table)
    assert len(linearisation(most_auxiliaries=9).of(model(), dataset(), MAIN)) == 4


def test_the_estimate_starts_from_the_models_own_logits_and_draws_few_frames_where_there_are_many():
    built, data = model(), dataset()
    train, judges = linearisation(most_frames=30)._linear(built, data, MAIN)
    logits = built(data.features.take(data.positions("test")), training=False)[MAIN].numpy()
    np.testing.assert_allclose(judges["test"].logits, logits, rtol=1e-4, atol=1e-5)
    assert {len(one.targets) for one in train.values()} == {30}
    assert list(train) == list(TASKS)


def test_none_is_estimated_where_none_is_wanted_or_a_backbone_is_trained_or_nothing_is_labelled(caplog):
    assert linearisation(most_auxiliaries=0).of(model(), dataset(), MAIN) is None
    assert linearisation().of(model({MAIN: TASKS[MAIN]}), dataset(), MAIN) is None
    assert not caplog.text
    assert linearisation().of(deep_model(), dataset(), MAIN) is None
    assert "the estimate needs freeze=all" in caplog.text
    data = dataset()
    data.targets["violence"][data.positions("train")] = -1
    assert linearisation().of(model(), data, MAIN) is None
    assert "no labelled frame of violence" in caplog.text
