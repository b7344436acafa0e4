"""A switch stands in conf/config.yaml and nowhere else."""

from __future__ import annotations

import pytest
from conftest import sampled
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from mtl.config import switches
from mtl.config.build import plain_config
from mtl.config.parameters import parameters, run_name
from mtl.errors import UserError
from mtl.job.fingerprint import fingerprint

CHOICES = {"tasks": "all"}


@pytest.fixture
def config():
    with initialize_config_dir(str(switches.CONF), version_base="1.3"):
        return compose("config", ["data.root=/a"])


@pytest.fixture
def more(config, tmp_path, monkeypatch):
    """The config with two switches of tomorrow, which a copied config.yaml lists."""
    text = (switches.CONF / "config.yaml").read_text(encoding="utf-8")
    assert "\nrerun:" in text
    (tmp_path / "config.yaml").write_text(text.replace("\nrerun:", "\nloud: true\nlater: 7\nrerun:"), encoding="utf-8")
    (tmp_path / "task").symlink_to(switches.CONF / "task")
    monkeypatch.setattr(switches, "CONF", tmp_path)
    found = config.copy()
    with open_dict(found):
        found.loud, found.later = False, 2
    return found


def test_the_switches_are_the_scalars_of_the_config_that_say_how_a_run_is_done():
    assert switches.switches() == {
        "rerun": False,
        "profile": False,
        "dry_run": False,
        "judge": "video",
        "objective": "val_auc",
        "stop_after": 3,
    }


def test_a_new_switch_is_known_everywhere(config, more):
    assert switches.switches() == {
        "loud": True,
        "later": 7,
        "rerun": False,
        "profile": False,
        "dry_run": False,
        "judge": "video",
        "objective": "val_auc",
        "stop_after": 3,
    }
    assert parameters(more, CHOICES) == parameters(config, CHOICES)
    assert fingerprint(plain_config(more), "data") == fingerprint(plain_config(config), "data")
    assert run_name(CHOICES, ["later=2", "loud=false", "later_than=1", "seed=1"]) == "all later_than=1 seed=1"
    switches.check_switches(more)
    more.later = None
    switches.check_switches(more)


@pytest.mark.parametrize(
    ("word", "message"),
    sampled([
        ("loud=1", "loud: should be true or false, found 1."),
        ("loud=null", "loud: should be true or false, found None."),
        ("later=0", "later: should be a whole number from 1 on or null, found 0."),
        ("later=true", "later: should be a whole number from 1 on or null, found True."),
        ("later=2.5", "later: should be a whole number from 1 on or null, found 2.5."),
        ("judge=evnt", "judge: found 'evnt'. Did you mean 'event'?"),
        ("judge=null", "judge: found None. Known: event, video."),
        ("stop_after=soon", "stop_after: should be a whole number from 1 on or null, found 'soon'."),
    ], every=3),
)  # fmt: skip
def test_a_switch_is_checked_by_its_default(more, word, message):
    more.merge_with(OmegaConf.from_dotlist([word]))
    with pytest.raises(UserError) as caught:
        switches.check_switches(more)
    assert str(caught.value) == message


def test_events_judge_where_a_file_or_the_data_tell_them(more):
    more.merge_with({"judge": "event", "data": {"_target_": "mtl.data.demo.Demo", "events": None}})
    switches.check_switches(more)
    more.data._target_ = "mtl.data.ucf_crime.UCFCrime"
    with pytest.raises(UserError, match="judge=event needs data.events=FILE, the annotation .*, found none."):
        switches.check_switches(more)
    more.data.events = "events.txt"
    switches.check_switches(more)


def test_the_judge_is_in_no_fingerprint_no_parameter_and_no_name(config):
    other = config.copy()
    other.judge = "event"
    assert fingerprint(plain_config(other), "data") == fingerprint(plain_config(config), "data")
    assert parameters(other, CHOICES) == parameters(config, CHOICES)
    assert run_name(CHOICES, ["judge=event", "seed=1"]) == "all seed=1"


def test_the_objective_is_in_no_fingerprint_no_parameter_and_no_name(config):
    other = config.copy()
    other.objective = "val_loss/violence"
    assert fingerprint(plain_config(other), "data") == fingerprint(plain_config(config), "data")
    assert parameters(other, CHOICES) == parameters(config, CHOICES)
    assert run_name(CHOICES, ["objective=val_loss", "seed=1"]) == "all seed=1"


def test_a_default_that_is_no_switch_is_refused(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text("seed: 0\nshare: 0.5\n", encoding="utf-8")
    monkeypatch.setattr(switches, "CONF", tmp_path)
    with pytest.raises(TypeError, match="share"):
        switches.switches()
