"""A group is told under the name that its configuration bears out."""

from __future__ import annotations

import shutil

import pytest
from conftest import sampled
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from mtl.config import switches
from mtl.config.choices import departed, told
from mtl.config.parameters import parameters, run_name, tags_of


@pytest.fixture(scope="module")
def composing():
    """Hydra as in one process of the command line: every choice's yaml is read once."""
    with initialize_config_dir(str(switches.CONF), version_base="1.3"):
        yield


def asked_and_told(*words: str):
    """The choices of a command line, typed and told."""
    config = compose("config", list(words), return_hydra_config=True)
    asked = dict(config.hydra.runtime.choices)
    return asked, told(config, asked)


@pytest.mark.parametrize(
    ("words", "renamed"),
    sampled([
        (["freeze=all", "freeze.stages=2"], {"freeze": "stages"}),
        (["freeze=none", "freeze.stages=2"], {"freeze": "stages"}),
        (["freeze=stages", "freeze.stages=2"], {}),
        (["freeze=stages", "freeze.stages=0"], {"freeze": "none"}),
        (["freeze=none", "freeze.stages=all"], {"freeze": "all"}),
        (["training.early_stopping=false", "training.epochs=3"], {"training": "fixed_epochs"}),
        (["training=fixed_epochs", "training.early_stopping=true"], {"training": "default"}),
        (["training=fixed_epochs", "training.epochs=1", "seed=7"], {}),
        (["training/optimizer=sgd", "training.optimizer.learning_rate=0.5"], {}),
        (["training=fixed_epochs", "training/optimizer=rmsprop"], {}),
        (["training.optimizer._target_=keras.optimizers.RMSprop"], {"training/optimizer": "rmsprop"}),
        (["weighting=notebook", "weighting.weights.violence=0.1"], {}),
        (["weighting=fixed", "+weighting.weights.violence=0.5"], {}),
        (
            [
                "weighting=fixed",
                "+weighting.weights={general_anomaly:1.0,violence:0.5,property_crime:0.5,anomaly_type:1.0}",
                "weighting.default=null",
                "weighting.strict=false",
            ],
            {"weighting": "notebook"},
        ),
        (["weighting=pcgrad", "weighting.seed=5"], {}),  # other methods with the same keys have another target
        (["backbone=resnet50", "backbone.image_size=64", "backbone.weights=random"], {}),
        (["tasks=all", "~tasks.violence"], {"tasks": "anomaly_property_type"}),
        (["tasks=all", "tasks.violence.classes=[Fighting]"], {}),
        (["tasks=anomaly_random", "~tasks.general_anomaly"], {"tasks": "random_labels"}),
    ], every=6),
)  # fmt: skip
@pytest.mark.usefixtures("composing")
def test_a_choice_that_overrides_made_another_is_told_as_that_one(words, renamed):
    asked, named = asked_and_told(*words)
    assert {group: choice for group, choice in named.items() if choice != asked[group]} == renamed


NAMED = ("tasks", "data", "backbone", "freeze", "weighting", "training", "tracking")


def choices(group: str) -> list:
    """Every choice of a group, of which the first is always tried."""
    words = [f"{group}={path.stem}" for path in sorted((switches.CONF / group).glob("*.yaml"))]
    return sampled(words, every=len(words))


@pytest.mark.parametrize("word", [word for group in NAMED for word in choices(group)])
@pytest.mark.usefixtures("composing")
def test_every_choice_as_it_stands_keeps_its_name(word):
    asked, named = asked_and_told(word)
    assert named == asked


@pytest.mark.usefixtures("composing")
def test_names_and_tags_are_told_and_what_was_typed_is_kept():
    words = ["freeze=all", "freeze.stages=2", "tasks=all"]
    asked, named = asked_and_told(*words)
    assert run_name(named, words, ["freeze.stages=2"]) == "all freeze=stages freeze.stages=2"
    assert tags_of(named, departed(named, asked)) == {"tasks": "all", "asked_for": "freeze=all"}
    assert tags_of(asked, departed(asked, asked)) == {"tasks": "all"}


@pytest.mark.usefixtures("composing")
def test_a_set_that_is_composed_goes_by_its_tasks_and_asked_for_nothing_else():
    words = ["tasks=anomaly", "+task@tasks=[violence,robbery]"]
    asked, named = asked_and_told(*words)
    tasks = ("general_anomaly", "violence", "robbery")
    assert run_name(named, [*words, "seed=1"]) == "general_anomaly+violence+robbery seed=1"
    assert tags_of(named, departed(named, asked), tasks) == {"tasks": "+".join(tasks), "task_set": "+".join(tasks)}
    with_name = ["tasks=anomaly", "+task@tasks=[violence]"]
    asked, named = asked_and_told(*with_name)
    assert (run_name(named, with_name), departed(named, asked)) == ("anomaly_violence_only", "")


@pytest.mark.usefixtures("composing")
def test_a_task_that_only_the_command_line_has_is_flagged_too():
    words = ["tasks=anomaly", "+tasks.mine={_target_:mtl.tasks.BinaryTask,classes:[Arson],unlabelled:[]}"]
    flags = parameters(compose("config", words), {"tasks": "general_anomaly+mine"})
    assert {name for name, on in flags.items() if name.startswith("task.") and on} == {
        "task.general_anomaly",
        "task.mine",
    }


def test_two_choices_of_one_content_have_one_name(tmp_path):
    shutil.copytree(switches.CONF, tmp_path / "conf")
    text = "_target_: mtl.weighting.fixed.Fixed\nweights: {violence: 0.25}\ndefault: 1.0\nstrict: true\n"
    for name in ("mine", "twin"):
        (tmp_path / "conf" / "weighting" / f"{name}.yaml").write_text(text, encoding="utf-8")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path / "conf"), version_base="1.3"):
        for name in ("mine", "twin"):
            config = compose("config", [f"weighting={name}"], return_hydra_config=True)
            assert told(config, config.hydra.runtime.choices)["weighting"] == "mine"


def test_without_hydra_choices_are_told_as_typed(monkeypatch):
    GlobalHydra.instance().clear()
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # which another test may have left
    config = OmegaConf.create({"freeze": {"_target_": "mtl.model.backbone.Freeze", "stages": 2}})
    assert told(config, {"freeze": "all"}) == {"freeze": "all"}
