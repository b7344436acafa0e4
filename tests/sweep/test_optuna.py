"""The sweeper that optimises: what it makes of jobs that end well, diverge, fail, or are never begun."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

pytest.importorskip("optuna")

from mtl.config import switches
from mtl.errors import UserError
from mtl.job.context import StoppedError
from mtl.report.study import read_study
from mtl.sweep import optuna_sweeper, sweepers
from mtl.sweep.optuna_sweeper import NOT_STARTED, UNDEFINED, Optuna
from mtl.tracking.no_tracking import NoTracking

RATE = "training.optimizer.learning_rate"


class Searched(Optuna):
    """The sweeper over a function of a job's overrides instead of a launcher: a number, None, or an error."""

    def __init__(self, folder, job, **given):
        keys = {"n_trials": 6, "n_jobs": 1, "seed": 0, "n_startup_trials": 3, "study_name": "mtl"} | given
        super().__init__(storage=str(folder / "study.journal"), **keys)
        node = {"objective": "val_auc", "main_task": "general_anomaly", "stop_after": 3}
        self.config = OmegaConf.create({**node, "hydra": {"sweep": {"dir": str(folder)}, "launcher": {"n_jobs": 4}}})
        self.job, self.folder, self.told = job, folder, SimpleNamespace(broken="")
        self.launched, self.waves_of = [], []

    @property
    def callback(self):
        return self.told

    def launch(self, jobs):
        self.waves_of.append(len(jobs))
        return [self._one(words) for words in jobs]

    def _one(self, words) -> JobReturn:
        number = len(self.launched)
        self.launched.append(words)
        found, tags = self.job(dict(word.split("=", 1) for word in words)), {"mtl.job": str(number)}
        if isinstance(found, tuple):
            found, tags = found[0], tags | {"diverged": found[1]}
        result = JobReturn(status=JobStatus.FAILED if isinstance(found, Exception) else JobStatus.COMPLETED)
        result.return_value = found
        if not isinstance(found, StoppedError):
            run = NoTracking().start("job", self.folder / str(number), None, tags)
            run.tags({"failure": str(found)} if isinstance(found, Exception) else {})
            run.end("FAILED" if isinstance(found, Exception) else "FINISHED")
        return result


def study(folder, job, *words, **given):
    found = Searched(folder, job, **given)
    with initialize_config_dir(str(switches.CONF), version_base="1.3"), suppress(Exception):
        found.sweep(list(words))
    return found, read_study(folder)


def by_rate(words) -> float:
    return 1.0 - abs(float(words[RATE]) - 0.003)


def test_seeds_are_repeated_for_every_proposal_and_averaged(tmp_path):
    job = lambda words: by_rate(words) + float(words["seed"])  # noqa: E731
    sweeper, found = study(tmp_path, job, f"{RATE}=interval(0.001,0.01)", "seed=0,2", "tasks=anomaly", n_trials=4)
    assert len(sweeper.launched) == 8
    assert [words[0] for words in sweeper.launched] == ["tasks=anomaly"] * 8
    assert [words[-1] for words in sweeper.launched] == ["seed=0", "seed=2"] * 4
    assert [trial.jobs for trial in found.trials] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    for trial in found.trials:
        assert trial.value == pytest.approx(by_rate(trial.proposal) + 1.0)
    assert found.best.value == max(trial.value for trial in found.trials)
    assert found.seeds == ("0", "2")
    assert found.importance == {RATE: pytest.approx(1.0)}


def test_what_diverged_or_is_undefined_or_fails_is_a_failed_trial_with_its_reason(tmp_path):
    came = {"a": 0.7, "b": (None, "loss is not finite"), "c": None, "d": ValueError("no\nroom")}
    sweeper, found = study(tmp_path, lambda words: came[words["tasks"]], "tasks=a,b,c,d", n_trials=40)
    reasons = {trial.proposal["tasks"]: trial.reason for trial in found.trials}
    assert reasons == {"a": "", "b": "it diverged: loss is not finite", "c": UNDEFINED, "d": "ValueError: no room"}
    assert found.best.proposal == {"tasks": "a"}
    assert len(sweeper.launched) == 4
    assert found.ended == "everything that can be proposed is tried (4 combinations)"
    repeated = [trial for trial in found.trials if trial.same_as]
    assert len(found.trials) == 4 + len(repeated)
    for trial in repeated:
        former = found.trials[trial.same_as - 1]
        assert (trial.proposal, trial.jobs, trial.values) == (former.proposal, former.jobs, former.values)
    assert not sweeper.told.broken


def test_one_seed_without_a_value_fails_the_trial(tmp_path):
    job = lambda words: None if words["seed"] == "1" and words["tasks"] == "a" else 0.5  # noqa: E731
    _, found = study(tmp_path, job, "tasks=a,b", "seed=0,1")
    by_set = {trial.proposal["tasks"]: trial for trial in found.trials}
    assert by_set["a"].value is None
    assert by_set["a"].values == (0.5, None)
    assert by_set["a"].reason == f"seed 1: {UNDEFINED}"
    assert by_set["b"].value == 0.5


def test_a_search_without_any_value_broke(tmp_path):
    sweeper, found = study(tmp_path, lambda words: None, "tasks=a,b")
    assert found.best is None
    reason = f"None of {len(found.trials)} trials has a value of val_auc of general_anomaly: {UNDEFINED}."
    assert sweeper.told.broken == reason


def test_a_job_that_failed_ends_the_command_with_its_reason_when_the_search_is_over(tmp_path):
    came = {"a": 0.7, "b": ValueError("no room")}
    found = Searched(tmp_path, lambda words: came[words["tasks"]])
    with initialize_config_dir(str(switches.CONF), version_base="1.3"), pytest.raises(ValueError, match="no room"):
        found.sweep(["tasks=a,b"])
    assert not found.told.broken
    assert read_study(tmp_path).is_over


def test_a_sweep_that_stops_ends_the_search(tmp_path):
    def job(words):
        begun = len(list(tmp_path.glob("*/tracking.jsonl")))
        return StoppedError("stopped") if begun == 3 else ValueError("no data")

    sweeper, found = study(tmp_path, job, f"{RATE}=interval(0.001,0.01)")
    assert len(sweeper.launched) == 4
    assert sweeper.told.broken.startswith("The sweep stopped because its first 3 jobs failed alike")
    assert sweeper.told.broken.endswith(": no data")
    assert not found.is_over
    assert found.trials[-1].reason == NOT_STARTED


@pytest.mark.parametrize(
    ("n_jobs", "words", "waves"), [(2, [], [2, 2, 1]), (None, [], [4, 1]), (None, ["seed=0,1"], [4, 4, 2])]
)
def test_as_many_at_once_as_the_launcher_has_room_for(tmp_path, n_jobs, words, waves):
    sweeper, _ = study(tmp_path, by_rate, f"{RATE}=interval(0.001,0.01)", *words, n_trials=5, n_jobs=n_jobs)
    assert sweeper.waves_of == waves


def test_the_same_command_again_proposes_the_same(tmp_path):
    found = []
    for name in ("first", "second"):
        (folder := tmp_path / name).mkdir()
        found.append(study(folder, by_rate, f"{RATE}=interval(0.001,0.01)", n_trials=8)[1])
    assert found[0] == found[1]


def test_a_storage_that_fails_begins_no_job(tmp_path):
    found = Searched(tmp_path, by_rate)
    found.storage = str(tmp_path / "nowhere" / "study.journal")
    with initialize_config_dir(str(switches.CONF), version_base="1.3"), pytest.raises(OSError, match="nowhere"):
        found.sweep(["tasks=a,b"])
    assert found.launched == []
    assert "nowhere" in found.told.broken


def expected(*words: str):

    hydra = [word for word in words if word.startswith("hydra.")]
    task = [word for word in words if not word.startswith("hydra.")]
    with initialize_config_dir(str(switches.CONF), version_base="1.3"):
        config = compose("config", ["hydra/sweeper=optuna", *hydra], return_hydra_config=True)
        config.hydra.overrides.task = task
        return sweepers.expected(config)


def test_the_preset_is_the_sweepers_signature_and_says_what_it_will_do():
    found = expected(f"{RATE}=interval(0.001,0.01)", "seed=0,1,2", "training.epochs=3")
    assert found.lines == ["20 trials, each with 3 seeds, to maximize val_auc."]
    assert found.common == ("training.epochs=3",)
    assert found.judged == "val_auc_best/general_anomaly"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("hydra.sweeper.n_trials=0", "hydra.sweeper.n_trials: should be a whole number from 1 on, found 0."),
        ("hydra.sweeper.n_jobs=1.5", "hydra.sweeper.n_jobs: should be a whole number from 1 on, found 1.5."),
        ("hydra.sweeper.seed=-1", "hydra.sweeper.seed: should be a whole number from 0 on, found -1."),
    ],
)
def test_a_number_of_the_sweeper_that_cannot_be_is_one_line(word, message):
    with pytest.raises(UserError) as caught:
        expected("tasks=anomaly,all", word)
    assert str(caught.value) == message


def test_a_password_in_the_storage_is_refused_before_anything_is_written_down():
    with pytest.raises(UserError, match=r"holds a password.*\$\{oc.env:STORAGE\}") as caught:
        expected("tasks=anomaly,all", "hydra.sweeper.storage='postgresql://me:secret@host/db'")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("found", "what"),
    [("", "is not installed"), ("2.10.1", "2.10.1 is installed, and 4.9 or newer is needed"), ("4.9.0", None)],
)
def test_an_optimiser_that_is_not_installed_is_one_line(monkeypatch, found, what):
    def version(name):
        if not found:
            raise optuna_sweeper.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(optuna_sweeper, "version", version)
    if what is None:
        expected("tasks=anomaly,all")
        return
    with pytest.raises(UserError) as caught:
        expected("tasks=anomaly,all")
    assert str(caught.value) == f'hydra/sweeper=optuna: Optuna {what}. Right would be `pip install -e ".[optuna]"`.'


def test_the_best_trial_is_compared_when_the_search_is_over_and_these_runs_alone_are_looked_at(tmp_path):
    words = (f"{RATE}=interval(0.001,0.01)", "seed=0,1", "tasks=anomaly")
    sweeper, found = study(
        tmp_path, by_rate, *words, n_trials=3, compare={RATE: "0.02", "weighting": "equal,dwa", "seed": "5"}
    )
    assert sweeper.waves_of == [2, 2, 2, 3]
    assert found.compared == (6, 7, 8)
    assert sweeper.launched[6:] == [
        ["tasks=anomaly", f"{RATE}=0.02", "weighting=equal", "seed=5"],
        ["tasks=anomaly", f"{RATE}=0.02", "weighting=dwa", "seed=5"],
        ["tasks=anomaly", f"{RATE}={found.best.proposal[RATE]}", "seed=5"],
    ]
    runs = [SimpleNamespace(tags={"mtl.job": str(number)}) for number in range(9)]
    assert found.chosen(runs) == runs[6:]


@pytest.mark.slow
def test_the_recipe_of_tuned_weights_says_before_it_begins_what_it_will_compare(monkeypatch):
    monkeypatch.setattr(optuna_sweeper, "version", lambda name: "5.0.0")
    with initialize_config_dir(str(switches.CONF), version_base="1.3"):
        config = compose("config", ["experiment=tuned_weights"], return_hydra_config=True)
        found = sweepers.expected(config)
    assert found.lines == [
        "20 trials, each with 3 seeds, to maximize val_auc.",
        "Then 78 jobs compare the best trial with other settings by test frames.",
    ]
