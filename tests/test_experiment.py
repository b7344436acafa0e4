"""Whole runs of the real command line on a tiny demo, tracked in a real store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import TINY, call, tracking_of

from mtl.ablation.design import measures_of, tasks_of
from mtl.numbers import known
from mtl.report.stored import with_all_metrics
from mtl.tracked_numbers import chosen
from mtl.tracking.metrics_table import METRICS_TABLE, read_metrics

PLAIN = (*TINY, "relations=[]", "gradient_measurements.batches=0")  # where nothing between tasks is tried

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one run of four tasks, then one of one task, made by separate processes."""
    folder = tmp_path_factory.mktemp("runs")
    for tasks in ("all", "anomaly"):
        done = call(folder, f"tasks={tasks}", *TINY)
        assert done.returncode == 0, done.stderr
        (folder / f"{tasks}.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    return folder


def tracked(folder: Path):
    tracking = tracking_of(folder)
    return tracking, {run.params["tasks"]: run for run in tracking.runs()}


def artifacts(folder: Path, tasks: str) -> Path:
    tracking, runs = tracked(folder)
    return tracking.download(runs[tasks].id, "")


def test_the_terminal_ends_in_a_table_and_where_to_look(folder):
    shown = (folder / "all.txt").read_text(encoding="utf-8")
    assert "general_anomaly" in shown
    assert "conflict rate" in shown
    assert "mlflow ui" in shown
    assert "Traceback" not in shown
    assert "oneDNN" not in shown
    assert "alembic" not in shown


@pytest.mark.parametrize("tasks", ["all", "anomaly"])
def test_one_task_is_tracked_under_the_same_names_as_four(folder, tasks):
    _, runs = tracked(folder)
    run = runs[tasks]
    assert run.status == "FINISHED"
    names = ["auc/", "auc_low/", "auc_high/", "val_auc/", "val_auc_video_weighted/", "train_loss/", "val_loss/"]
    names += ["val_auc_best/", "val_auc_video_weighted_best/", "val_loss_best/"]
    for name in names:
        assert f"{name}general_anomaly" in run.metrics
    assert {"time/training_s", "frames_per_s/training", "memory/peak_mib"} <= set(run.metrics)
    assert run.params["task.violence"] == str(int(tasks == "all"))
    assert run.params["weighting"] == "equal"
    assert run.params["training.epochs"] == "2"
    pairs = {key for key in run.metrics if key.startswith("gradient_similarity/")}
    assert len(pairs) == (6 if tasks == "all" else 0)
    if tasks == "all":
        assert "gradient_similarity/anomaly_type_vs_general_anomaly" in pairs


def test_every_number_of_a_run_is_in_the_table_of_numbers(folder):
    _, runs = tracked(folder)
    numbers = [metric for name in runs for metric in read_metrics(artifacts(folder, name) / METRICS_TABLE)]
    numbers += [metric for run in runs.values() for metric in run.metrics]
    assert [metric for metric in numbers if known(metric) is None] == []


def test_a_run_tracks_what_people_compare_and_a_report_finds_all(folder):
    tracking, runs = tracked(folder)
    run = runs["all"]
    numbers = read_metrics(artifacts(folder, "all") / METRICS_TABLE)
    assert len(run.metrics) <= 120
    assert len(numbers) > 200
    assert {name: value for name, value in run.metrics.items() if name in numbers} == chosen(numbers, "general_anomaly")
    whole = with_all_metrics(run, tracking).metrics
    assert whole == {**numbers, **run.metrics}
    auxiliaries = tasks_of(run) - {"general_anomaly"}
    measured = measures_of(with_all_metrics(run, tracking), "general_anomaly", tasks_of(run))
    for measure in ("label_information", "label_mutual_information", "gradient_similarity_mean"):
        assert {(measure, task) for task in auxiliaries} <= set(measured)
    assert {"f1/violence", "class_auc/anomaly_type.Arson", "conflict_rate_baseline/property_crime_vs_violence"} <= {
        *whole
    }


def test_the_data_set_is_an_input_of_the_run(folder):
    tracking, runs = tracked(folder)
    inputs = tracking._store.client.get_run(runs["all"].id).inputs.dataset_inputs
    assert {tag.value for one in inputs for tag in one.tags} == {"train", "test"}
    assert {one.dataset.name for one in inputs} == {"demo"}


def test_the_frames_of_every_video_are_an_artifact(folder):
    found = pd.read_csv(artifacts(folder, "all") / "videos.csv")
    assert found.groupby("split")["video"].nunique().to_dict().keys() == {"train", "val", "test"}
    judged = pd.read_parquet(artifacts(folder, "all") / "predictions.parquet", columns=["split", "video"])
    by_video = found[found["split"] != "train"].set_index(["split", "video"])["frames"].sort_index()
    pd.testing.assert_series_equal(
        by_video, judged.value_counts().sort_index(), check_names=False, check_index_type=False
    )


def test_everything_that_made_the_numbers_is_an_artifact(folder):
    kept = artifacts(folder, "all")
    names = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "overrides.txt",
        "packages.json",
        "frame_counts.csv",
        "videos.csv",
        "train_annotations.txt",
        "val_annotations.txt",
        "test_annotations.txt",
        "bad_frames.csv",
        "predictions.parquet",
        "weights.npz",
        "trace.npz",
        "history.csv",
        "figures/roc_curves.png",
        "figures/learning_curves.png",
        "figures/class_auc.png",
        "figures/confusion_matrices.png",
        "figures/relations.png",
        "figures/relation_trajectories.png",
    } <= names


def test_tracked_scores_are_those_of_the_tracked_predictions(folder):
    from sklearn.metrics import roc_auc_score

    predictions = pd.read_parquet(artifacts(folder, "all") / "predictions.parquet")
    _, runs = tracked(folder)
    assert predictions["split"].value_counts().index.tolist() == ["test", "val"]
    val = predictions[predictions["split"] == "val"]
    weights = 1 / val["video"].map(val["video"].value_counts()).astype(float)
    for name, weighted in (("val_auc_best", None), ("val_auc_video_weighted_best", weights)):
        auc = roc_auc_score(val["target/general_anomaly"], val["logit/general_anomaly"], sample_weight=weighted)
        assert runs["all"].metrics[f"{name}/general_anomaly"] == pytest.approx(auc, abs=1e-6)
    predictions = predictions[predictions["split"] == "test"]
    for task in ("general_anomaly", "violence", "property_crime"):
        auc = roc_auc_score(predictions[f"target/{task}"], predictions[f"logit/{task}"])  # probabilities have ties
        assert runs["all"].metrics[f"auc/{task}"] == pytest.approx(auc, abs=1e-6)
    columns = [name for name in predictions if name.startswith("probability/anomaly_type/")]
    assert len(columns) == 14
    np.testing.assert_allclose(predictions[columns].sum(axis=1), 1, atol=1e-5)


def test_no_video_is_in_two_splits_and_test_is_the_official_one(folder):
    kept = artifacts(folder, "all")
    videos = {}
    for split in ("train", "val", "test"):
        lines = (kept / f"{split}_annotations.txt").read_text(encoding="utf-8").splitlines()
        paths = [line.rpartition(" ")[0] for line in lines]
        assert all(path.startswith("Test/" if split == "test" else "Train/") for path in paths)
        videos[split] = {path.rpartition("_")[0].rpartition("/")[2] for path in paths}
    assert not videos["train"] & videos["val"]
    assert not (videos["train"] | videos["val"]) & videos["test"]


def test_a_loaded_run_gives_the_tracked_predictions_on_raw_frames(folder, monkeypatch):
    from mtl.data.frames import read_frame
    from mtl.experiment import load_run

    monkeypatch.chdir(folder)
    _, runs = tracked(folder)
    kept = artifacts(folder, "all")
    loaded = load_run(runs["all"].id)
    predictions = pd.read_parquet(kept / "predictions.parquet").query("split == 'test'")
    root = next((folder / ".cache" / "demo").glob("seed*"))
    lines = (kept / "test_annotations.txt").read_text(encoding="utf-8").splitlines()
    frames = np.stack([read_frame(root, line.rpartition(" ")[0]) for line in lines])
    found = loaded(frames)
    for task in ("general_anomaly", "violence", "property_crime"):
        np.testing.assert_allclose(found[task][:, 0], predictions[f"probability/{task}"], atol=1e-6)
    assert found["anomaly_type"].shape == (len(lines), 14)


def test_a_run_is_loaded_in_the_precision_it_was_made_in(folder, monkeypatch):
    from mtl.experiment import load_run
    from mtl.model import backbone as room

    monkeypatch.chdir(folder)
    done = call(folder, "tasks=anomaly", *PLAIN, "backbone.precision=auto", "tracking.experiment=precision")
    assert done.returncode == 0, done.stderr
    (run,) = tracking_of(folder, "precision").runs()
    assert run.params["precision"] == room.best_precision()
    other = ({"float32", "bfloat16"} - {run.params["precision"]}).pop()
    monkeypatch.setattr(room, "best_precision", lambda: other)
    assert load_run(run.id).backbone.precision == run.params["precision"]


def test_the_cosine_to_float32_is_measured_once_on_frames_from_all_over(tmp_path):
    import cv2

    from mtl.features.of_data import COMPARED, cosine_to_float32
    from mtl.features.store import FeatureStore
    from mtl.model.backbone import Backbone, Freeze
    from mtl.model.networks import scale_to_one, small_cnn

    rng, ends = np.random.default_rng(0), {"stage1": "stage1_pool", "stage2": "stage2_pool"}
    for i in range(100):
        assert cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 256, (16, 16, 3)).astype(np.uint8))
    frames = pd.DataFrame({"path": [f"{i}.png" for i in range(100)]})
    backbone = Backbone(
        "small_cnn", lambda **given: small_cnn(widths=[4, 8], **given), scale_to_one, 16, "random", ends,
        "bfloat16", 64, seed=0,
    )  # fmt: skip
    frozen = backbone.split(Freeze(1)).frozen
    store = FeatureStore(str(tmp_path / "kept"), 1, 1, 1, 1, 0)
    features, asked = store.of(frames, tmp_path, frozen), []
    take = features.vectors.take
    features.vectors.take = lambda at: (asked.append(at), take(at))[1]
    cosine = cosine_to_float32(frozen, tmp_path, features)
    assert 0.99 < cosine < 1
    assert (len(asked[0]), asked[0].min(), asked[0].max()) == (COMPARED, 0, 99)
    again = store.of(frames, tmp_path, frozen)
    again.vectors.take = None  # neither row nor forward pass is needed any more
    assert cosine_to_float32(frozen, None, again) == cosine


def test_the_same_command_twice_gives_the_same_numbers(folder):
    done = call(folder, "tasks=all", *TINY, "tracking=none", "hydra.run.dir=again")
    assert done.returncode == 0, done.stderr
    again = pd.read_parquet(folder / "again" / "artifacts" / "predictions.parquet")
    before = pd.read_parquet(artifacts(folder, "all") / "predictions.parquet")
    pd.testing.assert_frame_equal(again, before, check_exact=True)
    assert len(list((folder / "mlruns").glob("*")) if (folder / "mlruns").exists() else []) == 0


N_VIDEOS, N_TEST_VIDEOS = 13 * (3 + 2) + 12 + 8, 13 * 2 + 8  # of TINY, of as many frames each
SAME = {  # as it is kept, and read in two ways
    "stored": (),
    "mapped": ("features.memory_gib=0",),
    # into a store of its own: rows that are there are used whatever the limit
    "computed": ("features.max_gib=1e-6", "features.dir=none_kept"),
}


@pytest.mark.parametrize("freeze", ["all", "stages"])
def test_stored_features_give_the_numbers_of_computed_ones(folder, freeze):
    words = ("tasks=all", f"freeze={freeze}", *(("freeze.stages=2",) if freeze == "stages" else ()), *PLAIN)
    found, predictions = {}, {}
    for name, more in SAME.items():
        done = call(folder, *words, *more, f"tracking.experiment={freeze}_{name}", f"hydra.run.dir={freeze}_{name}")
        assert done.returncode == 0, done.stderr
        (found[name],) = tracking_of(folder, f"{freeze}_{name}").runs()
        predictions[name] = pd.read_parquet(folder / f"{freeze}_{name}" / "artifacts" / "predictions.parquet")
    forwards = {name: run.metrics["features/computed"] for name, run in found.items()}
    n_frames = (predictions["stored"]["split"] == "test").sum() / N_TEST_VIDEOS * N_VIDEOS
    assert (forwards["stored"], forwards["mapped"]) == (n_frames, 0)
    assert forwards["computed"] > 1.5 * n_frames  # every epoch anew
    assert [run.tags["features"] for run in found.values()] == ["kept", "kept", "computed on every use"]
    scores = {key for key in found["stored"].metrics if key.startswith(("auc", "val_auc"))}
    assert {f"auc/{task}" for task in ("general_anomaly", "violence", "property_crime", "anomaly_type")} <= scores
    for name in ("mapped", "computed"):
        for key in scores:
            assert found[name].metrics[key] == pytest.approx(found["stored"].metrics[key], abs=1e-6)
        pd.testing.assert_frame_equal(
            predictions[name], predictions["stored"], check_exact=name == "mapped", rtol=0, atol=1e-6
        )


def test_a_tree_of_frames_runs_end_to_end_with_resnet50(folder, tmp_path):
    tree = next((folder / ".cache" / "demo").glob("seed*"))
    done = call(
        tmp_path,
        "data=ucf_crime",
        f"data.root={tree}",
        "tasks=all",
        "backbone=resnet50",
        "backbone.weights=random",
        "backbone.image_size=64",
        "freeze=all",
        "weighting=notebook",
        "training.epochs=2",
        "data.max_frames_per_video=2",
        "relations=[gradient_similarity,path_affinity]",
        "linearised.most_auxiliaries=1",
        "evaluation.resamples=100",
        "hydra.run.dir=run",
    )
    assert done.returncode == 0, done.stderr
    model = json.loads((tmp_path / "run" / "artifacts" / "model.json").read_text(encoding="utf-8"))
    assert model["features"] == [2048]
    assert "resnet50 is frozen with random weights" in done.stdout + done.stderr
    tables = tmp_path / "run" / "artifacts" / "tables"
    assert pd.read_csv(tables / "linearised.csv")["n_auxiliaries"].tolist() == [0, 1, 1, 1, 3]
    assert np.isfinite(pd.read_csv(tables / "path_affinity.csv", index_col="task").to_numpy()).all()
