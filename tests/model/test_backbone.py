from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, slow
from omegaconf import OmegaConf

from mtl.config.build import build

pytestmark = pytest.mark.tensorflow

CONF = ROOT / "conf" / "backbone"
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)


def backbone(name, **changes):
    config = OmegaConf.merge(
        {"seed": 0, "b": OmegaConf.load(CONF / f"{name}.yaml")}, {"b": {"weights": "random", **changes}}
    )
    return build(config.b)


QUICK = {"small_cnn"}  # tracing the others takes a minute


def backbones() -> list:
    names = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "none")
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(params=backbones(), scope="module")
def any_backbone(request):
    return backbone(request.param, image_size=64)


def test_wherever_the_cut_is_the_features_are_the_same(any_backbone):
    from mtl.model.backbone import Freeze

    whole = any_backbone.split(Freeze("all")).frozen(IMAGES)
    counts = set()
    for stages in range(len(any_backbone.stages) + 1):
        cut = any_backbone.split(Freeze(stages))
        features = cut.frozen(IMAGES)
        assert features.shape[1:] == cut.frozen.feature_shape(IMAGES.shape[1:3])
        assert features.dtype == cut.frozen.dtype
        # the resize of the untrained front runs outside a compiled function once: the last bit may differ
        np.testing.assert_allclose(cut.trained(features, training=False), whole, rtol=1e-4, atol=1e-5)
        counts.add(cut.n_frozen + cut.n_trained)
    assert len(counts) == 1


def test_each_stage_named_in_the_yaml_is_a_cut_of_its_own(any_backbone):
    from mtl.model.backbone import Freeze

    frozen = [any_backbone.split(Freeze(stages)).n_frozen for stages in range(len(any_backbone.stages) + 1)]
    assert frozen == sorted(frozen)
    assert frozen[0] == 0
    assert frozen[-1] > frozen[1]


def test_more_stages_than_there_are_is_a_mistake(any_backbone):
    from mtl.errors import UserError
    from mtl.model.backbone import Freeze

    with pytest.raises(UserError, match=r"freeze\.stages: .* stages .*, found 99"):
        any_backbone.split(Freeze(99))


def test_frozen_batch_norm_is_in_inference_mode():
    from mtl.model.backbone import Freeze

    cut = backbone("small_cnn").split(Freeze(2))
    together = cut.frozen(IMAGES)
    alone = np.concatenate([cut.frozen(one[None]) for one in IMAGES])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    before = [v.numpy() for v in cut.trained.variables]
    cut.trained(together, training=True)
    assert any((v.numpy() != old).any() for v, old in zip(cut.trained.variables, before, strict=True))


def test_weights_come_back_from_a_file_and_are_part_of_the_spec(tmp_path):
    from mtl.model.backbone import Freeze

    first = backbone("small_cnn", seed=1)
    path = tmp_path / "with spaces.weights.h5"
    first.network.save_weights(path)
    loaded = backbone("small_cnn", seed=2, weights=str(path)).split(Freeze("all"))
    other = backbone("small_cnn", seed=2).split(Freeze("all"))
    one = first.split(Freeze("all"))
    np.testing.assert_array_equal(loaded.frozen(IMAGES), one.frozen(IMAGES))
    assert loaded.frozen.spec == one.frozen.spec
    assert other.frozen.spec["weights"] != one.frozen.spec["weights"]


def test_weights_that_are_not_finite_are_refused_in_a_line(tmp_path):
    from mtl.errors import UserError

    first = backbone("small_cnn")
    kernel = first.network.weights[0]
    values = kernel.numpy()
    values[0, 0, 0, 0] = np.nan
    kernel.assign(values)
    path = tmp_path / "broken.weights.h5"
    first.network.save_weights(path)
    with pytest.raises(UserError, match="weights=.*broken.weights.h5: 1 of its arrays hold NaN or infinity, the first"):
        backbone("small_cnn", weights=str(path))


def test_what_changes_the_numbers_changes_the_spec():
    from mtl.model.backbone import Freeze

    specs = [
        backbone("small_cnn").split(Freeze(4)).frozen.spec,
        backbone("small_cnn", seed=1).split(Freeze(4)).frozen.spec,
        backbone("small_cnn", image_size=32).split(Freeze(4)).frozen.spec,
        backbone("small_cnn", precision="bfloat16").split(Freeze(4)).frozen.spec,
        backbone("small_cnn", preprocess=None).split(Freeze(4)).frozen.spec,
        backbone("small_cnn").split(Freeze(3)).frozen.spec,
    ]
    assert len({str(sorted(spec.items(), key=str)) for spec in specs}) == len(specs)
    assert backbone("small_cnn").split(Freeze(4)).frozen.spec == specs[0]


def test_architecture_and_versions_are_in_the_spec(monkeypatch):
    import keras
    import tensorflow as tf

    from mtl.model.backbone import Freeze
    from mtl.model.digests import architecture_digest
    from mtl.model.networks import small_cnn

    spec = backbone("small_cnn").split(Freeze(4)).frozen.spec
    assert (spec["tensorflow"], spec["keras"]) == (tf.__version__, keras.__version__)
    assert spec["interpolation"] == "bilinear, antialiased"
    assert spec["architecture"] == architecture_digest(backbone("small_cnn", seed=3).network)
    others = [
        small_cnn(input_shape=(64, 64, 3), weights=None, widths=widths) for widths in ([16, 32], [16, 32, 64, 96])
    ]
    assert len({spec["architecture"], *map(architecture_digest, others)}) == 3
    monkeypatch.setattr(tf, "__version__", "0")
    monkeypatch.setattr(keras, "__version__", "0")
    assert backbone("small_cnn").split(Freeze(4)).frozen.spec | {k: spec[k] for k in ("tensorflow", "keras")} == spec
    assert backbone("small_cnn").split(Freeze(4)).frozen.spec["tensorflow"] == "0"


@pytest.mark.parametrize("stages", [2, *slow(4, 0)])
def test_an_argument_of_the_preprocessing_changes_spec_and_graph(stages):
    from mtl.model.backbone import Freeze

    def split(**held):
        target = {"_target_": "keras.applications.imagenet_utils.preprocess_input", "_partial_": True}
        return backbone("small_cnn", preprocess=target | held).split(Freeze(stages))

    one, same, other, plain = split(mode="tf"), split(mode="tf"), split(mode="torch"), split()
    assert one.frozen.spec == same.frozen.spec
    assert one.trained.graph == same.trained.graph
    graphs = {each.trained.graph for each in (one, other, plain)}
    specs = {each.frozen.spec.get("preprocess") for each in (one, other, plain)}
    # where nothing of it is trained the graph holds no preprocessing, where nothing is frozen the features hold none
    assert len(graphs) == (1 if stages == 4 else 3)
    assert specs == {None} if stages == 0 else len(specs) == 3


@pytest.mark.parametrize("stages", [2, *slow(0, 4)])
def test_a_cut_says_which_precision_auto_came_to(stages, monkeypatch):
    from mtl.model import backbone as module
    from mtl.model.backbone import Freeze

    for found in ("bfloat16", "float32"):
        monkeypatch.setattr(module, "best_precision", lambda found=found: found)
        assert backbone("small_cnn", precision="auto").split(Freeze(stages)).precision == found


@pytest.mark.parametrize(
    ("gpus", "sizes"), [([], {32: 1024, 64: 256, 224: 16, 1025: 1}), (["a"], {64: 1024, 224: 256})]
)
def test_auto_chooses_the_batch_by_device_and_image_size_and_not_the_key(gpus, sizes, monkeypatch):
    import tensorflow as tf

    from mtl.model.backbone import Freeze
    from mtl.model.device import best_batch_size

    chosen = backbone("small_cnn", batch_size="auto").split(Freeze("all")).frozen
    asked = backbone("small_cnn", batch_size=5).split(Freeze("all")).frozen
    assert asked.batch_size == 5
    assert chosen.batch_size == best_batch_size(64)
    assert chosen.spec == asked.spec
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    assert {size: best_batch_size(size) for size in sizes} == sizes


def test_float32_is_not_tf32():
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(True)
    backbone("small_cnn")
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_missing_weights_file_is_one_line():
    from mtl.errors import UserError

    with pytest.raises(UserError, match=r"backbone\.weights: no file '/nowhere/w\.h5'"):
        backbone("resnet50", weights="/nowhere/w.h5")


@pytest.mark.slow
def test_weights_of_another_architecture_are_one_line(tmp_path):
    from mtl.errors import UserError

    path = tmp_path / "small.weights.h5"
    backbone("small_cnn").network.save_weights(path)
    with pytest.raises(UserError) as caught:
        backbone("mobilenet_v2", image_size=64, weights=str(path))
    assert str(caught.value).startswith(f"backbone.weights={path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_imagenet_weights_that_cannot_be_had_say_what_to_do(tmp_path):
    # a real download that really fails: nothing listens on the discard port
    program = (
        "from omegaconf import OmegaConf; from mtl.config.build import build;"
        f"build(OmegaConf.merge({{'seed': 0, 'b': OmegaConf.load({str(CONF / 'resnet50.yaml')!r})}}).b)"
    )
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | nowhere, capture_output=True, text=True, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert "ImageNet weights of resnet50 are not in" in last
    assert str(tmp_path / "models") in last
    assert "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5" in last
    assert "backbone.weights=random" in last


def test_resizing_to_the_size_that_frames_have_changes_nothing():
    import tensorflow as tf

    from mtl.model.networks import resized

    images = np.random.default_rng(0).uniform(0, 255, (3, 8, 6, 3)).astype(np.float32)
    unknown = tf.function(lambda x: resized(x, (8, 6)), input_signature=[tf.TensorSpec((None, None, None, 3))])
    other = tf.function(lambda x: resized(x, (4, 4)), input_signature=[tf.TensorSpec((None, None, None, 3))])
    np.testing.assert_array_equal(unknown(images), images)
    np.testing.assert_array_equal(resized(tf.constant(images), (8, 6)), images)
    np.testing.assert_allclose(tf.image.resize(images, (8, 6), antialias=True), images, atol=1e-4)
    np.testing.assert_array_equal(other(images), tf.image.resize(images, (4, 4), antialias=True))


@pytest.mark.parametrize("stages", ["all", *slow(1)])
def test_bfloat16_features_are_close_to_float32_ones_and_say_how_close(stages):
    from mtl.model.backbone import Backbone, Freeze
    from mtl.model.device import cosine_to_float32
    from mtl.model.networks import scale_to_one, small_cnn

    def split(precision):
        ends = {"stage1": "stage1_pool", "stage2": "stage2_pool"}
        return Backbone(
            "small_cnn", lambda **given: small_cnn(widths=[8, 16], **given), scale_to_one, 16, "random", ends,
            precision, 4, seed=0,
        ).split(Freeze(stages))  # fmt: skip

    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)
    half, exact = split("bfloat16").frozen, split("float32").frozen
    np.testing.assert_array_equal(half.in_float32()(images), exact(images))
    flat, same = half(images).reshape(6, -1), exact(images).reshape(6, -1)
    cosines = (flat * same).sum(1) / np.linalg.norm(flat, axis=1) / np.linalg.norm(same, axis=1)
    assert cosine_to_float32(half, images) == pytest.approx(cosines.mean(), abs=1e-5)
    assert 0.99 < cosines.min() < cosines.max() < 1 - 1e-9
    assert cosine_to_float32(half, images, half(images)) == cosine_to_float32(half, images)
    zero = half(images) * (np.arange(6) > 2).reshape(-1, *[1] * (half(images).ndim - 1))  # a zero vector has no angle
    assert cosine_to_float32(half, images, zero) == pytest.approx(cosines[3:].mean(), abs=1e-5)
    assert np.isnan(cosine_to_float32(half, images, 0 * zero))
    assert cosine_to_float32(exact, images) == 1
    assert half.spec["precision"] != exact.spec["precision"]
    assert half.spec["weights"] == exact.spec["weights"]


TWO_DEVICES = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from mtl.model import backbone, device, networks
def features(stages):
    ends = {"stage1": "stage1_pool", "stage2": "stage2_pool"}
    network = lambda **given: networks.small_cnn(widths=[4, 8], **given)
    cut = backbone.Backbone("small_cnn", network, networks.scale_to_one, 8, "random", ends, "float32", 4, 0)
    frozen = cut.split(backbone.Freeze(stages)).frozen
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    return frozen, frozen(images), frozen(images[:1]), frozen.spec
for stages in ("all", 1):
    frozen, alone, first, spec = features(stages)
    assert frozen.batch_size == 4
    single = backbone.all_devices
    backbone.all_devices = lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    frozen, together, again, same = features(stages)
    backbone.all_devices = single
    assert frozen.batch_size == 8 and frozen.strategy.num_replicas_in_sync == 2
    assert together.shape == alone.shape and again.shape == first.shape and spec == same
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again, first, rtol=1e-5, atol=1e-6)
print("shared")
"""


@pytest.mark.slow
def test_two_devices_share_a_batch_and_give_the_same_features():
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "shared", done.stderr[-2000:]
