"""Until when a sweep goes on asking: what may stand under `decide`, and what it never changes."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir

from mtl.ablation.rule import Rule
from mtl.config import schema
from mtl.config.build import build, plain_config
from mtl.config.parameters import parameters, run_name
from mtl.config.switches import CONF
from mtl.errors import UserError
from mtl.job.fingerprint import fingerprint


def composed(*words):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", ["data.root=/a", *words])


def test_the_rule_of_the_config():
    rule = build(composed().decide)
    assert isinstance(rule, Rule)
    assert (rule.margin, rule.first_seeds, rule.most_seeds, rule.hours) == (0.01, 3, 12, None)


def test_it_is_in_no_fingerprint_no_parameter_and_no_name():
    plain, other = composed(), composed("decide.margin=0.002", "decide.hours=1.5")
    assert fingerprint(plain_config(other), "data") == fingerprint(plain_config(plain), "data")
    assert parameters(other, {"tasks": "all"}) == parameters(plain, {"tasks": "all"})
    assert not any(key.startswith("decide") for key in parameters(plain, {"tasks": "all"}))
    assert run_name({"tasks": "all"}, ["decide.margin=0.002", "seed=1"]) == "all seed=1"


def checked(config):
    """As a run checks it."""
    schema.check_nodes({"decide": plain_config(config)["decide"]})
    return build(config.decide)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["decide.margin=0"], "decide.margin: input should be greater than 0, found 0."),
        (["decide.margin=-0.01"], "decide.margin: input should be greater than 0, found -0.01."),
        (["decide.margin=small"], "decide.margin: input should be a valid number, found 'small'."),
        (["decide.hours=0"], "decide.hours: input should be greater than 0, found 0."),
        (["decide.first_seeds=1"], "decide.first_seeds: should be 2 at least, found 1."),
        (
            ["decide.first_seeds=4", "decide.most_seeds=3"],
            "decide.most_seeds: should be at least decide.first_seeds, which is 4, found 3.",
        ),
    ],
)
def test_what_it_cannot_be_is_one_line(words, message):
    with pytest.raises(UserError) as caught:
        checked(composed(*words))
    assert str(caught.value) == message
