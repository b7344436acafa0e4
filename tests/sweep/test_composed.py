"""What a sweep composes once, and that nobody can tell."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from mtl.config import commandline
from mtl.config.switches import CONF
from mtl.sweep.composed import ComposedOnce, compose_once


@pytest.fixture
def loaders(monkeypatch):
    """Hydra's own loader, the one of a sweep in its place, and what that one has composed."""
    commandline.expect_presets()
    composed = []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        own = GlobalHydra.instance().config_loader()
        load = type(own).load_configuration

        def counted(self, config_name, overrides, *more, **named):
            composed.append((type(self), tuple(overrides)))
            return load(self, config_name, overrides, *more, **named)

        monkeypatch.setattr(type(own), "load_configuration", counted)
        compose_once()
        yield own, GlobalHydra.instance().config_loader(), composed


def _master(loader, *hydra):
    master = loader.load_configuration("config", list(hydra), RunMode.MULTIRUN)
    str(master.hydra.sweep.dir)  # the moment that the sweep is named after
    return master


def _whole(config):
    """Everything of a config that a job could see: values with their interpolations, flags and types."""

    def walk(node):
        own = [type(node).__name__, repr(node._metadata)]
        if isinstance(node._value(), dict):
            return own, {str(key): walk(child) for key, child in node._value().items()}
        return own, [walk(child) for child in node._value()] if isinstance(node._value(), list) else node._value()

    return walk(config)


def test_another_seed_is_composed_as_hydra_would(loaders):
    own, once, composed = loaders
    master = _master(own, "hydra.job.config.override_dirname.item_sep=+")
    words = ["freeze=all", "seed=3", "tasks=anomaly", "model.shared_units=64"]
    once.load_sweep_config(master, words)
    for seed in ("seed=0", "seed=12", "seed=3"):
        there = [seed if word == "seed=3" else word for word in words]
        assert _whole(once.load_sweep_config(master, there)) == _whole(own.load_sweep_config(master, there))
    assert [kind for kind, _ in composed].count(ComposedOnce) == 1


def test_a_job_that_changes_its_config_changes_no_other(loaders):
    own, once, _ = loaders
    master = _master(own)
    first = once.load_sweep_config(master, ["seed=1"])
    first.hydra.job.num, first.model.shared_units = 7, 3
    second = once.load_sweep_config(master, ["seed=2"])
    assert (second.seed, second.model.shared_units) == (2, 512)
    assert OmegaConf.is_missing(second.hydra.job, "num")


@pytest.mark.parametrize(
    "words",
    [["+seed=1"], ["seed=1", "seed=2"], ["seed=01"], ["tasks=anomaly"], ["seed=1.5"]],
    ids=["added", "twice", "with a zero before", "none", "no whole number"],
)
def test_what_is_no_plain_seed_is_left_to_hydra(loaders, words):
    own, once, composed = loaders
    master = _master(own)
    for _ in range(2):
        try:
            found, right = once.load_sweep_config(master, words), own.load_sweep_config(master, words)
        except Exception as error:
            with pytest.raises(type(error)):
                own.load_sweep_config(master, words)
        else:
            assert _whole(found) == _whole(right)
    assert [kind for kind, _ in composed].count(ComposedOnce) == 2


def test_a_folder_whose_name_leaves_the_seed_out_is_named_by_hydra(loaders):
    own, once, _ = loaders
    master = _master(own, "hydra.job.config.override_dirname.exclude_keys=[seed]")
    for seed in ("seed=1", "seed=2"):
        found = once.load_sweep_config(master, ["tasks=anomaly", seed])
        assert found.hydra.job.override_dirname == "tasks=anomaly"
