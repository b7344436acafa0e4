"""Rows of two tasks whose relatedness is known, and whether a sweep finds what was put there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import call

from mtl.data.related_tasks import CLASSES, RelatedTasks
from mtl.errors import UserError
from mtl.tasks import BinaryTask

MAIN, AUXILIARY = BinaryTask(["main_only", "both"], []), BinaryTask(["auxiliary_only", "both"], [])


def drawn(relatedness=0.5, **changes):
    settings = {"seed": 0, "n_features": 16, "n_sines": 3, "noise": 1.0}
    sizes = {"train_rows": 400, "val_rows": 100, "test_rows": 1500}
    return RelatedTasks(relatedness, **(settings | sizes | changes))


def agreement(data) -> float:
    frames = data.frames()
    return float((MAIN.targets(frames) == AUXILIARY.targets(frames)).mean())


def test_the_table_keeps_the_contract():
    data = drawn()
    data.check()
    frames = data.frames()
    assert list(frames) == ["path", "class_name", "video", "frame", "split"]
    assert frames["split"].value_counts().to_dict() == {"train": 400, "val": 100, "test": 1500}
    assert frames["video"].nunique() == len(frames) == len(data.features())
    assert tuple(frames["class_name"].cat.categories) == data.classes == CLASSES
    assert data.kept["frames_kept"].sum() == len(frames)
    assert data.features().dtype == np.float32


def test_labels_are_cut_at_the_median():
    frames = drawn().frames()
    for task in (MAIN, AUXILIARY):
        assert task.targets(frames).sum() == len(frames) / 2


@pytest.mark.parametrize("relatedness", [-1.0, 0.0, 0.3, 1.0])
def test_the_dial_moves_the_auxiliary_alone(relatedness):
    at, other = drawn(relatedness), drawn(0.77)
    np.testing.assert_array_equal(at.features(), other.features())
    np.testing.assert_array_equal(MAIN.targets(at.frames()), MAIN.targets(other.frames()))
    assert (AUXILIARY.targets(at.frames()) != AUXILIARY.targets(other.frames())).any()


def test_labels_agree_as_far_as_the_tasks_are_related():
    assert agreement(drawn(1.0, noise=0.0)) == 1
    found = [agreement(drawn(dial)) for dial in (0.0, 0.5, 1.0)]
    assert found == sorted(found)
    assert abs(found[0] - 0.5) < 0.05
    assert agreement(drawn(-1.0, n_sines=0)) < 0.4


def test_labels_by_hand_where_there_is_neither_sine_nor_noise():
    """Then a task is a plane, and the two planes' angle has the cosine of the dial."""
    data = drawn(0.5, n_sines=0, noise=0.0, n_features=3, test_rows=200_000)
    # two planes through the origin at an angle a disagree on a / pi of a round cloud
    assert agreement(data) == pytest.approx(1 - np.arccos(0.5) / np.pi, abs=0.01)


def test_the_same_seed_draws_the_same():
    pd.testing.assert_frame_equal(drawn().frames(), drawn().frames())
    assert (drawn().features() != drawn(seed=1).features()).all()


def test_a_split_without_room_for_a_median_is_a_mistake():
    with pytest.raises(UserError, match=r"data\.val_rows: should be 4 at least, found 1"):
        drawn(val_rows=1).check()


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["data=related_tasks", "tasks=related_pair", "main_task=related_main"],
            "gives features, the backbone takes frames",
        ),
        (["backbone=none"], "gives frames, the backbone takes features"),
        (["experiment=related_tasks", "hydra.mode=RUN", "freeze=stages"], "backbone=none has no stages"),
        (["experiment=related_tasks", "hydra.mode=RUN", "data.relatedness=2"], "data.relatedness: "),
    ],
)
def test_what_does_not_go_together_is_one_line(tmp_path, words, said):
    done = call(tmp_path, *words, "data.root=demo" if words == ["backbone=none"] else "tracking=none")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_gain_rises_with_relatedness_and_random_labels_do_not_help(tmp_path, monkeypatch):
    """The acceptance of the whole: the real command line, and the table's own words."""
    # few of what takes time and is proved elsewhere
    few = ("relations=[loss_correlation]", "gradient_measurements.batches=0", "evaluation.resamples=500")
    words = ("experiment=related_tasks", "data.relatedness=0,1", "seed=0,1,2,3", "hydra.sweep.dir=sweep", *few)
    done = call(tmp_path, *words, timeout=1500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = pd.read_csv(tmp_path / "sweep" / "summary" / "auxiliaries.csv").set_index(["auxiliary", "condition"])
    related = found.loc["related_auxiliary"]
    none, same = related.loc["data.relatedness=0"], related.loc["data.relatedness=1"]
    assert (none["seeds"], same["seeds"]) == (4, 4)
    assert same["verdict"] == "helps"
    assert same["low"] > max(none["effect"], 0)
    assert none["low"] < 0 < none["high"]
    assert none["verdict"].partition(":")[0] in ("cannot tell", "does not matter")
    for _, control in found.loc["random_labels"].iterrows():
        assert control["control"]
        assert control["low"] < 0 < control["high"]
        assert control["verdict"].partition(":")[0] in ("cannot tell", "does not matter")
    assert "related_auxiliary (+0." in done.stdout

    from mtl.experiment import load_run
    from mtl.tracking.mlflow_tracking import MLflowTracking

    monkeypatch.chdir(tmp_path)
    tracking = MLflowTracking("sqlite:///mlflow.db", "mtl", None, timeout_s=20.0)
    run = next(run for run in tracking.runs() if run.params.get("tasks") == "related_pair")
    predictions = pd.read_parquet(tracking.download(run.id, "predictions.parquet")).query("split == 'test'")
    settings = {key.removeprefix("data."): value for key, value in run.params.items() if key.startswith("data.")}
    rows = RelatedTasks(
        **{key: float(value) if key in ("relatedness", "noise") else int(value) for key, value in settings.items()}
    ).features()
    again = load_run(run.id)(rows[-len(predictions) :])
    np.testing.assert_allclose(
        again["related_main"][:, 0], predictions["probability/related_main"], rtol=1e-5, atol=1e-6
    )
