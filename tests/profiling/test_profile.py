"""Table, sentence and figure from given numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from mtl.plots.rendering import image
from mtl.plots.stage_times import stage_times
from mtl.profiling.limits import UNKNOWN, limit, sentence
from mtl.profiling.profile import Machine, Stage, profile
from mtl.stopwatch import (
    BLOCKS,
    COMPILE,
    DECODE,
    FORWARD,
    MEASUREMENTS,
    REST,
    STEPS,
    TRACKING,
    TURN,
    VIDEOS,
    Stopwatch,
)

MACHINE = Machine(4, 100.0, 10.0, {DECODE: 500.0, STEPS: 50.0}, 1.5)


def watched(**more: float) -> Stopwatch:
    watch = Stopwatch()
    watch.stop()
    watch.seconds = {REST: 1.0, STEPS: 6.0, "start": 2.0, DECODE: 1.0} | more
    watch.cpu_seconds = {name: 0.5 * seconds for name, seconds in watch.seconds.items()}
    watch.units = {STEPS: 100, DECODE: 600}
    return watch


def test_stages_stand_in_the_order_of_a_run_with_rates_and_shares():
    made = profile(watched(), MACHINE, {})
    numbers = made.numbers()
    assert numbers.index.tolist() == ["start", "decode", "steps", REST]
    assert made.seconds == numbers["seconds"].sum() == 10.0
    assert numbers["share"].tolist() == [0.2, 0.1, 0.6, 0.1]
    assert (numbers["cores"] == 0.5).all()
    steps = numbers.loc["steps"]
    assert steps["rate"] == pytest.approx(100 / 6)
    assert (steps["best_rate"], steps["best_seconds"], steps["times_best"]) == (50.0, 2.0, pytest.approx(3.0))
    assert numbers.loc["start", ["units", "rate", "best_rate", "times_best"]].isna().all()
    assert numbers.loc["decode", "times_best"] == pytest.approx(500 / 600)


def test_a_stage_that_nobody_foresaw_is_shown():
    made = profile(watched(novelty=3.0), MACHINE, {})
    assert [stage.name for stage in made.stages] == ["start", DECODE, STEPS, "novelty", REST]


def test_a_stage_that_did_not_happen_is_said_in_words():
    reason = "nothing is frozen (freeze=none)"
    made = profile(watched(**{FORWARD: 0.25}), MACHINE, {FORWARD: reason, MEASUREMENTS: "none was asked for"})
    assert made.seconds == 10.25
    assert {stage.name: stage.seconds for stage in made.stages}[REST] == 1.25  # what it took to find that out
    table = made.table()
    assert table.index.tolist() == ["start", "decode", "steps", REST, "forward", "gradient measurements", "wall time"]
    assert table.loc["forward"].tolist() == ["none", "–", "–", "–", "–", "–"]
    assert made.notes()[0] == f"forward: none, because {reason}."
    numbers = made.numbers()
    assert numbers.loc["forward", "reason"] == reason
    assert np.isnan(numbers.loc["forward", "seconds"])


def test_the_table_says_rates_with_their_units():
    table = profile(watched(), MACHINE, {}).table()
    assert table.loc["steps"].tolist() == ["6.00", "60%", "0.5", "17\u00a0steps/s", "50\u00a0steps/s", "3.0"]
    assert table.loc["start"].tolist() == ["2.00", "20%", "0.5", "–", "–", "–"]
    assert table.loc["wall time"].tolist() == ["10.00", "100%", "0.5", "–", "–", "–"]


def test_less_than_the_best_is_explained():
    made = profile(watched(), MACHINE, {})
    assert made.notes() == ["decode: less than the best, because threads decode while the frozen part computes."]
    slower = dataclasses.replace(MACHINE, rates={DECODE: 700.0})
    assert profile(watched(), slower, {}).notes() == []


def test_the_machine_is_named_and_its_own_time_is_apart():
    text = MACHINE.text()
    for part in ("4 cores", "100 GFLOP/s", "10.0 GB/s", "in 1.5 s", "not counted"):
        assert part in text


def test_what_the_watch_itself_takes_is_said():
    watch = watched()
    watch.n_spans = 5000
    machine = dataclasses.replace(MACHINE, span_seconds=2e-6)
    assert (
        profile(watch, machine, {}).cost()
        == "Timing itself: 5,000 stages begun and ended, 2.0 µs each, 0.100 % of the wall time."
    )


def test_the_sentence_names_the_largest_share():
    said = sentence(profile(watched(), MACHINE, {}))
    assert said.startswith("The largest share is steps: 6.0 s of 10.0 s, 60%. It took 3.0 times the best")


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        (Stage(STEPS, 2.0, 3.5, 100, 60.0), "the arithmetic of the compiled step is the limit"),
        (Stage(FORWARD, 2.0, 3.5, 100, 60.0), "the arithmetic of the frozen part is the limit"),
        (Stage(DECODE, 2.0, 3.5, 100, 60.0), "decoding itself is the limit"),
        (Stage(DECODE, 2.0, 0.4, 100, 500.0), "10% of the processor was busy meanwhile: it waited for the disk"),
        (Stage(DECODE, 2.0, 3.6, 100, 500.0), UNKNOWN),
        (Stage(STEPS, 2.0, 3.5, 100, 500.0), "Python between calls"),
        (Stage(FORWARD, 2.0, 3.5, 100, 500.0), "tracing of the first batch"),
        (Stage(STEPS, 2.0, 3.5, 100), UNKNOWN),
        (Stage(TRACKING, 2.0, 1.0, 40), "MLflow is the limit: 40 calls"),
        (Stage(COMPILE, 2.0, 1.0), "Python is the limit"),
        (Stage(BLOCKS, 2.0, 1.0), "features.memory_gib"),
        (Stage(TURN, 2.0, 0.0), "Other jobs"),
        (Stage(VIDEOS, 2.0, 0.1), "decoded once"),
        (Stage("start", 2.0, 0.9), "Python (imports)"),
        (Stage("evaluation", 2.0, 1.0), "Python and NumPy in one thread"),
        (Stage("index", 2.0, 0.2), "it waited"),
        (Stage("evaluation", 2.0, 3.0), UNKNOWN),
        (Stage(REST, 2.0, 1.0), UNKNOWN),
    ],
    ids=lambda value: value.name if isinstance(value, Stage) else "",
)
def test_a_limit_is_named_only_where_the_numbers_say_so(stage, says):
    assert says in limit(stage, n_cores=4)


def test_one_core_says_nothing_of_threads():
    assert limit(Stage("evaluation", 2.0, 1.0), n_cores=1) == UNKNOWN


def test_the_figure_shades_what_is_needed_at_best():
    seconds, best = {"start": 2.0, "decode": 1.0, "steps": 6.0}, {"start": np.nan, "decode": 1.2, "steps": 2.0}
    figure = stage_times(seconds, best, {"forward": "nothing is frozen"}, ["a line"])
    (axes,) = figure.axes
    bars = [(round(bar.get_y() + bar.get_height() / 2), bar.get_width(), bar.get_hatch()) for bar in axes.patches]
    assert [(row, width) for row, width, hatch in bars if not hatch] == [(0, 2.0), (1, 1.0), (2, 6.0), (3, 0.0)]
    assert [(row, width) for row, width, hatch in bars if hatch] == [(1, 1.0), (2, 2.0)]
    texts = [text.get_text().strip() for text in axes.texts]
    assert texts == ["2.00 s, 22%", "1.00 s, 11%", "6.00 s, 67%", "none: nothing is frozen"]
    light, dark = (
        next(bar.get_facecolor() for bar in axes.patches if bool(bar.get_hatch()) is is_best)
        for is_best in (False, True)
    )
    assert np.ptp(light[:3]) == np.ptp(dark[:3]) == 0  # greys, so that a print in grey loses nothing
    assert light[0] - dark[0] > 0.3
    drawn = np.asarray(image(figure))
    assert (drawn[[0, -1]] == 255).all()  # nothing is cut off above or below
    assert (drawn[:, [0, -1]] == 255).all()


@pytest.mark.tensorflow
def test_numbers_are_a_table_that_can_be_read_again(tmp_path):
    from mtl.profiling.of_run import write_profile

    made = profile(watched(), MACHINE, {FORWARD: "nothing is frozen (freeze=none)"})
    write_profile(tmp_path, made)
    found = pd.read_csv(tmp_path / "tables" / "time_by_stage.csv", index_col="stage")
    pd.testing.assert_series_equal(found["seconds"], made.numbers()["seconds"])
    assert (tmp_path / "figures" / "time_by_stage.png").is_file()
