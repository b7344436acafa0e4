"""Rows of two tasks whose relatedness is known, and whether a sweep finds what was put there."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, call

from mtl.data.related_tasks import CLASSES, RelatedTasks
from mtl.errors import UserError
from mtl.tasks import BinaryTask, ColumnTask

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


MANY = [1, 0.5, -0.5, "random", "harmful", "harmful"]


def test_one_number_draws_what_it_always_drew():
    """Stored runs are compared with new ones: their rows and labels are these."""
    data = drawn(0.5, n_features=4, train_rows=8, val_rows=4, test_rows=4)
    frames, rows = data.frames(), data.features()
    assert list(frames["class_name"].cat.codes) == [3, 3, 2, 0, 1, 0, 2, 2, 1, 3, 1, 3, 0, 0, 0, 3]
    np.testing.assert_array_equal(
        rows[0], np.float32([0.1257302165031433, -0.13210485875606537, 0.6404226422309875, 0.10490011423826218])
    )


def test_every_entry_of_a_list_is_a_column_that_a_task_reads():
    data = drawn(MANY)
    data.check()
    frames = data.frames()
    assert data.label_columns == tuple(f"related_{i}" for i in range(1, 7))
    assert list(frames)[5:] == list(data.label_columns)
    for name in data.label_columns:
        task = ColumnTask(name)
        task.check_columns(data.label_columns)
        assert task.targets(frames).dtype == np.int32
        assert task.targets(frames).sum() == len(frames) / 2
    # tables that go by class tell the first one's labels too
    np.testing.assert_array_equal(AUXILIARY.targets(frames), frames["related_1"])


def test_an_entry_of_a_list_changes_its_own_auxiliary_alone():
    one, other = drawn(MANY), drawn([1, "harmful", -0.5, "random", 0.3, "harmful", 0.1])
    np.testing.assert_array_equal(one.features(), other.features())
    np.testing.assert_array_equal(one.features(), drawn(0.5).features())
    at, beside = one.frames(), other.frames()
    for frames in (beside, drawn(0.5).frames()):
        np.testing.assert_array_equal(MAIN.targets(at), MAIN.targets(frames))
    same = [(at[name] == beside[name]).all() for name in one.label_columns]
    assert same == [True, False, True, True, False, True]


def test_auxiliaries_of_a_list_agree_with_the_main_task_as_they_should_and_with_each_other_through_it_alone():
    data = drawn([0.5, 0.5, 0, "random", "harmful"], n_sines=0, noise=0.01, n_features=6, test_rows=100_000)
    frames = data.frames()
    main, labels = MAIN.targets(frames), frames[list(data.label_columns)].to_numpy()
    # planes through the origin at an angle a agree on 1 - a / pi of a round cloud
    related, unrelated = 1 - np.arccos(0.5) / np.pi, 0.5
    for column, wanted in enumerate((related, related, unrelated, unrelated, unrelated)):
        assert (labels[:, column] == main).mean() == pytest.approx(wanted, abs=0.01)
    assert (labels[:, 0] == labels[:, 1]).mean() == pytest.approx(1 - np.arccos(0.25) / np.pi, abs=0.01)


def test_a_harmful_auxiliary_follows_the_noise_of_training_rows_and_says_nothing_of_others():
    """Where the main task's labels are nearly noise, they agree with it by chance in training alone."""
    data = drawn(["harmful", "random"], n_sines=0, noise=20.0, n_features=100, train_rows=400, test_rows=20_000)
    frames = data.frames()
    agree = MAIN.targets(frames) == frames["related_1"]
    train, test = (frames["split"] == split for split in ("train", "test"))
    assert agree[test].mean() == pytest.approx(0.5, abs=0.02)
    # noise of its own hides the direction from its labels, not from their mean over rows
    rows, labels = data.features()[train], frames[train]
    towards = [
        rows.T @ (task.targets(labels) - 0.5) for task in (MAIN, ColumnTask("related_1"), ColumnTask("related_2"))
    ]
    main, harmful, random = (each / np.linalg.norm(each) for each in towards)
    assert main @ harmful > main @ random + 0.05


@pytest.mark.parametrize(
    ("relatedness", "changes", "said"),
    [
        ([], {}, r"data\.relatedness: the list is empty\. Right would be a number"),
        ([0.5, 1.5], {}, r"data\.relatedness: entry 2 should be in \[-1, 1\], found 1\.5"),
        ([True], {}, r"data\.relatedness: entry 1 should be in \[-1, 1\], found True"),
        (
            ["randm"],
            {},
            r"data\.relatedness: entry 1 is neither a number nor a known word, found 'randm'\. Did you mean 'random'",
        ),
        ([0.5] * 16, {}, r"data\.n_features: 16 auxiliaries .* should be 17 at least, found 16"),
        (["harmful"], {"noise": 0.0}, r"data\.relatedness: 'harmful' follows the noise .* data\.noise is 0"),
    ],
)
def test_a_list_that_cannot_be_drawn_is_one_line(relatedness, changes, said):
    with pytest.raises(UserError, match=said) as caught:
        drawn(relatedness, **changes).check()
    assert "\n" not in str(caught.value)


def test_a_column_that_the_data_lack_is_a_mistake():
    with pytest.raises(
        UserError, match=r"a column that the data set lacks, 'related_3': it has related_1, related_2\."
    ):
        ColumnTask("related_3").check_columns(drawn([1, 0]).label_columns)
    with pytest.raises(UserError, match=r"'related_1': it has none\."):
        ColumnTask("related_1").check_columns(drawn().label_columns)


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
        (["experiment=related_many", "data.relatedness=0.5"], "Task 'related_1' reads its labels in a column"),
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


@pytest.mark.tensorflow
@pytest.mark.slow
def test_what_is_made_to_help_helps_and_what_is_made_to_hurt_hurts():
    """By real training: the whole interval of the paired gain lies on its side of zero."""
    others = [f"~tasks.related_{i}" for i in range(3, 9)]
    words = ["--draws", "1", "--seeds", "3", "--sets", "0", "data.relatedness=[1,harmful]", *others]
    command = [sys.executable, str(ROOT / "benchmarks" / "related.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    _, helps_low, _ = intervals(done.stdout)["related_1"]
    _, _, hurts_high = intervals(done.stdout)["related_2"]
    assert helps_low > 0 > hurts_high


def intervals(shown: str) -> dict[str, list[float]]:
    """Gain, low and high by auxiliary, of a table that was printed."""
    rows = re.findall(r"(related_\d)\D+?[\w.]+\s*\W\s+([-+.\d]+)\D+?([-+][.\d]+)\D+?([-+][.\d]+)", shown)
    return {name: [float(cell) for cell in cells] for name, *cells in rows}
