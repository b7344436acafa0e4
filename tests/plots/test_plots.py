"""Figures hold their numbers, cut nothing off and leave no state behind."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from mtl.plots import curves, dots, matrices
from mtl.plots.over_time import VideoScores, scores_over_time
from mtl.plots.rendering import png
from mtl.results import Relation, Score

TASKS = ("general_anomaly", "violence", "property_crime", "anomaly_type")
CLASSES = ("Abuse", "Arrest", "a_class_of_a_long_name_that_costs_$5_and_goes_on_and_on", "Normal")
NAN = float("nan")


def texts(figure: Figure) -> str:
    """All words of a figure, one thing a line."""
    found = figure.findobj(Text)
    return "\n".join(text.get_text() for text in found)


def row_names(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_ha() == "right" and not text.get_rotation()]


def column_names(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_va() in ("bottom", "top")]


def yes_or_no(counts: list[list[int]]) -> pd.DataFrame:
    return pd.DataFrame(counts, ["no", "yes"], ["no", "yes"])


def relation(n: int, seed: int = 0) -> Relation:
    rng = np.random.default_rng(seed)
    trajectory = np.clip(rng.normal(0.2, 0.4, (5, n, n)), -1, 1)
    trajectory = (trajectory + trajectory.swapaxes(1, 2)) / 2
    values = trajectory.mean(axis=0)
    return Relation(values, values - 0.1, values + 0.1, trajectory)


def classes() -> pd.DataFrame:
    columns = {"task": "anomaly_type", "class": CLASSES, "videos": [2, 1, 5, 150], "frames": [10, 20, 30, 40]}
    return pd.DataFrame(
        {**columns, "auc": [0.8, 0.6, NAN, 0.9], "low": [0.7, NAN, NAN, 0.8], "high": [0.9, NAN, NAN, 1.0]}
    )


def history(tasks: tuple[str, ...], epochs: int) -> pd.DataFrame:
    kinds = ("train_loss", "val_loss", "val_auc", "val_auc_video_weighted")
    columns = {f"{kind}/{task}": np.linspace(1, 0.5 + i / 20, epochs) for task in tasks for i, kind in enumerate(kinds)}
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
    one = Relation(np.ones((1, 1)), trajectory=np.ones((3, 1, 1)))
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
    relations = {
        "label_information": Relation(
            relation(4).values, directed=True, of_tasks={"label_entropy": np.array([0.987, 0.5, NAN, 1.0])}
        ),
        "gradient_similarity": hole,
        "conflict_rate": Relation(
            relation(4).values,
            relation(4).low,
            relation(4).high,
            relation(4).trajectory,
            spread=np.full((4, 4), 0.123),
            baseline=Relation(np.full((4, 4), -0.5), trajectory=np.full((5, 4, 4), 0.5)),
        ),
        "affinity": Relation(
            np.full((4, 4), 0.003), trajectory=np.random.default_rng(0).random((5, 4, 4)), directed=True
        ),
        "loss_correlation": Relation(np.full((4, 4), NAN), reason="too few points"),
    }
    layers = {name: Relation(np.eye(4), by_layer={"stage1": np.eye(4), "shared": -np.eye(4)}) for name in "ab"}
    six = [f"task_{i}" for i in range(6)]
    crossed = pd.DataFrame([[0.7, 0.71], [0.74, NAN]], ["single", "all"], ["weighting=equal", "weighting=dwa"])
    small = pd.DataFrame([["", ""], ["+0.040", ""]], crossed.index, crossed.columns)
    return {
        "scores over time": scores_over_time(
            [
                VideoScores(
                    "Abuse028_x264",
                    "Abuse",
                    {
                        "a": (np.array([0, 1, 2, 9]), np.array([0.1, 0.9, 1.0])),
                        "b": (np.array([0, 4]), np.array([NAN])),
                    },
                    [(0.5, 2.0), (3.0, 12.0)],
                ),
                VideoScores(
                    "a_very_long_name_of_a_video_" * 3, "Normal", {"a": (np.array([0, 40_000]), np.array([NAN]))}, []
                ),
                VideoScores("Normal_Videos_003_x264", "", {"a": (np.array([0, 0.5]), np.array([0.2]))}, []),
            ],
            threshold=0.25,
        ),
        "scores over time in frames": scores_over_time(
            [VideoScores("v", "Abuse", {"w" * 90: (np.array([0, 9]), np.array([0.2]))}, [])], "frame of the video"
        ),
        "scores over time without a video": scores_over_time([]),
        "predicted_and_observed_gain": dots.predicted_and_observed_gain(
            points, {"affinity": "rank correlation +0.10, too few points"}
        ),
        "nothing predicted": dots.predicted_and_observed_gain(points.iloc[:0], {}),
        "relations": matrices.relation_table(
            relations, TASKS, "Relations in the largest set (weighting=equal), mean ± sd"
        ),
        "no relations": matrices.relation_table({}, TASKS, "Relations"),
        "relations of two": table_of(
            Relation(np.ones((2, 2)), reason="too few points to correlate anything at all " * 2)
        ),
        "relations of one": matrices.relation_table({"gradient_similarity": one}, TASKS[:1], "Relations"),
        "heat": matrices.heat_map(crossed, small, "AUC of general_anomaly"),
        "heat of one": matrices.heat_map(crossed.iloc[:1, :1], small.iloc[:1, :1], "AUC"),
        "roc": curves.roc_curves(dict.fromkeys(TASKS, (curve, curve**0.5)), scores),
        "roc of one": curves.roc_curves({"general_anomaly": (curve, curve)}, scores | undefined),
        "roc of none": curves.roc_curves({}, undefined),
        "confusion": matrices.confusion_matrices(
            {"violence": yes_or_no([[1, 2], [3, 4]]), "anomaly_type": counts, "W" * 40: yes_or_no([[0, 0], [3, 4]])}
        ),
        "confusion of one": matrices.confusion_matrices({"x" * 60: yes_or_no([[1, 2], [3, 4]])}),
        "classes": dots.class_auc(classes()),
        "classes of two tasks": dots.class_auc(pd.concat([classes(), classes().assign(task="other")])),
        "no classes": dots.class_auc(classes().iloc[:0]),
        "learning": curves.learning_curves(history(TASKS, 12), 9),
        "learning of one": curves.learning_curves(history(TASKS[:1], 1)),
        "no learning": curves.learning_curves(pd.DataFrame()),
        "trajectories": curves.relation_trajectories(relations, TASKS),
        "trajectories of many": curves.relation_trajectories({"gradient_similarity": relation(6)}, six),
        "trajectories of one": curves.relation_trajectories({"gradient_similarity": one}, TASKS[:1]),
        "no trajectory": curves.relation_trajectories({"x": Relation(np.ones((2, 2)))}, TASKS[:2]),
        "layers": curves.relations_by_layer(layers, TASKS),
        "sets": dots.auc_by_set(sets, {"anomaly": (0.65, 0.75)}, "AUC of general_anomaly"),
        "forest": dots.forest_plot(differences, "AUC"),
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
    lines = figures["trajectories of many"].axes[0].get_lines()[:-1]  # the last one is zero
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


def test_confusion_shares_are_of_the_true_class_with_its_number_of_frames():
    words = texts(matrices.confusion_matrices({"violence": yes_or_no([[30, 10], [1, 1]])}))
    assert words.count("75 %") == 1
    assert words.count("25 %") == 1
    assert words.count("50 %") == 2
    assert "no (40)" in words
    assert "rows: true class (frames), columns: predicted class" in words


def test_what_was_never_predicted_of_a_class_is_blank():
    assert "0 %" not in texts(matrices.confusion_matrices({"violence": yes_or_no([[30, 10], [0, 1]])})).split("\n")


def test_confusion_of_an_absent_class_is_hatched_not_zero(figures):
    axes = figures["confusion"].axes[1]
    assert len([patch for patch in axes.patches if patch.get_hatch()]) == 4  # one row
    assert "nan" not in texts(figures["confusion"])


def test_tasks_of_the_same_classes_share_a_confusion_matrix(figures):
    rows = row_names(figures["confusion"].axes[0])
    assert len(figures["confusion"].axes) == 2
    assert rows[:2] == ["violence: no (3)", "violence: yes (7)"]
    assert len(rows) == 4


def test_a_class_that_was_never_trained_is_marked_in_the_figure():
    figure = dots.class_auc(classes().assign(trained=[False, True, True, True]))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ["never trained" in label for label in labels] == [True, False, False, False]


def test_class_auc_gives_the_number_of_videos_and_says_what_is_undefined(figures):
    words = texts(figures["classes"])
    assert "Abuse  (2 videos)" in words
    assert "Arrest  (1 video)" in words
    assert words.count("undefined") == 1
    assert "anomaly_type: Abuse" in texts(figures["classes of two tasks"])


def test_learning_curves_hold_the_values_and_mark_the_best_epoch(figures):
    first = figures["learning"].axes[0]
    assert [axes.get_title() for axes in figures["learning"].axes[:4]] == list(TASKS)
    np.testing.assert_allclose(first.get_lines()[0].get_xdata(), range(1, 13))
    np.testing.assert_allclose(first.get_lines()[0].get_ydata(), np.linspace(1, 0.5, 12))
    assert "best epoch: 9" in texts(figures["learning"])
    assert "chosen" not in texts(figures["learning of one"])


def test_a_single_epoch_has_a_whole_number_below(figures):
    low, high = figures["learning of one"].axes[1].get_xlim()
    ticks = [tick for tick in figures["learning of one"].axes[1].get_xticks() if low <= tick <= high]
    assert ticks == [1]


def test_every_pair_is_a_row_with_numbers_intervals_and_hatched_holes(figures):
    figure, values = figures["relations"], np.asarray(relation(4).values)
    axes = figure.axes[0]
    assert row_names(axes) == [
        "anomaly_type\nand general_anomaly",
        "anomaly_type\nand property_crime",
        "anomaly_type\nand violence",
        "general_anomaly\nand property_crime",
        "general_anomaly\nand violence",
        "property_crime\nand violence",
    ]
    assert len(column_names(axes)) == 7  # two of a directed measure
    assert f"{values[0, 1]:.2f}".replace("-", "\N{MINUS SIGN}") in texts(figure)
    assert len([patch for patch in axes.patches if patch.get_hatch()]) == 1 + 6
    assert texts(figure).count("[") == 5 + 6
    assert "loss correlation: too few points" in texts(figure)


def table_of(of: Relation) -> Figure:
    return matrices.relation_table({"affinity": of}, TASKS[:2], "Relations")


def test_small_values_keep_their_digits():
    words = texts(table_of(Relation(np.array([[NAN, -0.003], [-0.00001, NAN]]), directed=True)))
    assert "\N{MINUS SIGN}0.0030" in words
    assert "0.0000" in words
    assert "\N{MINUS SIGN}0.0000" not in words


def test_a_directed_measure_says_which_way():
    values = np.array([[0.3, 0.1], [0.2, 0.4]])  # general_anomaly is the first by name too
    figure = table_of(Relation(values, directed=True))
    assert column_names(figure.axes[0]) == ["affinity\nfirst → second", "affinity\nsecond → first"]
    assert [text.get_text() for text in figure.axes[0].texts][:2] == ["0.10", "0.20"]
    trajectory = curves.relation_trajectories(
        {"affinity": Relation(values, trajectory=values[None], directed=True)}, TASKS[:2]
    )
    there, back = trajectory.axes[0].get_lines()[:2]
    assert (there.get_ydata().tolist(), back.get_ydata().tolist()) == ([0.1], [0.2])
    assert back.get_markerfacecolor() == "white"
    assert "open mark: from the second task to the first" in texts(trajectory)


def test_a_symmetric_measure_draws_each_pair_once(figures):
    assert {line for line in texts(figures["trajectories"]).split("\n") if " and " in line} == {
        "anomaly_type and general_anomaly",
        "anomaly_type and property_crime",
        "anomaly_type and violence",
        "general_anomaly and property_crime",
        "general_anomaly and violence",
        "property_crime and violence",
    }
    assert [len(axes.get_lines()) for axes in figures["trajectories"].axes] == [
        7,
        8,
        13,
    ]  # zero and a permutation baseline among them


def test_one_task_has_no_pair(figures):
    assert "no pair" in texts(figures["trajectories of one"])
    assert "no pair" in texts(figures["relations of one"])


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


def test_no_axis_of_a_bounded_quantity_reaches_beyond_it():
    """Numbers at the bounds: AUCs within [0, 1], differences and correlations within [-1, 1]."""
    sets = dots.auc_by_set({"a": [1.0, 0.0], "b": [1.0]}, {"a": (0.0, 1.0)}, "AUC").axes[0]
    classes = pd.DataFrame({"class": ["x", "y"], "videos": 3, "auc": [1.0, 0.7], "low": [1.0, 0.0], "high": [1.0, 1.0]})
    of_classes = dots.class_auc(classes).axes[0]
    assert sets.get_xlim() == of_classes.get_xlim() == (0, 1)
    table = pd.DataFrame({"difference": [0.1, 0.2], "low": [-1.0, -0.9], "high": [1.0, 0.99]}, ["a", "b"])
    assert dots.forest_plot(table, "AUC").axes[0].get_xlim() == (-1, 1)
    points = pd.DataFrame({"measure": "loss_correlation", "auxiliary": ["a", "b"], "control": False})
    points = points.assign(value=[-1.0, 1.0], gain=[0.1, 0.2], low=-0.999, high=0.999)
    axes = dots.predicted_and_observed_gain(points, {}).axes[0]
    assert axes.get_xlim() == axes.get_ylim() == (-1, 1)
    wide = dots.predicted_and_observed_gain(points.assign(value=[-3.0, 1.0], measure="affinity"), {}).axes[0]
    assert wide.get_xlim()[0] < -3  # an affinity has no least value
    ends = {"loss_correlation": Relation(np.eye(3), trajectory=np.array([-np.ones((3, 3)), np.ones((3, 3))]))}
    assert curves.relation_trajectories(ends, TASKS[:3]).axes[0].get_ylim() == (-1, 1)


def test_a_dollar_is_a_dollar(figures):
    assert "costs_\\$5" in texts(figures["confusion"]).replace("\n", "")  # escaped, so not taken for a formula


def test_predicted_gains_have_a_panel_per_measure_and_open_marks_for_controls(figures):
    axes = [each for each in figures["predicted_and_observed_gain"].axes if each.axison]
    assert len(axes) == 4
    assert "rank correlation +0.10" in axes[3].get_title()
    assert "coin (control)" in texts(figures["predicted_and_observed_gain"])
    marks = [line for line in axes[0].get_lines() if line.get_marker() not in ("None", None, "")]
    assert [line.get_markerfacecolor() == "white" for line in marks] == [False, True, False]
    assert len({line.get_marker() for line in marks}) == 3
    assert "nothing to compare" in texts(figures["nothing predicted"])


def test_a_heat_map_writes_numbers_and_hatches_what_is_missing(figures):
    words = texts(figures["heat"])
    assert "0.740" in words
    assert "+0.040" in words
    assert len([patch for patch in figures["heat"].axes[0].patches if patch.get_hatch()]) == 1


def test_the_permutation_baseline_stands_beside_the_measure():
    values, null = np.array([[0.0, 0.1], [0.1, 0.0]]), np.array([[0.5, 0.48], [0.48, 0.5]])
    of = Relation(
        values, trajectory=values[None], trajectory_epochs=np.array([4]), baseline=Relation(null, trajectory=null[None])
    )
    assert "baseline 0.48" in texts(table_of(of))
    trajectory = curves.relation_trajectories({"conflict_rate": of}, TASKS[:2])
    assert "permutation baseline" in texts(trajectory)
    lines = trajectory.axes[0].get_lines()
    assert [line.get_xdata().tolist() for line in (lines[0], lines[2])] == [[4], [4]]
    assert lines[2].get_ydata().tolist() == [0.48]


def test_the_spread_stands_below_the_interval():
    values = np.array([[1.0, 0.3], [0.3, 1.0]])
    baseline = Relation(np.full((2, 2), 0.5))
    figure = table_of(Relation(values, values - 0.1, values + 0.1, spread=np.full((2, 2), 0.17), baseline=baseline))
    assert "[0.20, 0.40]\n± 0.17 baseline 0.50" in texts(figure)
    assert "standard deviation between batches or runs" in texts(figure)
    assert "deviation" not in texts(table_of(Relation(values)))


def test_what_is_said_of_one_task_stands_below_the_table(figures):
    assert "label entropy: general_anomaly 0.99, violence 0.50, property_crime undefined" in texts(figures["relations"])


def test_layers_are_in_order_and_every_pair_is_a_line():
    by_layer = {name: np.array([[1, value], [value, 1]]) for name, value in (("stage1", 0.4), ("shared", -0.2))}
    figure = curves.relations_by_layer({"gradient_similarity": Relation(np.eye(2), by_layer=by_layer)}, TASKS[:2])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["stage1", "shared"]
    assert figure.axes[0].get_lines()[0].get_ydata().tolist() == [0.4, -0.2]
    assert "no layer groups" in texts(curves.relations_by_layer({"x": Relation(np.eye(2))}, TASKS[:2]))
