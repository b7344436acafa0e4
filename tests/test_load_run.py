"""A run is loaded by id or folder, and takes frames as its training frames were made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import BARE, call

from mtl.data.making import ASSUMED, Making
from mtl.errors import UserError
from mtl.load_run import LoadedRun, load_run
from mtl.tasks import BinaryTask, CategoricalTask
from mtl.tracking.no_tracking import NoTracking

TASKS = {"violence": BinaryTask(["Fighting"], []), "anomaly_type": CategoricalTask(["Fighting", "Arson", "Normal"], [])}
SMALL = Making(4, 6, "INTER_AREA", ASSUMED)


def loaded(made: Making | None = SMALL, takes: str = "frames", batch_size: int = 2) -> LoadedRun:
    """A run whose logits are the mean brightness of each frame, minus 100, or the sum of its features."""

    class Frozen:
        def __init__(self):
            self.takes, self.batch_size, self.seen = takes, batch_size, []

        def __call__(self, inputs):
            self.seen.append(inputs.shape)
            return inputs.mean((1, 2, 3)) - 100 if takes == "frames" else inputs.sum(1)

    class Model:
        n_features = 3

        def inferred(self, features):
            units = {name: task.units for name, task in TASKS.items()}
            return {name: np.repeat(features[:, None], n, 1) for name, n in units.items()}

    return LoadedRun(None, TASKS, SimpleNamespace(frozen=Frozen()), Model(), made)


def frames(n: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(90, 110, (n, height, width, 3)).astype(np.uint8)


def area(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (6, 4), interpolation=cv2.INTER_AREA)


# frames come in


@pytest.mark.parametrize("pack", [np.stack, list, tuple], ids=["array", "list", "tuple"])
def test_frames_of_another_size_give_what_the_resized_ones_give_and_one_line_says_so(caplog, pack):
    large = frames(5, 40, 48)
    run = loaded()
    found = run(pack(list(large)))
    run(large)
    expected = loaded()(np.stack([area(frame) for frame in large]))
    for task in TASKS:
        np.testing.assert_array_equal(found[task], expected[task])
    (line,) = caplog.messages
    assert line == f"Frames such as one of 48x40 are resized to the training frames' 6x4 with INTER_AREA ({ASSUMED})."


def test_a_list_of_several_sizes_keeps_its_order():
    mixed = [*frames(2, 4, 6), *frames(3, 40, 48), *frames(1, 8, 12)]
    expected = loaded()(np.stack([area(frame) for frame in mixed]))["violence"]
    np.testing.assert_array_equal(loaded()(mixed)["violence"], expected)


def test_frames_of_the_right_size_go_through_as_they_are_in_batches_and_nothing_is_said(caplog):
    run = loaded()
    assert run(frames(5, 4, 6))["anomaly_type"].shape == (5, 3)
    assert run.backbone.frozen.seen == [(2, 4, 6, 3), (2, 4, 6, 3), (1, 4, 6, 3)]
    assert not caplog.messages


@pytest.mark.parametrize("size", [(2, 3), (40, 3)], ids=["in both directions", "in one"])
def test_smaller_frames_are_enlarged_as_an_extraction_would_and_one_line_warns(caplog, size):
    small = frames(2, *size)
    found = loaded()(small)["violence"]
    np.testing.assert_array_equal(found, loaded()(np.stack([area(frame) for frame in small]))["violence"])
    assert "are enlarged to the training frames' 6x4" in caplog.messages[0]
    assert "show less" in caplog.messages[0]


@pytest.mark.parametrize("made", [Making(None, None, None, ""), None], ids=["several", "unknown"])
def test_where_training_had_no_one_size_frames_are_taken_as_they_come(made):
    run = loaded(made)
    run([*frames(1, 4, 6), *frames(2, 8, 12)])
    assert run.backbone.frozen.seen == [(1, 4, 6, 3), (1, 8, 12, 3), (1, 8, 12, 3)]


@pytest.mark.parametrize(
    "nothing",
    [[], (), np.empty((0, 4, 6, 3), np.uint8), np.empty((0, 40, 60, 3)), np.array([])],
    ids=["list", "tuple", "array", "other size", "no shape"],
)
@pytest.mark.parametrize("takes", ["frames", "features"])
def test_no_frame_gives_arrays_without_a_row(nothing, takes):
    found = loaded(takes=takes)(nothing)
    assert {name: each.shape for name, each in found.items()} == {"violence": (0, 1), "anomaly_type": (0, 3)}


GOOD = frames(2, 4, 6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (GOOD / 255, r"^frames must be uint8 RGB in 0..255 .* found float64 in 0\.\d+..0.*; right would be \(255 \*"),
        (GOOD.astype(int), r"found int64 in \d+..\d+; right would be frames.round\(\).astype\('uint8'\)\.$"),
        (GOOD.astype(int) - 200, r"found int64 in -\d+..-\d+\.$"),
        (GOOD > 100, r"found bool in 0..1\.$"),
        (GOOD[0], r"found one frame \(4, 6, 3\); right would be \[frame\]"),
        (GOOD[..., :1], r"of shape \(n, height, width, 3\), found uint8 \(2, 4, 6, 1\)"),
        (GOOD[:, :0], r"found uint8 \(2, 0, 6, 3\)"),
        (np.zeros((2, 3), np.float32), r"found float32 \(2, 3\)"),
        ([GOOD[0], GOOD], r"^frame 1 must be .* of shape \(height, width, 3\), found uint8 \(2, 4, 6, 3\)"),
        ([GOOD[0], GOOD[0] / 255], r"^frame 1 must be uint8 .* found float64 in 0"),
        (["a.png"], r"^frame 0 must be .* found str"),
        ([[[1, 2], [3]]], r"^frame 0 cannot be made an array: "),
        (None, r"found NoneType"),
        (iter(GOOD), r"found iterator"),
    ],
)  # fmt: skip
def test_what_are_no_frames_is_refused_in_one_line(wrong, said):
    with pytest.raises(UserError, match=said) as refused:
        loaded()(wrong)
    assert "\n" not in str(refused.value)


def test_rows_of_features_may_be_a_list():
    rows = [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-6.0, 0.0, 0.0]]
    found = loaded(None, "features")(rows)["violence"]
    np.testing.assert_allclose(found[:, 0], [1 / (1 + np.exp(-6)), 0.5, 1 / (1 + np.exp(6))])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([[1.0, 2.0]], r"must be numbers \(n, 3\), found float64 \(1, 2\)"),
        ([["a", "b", "c"]], r"found <U1 \(1, 3\)"),
        ([[1.0], [1.0, 2.0]], "features cannot be made an array"),
        ([[np.nan, 0.0, 0.0]], "must be finite, found NaN or infinity in 1 places"),
    ],
)
def test_what_are_no_features_is_refused_in_one_line(wrong, said):
    with pytest.raises(UserError, match=said):
        loaded(None, "features")(wrong)


# folders that hold no model


def record(folder: Path, name: str, status: str | None = "FINISHED", **tags: str) -> None:
    """The record of a run as a run leaves it; without a status it is going on."""
    run = NoTracking().start(name, folder, None, tags)
    if status:
        run.end(status)


def test_a_sweeps_folder_says_which_runs_it_has(tmp_path):
    record(tmp_path / "s", "sweep", sweep="parent")
    for number in range(12):
        record(tmp_path / "s" / str(number), f"anomaly seed={number}", "FAILED" if number == 1 else "FINISHED")
    with pytest.raises(UserError) as refused:
        load_run(tmp_path / "s")
    assert str(refused.value) == (
        f"{tmp_path / 's'} is no single run, it has 12 runs; right would be one of these folders: "
        "0 (anomaly seed=0), 1 (anomaly seed=1, FAILED), "
        + ", ".join(f"{n} (anomaly seed={n})" for n in range(2, 10))
        + ", and 2 more."
    )


def test_a_sweeps_folder_without_a_run_says_so(tmp_path):
    record(tmp_path, "sweep", sweep="parent")
    with pytest.raises(UserError, match="is a sweep without a run"):
        load_run(tmp_path)


def test_a_failed_run_says_why_it_has_no_model(tmp_path):
    record(tmp_path, "anomaly", "FAILED", failure="the disk is full")
    with pytest.raises(
        UserError, match=r"left no model: it is FAILED \(the disk is full\), and there is no config.yaml"
    ):
        load_run(str(tmp_path))


def test_a_run_that_is_going_on_says_so(tmp_path):
    record(tmp_path, "anomaly", None)
    with pytest.raises(UserError, match="has not come to its end yet"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (".", r"is no run's folder: it has no record \(tracking.jsonl\) and no config.yaml"),
        ("outputs/nowhere", "There is no folder outputs/nowhere; right would be a run's id, or its folder"),
        (Path("nowhere"), "There is no folder nowhere"),
        ("", "id is empty; a run with tracking=none is loaded by its folder"),
        ("local-123", "has not reached the store; right would be its folder"),
        ("0123", "There is no MLflow store"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line(tmp_path, monkeypatch, run, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        load_run(run)


# real runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run without tracking, a sweep, and the same sweep again, whose jobs are reused."""
    folder = tmp_path_factory.mktemp("loaded")
    sweep = ("seed=0,1", "tracking.experiment=swept")
    for more in (
        ("tasks=anomaly", "tracking=none", "hydra.run.dir=outputs/alone"),
        ("-m", "tasks=anomaly", *sweep, "hydra.sweep.dir=multirun/first"),
        ("-m", "tasks=anomaly", *sweep, "hydra.sweep.dir=multirun/again"),
    ):
        done = call(folder, *more, *BARE)
        assert done.returncode == 0, done.stderr
    return folder


def scored_frames(artifacts: Path) -> pd.DataFrame:
    return pd.read_parquet(artifacts / "predictions.parquet").query("split == 'test'")


def predicted(artifacts: Path) -> np.ndarray:
    return scored_frames(artifacts)["probability/general_anomaly"].to_numpy()


def frames_of(folder: Path, artifacts: Path) -> list[np.ndarray]:
    """The test frames of a run on the demo."""
    from mtl.data.frames import read_frame

    root = next((folder / ".cache" / "demo").glob("seed*"))
    table = scored_frames(artifacts)
    names = {path.name: path.relative_to(root).as_posix() for path in (root / "Test").rglob("*.png")}
    wanted = [f"{video}_{frame}.png" for video, frame in zip(table["video"], table["frame"], strict=True)]
    return [read_frame(root, names[name]) for name in wanted]


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("form", [str, Path])
@pytest.mark.parametrize("below", ["", "artifacts"])
def test_a_run_without_tracking_is_loaded_by_its_folder(folder, monkeypatch, form, below):
    monkeypatch.chdir(folder)
    artifacts = folder / "outputs" / "alone" / "artifacts"
    run = load_run(form(Path("outputs") / "alone" / below))
    assert run.training_frames == Making(64, 64, "INTER_AREA", ASSUMED)
    np.testing.assert_allclose(
        run(frames_of(folder, artifacts))["general_anomaly"][:, 0], predicted(artifacts), atol=1e-6
    )


@pytest.mark.tensorflow
@pytest.mark.slow
def test_larger_frames_of_a_real_run_give_what_the_resized_ones_give(folder, caplog):
    artifacts = folder / "outputs" / "alone" / "artifacts"
    run = load_run(artifacts.parent)
    large = [np.repeat(np.repeat(frame, 5, 0), 3, 1) for frame in frames_of(folder, artifacts)]
    np.testing.assert_allclose(run(large)["general_anomaly"][:, 0], predicted(artifacts), atol=1e-6)
    assert [line for line in caplog.messages if "192x320 are resized to the training frames' 64x64" in line]


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_reused_job_is_loaded_by_its_folder_wherever_one_is(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # its record names the store
    artifacts = folder / "multirun" / "again" / "1" / "artifacts"
    assert not (artifacts / "weights.npz").exists()
    found = load_run(artifacts.parent)(frames_of(folder, artifacts))["general_anomaly"]
    np.testing.assert_allclose(found[:, 0], predicted(artifacts), atol=1e-6)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_sweeps_id_says_which_runs_it_has_in_whichever_experiment(folder, monkeypatch):
    from mtl.tracking.mlflow_tracking import MLflowTracking

    monkeypatch.chdir(folder)
    runs = MLflowTracking("sqlite:///mlflow.db", "swept", None, timeout_s=20.0).runs()
    parent, *_ = (run for run in runs if run.tags.get("sweep") == "parent")
    with pytest.raises(
        UserError, match=f"Run {parent.id} is no single run, it has 2 runs; right would be one of"
    ) as said:
        load_run(parent.id)
    for run in runs:
        if run.tags.get("mlflow.parentRunId") == parent.id:
            assert f"{run.id} (anomaly seed={run.params['seed']}" in str(said.value)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_an_older_run_takes_frames_as_they_come_and_one_line_says_so(folder, tmp_path, caplog):
    artifacts = folder / "outputs" / "alone" / "artifacts"
    shutil.copytree(artifacts, tmp_path / "old")
    stored = json.loads((tmp_path / "old" / "model.json").read_text(encoding="utf-8"))
    del stored["frames"]
    (tmp_path / "old" / "model.json").write_text(json.dumps(stored), encoding="utf-8")
    run = load_run(tmp_path / "old")
    assert run.training_frames is None
    assert len([line for line in caplog.messages if "did not keep the size of its training frames" in line]) == 1
    np.testing.assert_allclose(
        run(frames_of(folder, artifacts))["general_anomaly"][:, 0], predicted(artifacts), atol=1e-6
    )


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_tracked_run_that_failed_says_why_it_has_no_model(tmp_path):
    from mtl.tracking.mlflow_tracking import MLflowTracking

    tracking = MLflowTracking(f"sqlite:///{tmp_path}/mlflow.db", "mtl", None, timeout_s=20.0)
    run = tracking.start("anomaly", tmp_path / "run", None, {"failure": "no frame"})
    run.end("FAILED")
    with pytest.raises(UserError, match=rf"^Run {run.id} \(anomaly\) left no model: it is FAILED \(no frame\)"):
        load_run(run.id, tracking)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_compiled_forward_pass_gives_what_the_eager_one_gives_and_is_traced_once_per_shape(folder):
    run = load_run(folder / "outputs" / "alone")
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)
    found = {n: run(images[:n])["general_anomaly"] for n in (5, 1, 3)}
    logits = run.model(run.backbone.frozen(images), training=False)["general_anomaly"].numpy()
    expected = run.tasks["general_anomaly"].probabilities(logits)
    for n, each in found.items():
        np.testing.assert_allclose(each, expected[:n], atol=1e-6)
    assert run.model.infer.experimental_get_tracing_count() == 1
