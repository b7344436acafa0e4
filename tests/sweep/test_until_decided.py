"""A sweep that ends when it knows: what it runs, and that interruptions change nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from types import SimpleNamespace

import pytest
from conftest import begun, call

from mtl.ablation.rule import Rule
from mtl.errors import UserError
from mtl.job.record import Job
from mtl.sweep import sweepers, until_decided
from mtl.tracking.journal import JOURNAL

# relatedness on purpose, by as little work as tells the sets apart
ASKED = (
    "experiment=related_tasks",
    "hydra/sweeper=until_decided",
    "data.relatedness=1",
    "tasks=related_main,related_pair,related_random",
    "seed=0",
    "relations=[loss_correlation]",
    "gradient_measurements.batches=0",
    "evaluation.resamples=500",
)


def asked_of(composed, *words, most_seeds=4):
    return until_decided.asked_of(composed(), words, most_seeds)


def test_every_set_is_asked_with_the_seeds_named_first_and_those_above_them(composed):
    asked = asked_of(composed, "tasks=anomaly,all", "freeze=all", "seed=3,1")
    assert asked.settings == (("tasks=anomaly", "freeze=all"), ("tasks=all", "freeze=all"))
    assert asked.seeds == (3, 1, 4, 5)
    assert asked.job(1, 2) == ["tasks=all", "freeze=all", "seed=4"]
    assert asked_of(composed, "tasks=all", "seed=range(0,9)").seeds == (0, 1, 2, 3)
    assert asked_of(composed, "tasks=all").seeds == (0, 1, 2, 3)
    assert asked_of(composed, "seed=0,1", "tasks=all", "seed=7").seeds == (7, 8, 9, 10)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("training.batch_size=interval(8,32)", "training.batch_size=interval(8,32): hydra/sweeper=until_decided runs"),
        ("decide.margin=0.1,0.2", "decide.margin=0.1,0.2: what decides cannot be swept; right would be one value."),
        ("seed=x", "seed: should be a whole number from 0 on, found 'x'."),
    ],
)
def test_what_it_cannot_ask_is_one_line(composed, word, message):
    with pytest.raises(UserError) as caught:
        asked_of(composed, word)
    assert str(caught.value).startswith(message)


def test_the_first_wave_and_the_most_are_known_before_it_begins(composed):
    config = composed("experiment=decide", "hydra/sweeper=until_decided", "decide.hours=2")
    expected = sweepers.expected(config)
    assert len(expected.jobs) == 4 * 3
    assert expected.jobs[:4] == [
        [f"tasks={name}", "experiment=decide", "decide.hours=2", "seed=0"]
        for name in ("anomaly", "anomaly_violence", "anomaly_type", "all")
    ]
    assert expected.most == 4 * 12
    assert expected.looks == "3/12"
    assert "No wave is begun that would end after 2 hours." in expected.lines[0]


def job(number, status, seconds, reused=False):
    return Job(number, str(number), status, "", seconds, 0.0, reused, {}, {}, None)


def test_time_is_told_by_what_was_trained(monkeypatch):
    sweeper = until_decided.UntilDecided()
    done = [job(0, "FINISHED", 10.0), job(1, "FINISHED", 30.0), job(2, "FAILED", 90.0), job(3, "FINISHED", 1.0, True)]
    monkeypatch.setattr(sweeper, "_jobs", lambda: done)
    places = {"0": ("", "a"), "1": ("", "a"), "2": ("", "b"), "3": ("", "c")}
    assert sweeper._seconds(places) == {"a": 20.0}


def test_a_wave_that_would_take_too_long_is_not_begun(composed, monkeypatch):
    sweeper = until_decided.UntilDecided()
    sweeper.config, said = composed("decide.hours=1"), SimpleNamespace(ended="")
    said.runs, said.judged = list, lambda: (None, None)
    decision = SimpleNamespace(ended="", course=())
    looked = SimpleNamespace(decision=decision, places={"0": ("", "a")})
    asked = until_decided.Asked((("tasks=a",),), (0, 1, 2))
    monkeypatch.setattr(until_decided.UntilDecided, "callback", said)
    monkeypatch.setattr(sweeper, "_jobs", lambda: [job(0, "FINISHED", 600.0)])
    monkeypatch.setattr("mtl.report.decided.decided", lambda *given: looked)
    left = []

    def next_jobs(decision, seconds, seconds_left):
        left.append((seconds, seconds_left))
        return [("", "a", 1)] if seconds_left >= 600 else []

    monkeypatch.setattr("mtl.ablation.decision.next_jobs", next_jobs)
    rule = Rule(0.01, 2, 3, 1.0)
    assert sweeper._next(rule, asked, [(0, 0)], 1200.0) == [(0, 1)]
    assert said.ended == ""
    assert sweeper._next(rule, asked, [(0, 0)], 3300.0) == []
    assert said.ended == "decide.hours=1 is not enough for another seed of what is open: 55 min are over."
    assert left == [({"a": 600.0}, 2400.0), ({"a": 600.0}, 300.0)]


def decision(folder):
    """What the last sweep below a folder decided."""
    last = max(folder.glob("multirun/*/*/summary/summary.json"))
    return json.loads(last.read_text(encoding="utf-8"))["decision"]


def verdicts(decided):
    return {each["name"]: each["word"] for each in decided["looks"][-1]["judged"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep as it runs when nobody disturbs it."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, call(folder, *ASKED)


@pytest.mark.slow
def test_it_ends_when_it_knows_and_never_calls_chance_help(whole):
    folder, done = whole
    assert done.returncode == 0, done.stderr
    found = decision(folder)
    assert (
        found["ended"] == "Every comparison has a verdict." or "without a verdict on related_random" in found["ended"]
    )
    assert verdicts(found)["related_pair"] == "helps"
    assert verdicts(found)["related_random"] in ("does not matter", "cannot tell")
    told = next(look for look in found["looks"] if verdicts({"looks": [look]})["related_pair"] == "helps")
    assert told["seeds"] * 3 < found["fixed_runs"]
    runs = found["looks"][-1]["runs"]
    assert done.stdout.count(": AUC ") == runs < 3 * found["most_seeds"]
    assert (max(folder.glob("multirun/*/*/summary/course.png"))).stat().st_size > 5000
    assert "look at 3 seeds: " in done.stdout


@pytest.mark.slow
def test_the_same_command_again_runs_nothing_and_a_smaller_margin_only_what_is_missing(whole):
    folder, _ = whole
    before = decision(folder)
    again = call(folder, *ASKED, "evaluation.resamples=500")
    assert again.returncode == 0
    runs = before["looks"][-1]["runs"]
    assert f"{runs} of {runs} jobs were done already and are reused" in again.stdout
    assert decision(folder) == before
    smaller = call(folder, *ASKED, "decide.margin=0.004", "decide.most_seeds=12", "dry_run=true")
    assert "9 jobs: 9 done already, 0 would run." in smaller.stdout
    assert "At most 36 jobs in all" in smaller.stdout


@pytest.mark.slow
def test_killed_in_its_second_wave_it_comes_to_the_same(whole, tmp_path):
    folder, _ = whole
    sweep = begun(tmp_path, *ASKED)
    end = time.monotonic() + 600
    of_the_second_wave = 10
    while len(list(tmp_path.glob(f"multirun/*/*/*/{JOURNAL}"))) < of_the_second_wave and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    assert call(tmp_path, *ASKED).returncode == 0
    assert decision(tmp_path) == decision(folder)
