"""A screening from tracked runs to its report: what is predicted, what is called best, and what is said without it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtl.errors import UserError
from mtl.report.figures import draw
from mtl.report.page import page
from mtl.report.screened import predicted_sentences
from mtl.report.sections import headline, sections
from mtl.report.summary import Summary, summarise
from mtl.report.write import write_summary
from mtl.results import MEMBERS, SCREENING, TrackedRun
from mtl.screening.asked import Asked, asked_of
from mtl.screening.design import design, members
from mtl.screening.measured import Measured
from mtl.screening.of_runs import screen_measured

CANDIDATES = ("a", "b", "c", "d", "e")
GAIN = dict(zip(CANDIDATES, (1.2, -0.8, 0.0, 0.4, 0.0), strict=True))  # in skill, not in AUC
ASKED = json.dumps({"main": "main", "candidates": CANDIDATES})
VIDEOS, FRAMES, SEEDS = 60, 4, 3


def table_of(used: tuple[str, ...], seed: int, split: str) -> pd.DataFrame:
    """Scores of a split's videos, the better the more its auxiliaries help; a video is as hard for every run."""
    of_videos = np.random.default_rng(len(split)).normal(size=VIDEOS)
    random = np.random.default_rng([seed, *map(ord, "".join(used)), len(split)])
    target = np.repeat(np.arange(VIDEOS) % 2, FRAMES)
    skill = 1.0 + sum(GAIN[name] for name in used) / 2
    scores = skill * target + np.repeat(of_videos, FRAMES) + 0.2 * random.normal(size=VIDEOS * FRAMES)
    return pd.DataFrame(
        {
            "split": split,
            "video": np.repeat([f"{split}{i:02d}" for i in range(VIDEOS)], FRAMES),
            "frame": np.tile(np.arange(FRAMES), VIDEOS),
            "class_name": np.where(target, "Fighting", "Normal"),
            "target/main": target,
            "logit/main": scores,
        }
    )


def tracked(folder: Path, validation: bool = True, sets: Sequence[tuple[str, ...]] | None = None) -> list[TrackedRun]:
    """The runs of a screening, as the tracking gives them: of its design, or of these sets."""
    runs = []
    for i, used in enumerate(design(CANDIDATES, 12, 0) if sets is None else sets):
        for seed in range(SEEDS):
            place = folder / f"{i}-{seed}"
            place.mkdir(parents=True)
            parts = [table_of(used, seed, split) for split in (("val", "test") if validation else ("test",))]
            pd.concat(parts).to_parquet(place / "predictions.parquet", index=False)
            name = "+".join(("main", *used))
            flags = {f"task.{each}": str(int(each in ("main", *used))) for each in ("main", *CANDIDATES)}
            params = {"tasks": name, "seed": str(seed), "main_task": "main", "evaluation.resamples": "200", **flags}
            measures = {f"gradient_similarity/{'_vs_'.join(sorted((each, 'main')))}": GAIN[each] / 4 for each in used}
            tags = {SCREENING: ASKED, MEMBERS: name, "mtl.job": str(len(runs))}
            job = TrackedRun(f"{i}-{seed}", f"{name} seed={seed}", "FINISHED", params, measures, tags)
            runs.append(replace(job, artifact_uri=str(place)))
    return runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[TrackedRun]:
    return tracked(tmp_path_factory.mktemp("screening"))


@pytest.fixture(scope="module")
def summary(runs) -> Summary:
    return summarise(runs, "main")


def test_relevance_follows_what_the_auxiliaries_do(summary):
    effects = summary.screenings[0].relevance
    found = dict(zip(effects.candidates, effects.least_squares, strict=True))
    assert found["a"] > found["d"] > found["b"]
    words = dict(zip(effects.candidates, effects.words, strict=True))
    assert (words["a"], words["b"]) == ("helps", "hurts")
    assert not {"helps", "hurts"} & {words["c"], words["e"]}
    assert ((effects.low < effects.least_squares) & (effects.least_squares < effects.high)).all()


def test_every_set_is_predicted_and_the_best_is_chosen_by_validation_videos(summary):
    found = summary.screenings[0]
    assert found.word == "predictable"
    assert len(found.sets) == 2 ** len(CANDIDATES)
    assert found.sets["trained"].sum() == 14
    assert found.sets["measured"].notna().sum() == 14
    best = found.sets[found.sets["best"]]
    assert len(best) == 1
    assert best.index[0] == 0
    assert found.sets["by_validation"].is_monotonic_decreasing
    assert set(best["set"].iloc[0].split(" + ")) >= {"a", "d"}
    assert "b" not in best["set"].iloc[0]
    assert 0 < found.chance <= 1
    alone = found.sets[found.sets["set"] == ""].iloc[0]
    assert alone["predicted"] == pytest.approx(found.alone)
    inside = found.runs[(found.runs["low"] <= found.runs["gain"]) & (found.runs["gain"] <= found.runs["high"])]
    assert len(inside) >= 0.9 * len(found.runs)


def test_a_measure_that_foretells_enters(summary):
    """The tracked cosine is the very gain, but for its scale."""
    found = summary.screenings[0]
    assert found.predictors["gradient_similarity"] > 0.8
    assert found.foretold.fitted.model.predictors in ((), ("gradient_similarity",))


def test_every_form_says_the_same(summary, tmp_path):
    titles = [section.title for section in sections(summary)]
    assert titles[titles.index("Relevance of each auxiliary") :][:2] == [
        "Relevance of each auxiliary",
        "Predicted sets",
    ]
    assert "Effect of each auxiliary" not in titles
    assert not any(title.startswith("Did gradients") for title in titles)  # no two of its sets differ in one auxiliary
    assert "a (+" in headline(summary)
    assert ") help; b (" in headline(summary)
    write_summary(tmp_path, summary)
    for name in ("relevance.png", "left_out_runs.png", "predicted_sets.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    assert len(pd.read_csv(tmp_path / "predicted_sets.csv")) == 32
    assert list(pd.read_csv(tmp_path / "relevance.csv")["auxiliary"]) == list(CANDIDATES)
    plain = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["screenings"][0]
    assert plain["word"] == "predictable"
    assert plain["best"].startswith("a + ")
    assert "left out runs" in page(summary, dict.fromkeys(draw(summary), b"\x00" * 24))


def test_test_videos_choose_nothing(tmp_path):
    found = summarise(tracked(tmp_path, validation=False), "main").screenings[0]
    assert found.best is None
    assert np.isnan(found.chance)
    assert found.sets["predicted"].is_monotonic_decreasing
    assert any("No set is called best" in line for line in predicted_sentences(found))


def test_a_run_without_the_main_task_alone_says_so(runs):
    left = summarise([run for run in runs if run.params["tasks"] != "main"], "main").screenings[0]
    assert "no run of the main task alone" in left.fault
    assert "no run of the main task alone" in headline(summarise(runs[SEEDS:], "main"))


def test_one_seed_decides_nothing(runs):
    found = summarise([run for run in runs if run.params["seed"] == "0"], "main").screenings[0]
    assert set(found.relevance.words) == {"cannot tell"}
    assert all("one seed never decides" in why for why in found.relevance.reasons)


def test_too_few_sets_have_no_interval(runs):
    few = [run for run in runs if run.params["tasks"] in {"main", *[r.params["tasks"] for r in runs[SEEDS::SEEDS]][:5]}]
    found = summarise(few, "main").screenings[0]
    assert np.isnan(found.relevance.low).all()
    assert set(found.relevance.words) == {"cannot tell"}


def test_test_videos_do_not_say_which_of_many_sets_are_listed():
    """Of 18 candidates 15 are tried both ways; the sign by which the others are in is that of validation videos."""
    names = tuple(f"a{i}" for i in range(18))
    sets, random = design(names, 24, 0), np.random.default_rng(0)
    used = members(sets, names)
    effects = np.where(np.arange(18) < 3, 0.05, 0.001)

    def measured(sign: int) -> Measured:
        values = 0.5 + sign * (used @ effects)[:, None] / 3 + 1e-4 * random.normal(size=(len(sets), 3))
        return Measured(names, tuple(sets), used, values, np.repeat(values[..., None], 20, axis=2))

    found = screen_measured(measured(-1), measured(1), 0.01, 0).sets
    listed = found[~found["trained"]]["set"].str.split(" + ", regex=False)
    assert all({"a0", "a1", "a2"} <= {*one} for one in listed)


def test_what_was_asked_is_read_from_the_tag(runs):
    assert asked_of(runs) == Asked("main", CANDIDATES)
    assert asked_of([replace(run, tags={}) for run in runs]) is None
    with pytest.raises(UserError, match="should be JSON"):
        asked_of([replace(runs[0], tags={SCREENING: "[]"})])


def test_another_task_than_the_one_screened_is_said(runs):
    found = summarise(runs, "a").screenings[0]
    assert found.fault == "the sweep screened auxiliaries of main, and a is asked about"


def test_the_design_tells_its_auxiliaries_apart():
    used = members(design(CANDIDATES, 12, 0), CANDIDATES)
    assert np.linalg.matrix_rank(np.column_stack([np.ones(len(used)), used])) == 6
