"""What is refused before anything heavy is loaded, in one line."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir

from mtl.config import switches
from mtl.config.check import check
from mtl.errors import UserError

NEEDS_PARAMETERS = ["excess_mtl", "metabalance"]
WEIGHTINGS = sorted(path.stem for path in (switches.CONF / "weighting").glob("*.yaml"))


def composed(*words: str):
    with initialize_config_dir(str(switches.CONF), version_base="1.3"):
        return compose("config", list(words))


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_weighting_that_needs_gradients_by_parameter_refuses_those_of_the_representation(name):
    config = composed(f"weighting={name}", "training.gradients_of=representation", "tasks=anomaly_violence")
    if name not in NEEDS_PARAMETERS:
        check(config)
        return
    with pytest.raises(UserError, match="right would be training.gradients_of=parameters") as caught:
        check(config)
    assert "\n" not in str(caught.value)


def test_what_gradients_are_taken_on_is_one_of_two_words():
    with pytest.raises(UserError, match="gradients_of"):
        check(composed("training.gradients_of=representations"))
