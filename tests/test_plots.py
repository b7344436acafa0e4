"""Figures hold their numbers, cut nothing off and leave no state behind."""

from __future__ import annotations

import io
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from mtl import plots
from mtl.trace import Relation, Score

TASKS = ("general_anomaly", "violence", "property_crime", "anomaly_type")
CLASSES = ("Abuse", "Arrest", "a_class_of_a_long_name_that_costs_$5_and_goes_on_and_on", "Normal")
NAN = float("nan")


def texts(figure: Figure) -> str:
    """All words of a figure, one thing a line."""
    found = figure.findobj(Text)
    return "\n".join(text.get_text() for text in found)


png = plots.png


def test_a_png_is_what_matplotlib_would_save():
    from PIL import Image

    figure = plots.confusion_matrix(pd.DataFrame([[3, 1], [0, 2]], index=["no", "yes"], columns=["no", "yes"]), "t")
    saved = io.BytesIO()
    figure.savefig(saved)
    ours, theirs = (Image.open(io.BytesIO(one)).convert("RGB") for one in (png(figure), saved.getvalue()))
    assert ours.info.get("dpi", (150, 150))[0] == pytest.approx(plots.DPI, abs=1)
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def relation(n: int, seed: int = 0) -> Relation:
    rng = np.random.default_rng(seed)
    course = np.clip(rng.normal(0.2, 0.4, (5, n, n)), -1, 1)
    course = (course + course.swapaxes(1, 2)) / 2
    values = course.mean(axis=0)
    return Relation(values, values - 0.1, values + 0.1, course)


def classes() -> pd.DataFrame:
    columns = {"task": "anomaly_type", "class": CLASSES, "videos": [2, 1, 5, 150], "frames": [10, 20, 30, 40]}
    return pd.DataFrame(
        {**columns, "auc": [0.8, 0.6, NAN, 0.9], "low": [0.7, NAN, NAN, 0.8], "high": [0.9, NAN, NAN, 1.0]}
    )


def history(tasks: tuple[str, ...], epochs: int) -> pd.DataFrame:
    kinds = ("train_loss", "val_loss", "val_auc")
    columns = {f"{kind}/{task}": np.linspace(1, 0.5, epochs) for task in tasks for kind in kinds}
    return pd.DataFrame(columns, index=range(1, epochs + 1))


def every_figure() -> dict[str, Figure]:
    curve = np.linspace(0, 1, 50)
    scores = {f"auc/{task}": Score(0.7, 0.65, 0.74) for task in TASKS}
    undefined = {
        "auc/violence": Score(NAN, reason="no test frame of any of the classes Assault, Fighting and Shooting")
    }
    counts = pd.DataFrame([[5, 1, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4], [0, 0, 0, 90_000]], CLASSES, CLASSES)
    hole = relation(4)
    np.asarray(hole.values)[[1, 2], [2, 1]] = NAN
    one = Relation(np.ones((1, 1)), course=np.ones((3, 1, 1)))
    sets = {"anomaly": [0.7, 0.72], "all, weighting=uncertainty, backbone=mobilenet_v2": [0.8], "broken": [NAN]}
    differences = pd.DataFrame(
        {
            "difference": [0.01, NAN],
            "low": [-0.01, NAN],
            "high": [0.03, NAN],
            "verdict": ["cannot tell; " * 5, "no run"],
        },
        index=["violence", "anomaly_type"],
    )
    points = pd.DataFrame(
        [
            {
                "measure": m,
                "auxiliary": a,
                "control": a == "coin",
                "value": v,
                "gain": v / 9,
                "low": v / 9 - 0.01,
                "high": 1,
            }
            for m in ("gradient_similarity", "costs_$5", "loss_correlation_within_class", "affinity")
            for a, v in (("violence", 0.1), ("violence", 0.2), ("coin", 0.0), ("a_long_name + another_long_name", -0.1))
        ]
    )
    panels = {f"measure_{i}": Relation(relation(4, i).values, spread=np.full((4, 4), 0.1)) for i in range(4)}
    panels["affinity"] = Relation(np.full((4, 4), 0.003), directed=True)
    crossed = pd.DataFrame([[0.7, 0.71], [0.74, NAN]], ["single", "all"], ["weighting=equal", "weighting=dwa"])
    small = pd.DataFrame([["", ""], ["+0.040", ""]], crossed.index, crossed.columns)
    return {
        "foretold": plots.foretold(points, {"affinity": "rank correlation +0.10, too few points"}),
        "nothing foretold": plots.foretold(points.iloc[:0], {}),
        "panels": plots.relation_panels(panels, TASKS, "Relations in the largest set (weighting=equal), mean ± sd"),
        "no panels": plots.relation_panels({}, TASKS, "Relations"),
        "heat": plots.heat_map(crossed, small, "AUC of general_anomaly"),
        "heat of one": plots.heat_map(crossed.iloc[:1, :1], small.iloc[:1, :1], "AUC"),
        "roc": plots.roc_curves(dict.fromkeys(TASKS, (curve, curve**0.5)), scores),
        "roc of one": plots.roc_curves({"general_anomaly": (curve, curve)}, scores | undefined),
        "roc of none": plots.roc_curves({}, undefined),
        "confusion": plots.confusion_matrix(counts, "anomaly_type"),
        "confusion of two": plots.confusion_matrix(
            pd.DataFrame([[1, 2], [3, 4]], ["no", "yes"], ["no", "yes"]), "x" * 60
        ),
        "classes": plots.class_auc(classes()),
        "classes of two tasks": plots.class_auc(pd.concat([classes(), classes().assign(task="other")])),
        "no classes": plots.class_auc(classes().iloc[:0]),
        "learning": plots.learning_curves(history(TASKS, 12), 9),
        "learning of one": plots.learning_curves(history(TASKS[:1], 1)),
        "no learning": plots.learning_curves(pd.DataFrame()),
        "relation": plots.relation_matrix(hole, TASKS, "gradient_similarity"),
        "relation of one": plots.relation_matrix(one, TASKS[:1], "gradient_similarity"),
        "no relation": plots.relation_matrix(Relation(np.full((2, 2), NAN), reason="too few points"), TASKS[:2], "x"),
        "relation with all": plots.relation_matrix(
            Relation(
                relation(4).values,
                relation(4).low,
                relation(4).high,
                spread=np.full((4, 4), 0.123),
                null=Relation(np.full((4, 4), -0.5)),
            ),
            TASKS,
            "conflict_rate",
        ),
        "zero relation": plots.relation_matrix(Relation(np.zeros((2, 2))), TASKS[:2], "x"),
        "course": plots.relation_course(relation(4), TASKS, "gradient_similarity"),
        "course of many": plots.relation_course(relation(6), [f"task_{i}" for i in range(6)], "gradient_similarity"),
        "course of one": plots.relation_course(one, TASKS[:1], "gradient_similarity"),
        "no course": plots.relation_course(Relation(np.ones((2, 2))), TASKS[:2], "x"),
        "sets": plots.auc_by_set(sets, {"anomaly": (0.65, 0.75)}, "AUC of general_anomaly"),
        "forest": plots.forest_plot(differences, "AUC"),
    }


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a name that does not fit, a glyph that is missing
        return every_figure()


@pytest.mark.filterwarnings("error")
@pytest.mark.slow
def test_figures_are_saved_without_a_warning(figures):
    for figure in figures.values():
        assert png(figure).startswith(b"\x89PNG")


def test_nothing_is_cut_off(figures):
    for name, figure in figures.items():
        width, height = figure.get_size_inches()
        ink = figure.get_tightbbox()
        assert ink.x0 > -0.02, name
        assert ink.y0 > -0.02, name
        assert ink.x1 < width + 0.02, name
        assert ink.y1 < height + 0.02, name


def test_figures_are_sharp_and_of_a_size_for_a_page(figures):
    for name, figure in figures.items():
        assert figure.dpi == 150, name
        assert max(figure.get_size_inches()) < 20, name


def test_no_global_state_of_matplotlib_is_touched():
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_curves_differ_without_colour(figures):
    lines = figures["course of many"].axes[0].get_lines()[:-1]  # the last one is zero
    looks = {
        (line.get_linestyle(), line.get_marker(), line._dash_pattern[1] and tuple(line._dash_pattern[1]))
        for line in lines
    }
    assert len(lines) == 15
    assert len(looks) == 15


def test_roc_says_auc_and_interval_and_chance(figures):
    assert "violence: 0.700 [0.650, 0.740]" in texts(figures["roc"])
    assert "chance" in texts(figures["roc"])


def test_a_task_without_auc_is_named_with_the_reason(figures):
    assert "violence: undefined, no test frame" in texts(figures["roc of one"])
    assert "violence: undefined, no test frame" in texts(figures["roc of none"])


def test_confusion_shares_are_of_the_true_class():
    words = texts(plots.confusion_matrix(pd.DataFrame([[30, 10], [1, 1]], ["no", "yes"], ["no", "yes"]), "violence"))
    assert words.count("75 %") == 1
    assert words.count("25 %") == 1
    assert words.count("50 %") == 2
    assert "true" in words
    assert "predicted" in words


def test_confusion_of_an_absent_class_is_hatched_not_zero(figures):
    axes = figures["confusion"].axes[0]
    assert len([patch for patch in axes.patches if patch.get_hatch()]) == 4  # one row
    assert "nan" not in texts(figures["confusion"])


def test_class_auc_gives_the_number_of_videos_and_says_what_is_undefined(figures):
    words = texts(figures["classes"])
    assert "Abuse  (2 videos)" in words
    assert "Arrest  (1 video)" in words
    assert words.count("undefined") == 1
    assert "anomaly_type: Abuse" in texts(figures["classes of two tasks"])


def test_learning_curves_hold_the_values_and_mark_the_chosen_epoch(figures):
    first = figures["learning"].axes[0]
    assert [axes.get_title() for axes in figures["learning"].axes[:4]] == list(TASKS)
    np.testing.assert_allclose(first.get_lines()[0].get_xdata(), range(1, 13))
    np.testing.assert_allclose(first.get_lines()[0].get_ydata(), np.linspace(1, 0.5, 12))
    assert "chosen: epoch 9" in texts(figures["learning"])
    assert "chosen" not in texts(figures["learning of one"])


def test_a_single_epoch_has_a_whole_number_below(figures):
    low, high = figures["learning of one"].axes[1].get_xlim()
    ticks = [tick for tick in figures["learning of one"].axes[1].get_xticks() if low <= tick <= high]
    assert ticks == [1]


def test_relation_matrix_writes_numbers_intervals_and_hatches_holes(figures):
    axes = figures["relation"].axes[0]
    values = np.asarray(relation(4).values)
    assert f"{values[0, 1]:.2f}".replace("-", "\N{MINUS SIGN}") in texts(figures["relation"])
    assert len([patch for patch in axes.patches if patch.get_hatch()]) == 2
    assert texts(figures["relation"]).count("[") == 14
    assert "too few points" in texts(figures["no relation"])


def test_small_values_keep_their_digits():
    words = texts(plots.relation_matrix(Relation(np.array([[0.02, -0.003], [0.0, -0.00001]])), TASKS[:2], "affinity"))
    assert "0.0200" in words
    assert "\N{MINUS SIGN}0.0030" in words
    assert "\N{MINUS SIGN}0.0000" not in words


def test_a_directed_measure_says_which_way():
    values = np.array([[0.3, 0.1], [0.2, 0.4]])
    words = texts(plots.relation_matrix(Relation(values), TASKS[:2], "affinity"))
    assert "source" in words
    assert "recipient" in words
    course = texts(plots.relation_course(Relation(values, course=values[None]), TASKS[:2], "affinity"))
    assert "general_anomaly → violence" in course
    assert "violence → general_anomaly" in course


def test_a_symmetric_measure_draws_each_pair_once(figures):
    assert {line for line in texts(figures["course"]).split("\n") if " vs " in line} == {
        "anomaly_type vs general_anomaly",
        "anomaly_type vs property_crime",
        "anomaly_type vs violence",
        "general_anomaly vs property_crime",
        "general_anomaly vs violence",
        "property_crime vs violence",
    }
    assert "source" not in texts(figures["relation"])


def test_one_task_has_no_pair(figures):
    assert "no pair" in texts(figures["course of one"])


def test_auc_by_set_counts_seeds_and_keeps_the_order(figures):
    labels = [label.get_text() for label in figures["sets"].axes[0].get_yticklabels()]
    assert labels[0] == "anomaly  (2 seeds)"
    assert labels[1].replace("\n", "").endswith("(1 seed)")
    assert labels[2] == "broken  (0 seeds)"
    low, high = figures["sets"].axes[0].get_ylim()
    assert low > high  # the first on top


def test_forest_shows_zero_and_the_verdicts(figures):
    assert "no difference" in texts(figures["forest"])
    assert "cannot tell" in texts(figures["forest"])
    low, high = figures["forest"].axes[0].get_xlim()
    assert low < -0.01
    assert high > 0.03


def test_a_dollar_is_a_dollar(figures):
    assert "costs_\\$5" in texts(figures["confusion"]).replace("\n", "")  # escaped, so not taken for a formula


def test_foretold_has_a_panel_per_measure_and_open_marks_for_controls(figures):
    axes = [each for each in figures["foretold"].axes if each.axison]
    assert len(axes) == 4
    assert "rank correlation +0.10" in axes[3].get_title()
    assert "coin (control)" in texts(figures["foretold"])
    marks = [line for line in axes[0].get_lines() if line.get_marker() not in ("None", None, "")]
    assert [line.get_markerfacecolor() == "white" for line in marks] == [False, True, False]
    assert len({line.get_marker() for line in marks}) == 3
    assert "nothing to compare" in texts(figures["nothing foretold"])


def test_panels_leave_the_diagonal_blank_and_say_the_spread(figures):
    axes = [each for each in figures["panels"].axes if each.axison]
    assert len(axes) == 5
    assert texts(figures["panels"]).count("± 0.10") == 4 * 12
    assert axes[4].get_xlabel() == "recipient"
    assert not axes[0].get_xlabel()


def test_a_heat_map_writes_numbers_and_hatches_what_is_missing(figures):
    words = texts(figures["heat"])
    assert "0.740" in words
    assert "+0.040" in words
    assert len([patch for patch in figures["heat"].axes[0].patches if patch.get_hatch()]) == 1


def test_the_null_stands_beside_the_measure():
    values, null = np.array([[0.0, 0.1], [0.1, 0.0]]), np.array([[0.5, 0.48], [0.48, 0.5]])
    of = Relation(values, course=values[None], course_epochs=np.array([4]), null=Relation(null, course=null[None]))
    assert "null 0.48" in texts(plots.relation_matrix(of, TASKS[:2], "conflict_rate"))
    course = plots.relation_course(of, TASKS[:2], "conflict_rate")
    assert "labels permuted" in texts(course)
    lines = course.axes[0].get_lines()
    assert [line.get_xdata().tolist() for line in lines[:2]] == [[4], [4]]
    assert lines[1].get_ydata().tolist() == [0.48]


def test_the_spread_between_batches_stands_below_the_interval():
    values = np.array([[1.0, 0.3], [0.3, 1.0]])
    null = Relation(np.full((2, 2), 0.5))
    of = Relation(values, values - 0.1, values + 0.1, spread=np.full((2, 2), 0.17), null=null)
    figure = plots.relation_matrix(of, TASKS[:2], "gradient_similarity")
    assert "[0.20, 0.40]\n± 0.17 null 0.50" in texts(figure)
    assert "deviation between batches" in texts(figure)
    assert "deviation" not in texts(plots.relation_matrix(Relation(values), TASKS[:2], "x"))


def test_panels_say_the_null():
    of = Relation(np.full((2, 2), 0.4), spread=np.full((2, 2), 0.1), null=Relation(np.full((2, 2), 0.48)))
    assert texts(plots.relation_panels({"conflict_rate": of}, TASKS[:2], "Relations")).count("± 0.10 null 0.48") == 2


def test_what_is_said_of_one_task_stands_beside_its_name():
    of = Relation(np.eye(2), of_tasks={"label_entropy": np.array([0.987, 0.5])}, directed=True)
    words = texts(plots.relation_matrix(of, TASKS[:2], "label_information"))
    assert "label entropy 0.99" in words
    assert "source" in words


def test_layers_are_in_order_and_every_pair_is_a_line():
    by_layer = {name: np.array([[1, value], [value, 1]]) for name, value in (("stage1", 0.4), ("shared", -0.2))}
    figure = plots.relation_by_layer(Relation(np.eye(2), by_layer=by_layer), TASKS[:2], "gradient_similarity")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["stage1", "shared"]
    assert figure.axes[0].get_lines()[0].get_ydata().tolist() == [0.4, -0.2]
    assert "no layer groups" in texts(plots.relation_by_layer(Relation(np.eye(2)), TASKS[:2], "x"))
