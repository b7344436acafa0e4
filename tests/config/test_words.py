"""A path is typed so that Hydra's grammar leaves it what it is."""

from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mtl.config.words import ambiguous, at_home, check_commas, check_paths, quoted, unreadable
from mtl.errors import UserError

NAMES = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1).map(lambda text: f"/{text}")


@given(NAMES.filter(lambda text: "\\${" not in text))  # OmegaConf has no form for that
def test_what_is_told_to_be_typed_is_the_text_itself(text):
    (word,) = shlex.split(quoted("data.root", text))
    config = OmegaConf.create({"root": OverridesParser.create().parse_override(word).value()})
    assert config.root == text


@pytest.mark.parametrize(
    ("word", "right"),
    [
        ("data.root=~/ucf", "data.root=/h/me/ucf"),
        ("data.root=~", "data.root=/h/me"),
        ("data.root=~/a,~/b", "data.root=/h/me/a,/h/me/b"),
        ("hydra.searchpath=[~/a,b]", "hydra.searchpath=[/h/me/a,b]"),
        ('data.root="~/a b"', 'data.root="/h/me/a b"'),
        ("--config-dir=~/a", "--config-dir=/h/me/a"),
        ("data.root=/a~/b", "data.root=/a~/b"),
        ("~tasks.violence", "~tasks.violence"),
    ],
)
def test_home_is_where_a_tilde_begins_a_path(word, right, monkeypatch):
    monkeypatch.setenv("HOME", "/h/me")
    assert at_home(word) == right


def test_a_home_in_another_script_is_quoted(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jörg")
    assert at_home("data.root=~/ucf") == 'data.root="/home/jörg/ucf"'


def test_the_rest_of_a_path_with_blanks_belongs_to_it():
    words = ["data.root=/data/my", "videos", "of", "streets", "seed=1"]
    told = "'videos' sets nothing. As a part of data.root, right would be: 'data.root=\"/data/my videos of streets\"'"
    assert unreadable("videos", words) == told
    assert unreadable("all", ["data=demo", "all"]) == "'all' sets nothing; right would be key=value."


def test_a_comma_is_told_as_a_sweep_and_as_a_part_of_a_path():
    assert "'data.root=\"/a,b\"'" in ambiguous("data.root=/a,b")
    assert ambiguous("tasks=all,anomaly").endswith("add --multirun for one.")


@pytest.mark.parametrize(("value", "why"), [(["a"], "a list"), ({"a": 1}, "a mapping"), (2024, "a number")])
def test_what_is_no_text_any_more_is_no_path(value, why):
    config = OmegaConf.create({"data": {"root": value}})
    with pytest.raises(UserError, match=f"data.root: should be a path, .*{why}.*Right would be: 'data.root="):
        check_paths(config, ["data.root=typed"])
    check_paths(config, [])  # what a file says is the check's to judge


def test_a_reference_that_leads_nowhere_is_told_with_its_key():
    config = OmegaConf.create({"data": {"root": "/a/${x}"}})
    with pytest.raises(UserError, match=r"data.root: Interpolation key 'x' not found.*\\\$\{x\}"):
        check_paths(config, ["data.root=/a/${x}"])


def test_a_comma_within_the_name_of_a_folder_is_no_sweep(tmp_path):
    (tmp_path / "a,b").mkdir()
    with pytest.raises(UserError, match="a comma stands between the values of a sweep"):
        check_commas([f"data.root={tmp_path}/a,b"])
    check_commas([f"data.root={tmp_path}/a,{tmp_path}/b"])
