"""A stored config is checked as a command line's is, before anything is built."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, sampled

from mtl.config.stored import read_stored
from mtl.errors import UserError

RECORDED = sorted((ROOT / "tests" / "recorded" / "artifacts").glob("*/config.yaml"))
PARTS = ("backbone", "freeze", "model", "tasks")


def changed(folder: Path, *path: object, value: object) -> Path:
    """A recorded config with one value replaced."""
    config = yaml.safe_load(RECORDED[0].read_text(encoding="utf-8"))
    node = config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder / "config.yaml"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name[:6])
def test_what_an_earlier_version_wrote_is_read(path):
    assert set(read_stored(path, "Run a", PARTS).tasks)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (("seed",), "${oc.env:HOME}"),
        (("backbone", "weights"), "/tmp/${oc.env:USER}"),
        (("data", "root"), "${oc.decode:x}"),  # not built by a load, but a part of what comes back
        (("tasks", "new"), {"_target_": "mtl.tasks.BinaryTask", "classes": ["${oc.env:HOME}"]}),
        (("tasks", "${oc.env:HOME}"), {}),
        (("model", "_target_"), "${oc.env:TARGET}"),
    ],
)
def test_an_interpolation_is_refused_wherever_it_stands(tmp_path, monkeypatch, place, text):
    monkeypatch.setenv("HOME", "secret")
    with pytest.raises(UserError, match=r"^Run a: its config.yaml refers to something else at ") as caught:
        read_stored(changed(tmp_path, *place, value=text), "Run a", PARTS)
    assert "secret" not in str(caught.value)


TOUCH = {"_target_": "pathlib.Path.touch", "self": "x"}


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("backbone", "_target_"), "os.system", "backbone._target_: 'os.system' is not trusted"),
        (("freeze", "_target_"), "keras.utils.os.system", "freeze._target_: 'keras.utils.os.system' is not trusted"),
        (("tasks", "new"), TOUCH, "tasks.new._target_: 'pathlib.Path.touch' is not trusted"),
        (("tasks", "new"), {"_target_": "mtl.tasks.BinaryTask", "classes": [TOUCH]}, "tasks.new.classes[0]._target_"),
        (("model", "shared_units"), [[TOUCH]], "model.shared_units[0][0]._target_"),
        (("model", "_args_"), [], "model._args_: is not taken"),
        (("model", "_partial_"), "yes", "model._partial_: should be true or false, found 'yes'."),
        (("model", "shared_units"), "many", "model.shared_units: input should be a valid integer, found 'many'."),
        (("model",), {}, "it has no model"),
        (("tasks",), 3, "it has no tasks"),
        (("tasks", "new"), {"classes": []}, "tasks has no _target_"),
    ],
)
def test_what_a_command_line_could_not_ask_for_is_one_line(tmp_path, place, value, said):
    with pytest.raises(UserError) as caught:
        read_stored(changed(tmp_path, *place, value=value), "Run a", PARTS)
    assert said in str(caught.value)
    assert str(caught.value).startswith("Run a: its config.yaml ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "a: [", "a: !!python/object/apply:os.getcwd []", "a: &a [*a]", "\x00", "a: 1\na: 2", "word"]
)
def test_damage_is_one_line(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"^Run a: its config.yaml is damaged: ") as caught:
        read_stored(tmp_path / "config.yaml", "Run a", PARTS)
    assert "\n" not in str(caught.value)


@pytest.mark.tensorflow
def test_a_run_that_somebody_else_wrote_runs_nothing_when_it_is_loaded(tmp_path):
    from mtl.load_run import load_run

    artifacts, touched = tmp_path / "run", tmp_path / "touched"
    shutil.copytree(RECORDED[0].parent, artifacts)
    probe = {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": [str(touched)]}}
    changed(artifacts, "freeze", "stages", value=probe)
    with pytest.raises(UserError, match=r"freeze\.stages"):
        load_run(artifacts)
    assert not touched.exists()


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["model.json", "weights.npz"])
@pytest.mark.parametrize("content", sampled([b"", b"{}", b"[1]", b"<html>not found</html>", b"PK\x03\x04"], every=4))
def test_a_damaged_file_of_a_run_is_one_line(tmp_path, name, content):
    from mtl.load_run import load_run

    shutil.copytree(RECORDED[0].parent, tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"its {name} is damaged: ") as caught:
        load_run(tmp_path / "run")
    assert "\n" not in str(caught.value)
