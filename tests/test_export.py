"""An exported model is the run's, says what it is, and is refused where it is not."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from conftest import BARE, call, tracking_of

from mtl.data.making import ASSUMED, Making
from mtl.errors import UserError
from mtl.export import exporting, formats
from mtl.export.__main__ import export, main
from mtl.export.described import description, takes
from mtl.export.formats import FORMATS, format_of
from mtl.tasks import BinaryTask, CategoricalTask

TASKS = {"violence": BinaryTask(["Fighting"], []), "anomaly_type": CategoricalTask(["Fighting", "Arson", "Normal"], [])}
OTHERS = [pytest.param(".onnx", "onnxruntime", id="onnx"), pytest.param(".tflite", "ai_edge_litert", id="litert")]


def described_run(made: Making | None = None, given: str = "frames"):
    """What a description is made of."""
    return SimpleNamespace(
        config=SimpleNamespace(evaluation=SimpleNamespace(threshold=0.25)),
        tasks=TASKS,
        backbone=SimpleNamespace(frozen=SimpleNamespace(takes=given, image_size=96), precision="float32"),
        model=SimpleNamespace(n_features=7),
        training_frames=made,
    )


def test_the_description_has_tasks_in_order_classes_threshold_and_recipe_of_the_frames():
    found = json.loads(description(described_run(Making(64, 80, "INTER_AREA", ASSUMED)), "abc"))
    assert found["run"] == "abc"
    assert [each["name"] for each in found["outputs"]] == ["violence", "anomaly_type"]
    assert found["outputs"][0] == {"name": "violence", "classes": ["yes"], "yes_means": ["Fighting"], "threshold": 0.25}
    assert found["outputs"][1]["classes"] == ["Fighting", "Arson", "Normal"]
    assert found["outputs"][1]["threshold"] is None
    assert found["input"]["name"] == "frames"
    assert found["input"]["type"] == "uint8"
    assert found["training_frames"] == {"height": 64, "width": 80, "interpolation": "cv2.INTER_AREA"}
    assert found["network_size"] == [96, 96]


@pytest.mark.parametrize(
    ("run", "name", "shape"),
    [
        (described_run(None), "frames", (None, None, None, 3)),
        (described_run(Making(None, None, None, "")), "frames", (None, None, None, 3)),
        (described_run(Making(64, 80, "INTER_AREA", "")), "frames", (None, None, None, 3)),
        (described_run(Making(64, 80, "INTER_CUBIC", "")), "frames", (None, 64, 80, 3)),
        (described_run(None, "features"), "features", (None, 7)),
    ],
    ids=["unknown", "several sizes", "area", "another interpolation", "features"],
)
def test_frames_are_of_any_size_unless_no_graph_can_resize_them_as_the_training_frames_were(run, name, shape):
    assert takes(run)[:2] == (name, shape)


@pytest.mark.parametrize(("name", "title"), [("m", "SavedModel"), ("m.onnx", "ONNX"), ("m.tflite", "LiteRT")])
def test_the_ending_says_the_format(name, title):
    assert title in format_of(Path(name)).title


def test_another_ending_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"m\.pt ends in \.pt, .* right would be \.onnx, \.tflite, or no ending"):
        format_of(Path("m.pt"))


@pytest.mark.parametrize("ending", [".onnx", ".tflite"])
def test_a_runtime_that_is_not_installed_is_one_line_that_names_the_extra_before_the_run_is_looked_at(
    tmp_path, monkeypatch, capsys, ending
):
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    assert main(["there_is_no_such_run", str(tmp_path / f"m{ending}")]) == 1
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert FORMATS[ending].needs[0] in line
    assert "pip install -e '.[export]'" in line


def test_what_stands_there_is_replaced_only_by_force_and_only_if_it_is_a_model(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").touch()
    with pytest.raises(UserError, match="is there already; right would be another name, or --force"):
        export("x", tmp_path / "taken", False, False, None)
    with pytest.raises(UserError, match="is no model that --force would replace"):
        export("x", tmp_path / "taken", True, False, None)
    assert (tmp_path / "taken" / "mine.txt").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x",), "Say where to: a FILE, --mlflow, or both"),
        (("outputs/none", "m"), "There is no folder outputs/none"),
        (("x", "no/where/m"), "There is no folder no/where to write m to"),
    ],
)
def test_a_command_that_cannot_be_done_is_one_line(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert said in line


# frames are resized within the graph as OpenCV does it


def frames(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (2, height, width, 3)).astype(np.uint8)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("size", "most", "share"),
    [
        ((64, 48), 0, 0),  # as they are
        ((128, 96), 0, 0),  # halved, a path of its own
        ((256, 192), 0, 0),  # whole factors
        ((97, 131), 0, 0),
        ((64, 100), 0, 0),
        ((480, 640), 1, 0.01),  # ties
        ((40, 200), 1, 0.2),  # enlarged in one direction, which OpenCV does in fixed point
        ((30, 47), 1, 0.2),
    ],
)
def test_resizing_is_opencvs_by_area(size, most, share):
    import tensorflow as tf

    from mtl.export.resizing import as_opencv

    given = frames(*size)
    found = as_opencv(tf.cast(given, tf.float32), (64, 48)).numpy()
    wanted = np.stack([cv2.resize(frame, (48, 64), interpolation=cv2.INTER_AREA) for frame in given])
    apart = np.abs(found - wanted)
    assert apart.max() <= most
    assert (apart > 0).mean() <= share


@pytest.mark.tensorflow
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (240, 320), (97, 131), (20, 100)])
def test_resizing_to_the_networks_size_is_tensorflows_antialiased_one(size):
    import tensorflow as tf

    from mtl.export.resizing import antialiased

    given = tf.cast(frames(*size), tf.float32)
    wanted = tf.image.resize(given, (32, 32), antialias=True)
    np.testing.assert_allclose(antialiased(given, (32, 32)), wanted, atol=0.01)


# real runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tracked run on frames, and one on features without tracking."""
    folder = tmp_path_factory.mktemp("exported")
    rows = ("data=related_tasks", "tasks=related_pair", "main_task=related_main", "backbone=none", "tracking=none")
    short = ("training.epochs=1", "relations=[]", "gradient_measurements.batches=0", "evaluation.resamples=50")
    for words in (
        ("tasks=anomaly_type", *BARE, "freeze=stages", "backbone.image_size=48", "hydra.run.dir=outputs/frames"),
        (*rows, *short, "hydra.run.dir=outputs/features"),
    ):
        done = call(folder, *words)
        assert done.returncode == 0, done.stderr
    return folder


class Typed(NamedTuple):
    """What a command left in the terminal, and its exit status."""

    returncode: int
    stdout: str


@pytest.fixture
def typed(folder, monkeypatch, capfd):
    """The finished `python -m mtl.export WORDS`, where the runs are and in this process, which has TensorFlow."""

    def typed(*words: str) -> Typed:
        monkeypatch.chdir(folder)
        capfd.readouterr()
        code = main(words)
        return Typed(code, capfd.readouterr().out)

    return typed


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("ending", [pytest.param("", id="saved_model"), *[each.values[0] for each in OTHERS]])
@pytest.mark.parametrize("kind", ["frames", "features"])
def test_a_run_becomes_a_file_that_answers_by_task_name_and_says_what_it_is(typed, tmp_path, kind, ending):
    for module in FORMATS[ending].needs:
        pytest.importorskip(module)
    path = tmp_path / f"model{ending}"
    done = typed(f"outputs/{kind}", str(path))
    assert done.returncode == 0, done.stdout
    assert f"{kind} of the test split" in done.stdout
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    tasks = ["general_anomaly", "anomaly_type"] if kind == "frames" else ["related_main", "related_auxiliary"]
    rows = frames(50, 70) if kind == "frames" else np.zeros((2, 50), np.float32)
    if kind == "frames":
        found = FORMATS[ending].load(path)(rows)
        assert {name: each.shape for name, each in found.items()} == {
            "general_anomaly": (2, 1),
            "anomaly_type": (2, 14),
        }
        np.testing.assert_allclose(found["anomaly_type"].sum(axis=1), 1, atol=1e-6)
    said = json.loads(text_in(path))
    assert [each["name"] for each in said["outputs"]] == tasks
    assert said["input"]["name"] == kind
    assert said["run"]


def text_in(path: Path) -> str:
    """The description in an exported file."""
    if path.suffix == ".onnx":
        import onnx

        (found,) = (each.value for each in onnx.load(str(path)).metadata_props if each.key == "mtl")
        return found
    if path.suffix == ".tflite":
        return zipfile.ZipFile(path).read("mtl.json").decode()
    return (path / "assets.extra" / "mtl.json").read_text(encoding="utf-8")


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_model_that_answers_otherwise_than_its_run_is_refused_and_leaves_no_file(
    folder, tmp_path, monkeypatch, capsys
):
    saved = formats.SavedModel

    class Wrong(saved):
        def load(self, path):
            right = saved().load(path)
            return lambda rows: {name: found + 2e-5 for name, found in right(rows).items()}

    monkeypatch.setitem(FORMATS, "", Wrong())
    monkeypatch.chdir(folder)
    assert main(["outputs/frames", str(tmp_path / "model")]) == 1
    assert "differ by 2.0e-05 on rows, 1e-05 is the most" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.tensorflow
@pytest.mark.slow
def test_without_its_data_a_run_is_compared_on_drawn_frames_which_is_said(typed, folder, tmp_path):
    (folder / ".cache" / "demo").rename(folder / ".cache" / "gone")
    try:
        done = typed("outputs/frames", str(tmp_path / "model"))
    finally:
        (folder / ".cache" / "gone").rename(folder / ".cache" / "demo")
    assert done.returncode == 0, done.stdout
    assert "own data cannot be had" in done.stdout
    assert "on 32 drawn frames" in done.stdout


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_run_without_tracking_has_no_run_in_mlflow_to_add_the_model_to(typed):
    for module in FORMATS[".onnx"].needs:
        pytest.importorskip(module)
    done = typed("outputs/features", "--mlflow")
    assert done.returncode == 1
    assert "was not tracked in MLflow" in done.stdout


@pytest.mark.tensorflow
@pytest.mark.slow
def test_an_mlflow_model_of_the_run_answers_json_with_task_names(typed, folder):
    for module in FORMATS[".onnx"].needs:
        pytest.importorskip(module)
    done = typed("outputs/frames", "--mlflow")
    assert done.returncode == 0, done.stdout
    (run,) = tracking_of(folder).runs()
    assert f"runs:/{run.id}/model" in done.stdout
    assert run.status == "FINISHED"
    from mlflow import pyfunc

    model = pyfunc.load_model(str(tracking_of(folder).download(run.id, "model")))
    found = model.predict({"frames": frames(64, 64)})
    assert {name: np.shape(each) for name, each in found.items()} == {
        "general_anomaly": (2, 1),
        "anomaly_type": (2, 14),
    }


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_run_adds_its_model_itself_where_that_is_asked_for_and_a_reused_job_does_not_add_it_again(folder):
    for module in FORMATS[".onnx"].needs:
        pytest.importorskip(module)
    words = ("tasks=anomaly", *BARE, "tracking.model=true")
    done = call(folder, *words, "tracking.experiment=own")
    assert done.returncode == 0, done.stderr
    tracking = tracking_of(folder, "own")
    (run,) = tracking.runs()
    assert run.status == "FINISHED"
    model = tracking.download(run.id, "model")
    assert (model / "MLmodel").is_file()
    written = (model / "model.onnx").stat().st_mtime_ns
    again = call(folder, "-m", *words, "tracking.experiment=own")
    assert again.returncode == 0, again.stderr
    assert "1 done already and reused" in again.stdout
    assert (model / "model.onnx").stat().st_mtime_ns == written


def test_a_run_that_is_to_have_its_model_in_mlflow_is_refused_before_its_data_without_the_extra(monkeypatch):
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[export\]'"):
        exporting.check_served()


def test_a_model_that_cannot_be_added_is_a_warning_with_the_command_for_later(tmp_path, caplog):
    (tmp_path / "run").mkdir()
    exporting.add_model(tmp_path / "run", tracking_of(tmp_path))
    assert "The run has no model in MLflow" in caplog.text
    assert f"python -m mtl.export {tmp_path}/run --mlflow" in caplog.text
