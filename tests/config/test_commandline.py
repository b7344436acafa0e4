"""A user's mistakes at the real command line: one line, status 1, nothing heavy, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BARE, ROOT, call, slow

from mtl.config import commandline

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
    "training.optimizer=null": "training/optimizer=null: no choice of training/optimizer. Known: adagrad, adam,",
    "seed=1 -m tasks=anomaly,al": "tasks=al: there is no conf/tasks/al.yaml. Did you mean 'all'?",
    "tasks=[]": "tasks: nothing is in it; right would be a set of conf/tasks/.",
    "tasks=all,anomaly": "add --multirun",
    "experiment=ablation backbone=resnt50": "backbone=resnt50: there is no conf/backbone/resnt50.yaml. Did you mean",
    "-m tasks=anomaly,al": "tasks=al: there is no conf/tasks/al.yaml. Did you mean 'all'?",
}


def test_overrides_may_stand_on_both_sides_of_an_option():
    words = ["seed=1", "--config-dir", "a=b", "~data", "-m", "tasks=anomaly,all"]
    assert commandline.options_first(words) == ["--config-dir", "a=b", "-m", "seed=1", "~data", "tasks=anomaly,all"]
    assert commandline.options_first(["--cfg", "job"]) == ["--cfg", "job"]


QUICK = ("training.epochs=many",)  # each composes the whole config


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


@pytest.mark.parametrize("words", [["--help"], *slow(["--cfg", "job"], ["--info", "defaults-tree"])])
def test_help_answers_at_once(words, tmp_path):
    before = os.times().children_user
    done = call(tmp_path, *words, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 20
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line}
    assert not imported & {"tensorflow", "keras", "mlflow", "cv2", "sklearn", "matplotlib", "pandas", "numpy"}
    # the bound is loose because a busy machine is no fault of ours; what is imported is the real check
    assert os.times().children_user - before < 10


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    """A file in the way is refused whoever asks; permissions do not hold for every person who runs tests."""
    (tmp_path / "outputs").touch()
    done = call(tmp_path, "tasks=anomaly")
    assert done.returncode == 1
    assert f"{tmp_path}/outputs" in done.stderr
    assert "cannot be made (Not a directory): type the command in a folder that can be written" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_job_works_where_the_command_was_typed(tmp_path, monkeypatch):
    """The place is given back afterwards, as Hydra left it."""
    elsewhere = tmp_path / "job"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with commandline._where_typed(tmp_path):
        assert Path.cwd() == tmp_path
    assert Path.cwd() == elsewhere
    with commandline._where_typed(tmp_path / "of another machine"):
        assert Path.cwd() == elsewhere


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "processes"])
def test_a_sweep_with_chdir_has_one_store_where_it_was_typed(launcher, tmp_path):
    words = ("tasks=anomaly", "hydra.job.chdir=true", f"hydra/launcher={launcher}", *BARE)
    done = call(tmp_path, "-m", *words)
    assert done.returncode == 0
    assert commandline.NO_CHDIR in done.stdout
    assert [path.parent for path in tmp_path.rglob("mlflow.db")] == [tmp_path]
    assert [path.parent for path in tmp_path.rglob(".cache")] == [tmp_path]
    assert len(list((tmp_path / "mlartifacts").rglob("predictions.parquet"))) == 1


@pytest.mark.slow
def test_a_home_folder_is_found_behind_an_equals_sign(tmp_path):
    """No shell replaces the sign there, and Hydra's grammar has none."""
    done = call(tmp_path, "data=ucf_crime", "data.root=~/nothing", HOME=str(tmp_path))
    assert done.stderr.strip() == f"data.root is not there: {tmp_path}/nothing (its path ends at {tmp_path})."


@pytest.mark.slow
def test_a_path_that_hydra_refuses_is_typed_as_the_line_says(tmp_path):
    """Through a real shell: the form that is told is the form that works."""
    folder = tmp_path / "it's (1) [2], видео=視頻"
    refused = call(tmp_path, "data=ucf_crime", f"data.root={folder}")
    told = refused.stderr.strip()
    assert told.startswith(f"data.root: characters of {folder} have")
    command = f"{sys.executable} {ROOT / 'run.py'} data=ucf_crime {told.partition('Right would be: ')[2]}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == f"data.root is not there: {folder} (its path ends at {tmp_path})."


SEARCHED = """
defaults:
  - /task@_here_: [general_anomaly, violence]
"""


@pytest.mark.slow
@pytest.mark.parametrize("words", ["--config-dir mine", "hydra.searchpath=[mine]"])
def test_a_sweep_finds_what_the_search_path_has(words, tmp_path):
    (tmp_path / "mine" / "tasks").mkdir(parents=True)
    (tmp_path / "mine" / "tasks" / "own.yaml").write_text(SEARCHED)
    found = call(tmp_path, "-m", *words.split(), "tasks=anomaly,own", "dry_run=true")
    assert found.returncode == 0, found.stderr
    assert "2 jobs: 0 done already, 2 would run." in found.stdout
    missed = call(tmp_path, "-m", *words.split(), "tasks=anomaly,owm", "dry_run=true")
    told = f"there is no conf/tasks/owm.yaml, nor tasks/owm.yaml in {tmp_path}/mine. Did you mean 'own'?"
    assert missed.stderr.strip() == f"tasks=owm: {told}"
