"""Features of any scale are learnt from once they are standardised, as a layer of the model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import BARE, ROOT, call, slow

from mtl.tasks import BinaryTask

pytestmark = pytest.mark.tensorflow

D = 16
TASKS = {"violence": BinaryTask(["Fighting"], []), "arson": BinaryTask(["Arson"], [])}


def model(standardise=True, n_features=D, part=None, seed=0):
    from mtl.model.multitask import MultiTaskModel
    from mtl.model.parts import nothing_trained

    return MultiTaskModel(part or nothing_trained(), n_features, TASKS, 32, 0.0, standardise, seed)


def dataset(scale, offset=0.0):
    """Features of that scale whose class is linear in them, ten frames a video."""
    from mtl.features.vectors import MemoryVectors
    from mtl.training.dataset import Dataset

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, D))
    codes = rows[:, :3].argmax(axis=1)
    frames = pd.DataFrame(
        {
            "class_name": pd.Categorical.from_codes(codes, ["Arson", "Fighting", "Normal"]),
            "video": pd.Categorical([f"v{i // 10}" for i in range(500)]),
            "split": pd.Categorical(np.repeat(["train", "val"], [350, 150])),
        }
    )
    targets = {name: task.targets(frames) for name, task in TASKS.items()}
    return Dataset(MemoryVectors((rows * scale + offset).astype(np.float32)), targets, frames)


def fitted(data):
    """A model that standardises by the training frames, and what it is fitted on."""
    from mtl.features.spread import spread_of

    built, found = model(), spread_of(data.features, data.positions("train"), 1000)
    built.standardisation.fit(found.mean, found.scale)
    return built, found


def train(built, data, weighting="pcgrad", batches=2):
    import keras
    from omegaconf import OmegaConf

    from mtl.config.build import build
    from mtl.training.gradient_measurements import GradientMeasurements
    from mtl.training.loop import Training

    node = OmegaConf.load(ROOT / "conf" / "weighting" / f"{weighting}.yaml")
    config = OmegaConf.create({"seed": 0, "main_task": "violence", "w": node})
    loop = Training(6, 32, lambda: keras.optimizers.Adam(0.01), "natural", True, 6, "parameters", None, 0)
    measured = GradientMeasurements(1, batches, None, 8, 32, True, 0.01, None, 0)
    weights = build(config.w, tasks=tuple(TASKS))
    return loop.train(built, data, weights, measured, "violence", lambda number, epoch: None)


def best_auc(history):
    return history.epochs[history.best_epoch].val_auc("violence")


def test_features_of_1e_11_teach_nothing_as_they_are_and_the_rule_once_standardised():
    data = dataset(1e-11)
    built, spread = fitted(data)
    _, raw = train(model(standardise=False), data, "equal", batches=0)
    _, standardised = train(built, data, "equal", batches=0)
    assert "model.standardise=true" in spread.warning(is_standardised=False)
    assert best_auc(raw) < 0.7  # what is left is the order of roundings
    assert best_auc(standardised) > 0.9


@pytest.mark.parametrize("weighting", ["pcgrad", *slow("equal")])
def test_steps_gramians_and_affinities_are_those_of_standardised_features(weighting):
    """PCGrad's steps and the measurements take the shared layer's inputs by themselves."""
    from mtl.features.vectors import MemoryVectors
    from mtl.training.dataset import Dataset

    data = dataset(1e-11)
    built, spread = fitted(data)
    rows = ((data.features.array - spread.mean) / spread.scale).astype(np.float32)
    trace, _ = train(built, data, weighting)
    expected, _ = train(model(False), Dataset(MemoryVectors(rows), data.targets, data.frames), weighting)
    for name in ("losses", "gramians", "mean_gramians", "affinities"):
        np.testing.assert_allclose(getattr(trace, name), getattr(expected, name), rtol=0.02, atol=2e-3)


def test_mean_and_scale_are_kept_with_the_weights_and_no_optimizer_steps_them():
    data = dataset(1e-11, offset=1e-11)
    built, spread = fitted(data)
    train(built, data, batches=0)
    kept = built.get_weights()
    np.testing.assert_allclose(kept["standardise/mean"], spread.mean, rtol=1e-6)
    np.testing.assert_allclose(kept["standardise/scale"], spread.scale, rtol=1e-6)
    again = model(seed=1)
    again.set_weights(kept)
    rows = data.features.array
    for name, logits in built.infer(rows).items():
        np.testing.assert_array_equal(again.infer(rows)[name], logits)
        np.testing.assert_allclose(again(rows, training=False)[name], logits, rtol=1e-5, atol=1e-5)


def test_without_it_the_model_has_the_variables_it_always_had():
    plain, standardising = model(False), model(True)
    assert plain.standardisation is None
    own = {name for name, _ in standardising.named_variables()} - {name for name, _ in plain.named_variables()}
    assert own == {"standardise/mean", "standardise/scale"}
    assert len(plain.trained_variables) == len(standardising.trained_variables)
    with pytest.raises(ValueError, match="standardise/mean"):
        plain.set_weights(standardising.get_weights())


def test_a_model_used_again_forgets_what_it_was_fitted_on():
    from mtl.model.multitask import reused

    first = reused(model())
    first.standardisation.fit(np.full(D, 5.0), np.full(D, 2.0))
    assert reused(model(False)) is not first
    again = reused(model(seed=1))
    assert again is first
    np.testing.assert_array_equal(again.standardisation.mean.numpy(), 0)
    np.testing.assert_array_equal(again.standardisation.scale.numpy(), 1)


def test_feature_maps_are_standardised_per_channel_before_the_trained_stages():
    from omegaconf import OmegaConf

    from mtl.config.build import build
    from mtl.model.backbone import Freeze
    from mtl.model.multitask import assemble

    conf = OmegaConf.load(ROOT / "conf" / "backbone" / "small_cnn.yaml")
    config = OmegaConf.create({"seed": 0, "b": OmegaConf.merge(conf, {"image_size": 32, "seed": 0})})
    backbone = build(config.b).split(Freeze(1))
    maps = np.random.default_rng(0).normal(size=(3, *backbone.frozen.shape)).astype(np.float32)
    made = assemble(lambda **given: model(True, given["n_features"], given["trained"]), backbone, TASKS, maps.shape[1:])
    n = maps.shape[-1]
    mean, scale = np.arange(n) / n, 1.0 + np.arange(n)
    made.standardisation.fit(mean, scale)
    expected = backbone.trained(((maps - mean) / scale).astype(np.float32), training=False)
    np.testing.assert_allclose(made.trained(maps, training=False), expected, rtol=1e-4, atol=1e-6)
    assert made.layer_groups.keys() == {"stage2", "stage3", "stage4", "shared"}


@pytest.mark.slow
def test_a_random_mobilenet_warns_with_the_scale_and_is_loaded_as_it_was_standardised(tmp_path, monkeypatch):
    """One archive serves both runs: what is standardised is no part of its key."""
    from mtl.data.frames import read_frame
    from mtl.experiment import load_run
    from mtl.tracking.mlflow_tracking import MLflowTracking

    words = ("tasks=anomaly", "backbone=mobilenet_v2", "backbone.weights=random", "backbone.image_size=64", *BARE)
    raw = call(tmp_path, *words)
    done = call(tmp_path, *words, "model.standardise=true")
    assert raw.returncode == done.returncode == 0, raw.stderr + done.stderr
    assert "hardly differ: standard deviation" in raw.stdout + raw.stderr
    assert "hardly differ" not in done.stdout + done.stderr
    assert "nothing to compute" in done.stdout + done.stderr
    monkeypatch.chdir(tmp_path)
    tracking = MLflowTracking("sqlite:///mlflow.db", "mtl", None, timeout_s=10.0)
    by_choice = {run.params["model.standardise"]: run for run in tracking.runs()}
    spreads = {run.metrics["features/spread"] for run in by_choice.values()}
    assert len({run.tags["fingerprint"] for run in by_choice.values()}) == 2
    assert max(spreads) < 1e-8
    run = by_choice["True"]
    predictions = pd.read_parquet(tracking.download(run.id, "predictions.parquet")).query("split == 'test'")
    paths = tracking.download(run.id, "test_annotations.txt").read_text(encoding="utf-8").splitlines()
    root = next((tmp_path / ".cache" / "demo").glob("seed*"))
    frames = np.stack([read_frame(root, line.rpartition(" ")[0]) for line in paths])
    found = load_run(run.id)(frames)["general_anomaly"][:, 0]
    assert found.std() > 0.01
    np.testing.assert_allclose(found, predictions["probability/general_anomaly"], atol=1e-3)
