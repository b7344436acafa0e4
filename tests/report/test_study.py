"""A search is reported by validation numbers; test frames are looked at for its best trial alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from mtl.errors import UserError
from mtl.report.figures import draw
from mtl.report.judge import VIDEO_LABELS
from mtl.report.sections import headline, sections
from mtl.report.study import STUDY, Study, Trial, read_study, study_of
from mtl.report.study_tables import MOST_TRIALS, importance_sentences, shortened, trials_frame, trials_table
from mtl.report.summary import summarise_search
from mtl.results import TrackedRun

RATE = "training.optimizer.learning_rate"


def trial(number: int, value: float | None, tasks: str = "all", **given) -> Trial:
    values = (value, None if value is None else value)
    return Trial(
        number, {"tasks": tasks, RATE: f"0.00{number}234567"}, (2 * number - 2, 2 * number - 1), values, **given
    )


STUDY_OF_FOUR = Study(
    "val_auc_best/general_anomaly",
    "maximize",
    4,
    ("0", "1"),
    "TPE of Optuna, seed 0",
    (trial(1, 0.6), trial(2, None, reason="seed 1: it diverged"), trial(3, 0.8), trial(4, 0.8, "anomaly")),
    {RATE: 0.25, "tasks": 0.75},
)


def test_the_best_trial_is_the_first_with_the_best_mean_over_seeds():
    assert STUDY_OF_FOUR.best.number == 3
    assert replace(STUDY_OF_FOUR, direction="minimize").best.number == 1
    assert Trial(1, {}, values=(0.25, 0.75)).value == 0.5
    assert Trial(1, {}, values=(0.25, None)).value is None
    assert Trial(1, {}).value is None
    assert replace(STUDY_OF_FOUR, trials=()).best is None


@pytest.mark.parametrize(("direction", "course"), [("maximize", [0.6, 0.6, 0.8, 0.8]), ("minimize", [0.6] * 4)])
def test_the_course_is_the_best_so_far(direction, course):
    assert replace(STUDY_OF_FOUR, direction=direction).best_so_far() == course
    late = replace(STUDY_OF_FOUR, trials=STUDY_OF_FOUR.trials[1:2])
    assert all(math.isnan(value) for value in late.best_so_far())


def test_what_is_written_is_read_and_what_is_damaged_is_one_line(tmp_path):
    assert read_study(tmp_path) is None
    STUDY_OF_FOUR.write(tmp_path)
    assert read_study(tmp_path) == STUDY_OF_FOUR
    assert [path.name for path in tmp_path.iterdir()] == [STUDY]
    (tmp_path / STUDY).write_text('{"metric": 3}', encoding="utf-8")
    with pytest.raises(UserError, match="study.json is damaged"):
        read_study(tmp_path)


def test_it_is_had_from_the_store_by_the_sweeps_own_run(tmp_path):
    class Store:
        def download(self, run_id, path, to=None):
            if run_id != "search":
                raise UserError("there is no such artifact")
            return tmp_path / path

    STUDY_OF_FOUR.write(tmp_path)
    assert study_of("search", Store()) == STUDY_OF_FOUR
    assert study_of("another", Store()) is None


def runs() -> list[TrackedRun]:
    """Two jobs per trial with test numbers that tell which trial they are of."""
    return [
        TrackedRun(
            str(job),
            f"job {job}",
            "FINISHED",
            params={"tasks": "all", "seed": str(job % 2), "task.general_anomaly": "1"},
            metrics={"auc/general_anomaly": 0.1234 * (job // 2 + 1)},
            tags={"mtl.job": str(job), "tasks": "all"},
        )
        for job in range(8)
    ]


def test_test_numbers_of_other_trials_are_nowhere_in_the_report(tmp_path):
    from mtl.report.write import markdown, write_summary

    assert [run.id for run in STUDY_OF_FOUR.chosen(runs())] == ["4", "5"]
    summary = summarise_search(STUDY_OF_FOUR, runs(), "general_anomaly", None, VIDEO_LABELS)
    assert {run.id for run in summary.runs} == {"4", "5"}
    write_summary(tmp_path, summary)
    texts = [markdown(summary), *(path.read_text(encoding="utf-8") for path in tmp_path.glob("*.[mcjh]*"))]
    assert len(texts) > 5
    for text in texts:
        assert not any(f"{0.1234 * number:.3f}" in text for number in (1, 2, 4))
    assert "0.370" in (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert read_study(tmp_path) == STUDY_OF_FOUR
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 4


def test_no_test_frame_is_looked_at_before_the_search_is_over():
    cut = replace(STUDY_OF_FOUR, n_trials=5)
    assert cut.chosen(runs()) == []
    assert replace(cut, ended="everything is tried").chosen(runs()) == STUDY_OF_FOUR.chosen(runs()) != []
    summary = summarise_search(cut, runs(), "general_anomaly", None, VIDEO_LABELS)
    assert summary.runs == ()
    assert "on test frames" not in headline(summary)
    lines = [line for section in sections(summary) for line in section.lines]
    assert any("not over, so no test frame was looked at; the same command goes on" in line for line in lines)


def test_the_page_says_which_trial_is_best_how_it_went_and_what_matters():
    summary = summarise_search(STUDY_OF_FOUR, [], "general_anomaly", None, VIDEO_LABELS)
    first = f"Best of 4 trials, 1 of which failed, is trial 3, tasks=all {RATE}=0.003234567: "
    assert headline(summary).startswith(f"{first}val_auc of general_anomaly 0.800")
    titles = [section.title for section in sections(summary)]
    start = titles.index("Best trial")
    assert titles[start + 1 : start + 3] == ["val_auc of general_anomaly by trial", "Importance of what is searched"]
    course = sections(summary)[start + 1]
    assert "Trial 2 failed: seed 1: it diverged." in course.lines
    assert course.lines[0].startswith("4 of 4 trials, proposed by TPE of Optuna, seed 0, to maximize val_auc")
    assert set(draw(summary)) == {"objective_by_trial", "importance"}


def test_a_search_without_a_value_has_a_page_all_the_same():
    failed = replace(STUDY_OF_FOUR, trials=STUDY_OF_FOUR.trials[1:2], importance={}, unknown="no trial has a value")
    summary = summarise_search(failed, runs(), "general_anomaly", None, VIDEO_LABELS)
    assert headline(summary) == "None of 1 trial has a value of val_auc of general_anomaly."
    assert draw(summary) == {}
    lines = [line for section in sections(summary) for line in section.lines]
    assert "It is not known: no trial has a value." in lines
    assert "No trial has a value of val_auc of general_anomaly." in lines


def test_the_table_has_the_best_first_and_failed_trials_last():
    table = trials_table(STUDY_OF_FOUR)
    assert list(table.index) == ["3", "4", "1", "2"]
    assert list(table["val_auc of general_anomaly"]) == ["0.800", "0.800", "0.600", "failed"]
    assert list(table["seed 1"]) == ["0.800", "0.800", "0.600", "–"]
    assert list(table[RATE]) == ["0.003235", "0.004235", "0.001235", "0.002235"]
    many = replace(STUDY_OF_FOUR, trials=tuple(trial(i, 0.5) for i in range(1, 40)))
    assert len(trials_table(many)) == MOST_TRIALS
    assert len(trials_frame(many)) == 39


def test_importance_of_few_trials_is_said_to_be_rough():
    assert "With 3 trials for 2 keys they are rough." in importance_sentences(STUDY_OF_FOUR)[0]
    many = replace(STUDY_OF_FOUR, trials=tuple(trial(i, 0.5) for i in range(1, 40)))
    assert "rough" not in importance_sentences(many)[0]
    assert importance_sentences(replace(many, importance={})) == [
        "It is not known: the search did not come to its end."
    ]


@pytest.mark.parametrize(
    ("word", "short"), [("0.0123456789", "0.01235"), ("anomaly_violence", "anomaly_violence"), ("128", "128")]
)
def test_long_fractions_are_shortened_for_a_table(word, short):
    assert shortened(word) == short
