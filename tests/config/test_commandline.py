"""A user's mistakes at the real command line: one line, status 1, nothing heavy, nothing left behind."""

from __future__ import annotations

import os

import pytest
from conftest import call, slow

MISTAKES = {
    "tasks=al": "tasks=al: there is no conf/tasks/al.yaml. Did you mean 'all'?",
    "task=all": "task",
    "training.epoch=3": "training.epoch: there is no such key. Did you mean 'epochs'?",
    "+training.epoch=3": "training.epoch: no such key. Did you mean 'epochs'?",
    "+sed=3": "sed: there is no such key. Did you mean 'seed'?",
    "training.epochs=many": "training.epochs: input should be a valid integer, found 'many'.",
    "training.epochs=-1": "training.epochs: input should be greater than 0, found -1.",
    "tasks.violence.classes=[Fightng]": "Task 'violence' names classes the data set lacks: ['Fightng']. Did you mean",
    "tasks=anomaly main_task=violence": "main_task: 'violence' is not in the task set.",
    "data=ucf_crime": "data.root is not set.",
    "data=ucf_crime data.root=/nowhere/at/all": "/nowhere/at/all",
    "tasks=anomaly weighting=fixed +weighting.weights.violence=2": "'violence', which is not in the set",
    "tasks=anomaly_random weighting=notebook": "random_labels",
    "seed=-1": "seed: should be a whole number from 0 on, found -1.",
    "training._target_=os.system": "training._target_: 'os.system' is not trusted",
    "model.standardise=true": "model.standardise: is for features of a frozen part",
    "tasks=[]": "tasks: nothing is in it; right would be a set of conf/tasks/.",
    "tasks=all,anomaly": "add --multirun",
    "-m tasks=anomaly,al": "tasks=al: there is no conf/tasks/al.yaml. Did you mean 'all'?",
}


QUICK = ("tasks=al", "training.epochs=many", "-m tasks=anomaly,al")  # each composes the whole config


@pytest.mark.parametrize("words", [*QUICK, *slow(*(words for words in MISTAKES if words not in QUICK))])
def test_a_mistake_is_one_line(words, tmp_path):
    done = call(tmp_path, *words.split())
    assert done.returncode == 1
    assert MISTAKES[words] in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout.strip()
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_verbose_shows_the_traceback(tmp_path):
    done = call(tmp_path, "training.epochs=-1", "hydra.verbose=true")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_nothing_heavy_is_imported_before_the_checks_pass(tmp_path):
    done = call(tmp_path, "training.epochs=-1", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line}
    assert "mtl.config.schema" in imported
    assert not imported & {"tensorflow", "keras", "mlflow", "cv2", "sklearn", "matplotlib"}


@pytest.mark.parametrize("words", [["--help"], ["--cfg", "job"], ["--info", "defaults-tree"]])
def test_help_answers_at_once(words, tmp_path):
    before = os.times().children_user
    done = call(tmp_path, *words, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 20
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line}
    assert not imported & {"tensorflow", "keras", "mlflow", "cv2", "sklearn", "matplotlib", "pandas", "numpy"}
    # the bound is loose because a busy machine is no fault of ours; what is imported is the real check
    assert os.times().children_user - before < 10
