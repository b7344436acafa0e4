from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

from mtl.config import schema
from mtl.errors import UserError, nearest

TRAINING = {
    "_target_": "mtl.training.Training",
    "epochs": 3,
    "batch_size": 32,
    "optimizer": {"_target_": "keras.optimizers.Adam", "_partial_": True},
    "sampling": "natural",
    "early_stopping": True,
    "patience": 2,
    "gradients_of": "parameters",
    "checkpoint": {"_target_": "mtl.training.checkpoint.Checkpoints", "epochs": 1, "seconds": 300, "dir": "."},
    "seed": 0,
}


def test_a_signature_is_read_without_importing_the_module():
    program = (
        "import sys; from mtl.config import schema; print(*schema.signature('mtl.training.Training').annotations);"
        "assert not {'tensorflow', 'mtl.training'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"epochs", "optimizer", "seed"} <= set(done.stdout.split())


def test_a_right_node_passes():
    schema.check_node("training", TRAINING)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "training.epoch: no such key. Did you mean 'epochs'?"),
        ({"epochs": -1}, "training.epochs: input should be greater than 0, found -1."),
        ({"epochs": "abc"}, "training.epochs: input should be a valid integer, found 'abc'."),
        ({"epochs": 2.5}, "training.epochs: input should be a valid integer, found 2.5."),
        ({"early_stopping": "maybe"}, "training.early_stopping: input should be a valid boolean, found 'maybe'."),
        (
            {"sampling": "balance"},
            "training.sampling: input should be 'natural', 'balanced' or 'balanced_tasks', found 'balance'.",
        ),
        ({"_target_": "os.system"}, "training._target_: 'os.system' is not trusted"),
        ({"_target_": "mtl.training.Trainig"}, "'mtl.training.Trainig' is not trusted"),
        ({"_target_": "mtl.training.Trainig"}, "Did you mean 'mtl.training.Training'?"),
        ({"_target_": "mtl.trainig.Training"}, "Did you mean 'mtl.training.Training'?"),
        ({"_target_": "mtl.training.os"}, "training._target_: 'mtl.training.os' is not trusted"),
    ],
)
def test_a_wrong_node_is_one_line(change, message):
    with pytest.raises(UserError) as caught:
        schema.check_node("training", TRAINING | change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named():
    node = {key: value for key, value in TRAINING.items() if key != "patience"}
    with pytest.raises(UserError, match="key 'patience' is missing"):
        schema.check_node("training", node)


def test_a_keyword_the_code_passes_itself_may_be_missing():
    node = {"_target_": "mtl.weighting.dwa.DWA", "temperature": 2.0}
    with pytest.raises(UserError, match="'tasks' is missing"):
        schema.check_node("weighting", node)
    schema.check_node("weighting", node, frozenset({"tasks"}))


def test_nearest_ignores_letter_case_and_lists_all_where_none_is_near():
    assert nearest("FIGHTNG", ["Fighting", "Arson"]) == "Did you mean 'Fighting'?"
    assert nearest("zzz", ["b", "a"]) == "Known: a, b."


def test_a_class_without_a_constructor_takes_what_its_base_takes():
    node = {"_target_": "mtl.weighting.mgda.MGDA", "c": 0.3}  # its base stands in another module
    with pytest.raises(UserError, match=r"^weighting\.c: no such key\. MGDA takes none\.$"):
        schema.check_node("weighting", node, frozenset({"tasks"}))


ADAM = {"_target_": "keras.optimizers.Adam", "_partial_": True, "learning_rate": 0.001}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clipnrom": 1}, "o.clipnrom: no such key. Did you mean 'clipnorm'?"),
        ({"momentum": 0.9}, "o.momentum: no such key. Did you mean 'ema_momentum'?"),
        ({"learning_rate": "abc"}, "o.learning_rate: input should be a valid number, found 'abc'."),
        ({"learning_rate": -1.0}, "o.learning_rate: input should be greater than 0, found -1.0."),
        ({"amsgrad": "maybe"}, "o.amsgrad: input should be a valid boolean, found 'maybe'."),
        ({"clipnorm": 0}, "o.clipnorm: input should be greater than 0, found 0."),
        ({"learning_rate": {"_target_": "keras.optimizers.schedules.CosineDecay"}}, "'initial_learning_rate' is miss"),
    ],
)
def test_a_wrong_argument_of_an_optimizer_is_one_line_without_keras(change, message):
    with pytest.raises(UserError) as caught:
        schema.check_nodes({"o": ADAM | change})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_every_optimizer_takes_is_taken():
    schema.check_node("o", ADAM | {"clipnorm": 1, "beta_1": 0.5, "weight_decay": None, "use_ema": True})
