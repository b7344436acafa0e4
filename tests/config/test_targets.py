"""Nothing is built but what conf/ names, or a public class of Keras."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT
from omegaconf import OmegaConf

from mtl import moved
from mtl.config import targets
from mtl.config.build import build
from mtl.errors import UserError

EVIL = [
    "keras.optimizers.os.system",
    "keras.src.utils.file_utils.os.system",
    "keras.losses.get",
    "keras.optimizers.deserialize",
    "keras.models.load_model",
    "keras.layers.Lambda",
    "keras.applications.resnet.decode_predictions",
    "keras.applications.resnet",
    "mtl.config.build.build",
    "mtl.files.os.system",
    "mtl.sweep.SweepCallback",  # Hydra's to build
    "mtl.weighting.base.Weighting",
    "os.system",
    "builtins.print",
    "hydra.utils.instantiate",
    "",
    None,
    ["keras.optimizers.Adam"],
]


@pytest.mark.parametrize("target", EVIL, ids=str)
def test_a_target_that_conf_does_not_name_is_refused_in_one_line(target):
    with pytest.raises(UserError) as caught:
        targets.check_targets("a.b", {"c": [{"_target_": target}]})
    assert str(caught.value).startswith(f"a.b.c[0]._target_: {target!r} is not trusted")
    assert "\n" not in str(caught.value)


BEFORE = sorted(old for old, new in moved.NAMES.items() if new in targets.of_conf())


@pytest.mark.parametrize("name", BEFORE)
def test_a_name_of_before_is_the_one_of_today(name):
    targets.check_target("_target_", name)


@pytest.mark.parametrize("key", ["_args_", "_convert_", "_recursive_"])
def test_what_changes_how_a_thing_is_called_is_refused(key):
    with pytest.raises(UserError, match=f"x.{key}: is not taken"):
        targets.check_targets("x", {"_target_": "mtl.tasks.BinaryTask", key: []})


def test_nothing_is_built_unchecked(tmp_path):
    touched = tmp_path / "touched"
    deep = {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": [str(touched)]}}
    for node in (
        {"_target_": "mtl.tracking.NoTracking", "more": [deep]},
        {"_target_": "${oc.decode:pathlib.Path}"},
        {"a": {"b": [[deep]]}},
    ):
        with pytest.raises(UserError):
            build(OmegaConf.create({"tracking": node}).tracking)
    assert not touched.exists()


def test_the_message_names_the_place():
    with pytest.raises(UserError, match=r"^tracking\._target_: 'mtl\.os' is not trusted"):
        build(OmegaConf.create({"tracking": {"_target_": "mtl.os"}}).tracking)


def test_every_yaml_of_conf_and_every_class_it_could_name_passes():
    for target in (*targets.of_conf(), "keras.optimizers.SGD", "keras.losses.Huber", "keras.applications.VGG16"):
        targets.check_target("_target_", target)
    for target in ("keras.optimizers.schedules.CosineDecay", "keras.applications.vgg16.preprocess_input"):
        targets.check_target("_target_", target)


def test_the_list_is_read_without_importing_keras():
    program = (
        "import sys; from mtl.config import targets; assert len(targets.of_keras()) > 60, targets.of_keras();"
        "assert targets.of_conf(); assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.tensorflow
def test_every_name_of_the_list_is_one_of_the_installed_keras():
    from hydra.utils import get_object

    for name, place in targets.of_keras().items():
        found = get_object(name)
        assert callable(found)
        if isinstance(found, type):
            assert place.endswith(f".{found.__name__}")
