"""docs/tuning.md: every command is one that a search begins with, and every word is searched as the page says."""

from __future__ import annotations

import re
import shlex

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from mtl.config.check import check
from mtl.config.objective import DIRECTIONS
from mtl.numerics import Numerics
from mtl.sweep import sweepers
from mtl.sweep.search_space import search_space

PAGE = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
WORDS = [word for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for word in re.findall(r"`(\S+?=\S+?)`", row)]
OF_SWEEP = ("hydra.", "hydra/")


def begun(monkeypatch, *words: str):
    """What the sweep of these words says before its first job, and the config it begins with."""
    monkeypatch.setattr("mtl.sweep.optuna_sweeper.version", lambda name: "5.0.0")
    task = [word for word in words if not word.startswith(OF_SWEEP)]
    steady = [word for word in task if not re.search(r"^experiment=|=.*[,(]", word)]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        own = [word for word in words if word.startswith((*OF_SWEEP, "experiment="))]
        config = compose("config", [*own, *steady], return_hydra_config=True)
        config.hydra.overrides.task = task
        return sweepers.expected(config), config


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_begins_a_search(line, monkeypatch):
    monkeypatch.setattr(Numerics, "prepare", lambda self: None)  # else the rest of the suite would compute so
    program, script, *words = shlex.split(line)
    assert (program, script) == ("python", "run.py")
    assert (words[0] == "-m") != words[0].startswith("experiment=")  # a recipe sweeps by itself
    words = [word for word in words if word != "-m"]
    found, config = begun(monkeypatch, *words)
    assert re.search(r"^\d+ trials.*, to (maximize|minimize) val_\w+\.$", found.lines[0])
    del config.hydra
    check(config)


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_table_is_searched(word, monkeypatch):
    found, _ = begun(monkeypatch, "hydra/sweeper=optuna", word)
    assert found.common == ()


def test_the_words_are_the_values_that_the_table_says():
    def of(word):
        return next(iter(search_space(OverridesParser.create().parse_overrides([word])).dimensions.values()))

    assert of("model.shared_units=range(128,513,128)").words == ("128", "256", "384", "512")
    assert of("training.batch_size=tag(log,int(interval(8,256)))").log
    assert len(WORDS) == 7
    assert len(COMMANDS) == 5


def test_the_objectives_are_all_named():
    for name in DIRECTIONS:
        assert f"`{name}`" in PAGE
