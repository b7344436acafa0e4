"""A search space is made of the words of the command line; what cannot be searched is refused in one line."""

from __future__ import annotations

import math

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from mtl.config import switches
from mtl.errors import UserError
from mtl.sweep.search_space import Choice, Interval, Range, check_space, compared_jobs, search_space


def space(*words: str):
    return search_space(OverridesParser.create().parse_overrides(list(words)))


@pytest.mark.parametrize(
    ("word", "dimension", "size"),
    [
        ("a=choice(x,y)", Choice(("x", "y")), 2),
        ("a=1,2,1", Choice(("1", "2")), 2),
        ("a='x y',null", Choice(("'x y'", "null")), 2),
        ("a=range(0,3)", Range(("0", "1", "2")), 3),
        ("a=range(8,1,-3)", Range(("2", "5", "8")), 3),
        ("a=range(0.5,2,0.5)", Range(("0.5", "1.0", "1.5")), 3),
        ("a=range(1,2)", Choice(("1",)), 1),
        ("a=interval(8,32)", Interval(8.0, 32.0, is_whole=False, log=False), math.inf),
        ("a=int(interval(8,32))", Interval(8, 32, is_whole=True, log=False), 25),
        ("a=tag(log,interval(1e-4,1e-2))", Interval(1e-4, 1e-2, is_whole=False, log=True), math.inf),
        ("a=tag(log,int(interval(1,64)))", Interval(1, 64, is_whole=True, log=True), 64),
    ],
)
def test_hydras_words_are_dimensions(word, dimension, size):
    found = space(word)
    assert found.dimensions == {"a": dimension}
    assert found.size == size


def test_what_is_not_swept_stays_and_seeds_are_repeated_never_searched():
    found = space("tasks=a,b", "training.epochs=2", "seed=0,1,1", "~weighting.x", "+new.key='a b'")
    assert list(found.dimensions) == ["tasks"]
    assert found.seeds == ("0", "1")
    common = ["training.epochs=2", "~weighting.x", "+new.key='a b'", "tasks=b"]
    assert found.jobs({"tasks": "b"}) == [[*common, "seed=0"], [*common, "seed=1"]]
    assert space("tasks=a,b", "seed=3").jobs({"tasks": "a"}) == [["seed=3", "tasks=a"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=0,1"], "there is nothing to search, a seed is repeated and averaged. Right would be"),
        (["training.epochs=3"], "there is nothing to search. Right would be"),
        (["a=1,2", "seed=interval(0,9)"], "seed=interval(0,9): a seed is never optimised"),
        (["main_task=a,b"], "main_task=a,b: trials are compared by it, so it cannot be searched."),
        (["a=interval(2,1)"], "a=interval(2,1): the first end of an interval should be less"),
        (["a=interval(1,1)"], "the first end of an interval should be less"),
        (["a=tag(log,interval(0,1))"], "on a logarithmic scale both ends should be greater than 0, found 0.0."),
        (["a=tag(lin,interval(0,1))"], "a tag should be log, found lin."),
        (["a=tag(log,choice(1,10))"], "the tag log is for an interval. Right would be tag(log,interval(LOW,HIGH))."),
        (["a=range(3,3)"], "a=range(3,3): has no value."),
    ],
)
def test_what_cannot_be_searched_is_one_line(words, message):
    with pytest.raises(UserError) as caught:
        space(*words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["training.batch_size=interval(8,32)"],
            "training.batch_size: takes whole numbers, and interval(8,32) gives fractions. "
            "Right would be 'training.batch_size=int(interval(8,32))'.",
        ),
        (
            ["training.epochs=interval(2,9)", "training.batch_size=tag(log,interval(8,32))"],
            "training.epochs: takes whole numbers, and interval(2,9) gives fractions. "
            "Right would be 'training.epochs=int(interval(2,9))'.",
        ),
        (
            ["weighting=equal,dwa", "weighting.temperature=interval(1,3)"],
            "weighting.temperature is a key of weighting=dwa, not of weighting=equal.",
        ),
        (
            ["weighting=dwa", "weighting.temperature=-1,2"],
            "weighting.temperature: input should be greater than 0, found",
        ),
    ],
)
def test_what_every_proposal_would_fail_by_is_found_before_the_first(words, message):
    with initialize_config_dir(str(switches.CONF), version_base="1.3"), pytest.raises(UserError) as caught:
        check_space(space(*words), lambda job: compose("config", job))
    assert str(caught.value).startswith(message)


def test_numbers_that_fit_pass():
    words = [
        *("training.batch_size=int(interval(8,32))", "training.optimizer.learning_rate=tag(log,interval(1e-4,1e-2))"),
        *("model.dropout=interval(0.1,0.5)", "tasks=choice(anomaly,all)", "training.epochs=range(1,5)"),
    ]
    with initialize_config_dir(str(switches.CONF), version_base="1.3"):
        check_space(space(*words), lambda job: compose("config", job))


@pytest.fixture
def reading():
    """Hydra as it is while a sweep is opened."""
    with initialize_config_dir(str(switches.CONF), version_base="1.3"):
        yield


@pytest.mark.usefixtures("reading")
def test_the_best_trial_is_compared_with_other_settings_by_seeds_of_its_own():
    found = space("weighting=fixed", "tasks=all", "+weighting.weights.violence=interval(0.1,2)", "seed=0,1")
    best = {"+weighting.weights.violence": "0.5"}
    tuned = ["weighting=fixed", "tasks=all", "+weighting.weights.violence=0.5"]
    jobs = compared_jobs(found, {"weighting": "equal,dwa", "seed": "7,8"}, best)
    assert jobs == [
        *(["tasks=all", f"weighting={name}", f"seed={seed}"] for name in ("equal", "dwa") for seed in (7, 8)),
        *([*tuned, f"seed={seed}"] for seed in (7, 8)),
    ]
    assert [words[-1] for words in compared_jobs(found, {"weighting": "equal"}, best)] == ["seed=0", "seed=1"] * 2
    alone = space("seed=3", "+weighting.weights.violence=interval(0.1,2)")
    assert compared_jobs(alone, {"weighting": "equal"}, best)[0] == ["weighting=equal", "seed=3"]
    assert compared_jobs(found, {}, best) == []
    with pytest.raises(UserError, match=r"^hydra.sweeper.compare.a: should be a list of values, found 'interval"):
        compared_jobs(found, {"a": "interval(0,1)"}, best)
