"""The sets predicted best and worst: chosen by validation videos of those not trained, foretold without their runs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_of_runs import CANDIDATES, GAIN, SEEDS, tracked

from mtl.errors import UserError
from mtl.report.afterwards import afterwards_sentences, best_and_worst_after
from mtl.report.figures import draw
from mtl.report.page import page
from mtl.report.sections import sections
from mtl.report.summary import summarise
from mtl.report.write import markdown, write_summary
from mtl.results import SCREENING
from mtl.screening.afterwards import TEST, VALIDATION, afterwards, best_and_worst
from mtl.screening.asked import Asked
from mtl.screening.design import design, members
from mtl.screening.earlier import earlier_of
from mtl.screening.measured import Measured
from mtl.sweep import sweepers

NAMES = tuple(f"a{i}" for i in range(6))
EFFECTS = np.array([0.03, -0.02, 0.01, -0.04, 0.02, 0.0])


def measured(sets, effects=EFFECTS, names=NAMES, noise=0.001, seed=0):
    """AUCs that are sums over the members, in three seeds and 50 resamples of videos."""
    random = np.random.default_rng(seed)
    used = members(sets, names)
    values = 0.7 + (used @ effects)[:, None] + noise * random.normal(size=(len(sets), 3))
    draws = values[..., None] + noise * random.normal(size=(*values.shape, 50))
    return Measured(names, tuple(sets), used, values, draws)


def test_they_are_the_extremes_of_the_sets_that_nobody_trained():
    sets = design(NAMES, 12, 0)
    found = best_and_worst(measured(sets), sets, {})
    every = [tuple(name for j, name in enumerate(NAMES) if i >> j & 1) for i in range(1, 64)]
    left = [one for one in every if one not in sets]
    gains = dict(zip(left, members(left, NAMES) @ EFFECTS, strict=True))
    # a5 does nothing, so that of it alone prediction may go either way
    assert gains[found["best"]] == pytest.approx(max(gains.values()), abs=1e-9)
    assert gains[found["worst"]] == pytest.approx(min(gains.values()), abs=1e-9)
    again = best_and_worst(measured(sets), [*sets, *found.values()], {})
    assert not {*again.values()} & {*sets, *found.values()}


def test_of_many_candidates_the_worst_holds_what_hurts():
    """Of more than 15 the others are in or out by their sign, which is another one for the worst set."""
    names = tuple(f"a{i}" for i in range(18))
    effects = np.where(np.arange(18) % 2, -0.05, 0.05)
    sets = design(names, 24, 0)
    found = best_and_worst(measured(sets, effects, names), sets, {})
    assert set(found["best"]) == set(names[::2])
    assert set(found["worst"]) == set(names[1::2])


def test_what_they_measured_has_no_part_in_their_predictions():
    sets = [*design(NAMES, 12, 0), ("a0", "a4"), ("a1", "a3")]
    foretold = {"best": sets[-2], "worst": sets[-1]}
    plain = measured(sets)
    moved = replace(plain, values=plain.values.copy(), draws=plain.draws.copy())
    moved.values[-2:] += 0.2
    moved.draws[-2:] += 0.2
    found, others = (afterwards(each, plain, foretold, {}, 0) for each in (plain, moved))
    for one, other in zip(found, others, strict=True):
        assert (one.predicted, one.low, one.high) == (other.predicted, other.low, other.high)
    assert [(one.which, one.videos) for one in found] == [
        *(("best", VALIDATION), ("best", TEST), ("worst", VALIDATION), ("worst", TEST)),
    ]
    best = found[1]
    assert best.predicted == pytest.approx(0.05, abs=0.005)
    assert best.measured.value == pytest.approx((plain.values[-2] - plain.values[0]).mean())
    assert best.measured.low < best.measured.value < best.measured.high
    assert best.within is (best.low <= best.measured.value <= best.high)
    assert others[1].within is False


def test_a_set_that_was_not_trained_has_no_gain_and_no_answer():
    sets = design(NAMES, 12, 0)
    (found, _) = afterwards(measured(sets), None, {"best": ("a0", "a4"), "worst": ("a3",)}, {}, 0)
    assert np.isfinite([found.predicted, found.low, found.high]).all()
    assert np.isnan(found.measured.value)
    assert found.within is None
    assert found.measured.reason


@pytest.mark.parametrize(
    ("sets", "names", "message"),
    [
        ([(), ("a",), ("b",), ("a", "b")], ("a", "b"), "needs 2 sets that nobody trained, found 0 of 2 candidates."),
        ([(), *[(name,) for name in NAMES[:3]]], NAMES, "needs at least 4 sets with a gain on validation videos over"),
    ],
)
def test_too_little_to_choose_from_is_one_line(sets, names, message):
    with pytest.raises(UserError) as caught:
        best_and_worst(measured(sets, EFFECTS[: len(names)], names), sets, {})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tracked(tmp_path_factory.mktemp("screening"))


@pytest.fixture(scope="module")
def foretold(runs):
    return best_and_worst_after(runs, earlier_of(runs, "x"), None)


@pytest.fixture(scope="module")
def after(runs, foretold, tmp_path_factory):
    """The sweep that trains them: the rows of the earlier one, and the two sets."""
    more = tracked(tmp_path_factory.mktemp("after"), sets=tuple(foretold.values()))
    tag = Asked("main", CANDIDATES, foretold).tag
    return [replace(run, tags=run.tags | {SCREENING: tag}) for run in (*runs, *more)]


def test_they_are_those_of_the_earlier_report(runs, foretold):
    rows = summarise(runs, "main").screenings[0].sets
    left = rows[~rows["trained"]].sort_values("by_validation", ascending=False, kind="stable")
    assert " + ".join(foretold["best"]) == left["set"].iloc[0]
    assert " + ".join(foretold["worst"]) == left["set"].iloc[-1]
    assert sum(GAIN[name] for name in foretold["best"]) > 1 > -0.5 > sum(GAIN[name] for name in foretold["worst"])


def test_a_sweep_trains_them_after_the_sets_of_the_earlier_one(runs, foretold, composed, monkeypatch):
    monkeypatch.setattr("mtl.sweep.screening_sweeper._runs_of", lambda config, what: runs)
    monkeypatch.setattr("mtl.screening.settings.check_candidates", lambda *given: None)
    monkeypatch.setattr("mtl.sweep.screening_sweeper._check_labels", lambda *given: None)
    words = ("experiment=screening", "screening.propose=best_and_worst", "screening.after=x", "main_task=main")
    config = composed(*words)
    config.tasks = {"main": config.tasks.general_anomaly}
    expected = sweepers.expected(config)
    of_first = [job[0] for job in expected.jobs if "seed=0" in job]
    assert of_first[-2:] == [f"+task@tasks=[{','.join(names)}]" for names in foretold.values()]
    assert len(expected.jobs) == 3 * (14 + 2)
    assert json.loads(expected.screening)["foretold"] == {which: [*names] for which, names in foretold.items()}
    said = "\n".join(expected.lines)
    assert "2 of them new: the last." in said
    assert f"Predicted best: {' + '.join(foretold['best'])}." in said
    assert f"Predicted worst: {' + '.join(foretold['worst'])}." in said


def test_every_form_shows_them_beside_their_predictions(after, foretold, tmp_path):
    summary = summarise(after, "main")
    (found,) = summary.screenings
    title = "Predicted best and worst, trained afterwards"
    (section,) = [one for one in sections(summary) if one.title == title]
    assert list(section.table.index) == [" + ".join(names) for names in foretold.values() for _ in range(2)]
    assert set(section.table["measured within predicted"]) <= {"yes", "no"}
    assert any(line.startswith("From worst to best on test videos: predicted +") for line in section.lines)
    assert title in markdown(summary)
    write_summary(tmp_path, summary)
    rows = pd.read_csv(tmp_path / "best_and_worst.csv")
    assert list(rows["seeds"]) == [SEEDS] * 4
    plain = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["screenings"][0]
    assert [one["set"] for one in plain["afterwards"]] == list(rows["set"])
    figures = draw(summary)
    marks = [line for line in figures["predicted_sets"].axes[0].get_lines() if line.get_marker() == "D"]
    (best,) = [one for one in found.afterwards if one.which == "best" and one.videos == TEST]
    assert len(marks) == 2
    assert found.alone + best.predicted in [pytest.approx(line.get_ydata()[0]) for line in marks]
    assert title in page(summary, dict.fromkeys(figures, b"\x00" * 24))


def test_a_run_of_them_that_failed_is_said(after, foretold):
    left = [run for run in after if set(run.params["tasks"].split("+")) != {"main", *foretold["worst"]}]
    (found,) = summarise(left, "main").screenings
    name = " + ".join(foretold["worst"])
    assert any(line.startswith(f"{name}: no gain on test videos, no") for line in afterwards_sentences(found))


def test_what_cannot_choose_is_one_line(runs, tmp_path):
    earlier = earlier_of(runs, "x")
    two = [replace(run, params=run.params | {"weighting": "dwa"}) for run in runs]
    both = [replace(run, params=run.params | {"weighting": "uw"}) for run in runs] + two
    with pytest.raises(UserError, match=r"needs an earlier screening of one condition, found 2: "):
        best_and_worst_after(both, earlier, None)
    blind = tracked(tmp_path, validation=False)
    with pytest.raises(UserError, match=r"chooses by validation videos, which every run .* must have predicted. "):
        best_and_worst_after(blind, earlier, None)
