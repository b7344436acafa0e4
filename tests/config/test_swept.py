"""A key of some choices of a sweep and not of others is told before the first job."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from mtl.config.swept import check_keys, deferred
from mtl.errors import UserError

NODES = {"dwa": {"temperature": 2.0}, "warm": {"temperature": 5.0}, "equal": {}}


def composed(words):
    choice = next(word.partition("=")[2] for word in words if word.startswith("weighting="))
    return OmegaConf.create({"weighting": {"_target_": "mtl.weighting.dwa.DWA", **NODES[choice]}})


def jobs(choices: str, word: str):
    return [[f"weighting={choice}", word] for choice in choices.split(",")]


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_a_key_of_one_choice_is_told_with_who_knows_it(sign):
    with pytest.raises(UserError) as told:
        check_keys(jobs("equal,dwa,warm", f"{sign}weighting.temperature=3"), composed)
    assert str(told.value) == (
        "weighting.temperature is a key of weighting=dwa, weighting=warm, not of weighting=equal. Right would be two "
        "sweeps: -m weighting=dwa,warm weighting.temperature=3, and -m weighting=equal without it."
    )


def test_the_way_out_has_every_value_that_was_typed():
    both = [*jobs("equal,dwa", "weighting.temperature=3"), *jobs("equal,dwa", "weighting.temperature=5")]
    with pytest.raises(UserError, match=r"-m weighting=dwa weighting\.temperature=3,5, and"):
        check_keys(both, composed)


def test_a_key_of_all_choices_is_none_to_speak_of():
    check_keys(jobs("dwa,warm", "weighting.temperature=3"), composed)


def test_a_key_of_no_choice_gets_the_nearest_of_them_all():
    with pytest.raises(UserError, match="no choice of the sweep has such a key. Did you mean 'temperature'"):
        check_keys(jobs("equal,dwa", "weighting.temperatur=3"), composed)


@pytest.mark.parametrize(
    ("word", "right"),
    [
        ("weighting.temperature=3", "weighting.temperature=choice(3)"),
        ("+weighting.x=[1,2]", "+weighting.x=choice([1,2])"),
        ("weighting.x=1,2", "weighting.x=1,2"),
        ("weighting.x=null", "weighting.x=null"),
        ("weighting.x=${seed}", "weighting.x=choice(${seed})"),
        ("training.epochs=3", "training.epochs=3"),
    ],
)
def test_a_key_of_a_swept_group_waits_for_its_choice(word, right):
    assert deferred(["-m", "weighting=dwa,equal", word])[2] == right
    assert deferred(["-m", "weighting=dwa", word])[2] == word
