"""The report judged by annotated events: from what the runs keep, in every form, and nothing is trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_ablation import predictions
from test_report import jobs, track

from mtl.data.events import Events
from mtl.evaluation.predictions import of_split
from mtl.report import __main__, figures, sections, write
from mtl.report.judge import Judge
from mtl.report.over_time import over_time
from mtl.report.summary import summarise
from mtl.statistics.pairwise import macro_auc
from mtl.tracking.no_tracking import NoTracking

RUNS = (("single", 0), ("single", 1), ("helped", 0), ("helped", 1))


def events() -> Events:
    """Of the sixty videos of `predictions` the anomalous ones have an event in frames 1 and 2; v059 was left out."""
    names = predictions(0, 1.0, 60).groupby("video")["class_name"].first()
    found = {name: ((1, 3),) if of != "Normal" else () for name, of in names.items() if name != "v058"}
    return Events({str(name): of for name, of in found.items()}, "events.txt")


def annotation(folder: Path) -> Path:
    """The same as a file."""
    file = folder / "events.txt"
    lines = [
        f"{name}.mp4 Class {' '.join(f'{a} {b}' for a, b in of) or '-1 -1'}" for name, of in events().intervals.items()
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def folder(tmp_path) -> Path:
    """An older sweep, whose runs keep no events."""
    for i, (tasks, seed) in enumerate(RUNS):
        track(NoTracking(), tmp_path / "sweep" / str(i), None, tasks, seed)
    return tmp_path / "sweep"


def by_hand(path: Path) -> float:
    table = of_split(pd.read_parquet(path / "artifacts" / "predictions.parquet"), "test")
    table = table[table["video"] != "v058"]
    inside = (table["class_name"] != "Normal") & table["frame"].isin([1, 2])
    return macro_auc(inside.to_numpy()[:, None], table[["probability/main"]].to_numpy(np.float64))


def test_an_older_sweep_is_judged_by_events_from_a_file(folder, tmp_path, capsys):
    file = annotation(tmp_path)
    out = tmp_path / "out"
    assert __main__.main([str(folder), "--judge", "event", "--events", str(file), "--to", str(out)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Judged by annotated events: frames inside" in printed
    assert "236 frames, 78 positives, 59 of 59 annotated videos" in printed
    assert "no training video has annotation" in printed
    table = pd.read_csv(out / "summary.csv", index_col="set")
    assert "auc/main" not in table
    expected = [np.mean([by_hand(folder / str(i + seed)) for seed in (0, 1)]) for i in (0, 2)]
    np.testing.assert_allclose(table["auc_event/main"], expected, rtol=1e-12)
    assert table.loc["helped", "difference"] == pytest.approx(expected[1] - expected[0])
    found = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert found["judge"] == "event"
    assert "1 test video is not annotated and left out: v058." in found["warnings"]
    page = (out / "summary.html").read_text(encoding="utf-8")
    assert "AUC of main by annotated events, by task set" in page
    assert "Judged by annotated events" in page


def test_the_events_that_the_runs_keep_judge_where_all_agree(folder, tmp_path, capsys):
    for i in range(len(RUNS)):
        events().table().to_csv(folder / str(i) / "artifacts" / "events.csv", index=False)
    out = tmp_path / "out"
    assert __main__.main([str(folder), "--judge", "event", "--to", str(out)]) == 0
    again = tmp_path / "again"
    __main__.main([str(folder), "--judge", "event", "--events", str(annotation(tmp_path)), "--to", str(again)])
    assert (out / "summary.csv").read_bytes() == (again / "summary.csv").read_bytes()
    capsys.readouterr()
    other = Events({**events().intervals, "v000": ((0, 1),)}).table()
    other.to_csv(folder / "1" / "artifacts" / "events.csv", index=False)
    assert __main__.main([str(folder), "--judge", "event"]) == 1
    assert "have unlike events. Right would be --events FILE" in " ".join(capsys.readouterr().out.split())
    (folder / "1" / "artifacts" / "events.csv").unlink()
    assert __main__.main([str(folder), "--judge", "event"]) == 1
    assert "The run 'single seed=1' has no events.csv." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--judge", "evnt"], "--judge evnt: Did you mean 'event'?"),
        (["--judge", "event"], "The runs have no events.csv. Right would be --events FILE"),
        (["--judge", "event", "--events", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_what_cannot_judge_is_one_line(folder, words, line, capsys):
    assert __main__.main([str(folder), *words]) == 1
    assert line in " ".join(capsys.readouterr().out.split())


def test_other_tasks_and_figures_are_by_the_judge_too(folder):
    found = summarise(jobs(folder), "main", judge=Judge("event", events()))
    assert found.measure == "AUC of main by annotated events"
    assert sections.headline(found).count("by annotated events") == 1
    assert "auc/a" not in found.sets
    words = " ".join(text.get_text() for axes in figures.draw(found)["auc_by_set"].axes for text in [axes.xaxis.label])
    assert "by annotated events" in words
    run = found.runs[0]
    assert run.metrics["auc/main"] != run.metrics["auc_event/main"]


def test_without_a_word_video_labels_judge(folder):
    found = summarise(jobs(folder), "main")
    assert (found.judge.by, found.judged, found.main) == ("video", "", "auc/main")


def test_the_page_shows_scores_over_time_of_videos_chosen_by_rule(folder, tmp_path):
    found = summarise(jobs(folder), "main", judge=Judge("event", events()))
    # Arson: v000, v003, ...; Fighting: v001, ...; Normal: v002, v005, ...
    assert [each.video for each in found.over_time] == ["v000", "v001", "v002", "v005"]
    first = found.over_time[0]
    assert (first.class_name, first.events, found.unit) == ("Arson", [(1.0, 3.0)], "frame of the video")
    assert list(first.scores) == ["single, seed 0", "helped, seed 0"]
    write.write_summary(tmp_path / "out", found)
    assert (tmp_path / "out" / "scores_over_time.png").is_file()
    page = (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")
    assert 'alt="scores over time"' in page
    assert "scores_over_time" not in figures.draw(summarise(jobs(folder), "main"))


@pytest.mark.parametrize(
    ("rates", "unit", "event"),
    [
        ((2, 2), "seconds", (0.5, 1.5)),
        ((2, 4), "frame of the video", (1, 3)),
        ((2, None), "frame of the video", (1, 3)),
    ],
)
def test_time_is_in_seconds_where_the_stored_configs_tell_one_rate(folder, rates, unit, event):
    for i, rate in zip((0, 2), rates, strict=True):
        text = f"data:\n  _target_: mtl.data.ucf_crime.UCFCrime\n  fps: {rate}\n"
        (folder / str(i) / "artifacts" / "config.yaml").write_text(text if rate else "no: config", encoding="utf-8")
    found = summarise(jobs(folder), "main", judge=Judge("event", events()))
    assert (found.unit, found.over_time[0].events) == (unit, [event])


def test_lines_over_time_are_paired_by_name_and_frame():
    table = predictions(0, 1.0, 6)
    orders = [table, table.sample(frac=1, random_state=1), table[::-1]]
    for rate in (None, 2.0):
        found = [over_time({"a": table, "b": other}, "main", events(), rate) for other in orders]
        for each in found:
            for line, of in zip(each, found[0], strict=True):
                edges, values = line.scores["b"]
                np.testing.assert_array_equal(line.scores["a"][1], values)
                np.testing.assert_array_equal(of.scores["b"][1], values)
                np.testing.assert_array_equal(edges, np.arange(5) / (rate or 1))
