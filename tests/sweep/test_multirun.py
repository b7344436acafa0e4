"""A sweep's own process, without a job that trains: what it refuses, and how it ends."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest
from conftest import call
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from mtl.errors import UserError
from mtl.job import context
from mtl.sweep import callback, launchers, plan, process_launcher, sweepers
from mtl.sweep.own_sweeper import OwnSweeper
from mtl.sweep.plan import Plan, Planned, Setting, same_settings
from mtl.tracking.journal import Journal
from mtl.tracking.no_tracking import NoTracking


def test_a_launcher_that_is_not_installed_is_a_mistake_with_the_way_out():
    with pytest.raises(UserError, match=r'pip install -e "\.\[nowhere\]"'):
        launchers.check_launcher("hydra_plugins.hydra_nowhere_launcher.nowhere_launcher.NowhereLauncher")
    launchers.check_launcher("mtl.sweep.process_launcher.Processes")
    launchers.check_launcher("hydra._internal.core_plugins.basic_launcher.BasicLauncher")


@pytest.mark.slow
def test_a_launcher_that_is_not_installed_opens_no_sweep(tmp_path):
    target = "hydra_plugins.hydra_nowhere_launcher.nowhere_launcher.NowhereLauncher"
    done = call(tmp_path, "-m", f"++hydra.launcher._target_={target}", "tasks=anomaly")
    assert done.returncode == 1
    assert 'pip install -e ".[nowhere]"' in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_seed_that_is_none_opens_no_sweep(tmp_path):
    done = call(tmp_path, "-m", "seed=x,y", "tracking=none")
    assert done.returncode == 1
    assert done.stderr == "seed: should be a whole number from 0 on, found 'x'.\n"
    assert not list(tmp_path.iterdir())


def test_a_sweep_that_reuses_nothing_says_so():
    config = OmegaConf.create({"rerun": False})
    assert plan.never_reused(config, "sqlite:///a") == []
    assert "tracking=none" in plan.never_reused(config, "")[0]
    assert plan.never_reused(OmegaConf.create({"rerun": True}), "") == []


def test_whatever_keeps_a_sweep_from_its_parent_ends_it(monkeypatch, capsys):
    def broken(self, config):
        raise RuntimeError("what nobody thought of")

    monkeypatch.setattr(callback.SweepCallback, "_open", broken)
    with pytest.raises(SystemExit) as left:
        callback.SweepCallback().on_multirun_start(OmegaConf.create())
    assert left.value.code == 1
    assert "RuntimeError: what nobody thought of" in capsys.readouterr().err


@pytest.mark.slow
def test_a_known_job_that_has_to_be_trained_gets_a_process(tmp_path, monkeypatch):
    begun, handed = [], []

    def here(**kwargs):
        handed.append(context.current())
        result = JobReturn(status=JobStatus.FAILED)
        result.return_value = context.UntrainedError("gone") if len(handed) == 1 else ValueError("another")
        return result

    def begin(self, number, overrides):
        begun.append((number, context.current().trains))
        return process_launcher.Working(number, subprocess.Popen(["true"]), OmegaConf.create(), tmp_path)

    monkeypatch.setenv(context.SWEEP, "")  # so that it is undone
    context.SweepContext("", str(tmp_path), n_jobs=3, known=[0, 1]).enter()
    monkeypatch.setattr(process_launcher, "run_job", here)
    monkeypatch.setattr(process_launcher, "configure_log", lambda *args: None)
    monkeypatch.setattr(process_launcher.Processes, "_composed", lambda *args: OmegaConf.create())
    monkeypatch.setattr(process_launcher.Processes, "_begin", begin)
    monkeypatch.setattr(process_launcher.Processes, "_ended", lambda self, job: JobReturn(status=JobStatus.COMPLETED))
    found = process_launcher.Processes(1, None)
    config = OmegaConf.create({"stop_after": None, "hydra": {"hydra_logging": None, "verbose": False}})
    found.setup(hydra_context=None, task_function=None, config=config)
    assert [each.status.name for each in found.launch([[], [], []], 0)] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert begun == [(0, True), (2, True)]
    assert [sweep.trains for sweep in handed] == [False, False]


def closed(folder, n_jobs: int, statuses: tuple[str, ...]) -> str:
    """Status of a sweep's own run after so many jobs of it ended like this."""
    tracking = NoTracking()
    found = callback.SweepCallback()
    found._tracking, found._parent = tracking, tracking.start("sweep", folder, None, {"sweep": "parent"})
    found._handed, found._owner = context.SweepContext("", str(folder), n_jobs=n_jobs), callback.os.getpid()
    for number, status in enumerate(statuses):
        tracking.start("job", folder / str(number), None, {}).end(status)
    found.finish(interrupted=False)
    return Journal(folder / "tracking.jsonl").status


def test_a_sweep_of_which_jobs_were_not_begun_has_failed(tmp_path, capsys):
    assert closed(tmp_path / "a", 1, ("FINISHED",)) == "FINISHED"
    assert closed(tmp_path / "b", 3, ("FINISHED",)) == "FAILED"
    assert "2 jobs were not begun" in capsys.readouterr().out
    assert closed(tmp_path / "c", 0, ("FINISHED",)) == "FINISHED"  # nobody knows how many there should be


def settings(*jobs: tuple[str, str]) -> list[Setting]:
    """One per job: its configuration and its words; `freeze` is told as `stages`."""
    return [Setting(configuration, words.split(), {"freeze": "stages"}) for configuration, words in jobs]


def test_jobs_of_one_configuration_are_said_to_be_one_setting():
    common = "freeze.stages=2 training.epochs=1"
    jobs = [(f"c{seed}", f"freeze={choice} seed={seed} {common}") for choice in ("all", "stages") for seed in (0, 1)]
    assert same_settings(settings(*jobs)) == [
        "freeze=all and freeze=stages are the same configuration here (freeze.stages=2): they are one setting, "
        "named freeze=stages; a seed counts once."
    ]
    assert same_settings(settings(("a", "seed=0"), ("b", "seed=1"))) == []
    assert same_settings(settings(("a", "lr=0.001"), ("a", "lr=1e-3"))) == [
        "lr=0.001 and lr=1e-3 are the same configuration here: they are one setting; a seed counts once."
    ]
    assert same_settings(settings(("a", "seed=0"), ("a", "seed=0"))) == ["seed=0: asked for 2 times, counts once."]


@pytest.mark.slow
def test_a_dry_run_says_which_jobs_are_one_setting_and_names_them_by_their_configuration(tmp_path):
    words = ("-m", "tasks=anomaly", "freeze=all,stages,none", "freeze.stages=2", "seed=0,1", "dry_run=true")
    done = call(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "freeze=all, freeze=stages and freeze=none are the same configuration here (freeze.stages=2): "
        "they are one setting, named freeze=stages; a seed counts once."
    )
    assert lines[1] == "[1/6] anomaly freeze=stages seed=0: would run"
    assert "freeze=all" not in "".join(lines[1:])


def test_a_sweeper_of_others_is_refused_in_one_line():
    config = OmegaConf.create({"hydra": {"sweeper": {"_target_": "hydra_plugins.others.Swarm"}}})
    with pytest.raises(UserError, match=r"^hydra/sweeper: hydra_plugins.others.Swarm is not supported. Known: basic"):
        sweepers.expected(config)


def test_a_sweeper_that_breaks_says_why_on_the_sweep_s_own_run(tmp_path):
    class Breaking(OwnSweeper):
        expected = None

        def waves(self, arguments):
            raise ValueError("of no use")

    mine = callback.SweepCallback()
    sweeper = Breaking()
    sweeper.config = OmegaConf.create({"hydra": {"sweeper": {"params": None}}})
    sweeper.hydra_context = SimpleNamespace(callbacks=SimpleNamespace(callbacks=[object(), mine]))
    with pytest.raises(ValueError, match="of no use"):
        sweeper.sweep([])
    assert mine.broken == "ValueError: of no use"


def test_a_sweeper_of_ours_gets_the_words_of_the_recipe_before_those_typed():
    class Saying(OwnSweeper):
        expected = None

        def waves(self, arguments):
            self.told = arguments
            return []

    sweeper = Saying()
    sweeper.config = OmegaConf.create({"hydra": {"sweeper": {"params": {"tasks": "anomaly,all", "seed": "0,1"}}}})
    assert sweeper.sweep(["seed=3"]) == []
    assert sweeper.told == ["tasks=anomaly,all", "seed=0,1", "seed=3"]


def test_jobs_that_a_sweeper_chooses_later_become_jobs_of_the_sweep(tmp_path, monkeypatch):
    done = Planned("b", {}, SimpleNamespace(id="1", tags={}), None)
    monkeypatch.setattr(callback, "planned", lambda config, finished, jobs: Plan([done] * len(jobs), {"d": "1"}, []))
    monkeypatch.setenv(context.SWEEP, "")
    mine = callback.SweepCallback()
    mine._config, mine._handed = OmegaConf.create({}), context.SweepContext("", str(tmp_path), n_jobs=2, known=[1])
    mine.announce([["a=1"], ["a=2"]], 0)
    assert mine._handed.n_jobs == 2
    mine.announce([["a=3"], ["a=4"]], 2)
    assert context.current().n_jobs == mine._handed.n_jobs
    assert (mine._handed.n_jobs, list(mine._handed.known), mine._handed.digests) == (4, [1, 2, 3], {"d": "1"})
